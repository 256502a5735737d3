# SPDX-License-Identifier: Apache-2.0
"""A model of one node, run on arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

import pyinfer


def model(
    op: str,
    inputs: Sequence[np.ndarray | None],
    outputs: int = 1,
    opset: int = 21,
    constants: bool = False,
    **attributes: Any,
) -> bytes:
    """The node's inputs are graph inputs; with `constants` all but the first are initializers."""
    names = ["" if x is None else f"x{i}" for i, x in enumerate(inputs)]
    kept = [not constants or i == 0 for i in range(len(inputs))]
    infos = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
        for n, x, k in zip(names, inputs, kept, strict=True)
        if x is not None and k
    ]
    weights = [
        numpy_helper.from_array(x, n)
        for n, x, k in zip(names, inputs, kept, strict=True)
        if x is not None and not k
    ]
    results = [f"y{i}" for i in range(outputs)]
    graph = helper.make_graph(
        [helper.make_node(op, names, results, **attributes)],
        "one",
        infos,
        [helper.make_empty_tensor_value_info(y) for y in results],
        weights,
    )
    opsets = [helper.make_opsetid("", opset)]
    return onnx.ModelProto.SerializeToString(
        helper.make_model(graph, opset_imports=opsets, ir_version=9)
    )


def run(
    op: str,
    inputs: Sequence[np.ndarray | None],
    outputs: int = 1,
    opset: int = 21,
    constants: bool = False,
    **attributes: Any,
) -> list[np.ndarray]:
    """All outputs of the node."""
    m = pyinfer.load(model(op, inputs, outputs, opset, constants, **attributes), threads=2)
    feeds = {
        f"x{i}": np.array(x, order="C")
        for i, x in enumerate(inputs)
        if x is not None and not (constants and i > 0)
    }
    return list(m.run(feeds).values())


def check(
    op: str,
    inputs: Sequence[np.ndarray | None],
    expected: Sequence[np.ndarray],
    tolerance: float = 0.0,
    opset: int = 21,
    **attributes: Any,
) -> None:
    """Same dtype, shape and values, whether the other inputs are constants or come with the run."""
    for constants in (True, False):
        got = run(op, inputs, len(expected), opset, constants, **attributes)
        for g, e in zip(got, expected, strict=True):
            assert g.dtype == e.dtype
            assert g.shape == e.shape
            if tolerance:
                np.testing.assert_allclose(g, e, rtol=tolerance, atol=tolerance)
            else:
                np.testing.assert_array_equal(g, e)
