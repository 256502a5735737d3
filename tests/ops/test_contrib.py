# SPDX-License-Identifier: Apache-2.0
"""Operators of com.microsoft that files contain: against ONNX Runtime, DynamicQuantizeLSTM against its definition."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import pyinfer
from ops.node import forced, model_of

RNG = np.random.default_rng(0)
ONE = np.float32(0.02)
STEP = np.float32(0.05)


def floats(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def low(*shape: int, dtype: Any = np.int8) -> np.ndarray:
    """Products of two such pairs fit in 16 bits: some of ONNX Runtime's kernels saturate."""
    return RNG.integers(0, 60, shape).astype(dtype)


def u8(*shape: int) -> np.ndarray:
    return RNG.integers(0, 256, shape).astype(np.uint8)


Z = np.uint8(120)
X = [u8(2, 5, 8, 8), STEP, Z, ONE, np.uint8(7)]
CASES: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("Gelu", [floats(3, 40)], {}),
    ("BiasGelu", [floats(3, 40), floats(40)], {}),
    ("FastGelu", [floats(3, 40)], {}),
    ("FastGelu", [floats(3, 40), floats(40)], {}),
    ("QuickGelu", [floats(3, 40)], {}),
    ("QuickGelu", [floats(3, 40)], {"alpha": 1.5}),
    ("SkipLayerNormalization", [floats(2, 3, 8), floats(2, 3, 8), floats(8)], {}),
    ("SkipLayerNormalization", [floats(2, 3, 8), floats(2, 3, 8), floats(8), floats(8)], {"epsilon": 1e-3}),
    ("SkipLayerNormalization", [floats(2, 3, 8), floats(2, 3, 8), floats(8), floats(8), floats(8)], {"epsilon": 1e-5}),
    ("SkipLayerNormalization", [floats(2, 3, 8), floats(2, 3, 8), floats(8), None, floats(8)], {"epsilon": 1e-5}),
    ("SkipSimplifiedLayerNormalization", [floats(2, 3, 8), floats(2, 3, 8), floats(8)], {"epsilon": 1e-5}),
    ("SkipSimplifiedLayerNormalization", [floats(2, 3, 8), floats(2, 3, 8), floats(8), floats(8)], {"epsilon": 1e-5}),
    ("FusedMatMul", [floats(2, 3, 4), floats(2, 4, 5)], {"alpha": 0.5}),
    ("FusedMatMul", [floats(2, 4, 3), floats(2, 4, 5)], {"transA": 1}),
    ("FusedMatMul", [floats(3, 4), floats(5, 4)], {"transB": 1, "alpha": -2.0}),
    ("FusedMatMul", [floats(2, 4, 3), floats(2, 5, 4)], {"transA": 1, "transB": 1}),
    ("DynamicQuantizeMatMul", [floats(3, 8), low(8, 5), np.array([ONE])], {}),
    ("DynamicQuantizeMatMul", [floats(2, 3, 8), low(8, 5), np.full(5, ONE), np.zeros(5, np.int8), floats(5)], {}),
    ("MatMulIntegerToFloat", [u8(3, 8), low(8, 5), np.array([STEP]), np.array([ONE])], {}),
    ("MatMulIntegerToFloat", [u8(3, 8), low(8, 5), np.array([STEP]), np.full(5, ONE), np.array([Z]),
                              np.zeros(5, np.int8), floats(5)], {}),
    ("QLinearAdd", [u8(2, 9), STEP, Z, u8(9), ONE, np.uint8(3), STEP, np.uint8(110)], {}),
    ("QLinearMul", [u8(2, 9), STEP, Z, u8(9), ONE, np.uint8(3), STEP, np.uint8(110)], {}),
    ("QLinearSigmoid", [X[0], STEP, Z, np.float32(1 / 256), np.uint8(0)], {}),
    ("QLinearLeakyRelu", X, {"alpha": 0.1}),
    ("QLinearSoftmax", [u8(3, 10), STEP, Z, np.float32(1 / 256), np.uint8(0)], {"axis": -1, "opset": 13}),
    ("QLinearGlobalAveragePool", X, {}),
    ("QLinearAveragePool", X, {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ("QLinearConcat", [STEP, Z, u8(2, 3), ONE, np.uint8(9), u8(2, 4), STEP, np.uint8(0)], {"axis": 1}),
    ("QGemm", [u8(3, 8), STEP, Z, low(8, 5, dtype=np.uint8), ONE, np.uint8(30), None, STEP, np.uint8(99)], {}),
    ("QGemm", [u8(3, 8), STEP, Z, low(5, 8), np.full(5, ONE), np.zeros(5, np.int8), np.arange(5, dtype=np.int32) * 90,
               STEP, np.uint8(99)], {"transB": 1}),
    ("QGemm", [u8(3, 8), STEP, Z, low(8, 5), ONE, np.int8(0), np.arange(5, dtype=np.int32) * 90], {}),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(CASES)), ids=[f"{i}-{c[0]}" for i, c in enumerate(CASES)])
def test_onnx_runtime(number: int) -> None:
    op, inputs, attrs = CASES[number]
    inputs = [None if x is None else np.asarray(x) for x in inputs]
    constant = [i for i, x in enumerate(inputs) if x is not None and i and not (x.dtype == np.float32 and x.ndim > 1)]
    softmax = {k: v for k, v in attrs.items() if k == "opset"}
    attrs = {k: v for k, v in attrs.items() if k != "opset"}
    data = finished(model_of(op, inputs, opset=1, constant=constant, domain="com.microsoft", **attrs), softmax)
    feeds = {f"x{i}": x for i, x in enumerate(inputs) if x is not None and i not in constant}
    want = onnxruntime.InferenceSession(data).run(None, feeds)
    for level in (0, 2):
        got = list(pyinfer.load(data, level=level, threads=2).run(feeds).values())
        for g, w in zip(got, want, strict=True):
            assert g.dtype == w.dtype and g.shape == w.shape
            if g.dtype == np.float32:
                np.testing.assert_allclose(g, w, rtol=1e-5, atol=1e-5)
            else:
                assert np.abs(g.astype(int) - w.astype(int)).max() <= 1, "roundings on the border"


def finished(data: bytes, more: dict[str, Any]) -> bytes:
    """More attributes; and the opset of the standard operators, which ONNX Runtime wants too."""
    proto = onnx.load_from_string(data)
    proto.graph.node[0].attribute.extend(onnx.helper.make_attribute(k, v) for k, v in more.items())
    proto.opset_import.append(onnx.helper.make_opsetid("", 20))
    return bytes(proto.SerializeToString())


def test_more_outputs_of_a_normalisation() -> None:
    x, skip, gamma, beta = floats(2, 3, 8), floats(2, 3, 8), floats(8), floats(8)
    data = model_of("SkipLayerNormalization", [x, skip, gamma, beta], opset=1, domain="com.microsoft", outputs=4)
    y, mean, inverse, total = pyinfer.load(data)(x, skip, gamma, beta)
    np.testing.assert_array_equal(total, x + skip)
    np.testing.assert_allclose(mean, total.mean(-1, keepdims=True), atol=1e-6)
    np.testing.assert_allclose((total - mean) * inverse * gamma + beta, y, atol=1e-5)


def test_a_range_of_tf2onnx() -> None:
    data = model_of("Range", [np.int64(2), np.int64(9), np.int64(3)], opset=1, domain="com.microsoft")
    (got,) = pyinfer.load(data).run({"x0": np.int64(2), "x1": np.int64(9), "x2": np.int64(3)}).values()
    np.testing.assert_array_equal(got, np.arange(2, 9, 3))


def test_what_is_not_supported_says_so() -> None:
    x = floats(2, 3, 3)
    data = model_of("FusedMatMul", [x, x], opset=1, domain="com.microsoft", transBatchA=1)
    with pytest.raises(pyinfer.UnsupportedError, match="FusedMatMul 'node'.*transBatchA"):
        pyinfer.load(data)
    data = model_of("FusedMatMul", [x, x], opset=1, domain="com.microsoft", beta=1.0)
    with pytest.raises(pyinfer.ModelError, match="no attribute 'beta'"):
        pyinfer.load(data)
    data = finished(model_of("QLinearSoftmax", [u8(2, 9), STEP, Z, ONE, Z], opset=1, domain="com.microsoft", axis=1), {"opset": 12})
    with pytest.raises(pyinfer.UnsupportedError, match="QLinearSoftmax 'node'.*of opset 12, expected 13 or newer"):
        pyinfer.load(data)
    data = model_of("QLinearConcat", [ONE, Z, u8(2)], opset=1, domain="com.microsoft", axis=0)
    with pytest.raises(pyinfer.ModelError, match="3 inputs, expected 2 and 3 of each part"):
        pyinfer.load(data)


# ---- DynamicQuantizeLSTM ----


def steps_of(x: np.ndarray) -> tuple[np.ndarray, np.float32]:
    least, most = np.float32(min(0, x.min())), np.float32(max(0, x.max()))
    scale = np.float32((most - least) / np.float32(255)) if most > least else np.float32(1)
    zero = np.clip(np.rint(-least / scale), 0, 255)
    return np.clip(np.rint(x / scale) + zero, 0, 255) - zero, scale


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x.astype(np.float64)))


def lstm(
    q: np.ndarray,
    scale: np.float32,
    w: tuple[np.ndarray, np.ndarray],
    r: tuple[np.ndarray, np.ndarray],
    b: np.ndarray,
    h: np.ndarray,
    c: np.ndarray,
) -> list[np.ndarray]:
    """One sequence in one direction: q are the steps of x; w and r are bytes less their zero points, and scales."""
    n, out = len(h), []
    gx = (q @ w[0]) * (scale * w[1]) + b[: 4 * n] + b[4 * n :]
    for row in gx:
        steps, each = steps_of(h)
        i, o, f, g = np.split(row + (steps @ r[0]) * (each * r[1]), 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = (sigmoid(o) * np.tanh(c)).astype(np.float32)
        out.append(h)
    return [np.stack(out), h, c]


@pytest.mark.parametrize("each", [False, True], ids=["one", "columns"])
@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize("hidden", [7, 16, 33, 160])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_dynamic_quantize_lstm(direction: str, hidden: int, dtype: Any, each: bool) -> None:
    rng = np.random.default_rng(hidden + each)
    d, steps, batch, size, n = 1 + (direction == "bidirectional"), 4, 2, 9, 4 * hidden
    info = np.iinfo(dtype)
    w = rng.integers(info.min, info.max + 1, (d, size, n)).astype(dtype)
    r = rng.integers(info.min, info.max + 1, (d, hidden, n)).astype(dtype)
    scales = [(rng.uniform(0.5, 1, (d, n) if each else d) * 0.02 / hidden**0.5).astype(np.float32) for _ in "wr"]
    zeros = [rng.integers(info.max // 2, info.max // 2 + 9, s.shape).astype(dtype) for s in scales]
    b = rng.standard_normal((d, 2 * n)).astype(np.float32) * np.float32(0.1)
    x = rng.standard_normal((steps, batch, size)).astype(np.float32)
    h, c = (rng.standard_normal((d, batch, hidden)).astype(np.float32) * np.float32(0.3) for _ in "hc")
    inputs = [x, w, r, b, None, h, c, None, scales[0], zeros[0], scales[1], zeros[1]]
    data = model_of("DynamicQuantizeLSTM", inputs, opset=1, constant=(1, 2, 3, 8, 9, 10, 11), outputs=3,
                    domain="com.microsoft", hidden_size=hidden, direction=direction)  # fmt: skip

    def less(q: np.ndarray, k: int, j: int) -> tuple[np.ndarray, np.ndarray]:
        return q[j].astype(np.float64) - zeros[k][j].astype(np.float64), scales[k][j]

    back = [direction == "reverse" or j == 1 for j in range(d)]
    q, x_scale = steps_of(x)
    for impl in (None, "ref"):
        with forced(impl):
            model = pyinfer.load(data, threads=2)
            y, last, cell = model(x, h, c)
        assert impl or "DynamicQuantizeLSTM [fast]" in str(model.explain(x, h, c))
        for j in range(d):
            for k in range(batch):
                rows = (q[::-1] if back[j] else q)[:, k]
                want = lstm(rows, x_scale, less(w, 0, j), less(r, 1, j), b[j], h[j, k], c[j, k])
                np.testing.assert_allclose(y[::-1, j, k] if back[j] else y[:, j, k], want[0], rtol=1e-5, atol=2e-6)
                np.testing.assert_allclose(last[j, k], want[1], rtol=1e-5, atol=2e-6)
                np.testing.assert_allclose(cell[j, k], want[2], rtol=1e-5, atol=2e-6)
