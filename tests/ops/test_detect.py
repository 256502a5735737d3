# SPDX-License-Identifier: Apache-2.0
"""RoiAlign and NonMaxSuppression against the onnx reference evaluator and NumPy; NaN and infinity in boxes."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

import pyinfer
from ops.node import model_of, run


def evaluate(op: str, inputs: list[np.ndarray], **more: Any) -> np.ndarray:
    model = onnx.load_from_string(model_of(op, inputs, **more))
    with np.errstate(all="ignore"):
        return np.asarray(ReferenceEvaluator(model).run(None, {f"x{i}": x for i, x in enumerate(inputs)})[0])  # fmt: skip


# ---- RoiAlign


def bilinear(plane: np.ndarray, y: float, x: float) -> list[float]:
    """The four weighted corners of one sample."""
    h, w = plane.shape
    if y < -1 or y > h or x < -1 or x > w:
        return [0.0] * 4
    y, x = min(max(y, 0.0), h - 1), min(max(x, 0.0), w - 1)
    y0, x0 = int(y), int(x)
    y1, x1 = min(y0 + 1, h - 1), min(x0 + 1, w - 1)
    fy, fx = y - y0, x - x0
    return [
        plane[y0, x0] * (1 - fy) * (1 - fx),
        plane[y0, x1] * (1 - fy) * fx,
        plane[y1, x0] * fy * (1 - fx),
        plane[y1, x1] * fy * fx,
    ]


def roi_align(x: np.ndarray, rois: np.ndarray, batch: np.ndarray, *, height: int, width: int, ratio: int, scale: float,
              half: bool, mode: str) -> np.ndarray:  # fmt: skip
    out = np.zeros((len(rois), x.shape[1], height, width))
    for r, (roi, b) in enumerate(zip(rois.astype(float), batch, strict=True)):
        x0, y0, x1, y1 = roi * scale - (0.5 if half else 0)
        size = [y1 - y0, x1 - x0] if half else [max(y1 - y0, 1), max(x1 - x0, 1)]
        bins = size[0] / height, size[1] / width
        grid = [ratio or int(np.ceil(s)) for s in bins]
        for c, i, j in np.ndindex(x.shape[1], height, width):
            samples = [
                bilinear(
                    x[b, c],
                    y0 + (i + (k + 0.5) / grid[0]) * bins[0],
                    x0 + (j + (n + 0.5) / grid[1]) * bins[1],
                )
                for k in range(grid[0])
                for n in range(grid[1])
            ]
            out[r, c, i, j] = (
                np.max(samples) if mode == "max" else np.sum(samples) / max(len(samples), 1)
            )
    return out


@pytest.mark.parametrize("seed", range(8))
def test_roi_align(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.random((2, int(rng.choice([1, 3, 70])), int(rng.integers(1, 12)), int(rng.integers(1, 12)))).astype(np.float32)  # fmt: skip
    corner = rng.random((4, 2)) * 30 - 5
    rois = np.concatenate([corner, corner + rng.random((4, 2)) * 20 + 0.5], 1).astype(np.float32)
    batch = rng.integers(0, 2, 4)
    half, ratio, mode = seed % 2 == 0, seed % 3, "max" if seed % 4 == 3 else "avg"
    attrs = {"output_height": 1 + seed % 4, "output_width": 3, "sampling_ratio": ratio, "spatial_scale": 0.4, "mode": mode,
             "coordinate_transformation_mode": "half_pixel" if half else "output_half_pixel"}  # fmt: skip
    got = run("RoiAlign", [x, rois, batch], opset=22, **attrs)[0]
    want = roi_align(
        x, rois, batch, height=1 + seed % 4, width=3, ratio=ratio, scale=0.4, half=half, mode=mode
    )
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
    for threads in (1, 3):
        assert np.array_equal(got, run("RoiAlign", [x, rois, batch], opset=22, threads=threads, **attrs)[0])  # fmt: skip
    np.testing.assert_allclose(got, evaluate("RoiAlign", [x, rois, batch], opset=22, **attrs), rtol=1e-4, atol=1e-5)  # fmt: skip


@pytest.mark.parametrize("size", [4, 30, 200])  # bins share rows and columns, stand apart, lie outside
def test_roi_align_of_many_bins(size: int) -> None:
    rng = np.random.default_rng(size)
    x = rng.standard_normal((1, 3, 60, 90)).astype(np.float32)
    corner = rng.random((3, 2)) * 40 - 3
    rois = np.concatenate([corner, corner + size * (1 + rng.random((3, 2)))], 1).astype(np.float32)
    for ratio in (0, 2):
        attrs = {"output_height": 5, "output_width": 7, "sampling_ratio": ratio}
        got = run("RoiAlign", [x, rois, np.zeros(3, np.int64)], opset=22, threads=2, **attrs)[0]
        want = roi_align(x, rois, np.zeros(3, int), height=5, width=7, ratio=ratio, scale=1, half=True, mode="avg")
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_roi_align_of_odd_boxes() -> None:
    """Nothing is read outside of the plane, whatever the boxes say; NaN, infinity and what comes near it, and a batch
    that is not there, are errors."""
    x = np.ones((1, 2, 5, 5), np.float32)
    more = {"opset": 22, "sampling_ratio": 2, "output_height": 2, "output_width": 2}
    odd = [np.nan, np.inf, -np.inf, 1e30, -1e30, 3]
    for a, b in itertools.product(odd, odd):
        for roi in ([a, 0, b, 4], [0, a, 4, b], [a, a, b, b]):
            inputs = [x, np.array([roi], np.float32), np.array([0])]
            if np.max(np.abs(roi)) < 1e15:  # NaN is not
                y = run("RoiAlign", inputs, **more)[0]
                assert y.shape == (1, 2, 2, 2) and ((y >= 0) & (y <= 1.001)).all()
                continue
            with pytest.raises(pyinfer.InputError, match="roi 0 is not finite"):
                run("RoiAlign", inputs, **more)
    for wrong in (1, -2, 2**40):
        with pytest.raises(pyinfer.InputError, match="out of range"):
            run("RoiAlign", [x, np.zeros((1, 4), np.float32), np.array([wrong])], opset=22)


# ---- NonMaxSuppression


@pytest.mark.parametrize("center", [0, 1])
@pytest.mark.parametrize("seed", range(12))
def test_non_max_suppression(seed: int, center: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 40))
    corner = rng.random((2, n, 2)) * 10
    boxes = np.concatenate([corner, corner + rng.random((2, n, 2)) * 6 - 1], 2).astype(np.float32)
    odd = [np.nan, np.inf, -np.inf, 0.0, 1e-30, 1e20, 3e38]
    for _ in range(n // 2 if seed % 2 else 0):
        boxes[rng.integers(2), rng.integers(n), rng.integers(4)] = odd[rng.integers(len(odd))]
    scores = rng.integers(0, 9, (2, 3, n)).astype(np.float32) / 8  # some are equal
    limits = [
        np.array([int(rng.integers(0, n + 2))]),
        np.array([rng.choice([0, 0.3, 0.5, 1])], np.float32),
    ]
    inputs = [boxes, scores, *limits, np.array([0.2], np.float32)]
    want = evaluate("NonMaxSuppression", inputs, opset=11, center_point_box=center)
    for threads in (1, 2):
        got = run("NonMaxSuppression", inputs, opset=11, threads=threads, center_point_box=center)[
            0
        ]
        assert np.array_equal(got.reshape(-1, 3), want.reshape(-1, 3))


def test_box_of_nan_hides_none() -> None:
    """A box with a NaN corner has no area in common with any: it is kept, and so are the others."""
    boxes = np.array([[[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1]]], np.float32)
    scores = np.array([[[0.9, 0.8, 0.7]]], np.float32)
    limits = [np.array([9]), np.array([0.5], np.float32)]
    assert run("NonMaxSuppression", [boxes, scores, *limits], opset=11)[0].tolist() == [[0, 0, 0]]
    for corner in range(4):
        odd = boxes.copy()
        odd[0, 0, corner] = np.nan
        assert run("NonMaxSuppression", [odd, scores, *limits], opset=11)[0].tolist() == [
            [0, 0, 0],
            [0, 0, 1],
        ]
