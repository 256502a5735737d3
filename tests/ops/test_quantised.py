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
