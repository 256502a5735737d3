# SPDX-License-Identifier: Apache-2.0
"""Two products around a softmax become pyinfer.Attention: against NumPy in float64, and what must stay as it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import pyinfer
from ops.node import forced

BSHD, BHSD = (0, 2, 1, 3), (0, 1, 2, 3)
# batch, heads, queries, keys, size, size of values
SIZES = [(1, 12, 16, 16, 32, 32), (2, 3, 33, 70, 16, 40), (1, 1, 130, 129, 8, 8), (3, 2, 1, 7, 5, 3), (1, 2, 65, 2, 64, 64)]


def build(size: tuple[int, ...], order: tuple[int, ...], mask: tuple[int, ...] | None, guard: bool,
          scale: float = 0.3, axis: int = -1, show: bool = False, act: bool = False) -> tuple[bytes, dict[str, np.ndarray]]:  # fmt: skip
    b, h, s, t, d, dv = size
    rng = np.random.default_rng(s * t)
    dims = {"q": (b, h, s, d), "k": (b, h, t, d), "v": (b, h, t, dv)}
    feeds = {n: rng.standard_normal([dim[i] for i in order]).astype(np.float32) for n, dim in dims.items()}
    key_order = [order[0], order[1], order[3], order[2]] if order == BHSD else [0, 2, 3, 1]
    nodes = [helper.make_node("Transpose", ["q"], ["qt"], perm=order), helper.make_node("Transpose", ["k"], ["kt"], perm=key_order),
             helper.make_node("Transpose", ["v"], ["vt"], perm=order), helper.make_node("MatMul", ["qt", "kt"], ["m"]),
             helper.make_node("Mul", ["m", "scale"], ["x"])]  # fmt: skip
    x = "x"
    if act:
        nodes.append(helper.make_node("Relu", [x], ["relu"]))
        x = "relu"
    if mask is not None:
        feeds["mask"] = np.where(rng.random(mask) < 0.3, -np.inf, rng.standard_normal(mask)).astype(np.float32)
        if len(mask) == 4 and guard:
            feeds["mask"][0, 0, 0] = -np.inf  # nothing is left for the first query
        nodes.append(helper.make_node("Add", [x, "mask"], ["masked"]))
        x = "masked"
    nodes.append(helper.make_node("Softmax", [x], ["w"], axis=axis))
    w = "w"
    if guard:
        nodes += [helper.make_node("IsNaN", ["w"], ["n"]), helper.make_node("Where", ["n", "zero", "w"], ["guarded"])]
        w = "guarded"
    nodes += [helper.make_node("MatMul", [w, "vt"], ["p"]), helper.make_node("Transpose", ["p"], ["y"], perm=order)]
    outputs = [helper.make_empty_tensor_value_info(n) for n in (["y", w] if show else ["y"])]
    numbers = {"scale": np.float32(scale), "zero": np.float32(0)}
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info(n, TensorProto.FLOAT, a.shape) for n, a in feeds.items()], outputs,
        [numpy_helper.from_array(np.asarray(n), name) for name, n in numbers.items()])  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    return model.SerializeToString(), feeds


def expected(feeds: dict[str, np.ndarray], order: tuple[int, ...], guard: bool, scale: float = 0.3) -> np.ndarray:
    q, k, v = (feeds[n].astype(np.float64).transpose(order) for n in "qkv")
    x = q @ k.swapaxes(2, 3) * scale + feeds.get("mask", np.float64(0))
    with np.errstate(invalid="ignore"):
        e = np.exp(x - x.max(-1, keepdims=True))
        w = e / e.sum(-1, keepdims=True)
    return ((np.where(np.isnan(w), 0, w) if guard else w) @ v).transpose(order)


def steps(data: bytes, feeds: dict[str, np.ndarray], **options: Any) -> tuple[np.ndarray, list[str]]:
    m = pyinfer.load(data, **options)
    for _ in range(2):
        got = m.run(feeds)["y"]
    return got, [step["op"] for step in m.steps(tuple(feeds.values()), 0)[0][0]]


@pytest.mark.parametrize("order", [BSHD, BHSD], ids=["b-s-h-d", "b-h-s-d"])
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("guard", [False, True], ids=["bare", "guarded"])
def test_fused(size: tuple[int, ...], order: tuple[int, ...], guard: bool) -> None:
    b, h, s, t, _, _ = size
    for mask in (None, (t,), (1, 1, s, t), (b, 1, 1, t), (b, h, s, t)):
        data, feeds = build(size, order, mask, guard)
        want = expected(feeds, order, guard)
        for threads in (1, 3):
            got, ops = steps(data, feeds, threads=threads)
            assert ops == ["Attention"]
            np.testing.assert_allclose(got, want, rtol=0, atol=2e-6 * np.nanmax(np.abs(want), initial=1e-9))
        with forced("ref"):
            got, _ = steps(data, feeds)
        np.testing.assert_allclose(got, want, rtol=0, atol=2e-6 * np.nanmax(np.abs(want), initial=1e-9))


def test_what_stays() -> None:
    """Weights that are an output too, an activation between, a softmax over queries, a negative scale is no obstacle."""
    size = SIZES[0]
    for options in ({"show": True}, {"act": True}, {"axis": 2}):
        data, feeds = build(size, BSHD, None, False, **options)
        _, ops = steps(data, feeds)
        assert "Attention" not in ops, options
    data, feeds = build(size, BSHD, None, False, scale=-0.7)
    got, ops = steps(data, feeds)
    assert ops == ["Attention"]
    np.testing.assert_allclose(got, expected(feeds, BSHD, False, -0.7), atol=1e-5)


def test_nan_goes_through() -> None:
    data, feeds = build(SIZES[1], BSHD, None, False)
    feeds["q"][0, 2, 1, 3] = np.nan
    got, _ = steps(data, feeds)
    assert np.isnan(got[0, 2, 1]).all()
    assert np.isnan(got).sum() == got.shape[3]


def repeated(size: tuple[int, ...], groups: tuple[int, int], flat: bool) -> tuple[bytes, dict[str, np.ndarray]]:
    """Heads of keys and values that serve groups[0] and groups[1] heads of queries each, as PyTorch's exporter repeats them: Unsqueeze,
    Expand, Reshape; the keys are turned as a matrix of three dims (flat) or of four."""
    b, h, s, t, d = size
    rng = np.random.default_rng(h)
    feeds = {"q": rng.standard_normal((b, h, s, d)).astype(np.float32)}
    nodes, ints = [], {"axis": [2]}
    for name, group in zip("kv", groups, strict=True):
        feeds[name] = rng.standard_normal((b, h // group, t, d)).astype(np.float32)
        whole = [b * h, t, d] if flat and name == "k" else [b, h, t, d]
        ints |= {f"{name}_wide": [b, h // group, group, t, d], f"{name}_heads": whole}
        nodes += [helper.make_node("Unsqueeze", [name, "axis"], [f"{name}1"]),
                  helper.make_node("Expand", [f"{name}1", f"{name}_wide"], [f"{name}2"]),
                  helper.make_node("Reshape", [f"{name}2", f"{name}_heads"], [f"{name}3"])]  # fmt: skip
    if flat:
        ints["turned"] = [b, h, d, t]
        nodes += [helper.make_node("Transpose", ["k3"], ["k4"], perm=[0, 2, 1]), helper.make_node("Reshape", ["k4", "turned"], ["k5"])]
    else:
        nodes += [helper.make_node("Transpose", ["k3"], ["k5"], perm=[0, 1, 3, 2])]
    nodes += [helper.make_node("MatMul", ["q", "k5"], ["x"]), helper.make_node("Softmax", ["x"], ["w"], axis=-1),
              helper.make_node("MatMul", ["w", "v3"], ["y"])]  # fmt: skip
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info(n, TensorProto.FLOAT, a.shape) for n, a in feeds.items()],
        [helper.make_empty_tensor_value_info("y")], [numpy_helper.from_array(np.array(v), n) for n, v in ints.items()])  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9).SerializeToString(), feeds


@pytest.mark.parametrize("flat", [False, True], ids=["4d", "3d"])
@pytest.mark.parametrize("size", [(1, 12, 1, 33, 64), (2, 6, 40, 17, 16), (3, 4, 2, 5, 8)], ids=str)
@pytest.mark.parametrize("groups", [(1, 1), (2, 2), (2, 1)], ids=str)
def test_heads_of_keys_that_are_shared(size: tuple[int, ...], groups: tuple[int, int], flat: bool) -> None:
    """Repeated heads are read where they lie: no Expand is left, if keys and values are shared by the same heads."""
    data, feeds = repeated(size, groups, flat)
    wide = feeds | {n: feeds[n].repeat(g, 1) for n, g in zip("kv", groups, strict=True)}
    want = expected(wide, BHSD, False, 1.0)
    got, ops = steps(data, feeds)
    assert ops.count("Attention") == 1
    assert ("Expand" in ops) == (groups == (2, 1))
    np.testing.assert_allclose(got, want, rtol=0, atol=2e-6 * np.abs(want).max())
