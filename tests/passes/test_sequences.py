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


def test_mistakes() -> None:
    at = node("SequenceAt", "s p", "y")
    with pytest.raises(pyinfer.ModelError, match="position 7 is out of range for a sequence of 3"):
        run([node("SplitToSequence", "x", "s", axis=1), at], {"p": 7}, [2, 3, 4])
    with pytest.raises(pyinfer.ModelError, match="axis 5 is out of range"):
        run([node("SplitToSequence", "x", "s", axis=5), at], {"p": 0}, [2, 3, 4])
    with pytest.raises(pyinfer.ModelError, match="sum to 10"):
        run([node("SplitToSequence", "x n", "s", axis=2), at], {"p": 0, "n": [3, 7]}, [2, 3, 4])
