# SPDX-License-Identifier: Apache-2.0
"""What each step of a model costs."""

from __future__ import annotations

import json
import os
from typing import Any, NamedTuple


class Step(NamedTuple):
    """A step: its node and operator, the implementation, shapes, median milliseconds, floating
    point operations and bytes moved at least once (0: not known), the PyTorch line."""

    name: str
    op: str
    impl: str
    shapes: str
    ms: float
    flops: float
    bytes: float
    source: str | None
    refused: str

    @property
    def gflops(self) -> float:
        """GFLOP/s."""
        return self.flops / self.ms / 1e6 if self.ms > 0 else 0.0


def full_name(row: dict[str, Any]) -> str:
    """The operator of a step's row: "Conv", "pyinfer.Conv", "pyinfer.Eltwise(Mul, Add)"."""
    domain = row["domain"] + "." if row["domain"] else ""
    return domain + row["op"] + (f"({row['parts']})" if row["parts"] else "")


class Profile:
    """A row a step, in the order of the run; made by ``Model.profile``."""

    def __init__(self, runs: list[list[dict[str, Any]]], arena: int, packed: int) -> None:
        self.arena_bytes = arena
        self.packed_bytes = packed
        self._last = runs[-1]
        self.steps = [self._step([run[i] for run in runs]) for i in range(len(runs[0]))]

    @staticmethod
    def _step(rows: list[dict[str, Any]]) -> Step:
        row = rows[0]
        times = sorted(r["ns"] for r in rows)
        return Step(
            row["name"],
            full_name(row),
            row["impl"],
            row["shapes"],
            times[len(times) // 2] / 1e6,
            row["flops"],
            row["bytes"],
            row["source"],
            row["refused"],
        )

    @property
    def ms(self) -> float:
        """Sum of all steps."""
        return sum(step.ms for step in self.steps)

    def table(self, most: int | None = None) -> str:
        """The steps as text, slowest first if `most` limits their number."""
        steps = self.steps if most is None else sorted(self.steps, key=lambda s: -s.ms)[:most]
        lines = [f"{'ms':>9} {'%':>5} {'GFLOP/s':>8}  {'operator':24} {'by':8} node"]
        total = self.ms or 1.0
        for s in steps:
            rate = f"{s.gflops:8.1f}" if s.flops else " " * 8
            lines.append(
                f"{s.ms:9.3f} {100 * s.ms / total:5.1f} {rate}  {s.op:24} {s.impl:8} {s.name}"
            )
        lines.append(
            f"{self.ms:9.3f} 100.0           {len(self.steps)} steps; activations "
            f"{self.arena_bytes / 1e6:.1f} MB, packed weights {self.packed_bytes / 1e6:.1f} MB"
        )
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        return f"<pyinfer.profile.Profile of {len(self.steps)} steps, {self.ms:.3f} ms>"

    def _repr_html_(self) -> str:
        from html import escape

        total = self.ms or 1.0
        rows = "".join(
            f"<tr><td>{s.ms:.3f}</td><td>{100 * s.ms / total:.1f}</td><td>{s.gflops:.1f}</td>"
            f"<td>{escape(s.op)}</td><td>{escape(s.impl)}</td><td>{escape(s.name)}</td>"
            f"<td>{escape(s.shapes)}</td><td>{escape(s.source or '')}</td></tr>"
            for s in self.steps
        )
        head = "".join(
            f"<th>{h}</th>"
            for h in ("ms", "%", "GFLOP/s", "operator", "by", "node", "shapes", "from")
        )
        return f"<table><tr>{head}</tr>{rows}</table>"

    def chrome_trace(self, path: str | os.PathLike[str]) -> None:
        """Writes the last run as a trace for chrome://tracing or ui.perfetto.dev."""
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
