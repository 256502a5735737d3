# SPDX-License-Identifier: Apache-2.0
"""Mask, softmax and the guard against NaN become one step that computes the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import pyinfer

INF = np.float32(np.inf)


def build(x: Any, mask: Any, guard: bool, axis: int = -1, zero: float = 0.0, first: bool = False) -> bytes:
    nodes, s = [], "x"
    if mask is not None:
        s = "sum"
        nodes.append(helper.make_node("Add", ["mask", "x"] if first else ["x", "mask"], [s]))
    nodes.append(helper.make_node("Softmax", [s], ["p" if guard else "y"], axis=axis))
    if guard:
        nodes.append(helper.make_node("IsNaN", ["p"], ["n"]))
        nodes.append(helper.make_node("Where", ["n", "zero", "p"], ["y"]))
    named = {"x": x} if mask is None else {"x": x, "mask": mask}
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(k, onnx.TensorProto.FLOAT, v.shape) for k, v in named.items()],
        [helper.make_empty_tensor_value_info("y")],
        [numpy_helper.from_array(np.float32(zero), "zero")] if guard else [],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


def both(x: Any, mask: Any, guard: bool, **options: Any) -> tuple[np.ndarray, list[tuple[str, str]]]:
    """The result at level 2, which is that of level 0, and the steps."""
    data = build(x, mask, guard, **options)
    feeds = {"x": x} if mask is None else {"x": x, "mask": mask}
    want = pyinfer.load(data, level=0).run(feeds)["y"]
    model = pyinfer.load(data)
    got = model.run(feeds)["y"]
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-12)
    inputs = tuple(feeds[p.name] for p in model.inputs)
    return got, [(s["domain"], s["op"]) for s in model.steps(inputs, 1)[0][0]]


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32) * 4


MASKS = [(5, 7), (7,), (1, 7), (2, 1, 1, 7), (1, 1, 5, 7), (2, 1, 5, 7), (1, 3, 1, 7), (3, 5, 7), (2, 3, 5, 7)]


@pytest.mark.parametrize("guard", [False, True])
@pytest.mark.parametrize("shape", MASKS)
@pytest.mark.parametrize("first", [False, True])
def test_masks(shape: tuple[int, ...], guard: bool, first: bool) -> None:
    x, mask = random(2, 3, 5, 7), random(*shape)
    mask[mask < 0] = -INF
    mask[..., 2] = 0
    got, steps = both(x, mask, guard, first=first)
    assert steps == [("pyinfer", "Softmax")]
    s = x.astype(np.float64) + mask
    e = np.exp(s - s.max(-1, keepdims=True))
    np.testing.assert_allclose(got, e / e.sum(-1, keepdims=True), rtol=2e-6, atol=1e-30)


@pytest.mark.parametrize("n", [1, 3, 16, 33, 300])
def test_rows_of_nothing(n: int) -> None:
    x, mask = random(2, 6, n), np.zeros((6, n), np.float32)
    mask[1] = -INF
    x[1, 2] = -INF
    x[0, 3, n // 2] = np.nan
    x[1, 4, n - 1] = INF
    x[0, 5, 0] = -INF
    got, steps = both(x, mask, True)
    assert steps == [("pyinfer", "Softmax")]
    assert not np.isnan(got).any()
    for row in (got[:, 1], got[1, 2], got[0, 3], got[1, 4]):
        assert (row == 0).all()
    free, steps = both(x, mask, False)
    assert steps == [("pyinfer", "Softmax")]
    assert np.isnan(free[:, 1]).all() and np.isnan(free[0, 3]).all()


def test_guard_alone() -> None:
    x = random(4, 9)
    x[2] = -INF
    got, steps = both(x, None, True)
    assert steps == [("pyinfer", "Softmax")]
    assert (got[2] == 0).all()


def test_what_stays() -> None:
    x = random(2, 5, 5)
    fused = ("pyinfer", "Softmax")
    assert fused not in both(x, None, False)[1]
    assert fused not in both(x, random(5, 5), True, axis=1)[1]
    assert fused not in both(x, None, True, zero=1.0)[1]
    assert fused not in both(x, random(5, 1), False)[1]  # the same number for a whole row
    assert fused not in both(random(1, 5), random(3, 1), False)[1]  # the input broadcasts, too


def test_empty() -> None:
    for shape in [(0, 5), (3, 0), (2, 0, 4)]:
        assert both(np.zeros(shape, np.float32), np.zeros(shape, np.float32), True)[0].shape == shape
