# SPDX-License-Identifier: Apache-2.0
"""Who judges a node: ONNX's reference evaluator, with the list of what it cannot do.

A maker that draws a node about which the evaluator is wrong says why in Node.excuse, or gives Node.truth. What the
evaluator cannot run at all stands in CANNOT.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from typing import Any

import ml_dtypes
import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from ops.draw import Node, Row
from ops.node import model_of

# (operator, exception, its text): why. Any other exception fails the test.
CANNOT: dict[tuple[str, str, str], str] = {
    ("Tile", "TypeError", "takes 3 positional arguments"): "knows version 6 only",
    ("Softsign", "TypeError", "return arrays must be of ArrayType"): "writes into a NumPy scalar",
    ("ReduceLogSumExp", "TypeError", "return arrays must be of ArrayType"): "the same",
    ("Gemm", "RuntimeError", "No implementation for operator 'Gemm'"): "knows no version 1",
    ("Clip", "RuntimeError", "No implementation for operator 'Clip'"): "knows no version 1",
    (
        "Dropout",
        "RuntimeError",
        "No implementation for operator 'Dropout'",
    ): "knows no version 1 or 6",
    ("ReduceLogSum", "TypeError", "does not support integer input"): "refuses integers",
    ("ReduceLogSumExp", "TypeError", "does not support integer input"): "refuses integers",
    ("GatherElements", "ValueError", "at most 64 array objects"): "takes np.choose",
    ("GatherElements", "ValueError", "cannot reshape array of size"): "takes np.choose",
    ("GatherElements", "IndexError", "out of bounds"): "takes np.choose",
    ("GatherElements", "ValueError", "Except for dimension"): "wants equal sizes",
    ("BatchNormalization", "TypeError", "is a tuple"): "versions 6 to 8 give a tuple",
    ("InstanceNormalization", "TypeError", "consumed_inputs"): "knows no version 1",
    ("MeanVarianceNormalization", "RuntimeTypeError", "Input type mismatch: float64"): "adds f32",
    ("GridSample", "OverflowError", "infinity"): "reflects in a range of 0",
    ("DFT", "TypeError", "unsupported operand type"): "wants the axis",
}
# The evaluator lacks these rows, and a later version says the same about their nodes.
LATER = {("DequantizeLinear", 10): 19, ("DequantizeLinear", 13): 19}
USED: Counter[tuple[str, str, str]] = Counter()
HALF = (np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16))


def wide(x: Any) -> Any:
    """The evaluator rounds 16-bit floats at each step: they go through it as f32."""
    return x.astype(np.float32) if isinstance(x, np.ndarray) and x.dtype in HALF else x


def evaluate(row: Row, node: Node, opset: int) -> list[Any] | None:
    """What ONNX's evaluator says; None if it cannot, by CANNOT."""
    opset = LATER.get((row.name, row.since), opset)
    if node.like is not None:
        node, opset = node.like, node.like.opset
    inputs = [x if node.narrow else wide(x) for x in node.inputs]
    data = model_of(
        row.name, inputs, opset=opset, outputs=node.outputs, domain=row.domain, **node.attrs
    )
    feeds = {f"x{i}": x for i, x in enumerate(inputs) if x is not None}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            return list(ReferenceEvaluator(onnx.load_from_string(data)).run(None, feeds))
        except Exception as e:
            text = f"{e} {e.__cause__}"
            for key in CANNOT:
                if key[:2] == (row.name, type(e).__name__) and re.search(key[2], text):
                    USED[key] += 1
                    return None
            raise
