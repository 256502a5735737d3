# SPDX-License-Identifier: Apache-2.0
"""Small models, as bytes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[tuple[str, Any, Sequence[int | str]]],
    outputs: Sequence[tuple[str, Any, Sequence[int | str]]],
    weights: dict[str, np.ndarray] | None = None,
    opset: int = 17,
) -> bytes:
    """A checked model. inputs and outputs: name, NumPy type, shape."""

    def ports(rows: Sequence[tuple[str, Any, Sequence[int | str]]]) -> list[onnx.ValueInfoProto]:
        return [
            helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(np.dtype(t)), list(s))
            if t is not str
            else helper.make_tensor_value_info(n, TensorProto.STRING, list(s))
            for n, t, s in rows
        ]

    kept = [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()]
    graph = helper.make_graph(list(nodes), "tiny", ports(inputs), ports(outputs), kept)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(proto)
    return bytes(proto.SerializeToString())


def linear() -> bytes:
    """y = x @ w + b: x is [n, 3], y is [n, 2]; ones give [6.5, -5.75]."""
    return model(
        [helper.make_node("MatMul", ["x", "w"], ["xw"]), helper.make_node("Add", ["xw", "b"], ["y"])],
        [("x", np.float32, ["n", 3])],
        [("y", np.float32, ["n", 2])],
        {"w": np.float32([[1, -1], [2, -2], [3, -3]]), "b": np.float32([0.5, 0.25])},
    )


def two() -> bytes:
    """s = a + b, d = a - b, of int64 vectors."""
    return model(
        [helper.make_node("Add", ["a", "b"], ["s"]), helper.make_node("Sub", ["a", "b"], ["d"])],
        [("a", np.int64, ["n"]), ("b", np.int64, ["n"])],
        [("s", np.int64, ["n"]), ("d", np.int64, ["n"])],
    )


def long(steps: int = 3000, width: int = 1024) -> bytes:
    """y = x through many matrix products: quick for one row, more than a minute for some thousands."""
    names = ["x", *(f"v{i}" for i in range(1, steps)), "y"]
    return model(
        [helper.make_node("MatMul", [a, "w"], [b]) for a, b in zip(names, names[1:], strict=False)],
        [("x", np.float32, ["n", width])],
        [("y", np.float32, ["n", width])],
        {"w": np.eye(width, dtype=np.float32)},
    )
