# SPDX-License-Identifier: Apache-2.0
"""Graphs that are none: what is wrong is told with the names of the node and the value."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import pyinfer
from hostile.small import constant, load, model, port

Node = helper.make_node


def graph(*nodes: onnx.NodeProto, **more: object) -> onnx.ModelProto:
    return model(nodes, [port("x", [2])], [port("y")], **more)  # type: ignore[arg-type]


BROKEN = {
    "value that nobody makes": (graph(Node("Relu", ["gone"], ["y"], name="act")), ("Relu 'act'", "'gone'")),
    "output that nobody makes": (graph(Node("Relu", ["x"], ["t"])), ("output 'y'", "not an input")),
    "two nodes, one name": (graph(Node("Relu", ["x"], ["y"]), Node("Abs", ["x"], ["y"], name="second")), ("Abs 'second' (#1)", "'y'")),
    "a node makes an input": (graph(Node("Relu", ["x"], ["x"]), Node("Relu", ["x"], ["y"])), ("'x'",)),
    "a node makes a constant": (graph(Node("Relu", ["x"], ["c"]), Node("Relu", ["c"], ["y"]), constants=[constant("c", [1])]), ("'c'",)),
    "two constants, one name": (graph(Node("Relu", ["x"], ["y"]), constants=[constant("c", [1])] * 2), ("'c'",)),
    "a constant without name": (graph(Node("Relu", ["x"], ["y"]), constants=[constant("", [1])]), ("no name",)),
    "a cycle of two": (graph(Node("Add", ["x", "b"], ["a"]), Node("Abs", ["a"], ["b"]), Node("Abs", ["b"], ["y"])), ("cycle",)),
    "a node that reads itself": (graph(Node("Add", ["x", "y"], ["y"])), ("cycle",)),
    "no operator": (graph(Node("", ["x"], ["y"])), ("#0", "no operator")),
    "too few inputs": (graph(Node("Add", ["x"], ["y"], name="sum")), ("Add 'sum'", "input 1")),
    "an empty name where one is needed": (graph(Node("Add", ["", "x"], ["y"])), ("input 0",)),
    "too many inputs": (graph(Node("Relu", ["x", "x", "x"], ["y"])), ("3 inputs",)),
    "an attribute twice": (graph(Node("LeakyRelu", ["x"], ["y"], alpha=0.1)), ("'alpha'", "twice")),
    "an attribute of the wrong kind": (graph(Node("LeakyRelu", ["x"], ["y"], alpha=[1, 2])), ("'alpha'",)),
    "an unknown attribute": (graph(Node("Relu", ["x"], ["y"], beta=1)), ("'beta'",)),
    "a reference outside of functions": (graph(Node("LeakyRelu", ["x"], ["y"])), ("'alpha'", "function")),
    "a constant without value": (graph(Node("Constant", [], ["y"], name="k")), ("Constant 'k'", "no value")),
    "the engine's own domain": (graph(Node("Conv", ["x"], ["y"], domain="pyinfer")), ("'pyinfer'",)),
}  # fmt: skip
BROKEN["an attribute twice"][0].graph.node[0].attribute.add(name="alpha", f=1.0, type=1)
BROKEN["a reference outside of functions"][0].graph.node[0].attribute.add(
    name="alpha", ref_attr_name="z", type=1
)


@pytest.mark.parametrize("case", BROKEN)
def test_broken_graph(case: str) -> None:
    made, parts = BROKEN[case]
    with pytest.raises(pyinfer.ModelError) as error:
        load(made.SerializeToString())
    for part in parts:
        assert part in str(error.value)


def test_order_of_nodes_does_not_matter() -> None:
    nodes = [Node("Abs", ["t"], ["y"]), Node("Neg", ["x"], ["t"])]
    assert load(graph(*nodes).SerializeToString()).run({"x": np.float32([1, -2])})[
        "y"
    ].tolist() == [1, 2]


def test_all_missing_operators_are_named() -> None:
    nodes = [
        Node("Nope", ["x"], ["a"], name="n1"),
        Node("Nope", ["a"], ["b"]),
        Node("Far", ["b"], ["y"], domain="com.example"),
    ]
    made = graph(*nodes)
    trace = 'File "/me/net.py", line 7, in forward\n    y = nope(x)\nFile "/usr/site-packages/torch/x.py", line 1, in f\n    z'
    made.graph.node[0].metadata_props.add(key="pkg.torch.onnx.stack_trace", value=trace)
    with pytest.raises(pyinfer.UnsupportedError) as error:
        load(made.SerializeToString())
    text = str(error.value)
    assert text.startswith(
        "2 operators of this model are not supported: Nope (opset 20, 2 nodes: 'n1' "
    )
    assert (
        "from net.py:7, in forward: y = nope(x); and 1 more); " in text
        and "com.example.Far (opset 1, 1 node)" in text
    )


def test_the_line_of_the_users_code_is_told() -> None:
    made = graph(Node("Add", ["x", "gone"], ["y"], name="sum"))
    trace = 'File "/me/net.py", line 7, in forward\n    y = x + z'
    made.graph.node[0].metadata_props.add(key="pkg.torch.onnx.stack_trace", value=trace)
    with pytest.raises(
        pyinfer.ModelError,
        match=r"^Add 'sum' \(#0\), from net.py:7, in forward: y = x \+ z: 'gone' is not",
    ):
        load(made.SerializeToString())


def test_a_constant_that_is_an_input_too_is_a_constant() -> None:
    made = graph(Node("Add", ["x", "c"], ["y"]), constants=[constant("c", [1, 2])], ir=3)
    made.graph.input.append(port("c", [2]))
    loaded = load(made.SerializeToString())
    assert [row.name for row in loaded.inputs] == ["x"]
    assert loaded.run({"x": np.float32([1, 1])})["y"].tolist() == [2, 3]


def nested(*kinds: str) -> onnx.TypeProto:
    """nested("sequence", "optional"): a sequence of optionals of tensors."""
    found = helper.make_tensor_type_proto(TensorProto.FLOAT, [2])
    for kind in reversed(kinds):
        make = (
            helper.make_sequence_type_proto
            if kind == "sequence"
            else helper.make_optional_type_proto
        )
        found = make(found)
    return found


@pytest.mark.parametrize(
    "kinds, text",
    [
        (("sequence", "sequence"), "it is a sequence in a sequence"),
        (("sequence", "optional"), "it is an optional in a sequence"),
        (("optional", "optional"), "it is an optional in an optional"),
        (("optional", "sequence", "sequence"), "it is a sequence in a sequence"),
        (("optional",) * 20, "it is an optional in an optional"),
    ],
)
def test_nested_types_are_refused_by_name(kinds: tuple[str, ...], text: str) -> None:
    made = model([Node("Relu", ["x"], ["y"])], [port("x", [2])], [port("y")])
    made.graph.input.append(helper.make_value_info("many", nested(*kinds)))
    with pytest.raises(pyinfer.UnsupportedError, match=f"input 'many': {text}: only tensors"):
        load(made.SerializeToString())


def test_maps_are_refused_by_name() -> None:
    made = model([Node("Relu", ["x"], ["y"])], [port("x", [2])], [port("y")])
    made.graph.input.append(onnx.ValueInfoProto(name="many"))
    made.graph.input[-1].type.map_type.key_type = TensorProto.INT64
    with pytest.raises(pyinfer.UnsupportedError, match="input 'many': it is a map"):
        load(made.SerializeToString())


def test_names_of_any_bytes_are_shown() -> None:
    made = graph(Node("Relu", ["gone"], ["y"], name="NAME"))
    raw = made.SerializeToString().replace(b"NAME", b"\xff\x00\n\x80")
    with pytest.raises(pyinfer.ModelError, match=r"Relu '\?\?\?\?' \(#0\)"):
        load(raw)
