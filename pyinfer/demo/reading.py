# SPDX-License-Identifier: Apache-2.0
"""Finding and reading text with the models of the package rapidocr (its code is not used)."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import Model, load

MOST = 960  # pixels of the longer side that the detector sees


class Line(NamedTuple):
    """A line of text: left, top, right, bottom in pixels of the picture, and what it says."""

    box: tuple[int, int, int, int]
    text: str
    share: float


def model_paths() -> dict[str, Path]:
    """rapidocr's detector "det" and reader "rec", or nothing if it is not installed."""
    try:
        spec = importlib.util.find_spec("rapidocr")
    except (ImportError, ValueError):
        return {}
    for folder in (spec.submodule_search_locations or []) if spec else []:
        found = {k: sorted(Path(folder, "models").glob(f"*{k}*.onnx")) for k in ("det", "rec")}
        if all(found.values()):
            return {k: files[0] for k, files in found.items()}
    return {}


def components(mask: NDArray[np.bool_]) -> list[tuple[int, int, int, int]]:
    """Boxes (left, top, right, bottom) of what hangs together along rows and columns.

    >>> components(np.array([[1, 1, 0], [0, 1, 0], [0, 0, 1]], bool))
    [(0, 0, 2, 2), (2, 2, 3, 3)]
    """
    root: list[int] = []
    boxes: list[list[int]] = []

    def find(i: int) -> int:
        while root[i] != i:
            root[i] = root[root[i]]
            i = root[i]
        return i

    edges = np.diff(np.pad(mask.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    before: list[tuple[int, int, int]] = []
    for y in range(mask.shape[0]):
        starts, ends = np.flatnonzero(edges[y] == 1), np.flatnonzero(edges[y] == -1)
        row = []
        for left, right in zip(starts.tolist(), ends.tolist(), strict=True):
            label = len(root)
            root.append(label)
            boxes.append([left, y, right, y + 1])
            for other_left, other_right, other in before:
                if other_left < right and left < other_right:
                    root[find(other)] = find(label)
            row.append((left, right, label))
        before = row
    merged: dict[int, list[int]] = {}
    for i, box in enumerate(boxes):
        known = merged.setdefault(find(i), box)
        for side in range(4):
            known[side] = (min if side < 2 else max)(known[side], box[side])
    return [(b[0], b[1], b[2], b[3]) for b in merged.values()]


def _tensor(picture: Any) -> NDArray[np.float32]:
    """float32 [1, 3, height, width] in -1..1, blue first."""
    x = np.asarray(picture, np.float32)[:, :, ::-1] / 127.5 - 1
    return np.ascontiguousarray(x.transpose(2, 0, 1)[None])


class Reader:
    """Both models, loaded."""

    def __init__(self, threads: int = 0) -> None:
        paths = model_paths()
        if not paths:
            raise FileNotFoundError("pip install --no-deps rapidocr==3.10.0")
        self.detector: Model = load(paths["det"], threads=threads)
        self.reader: Model = load(paths["rec"], threads=threads)
        listed = self.reader.metadata["meta.character"].splitlines()
        self.characters = ["", *listed, " "]

    def read(self, picture: Any, threshold: float = 0.3) -> list[Line]:
        """The lines of text in a PIL picture, from top to bottom."""
        rgb = picture.convert("RGB")
        return [Line(box, *self._line(rgb.crop(box))) for box in self._find(rgb, threshold)]

    def _find(self, rgb: Any, threshold: float) -> list[tuple[int, int, int, int]]:
        """The net gives the shrunken middle of each line: a box grows by area / perimeter, as in DB
        (Liao et al. 2019)."""
        scale = min(1.0, MOST / max(rgb.size))
        sides = [max(32, round(n * scale / 32) * 32) for n in rgb.size]
        likely = self.detector(_tensor(rgb.resize(sides)))[0, 0]
        across, along = rgb.width / sides[0], rgb.height / sides[1]
        boxes = []
        for left, top, right, bottom in components(likely > threshold):
            w, h = right - left, bottom - top
            if min(w, h) < 3:
                continue
            by = 1.6 * h * w / (2 * (h + w))
            boxes.append((max(int((left - by) * across), 0), max(int((top - by) * along), 0),
                          min(int((right + by) * across) + 1, rgb.width),
                          min(int((bottom + by) * along) + 1, rgb.height)))  # fmt: skip
        return sorted(boxes, key=lambda b: (b[1] + b[3], b[0]))

    def _line(self, picture: Any) -> tuple[str, float]:
        """The best class of each step, repetitions and blanks dropped (CTC), and the mean share."""
        width = min(max(round(48 * picture.width / picture.height), 16), 3200)
        steps = self.reader(_tensor(picture.resize((width, 48))))[0]
        best, share = steps.argmax(1), steps.max(1)
        kept = np.flatnonzero(np.r_[True, best[1:] != best[:-1]] & (best > 0))
        text = "".join(self.characters[i] for i in best[kept] if i < len(self.characters))
        return text, float(share[kept].mean()) if kept.size else 0.0
