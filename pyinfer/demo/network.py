# SPDX-License-Identifier: Apache-2.0
"""A model's steps as blocks with edges: what the engine really runs, and on what it waits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .._units import bytes_text as bytes_text
from .._units import time_text as time_text
from ..explanation import origins

if TYPE_CHECKING:
    from ..model import Model


@dataclass
class Block:
    """One node that runs, with those that the engine merged into it."""

    name: str
    op: str
    impl: str = ""
    ms: float = 0.0
    shapes: str = ""
    flops: float = 0.0
    bytes: float = 0.0
    refused: str = ""
    source: str = ""
    value: str = ""  # the value that leaves it, by its name in the file
    merged: list[str] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    output_bytes: int = 0  # that it writes; 0 if that is not known before the run


def blocks(model: Model, arrays: tuple[Any, ...], runs: int) -> list[Block]:
    """The steps for these arrays, with the medians of their times over so many runs. A block waits
    for its parents; what only looks at another's memory is no block."""
    plan = model.plan_rows(arrays)
    lists, _, _ = model.steps(arrays, runs)
    found: list[Block] = []
    maker: dict[int, int] = {}  # value to block
    for node, came in zip(plan["nodes"], origins(model, plan), strict=True):
        parents = list(dict.fromkeys(maker[v] for v in node["in"] if v in maker))
        if node["view"]:
            maker.update((v, parents[0]) for v in node["out"] if parents)
            continue
        rows = [run[len(found)] for run in lists]
        step, ns = rows[0], sorted(row["ns"] for row in rows)
        merged = [n.op for n in came]
        if step["op"] in merged:
            merged.remove(step["op"])
        made = [v for v in node["out"] if v >= 0]
        maker.update((v, len(found)) for v in made)
        found.append(Block(
            step["name"], step["op"], step["impl"], ns[len(ns) // 2] / 1e6, step["shapes"],
            step["flops"], step["bytes"], step["refused"], step["source"] or "", step["value"],
            merged, parents, sum(plan["values"][v]["bytes"] for v in made)))  # fmt: skip
    return found


def activation_bytes(found: Sequence[Block]) -> int:
    """What all blocks write together."""
    return sum(block.output_bytes for block in found)
