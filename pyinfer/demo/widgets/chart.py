# SPDX-License-Identifier: Apache-2.0
"""Milliseconds over time, a line for each engine."""

from __future__ import annotations

import math
import tkinter as tk
from collections.abc import Mapping, Sequence
from tkinter import font as tkfont

from ...drawing import palette

DASHES: dict[str, tuple[int, ...]] = {"pyinfer": (), "ONNX Runtime": (10, 5), "PyTorch": (3, 4)}


def ticks(most: float, count: int = 4) -> list[float]:
    """Round numbers from 0 up to the first that is not below `most`.

    >>> ticks(7.3), ticks(0.11)
    ([0.0, 2.0, 4.0, 6.0, 8.0], [0.0, 0.05, 0.1, 0.15])
    """
    rough = max(most, 1e-9) / count
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * m for m in (1, 2, 2.5, 5, 10) if size * m >= rough * (1 - 1e-9))
    return [round(step * i, 12) for i in range(math.ceil(most / step - 1e-9) + 1)]


def apart(wishes: list[float], gap: float, most: float) -> list[float]:
    """Sorted places moved down so that they keep a gap, then up so that none is below `most`.

    >>> apart([5.0, 6.0, 90.0, 99.0], 10.0, 95.0)
    [5.0, 15.0, 85.0, 95.0]
    """
    out: list[float] = []
    for wish in wishes:
        out.append(max(wish, out[-1] + gap) if out else wish)
    for i in reversed(range(len(out))):
        out[i] = min(out[i], most)
        most = out[i] - gap
    return out


def _usual(values: Sequence[float]) -> float:
    """A level that nearly all stay below; hiccups must not flatten the rest.

    >>> _usual([70, 600]), _usual([1, 1, 2, 9])
    (600, 6)
    """
    ordered = sorted(values)
    place = math.ceil((len(ordered) - 1) * 0.95)
    return min(ordered[place], 3 * ordered[len(ordered) // 2])


class Chart(tk.Canvas):
    """Lines differ in colour, in dashes, and by the name at their end."""

    def __init__(self, parent: tk.Misc, font: str) -> None:
        super().__init__(parent, background=palette.PAPER, highlightthickness=1, height=240,
                         highlightbackground=palette.FAINT)  # fmt: skip
        self._font = tkfont.nametofont(font)
        self._name = font
        self.title = ""
        self.times: Mapping[str, Sequence[float]] = {}
        self.bind("<Configure>", lambda _: self.show(self.times, self.title))

    def show(self, times: Mapping[str, Sequence[float]], title: str) -> None:
        """times: milliseconds by engine, oldest first."""
        self.times, self.title = times, title
        self.delete("all")
        width, height, line = (
            self.winfo_width(),
            self.winfo_height(),
            self._font.metrics("linespace"),
        )
        self.create_text(12, 8, anchor="nw", text=title, font=self._name, fill=palette.QUIET)
        lines = {k: list(v) for k, v in times.items() if len(v) > 1}
        if not lines or width < 100 or height < 80:
            return
        longest = max(map(len, lines.values()))
        marks = ticks(max(_usual(v) for v in lines.values()) * 1.1)
        left = max(self._font.measure(f"{m:g}") for m in marks) + 24
        right = width - max(self._font.measure(k) for k in lines) - 24
        top, bottom = line * 2.0, height - 16
        scale = (bottom - top) / marks[-1]
        for mark in marks:
            y = bottom - mark * scale
            self.create_line(left, y, right, y, fill=palette.FAINT)
            self.create_text(
                left - 8, y, anchor="e", text=f"{mark:g}", font=self._name, fill=palette.QUIET
            )
        ends = []
        for name, values in lines.items():
            step = (right - left) / max(longest - 1, 1)
            start = right - step * (len(values) - 1)
            points = [
                (start + i * step, bottom - min(v, marks[-1]) * scale) for i, v in enumerate(values)
            ]
            self.create_line(*[c for p in points for c in p], width=3, dash=DASHES.get(name, ()),
                             fill=palette.ENGINES.get(name, palette.PURPLE))  # fmt: skip
            middle = min(sorted(values)[len(values) // 2], marks[-1])
            ends.append((bottom - middle * scale, name))
        x = right + 10
        ends.sort()
        places = apart([y for y, _ in ends], line * 1.2, height - line)
        for place, (_, name) in zip(places, ends, strict=True):
            under, colour = place + line / 2, palette.ENGINES.get(name, palette.PURPLE)
            self.create_text(x, place, anchor="w", text=name, font=self._name, fill=palette.BLACK)
            self.create_line(x, under, x + self._font.measure(name), under, width=3, fill=colour)
