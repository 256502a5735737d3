# SPDX-License-Identifier: Apache-2.0
"""Resize against PyTorch, on both layouts."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from support.one_node import check, run

interpolate = torch.nn.functional.interpolate

SIDE = st.integers(1, 40)


def image(channels: int, h: int, w: int) -> np.ndarray:
    rng = np.random.default_rng(h * 100 + w)
    return rng.standard_normal((1, channels, h, w)).astype(np.float32)


def sizes(*dims: int) -> np.ndarray:
    return np.array(dims, np.int64)


@given(
    c=st.integers(1, 3), h=SIDE, w=SIDE, oh=SIDE, ow=SIDE, mode=st.sampled_from(["linear", "cubic"])
)
def test_smooth(c: int, h: int, w: int, oh: int, ow: int, mode: str) -> None:
    x = image(c, h, w)
    y = interpolate(torch.from_numpy(x), (oh, ow), mode="bi" + mode).numpy()
    check("Resize", [x, None, None, sizes(1, c, oh, ow)], [y], 1e-4, mode=mode)
    last = [np.ascontiguousarray(a.transpose(0, 2, 3, 1)) for a in (x, y)]
    check("Resize", [last[0], None, None, sizes(1, oh, ow, c)], [last[1]], 1e-4, mode=mode)


@given(
    h=SIDE,
    w=SIDE,
    oh=st.integers(2, 40),
    ow=st.integers(2, 40),
    mode=st.sampled_from(["linear", "cubic"]),
)
def test_corners(h: int, w: int, oh: int, ow: int, mode: str) -> None:
    x = image(2, h, w)
    y = interpolate(torch.from_numpy(x), (oh, ow), mode="bi" + mode, align_corners=True).numpy()
    how = {"mode": mode, "coordinate_transformation_mode": "align_corners"}
    check("Resize", [x, None, None, sizes(1, 2, oh, ow)], [y], 1e-4, **how)


@given(h=st.integers(2, 40), w=st.integers(2, 40), oh=st.integers(2, 40), ow=st.integers(2, 40))
def test_antialias(h: int, w: int, oh: int, ow: int) -> None:
    x = image(2, h, w)
    y = interpolate(torch.from_numpy(x), (oh, ow), mode="bilinear", antialias=True).numpy()
    how = {"mode": "linear", "antialias": 1, "exclude_outside": 1}
    check("Resize", [x, None, None, sizes(1, 2, oh, ow)], [y], 1e-4, **how)


def sure(n: int, out: int) -> np.ndarray:
    """Places whose source is no whole number but 0: where it is one, PyTorch's rounding may give the one before."""
    at = np.arange(out) * n
    return (at == 0) | (at % out != 0) | (out % n == 0) | (n % out == 0)


@given(c=st.integers(1, 3), h=SIDE, w=SIDE, oh=SIDE, ow=SIDE)
def test_nearest(c: int, h: int, w: int, oh: int, ow: int) -> None:
    x = image(c, h, w)
    how = {
        "mode": "nearest",
        "coordinate_transformation_mode": "asymmetric",
        "nearest_mode": "floor",
    }
    y = interpolate(torch.from_numpy(x), (oh, ow), mode="nearest").numpy()
    rows, columns = sure(h, oh), sure(w, ow)
    got = run("Resize", [x, None, None, sizes(1, c, oh, ow)], **how)[0]
    np.testing.assert_array_equal(got[:, :, rows][..., columns], y[:, :, rows][..., columns])
    y = interpolate(torch.from_numpy(x), scale_factor=2, mode="nearest").numpy()
    check("Resize", [x, None, np.array([1, 1, 2, 2], np.float32)], [y], **how)


def test_volume_and_other_dtypes() -> None:
    x = np.random.default_rng(1).standard_normal((1, 2, 3, 4, 5)).astype(np.float32)
    y = interpolate(torch.from_numpy(x), (7, 3, 9), mode="trilinear").numpy()
    size = sizes(1, 2, 7, 3, 9)
    check("Resize", [x, None, None, size], [y], 1e-5, mode="linear")
    y64 = interpolate(torch.from_numpy(x).double(), (7, 3, 9), mode="trilinear").numpy()
    check("Resize", [x.astype(np.float64), None, None, size], [y64], 1e-12, mode="linear")
    half = x.astype(np.float16)
    y16 = interpolate(torch.from_numpy(half).float(), (7, 3, 9), mode="trilinear").numpy()
    check("Resize", [half, None, None, size], [y16.astype(np.float16)], 2e-3, mode="linear")


def test_a_box_that_ends_on_the_last_pixel() -> None:
    # in doubles 0.2f + 0.8 (1.2f - 0.2f) is a little more than 1: TensorFlow and ONNX Runtime count in floats
    x = np.arange(24, dtype=np.float32).reshape(1, 1, 1, 24)
    how = {"coordinate_transformation_mode": "tf_crop_and_resize", "extrapolation_value": -1.0}
    roi = np.array([0, 0, 0, 0.2, 1, 1, 1, 1.2], np.float32)
    for mode in ("nearest", "linear"):
        (y,) = run("Resize", [x, roi, None, sizes(1, 1, 1, 6)], mode=mode, **how)
        assert y.ravel()[-2:].tolist() == [23, -1]
