# SPDX-License-Identifier: Apache-2.0
"""The types of six bits: casts and quantisation against ml_dtypes, both forms in a file."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import pyinfer
from ops.node import run

TYPES = [
    (TensorProto.FLOAT6E2M3, ml_dtypes.float6_e2m3fn),
    (TensorProto.FLOAT6E3M2, ml_dtypes.float6_e3m2fn),
]


@pytest.mark.parametrize(("number", "dtype"), TYPES)
def test_cast(number: int, dtype: Any) -> None:
    codes = np.arange(64, dtype=np.uint8).view(dtype)
    exact = codes.astype(np.float32)
    y = run("Cast", [codes], opset=28, to=TensorProto.FLOAT)[0]
    assert np.array_equal(y, exact)
    assert np.array_equal(np.signbit(y), np.signbit(exact))
    steps = np.linspace(-40, 40, 5001).astype(np.float32)
    x = np.concatenate(
        [steps, exact / 2, exact, -exact / 16, [1e30, -1e30, np.inf, -np.inf, 1e-30]]
    )
    for wide in (np.float32, np.float16, np.float64):
        with np.errstate(over="ignore"):
            given = x.astype(wide)
        y = run("Cast", [given], opset=28, to=number)[0]
        assert y.dtype == dtype
        assert np.array_equal(
            y.view(np.uint8), given.astype(np.float32).astype(dtype).view(np.uint8)
        )


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 1023, 1025, 4099])
@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize(("number", "dtype"), TYPES)
def test_in_a_file(n: int, raw: bool, number: int, dtype: Any) -> None:
    x = np.random.default_rng(n).integers(0, 64, n).astype(np.uint8).view(dtype)
    t = numpy_helper.from_array(x, "x")
    assert t.data_type == number
    assert len(t.raw_data) == (6 * n + 7) // 8
    if not raw:
        t.ClearField("raw_data")
        t.int32_data.extend([int(v) | 64 for v in x.view(np.uint8)])
    node = helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT)
    graph = helper.make_graph([node], "one", [], [onnx.ValueInfoProto(name="y")], [t])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 28)])
    y = pyinfer.load(model.SerializeToString()).run({})["y"]
    assert np.array_equal(y, x.astype(np.float32))
    if n:
        model.graph.initializer[0].dims[0] = n + 4
        with pytest.raises(pyinfer.PyinferError):
            pyinfer.load(model.SerializeToString())


@pytest.mark.parametrize(("number", "dtype"), TYPES)
def test_quantise(number: int, dtype: Any) -> None:
    x = np.linspace(-9, 9, 99).astype(np.float32)
    scale = np.array(0.5, np.float32)
    y = run("QuantizeLinear", [x, scale], opset=28, output_dtype=number)[0]
    assert y.dtype == dtype
    assert np.array_equal(y.view(np.uint8), (x / scale).astype(dtype).view(np.uint8))
    back = run("DequantizeLinear", [y, scale], opset=28)[0]
    assert np.array_equal(back, y.astype(np.float32) * scale)
