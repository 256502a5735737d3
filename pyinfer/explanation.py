# SPDX-License-Identifier: Apache-2.0
"""What the engine runs, and why: a model's steps, and the nodes of the file they came from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from .drawing.html import table

if TYPE_CHECKING:
    from .model import Model


class Node(NamedTuple):
    """A node of the file: its name, its operator, the PyTorch line it came from or None."""

    name: str
    op: str
    source: str | None


class PlannedStep(NamedTuple):
    """A step of a plan: the node it is named by, its operator, the implementation, the widest
    instructions this may use ("avx2", "avx512", oneDNN's own name of its kernel, "": not known),
    the layout ("channels-last", "channels-first"; "": of an operator that knows none), shapes, the
    file's nodes that became it, why earlier candidates were refused, what was measured (the option
    tune), and the PyTorch line or None."""

    name: str
    op: str
    impl: str
    isa: str
    layout: str
    shapes: str
    nodes: tuple[Node, ...]
    refused: str
    tuned: str
    source: str | None


def full_name(row: Mapping[str, Any]) -> str:
    """The operator of a step's row: "Conv", "pyinfer.Conv", "pyinfer.Eltwise(Mul, Add)"."""
    domain = f"{row['domain']}." if row["domain"] else ""
    parts = f"({row['parts']})" if row["parts"] else ""
    return f"{domain}{row['op']}{parts}"


class Origins:
    """The nodes of a model's file, as a graph: which of them lie between values of a plan."""

    def __init__(self, model: Model) -> None:
        self.nodes: list[Node] = []
        self.reads: list[tuple[str, ...]] = []  # by node
        self.maker: dict[str, int] = {}  # value to node
        for row, (value, index, reads) in zip(model.inner_rows(), model.inner_edges(), strict=True):
            while len(self.nodes) <= index:
                self.nodes.append(Node("", "", None))
                self.reads.append(())
            self.nodes[index] = Node(row[1], row[2], row[3])
            self.reads[index] = reads
            self.maker.setdefault(value, index)
        self.still: list[bool] = []  # needs no input's numbers: known before the run
        for node, reads in zip(self.nodes, self.reads, strict=True):
            known = all(self._known(name, model.input_names) for name in reads)
            self.still.append(known or node.op in ("Shape", "Size"))

    def _known(self, name: str, inputs: Sequence[str]) -> bool:
        index = self.maker.get(name)
        if index is None:
            return name not in inputs
        return index < len(self.still) and self.still[index]

    def between(self, made: Iterable[str], read: Iterable[str]) -> tuple[Node, ...]:
        """The nodes that make these values out of those, in the order of the file."""
        stop, found = set(read), set[int]()
        todo = [self.maker[name] for name in made if name in self.maker]
        while todo:
            index = todo.pop()
            if index in found:
                continue
            found.add(index)
            for name in self.reads[index]:
                before = self.maker.get(name)
                if before is not None and name not in stop and not self.still[before]:
                    todo.append(before)
        return tuple(self.nodes[i] for i in sorted(found))


def origins(model: Model, plan: Mapping[str, Any]) -> list[tuple[Node, ...]]:
    """For each node of a plan (`plan_rows`) the file's nodes that became it; none for what the
    engine put in. A node that moved into several is in each."""
    graph, values = Origins(model), plan["values"]
    made = [{values[v]["name"] for v in node["out"] if v >= 0} - {""} for node in plan["nodes"]]
    anywhere = set[str]().union(*made)
    found = []
    for node, names in zip(plan["nodes"], made, strict=True):
        read = {values[v]["name"] for v in node["in"] if v >= 0}
        new = names - read  # the others are the same values in other axes
        found.append(graph.between(new, (anywhere | read) - new))
    return found


class Explanation(str):
    """A plan as text, a step a line, then what is known of it; ``steps`` has it as tuples. Shown
    as a table in notebooks."""

    steps: tuple[PlannedStep, ...]

    def __new__(cls, steps: Sequence[PlannedStep], arena: int = 0, packed: int = 0) -> Explanation:
        lines = []
        for i, step in enumerate(steps):
            lines.append(f"{i:4} {step.op} [{step.impl}] {step.name}: {step.shapes}")
            how = ", ".join(filter(None, (step.isa, step.layout)))
            if how:
                lines.append(f"       {how}")
            if len(step.nodes) > 1:
                lines.append(f"       fused: {_listed(step.nodes)}")
            if step.tuned:
                lines.append(f"       tuned: {step.tuned}")
            if step.refused:
                lines.append(f"       refused: {step.refused}")
            if step.source:
                lines.append(f"       from {step.source}")
        lines.append(f"activations {arena / 1e6:.2f} MB, packed weights {packed / 1e6:.2f} MB")
        made = super().__new__(cls, "\n".join(lines))
        made.steps = tuple(steps)
        return made

    def __repr__(self) -> str:
        return str(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return str, (str(self),)

    def _repr_html_(self) -> str:
        head = ("", "operator", "by", "instructions", "layout", "node", "fused", "shapes")
        rows = [
            (
                *(str(i), step.op, step.impl, step.isa, step.layout, step.name),
                _listed(step.nodes) if len(step.nodes) > 1 else "",
                *(step.shapes, step.refused, step.tuned, step.source or ""),
            )
            for i, step in enumerate(self.steps)
        ]
        return table((*head, "refused", "tuned", "from"), rows, self.rpartition("\n")[2])


def _listed(nodes: Sequence[Node]) -> str:
    return ", ".join(f"{node.name or '-'} ({node.op})" for node in nodes)


def explain(model: Model, plan: Mapping[str, Any]) -> Explanation:
    """The plan of ``Model.plan_rows`` in words."""
    nodes = [
        found
        for found, node in zip(origins(model, plan), plan["nodes"], strict=True)
        if not node["view"]
    ]
    steps = [
        PlannedStep(
            *(row["name"], full_name(row), row["impl"], row["isa"], row["layout"], row["shapes"]),
            *(came, row["refused"], row["tuned"], row["source"]),
        )
        for row, came in zip(plan["steps"], nodes, strict=True)
    ]
    return Explanation(steps, plan["arena"], plan["packed"])
