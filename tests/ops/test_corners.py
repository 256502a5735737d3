# SPDX-License-Identifier: Apache-2.0
"""Types and attributes that no other test uses, against NumPy; and what a node must not say, with the message."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pyinfer
from ops.node import run

F = np.float32
INTEGERS = [np.int32, np.int64, np.uint32, np.uint64]


def strings(*values: str) -> np.ndarray:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def test_nonzero_of_text() -> None:
    """As in NumPy, the empty text is nothing."""
    x = strings("a", "", "0", "", "long enough to lie elsewhere", " ").reshape(2, 3)
    (got,) = run("NonZero", [x])
    np.testing.assert_array_equal(got, np.stack(np.nonzero(x.astype(str))))


@pytest.mark.parametrize("ordered", [0, 1])
def test_unique_of_text(ordered: int) -> None:
    x = strings("b", "", "ab", "b", "a", "abc", "", "é", "z", "a")
    values, first, inverse, counts = run("Unique", [x], outputs=4, sorted=ordered)
    want, at, back, count = np.unique(
        x.astype(str), return_index=True, return_inverse=True, return_counts=True
    )
    order = np.arange(len(want)) if ordered else np.argsort(at)
    assert values.tolist() == want[order].tolist()
    np.testing.assert_array_equal(first, at[order])
    np.testing.assert_array_equal(inverse, np.argsort(order)[back])
    np.testing.assert_array_equal(counts, count[order])


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("bias", [False, True])
def test_gemm_of_integers(dtype: Any, bias: bool) -> None:
    r = np.random.default_rng(0)
    a, b, c = (r.integers(0, 9, shape).astype(dtype) for shape in ((5, 7), (6, 7), (5, 1)))
    want = 2 * (a @ b.T) + (3 * c if bias else 0)
    for impl in (None, "ref"):
        (got,) = run(
            "Gemm", [a, b, *([c] if bias else [])], impl=impl, alpha=2.0, beta=3.0, transB=1
        )
        assert got.dtype == dtype
        np.testing.assert_array_equal(got, want)


X = np.zeros((1, 2, 6, 6), F)
ROIS = np.zeros((1, 4), F)
ONE = np.zeros(1, np.int64)
W = np.zeros((2, 3, 3, 3), F)
STEP = np.zeros((1, 1, 2), F)
COLUMNS = np.zeros((1, 8, 25), F)


def sizes(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


BAD: list[tuple[str, list[Any], dict[str, Any], str]] = [
    ("Gelu", [X], {"approximate": "erf"}, "'erf', expected 'none' or 'tanh'"),
    ("Clip", [X, np.zeros(2, F)], {}, "expected a scalar"),
    ("NonMaxSuppression", [np.zeros((1, 3, 4), F), np.zeros((1, 1, 2), F)], {}, "are not"),
    ("RoiAlign", [X, ROIS, ONE], {"mode": "sum"}, "mode 'sum'"),
    ("RoiAlign", [X, ROIS[0], ONE], {}, "rois the shape"),
    ("RoiAlign", [X, ROIS, sizes(0, 0)], {}, "one entry for each of 1 rois"),
    ("RoiAlign", [X, ROIS, ONE], {"output_height": 0}, "at least 1"),
    ("RoiAlign", [X[:, :, :0], ROIS, ONE], {}, "empty plane"),
    ("RoiAlign", [X, ROIS, ONE], {"coordinate_transformation_mode": "x"}, "'x' is unknown"),
    ("MaxRoiPool", [X, np.zeros((1, 5), F)], {"pooled_shape": [2]}, "a height and a width"),
    ("MaxRoiPool", [X, ROIS], {"pooled_shape": [2, 2]}, "rois the shape"),
    ("ConvTranspose", [X, W], {"output_padding": [1]}, "'output_padding' has 1 numbers, expected 2"),
    ("ConvTranspose", [X, W], {"output_padding": [-1, 0]}, "'output_padding' has -1"),
    ("ConvTranspose", [X, W], {"output_shape": [1]}, "'output_shape' has 1 numbers, expected 2"),
    ("ConvTranspose", [X, W], {"output_shape": [-1, 4]}, "'output_shape' has -1"),
    ("ConvTranspose", [X, W], {"pads": [9, 0, 9, 0]}, "spatial dimension 0 of Y would be -10"),
    ("ConvTranspose", [X, W[0]], {}, "expected the same rank"),
    ("ConvTranspose", [X, W], {"group": 3}, "do not fit with group 3"),
    ("Col2Im", [COLUMNS, sizes(6, 6), sizes(2)], {}, "image_shape has 2 entries and block_shape 1"),
    ("Col2Im", [COLUMNS[0], sizes(6, 6), sizes(2, 2)], {}, "rank 2, expected 3"),
    ("Col2Im", [COLUMNS, sizes(6, 0), sizes(2, 2)], {}, "at least 1"),
    ("Col2Im", [COLUMNS, sizes(6, 6), sizes(2, 7)], {}, "longer than the image on axis 1"),
    ("Col2Im", [COLUMNS, sizes(6, 6), sizes(2, 3)], {}, "multiple of 6 channels and 20 columns"),
    ("ScatterElements", [X, ONE, np.zeros(1, F)], {}, "data has rank 4 and indices 1"),
    ("ScatterElements", [X[0, 0], np.zeros((2, 2), np.int64), np.zeros((2, 3), F)], {}, "differ in shape"),
    ("ScatterElements", [X[0, 0], np.zeros((2, 9), np.int64), np.zeros((2, 9), F)], {}, "data only 6"),
    ("ScatterElements", [ONE, ONE, ONE], {"reduction": "sub"}, "'sub' is not one of"),
    ("ScatterND", [X, np.zeros((1, 5), np.int64), np.zeros(1, F)], {}, "length 5, expected 1 to 4"),
    ("LSTM", [STEP, np.zeros((1, 4, 2), F), np.zeros((1, 4, 1), F)], {"activations": ["Tanh"]}, "1 activations, expected 3"),
    ("RNN", [STEP, np.zeros((1, 1, 2), F), np.zeros((1, 1, 1), F)], {"activations": ["Sine"]}, "'Sine' is not known"),
    ("GRU", [STEP, np.zeros((1, 3, 2), F), np.zeros((1, 3, 1), F)], {"direction": "up"}, "direction 'up'"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("op", "inputs", "attrs", "message"), BAD, ids=[f"{b[0]}: {b[3]}" for b in BAD]
)
def test_refused(op: str, inputs: list[Any], attrs: dict[str, Any], message: str) -> None:
    with pytest.raises((pyinfer.ModelError, pyinfer.InputError)) as error:
        run(op, inputs, **attrs)
    assert message in str(error.value)
