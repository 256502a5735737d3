# SPDX-License-Identifier: Apache-2.0
"""Draw a digit: the bars follow the pen."""

from __future__ import annotations

import time
import tkinter as tk
from collections.abc import Callable
from tkinter import ttk
from typing import TYPE_CHECKING, Any

import numpy as np

from ...drawing import palette
from .. import strokes
from .bars import Bars
from .tab import Tab

if TYPE_CHECKING:
    from .window import Window

PEN = 0.05  # of the canvas's side
STEP = 0.025  # a press of an arrow key


class Draw(Tab):
    key = "draw"

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self.strokes: list[list[strokes.Point]] = []
        self.down = False
        self.keyboard = False
        self.pen = (0.5, 0.2)  # of the keyboard
        self.updated: Callable[[float], None] = lambda _: None  # gets the time of the event
        self.columnconfigure(0, weight=3, uniform="half")
        self.columnconfigure(1, weight=2, uniform="half")
        self.rowconfigure(0, weight=1)
        self.canvas = tk.Canvas(
            self, background=palette.PAPER, highlightthickness=3, takefocus=True, cursor="pencil",
            highlightbackground=palette.FAINT, highlightcolor=palette.BLUE)  # fmt: skip
        self.canvas.grid(row=0, column=0, sticky="nsew", padx=(0, 20))
        side = ttk.Frame(self)
        side.grid(row=0, column=1, sticky="nsew")
        side.columnconfigure(0, weight=1)
        side.rowconfigure(1, weight=1)
        self.label(side, "guesses", "Strong.TLabel").grid(row=0, sticky="w", pady=(0, 8))
        self.bars = Bars(side, 10, "demo.body")
        self.bars.grid(row=1, sticky="nsew")
        foot = ttk.Frame(side)
        foot.grid(row=2, sticky="ew", pady=(12, 0))
        self.label(foot, "seen", "Strong.TLabel").grid(row=0, column=0, sticky="w")
        self.button(foot, "clear", self.clear).grid(row=1, column=1, sticky="se")
        foot.columnconfigure(1, weight=1)
        self.seen = tk.Canvas(foot, width=128, height=128, background=palette.BLACK,
                              highlightthickness=0)  # fmt: skip
        self.seen.grid(row=1, column=0, sticky="w", pady=(6, 0))
        self._image: Any = None
        self._shown = self.seen.create_image(0, 0, anchor="nw")
        c = self.canvas
        c.bind("<Button-1>", self._start)
        c.bind("<B1-Motion>", self._move)
        c.bind("<Configure>", lambda _: self._redraw())
        for key, way in {"Left": (-1, 0), "Right": (1, 0), "Up": (0, -1), "Down": (0, 1)}.items():
            c.bind(f"<{key}>", lambda _, way=way: self._step(*way))  # type: ignore[misc]
        c.bind("<space>", self._toggle)
        for sequence in ("<Escape>", "<Delete>", "<BackSpace>"):
            c.bind(sequence, lambda _: self.clear())

    def entered(self) -> None:
        self.canvas.focus_set()

    def changed(self) -> None:
        self._ask(time.perf_counter())

    def spoke(self) -> None:
        self._redraw()
        self.bars.show(self.bars.shown)

    def clear(self) -> None:
        self.strokes, self.down = [], False
        self.bars.clear()
        self.seen.itemconfigure(self._shown, image="")
        self._redraw()

    # -- the pen --

    def _at(self, event: tk.Event[Any]) -> strokes.Point:
        side = max(min(self.canvas.winfo_width(), self.canvas.winfo_height()), 1)
        return event.x / side, event.y / side

    def _start(self, event: tk.Event[Any]) -> None:
        self.canvas.focus_set()
        self.down = self.keyboard = False
        self._mark()
        self._add(self._at(event), True)

    def _move(self, event: tk.Event[Any]) -> None:
        self._add(self._at(event), not self.strokes)

    def _step(self, x: int, y: int) -> str:
        self.keyboard = True
        self.pen = (self.pen[0] + x * STEP, self.pen[1] + y * STEP)
        if self.down:
            self._add(self.pen, False)
        self._mark()
        return "break"

    def _toggle(self, _: tk.Event[Any]) -> str:
        self.down, self.keyboard = not self.down, True
        if self.down:
            self._add(self.pen, True)
        self._mark()
        return "break"

    def _add(self, point: strokes.Point, new: bool) -> None:
        asked = time.perf_counter()
        if new:
            self.strokes.append([point])
        self.strokes[-1].append(point)
        self.canvas.delete("hint")
        self._line(self.strokes[-1][-2:])
        self._ask(asked)

    # -- what is seen --

    def _line(self, points: list[strokes.Point]) -> None:
        side = min(self.canvas.winfo_width(), self.canvas.winfo_height())
        flat = [v * side for point in points for v in point]
        self.canvas.create_line(*flat, width=PEN * side, capstyle="round", joinstyle="round",
                                fill=palette.BLACK, tags="ink")  # fmt: skip

    def _mark(self) -> None:
        self.canvas.delete("pen")
        if self.keyboard:
            side = min(self.canvas.winfo_width(), self.canvas.winfo_height())
            x, y, r = self.pen[0] * side, self.pen[1] * side, PEN * side / 2
            fill = palette.VERMILLION if self.down else ""
            self.canvas.create_oval(x - r, y - r, x + r, y + r, outline=palette.VERMILLION, width=3,
                                    fill=fill, tags="pen")  # fmt: skip

    def _redraw(self) -> None:
        self.canvas.delete("ink", "hint")
        for stroke in self.strokes:
            self._line(stroke)
        if not self.strokes:
            self.canvas.create_text(
                self.canvas.winfo_width() / 2, self.canvas.winfo_height() / 2, fill=palette.QUIET,
                text=self.window.say("draw_hint"), font="demo.large", tags="hint")  # fmt: skip
        self._mark()

    def _ask(self, asked: float) -> None:
        """A copy of the strokes goes to the worker; the newest waits, older ones are dropped."""
        opened, taken = self.window.session.drawn, [list(s) for s in self.strokes if s]
        if not taken or opened.wanted is None:
            return
        wanted = opened.wanted

        def work() -> Any:
            grey = strokes.picture(taken, wanted.height, wanted.width)
            shape = (1, *grey.shape, 1) if wanted.last else (1, 1, *grey.shape)
            scaled = grey * 255 if wanted.scaling == "0..255" else grey
            x = scaled.reshape(shape).astype(wanted.dtype)
            return grey, x, *opened.classify(x, self.bars.rows)

        self.window.worker.submit(
            "draw", work, lambda result, error: self._done(opened, result, error, asked)
        )

    def _done(self, opened: Any, result: Any, error: Exception | None, asked: float) -> None:
        if error or not self.strokes:
            self.window.failed(error)
            return
        grey, x, guesses, ms = result
        self.window.session.last[opened.source] = x
        self.bars.show(guesses)
        self._show_seen(grey)
        self.window.ran(ms, opened.model.threads)
        self.updated(asked)

    def _show_seen(self, grey: Any) -> None:
        from PIL import Image, ImageTk

        small = Image.fromarray((np.clip(grey, 0, 1) * 255).astype(np.uint8))
        side = self.seen.winfo_reqwidth()
        self._image = ImageTk.PhotoImage(
            small.resize((side, side), Image.Resampling.NEAREST), master=self
        )
        self.seen.itemconfigure(self._shown, image=self._image)
