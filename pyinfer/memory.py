# SPDX-License-Identifier: Apache-2.0
"""What a model's memory is made of: how much it holds; where each value will lie in a run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ._units import bytes_text
from .drawing.html import bar, table
from .explanation import full_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .model import Model


class Place(NamedTuple):
    """A piece of memory for one or more values that follow each other in it (views, and results
    that take the place of what they were made from).

    names: of the values that have one; type: of its first value, "f32[1, 64, 56, 56]"; kind:
    "arena", "input", "output" (the caller's memory), "constant" (a weight that steps read as it
    is), "heap" (made while running); op: the operator that writes it first; bytes (0: not known
    before the run); offset in the arena, in bytes; first, last: the steps that write it first and
    read it last, the number of steps if it is read after the run."""

    names: tuple[str, ...]
    type: str
    kind: str
    op: str
    bytes: int
    offset: int
    first: int
    last: int

    @property
    def label(self) -> str:
        """Its last name, or the operator that makes it."""
        return self.names[-1] if self.names else self.op


def _places(plan: Mapping[str, Any]) -> list[Place]:
    groups: dict[int, list[dict[str, Any]]] = {}
    for row in plan["values"]:
        if row["storage"] >= 0:
            groups.setdefault(row["storage"], []).append(row)
    found = []
    for rows in groups.values():
        one, names = rows[0], tuple(dict.fromkeys(row["name"] for row in rows if row["name"]))
        ops = plan["steps"][one["first"]]["op"] if one["first"] < len(plan["steps"]) else ""
        made = one["kind"] in ("arena", "output", "heap")
        most = max(row["bytes"] for row in rows)
        found.append(
            Place(
                *(names, one["type"], one["kind"], ops if made else "", most),
                *(one["offset"], one["first"], one["last"]),
            )
        )
    return sorted(found, key=lambda p: (p.first, p.offset))


class MemoryPlan:
    """The memory of a run on inputs of certain shapes, in bytes; made by ``Model.memory(...)``.

    weights: that are kept as the file has them; packed: weights in the form that kernels like, of
    all shapes that ran so far; arena: one block for all values within the run, and for what single
    steps need beside them, shared by what does not live at the same time; values: the most bytes
    of values at one time; scratch: the most that a step needs; inputs, outputs: the caller's
    arrays. ``total`` is all that the
    model holds for it: weights, packed, arena. ``lower_bound``: the most bytes that are needed at
    one time, which no arena can be smaller than. ``places`` has each value,
    ``step_scratch`` (offset, bytes) of what each step needs beside them."""

    def __init__(self, plan: Mapping[str, Any]) -> None:
        self.places: tuple[Place, ...] = tuple(_places(plan))
        self.steps: tuple[str, ...] = tuple(
            f"{full_name(row)} {row['name']}".strip() for row in plan["steps"]
        )
        scratch = [int(row["scratch"]) for row in plan["steps"]]
        offsets = [int(row["scratch_at"]) for row in plan["steps"]]
        self.step_scratch = tuple(zip(offsets, scratch, strict=True))
        self.arena: int = plan["arena"]
        self.packed: int = plan["packed"]
        self.scratch = max(scratch, default=0)
        self.weights = self._sum("constant")
        self.inputs = self._sum("input")
        self.outputs = self._sum("output")
        self.total = self.weights + self.packed + self.arena
        alive = [0] * (len(scratch) + 1)
        for place in self.places:
            for k in range(place.first, place.last + 1) if place.kind == "arena" else ():
                alive[k] += place.bytes
        self.values = max(alive)
        self.alive = tuple(a + s for a, s in zip(alive, [*scratch, 0], strict=True))
        self.lower_bound = max(self.alive)

    def _sum(self, kind: str) -> int:
        return sum(place.bytes for place in self.places if place.kind == kind)

    def _rows(self) -> list[tuple[str, int, str]]:
        above = self.arena / self.lower_bound - 1 if self.lower_bound else 0
        near = f"{100 * above:.0f} % above" if above >= 0.005 else "no more than"
        return [
            ("weights", self.weights, "as the file has them"),
            ("packed", self.packed, "weights as kernels like them, for all shapes so far"),
            ("arena", self.arena, f"{near} the lower bound, {bytes_text(self.lower_bound)}"),
            ("  values", self.values, "what steps leave for later steps, at most at one time"),
            ("  scratch", self.scratch, "of the step that needs most"),
            ("inputs", self.inputs, "the caller's"),
            ("outputs", self.outputs, "the caller's"),
        ]

    def largest(self, most: int | None = 10) -> list[Place]:
        """The places in the arena, largest first."""
        inside = (p for p in self.places if p.kind == "arena")
        return sorted(inside, key=lambda p: -p.bytes)[:most]

    def table(self, most: int | None = 10) -> str:
        """Sums, then the largest values of the arena (None: all)."""
        rows = [*self._rows(), ("total", self.total, "weights, packed, arena")]
        lines = [f"{name:10}{bytes_text(size):>10}  {note}" for name, size, note in rows]
        lines += ["", f"{'bytes':>10} {'offset':>10}  steps     largest values of the arena"]
        for place in self.largest(most):
            span = f"{place.first}..{place.last}"
            what = " = ".join(place.names[-3:]) or place.op
            lines.append(
                f"{bytes_text(place.bytes):>10} {bytes_text(place.offset):>10}  {span:9} "
                f"{what} {place.type}"
            )
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        return (
            f"<pyinfer.memory.MemoryPlan of {self.total} bytes: weights {self.weights}, packed "
            f"{self.packed}, arena {self.arena} (at least {self.lower_bound})>"
        )

    def _repr_html_(self) -> str:
        sums = [(n, bytes_text(size), note) for n, size, note in self._rows()]
        sums.append(("total", bytes_text(self.total), "weights, packed, arena"))
        whole = max(self.arena, 1)
        rows = [
            (
                *(bar(p.bytes / whole, p.op), bytes_text(p.bytes), bytes_text(p.offset)),
                *(f"{p.first}..{p.last}", " = ".join(p.names[-3:]), p.op, p.type),
            )
            for p in self.largest()
        ]
        head = ("", "bytes", "offset", "steps", "value", "operator", "type")
        caption = "the largest values of the arena"
        return table(("", "bytes", ""), sums) + table(head, rows, caption)

    def plot(self, path: str | os.PathLike[str] | None = None) -> Figure:
        """The arena over the run: steps from left to right, bytes upwards, a rectangle for each
        value, hatched ones for the scratch of steps, and beneath it how much each step needs.
        Needs matplotlib (``pip install "pyinfer[plot]"``); path: a file to write as well."""
        from .drawing.charts import memory_chart

        return memory_chart(self, path)


class Memory:
    """Bytes that a model holds now (weights, plans, activations), and its most since loading.
    Call it with arrays or shapes for the :class:`MemoryPlan` of a run on such.

    >>> import pyinfer
    >>> from pyinfer import example
    >>> memory = pyinfer.load(example.model_path()).memory
    >>> 0 < memory.used <= memory.peak
    True
    >>> plan = memory((6, 1, 8, 8))
    >>> plan.lower_bound <= plan.arena, plan.outputs
    (True, 240)
    """

    def __init__(self, model: Model, used: int, peak: int) -> None:
        self._model = model
        self.used = used
        self.peak = peak

    def __call__(self, *arrays: Any) -> MemoryPlan:
        """Plans for inputs of these shapes, without running. arrays: as in ``Model.explain``."""
        return MemoryPlan(self._model.plan_rows(self._model._given(arrays)))

    def __repr__(self) -> str:
        return f"Memory(used={self.used}, peak={self.peak})"
