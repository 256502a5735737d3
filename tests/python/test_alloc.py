# SPDX-License-Identifier: Apache-2.0
"""Memory that the system refuses: allocation n fails, for every n that loading and running have."""

import gc
from typing import Any

import numpy as np
import pytest

import pyinfer
from ops.node import model_of
from pyinfer import _core
from pyinfer.model import _load
from support import tiny

R = np.random.default_rng(0)


def floats(*shape: int) -> np.ndarray:
    return R.standard_normal(shape).astype(np.float32)


def strings(*values: str) -> np.ndarray:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


X = floats(1, 4, 6, 6)
TEXT = strings("one two", "", "three")
OPERATORS: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("Conv", [X, floats(8, 4, 3, 3)], {}),
    ("ConvTranspose", [X, floats(4, 8, 3, 3)], {"strides": [2, 2]}),
    ("MaxPool", [X], {"kernel_shape": [2, 2], "outputs": 2}),
    ("MatMul", [floats(5, 7), floats(7, 6)], {}),
    ("Gemm", [floats(5, 7), floats(6, 7), floats(6)], {"transB": 1}),
    ("Einsum", [floats(3, 4, 5), floats(5, 3, 2)], {"equation": "abc,cad->bd"}),
    ("Resize", [X, None, np.float32([1, 1, 1.5, 1.5])], {"mode": "cubic"}),
    ("GridSample", [X, floats(1, 3, 3, 2)], {}),
    ("LSTM", [floats(3, 1, 4), floats(1, 20, 4), floats(1, 20, 5)], {"hidden_size": 5, "outputs": 3}),
    ("GRU", [floats(3, 1, 4), floats(1, 15, 4), floats(1, 15, 5)], {"hidden_size": 5, "clip": 1.0}),
    ("Attention", [floats(1, 2, 3, 8), floats(1, 2, 4, 8), floats(1, 2, 4, 8)], {}),
    ("LayerNormalization", [floats(3, 8), floats(8)], {}),
    ("Softmax", [X], {"axis": 1}),
    ("DFT", [floats(2, 15, 1), None, np.int64(1)], {}),
    ("TopK", [floats(3, 9), np.int64([2])], {"outputs": 2}),
    ("Unique", [np.int64([3, 1, 3, 2])], {"outputs": 4}),
    ("NonZero", [np.float32([0, 1, 0, 2])], {}),
    ("Split", [floats(6, 2)], {"num_outputs": 3, "outputs": 3}),
    ("Pad", [X, np.int64([0, 0, 1, 1, 0, 0, 1, 1])], {"mode": "reflect"}),
    ("ScatterND", [floats(4, 2), np.int64([[3], [1]]), floats(2, 2)], {}),
    ("QLinearMatMul", [np.uint8([[1, 2]]), np.float32(0.5), np.uint8(1), np.uint8([[3], [4]]),
        np.float32(2), np.uint8(0), np.float32(1), np.uint8(5)], {}),
    ("Cast", [floats(3)], {"to": 8}),
    ("Cast", [strings("1", "2.5")], {"to": 1}),
    ("StringConcat", [TEXT, TEXT], {}),
    ("StringSplit", [TEXT], {"outputs": 2}),
    ("StringNormalizer", [strings("One", "TWO", "x")], {"case_change_action": "LOWER", "stopwords": ["x"]}),
    ("RegexFullMatch", [TEXT], {"pattern": "(one|three)( t[a-z]+)*"}),
    ("SequenceConstruct", [floats(2), floats(3)], {}),
    ("SplitToSequence", [floats(4, 2)], {"axis": 0}),
    ("TfIdfVectorizer", [np.int64([1, 2, 1])], {
        "mode": "TF", "min_gram_length": 1, "max_gram_length": 2, "max_skip_count": 0, "ngram_counts": [0, 2],
        "ngram_indexes": [0, 1, 2], "pool_int64s": [1, 2, 2, 1]}),
]  # fmt: skip


def plain(value: Any) -> Any:
    return [plain(v) for v in value] if isinstance(value, list) else np.asarray(value).tolist()


@pytest.mark.parametrize(
    ("op", "inputs", "attrs"), OPERATORS, ids=[f"{o[0]}{i}" for i, o in enumerate(OPERATORS)]
)
@pytest.mark.parametrize("constant", [False, True])
def test_operators(op: str, inputs: list[Any], attrs: dict[str, Any], constant: bool) -> None:
    inputs = [None if x is None else np.asarray(x) for x in inputs]
    fixed = [i for i, x in enumerate(inputs) if constant and i and x is not None]
    data = model_of(op, inputs, constant=fixed, **attrs)
    feeds = {f"x{i}": x for i, x in enumerate(inputs) if x is not None and i not in fixed}

    def run(model: Any) -> Any:
        return plain(list(model.run(feeds).values()))

    def once() -> Any:
        with pyinfer.load(data, threads=1) as model:
            return run(model)

    expected = once()
    once()
    gc.collect()
    alive = _core._alive_blocks()
    for nth in range(1, 3000):
        _core._fail_alloc(nth)
        result = model = None
        try:
            model = pyinfer.load(data, threads=1)
            result = run(model)
        except MemoryError:
            pass
        finally:
            _core._fail_alloc(0)
        if model is not None:
            assert run(model) == expected
            model.close()
        del model
        assert _core._alive_blocks() == alive, f"a leak after failure {nth}"
        if result is not None:
            assert result == expected and nth > 10
            return
    raise AssertionError("still failing after 3000 allocations")


LINE = np.float32([[1, 2, 3]])


@pytest.mark.parametrize("fetch", [(), ("xw", "y")])
def test_each_allocation_may_fail(fetch: tuple[str, ...]) -> None:
    def load() -> pyinfer.Model:
        return _load(data, {"threads": 1, "check_numbers": 1}, None, False, fetch)

    data = tiny.linear()
    expected = load().run(LINE)["y"].tobytes()
    gc.collect()
    alive = _core._alive_blocks()
    failures = 0
    for nth in range(1, 5000):
        model = None
        _core._fail_alloc(nth)
        try:
            model = load()
            result = model.run(LINE)["y"].tobytes()
        except MemoryError:  # LimitError is one too
            failures += 1
            result = None
        finally:
            _core._fail_alloc(0)
        if model is not None:  # a model whose run failed is as good as before
            assert model.run(LINE)["y"].tobytes() == expected
            model.close()
        del model
        assert _core._alive_blocks() == alive, f"a leak after failure {nth}"
        if result is not None:
            assert result == expected
            break
    else:
        raise AssertionError("still failing after 5000 allocations")
    assert failures > 20
