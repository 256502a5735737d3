# SPDX-License-Identifier: Apache-2.0
"""Sequences inside of a model become the tensors in them, at every level of optimisation."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import pyinfer

X = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


def run(
    nodes: list[onnx.NodeProto], constants: dict[str, Any], shape: list[Any], level: int = 2
) -> np.ndarray:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
        [helper.make_empty_tensor_value_info("y")],
        [numpy_helper.from_array(np.array(v), k) for k, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return pyinfer.load(model.SerializeToString(), level=level).run({"x": X})["y"]


def node(op: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), outputs.split(), **attributes)


@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize("shape", [[2, 3, 4], ["a", "b", "c"]])
def test_taken_apart(level: int, shape: list[Any]) -> None:
    unbind = [node("SplitToSequence", "x", "s", axis=1, keepdims=0), node("SequenceAt", "s p", "y")]
    np.testing.assert_array_equal(run(unbind, {"p": -1}, shape, level), X[:, -1])
    torch = [
        node("SplitToSequence", "x n", "s", axis=1, keepdims=0),
        node("SequenceAt", "s p", "y"),
    ]
    got = run(torch, {"p": -1, "n": 1}, shape, level)
    np.testing.assert_array_equal(got, X[:, -1])
    chunk = [node("SplitToSequence", "x n", "s", axis=2), node("SequenceAt", "s p", "y")]
    np.testing.assert_array_equal(run(chunk, {"p": 1, "n": 3}, shape, level), X[:, :, 3:])
    length = [node("SplitToSequence", "x n", "s", axis=2), node("SequenceLength", "s", "y")]
    np.testing.assert_array_equal(run(length, {"n": 3}, shape, level), 2)
    nested = [
        node("SplitToSequence", "x n", "s", axis=2),
        node("SequenceAt", "s p", "a"),
        node("SplitToSequence", "a n2", "t", axis=0),
        node("SequenceAt", "t p", "b"),
        node("SequenceConstruct", "b b", "q"),
        node("ConcatFromSequence", "q", "y", axis=2),
    ]
    part = X[1:, :, 3:]
    got = run(nested, {"p": 1, "n": [3, 1], "n2": 1}, shape, level)
    np.testing.assert_array_equal(got, np.concatenate([part, part], 2))


BUILT = [
    node("SequenceEmpty", "", "s0"),
    node("SequenceInsert", "s0 x", "s1"),
    node("Neg", "x", "n"),
    node("SequenceInsert", "s1 n", "s2"),
    node("Abs", "x", "a"),
    node("SequenceInsert", "s2 a p0", "s3"),
    node("SequenceInsert", "s3 n p_2", "s4"),
    node("SequenceErase", "s4 p0", "s5"),
    node("SequenceErase", "s5", "s6"),
    node("Identity", "s6", "s"),
]


@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize("shape", [[2, 3, 4], ["a", "b", "c"]])
def test_built_step_by_step(level: int, shape: list[Any]) -> None:
    """a x n -> a n x n -> n x n -> n x"""
    constants = {"p0": 0, "p_2": -2}
    stack = [*BUILT, node("ConcatFromSequence", "s", "y", axis=-2, new_axis=1)]
    np.testing.assert_array_equal(run(stack, constants, shape, level), np.stack([-X, X], -2))
    concat = [*BUILT, node("ConcatFromSequence", "s", "y", axis=1)]
    np.testing.assert_array_equal(run(concat, constants, shape, level), np.concatenate([-X, X], 1))
    at = [*BUILT[:6], node("SequenceAt", "s3 p_2", "y")]
    np.testing.assert_array_equal(run(at, constants, shape, level), X)


def test_no_sequence_is_left() -> None:
    ports = [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["a", "b", "c"])]
    nodes = [*BUILT[:9], node("ConcatFromSequence", "s6", "y", axis=1, new_axis=1)]
    constants = [numpy_helper.from_array(np.array(v), k) for k, v in {"p0": 0, "p_2": -2}.items()]
    outputs = [helper.make_empty_tensor_value_info("y")]
    graph = helper.make_graph(nodes, "g", ports, outputs, constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    assert "Sequence" not in pyinfer.load(made.SerializeToString()).graph_text()


def test_what_only_the_run_can_refuse() -> None:
    late = [*BUILT[:3], node("SequenceErase", "s1 p", "s2"), node("SequenceAt", "s2 p0", "y")]
    with pytest.raises(pyinfer.InputError, match="position 1 is out of range for a sequence of 1"):
        run(late, {"p": 1, "p0": 0}, [2, 3, 4])
    with pytest.raises(pyinfer.InputError, match="position 0 is out of range for a sequence of 0"):
        run(late, {"p": 0, "p0": 0}, [2, 3, 4])
    far = [*BUILT[:2], node("SequenceInsert", "s1 x p", "s2"), node("SequenceAt", "s2 p", "y")]
    for p in (2, -2, 2**62, -(2**63)):
        with pytest.raises(pyinfer.InputError, match="position -?[0-9]+ is out of range"):
            run(far, {"p": p}, [2, 3, 4])
    wrong = [
        node("SequenceEmpty", "", "s0", dtype=onnx.TensorProto.INT64),
        node("SequenceInsert", "s0 x", "s"),
        node("SequenceLength", "s", "y"),
    ]
    with pytest.raises(pyinfer.InputError, match="a tensor of f32 cannot be inserted"):
        run(wrong, {}, [2, 3, 4])


def test_long_lists() -> None:
    """More steps than are put together at once."""
    nodes = [node("SequenceEmpty", "", "s0")]
    nodes += [node("SequenceInsert", f"s{i} x", f"s{i + 1}") for i in range(600)]
    nodes += [node("SequenceLength", "s600", "y")]
    assert run(nodes, {}, [2, 3, 4]) == 600


def test_mistakes() -> None:
    at = node("SequenceAt", "s p", "y")
    with pytest.raises(pyinfer.ModelError, match="position 7 is out of range for a sequence of 3"):
        run([node("SplitToSequence", "x", "s", axis=1), at], {"p": 7}, [2, 3, 4])
    with pytest.raises(pyinfer.ModelError, match="axis 5 is out of range"):
        run([node("SplitToSequence", "x", "s", axis=5), at], {"p": 0}, [2, 3, 4])
    with pytest.raises(pyinfer.ModelError, match="sum to 10"):
        run([node("SplitToSequence", "x n", "s", axis=2), at], {"p": 0, "n": [3, 7]}, [2, 3, 4])
