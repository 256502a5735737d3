# SPDX-License-Identifier: Apache-2.0
"""Strokes of a pen as a small grey picture, as digit classifiers want it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Point = tuple[float, float]
FINE = 4  # sub-pixels a side, as in the 32x32 bitmaps that the 8x8 digits were made of


def _segments(strokes: Sequence[Sequence[Point]], least: float) -> NDArray[np.float32]:
    """[n, 4]: x0 y0 x1 y1 of each piece of line; points nearer than `least` to the last are out."""
    rows: list[tuple[float, float, float, float]] = []
    for stroke in strokes:
        last = stroke[0]
        count = len(rows)
        for i, point in enumerate(stroke):
            far = max(abs(point[0] - last[0]), abs(point[1] - last[1])) >= least
            if far or (i == len(stroke) - 1 and i):
                rows.append((*last, *point))
                last = point
        if len(rows) == count:
            rows.append((*last, *last))
    return np.array(rows, np.float32)


def picture(
    strokes: Sequence[Sequence[Point]], height: int, width: int, pen: float = 0.17
) -> NDArray[np.float32]:
    """float32 [height, width], 0 empty to 1 ink: all strokes, moved to the middle and enlarged to
    fill the picture. pen: width of the line, as a part of the drawing's larger side.

    >>> picture([[(0.5, 0.1), (0.5, 0.9)]], 4, 4).round().tolist()[1]
    [0.0, 0.0, 0.0, 0.0]
    """
    strokes = [s for s in strokes if s]
    if not strokes:
        return np.zeros((height, width), np.float32)
    points = np.array([p for s in strokes for p in s], np.float32)
    low, high = points.min(0), points.max(0)
    side = max(float((high - low).max()), 0.25)
    lines = _segments(strokes, side / 24)
    margin = 1 / 7 if min(height, width) >= 20 else 0.0  # MNIST leaves a border, 8x8 digits none
    scale = np.float32((1 - 2 * margin - pen) / side)
    middle = (low + high) / 2
    half = np.float32(0.5)
    x0, x1 = ((lines[:, i] - middle[0]) * scale + half for i in (0, 2))
    y0, y1 = ((lines[:, i] - middle[1]) * scale + half for i in (1, 3))
    x = ((np.arange(width * FINE, dtype=np.float32) + half) / (width * FINE))[None, :, None]
    y = ((np.arange(height * FINE, dtype=np.float32) + half) / (height * FINE))[:, None, None]
    dx, dy = x1 - x0, y1 - y0
    per = 1 / np.maximum(dx * dx + dy * dy, np.float32(1e-12))
    along = np.clip((x - x0) * (dx * per) + (y - y0) * (dy * per), 0, 1)
    gap_x, gap_y = along * dx - (x - x0), along * dy - (y - y0)
    gap = (gap_x * gap_x + gap_y * gap_y).min(-1)
    inked = (gap <= (pen / 2) ** 2).astype(np.float32)
    blocks = inked.reshape(height, FINE, width, FINE)
    return np.asarray(blocks.mean((1, 3), dtype=np.float32))
