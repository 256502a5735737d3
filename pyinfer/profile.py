# SPDX-License-Identifier: Apache-2.0
"""What each step of a model costs."""

from __future__ import annotations

import functools
import json
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from . import _core
from ._units import count_text
from .drawing.html import bar, page, table
from .explanation import full_name as full_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = ("ms", "%", "GFLOP/s", "of peak", "MB", "GB/s")


class Step(NamedTuple):
    """A step: its node and operator, the implementation, shapes, median milliseconds, floating
    point operations and bytes moved at least once (0: not known), the PyTorch line, why others
    were refused; then both as rates, in GFLOP/s and GB/s, and the share of the machine's f32 peak;
    the widest instructions and the layout (see ``Model.explain``); the share of its rows that was
    computed: operations and bytes are without padding that was left out (option skip_padding).

    Operations are those of direct sums: Winograd, Strassen and the fast inner product need fewer,
    so that their share may be above 1; so may that of a product of bytes. More GB/s than the memory
    has came from caches.
    """

    name: str
    op: str
    impl: str
    shapes: str
    ms: float
    flops: float
    bytes: float
    source: str | None
    refused: str
    gflops: float
    gbytes: float
    share: float
    isa: str
    layout: str
    computed: float

    def _figures(self, total: float) -> tuple[str, ...]:
        """The cells below COLUMNS, empty where nothing is known; total: ms of all steps."""
        return (
            f"{self.ms:.3f}",
            f"{100 * self.ms / total:.1f}",
            f"{self.gflops:.1f}" if self.gflops else "",
            f"{100 * self.share:.1f} %" if self.share else "",
            f"{self.bytes / 1e6:.2f}" if self.bytes else "",
            f"{self.gbytes:.1f}" if self.gbytes else "",
        )


@functools.cache
def _peak(threads: int) -> float:
    """GFLOP/s; measured once for each number of threads."""
    return _core.peak_gflops(threads)


@functools.cache
def _bandwidth(threads: int) -> float:
    """GB/s; measured once for each number of threads."""
    return _core.peak_gbytes(threads)


class Group(NamedTuple):
    """All steps of one operator: how many, and their milliseconds."""

    op: str
    number: int
    ms: float


class Profile:
    """What a run costs; made by ``Model.profile``. ``print`` it; notebooks show a table.

    steps: a :class:`Step` each, in the order of the run. peak_gflops: what this machine's registers
    can do in f32 on as many threads; shares are of that. arena_bytes, packed_bytes: of activations
    and of packed weights. threads: of the run."""

    def __init__(
        self, runs: list[list[dict[str, Any]]], arena: int, packed: int, threads: int
    ) -> None:
        self.arena_bytes = arena
        self.packed_bytes = packed
        self.threads = threads
        self.peak_gflops = _peak(threads)
        self._last = runs[-1]
        self.steps = [self._step([run[i] for run in runs]) for i in range(len(runs[0]))]

    def _step(self, rows: list[dict[str, Any]]) -> Step:
        row = rows[0]
        times = sorted(r["ns"] for r in rows)
        ns = max(times[len(times) // 2], 1)
        gflops = row["flops"] / ns
        return Step(
            row["name"],
            full_name(row),
            row["impl"],
            row["shapes"],
            ns / 1e6,
            row["flops"],
            row["bytes"],
            row["source"],
            row["refused"],
            gflops,
            row["bytes"] / ns,
            gflops / self.peak_gflops,
            row["isa"],
            row["layout"],
            row["computed"],
        )

    @property
    def peak_gbytes(self) -> float:
        """GB/s that so many threads read from memory; measured when first asked for, in some 0.1
        seconds: sums of 64 to 128 MB, four times what the last cache holds."""
        return _bandwidth(self.threads)

    def by_operator(self) -> list[Group]:
        """The operators, without what is fused in them, that took longest first."""
        sums: dict[str, tuple[int, float]] = {}
        for step in self.steps:
            op = step.op.partition("(")[0]
            count, ms = sums.get(op, (0, 0.0))
            sums[op] = count + 1, ms + step.ms
        return sorted((Group(op, *row) for op, row in sums.items()), key=lambda g: -g.ms)

    @property
    def ms(self) -> float:
        """Milliseconds of all steps together."""
        return sum(step.ms for step in self.steps)

    def _about(self) -> str:
        return (
            f"{count_text(len(self.steps), 'step')}; activations {self.arena_bytes / 1e6:.1f} MB, "
            f"packed weights {self.packed_bytes / 1e6:.1f} MB; peak {self.peak_gflops:.1f} GFLOP/s "
            f"on {count_text(self.threads, 'thread')}"
        )

    def table(self, most: int | None = None) -> str:
        """The steps as text, slowest first if `most` limits their number."""
        steps = self.steps if most is None else sorted(self.steps, key=lambda s: -s.ms)[:most]
        form = "{:>9} {:>5} {:>8} {:>8} {:>8} {:>6}  {:24} {:8} {}"
        total = self.ms or 1.0
        lines = [form.format(*COLUMNS, "operator", "by", "node")]
        lines += [form.format(*s._figures(total), s.op, s.impl, s.name) for s in steps]
        lines.append(f"{self.ms:9.3f} 100.0  {self._about()}")
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        return f"<pyinfer.profile.Profile of {len(self.steps)} steps, {self.ms:.3f} ms>"

    def plot(self, path: str | os.PathLike[str] | None = None) -> Figure:
        """Bars of the operators and of the slowest steps, and the roofline: each step's GFLOP/s
        over its operations a byte, beneath what multiply-adds and memory allow here. Needs
        matplotlib (``pip install "pyinfer[plot]"``); path: a file to write as well."""
        from .drawing.charts import profile_chart

        return profile_chart(self, path)

    def html(self, path: str | os.PathLike[str] | None = None) -> str:
        """The table with a bar for each step's time, as HTML that fetches nothing: what notebooks
        show. path: a file to write as a page of its own."""
        total, most = self.ms or 1.0, max((s.ms for s in self.steps), default=0.0) or 1.0
        rows = [
            (
                *(bar(s.ms / most, s.op), *s._figures(total), s.op, s.impl, s.isa, s.name),
                *(s.shapes, s.source or ""),
            )
            for s in self.steps
        ]
        head = ("", *COLUMNS, "operator", "by", "instructions", "node", "shapes", "from")
        made = table(head, rows, f"{self.ms:.3f} ms in {self._about()}")
        if path is not None:
            with open(path, "w", encoding="utf-8") as file:
                file.write(page("Profile", made))
        return made

    def _repr_html_(self) -> str:
        return self.html()

    def chrome_trace(self, path: str | os.PathLike[str]) -> None:
        """Writes the last run as a trace (JSON, microseconds) for chrome://tracing or
        ui.perfetto.dev. Raises OSError."""
        events = [
            {
                "name": row["op"],
                "cat": row["impl"],
                "ph": "X",
                "ts": row["start_ns"] / 1e3,
                "dur": row["ns"] / 1e3,
                "pid": 0,
                "tid": 0,
                "args": {k: row[k] for k in ("name", "shapes", "impl", "source", "flops")},
            }
            for row in self._last
        ]
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"traceEvents": events}, file)
