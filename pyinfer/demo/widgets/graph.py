# SPDX-License-Identifier: Apache-2.0
"""A graph to look at: pan by dragging, zoom by the wheel, pick a block."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable, Sequence
from tkinter import font as tkfont
from typing import Any

from ...drawing import palette
from ...drawing.layout import Layout, layout
from ..network import Block, time_text
from .bars import shortened

WIDE, HIGH = 190.0, 76.0  # pixels from block to block at zoom 1
BOX = (164.0, 46.0)


class GraphView(tk.Canvas):
    """Draws what is visible only, so that graphs of thousands of blocks move as easily."""

    def __init__(self, parent: tk.Misc, font: str, picked: Callable[[int], None]) -> None:
        super().__init__(
            parent, background=palette.PAPER, highlightthickness=3, takefocus=True, width=400,
            highlightbackground=palette.FAINT, highlightcolor=palette.BLUE)  # fmt: skip
        self.blocks: Sequence[Block] = ()
        self.chosen: int | None = None
        self.picked = picked
        self.plan: Layout = layout([])
        self.zoom = 1.0
        self.origin = (0.0, 0.0)  # of the graph, in pixels of the canvas
        self._drag: tuple[int, int, bool] | None = None
        self._base = tkfont.nametofont(font)
        self._font = tkfont.Font(self, font=self._base.copy())
        self._width = 0  # for which `origin` was chosen
        self.bind("<Configure>", lambda event: self._resized(event.width))
        self.bind("<ButtonPress-1>", self._press)
        self.bind("<B1-Motion>", self._pan)
        self.bind("<ButtonRelease-1>", self._release)
        self.bind(
            "<MouseWheel>", lambda e: self.scale_by(1.15 if e.delta > 0 else 1 / 1.15, e.x, e.y)
        )
        self.bind("<Button-4>", lambda e: self.scale_by(1.15, e.x, e.y))
        self.bind("<Button-5>", lambda e: self.scale_by(1 / 1.15, e.x, e.y))
        for sign, by in {
            "plus": 1.2,
            "equal": 1.2,
            "KP_Add": 1.2,
            "minus": 1 / 1.2,
            "KP_Subtract": 1 / 1.2,
        }.items():
            self.bind(f"<Key-{sign}>", lambda _, by=by: self.scale_by(by))  # type: ignore[misc]
        self.bind("<Key-f>", lambda _: self.fit())
        self.bind("<Up>", lambda _: self._go(-1))
        self.bind("<Down>", lambda _: self._go(1))
        self.bind("<Left>", lambda _: self._sideways(-1))
        self.bind("<Right>", lambda _: self._sideways(1))

    def show(self, blocks: Sequence[Block], keep: bool) -> None:
        """Another graph, or other times of the same one (`keep`: stay where we look)."""
        self.blocks = blocks
        if not keep:
            self.plan = layout([b.parents for b in blocks])
            self.chosen = None
            self.start()
        else:
            self.redraw()

    def start(self) -> None:
        """The top of the graph, in a readable size."""
        width = self._width = max(self.winfo_width(), 200)
        spread = (self.plan.right - self.plan.left) * WIDE + BOX[0] + 40
        self.zoom = min(1.0, max(width / spread, 0.65))
        x = self.plan.places[0][0] if self.plan.places else 0.0
        middle = x if spread * self.zoom > width else (self.plan.left + self.plan.right) / 2
        self.origin = (width / 2 - middle * WIDE * self.zoom, (BOX[1] / 2 + 24) * self.zoom)
        self.redraw()

    def fit(self) -> None:
        """All of it, however small."""
        width, height = max(self.winfo_width(), 50), max(self.winfo_height(), 50)
        spread = (self.plan.right - self.plan.left) * WIDE + BOX[0] + 40
        tall = max(self.plan.rows - 1, 0) * HIGH + BOX[1] + 40
        self.zoom = min(width / spread, height / tall, 2.0)
        middle = (self.plan.left + self.plan.right) / 2 * WIDE * self.zoom
        self.origin = (width / 2 - middle, (height - (tall - BOX[1] - 40) * self.zoom) / 2)
        self.redraw()

    def scale_by(self, by: float, x: float | None = None, y: float | None = None) -> None:
        """Zooms around a point of the canvas, or its middle."""
        x = self.winfo_width() / 2 if x is None else x
        y = self.winfo_height() / 2 if y is None else y
        by = min(max(self.zoom * by, 0.02), 4.0) / self.zoom
        self.zoom *= by
        self.origin = (x + (self.origin[0] - x) * by, y + (self.origin[1] - y) * by)
        self.redraw()

    def _resized(self, width: int) -> None:
        """The middle stays in the middle."""
        if self._width:
            self.origin = (self.origin[0] + (width - self._width) / 2, self.origin[1])
        self._width = width
        self.redraw()

    # -- pointer and keys --

    def _press(self, event: tk.Event[Any]) -> None:
        self.focus_set()
        self._drag = (event.x, event.y, False)

    def _pan(self, event: tk.Event[Any]) -> None:
        if self._drag:
            x, y, moved = self._drag
            if not moved and abs(event.x - x) + abs(event.y - y) < 4:
                return
            self.origin = (self.origin[0] + event.x - x, self.origin[1] + event.y - y)
            self._drag = (event.x, event.y, True)
            self.redraw()

    def _release(self, event: tk.Event[Any]) -> None:
        if self._drag and not self._drag[2]:
            for i, (x, y) in enumerate(self.plan.places):
                left, top = self._at(x, y)
                if (
                    abs(event.x - left) <= BOX[0] * self.zoom / 2
                    and abs(event.y - top) <= BOX[1] * self.zoom / 2
                ):
                    self.choose(i)
        self._drag = None

    def choose(self, block: int) -> None:
        """Picks a block, and brings it into view."""
        if not 0 <= block < len(self.blocks):
            return
        self.chosen = block
        x, y = self._at(*self.plan.places[block])
        dx = (
            min(max(x, BOX[0] * self.zoom * 0.6), self.winfo_width() - BOX[0] * self.zoom * 0.6) - x
        )
        dy = min(max(y, HIGH * self.zoom), self.winfo_height() - HIGH * self.zoom) - y
        self.origin = (self.origin[0] + dx, self.origin[1] + dy)
        self.redraw()
        self.picked(block)

    def _go(self, way: int) -> str:
        self.choose(0 if self.chosen is None else self.chosen + way)
        return "break"

    def _sideways(self, way: int) -> str:
        if self.chosen is not None:
            x, y = self.plan.places[self.chosen]
            beside = [
                (abs(p[0] - x), i)
                for i, p in enumerate(self.plan.places)
                if p[1] == y and (p[0] - x) * way > 0
            ]
            if beside:
                self.choose(min(beside)[1])
        return "break"

    # -- what is seen --

    def _at(self, x: float, y: float) -> tuple[float, float]:
        return self.origin[0] + x * WIDE * self.zoom, self.origin[1] + y * HIGH * self.zoom

    def redraw(self) -> None:
        """What is inside the canvas."""
        self.delete("all")
        if not self.blocks:
            return
        self._font.configure(size=min(-1, round(self._base.cget("size") * self.zoom)))
        width, height = self.winfo_width(), self.winfo_height()
        half_x, half_y = BOX[0] * self.zoom / 2, BOX[1] * self.zoom / 2
        for (parent, child), path in self.plan.edges.items():
            points = [self._at(*p) for p in path]
            if points[0][1] > height or points[-1][1] < 0:
                continue
            near = self.chosen in (parent, child)
            points[0] = (points[0][0], points[0][1] + half_y)
            points[-1] = (points[-1][0], points[-1][1] - half_y)
            self._edge(points, near)
        slowest = max((b.ms for b in self.blocks), default=0) or 1.0
        for i, block in enumerate(self.blocks):
            x, y = self._at(*self.plan.places[i])
            if -half_x < x < width + half_x and -half_y < y < height + half_y:
                self._block(i, block, x, y, half_x, half_y, block.ms / slowest)

    def _edge(self, points: list[tuple[float, float]], near: bool) -> None:
        """Down, across, down: an S between two rows."""
        flat = [*points[0]]
        for (x0, y0), (x1, y1) in zip(points, points[1:], strict=False):
            flat += [x0, (y0 + y1) / 2, x1, (y0 + y1) / 2, x1, y1] if x0 != x1 else [x1, y1]
        tip = 9 * min(self.zoom, 1.0)
        self.create_line(
            *flat, smooth=True, fill=palette.BLUE if near else "#8A8A8A",
            width=3 if near else 1.5, arrow="last", arrowshape=(tip, tip, tip * 0.45))  # fmt: skip

    def _block(
        self, i: int, block: Block, x: float, y: float, half_x: float, half_y: float, part: float
    ) -> None:
        chosen = i == self.chosen
        self.create_rectangle(
            x - half_x, y - half_y, x + half_x, y + half_y, fill=palette.heat(part),
            outline=palette.BLUE if chosen else palette.QUIET,
            width=4 if chosen else 1)  # fmt: skip
        if self.zoom < 0.3:
            return
        room = int(half_x * 2 - 8)
        self.create_text(x, y - half_y * 0.42, font=self._font, fill=palette.BLACK,
                         text=shortened(block.op, self._font, room))  # fmt: skip
        self.create_text(x, y + half_y * 0.45, font=self._font, fill=palette.BLACK,
                         text=shortened(time_text(block.ms), self._font, room))  # fmt: skip
