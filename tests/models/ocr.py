# SPDX-License-Identifier: Apache-2.0
"""Reading words with rapidocr's three models: pictures in, text out; the small part of it that tests need.

Boxes are upright rectangles; a model is anything that maps {"x": array} to {name: array} with `run`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Box = tuple[int, int, int, int]  # left, top, right, bottom


def draw(words: list[tuple[str, int, int]], width: int, height: int, size: int = 32) -> Image.Image:
    """Black text on white; each word with its left and top."""
    picture = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size)
    for text, left, top in words:
        pen.text((left, top), text, fill="black", font=font)
    return picture


def tensor(picture: Image.Image) -> np.ndarray:
    """float32 [1, 3, height, width] in -1..1, blue first."""
    x = np.asarray(picture, np.float32)[:, :, ::-1] / 127.5 - 1
    return np.ascontiguousarray(x.transpose(2, 0, 1)[None])


def run1(model: Any, x: np.ndarray) -> np.ndarray:
    (y,) = model.run({"x": x}).values()
    return y


def detect(model: Any, picture: Image.Image, threshold: float = 0.3, grow: float = 1.6) -> list[Box]:
    """Boxes of text from top left to bottom right. The sides of the picture must be multiples of 32.

    The net gives the shrunken middle of each line of text; a box grows by area / perimeter, as in
    DB (Liao et al. 2019).
    """
    from scipy import ndimage

    likely = run1(model, tensor(picture))[0, 0]
    labels, _ = ndimage.label(likely > threshold)
    boxes = []
    for rows, columns in ndimage.find_objects(labels):
        h, w = rows.stop - rows.start, columns.stop - columns.start
        if min(h, w) < 3:
            continue
        by = grow * h * w / (2 * (h + w))
        boxes.append((max(int(columns.start - by), 0), max(int(rows.start - by), 0),
                      min(int(columns.stop + by) + 1, picture.width),
                      min(int(rows.stop + by) + 1, picture.height)))  # fmt: skip
    return sorted(boxes, key=lambda b: (round(b[1] / picture.height * 8), b[0]))


def upside_down(model: Any, picture: Image.Image) -> bool:
    """What the orientation net says of one line of text."""
    width = min(round(48 * picture.width / picture.height), 192)
    x = np.zeros((1, 3, 48, 192), np.float32)
    x[..., :width] = tensor(picture.resize((width, 48), Image.Resampling.BILINEAR))
    return bool(run1(model, x)[0].argmax() == 1)


def alphabet(path: Path) -> list[str]:
    """The recognition net's classes: blank, the characters in the file's metadata, space."""
    import onnx

    meta = {p.key: p.value for p in onnx.load(path).metadata_props}
    return ["", *meta["character"].splitlines(), " "]


def line_tensor(picture: Image.Image) -> np.ndarray:
    """A line of text for the recognition net: 48 pixels high."""
    width = max(round(48 * picture.width / picture.height), 16)
    return tensor(picture.resize((width, 48), Image.Resampling.BILINEAR))


def read(model: Any, characters: list[str], picture: Image.Image) -> str:
    """The text of one line: the best class of each step, repetitions and blanks dropped (CTC)."""
    steps = run1(model, line_tensor(picture))[0]
    assert steps.shape[1] == len(characters)
    best = steps.argmax(1)
    kept = best[np.r_[True, best[1:] != best[:-1]]]
    return "".join(characters[i] for i in kept)
