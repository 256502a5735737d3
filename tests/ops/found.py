# SPDX-License-Identifier: Apache-2.0
"""Nodes about which an implementation was wrong once: what the differential tests found, and what was mended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import ml_dtypes
import numpy as np

BF16 = ml_dtypes.bfloat16


@dataclass
class Found:
    name: str
    since: int  # the opset
    inputs: list[np.ndarray | None]
    attrs: dict[str, Any] = field(default_factory=dict)
    outputs: int = 1
    narrow: bool = False
    why: str = ""
    excuse: str = ""  # of ONNX's evaluator


def ramp(*shape: int) -> np.ndarray:
    return np.arange(1, 1 + np.prod(shape), dtype=np.float32).reshape(shape)


FOUND = [
    Found(
        "MaxPool",
        22,
        [ramp(1, 1, 3, 2, 2)],
        {"kernel_shape": [2, 1, 2], "pads": [0, 0, 0, 2, 0, 0]},
        excuse="it gives NaN for a window without any element",
        why="a window wholly in the padding by its depth took the rows of the band before (pool_first.c)",
    ),
    Found(
        "AveragePool",
        22,
        [ramp(1, 1, 7, 2, 1)],
        {"kernel_shape": [3, 1, 1], "pads": [0, 0, 0, 3, 0, 0], "count_include_pad": 1},
        excuse="it gives NaN for a window without any element",
        why="the same",
    ),
    Found(
        "BatchNormalization",
        15,
        [ramp(1, 2, 3).astype(np.float16), *[ramp(2)] * 4],
        why="a pass made it a Mul of two types (fold_affine.c)",
    ),
    Found(
        "QuantizeLinear",
        23,
        [np.array([62.75], BF16), np.array(1.3671875, BF16)],
        {"output_dtype": 17},
        narrow=True,
        why="did not divide in bf16: 45.9 is 46 there, and a tie (quant.c)",
    ),
    Found(
        "QuantizeLinear",
        23,
        [np.array([12.28125], np.float16), np.array(1.3642578125, np.float16)],
        {"output_dtype": 19, "precision": 1},
        narrow=True,
        why="took no notice of the attribute precision (quant.c)",
    ),
]
