# SPDX-License-Identifier: Apache-2.0
"""What each step of a model costs."""

from __future__ import annotations

import functools
import json
import os
from typing import Any, NamedTuple

from . import _core

COLUMNS = ("ms", "%", "GFLOP/s", "of peak", "MB", "GB/s")


class Step(NamedTuple):
    """A step: its node and operator, the implementation, shapes, median milliseconds, floating
    point operations and bytes moved at least once (0: not known), the PyTorch line, why others
    were refused; then both as rates, in GFLOP/s and GB/s, and the share of the machine's f32 peak.

    Operations are those of direct sums: a Winograd convolution needs fewer, so that its share may
    be above 1; so may that of a product of bytes. More GB/s than the memory has came from caches.
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


def full_name(row: dict[str, Any]) -> str:
    """The operator of a step's row: "Conv", "pyinfer.Conv", "pyinfer.Eltwise(Mul, Add)"."""
    domain = f"{row['domain']}." if row["domain"] else ""
    parts = f"({row['parts']})" if row["parts"] else ""
    return f"{domain}{row['op']}{parts}"


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
        )

    @property
    def ms(self) -> float:
        """Milliseconds of all steps together."""
        return sum(step.ms for step in self.steps)

    def table(self, most: int | None = None) -> str:
        """The steps as text, slowest first if `most` limits their number."""
        steps = self.steps if most is None else sorted(self.steps, key=lambda s: -s.ms)[:most]
        form = "{:>9} {:>5} {:>8} {:>8} {:>8} {:>6}  {:24} {:8} {}"
        total = self.ms or 1.0
        lines = [form.format(*COLUMNS, "operator", "by", "node")]
        lines += [form.format(*s._figures(total), s.op, s.impl, s.name) for s in steps]
        lines.append(
            f"{self.ms:9.3f} 100.0  {len(self.steps)} steps; activations "
            f"{self.arena_bytes / 1e6:.1f} MB, packed weights {self.packed_bytes / 1e6:.1f} MB; "
            f"peak {self.peak_gflops:.1f} GFLOP/s on {self.threads} threads"
        )
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        return f"<pyinfer.profile.Profile of {len(self.steps)} steps, {self.ms:.3f} ms>"

    def _repr_html_(self) -> str:
        from html import escape

        total = self.ms or 1.0
        rows = [
            (*s._figures(total), s.op, s.impl, s.name, s.shapes, s.source or "") for s in self.steps
        ]
        head = "".join(
            f"<th>{h}</th>" for h in (*COLUMNS, "operator", "by", "node", "shapes", "from")
        )
        body = "".join(
            f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows
        )
        return f"<table><tr>{head}</tr>{body}</table>"

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
