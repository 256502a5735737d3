# SPDX-License-Identifier: Apache-2.0
"""A model's steps as blocks with edges: what the engine really runs, and on what it waits."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..drawing.units import bytes_text as bytes_text
from ..drawing.units import time_text as time_text
from . import onnxfile

SIZES = {"f64": 8, "i64": 8, "u64": 8, "f32": 4, "i32": 4, "u32": 4, "f16": 2, "bf16": 2, "i16": 2}


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

    @property
    def output_bytes(self) -> int:
        """Bytes of what it writes."""
        return shape_bytes(self.shapes.rpartition("->")[2])


def shape_bytes(text: str) -> int:
    """
    >>> shape_bytes("f32[1, 2, 3]"), shape_bytes("f32[2], i64[1]"), shape_bytes("str[?]")
    (24, 16, 0)
    """
    total = 0
    for dtype, dims in re.findall(r"(\w+)\[([^\]]*)\]", text):
        sides = [d.strip() for d in dims.split(",") if d.strip()]
        if all(d.isdigit() for d in sides):
            total += SIZES.get(dtype, 1) * math.prod(map(int, sides))
    return total


def _median_steps(runs: Sequence[Sequence[Mapping[str, Any]]]) -> list[Block]:
    """The steps of several runs in their order, without edges."""
    blocks = []
    for i, step in enumerate(runs[0]):
        ns = sorted(run[i]["ns"] for run in runs if i < len(run))
        blocks.append(Block(
            step["name"], step["op"], step["impl"], ns[len(ns) // 2] / 1e6, step["shapes"],
            step["flops"], step["bytes"], step["refused"], step["source"] or ""))  # fmt: skip
    return blocks


def _by_name(steps: Sequence[Block]) -> dict[str, Block]:
    """Steps of one node (a transpose in front of a convolution) as one block."""
    blocks: dict[str, Block] = {}
    for step in steps:
        known = blocks.setdefault(step.name, step)
        if known is step:
            continue
        movers = ("Transpose", "Reshape", "Cast")
        main = step if known.op in movers or step.ms > known.ms else known
        known.ms += step.ms
        known.flops += step.flops
        known.bytes += step.bytes
        if main is step:
            known.op, known.impl, known.refused = step.op, step.impl, step.refused
            known.shapes = step.shapes
    return blocks


def blocks(
    runs: Sequence[Sequence[Mapping[str, Any]]], nodes: Sequence[onnxfile.Node]
) -> list[Block]:
    """The steps of `Model.steps` with the edges of the file's nodes. A node without a step was
    merged into the block that ran last of those it reads. Where names do not tell which step is
    which node, a chain of steps."""
    steps = _median_steps(runs)
    known = _by_name([s for s in steps if s.name])
    index = {name: i for i, name in enumerate(known)}
    found = list(known.values())
    names = [node.name for node in nodes]
    if len(known) < len(steps) / 2 or not set(known) <= set(names) or len(set(names)) < len(names):
        return _chain(steps)
    maker: dict[str, int] = {}  # value to block
    for node in nodes:
        read = [maker[name] for name in node.inputs if name in maker]
        if node.name in index:
            at = index[node.name]
            found[at].parents += [p for p in dict.fromkeys(read) if p not in found[at].parents]
        elif read:
            at = max(read)
            found[at].merged.append(node.op)
            found[at].parents += [
                p for p in dict.fromkeys(read) if p != at and p not in found[at].parents
            ]
        else:
            continue  # of constants only: computed at load
        for value in node.outputs:
            maker[value] = at
        found[at].value = node.outputs[0]
    for i, block in enumerate(found):
        block.parents = [p for p in block.parents if p < i]
    return found


def _chain(steps: list[Block]) -> list[Block]:
    for i, step in enumerate(steps):
        step.parents = [i - 1] if i else []
    return steps


def activation_bytes(found: Sequence[Block]) -> int:
    """What all blocks write together."""
    return sum(block.output_bytes for block in found)
