# SPDX-License-Identifier: Apache-2.0
"""Local functions: expanded as the standard says, and never without a bound."""

import numpy as np
import onnx
import onnx.inliner
import pytest
from onnx import helper
from onnx.reference import ReferenceEvaluator

import pyinfer
from hostile.small import call, function, load, model, port, refer, survive

Node = helper.make_node
FLOAT, INT, INTS = 1, 2, 7


def same_as_reference(made: onnx.ModelProto) -> None:
    x = np.float32([[-1, 2, -3], [4, -5, 6]])
    expected = ReferenceEvaluator(onnx.inliner.inline_local_functions(made)).run(None, {"x": x})
    got = load(made.SerializeToString()).run({"x": x})
    for want, have in zip(expected, got.values(), strict=True):
        np.testing.assert_allclose(have, want, rtol=1e-6)


def calling(
    *nodes: onnx.NodeProto, functions: list[onnx.FunctionProto], outputs: tuple[str, ...] = ("y",)
) -> onnx.ModelProto:
    return model(
        nodes, [port("x", ["N", 3])], [port(name) for name in outputs], functions=functions
    )


def test_attributes_are_passed_on() -> None:
    inner = function(
        "Inner",
        ["a"],
        ["b"],
        [refer(Node("LeakyRelu", ["a"], ["b"]), "alpha", "slope", FLOAT)],
        ["slope"],
    )
    outer = function(
        "Outer", ["a"], ["b"], [refer(call("Inner", ["a"], ["b"]), "slope", "s", FLOAT)], ["s"]
    )
    same_as_reference(
        calling(
            call("Outer", ["x"], ["t"], s=0.25),
            call("Outer", ["t"], ["y"], s=0.5),
            functions=[inner, outer],
        )
    )


def test_defaults_of_attributes() -> None:
    body = [refer(Node("LeakyRelu", ["a"], ["b"]), "alpha", "slope", FLOAT)]
    f = function("F", ["a"], ["b"], body, defaults=[helper.make_attribute("slope", 0.125)])
    loaded = load(
        calling(
            call("F", ["x"], ["t"]), call("F", ["t"], ["y"], slope=0.5), functions=[f]
        ).SerializeToString()
    )
    assert loaded.run({"x": np.float32([[-1, 0, 1]])})["y"].tolist() == [[-0.0625, 0, 1]]


def test_an_attribute_that_is_not_given_is_left_out() -> None:
    f = function(
        "F",
        ["a"],
        ["b"],
        [refer(Node("LeakyRelu", ["a"], ["b"]), "alpha", "slope", FLOAT)],
        ["slope"],
    )
    loaded = load(calling(call("F", ["x"], ["y"]), functions=[f]).SerializeToString())
    assert loaded.run({"x": np.float32([[-1, 0, 1]])})["y"].tolist() == [[np.float32(-0.01), 0, 1]]


def test_constants_of_attributes() -> None:
    body = [
        refer(Node("Constant", [], ["k"]), "value_ints", "perm", INTS),
        Node("Reshape", ["a", "k"], ["b"]),
    ]
    f = function("F", ["a"], ["b"], body, ["perm"])
    same_as_reference(calling(call("F", ["x"], ["y"], perm=[-1]), functions=[f]))


def test_inputs_that_are_left_out() -> None:
    f = function("F", ["a", "low", "high"], ["b"], [Node("Clip", ["a", "low", "high"], ["b"])])
    zero = Node("Constant", [], ["zero"], value_float=0.0)
    same_as_reference(
        calling(
            zero,
            call("F", ["x", "zero"], ["t"]),
            call("F", ["t", "", "zero"], ["y"]),
            functions=[f],
        )
    )


def test_outputs_that_are_inputs_or_not_wanted() -> None:
    f = function(
        "F", ["a"], ["b", "a", "c"], [Node("Neg", ["a"], ["b"]), Node("Abs", ["a"], ["c"])]
    )
    nodes = [
        call("F", ["x"], ["n", "same"]),
        Node("Add", ["n", "same"], ["y"]),
        call("F", ["x"], ["", "", "z"]),
    ]
    got = load(calling(*nodes, functions=[f], outputs=("y", "z")).SerializeToString()).run(
        {"x": np.float32([[1, -2, 3]])}
    )
    assert got["y"].tolist() == [[0, 0, 0]] and got["z"].tolist() == [[1, 2, 3]]


def test_names_inside_do_not_meet_names_outside() -> None:
    f = function("F", ["x"], ["y"], [Node("Neg", ["x"], ["t"]), Node("Abs", ["t"], ["y"])])
    nodes = [call("F", ["x"], ["t"]), call("F", ["t"], ["u"]), Node("Sub", ["u", "t"], ["y"])]
    same_as_reference(calling(*nodes, functions=[f]))


def test_overloads() -> None:
    one, two = (function("F", ["a"], ["b"], [Node(op, ["a"], ["b"])]) for op in ("Neg", "Abs"))
    one.overload, two.overload = "one", "two"
    first, second = call("F", ["x"], ["t"]), call("F", ["t"], ["y"])
    first.overload, second.overload = "two", "one"
    loaded = load(calling(first, second, functions=[one, two]).SerializeToString())
    assert loaded.run({"x": np.float32([[1, -2, 3]])})["y"].tolist() == [[-1, -2, -3]]


def test_a_wrong_kind_of_attribute() -> None:
    f = function(
        "F",
        ["a"],
        ["b"],
        [refer(Node("LeakyRelu", ["a"], ["b"]), "alpha", "slope", FLOAT)],
        ["slope"],
    )
    with pytest.raises(pyinfer.ModelError, match="attribute 'alpha' wants kind 1"):
        load(calling(call("F", ["x"], ["y"], slope="steep"), functions=[f]).SerializeToString())


@pytest.mark.parametrize("k", [10, 20, 30, 40, 60])
def test_doubling(k: int) -> None:
    functions = [
        function(
            f"F{i}",
            ["a"],
            ["b"],
            [call(f"F{i + 1}", ["a"], ["t"]), call(f"F{i + 1}", ["t"], ["b"])],
        )
        for i in range(k)
    ]
    functions.append(function(f"F{k}", ["a"], ["b"], [Node("Relu", ["a"], ["b"])]))
    line = survive([calling(call("F0", ["x"], ["y"]), functions=functions).SerializeToString()])[0]
    assert (
        line == "ok"
        if k == 10
        else line.startswith("LimitError: the model has") and "expanded" in line
    )


@pytest.mark.parametrize("depth", [60, 100, 3000])
def test_chains(depth: int) -> None:
    functions = [
        function(f"F{i}", ["a"], ["b"], [call(f"F{i + 1}", ["a"], ["b"])]) for i in range(depth)
    ]
    functions.append(function(f"F{depth}", ["a"], ["b"], [Node("Relu", ["a"], ["b"])]))
    line = survive(
        [calling(call("F0", ["x"], ["y"]), functions=functions).SerializeToString()], stack=1 << 18
    )[0]
    assert (
        line == "ok" if depth == 60 else "LimitError" in line and "nested more than 64 deep" in line
    )


@pytest.mark.parametrize("n", [1, 2, 1000])
def test_calls_in_a_circle(n: int) -> None:
    functions = [
        function(f"F{i}", ["a"], ["b"], [call(f"F{(i + 1) % n}", ["a"], ["b"])]) for i in range(n)
    ]
    with pytest.raises(pyinfer.ModelError, match="calls itself"):
        load(calling(call("F0", ["x"], ["y"]), functions=functions).SerializeToString())


def test_wide_bodies_are_counted_too() -> None:
    wide = function("W", ["a"], ["b"], [Node("Sum", ["a"] * 60_000, ["b"])])
    many = function(
        "M", ["a"], ["b"], [call("W", ["a"], ["b" if i == 0 else f"b{i}"]) for i in range(5_000)]
    )
    line = survive([calling(call("M", ["x"], ["y"]), functions=[wide, many]).SerializeToString()])[
        0
    ]
    assert line.startswith("LimitError: the model has") and "bytes of functions" in line
