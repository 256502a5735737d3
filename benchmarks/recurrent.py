# SPDX-License-Identifier: Apache-2.0
"""Recurrent models for models.py, written as PyTorch's exporter writes them, with random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def lstm(path: Path, layers: int, hidden: int, steps: int, batch: int) -> dict[str, np.ndarray]:
    """Writes a stack of LSTM layers; returns an input."""
    rng = np.random.default_rng(1)
    bound = hidden**-0.5

    def weights(name: str, *shape: int) -> str:
        value = rng.uniform(-bound, bound, shape).astype(np.float32)
        constants.append(numpy_helper.from_array(value, name))
        return name

    shape = [steps, batch, hidden]
    constants = [numpy_helper.from_array(np.array(shape, np.int64), "shape")]
    nodes, x = [], "x"
    for i in range(layers):
        w, r = (weights(f"{name}{i}", 1, 4 * hidden, hidden) for name in "WR")
        inputs = [x, w, r, weights(f"B{i}", 1, 8 * hidden)]
        nodes.append(helper.make_node("LSTM", inputs, [f"y{i}"], hidden_size=hidden))
        x = "y" if i + 1 == layers else f"x{i}"
        nodes.append(helper.make_node("Reshape", [f"y{i}", "shape"], [x]))
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in ("x", "y")]
    graph = helper.make_graph(nodes, "lstm", ends[:1], ends[1:], constants)
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    return {"x": rng.standard_normal(shape, np.float32)}
