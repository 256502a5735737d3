# SPDX-License-Identifier: Apache-2.0
"""Classes and their shares as bars."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Sequence
from tkinter import font as tkfont
from typing import Any

from ...drawing import palette
from ..classify import Guess

GAP = 10


def shortened(text: str, font: tkfont.Font, width: int) -> str:
    """The text, cut with an ellipsis if it is wider than `width` pixels."""
    if font.measure(text) <= width:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (
            (middle, high) if font.measure(text[:middle] + "…") <= width else (low, middle - 1)
        )
    return text[:low].rstrip() + "…"


class Bars(tk.Canvas):
    """The items are made once and then only moved: cheap enough for each stroke of a pen."""

    def __init__(self, parent: tk.Misc, rows: int, font: str) -> None:
        super().__init__(parent, background=palette.BACK, highlightthickness=0, width=320)
        self.rows = rows
        self.shown: list[Guess] = []
        self._font = tkfont.nametofont(font)
        self._items = [
            (self.create_text(0, 0, anchor="w", font=font, fill=palette.BLACK),
             self.create_rectangle(0, 0, 0, 0, width=0, fill=palette.SKY),
             self.create_text(0, 0, anchor="w", font=font, fill=palette.BLACK))
            for _ in range(rows)
        ]  # fmt: skip
        self.bind("<Configure>", lambda _: self.show(self.shown))

    def show(self, guesses: Sequence[Guess]) -> None:
        """Best first; fewer than `rows` leave rows empty."""
        self.shown = list(guesses)
        width, height = self.winfo_width(), self.winfo_height()
        line = self._font.metrics("linespace")
        step = max(min(height / self.rows, line * 2.2), 1)
        names = max((self._font.measure(g.label) for g in self.shown), default=0)
        left = min(names, int(width * 0.45)) + GAP
        room = max(width - left - self._font.measure("100.0 %") - 2 * GAP, 1)
        for row, (name, bar, share) in enumerate(self._items):
            if row >= len(self.shown):
                for item in (name, bar, share):
                    self.itemconfigure(item, state="hidden")
                continue
            guess = self.shown[row]
            y, end = (row + 0.5) * step, left + max(room * guess.share, 2)
            self.coords(name, 0, y)
            self.coords(bar, left, y - step * 0.36, end, y + step * 0.36)
            self.coords(share, end + GAP, y)
            self.itemconfigure(
                name, text=shortened(guess.label, self._font, left - GAP), state="normal"
            )
            self.itemconfigure(bar, fill=palette.BLUE if row == 0 else palette.SKY, state="normal")
            self.itemconfigure(share, text=f"{guess.share * 100:.1f} %", state="normal")

    def clear(self, *_: Any) -> None:
        """No bars."""
        self.show([])
