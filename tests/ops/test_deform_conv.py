# SPDX-License-Identifier: Apache-2.0
"""DeformConv against PyTorch's convolution (offsets that are whole or none) and a plain text in NumPy."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pyinfer
from ops.node import run


def noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def sample(plane: np.ndarray, at: np.ndarray) -> float:
    low = np.floor(at).astype(int)
    total = 0.0
    for corner in itertools.product((0, 1), repeat=len(at)):
        place = low + corner
        if np.all(place >= 0) and np.all(place < plane.shape):
            total += float(np.prod(1 - np.abs(at - place))) * plane[tuple(place)]
    return total


def deform_conv(
    x: np.ndarray,
    w: np.ndarray,
    offset: np.ndarray,
    bias: np.ndarray | None,
    mask: np.ndarray | None,
    group: int,
    offset_group: int,
    pads: list[int],
    strides: list[int],
    dilations: list[int],
) -> np.ndarray:
    n, c, d = x.shape[0], x.shape[1], x.ndim - 2
    kernel, out = w.shape[2:], offset.shape[2:]
    offset = offset.reshape(n, offset_group, *kernel, d, *out)
    mask = (
        np.ones((n, offset_group, *kernel, *out))
        if mask is None
        else mask.reshape(n, offset_group, *kernel, *out)
    )
    y = np.zeros((n, w.shape[0], *out))
    for i, channel in itertools.product(range(n), range(c)):
        g, ci = divmod(channel, w.shape[1])
        outputs = slice(g * (w.shape[0] // group), (g + 1) * (w.shape[0] // group))
        og = channel // (c // offset_group)
        for tap, place in itertools.product(np.ndindex(*kernel), np.ndindex(*out)):
            moved = offset[(i, og, *tap, slice(None), *place)]
            at = np.array(place) * strides - pads[:d] + np.array(tap) * dilations + moved
            seen = mask[(i, og, *tap, *place)] * sample(x[i, channel], at)
            y[(i, outputs, *place)] += w[(outputs, ci, *tap)] * seen
    return y if bias is None else y + bias.reshape(1, -1, *[1] * d)


@settings(max_examples=20)
@given(
    spatial=st.integers(1, 3),
    group=st.integers(1, 2),
    offset_group=st.sampled_from([1, 2, 4]),
    stride=st.integers(1, 2),
    dilation=st.integers(1, 2),
    pad=st.integers(0, 2),
    masked=st.booleans(),
    biased=st.booleans(),
    dtype=st.sampled_from([np.float16, np.float32, np.float64]),
    seed=st.integers(0, 99),
)
def test_against_text(
    spatial: int,
    group: int,
    offset_group: int,
    stride: int,
    dilation: int,
    pad: int,
    masked: bool,
    biased: bool,
    dtype: Any,
    seed: int,
) -> None:
    size, kernel = [(11,), (5, 6), (3, 4, 3)][spatial - 1], [(3,), (2, 3), (2, 1, 2)][spatial - 1]
    out = tuple(
        (s + 2 * pad - (k - 1) * dilation - 1) // stride + 1
        for s, k in zip(size, kernel, strict=True)
    )
    if min(out) < 1:
        return
    taps = int(np.prod(kernel)) * offset_group
    x, w = noise((2, 4, *size), seed), noise((6, 4 // group, *kernel), seed + 1)
    offset = 2 * noise((2, taps * spatial, *out), seed + 2)
    bias = noise((6,), seed + 3) if biased else None
    mask = noise((2, taps, *out), seed + 4) if masked else None
    inputs = [None if t is None else t.astype(dtype) for t in (x, w, offset, bias, mask)]
    how = {
        "group": group,
        "offset_group": offset_group,
        "pads": [pad] * (2 * spatial),
        "strides": [stride] * spatial,
        "dilations": [dilation] * spatial,
    }
    wide = [None if t is None else t.astype(np.float64) for t in inputs]
    expected = deform_conv(*wide, **how)  # type: ignore[arg-type]
    for impl in (None, "ref"):
        y = run("DeformConv", inputs, opset=22, impl=impl, **how)[0]
        assert y.dtype == dtype
        eps = float(np.finfo(dtype).eps)
        np.testing.assert_allclose(
            y, expected, rtol=0, atol=16 * eps * (1 + np.abs(expected).max())
        )


@pytest.mark.parametrize("group", [1, 2])
def test_without_offsets_it_is_a_convolution(group: int) -> None:
    import torch
    x, w, b = noise((2, 16, 20, 23)), noise((40, 16 // group, 3, 3), 1), noise((40,), 2)
    x, w, b = x.astype(np.float32), w.astype(np.float32), b.astype(np.float32)
    expected = torch.nn.functional.conv2d(
        *map(torch.from_numpy, (x, w, b)), padding=1, groups=group
    ).numpy()
    offset = np.zeros((2, 18, 20, 23), np.float32)
    y = run("DeformConv", [x, w, offset, b], opset=19, pads=[1] * 4, group=group)[0]
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-4)


def test_offsets_that_point_nowhere() -> None:
    x = np.full((1, 1, 3, 3), np.inf, np.float32)
    for bad in (np.nan, np.inf, -np.inf, 1e30, -1e30, 3e9, -1.0, 3.0):
        offset = np.full((1, 2, 3, 3), bad, np.float32)
        offset[0, 0] = 0
        w = np.ones((1, 1, 1, 1), np.float32)
        for impl in (None, "ref"):
            y = run("DeformConv", [x, w, offset], opset=19, impl=impl)[0]
            column = {-1.0: 0, 3.0: 2}.get(bad, -1)
            others = [i for i in range(3) if abs(bad) > 3 or bad != bad or i == column]
            assert np.all(y[..., others] == 0), bad


@pytest.mark.parametrize(
    ("shapes", "how"),
    [
        (((1, 4, 5, 5), (2, 4, 3, 3), (1, 18, 4, 3)), {}),
        (((1, 4, 5, 5), (2, 4, 3, 3), (1, 9, 3, 3)), {}),
        (((1, 4, 5, 5), (2, 4, 3, 3), (2, 18, 3, 3)), {}),
        (((1, 4, 5, 5), (2, 4, 3), (1, 18, 3, 3)), {}),
        (((1, 4, 5, 5), (2, 2, 3, 3), (1, 18, 3, 3)), {}),
        (((1, 4, 5, 5), (2, 4, 3, 3), (1, 18, 3, 3)), {"group": 0}),
        (((1, 4, 5, 5), (2, 4, 3, 3), (1, 18, 3, 3)), {"group": 3}),
        (((1, 4, 5, 5), (2, 4, 3, 3), (1, 18, 3, 3)), {"offset_group": 3}),
        (((1, 4, 5, 5), (2, 4, 3, 3), (1, 18, 3, 3)), {"offset_group": -1}),
        (((1, 4, 5, 5), (2, 4, 3, 3), (1, 18, 3, 3)), {"offset_group": 2**62}),
        (((1, 4, 5, 5), (2, 4, 3, 3), (1, 18, 3, 3)), {"strides": [0, 1]}),
        (((1, 4, 5, 5), (2, 4, 3, 3), (1, 18, 3, 3)), {"kernel_shape": [2, 3]}),
        (((1, 4, 5, 5), (2, 4, 3, 3), (1, 18, 3, 3)), {"pads": [-1, 0, 0, 0]}),
        (((1, 4, 5, 5), (2, 4, 3, 3), (1, 18, 3, 3)), {"dilations": [2**62, 1]}),
        (((1, 4, 5, 5), (2, 4, 3, 3), (1, 18, 3, 3), (3,)), {}),
        (((1, 4, 5, 5), (2, 4, 3, 3), (1, 18, 3, 3), (2,), (1, 8, 3, 3)), {}),
    ],
)
def test_refuses(shapes: tuple[tuple[int, ...], ...], how: dict[str, Any]) -> None:
    with pytest.raises(pyinfer.PyinferError):
        run("DeformConv", [np.ones(s, np.float32) for s in shapes], opset=22, **how)
