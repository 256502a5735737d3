# SPDX-License-Identifier: Apache-2.0
"""The fast inner product where rows are skipped: padded tokens, wherever they lie, come out as zeros, others as float64 has them."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import pyinfer
from ops.node import forced

SIZES = [
    (4, 32, 64, 96),  # sequences, tokens, a sum, columns
    (3, 50, 100, 129),  # rows left over, one column in the last panel
    (2, 70, 2100, 40),  # sums in parts
    (9, 40, 48, 70),  # many blocks of rows
]
PATTERNS = ("tail", "holes", "others", "one", "all")


def masks(pattern: str, batch: int, tokens: int) -> np.ndarray:
    rng = np.random.default_rng(tokens)
    place = np.arange(tokens)
    if pattern == "holes":
        return rng.random((batch, tokens)) < 0.4
    if pattern == "others":  # no row beside another, none in the last sequence
        return ((place + np.arange(batch)[:, None]) % 2 == 0) & (np.arange(batch) + 1 < batch)[:, None]
    if pattern == "one":
        return (place == tokens // 2) & (np.arange(batch) == 1)[:, None]  # others have none
    return place < (np.full((batch, 1), tokens) if pattern == "all" else rng.integers(1, tokens, (batch, 1)))


def model(batch: int, tokens: int, w: np.ndarray, b: np.ndarray) -> bytes:
    """t = relu(x w + b) w' + z, w' w transposed; the sum of attention(t, t, t) over tokens, which `keys` and `mask` hide."""
    k, n = w.shape
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["p"]),
        helper.make_node("Add", ["p", "b"], ["q"]),
        helper.make_node("Relu", ["q"], ["r"]),
        helper.make_node("MatMul", ["r", "v"], ["s"]),
        helper.make_node("Add", ["s", "z"], ["t"]),
        helper.make_node("Attention", ["t", "t", "t", "keys"], ["u"], q_num_heads=1, kv_num_heads=1, scale=1 / k),
        helper.make_node("Mul", ["u", "mask"], ["a"]),
        helper.make_node("ReduceSum", ["a", "axis"], ["y"], keepdims=0),
    ]
    shapes = {"x": (batch, tokens, k), "z": (batch, tokens, k), "mask": (batch, tokens, 1)}
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    inputs.append(helper.make_tensor_value_info("keys", TensorProto.BOOL, (batch, 1, tokens, tokens)))
    weights = {"w": w, "b": b, "v": np.ascontiguousarray(w.T), "axis": np.array([1])}
    graph = helper.make_graph(
        nodes, "g", inputs, [helper.make_tensor_value_info("y", TensorProto.FLOAT, (batch, k))],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=11)
    return made.SerializeToString()


def feeds(x: np.ndarray, z: np.ndarray, live: np.ndarray) -> dict[str, np.ndarray]:
    keys = np.repeat(live[:, None, None], live.shape[1], 2)
    return {"x": x, "z": z, "mask": live[:, :, None].astype(np.float32), "keys": keys}


def attention(t: np.ndarray, live: np.ndarray) -> np.ndarray:
    """The sum of its rows that are live, for one sequence."""
    t = t[live]
    e = np.exp(t @ t.T / t.shape[1])
    return (e / e.sum(1, keepdims=True) @ t).sum(0)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("threads", [1, 2])
def test_rows_that_are_skipped(size: tuple[int, int, int, int], threads: int) -> None:
    batch, tokens, k, n = size
    rng = np.random.default_rng(k)
    w = rng.standard_normal((k, n), np.float32) / np.float32(np.sqrt(k))
    b = rng.standard_normal(n).astype(np.float32)
    x, z = rng.standard_normal((2, batch, tokens, k), np.float32)
    t = np.maximum(x.astype(np.float64) @ w + b, 0) @ w.T.astype(np.float64) + z
    nan = np.full_like(x, np.nan)
    with forced("fip"):
        m = pyinfer.load(model(batch, tokens, w, b), threads=threads)
        for pattern in (*PATTERNS, *PATTERNS[::-1]):
            live = masks(pattern, batch, tokens)
            m.run(feeds(nan, z, np.ones_like(live)))  # what is not written is NaN
            given = feeds(np.where(live[:, :, None], x, nan), z, live)
            (got,) = m.run(given).values()
            want = np.stack([attention(*each) for each in zip(t, live, strict=True)])
            assert np.abs(got - want).max() <= 4e-6 * np.abs(want).max(), pattern
        steps = m.steps(tuple(given.values()), 0)[0][0]
        skipping = [s["impl"] for s in steps if s["op"] == "MatMul" and "bool[" in s["shapes"]]
    assert skipping == ["fip", "fip"]
