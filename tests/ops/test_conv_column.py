# SPDX-License-Identifier: Apache-2.0
"""Convolutions of columns, [N, C, H, 1], which oneDNN gets as rows: against the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pyinfer
from ops.node import model_of, run


@pytest.mark.parametrize("op", ["Conv", "ConvTranspose"])
@pytest.mark.parametrize(
    "attrs",
    [
        {},
        {"pads": [4, 0, 3, 0]},
        {"strides": [3, 1], "pads": [1, 0, 2, 0]},
        {"strides": [2, 5], "dilations": [2, 3]},
        {"group": 2, "pads": [8, 0, 8, 0]},
    ],
)
def test_columns(op: str, attrs: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 16, 70, 1)).astype(np.float32)
    group = attrs.get("group", 1)
    shape = (32, 16 // group, 9, 1) if op == "Conv" else (16, 32 // group, 9, 1)
    w, b = rng.standard_normal(shape).astype(np.float32), rng.standard_normal(32).astype(np.float32)
    want = run(op, [x, w, b], impl="ref", **attrs)[0]
    for constant in ((1, 2), ()):
        feeds = [x] if constant else [x, w, b]
        got = pyinfer.load(model_of(op, [x, w, b], constant=constant, **attrs), threads=2)(*feeds)
        assert got.shape == want.shape
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)
