# SPDX-License-Identifier: Apache-2.0
"""Integer products against exact arithmetic in NumPy and PyTorch."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.node import run
from support.one_node import check

BYTES = st.sampled_from(["int8", "uint8"])


def noise(shape: tuple[int, ...], dtype: str, seed: int) -> np.ndarray:
    info = np.iinfo(dtype)
    return np.random.default_rng(seed).integers(info.min, info.max + 1, shape).astype(dtype)


def rounded(x: np.ndarray, zero: np.ndarray) -> np.ndarray:
    info = np.iinfo(zero.dtype)
    return np.clip(np.rint(x) + zero, info.min, info.max).astype(zero.dtype)


@given(
    m=st.integers(1, 40),
    k=st.integers(1, 70),
    n=st.integers(1, 40),
    ta=BYTES,
    tb=BYTES,
    seed=st.integers(0, 999),
)
def test_matmul(m: int, k: int, n: int, ta: str, tb: str, seed: int) -> None:
    a, b = noise((2, m, k), ta, seed), noise((k, n), tb, seed + 1)
    za, zb = noise((), ta, seed + 2), noise((n,), tb, seed + 3)
    exact = (a.astype(np.int32) - za.astype(np.int32)) @ (b.astype(np.int32) - zb.astype(np.int32))
    check("MatMulInteger", [a, b, za, zb], [exact])
    sa, sb, sy, zy = np.float32(0.02), np.float32(0.01), np.float32(0.7), noise((), ta, seed + 4)
    zb = noise((), tb, seed + 5)
    exact = (a.astype(np.int32) - za.astype(np.int32)) @ (b.astype(np.int32) - zb.astype(np.int32))
    y = rounded(exact.astype(np.float32) * (sa * sb / sy), zy)
    inputs = [a, np.array(sa), za, b, np.array(sb), zb, np.array(sy), zy]
    check("QLinearMatMul", inputs, [y])


@given(
    h=st.integers(3, 12),
    w=st.integers(3, 12),
    c=st.integers(1, 4),
    o=st.integers(1, 20),
    group=st.integers(1, 2),
    tx=BYTES,
    tw=BYTES,
    seed=st.integers(0, 999),
)
def test_conv(h: int, w: int, c: int, o: int, group: int, tx: str, tw: str, seed: int) -> None:
    import torch

    x, k = noise((2, c * group, h, w), tx, seed), noise((o * group, c, 3, 3), tw, seed + 1)
    zx, zk = noise((), tx, seed + 2), noise((), tw, seed + 3)
    exact = (
        torch.nn.functional.conv2d(
            torch.from_numpy(x.astype(np.float64) - float(zx)),
            torch.from_numpy(k.astype(np.float64) - float(zk)),
            stride=(1, 2),
            padding=1,
            groups=group,
        )
        .numpy()
        .astype(np.int32)
    )
    how = {"pads": [1, 1, 1, 1], "strides": [1, 2], "group": group}
    check("ConvInteger", [x, k, zx, zk], [exact], **how)


@given(
    x=st.lists(st.floats(-300, 300, width=32), min_size=1, max_size=80),
    scale=st.sampled_from([0.5, 0.25, 2.0]),
    dtype=BYTES,
    seed=st.integers(0, 99),
)
def test_quantize(x: list[float], scale: float, dtype: str, seed: int) -> None:
    array, zero = np.array(x, np.float32), noise((), dtype, seed)
    y = rounded(array / np.float32(scale), zero)
    check("QuantizeLinear", [array, np.array(scale, np.float32), zero], [y])
    back = (y.astype(np.float32) - np.float32(zero)) * np.float32(scale)
    check("DequantizeLinear", [y, np.array(scale, np.float32), zero], [back])


@pytest.mark.parametrize("kind", ["int8", "uint8", "int4", "uint4"])
@pytest.mark.parametrize("shape", [(3, 70, 300), (40, 9), (5, 64, 1)])
@pytest.mark.parametrize("block", [0, 8, 16])
@pytest.mark.parametrize("axis", [0, -1])
def test_dequantize_weights(kind: str, shape: tuple[int, ...], block: int, axis: int) -> None:
    """A scale for each column, row or block of the weights: chunks that begin within them."""
    rng = np.random.default_rng(block)
    low, high = {"int8": (-128, 128), "uint8": (0, 256), "int4": (-8, 8), "uint4": (0, 16)}[kind]
    x = rng.integers(low, high, shape)
    at = axis % len(shape)
    if block:
        grid = [-(-n // block) if i == at else n for i, n in enumerate(shape)]
    else:
        grid = [shape[at]]
    scale, zero = rng.uniform(0.1, 1, grid).astype(np.float32), rng.integers(low, high, grid)
    if block:
        each, less = (np.repeat(v, block, at).take(range(shape[at]), at) for v in (scale, zero))
    else:
        wide = [n if i == at else 1 for i, n in enumerate(shape)]
        each, less = scale.reshape(wide), zero.reshape(wide)
    dtype = np.dtype(getattr(ml_dtypes, kind, kind))
    how = {"axis": axis} | ({"block_size": block} if block else {})
    for z in (zero, None):
        inputs = [x.astype(dtype), scale] + ([] if z is None else [z.astype(dtype)])
        got = run("DequantizeLinear", inputs, opset=21, threads=3, **how)[0]
        want = (x - (0 if z is None else less)).astype(np.float32) * each
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("shape", [(1, 7, 3), (5, 64, 17), (33, 127, 65), (2, 3, 9, 16, 31)])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("constant", [(1, 3), (3,), ()])
def test_matmul_integer_sums(
    shape: tuple[int, ...], signed: bool, constant: tuple[int, ...]
) -> None:
    """Exact for the largest bytes, with a zero point on the left, B constant or not."""
    rng = np.random.default_rng(sum(shape))
    *batch, m, k, n = shape
    low, high, kind = (-128, 128, np.int8) if signed else (0, 256, np.uint8)
    a = rng.choice([low, high - 1, 3], (*batch, m, k)).astype(kind)
    b = rng.choice([-128, 127, 5], (k, n)).astype(np.int8)
    zero = kind(high - 7)
    want = (a.astype(np.int64) - int(zero)) @ b.astype(np.int64)
    got = run("MatMulInteger", [a, b, zero, np.int8(0)], constant=constant)[0]
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("shape", [(1, 7, 3), (5, 64, 17), (33, 127, 300), (2, 3, 9, 16, 31)])
@pytest.mark.parametrize("kinds", ["bb", "bB", "Bb", "BB"])
@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize("each", ["", "b", "ab"])
def test_products_of_all_kinds(
    shape: tuple[int, ...], kinds: str, constant: bool, each: str
) -> None:
    """Largest bytes, zero points on both sides, one for all or one for each row and column."""
    rng = np.random.default_rng(sum(shape))
    *batch, m, k, n = shape

    def some(kind: str, *dims: int) -> np.ndarray:
        info = np.iinfo(kind)
        return rng.choice([info.min, info.max, 3, 100], dims).astype(kind)

    a, b = some(kinds[0], *batch, m, k), some(kinds[1], k, n)
    za = some(kinds[0], *((*batch, m, 1) if "a" in each else ()))
    zb = some(kinds[1], *((n,) if "b" in each else ()))
    exact = (a.astype(np.int64) - za) @ (b.astype(np.int64) - zb)
    got = run("MatMulInteger", [a, b, za if za.ndim == 0 else None, zb],
              constant=(1, 3) if constant else ())[0]  # fmt: skip
    np.testing.assert_array_equal(
        got, exact if za.ndim == 0 else a.astype(np.int64) @ (b.astype(np.int64) - zb)
    )
    sa = np.asarray(rng.uniform(0.01, 0.02, za.shape), np.float32)
    sb = np.asarray(rng.uniform(0.01, 0.02, zb.shape), np.float32)
    sy = np.float32(np.abs(exact).max() * 2e-4 / 200)
    for zy in (np.uint8(3), np.int8(-5)):
        y = rounded(exact.astype(np.float32) * (sa * sb / sy), zy)
        got = run(
            "QLinearMatMul", [a, sa, za, b, sb, zb, sy, zy], constant=(3, 5) if constant else ()
        )[0]
        np.testing.assert_array_equal(got, y)


@pytest.mark.parametrize("n", [1, 77, 98304, 700_001])
@pytest.mark.parametrize("threads", [1, 3])
def test_dynamic(n: int, threads: int) -> None:
    x = np.random.default_rng(n).standard_normal(n).astype(np.float32)
    for where, value in ((0, 9), (n - 1, -7), (n // 2, 11)):
        x[where] = value
        low, high = min(np.float32(0), x.min()), max(np.float32(0), x.max())
        scale = (high - low) / np.float32(255)
        zero = np.rint(np.float32(np.clip(-low / scale, 0, 255)))
        y, got_scale, got_zero = run("DynamicQuantizeLinear", [x], outputs=3, threads=threads)
        assert got_scale == scale and got_zero == zero
        np.testing.assert_array_equal(
            y, np.clip(np.rint(x / scale) + zero, 0, 255).astype(np.uint8)
        )


CONVOLUTIONS: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ((2, 5, 9, 11), (7, 5, 3, 3), {"pads": [1, 1, 1, 1]}),
    ((1, 16, 10, 70), (40, 16, 3, 3), {"pads": [2, 1, 0, 2], "strides": [2, 1]}),
    ((1, 8, 13, 13), (8, 8, 3, 3), {"pads": [2, 2, 2, 2], "dilations": [2, 2]}),
    ((1, 12, 8, 8), (20, 3, 3, 3), {"group": 4, "pads": [1, 1, 1, 1]}),
    ((2, 32, 9, 9), (32, 1, 3, 3), {"group": 32, "pads": [1, 1, 1, 1], "strides": [2, 2]}),
    ((1, 6, 9, 9), (12, 1, 5, 5), {"group": 6, "pads": [2, 2, 2, 2]}),
    ((1, 32, 6, 6), (64, 16, 1, 1), {"group": 2}),
    ((3, 33, 7, 7), (17, 33, 1, 1), {"strides": [2, 2]}),
    ((1, 3, 37, 37), (16, 3, 7, 7), {"strides": [2, 2], "auto_pad": "SAME_UPPER"}),
    ((1, 64, 1, 1), (10, 64, 1, 1), {}),
    ((2, 5, 60, 60), (130, 5, 1, 1), {}),
    ((2, 1, 12, 12), (5, 1, 3, 3), {"pads": [1, 1, 1, 1]}),
    ((2, 6, 50), (9, 6, 5), {"pads": [2, 4], "strides": [3]}),
    ((1, 4, 5, 6, 7), (6, 4, 3, 3, 3), {"pads": [1, 1, 1, 1, 1, 1]}),
]


def exact_conv(x: np.ndarray, w: np.ndarray, how: dict[str, Any]) -> np.ndarray:
    """Sums of whole numbers, in double; x is 0 where the window hangs over."""
    import torch

    spatial = x.ndim - 2
    pads = list(how.get("pads", [0] * 2 * spatial))
    strides, dilations = how.get("strides", [1] * spatial), how.get("dilations", [1] * spatial)
    for i in range(spatial if "auto_pad" in how else 0):
        size, out = x.shape[2 + i], -(-x.shape[2 + i] // strides[i])
        total = max(0, (out - 1) * strides[i] + w.shape[2 + i] - size)
        pads[i], pads[i + spatial] = total // 2, total - total // 2
    x = np.pad(x, [(0, 0), (0, 0), *((pads[i], pads[i + spatial]) for i in range(spatial))])
    fn = {
        1: torch.nn.functional.conv1d,
        2: torch.nn.functional.conv2d,
        3: torch.nn.functional.conv3d,
    }[spatial]
    tensors = (torch.from_numpy(t.astype(np.float64)) for t in (x, w))
    y = fn(*tensors, stride=strides, dilation=dilations, groups=how.get("group", 1)).numpy()
    return np.rint(y).astype(np.int32)


@pytest.mark.parametrize("case", range(len(CONVOLUTIONS)))
@pytest.mark.parametrize("kinds", ["bb", "bB", "Bb", "BB"])
@pytest.mark.parametrize("impl", [None, "panels"])
@pytest.mark.parametrize("constant", [True, False])
def test_convolutions(case: int, kinds: str, impl: str | None, constant: bool) -> None:
    """Sums and scaled, with zero points: none, one, one for each output channel."""
    shape, kernel, how = CONVOLUTIONS[case]
    rng = np.random.default_rng(case)

    def some(kind: str, *dims: int) -> np.ndarray:
        info = np.iinfo(kind)
        return rng.choice([info.min, info.max, 3, 100], dims).astype(kind)

    x, w, zx = some(kinds[0], *shape), some(kinds[1], *kernel), some(kinds[0])
    bias = rng.integers(-1000, 1000, kernel[0]).astype(np.int32)
    for zw in (np.zeros((), kinds[1]), some(kinds[1]), some(kinds[1], kernel[0])):
        each = zw.reshape(-1, *[1] * (w.ndim - 1))
        exact = exact_conv(x.astype(np.int32) - zx, w.astype(np.int32) - each, how)
        fixed = (1, 3) if constant else ()
        got = run("ConvInteger", [x, w, zx, zw], impl=impl, constant=fixed, **how)[0]
        np.testing.assert_array_equal(got, exact)
        sw = np.asarray(rng.uniform(0.01, 0.02, zw.shape), np.float32)
        sx, sy, zy = np.float32(0.03), np.float32(1 + np.abs(exact).max() * 4e-6), some(kinds[0])
        scale = (sx * sw / sy).reshape(-1, *[1] * (w.ndim - 2))
        for b in (None, bias):
            sums = exact if b is None else exact + b.reshape(-1, *[1] * (w.ndim - 2))
            got = run("QLinearConv", [x, sx, zx, w, sw, zw, sy, zy, b], impl=impl,
                      constant=(3, 5) if constant else (), threads=3, **how)[0]  # fmt: skip
            np.testing.assert_array_equal(got, rounded(sums.astype(np.float32) * scale, zy))


@pytest.mark.parametrize("kind", ["int16", "uint16"])
def test_16_bits_before_opset_21(kind: str) -> None:
    """ONNX Runtime's quantiser writes ONNX's own operators in its own domain."""
    x = np.linspace(-400, 400, 12, dtype=np.float32).reshape(3, 4)
    scale, zero = np.array([0.01, 0.5, 3], np.float32), np.array([7, 0, 40], kind)
    q = rounded(x / scale[:, None], zero[:, None])
    own = dict(opset=13, domain="com.microsoft", axis=0)
    check("QuantizeLinear", [x, scale, zero], [q], **own)
    check("DequantizeLinear", [q, scale, zero], [(q.astype(np.float32) - zero[:, None]) * scale[:, None]], **own)
