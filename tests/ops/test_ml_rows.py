# SPDX-License-Identifier: Apache-2.0
"""Operators of ai.onnx.ml that work on blocks of rows: every size of block, and what is left of it."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ops.test_ml import run


@pytest.mark.parametrize("post", ["NONE", "SOFTMAX", "LOGISTIC"])
@pytest.mark.parametrize("classes", [2, 3, 4, 17, 40])
def test_linear_blocks(classes: int, post: str) -> None:
    """Blocks of rows, tiles of scores and what is left of both; the same for each number of rows."""
    rng = np.random.default_rng(classes)
    x = rng.standard_normal((59, 31)).astype(np.float32)
    w, b = rng.standard_normal((classes, 31)), rng.standard_normal(classes)
    w, b = w.astype(np.float32), b.astype(np.float32)
    attrs = dict(coefficients=w.ravel().tolist(), intercepts=b.tolist(), post_transform=post)
    attrs["classlabels_ints"] = list(range(classes))
    label, score = run("LinearClassifier", [x], outputs=2, **attrs)
    raw = x.astype(np.float64) @ w.astype(np.float64).T + b
    if post == "SOFTMAX":
        want = np.exp(raw) / np.exp(raw).sum(1, keepdims=True)
    else:
        want = 1 / (1 + np.exp(-raw)) if post == "LOGISTIC" else raw
    np.testing.assert_allclose(score, want, rtol=1e-6, atol=1e-7)
    assert label.tolist() == raw.argmax(1).tolist()
    for n in (1, 16, 17):
        np.testing.assert_array_equal(
            run("LinearClassifier", [x[:n]], outputs=2, **attrs)[1], score[:n]
        )


@pytest.mark.parametrize("norm", ["L1", "L2", "MAX"])
@pytest.mark.parametrize("last", [1, 3, 100, 256, 257, 1000])
def test_normalised_rows(norm: str, last: int) -> None:
    x = np.random.default_rng(last).standard_normal((300, last)).astype(np.float32)
    x[7] = 0
    size = {"L1": np.abs(x).sum(1), "L2": np.sqrt((x * x).sum(1)), "MAX": np.abs(x).max(1)}[norm]
    want = x / np.maximum(size, 1e-30)[:, None]
    np.testing.assert_allclose(run("Normalizer", [x], norm=norm)[0], want, rtol=1e-5)
