# SPDX-License-Identifier: Apache-2.0
"""FlexAttention: against ONNX's evaluator with and without subgraphs, and models that are wrong."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import pyinfer

F16, F32, F64 = TensorProto.FLOAT16, TensorProto.FLOAT, TensorProto.DOUBLE
Shapes = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
GROUPED: Shapes = ((2, 6, 5, 8), (2, 2, 7, 8), (2, 2, 7, 3))


def tensor(name: str, dtype: int, shape: Any = None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)


def graph(
    op: str, dtype: int = F32, value: Any = 0.5, outer: str = "", inputs: int = 1
) -> onnx.GraphProto:
    """x OP value, or x OP outer: a value of the graph around."""
    constants = (
        []
        if outer
        else [numpy_helper.from_array(np.array(value, helper.tensor_dtype_to_np_dtype(dtype)), "v")]
    )
    return helper.make_graph(
        [helper.make_node(op, ["x", outer or "v"], ["z"])],
        "mod",
        [tensor(f"x{k or ''}", dtype, list("bhls")) for k in range(inputs)],
        [tensor("z", dtype)],
        constants,
    )


def model_of(dtype: int, extra: tuple[str, ...] = (), **attrs: Any) -> onnx.ModelProto:
    node = helper.make_node(
        "FlexAttention", ["q", "k", "v"], ["y"], domain="ai.onnx.preview", **attrs
    )
    inputs = [tensor(n, dtype) for n in "qkv"] + [tensor(n, F32) for n in extra]
    made = helper.make_graph([node], "g", inputs, [tensor("y", dtype)])
    opsets = [helper.make_opsetid("", 26), helper.make_opsetid("ai.onnx.preview", 1)]
    return helper.make_model(made, opset_imports=opsets, ir_version=10)


def data(shapes: Shapes, dtype: Any = np.float32) -> dict[str, np.ndarray]:
    r = np.random.default_rng(7)
    return {n: r.normal(size=s).astype(dtype) for n, s in zip("qkv", shapes, strict=True)}


def run(model: onnx.ModelProto, feeds: dict[str, np.ndarray], threads: int = 2) -> np.ndarray:
    return pyinfer.load(model.SerializeToString(), threads=threads).run(feeds)["y"]


def plain(feeds: dict[str, np.ndarray], score: Any = None, prob: Any = None) -> np.ndarray:
    q, k, v = (feeds[n].astype(np.float64) for n in "qkv")
    k, v = (np.repeat(t, q.shape[1] // t.shape[1], axis=1) for t in (k, v))
    s = q @ k.swapaxes(2, 3) / np.sqrt(q.shape[3])
    s = score(s) if score else s
    p = np.exp(s - s.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    return (prob(p) if prob else p) @ v


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("mods", ["", "score", "prob", "score prob"])
@pytest.mark.parametrize(
    ("dtype", "precision", "tolerance"),
    [(F32, F32, 1e-5), (F64, F64, 1e-6), (F16, F32, 2e-3), (F32, F16, 4e-3), (F32, F64, 1e-6)],
)
def test_against_evaluator(
    dtype: int, precision: int, tolerance: float, mods: str, threads: int
) -> None:
    attrs: dict[str, Any] = {"scale": 0.3, "softmax_precision": precision}
    if "score" in mods:
        attrs["score_mod"] = graph("Mul", precision, np.linspace(0, 2, 7))
    if "prob" in mods:
        attrs["prob_mod"] = graph("Sub", precision, 0.25)
    model = model_of(dtype, **attrs)
    feeds = data(GROUPED, helper.tensor_dtype_to_np_dtype(dtype))
    (want,) = ReferenceEvaluator(model).run(None, feeds)
    got = run(model, feeds, threads)
    assert got.dtype == want.dtype
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


def test_double() -> None:
    """More exact than the evaluator, which takes the root of the scale in 32 bits."""
    feeds = data(GROUPED, np.float64)
    model = model_of(F64, score_mod=graph("Add", F64, np.arange(7.0)))
    want = plain(feeds, lambda s: s + np.arange(7))
    np.testing.assert_allclose(run(model, feeds), want, rtol=1e-12, atol=1e-13)


def test_bfloat16() -> None:
    feeds = data(GROUPED, ml_dtypes.bfloat16)
    model = model_of(TensorProto.BFLOAT16, prob_mod=graph("Mul", F32, 2))
    got = np.asarray(run(model, feeds)).view(ml_dtypes.bfloat16).astype(np.float64)
    np.testing.assert_allclose(got, plain(feeds, prob=lambda p: 2 * p), rtol=1e-2, atol=1e-2)


def test_outer_values() -> None:
    """Both subgraphs read values of the graph around, each another one."""
    model = model_of(
        F32, ("a", "b"), score_mod=graph("Add", outer="a"), prob_mod=graph("Mul", outer="b")
    )
    feeds = data(GROUPED)
    a, b = np.float32(np.linspace(-1, 1, 35).reshape(5, 7)), np.float32(3)
    want = plain(feeds, lambda s: s + a, lambda p: p * b)
    np.testing.assert_allclose(run(model, feeds | {"a": a, "b": b}), want, rtol=1e-4, atol=1e-5)


def test_runs_of_other_shapes() -> None:
    session = pyinfer.load(model_of(F32, score_mod=graph("Mul")).SerializeToString(), threads=2)
    for n in (3, 9, 1, 3):
        feeds = data(((1, 2, n, 4), (1, 1, 2 * n, 4), (1, 1, 2 * n, 5)))
        want = plain(feeds, lambda s: s * 0.5)
        np.testing.assert_allclose(session.run(feeds)["y"], want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mods", [False, True])
def test_nothing(mods: bool) -> None:
    attrs = {"score_mod": graph("Mul"), "prob_mod": graph("Mul")} if mods else {}
    model = model_of(F32, **attrs)
    assert run(model, data(((1, 2, 0, 4), (1, 2, 3, 4), (1, 2, 3, 5)))).shape == (1, 2, 0, 5)
    no_keys = run(model, data(((1, 2, 3, 4), (1, 2, 0, 4), (1, 2, 0, 5))))
    np.testing.assert_array_equal(no_keys, np.zeros((1, 2, 3, 5), np.float32))
    assert run(model, data(((1, 0, 3, 4), (1, 0, 3, 4), (1, 0, 3, 4)))).shape == (1, 0, 3, 4)
    feeds = data(((1, 1, 2, 0), (1, 1, 3, 0), (1, 1, 3, 2)))
    want = feeds["v"].mean(2, keepdims=True).repeat(2, 2) * (0.5 if mods else 1)
    np.testing.assert_allclose(run(model, feeds), want, rtol=1e-5, atol=1e-6)


def test_no_key_seen() -> None:
    """Softmax of -inf alone is NaN; other queries are not touched by it."""
    mask = np.zeros((2, 3), np.float32)
    mask[0] = -np.inf
    model = model_of(F32, score_mod=graph("Add", value=mask))
    got = run(model, data(((1, 1, 2, 4), (1, 1, 3, 4), (1, 1, 3, 4))))
    assert np.isnan(got[0, 0, 0]).all() and np.isfinite(got[0, 0, 1]).all()


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((2, 4, 8), (2, 4, 8), (2, 4, 8)), "do not fit together"),
        (((1, 2, 3, 4), (2, 2, 3, 4), (2, 2, 3, 4)), "do not fit together"),
        (((1, 2, 3, 4), (1, 2, 3, 5), (1, 2, 3, 4)), "do not fit together"),
        (((1, 2, 3, 4), (1, 2, 3, 4), (1, 2, 2, 4)), "do not fit together"),
        (((1, 2, 3, 4), (1, 2, 3, 4), (1, 1, 3, 4)), "do not fit together"),
        (((1, 3, 3, 4), (1, 2, 3, 4), (1, 2, 3, 4)), "3 heads, expected a multiple of the 2"),
        (((1, 3, 3, 4), (1, 0, 3, 4), (1, 0, 3, 4)), "3 heads, expected a multiple of the 0"),
    ],
)
def test_wrong_shapes(shapes: Shapes, message: str) -> None:
    with pytest.raises(pyinfer.ModelError, match=message):
        run(model_of(F32), data(shapes))


@pytest.mark.parametrize(
    ("attrs", "message"),
    [
        ({"softmax_precision": TensorProto.INT32}, "is no float type"),
        ({"softmax_precision": 0}, "is no float type"),
        ({"score_mod": graph("Add", inputs=2)}, "score_mod has 2 inputs and 1 outputs"),
        ({"prob_mod": graph("Equal")}, "prob_mod gives bool"),
        ({"score_mod": graph("Add", value=np.zeros((3, 1, 1, 1, 1)))}, "score_mod gives f32"),
        ({"score_mod": graph("Add", dtype=F64)}, "f64"),
    ],
)
def test_wrong_attributes(attrs: dict[str, Any], message: str) -> None:
    with pytest.raises(pyinfer.ModelError, match=message):
        run(model_of(F32, **attrs), data(GROUPED))
