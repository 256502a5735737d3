# SPDX-License-Identifier: Apache-2.0
"""load(..., tune=True): candidates of steps are measured, the fastest is taken and kept. What is fastest here is
not asked: only that choices show, hold, and change no result."""

from __future__ import annotations

import gc
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import pyinfer
from pyinfer import _core

TIMES = r"\w+ \d+\.\d{3} ms(, \w+ \d+\.\d{3} ms)*"
ENOUGH = 20  # seconds: a busy machine, or a sanitizer, may be slow


def some(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32) / 8


def model(nodes: list[Any], weights: dict[str, np.ndarray], shape: list[Any]) -> onnx.ModelProto:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    y = helper.make_empty_tensor_value_info("y")
    values = [numpy_helper.from_array(v, k) for k, v in weights.items()]
    graph = helper.make_graph(nodes, "g", [x], [y], values)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def conv_net() -> onnx.ModelProto:
    """Strided, 1x1, 3x3 with a residual (twice the same), depthwise, transposed."""
    weights = {
        "w0": some(0, 32, 3, 3, 3), "b0": some(1, 32), "w1": some(2, 64, 32, 1, 1), "w2": some(3, 64, 64, 3, 3),
        "w3": some(4, 64, 64, 3, 3), "w4": some(5, 64, 1, 3, 3), "w5": some(6, 64, 2, 2, 2),
    }  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["x", "w0", "b0"], ["c0"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c0"], ["r0"]),
        helper.make_node("Conv", ["r0", "w1"], ["c1"]),
        helper.make_node("Conv", ["c1", "w2"], ["c2"], pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["c1", "c2"], ["a2"]),
        helper.make_node("Conv", ["a2", "w3"], ["c3"], pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["a2", "c3"], ["a3"]),
        helper.make_node("Conv", ["a3", "w4"], ["c4"], pads=[1, 1, 1, 1], group=64),
        helper.make_node("ConvTranspose", ["c4", "w5"], ["y"], strides=[2, 2]),
    ]
    return model(nodes, weights, ["n", 3, "h", "w"])


def mlp() -> onnx.ModelProto:
    weights = {"w0": some(0, 96, 200), "b0": some(1, 200), "w1": some(2, 200, 50)}
    nodes = [
        helper.make_node("Gemm", ["x", "w0", "b0"], ["h"]),
        helper.make_node("Sigmoid", ["h"], ["s"]),
        helper.make_node("Mul", ["h", "s"], ["a"]),
        helper.make_node("MatMul", ["a", "w1"], ["y"]),
    ]
    return model(nodes, weights, ["n", 96])


def attention() -> onnx.ModelProto:
    """Four heads of 16."""
    weights = {k: some(i, 64, 64) for i, k in enumerate("qkvo")}
    weights |= {"heads": np.int64([0, 0, 4, 16]), "flat": np.int64([0, 0, 64]), "root": np.float32(0.25)}
    nodes = []
    for k in "qkv":
        nodes += [
            helper.make_node("MatMul", ["x", k], [k + "1"]),
            helper.make_node("Reshape", [k + "1", "heads"], [k + "2"]),
            helper.make_node("Transpose", [k + "2"], [k + "3"], perm=[0, 2, 3, 1] if k == "k" else [0, 2, 1, 3]),
        ]
    nodes += [
        helper.make_node("MatMul", ["q3", "k3"], ["s0"]),
        helper.make_node("Mul", ["s0", "root"], ["s1"]),
        helper.make_node("Softmax", ["s1"], ["s2"], axis=-1),
        helper.make_node("MatMul", ["s2", "v3"], ["z0"]),
        helper.make_node("Transpose", ["z0"], ["z1"], perm=[0, 2, 1, 3]),
        helper.make_node("Reshape", ["z1", "flat"], ["z2"]),
        helper.make_node("MatMul", ["z2", "o"], ["y"]),
    ]
    return model(nodes, weights, ["n", "t", 64])


NETS = {
    "conv_net": (conv_net, some(9, 1, 3, 24, 20)),
    "mlp": (mlp, some(9, 7, 96)),
    "attention": (attention, some(9, 2, 33, 64)),
}


@pytest.fixture(autouse=True)
def nothing_leaks() -> Iterator[None]:
    gc.collect()
    before = _core._alive_blocks()
    yield
    gc.collect()
    assert _core._alive_blocks() <= before


def steps(m: pyinfer.Model, *x: np.ndarray) -> list[dict[str, Any]]:
    return m.steps(x, 0)[0][0]


def close(got: np.ndarray, want: np.ndarray) -> None:
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-4 * float(np.abs(want).max()))


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("net", NETS)
def test_results_and_choices(net: str, threads: int) -> None:
    make, x = NETS[net]
    made = make()
    (want,) = ReferenceEvaluator(made).run(None, {"x": x})
    data = made.SerializeToString()
    with pyinfer.load(data, threads=threads) as plain, pyinfer.load(data, threads=threads, tune=ENOUGH) as tuned:
        close(plain(x), want)
        for _ in range(3):
            close(tuned(x), want)
        assert not any(s["tuned"] for s in steps(plain, x)) and "tuned" not in plain.explain(x)
        measured = [s for s in steps(tuned, x) if s["tuned"]]
        for s in measured:
            assert re.fullmatch(TIMES, s["tuned"]) and s["tuned"].startswith(s["impl"] + " ")
            assert f"tuned: {s['tuned']}" in tuned.explain(x)
        if "onednn: /" in pyinfer.config()["onednn"] or any(s["impl"] == "onednn" for s in steps(plain, x)):
            assert len(measured) >= 2  # what oneDNN does, our own kernels do too


def test_those_believed_slower_are_measured_and_no_others() -> None:
    """Winograd for few pixels and channels, oneDNN for one row; never Winograd with strides."""
    weights = {"w": some(0, 24, 24, 3, 3), "s": some(1, 24, 24, 3, 3)}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["c", "s"], ["y"], strides=[2, 2]),
    ]
    x = some(2, 1, 24, 3, 3)
    made = model(nodes, weights, ["n", 24, 3, 3])
    with pyinfer.load(made, tune=ENOUGH) as m, pyinfer.load(made) as plain:
        first, second = (s for s in steps(m, x) if s["op"] == "Conv")
        assert "winograd: slower" in plain.explain(x)
        assert "winograd" in first["tuned"] and "winograd" not in second["tuned"]
    with pyinfer.load(mlp(), tune=ENOUGH) as m, pyinfer.load(mlp()) as plain:
        x = some(3, 1, 96)
        if "onednn: slower" in plain.explain(x):
            assert all({"own", "onednn"} <= set(s["tuned"].split()) for s in steps(m, x) if s["tuned"])
            assert any(s["tuned"] for s in steps(m, x))


def test_the_same_step_is_measured_once() -> None:
    x = NETS["conv_net"][1]
    with pyinfer.load(conv_net().SerializeToString(), tune=ENOUGH) as m:
        alike = [s["tuned"] for s in steps(m, x) if "f32[64, 64, 3, 3]" in s["shapes"]]
        assert len(alike) == 2 and len(set(alike)) == 1
        before = m.explain(x).splitlines()
        other = np.concatenate([x, x])  # another plan
        m(other)
        assert m.explain(x).splitlines()[:-1] == before[:-1]  # but for the bytes that are packed


def test_options_hold() -> None:
    make, x = NETS["conv_net"]
    data = make().SerializeToString()
    for options, absent in (({"exact": 1}, "winograd"), ({"exact": 1}, "strassen"), ({"onednn": 0}, "onednn")):
        with pyinfer.load(data, tune=ENOUGH, **options) as m:
            for s in steps(m, x):
                assert absent not in s["tuned"] and s["impl"] != absent
    try:
        _core._force_impl("own")
        with pyinfer.load(data, tune=ENOUGH) as m:
            convs = [s for s in steps(m, x) if s["op"] == "Conv"]
            assert not any(s["tuned"] for s in convs) and any(s["impl"] == "own" for s in convs)
    finally:
        _core._force_impl(None)


@pytest.mark.parametrize("tune", [True, 3600])
def test_any_budget(tune: int) -> None:
    for make, x in NETS.values():
        made = make()
        with pyinfer.load(made.SerializeToString(), tune=tune) as m:
            close(m(x), ReferenceEvaluator(made).run(None, {"x": x})[0])


def test_wrong_values() -> None:
    data = mlp().SerializeToString()
    for wrong in (-1, 3601, 1 << 40):
        with pytest.raises(pyinfer.InputError, match="option tune is"):
            pyinfer.load(data, tune=wrong)
    with pytest.raises(TypeError, match="option tune"):
        pyinfer.load(data, tune="yes")  # type: ignore[arg-type]


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYINFER_TUNE", str(ENOUGH))
    make, x = NETS["mlp"]
    with pyinfer.load(make().SerializeToString()) as m, pyinfer.load(make().SerializeToString(), tune=False) as off:
        with pyinfer.load(make().SerializeToString(), tune=ENOUGH) as on:
            assert [bool(s["tuned"]) for s in steps(m, x)] == [bool(s["tuned"]) for s in steps(on, x)]
        assert not any(s["tuned"] for s in steps(off, x))


def test_empty_batches_and_odd_types() -> None:
    """Nothing to measure, or nothing that could be made up: as without tuning."""
    with pyinfer.load(mlp().SerializeToString(), tune=ENOUGH) as m:
        assert m(np.zeros((0, 96), np.float32)).shape == (0, 50)
    table = {"w": some(0, 9, 4)}
    gather = model([helper.make_node("Gather", ["w", "x"], ["y"])], table, ["n"])
    gather.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64
    with pyinfer.load(gather.SerializeToString(), tune=ENOUGH) as m:
        assert np.array_equal(m(np.int64([8, 0])), table["w"][[8, 0]])


def test_half_precision() -> None:
    w = {"w": some(0, 48, 40).astype(np.float16)}
    made = model([helper.make_node("MatMul", ["x", "w"], ["y"])], w, ["n", 48])
    made.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    x = some(1, 5, 48).astype(np.float16)
    with pyinfer.load(made.SerializeToString(), tune=ENOUGH) as m:
        np.testing.assert_allclose(m(x), x.astype(np.float32) @ w["w"].astype(np.float32), rtol=2e-3, atol=2e-3)


def test_bytes() -> None:
    """Products of bytes have two candidates too; scales and zero points are their own."""
    rng = np.random.default_rng(0)
    w = {"xs": np.float32(0.02), "xz": np.uint8(120), "w": rng.integers(-90, 90, (64, 48)).astype(np.int8),
         "ws": np.float32(0.01), "wz": np.int8(0), "ys": np.float32(0.5), "yz": np.uint8(128)}  # fmt: skip
    made = model([helper.make_node("QLinearMatMul", ["x", *w], ["y"])], w, ["n", 64])
    made.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    x = rng.integers(0, 255, (9, 64)).astype(np.uint8)
    with pyinfer.load(made.SerializeToString(), tune=ENOUGH) as m, pyinfer.load(made.SerializeToString()) as n:
        assert np.array_equal(m(x), n(x))


def test_subgraphs() -> None:
    """A loop's body is planned while the model runs, and is not measured there."""
    body = helper.make_graph(
        [helper.make_node("MatMul", ["v", "w"], ["v2"]), helper.make_node("Identity", ["c"], ["c2"])],
        "body",
        [helper.make_tensor_value_info("i", TensorProto.INT64, []), helper.make_tensor_value_info("c", TensorProto.BOOL, []),
         helper.make_tensor_value_info("v", TensorProto.FLOAT, ["n", 16])],
        [helper.make_tensor_value_info("c2", TensorProto.BOOL, []), helper.make_tensor_value_info("v2", TensorProto.FLOAT, ["n", 16])],
    )  # fmt: skip
    w = {"w": some(0, 16, 16), "three": np.int64(3)}
    made = model([helper.make_node("Loop", ["three", "", "x"], ["y"], body=body)], w, ["n", 16])
    x = some(1, 2, 16)
    with pyinfer.load(made.SerializeToString(), tune=ENOUGH) as m:
        close(m(x), x @ w["w"] @ w["w"] @ w["w"])


# ---- memory ----


def test_losers_go() -> None:
    """What stays is what the choices packed: a model that has the choices from a file holds as much."""
    make, x = NETS["conv_net"]
    data = make().SerializeToString()
    with pyinfer.load(data, tune=ENOUGH) as tuned, pyinfer.load(data) as plain:
        tuned(x), plain(x)
        packed = [m.steps((x,), 0)[2] for m in (tuned, plain)]
        arena = [m.steps((x,), 0)[1] for m in (tuned, plain)]
        more = max(0, packed[0] - packed[1]) + max(0, arena[0] - arena[1])
        assert tuned.memory.used <= plain.memory.used + more + 100_000


def test_memory_limit() -> None:
    """What cannot be measured for want of memory is not, and the load goes on."""
    make, x = NETS["conv_net"]
    made = make()
    data = made.SerializeToString()
    (want,) = ReferenceEvaluator(made).run(None, {"x": x})
    with pyinfer.load(data, threads=1) as m:
        m(x)
        need = m.memory.peak
    for limit in (need + 30_000, need + 200_000, need + 2_000_000):  # choices themselves take some
        with pyinfer.load(data, threads=1, tune=ENOUGH, memory_limit=limit) as m:
            close(m(x), want)
            assert m.memory.peak <= limit


def test_failing_allocations() -> None:
    make, x = NETS["mlp"]
    made = make()
    (want,) = ReferenceEvaluator(made).run(None, {"x": x})
    data = made.SerializeToString()
    alive = _core._alive_blocks()
    for nth in range(1, 1500, 3):
        _core._fail_alloc(nth)
        try:
            with pyinfer.load(data, threads=1, tune=1) as m:
                y = m(x)
        except MemoryError:
            y = None
        finally:
            _core._fail_alloc(0)
        assert _core._alive_blocks() == alive, nth
        if y is not None:
            close(y, want)
            if nth > 600:
                return
    raise AssertionError("still failing after 1500 allocations")


# ---- threads ----


def test_threads_at_once() -> None:
    """One model and several, loaded, tuned and run at the same time."""
    made = conv_net()
    data = made.SerializeToString()
    xs = [some(k, 1, 3, 16 + 4 * k, 20) for k in range(3)]
    wants = [ReferenceEvaluator(made).run(None, {"x": x})[0] for x in xs]
    wrong: list[Any] = []
    shared = pyinfer.load(data, threads=2, tune=1)

    def work(k: int) -> None:
        try:
            with pyinfer.load(data, threads=2, tune=1) as own:
                for i in range(6):
                    m = (shared, own)[i % 2]
                    close(m(xs[(k + i) % 3]), wants[(k + i) % 3])
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    shared.close()
    assert not wrong


# ---- kept ----


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYINFER_CACHE_DIR", str(tmp_path / "cache"))
    onnx.save(conv_net(), tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


def names(m: pyinfer.Model, x: np.ndarray) -> list[tuple[str, str]]:
    """Implementation and whether it was tuned, by step."""
    return [(s["impl"], s["tuned"].partition(" ")[0]) for s in steps(m, x)]


def test_saved_plan(path: Path) -> None:
    x = NETS["conv_net"][1]
    plan = path.with_suffix(".plan")
    with pyinfer.load(path, tune=ENOUGH) as m:
        want, chosen = m(x), names(m, x)
        m.save(plan)
    for options in ({}, {"tune": ENOUGH}):
        with pyinfer.load(plan, **options) as m:
            assert names(m, x) == chosen
            assert not any("ms" in s["tuned"] for s in steps(m, x))  # nothing was measured again
            assert np.array_equal(m(x), want)
    again = path.with_suffix(".again")
    with pyinfer.load(plan) as m:
        m.save(again, x)
    with pyinfer.load(again) as m:
        assert names(m, x) == chosen
    with pyinfer.load(plan, exact=True) as m:  # other options, other choices
        assert not any(s["tuned"] for s in steps(m, x))


def test_cache(path: Path) -> None:
    x = NETS["conv_net"][1]
    for options in ({}, {"tune": ENOUGH}, {}):  # choices are added to a file that has packed weights only
        with pyinfer.load(path, cache=True, **options) as m:
            m(x)
            chosen = names(m, x)
            state = m.plan_state
    assert state == "used"
    with pyinfer.load(path, cache=True, tune=ENOUGH) as m:
        assert names(m, x) == chosen and not any("ms" in s["tuned"] for s in steps(m, x))
    tuned = [name for _, name in chosen if name]
    with pyinfer.load(path) as plain:
        assert tuned or not any(s["impl"] == "onednn" for s in steps(plain, x))
