# SPDX-License-Identifier: Apache-2.0
"""The graph of a model as a picture: as the file has it, or as it runs."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .. import _core
from .._units import count_text
from ..explanation import Node, full_name, origins
from . import palette
from .kinds import COLOURS, kind_of
from .svg import Block, svg

if TYPE_CHECKING:
    from ..model import Model
    from ..profile import Profile, Step

PORT = "#F4F4F4"


class GraphPicture:
    """A graph: ``svg`` is the picture, str() has a node a line. Shown in notebooks."""

    def __init__(
        self,
        blocks: Sequence[Block],
        lines: Sequence[str],
        title: str,
        about: str,
        legend: Sequence[tuple[str, str]],
    ) -> None:
        self.blocks = tuple(blocks)
        self.title = title
        self.about = about
        self._lines = lines
        self._legend = tuple(legend)

    @cached_property
    def svg(self) -> str:
        """The picture: blocks with their names under the pointer, shapes beside the edges."""
        return svg(self.blocks, self.title, self.about, self._legend)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the picture as an SVG file."""
        with open(path, "w", encoding="utf-8") as file:
            file.write(self.svg)

    def __str__(self) -> str:
        return "\n".join([f"{self.title}: {self.about}", *self._lines])

    def __repr__(self) -> str:
        return f"<pyinfer.drawing.graph.GraphPicture of {self.title}: {self.about}>"

    def _repr_svg_(self) -> str:
        return self.svg

    def _repr_html_(self) -> str:
        return f'<div style="max-height:48em;overflow:auto">{self.svg}</div>'


def _dims(text: str) -> str:
    """
    >>> _dims("f32[1, 3, 8]"), _dims("i64[2]"), _dims("bool[]"), _dims("f32[...]")
    ('1×3×8', 'i64 2', 'bool scalar', '')
    """
    dtype, dims = re.fullmatch(r"([^[]*)\[?([^]]*)\]?", text).groups()  # type: ignore[union-attr]
    if dims == "...":
        return ""
    sizes = "×".join(d.strip() for d in dims.split(",")) if dims else "scalar"
    return sizes if dtype == "f32" else f"{dtype} {sizes}"


def _title(op: str, came: Sequence[Node]) -> str:
    """What a block does: the file's operators that became it, if they are few, without those that
    only move data where others compute."""
    computing = [node for node in came if kind_of(node.op) != "moving data"] or came
    if len(came) > 1 and len(computing) <= 3:
        return " + ".join(node.op for node in computing)
    return op.partition("(")[0].rpartition(".")[2] + (f" ({len(came)} nodes)" if came[1:] else "")


def _tip(node: Mapping[str, Any], step: Mapping[str, Any] | None, came: Sequence[Node]) -> str:
    lines = [f"{full_name(node)} {node['name']}".strip()]
    if len(came) > 1:
        lines.append("fused: " + ", ".join(f"{n.name or '-'} ({n.op})" for n in came))
    if step:
        how = ", ".join(filter(None, (step["impl"], step["isa"], step["layout"])))
        lines += [f"by {how}", step["shapes"]]
        lines += [f"refused: {step['refused']}"] if step["refused"] else []
    else:
        lines.append("no step: the same memory in another shape")
    sources = dict.fromkeys(s for s in (node["source"], *(n.source for n in came)) if s)
    return "\n".join([*lines, *(f"from {s}" for s in sources)])


def _line(node: Mapping[str, Any], values: Sequence[Mapping[str, Any]]) -> str:
    """ "pyinfer.Conv name: x f32[1, 3], w f32[3, 3] const -> y f32[1, 3]" """

    def listed(ids: Sequence[int]) -> str:
        texts = []
        for v in ids:
            if v >= 0:
                const = " const" if values[v]["kind"] in ("constant", "packed") else ""
                texts.append(f"{values[v]['name']} {values[v]['type']}".strip() + const)
        return ", ".join(texts)

    inputs = [v for v in node["in"] if v < 0 or values[v]["kind"] not in ("constant", "packed")]
    return f"{full_name(node)} {node['name']}: {listed(inputs)} -> {listed(node['out'])}"


class _Builder:
    def __init__(self, model: Model, plan: Mapping[str, Any], profile: Profile | None) -> None:
        self.model, self.plan = model, plan
        self.values: list[dict[str, Any]] = plan["values"]
        self.blocks: list[Block] = []
        self.maker: dict[int, int] = {}  # value to block
        self.times: list[Step] = profile.steps if profile else []
        if profile and [s.name for s in self.times] != [s["name"] for s in plan["steps"]]:
            raise _core.InputError("the profile is of other steps: measure with the same inputs")
        self.slowest = max((step.ms for step in self.times), default=0.0) or 1.0

    def port(self, name: str, what: str, ids: Sequence[int], parents: tuple[int, ...]) -> None:
        label = "" if parents else _dims(self.values[ids[0]]["type"])
        tip = f"{what} {name}\n{self.values[ids[0]]['type']}"
        self.blocks.append(Block(name or what, "", tip, PORT, parents, label, True))

    def inputs(self) -> None:
        made = {v for node in self.plan["nodes"] for v in node["out"]}
        for node in self.plan["nodes"]:
            for v in node["in"]:
                row = self.values[v]
                if v < 0 or v in made or v in self.maker or row["kind"] in ("constant", "packed"):
                    continue
                self.maker[v] = len(self.blocks)
                self.port(row["name"], "input", [v], ())

    def nodes(self, came: Sequence[Sequence[Node]], planned: bool) -> None:
        at = 0
        for node, nodes in zip(self.plan["nodes"], came, strict=True):
            step = None if node["view"] else self.plan["steps"][at]
            time = self.times[at] if step and self.times else None
            at += step is not None
            op = full_name(node)
            note = node["name"]
            if planned and step:
                note = step["impl"]
                note += f", {time.ms:.3f} ms" if time else f", {step['isa']}" * bool(step["isa"])
            colour = COLOURS[kind_of(op)]
            if self.times:
                colour = palette.heat(time.ms / self.slowest if time else 0)
            labels = [_dims(self.values[v]["type"]) for v in node["out"] if v >= 0]
            labels = list(dict.fromkeys(filter(None, labels)))
            parents = dict.fromkeys(self.maker[v] for v in node["in"] if v in self.maker)
            flat = planned and step is None
            self.blocks.append(
                Block(
                    *(_title(op, nodes), note, _tip(node, step, nodes)),
                    PORT if flat else colour,
                    tuple(parents),
                    ", ".join(labels[:2]) + ", …" * (len(labels) > 2),
                    flat,
                    flat,
                )
            )
            for v in node["out"]:
                self.maker[v] = len(self.blocks) - 1

    def outputs(self) -> None:
        last: dict[str, int] = {}
        for v in sorted(self.maker, key=lambda v: self.maker[v]):
            last[self.values[v]["name"]] = v
        for name, _, _ in self.model.output_rows:
            if name in last:
                self.port(name, "output", [last[name]], (self.maker[last[name]],))

    def legend(self) -> list[tuple[str, str]]:
        if self.times:
            parts = (0.0, 0.25, 0.5, 1.0)
            return [(palette.heat(p), f"{p * self.slowest:.3f} ms") for p in parts]
        kinds = {kind_of(full_name(n)) for n in self.plan["nodes"]}
        return [(colour, kind) for kind, colour in COLOURS.items() if kind in kinds]

    def picture(self, came: Sequence[Sequence[Node]], planned: bool) -> GraphPicture:
        self.inputs()
        self.nodes(came, planned)
        self.outputs()
        views = sum(node["view"] for node in self.plan["nodes"])
        count = len(self.plan["nodes"])
        source = self.model._recipe[0]
        title = os.path.basename(source) if isinstance(source, str) else "a model"
        if planned:
            steps = f"{count_text(count - views, 'step')}, {count_text(views, 'view')}"
            about = f"as it runs, after the passes: {steps}"
        else:
            about = f"as in the file, before the passes: {count_text(count, 'node')}"
        if self.times:
            about += f", {sum(step.ms for step in self.times):.3f} ms"
        lines = [_line(node, self.values) for node in self.plan["nodes"]]
        return GraphPicture(self.blocks, lines, title, about, self.legend())


def plan_picture(model: Model, arrays: tuple[Any, ...], profile: Profile | None) -> GraphPicture:
    """What runs for these arrays."""
    plan = model.plan_rows(arrays)
    return _Builder(model, plan, profile).picture(origins(model, plan), True)


def file_picture(model: Model, arrays: tuple[Any, ...], profile: Profile | None) -> GraphPicture:
    """The nodes of the file, functions expanded, with the shapes that these arrays make."""
    from ..model import _load

    source, options, folder, _ = model._recipe
    with _load(source, {**options, "level": 0, "tune": 0}, folder) as plain:
        plan = plain.plan_rows(arrays)
        return _Builder(plain, plan, profile).picture([()] * len(plan["nodes"]), False)
