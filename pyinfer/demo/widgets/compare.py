# SPDX-License-Identifier: Apache-2.0
"""The same input through other engines: the same answer, and how long each takes."""

from __future__ import annotations

import tkinter as tk
from tkinter import ttk
from typing import TYPE_CHECKING, Any

from .. import classify, engines
from ..network import time_text
from .chart import Chart
from .tab import Tab

if TYPE_CHECKING:
    from .window import Window

COLUMNS = ("engine", "answer", "difference", "now", "median")
PAUSE = 30  # milliseconds between two rounds


class Compare(Tab):
    key = "compare"

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self.comparison: engines.Comparison | None = None
        self.running = False
        self.rows: dict[str, engines.Row] = {}
        self.columnconfigure(0, weight=1)
        self.rowconfigure(2, weight=1)
        top = ttk.Frame(self)
        top.grid(row=0, sticky="ew", pady=(0, 12))
        self.go = self.button(top, "start", self.toggle)
        self.go.pack(side="left", padx=(0, 24))
        self.wanted: dict[str, tk.BooleanVar] = {}
        for name, here in engines.installed().items():
            here = here or (name == "PyTorch" and window.module is not None)
            self.wanted[name] = tk.BooleanVar(self, here)
            box = ttk.Checkbutton(top, text=name, variable=self.wanted[name])
            box.pack(side="left", padx=(0, 16))
            if name == engines.OURS or not here:
                box.state(["disabled"])
        self.table = ttk.Treeview(
            self, columns=COLUMNS, show="headings", height=3, selectmode="none"
        )
        self.table.grid(row=1, sticky="ew", pady=(0, 16))
        for name in self.wanted:
            self.table.insert("", "end", name, values=(name,))
        self.chart = Chart(self, "demo.body")
        self.chart.grid(row=2, sticky="nsew")
        window.root.bind_all("<F5>", lambda _: self._key())
        self._fill()

    def _key(self) -> None:
        self.window.front(self)
        self.toggle()

    def entered(self) -> None:
        self.go.focus_set()

    def toggle(self) -> None:
        """Starts or stops the rounds."""
        self.running = not self.running
        self.window.follow(self.go, "stop" if self.running else "start")
        if self.running:
            self._next()

    def leave(self) -> None:
        self.running = False
        if self.comparison:
            self.comparison.close()
            self.comparison = None

    def changed(self) -> None:
        """Another model: the engines start again."""
        old, self.comparison, self.rows = self.comparison, None, {}
        if old:
            self.window.worker.submit("end engines", old.close, lambda _, error: None)
        self._fill()

    def spoke(self) -> None:
        self._fill()

    def _next(self) -> None:
        """One round in the worker, then the next."""
        if not self.running:
            return
        opened, input_of = self.window.session.opened, self.window.session.input_of
        if self.comparison is None:
            self.comparison = engines.Comparison(opened, self.window.module)
        comparison = self.comparison
        chosen = [name for name, wanted in self.wanted.items() if wanted.get()]

        def work() -> Any:
            for name in chosen:
                comparison.start(name)
            return comparison.round(input_of(opened), chosen)

        def done(rows: Any, error: Exception | None) -> None:
            if self.comparison is not comparison:
                comparison.close()
            elif error:
                self.window.failed(error)
                self.toggle()
                return
            else:
                self.rows = {row.engine: row for row in rows}
                self._fill()
            if self.running:
                self.after(PAUSE, self._next)

        self.window.worker.submit("compare", work, done)

    # -- what is seen --

    def _fill(self) -> None:
        say = self.window.say
        body = self.window.style.fonts["demo.body"]
        for name in COLUMNS:
            self.table.heading(name, text=say(name), anchor="w")
            texts = {"engine": "ONNX Runtime", "difference": say(name), "answer": "m" * 18}.get(
                name, "99999.99 ms"
            )
            wide = max(body.measure(texts), body.measure(say(name))) + 30
            least = wide // 3 if name == "answer" else wide
            self.table.column(name, width=wide, minwidth=least, stretch=name == "answer")
        here = engines.installed()
        for name in self.wanted:
            row = self.rows.get(name)
            if row is None:
                off = "" if here[name] or self.window.module is not None else say("not_installed")
                busy = say("starting") if self.running and self.wanted[name].get() else off
                self.table.item(name, values=(name, busy, "", "", ""))
            elif row.answer is None:
                self.table.item(name, values=(name, row.problem, "", "", ""))
            else:
                self.table.item(name, values=self._cells(row, row.answer))
        times = self.comparison.times if self.comparison else {}
        chosen = {k: v for k, v in times.items() if self.wanted[k].get()}
        self.chart.show({k: list(v) for k, v in chosen.items()}, say("milliseconds"))

    def _cells(self, row: engines.Row, answer: engines.Answer) -> tuple[str, ...]:
        floats = [a for a in answer.outputs if a.dtype.kind == "f" and a.size]
        labels = self.window.session.opened.labels
        best = ""
        if floats and floats[0].ndim == 2:
            guesses = classify.top(floats[0][0], labels, 3)
            best = "   ".join(f"{g.label} {100 * g.share:.2f} %" for g in guesses)
        median = self.comparison.median(row.engine) if self.comparison else None
        gap = "" if row.difference is None else f"{row.difference:.2g}"
        return (
            row.engine,
            best,
            gap,
            time_text(answer.ms),
            "" if median is None else time_text(median),
        )
