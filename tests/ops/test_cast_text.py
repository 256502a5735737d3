# SPDX-License-Identifier: Apache-2.0
"""Cast between text and numbers, against Python's and NumPy's own reading and writing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

import pyinfer
from ops.node import run

INTEGERS = [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64]


def strings(*values: str) -> np.ndarray:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def cast(x: np.ndarray, dtype: Any) -> np.ndarray:
    to = TensorProto.STRING if dtype is str else helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return run("Cast", [x], to=to)[0]


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers(dtype: Any) -> None:
    info = np.iinfo(dtype)
    x = np.array([info.min, info.min + 1, 0, 1, 10, 99, info.max - 1, info.max], dtype)
    text = cast(x, str)
    assert text.tolist() == [str(v) for v in x.tolist()]
    assert cast(text, dtype).tolist() == x.tolist()
    assert cast(strings("+7", "-0", "007", " 12 ", "1e2"), dtype).tolist() == [7, 0, 7, 12, 100]


def test_truth() -> None:
    assert cast(np.array([True, False]), str).tolist() == ["True", "False"]
    assert cast(strings("0", "1", "-3", "0.0", "0.5"), np.bool_).tolist() == [
        False,
        True,
        True,
        False,
        True,
    ]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_come_back(dtype: Any) -> None:
    info = np.finfo(dtype)
    r = np.random.default_rng(0)
    spread = (r.standard_normal(2000) * 10.0 ** r.uniform(-30, 30, 2000)).astype(dtype)
    hard = [
        0.1,
        1 / 3,
        1e15,
        1e16,
        123456.75,
        1e-4,
        1e-5,
        -2.5,
        -0.0,
        info.max,
        info.tiny,
    ]  # denormals are flushed
    x = np.concatenate([spread, np.array(hard, dtype)])
    text = cast(x, str)
    assert cast(text, dtype).tobytes() == x.tobytes()
    if dtype is np.float64:
        assert text.tolist() == [repr(v) for v in x.tolist()]
    else:  # the shortest text that says which float it is
        assert [float(t) for t in text] == [float(str(v)) for v in x]


def test_not_finite() -> None:
    assert cast(np.float32([np.nan, np.inf, -np.inf]), str).tolist() == ["nan", "inf", "-inf"]
    back = cast(strings("nan", "INF", "-Infinity", "\t+inf\n"), np.float64)
    np.testing.assert_array_equal(back, [np.nan, np.inf, -np.inf, np.inf])


@pytest.mark.parametrize("text", ["", " ", "x", "1x", "1 2", "--1", "1,5", "1\0", "é", "9" * 200])
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_no_number(text: str, dtype: Any) -> None:
    with pytest.raises(pyinfer.InputError, match="element 1, .* is not a number"):
        cast(strings("1", text), dtype)
