# SPDX-License-Identifier: Apache-2.0
"""Integer products against exact arithmetic in NumPy and PyTorch."""

from __future__ import annotations

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
