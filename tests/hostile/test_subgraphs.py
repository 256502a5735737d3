# SPDX-License-Identifier: Apache-2.0
"""Subgraphs: nested without end, hiding names, reading what is not there."""

import onnx
import pytest
from onnx import TensorProto, helper

from hostile.small import field, model, port, survive

Node = helper.make_node


def nested(depth: int, kind: str = "If") -> bytes:
    """If in If in If ...; the innermost reads the outermost input. Written by hand: protobuf stops at a depth of 100."""
    inner = Node("Relu", ["x"], ["i"])
    graph = field(1, inner.SerializeToString()) + field(12, port("i").SerializeToString())
    for level in range(depth):
        name = "y" if level == depth - 1 else "i"
        node = field(1, b"c") + field(2, name.encode()) + field(4, kind.encode())
        for branch in (b"then_branch", b"else_branch") if level == 0 else (b"then_branch",):
            node += field(5, field(1, branch) + field(6, graph) + b"\xa0\x01\x05")
        graph = field(1, node) + field(12, port(name).SerializeToString())
    graph += field(11, port("x", [2]).SerializeToString()) + field(
        11, port("c", [], TensorProto.BOOL).SerializeToString()
    )
    made = model([Node("Relu", ["x"], ["y"])])
    made.ClearField("graph")
    return made.SerializeToString() + field(7, graph)


@pytest.mark.parametrize("depth", [10, 60, 70, 100, 1000, 10_000])
@pytest.mark.parametrize("kind", ["If", "Mystery"])
def test_depth(depth: int, kind: str) -> None:
    line = survive([nested(depth, kind)], stack=1 << 18, seconds=100)[0]
    if depth > 64:
        assert line.startswith("LimitError") and "nested more than 64 deep" in line
    elif kind == "Mystery":
        assert line.startswith("UnsupportedError: 1 operator") and f"{depth} nodes" in line
    else:
        assert not line.startswith("PyinferError")


def test_deep_types() -> None:
    """A sequence of sequences of ... is no reason to recurse."""
    kind = b""
    for _ in range(10_000):
        kind = field(4, field(1, kind))
    graph = model([Node("Relu", ["x"], ["y"])], [], [port("y")]).graph.SerializeToString()
    graph += field(11, field(1, b"x") + field(2, kind))
    data = model([]).SerializeToString()
    whole = onnx.ModelProto(ir_version=10).SerializeToString() + field(7, graph)
    lines = survive([whole, data], stack=1 << 18)
    assert lines[0].startswith("UnsupportedError: input 'x': it is a sequence")
    assert lines[1].startswith("ModelError")


def around(*body: onnx.NodeProto, result: str = "b") -> bytes:
    """An If whose branches are this body, between two nodes."""
    branch = helper.make_graph(list(body), "branch", [], [port(result)])
    nodes = [
        Node("Abs", ["x"], ["a"]),
        Node("If", ["c"], ["y"], name="choice", then_branch=branch, else_branch=branch),
        Node("Abs", ["y"], ["z"]),
    ]
    inputs = [port("x", [2]), port("c", [], TensorProto.BOOL)]
    return model(nodes, inputs, [port("z")]).SerializeToString()


@pytest.mark.parametrize(
    ("data", "parts"),
    [
        (
            around(Node("Abs", ["a"], ["x"]), result="x"),
            ("If 'choice' (#1): Abs (#0)", "hides", "'x'"),
        ),
        (around(Node("Abs", ["a"], ["a"]), result="a"), ("hides", "'a'")),
        (around(Node("Abs", ["gone"], ["b"])), ("If 'choice' (#1): Abs (#0): 'gone'",)),
        (around(Node("Abs", ["a"], ["b"]), Node("Neg", ["a"], ["b"])), ("Neg (#1)", "'b'")),
        (around(Node("Add", ["a", "b"], ["b"])), ("cycle",)),
    ],
)
def test_broken_bodies(data: bytes, parts: tuple[str, ...]) -> None:
    line = survive([data])[0]
    if not (line.startswith("UnsupportedError") and "If" in line):
        assert line.startswith("ModelError")
        for part in parts:
            assert part in line, line


@pytest.mark.parametrize("name", ["y", "z"])
def test_names_that_the_outer_graph_makes_later_are_free(name: str) -> None:
    line = survive([around(Node("Abs", ["a"], [name]), result=name)])[0]
    assert line == "ok" or "If" in line


def test_a_node_has_few_subgraphs() -> None:
    graphs = {
        f"g{i}": helper.make_graph([Node("Abs", ["x"], ["i"])], "g", [], [port("i")])
        for i in range(200)
    }
    data = model(
        [Node("Mystery", ["x"], ["y"], **graphs)], [port("x", [2])], [port("y")]
    ).SerializeToString()
    assert survive([data])[0].startswith("LimitError: Mystery (#0): more than 4 subgraphs")
