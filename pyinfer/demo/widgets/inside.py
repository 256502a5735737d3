# SPDX-License-Identifier: Apache-2.0
"""The network as it runs: where time goes, and what each block makes of the input."""

from __future__ import annotations

import tkinter as tk
from tkinter import ttk
from typing import TYPE_CHECKING, Any

from ...drawing import palette
from ..network import Block, bytes_text, time_text
from ..pictures import thumbnails
from .graph import GraphView
from .tab import Tab

if TYPE_CHECKING:
    from .window import Window

FACTS = ("time", "kernel", "shapes", "merged", "writes", "moves", "work", "refused", "source")


class Inside(Tab):
    key = "network"

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self.blocks: list[Block] = []
        self._of: Any = None  # the model that was measured
        self._photo: Any = None
        self.columnconfigure(0, weight=1, uniform="half")
        self.columnconfigure(1, weight=1, uniform="half")
        self.rowconfigure(0, weight=1)
        left = ttk.Frame(self)
        left.grid(row=0, column=0, sticky="nsew", padx=(0, 20))
        left.columnconfigure(3, weight=1)
        left.rowconfigure(0, weight=1)
        self.graph = GraphView(left, "demo.small", self._picked)
        self.graph.grid(row=0, column=0, columnspan=4, sticky="nsew", pady=(0, 12))
        self.button(left, "fit", self.graph.fit).grid(row=1, column=0, padx=(0, 8))
        self.button(left, "measure", self.ask).grid(row=1, column=1, padx=(0, 16))
        self.total = ttk.Label(left)
        self.total.grid(row=1, column=2, sticky="w")
        self.legend = tk.Canvas(
            left, background=palette.BACK, highlightthickness=0, width=10, height=40
        )
        self.legend.bind("<Configure>", lambda _: self._tell_total())
        self.legend.grid(row=1, column=3, sticky="ew", padx=(16, 0))
        self._details(ttk.Frame(self))

    def _details(self, box: ttk.Frame) -> None:
        box.grid(row=0, column=1, sticky="nsew")
        box.columnconfigure(1, weight=1)
        self.title = ttk.Label(box, style="Strong.TLabel")
        self.title.grid(row=0, column=0, columnspan=2, sticky="w", pady=(0, 8))
        self.facts: dict[str, tuple[ttk.Label, ttk.Label]] = {}
        for i, key in enumerate(FACTS):
            name = self.label(box, key)
            value = ttk.Label(box, justify="left")
            name.grid(row=i + 1, column=0, sticky="nw", padx=(0, 14), pady=1)
            value.grid(row=i + 1, column=1, sticky="nw", pady=1)
            self.facts[key] = (name, value)
        self.inside = self.label(box, "inside", "Strong.TLabel")
        self.inside.grid(row=len(FACTS) + 1, column=0, columnspan=2, sticky="w", pady=(12, 6))
        self.values = tk.Canvas(
            box, background=palette.BACK, highlightthickness=0, width=10, height=10
        )
        self.values.grid(row=len(FACTS) + 2, column=0, columnspan=2, sticky="nsew")
        box.rowconfigure(len(FACTS) + 2, weight=1)
        self.values.bind("<Configure>", lambda _: self._show_values())
        box.bind("<Configure>", lambda event: self._wrap(event.width))
        self._array: Any = None
        self._clear()

    def _wrap(self, width: int) -> None:
        names = max(name.winfo_reqwidth() for name, _ in self.facts.values())
        for _, value in self.facts.values():
            value.configure(wraplength=max(width - names - 20, 120))
        self.title.configure(wraplength=max(width - 10, 120))

    def _clear(self) -> None:
        self._array = None
        self.title.configure(text=self.window.say("pick"))
        for labels in self.facts.values():
            for label in labels:
                label.grid_remove()
        self.inside.grid_remove()
        self._show_values()

    # -- measuring --

    def entered(self) -> None:
        self.graph.focus_set()
        opened = self.window.session.opened
        if self._of is not opened:
            self.ask()
        elif self.graph.chosen is not None:
            self._picked(self.graph.chosen)  # the input may be another one

    def changed(self) -> None:
        if self.window.tab is self:
            self.ask()

    def spoke(self) -> None:
        self._tell_total()
        if self.graph.chosen is None:
            self.title.configure(text=self.window.say("pick"))
        else:
            self._tell(self.graph.chosen)
        self.graph.redraw()

    def ask(self) -> None:
        """Measures all blocks in the worker."""
        opened = self.window.session.opened
        feeds_of = self.window.session.input_of

        def done(blocks: Any, error: Exception | None) -> None:
            if error:
                self.window.failed(error)
                return
            keep = self._of is opened and len(blocks) == len(self.blocks)
            self._of, self.blocks = opened, blocks
            if not keep:
                self._clear()
            self.graph.show(blocks, keep)
            self._tell_total()
            if self.graph.chosen is not None:
                self._picked(self.graph.chosen)

        self.window.worker.submit("blocks", lambda: opened.blocks(feeds_of(opened), 5), done)

    def _tell_total(self) -> None:
        if self.blocks:
            ms = sum(b.ms for b in self.blocks)
            self.total.configure(
                text=self.window.say("blocks", count=len(self.blocks), time=time_text(ms))
            )

        self.legend.delete("all")
        if not self.blocks:
            return
        slowest = time_text(max(b.ms for b in self.blocks))
        room = self.legend.winfo_width() - self.window.style.fonts["demo.body"].measure(slowest)
        cell = max(2, min(8, (room - 14) // 10))
        for i in range(10):
            left = 2 + i * cell
            self.legend.create_rectangle(
                left, 11, left + cell, 29, width=0, fill=palette.heat(i / 9)
            )
        self.legend.create_rectangle(2, 11, 2 + 10 * cell, 29, outline=palette.QUIET)
        self.legend.create_text(10 + 10 * cell, 20, text=slowest, anchor="w", font="demo.body")

    # -- one block --

    def _picked(self, i: int) -> None:
        self._tell(i)
        opened, blocks = self.window.session.opened, self.blocks
        if self._of is not opened:
            return
        feeds_of = self.window.session.input_of
        value = blocks[i].value

        def done(arrays: Any, error: Exception | None) -> None:
            if self.graph.chosen != i:
                return
            self.window.failed(error)
            self._array = arrays.get(value) if arrays else None
            self._show_values()

        self.window.worker.submit(
            "values", lambda: opened.activations(feeds_of(opened), blocks, i), done
        )

    def _tell(self, i: int) -> None:
        block, say = self.blocks[i], self.window.say
        self.title.configure(text=f"{block.op}  {block.name}")
        whole = sum(b.ms for b in self.blocks) or 1.0
        rate = f", {block.flops / block.ms / 1e6:.1f} GFLOP/s" if block.ms and block.flops else ""
        texts = {
            "time": f"{time_text(block.ms)}, {say('of_all', part=100 * block.ms / whole)}",
            "kernel": block.impl,
            "shapes": block.shapes.replace(" -> ", "\n→ "),
            "merged": ", ".join(block.merged),
            "writes": bytes_text(block.output_bytes) if block.output_bytes else "",
            "moves": bytes_text(block.bytes) if block.bytes else "",
            "work": f"{block.flops / 1e6:.2f} MFLOP{rate}" if block.flops else "",
            "refused": block.refused.replace("; ", "\n"),
            "source": block.source,
        }
        for key, (name, value) in self.facts.items():
            value.configure(text=texts[key])
            for label in (name, value):
                label.grid() if texts[key] else label.grid_remove()
        self.inside.grid()

    def _show_values(self) -> None:
        from PIL import ImageTk

        c = self.values
        c.delete("all")
        width, height = c.winfo_width(), c.winfo_height()
        chosen = self.graph.chosen
        if self._array is None:
            if chosen is not None and self.blocks and not self.blocks[chosen].value:
                text = self.window.say("no_inside")
                c.create_text(0, 0, anchor="nw", text=text, font="demo.body", fill=palette.QUIET)
            return
        if min(width, height) < 24:
            return
        image = thumbnails(self._array, (width, height))
        self._photo = ImageTk.PhotoImage(image, master=self)
        c.create_image(0, 0, image=self._photo, anchor="nw")
