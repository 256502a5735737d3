# SPDX-License-Identifier: Apache-2.0
"""What a model takes as an array and what it gives back: memory, other libraries' arrays, strings, rare types."""

import gc
import weakref
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from onnx import helper

import pyinfer
from support import tiny

X = np.float32([[1, 2, 3], [0, 0, 1]])
Y = np.float32([[14.5, -13.75], [3.5, -2.75]])


def identity(dtype: Any, op: str = "Identity") -> pyinfer.Model:
    ports = [("x", dtype, ["n"])], [("y", dtype, ["n"])]
    return pyinfer.load(tiny.model([helper.make_node(op, ["x"], ["y"])], *ports, opset=21))


def nonzero() -> pyinfer.Model:
    node = helper.make_node("NonZero", ["x"], ["y"])
    return pyinfer.load(tiny.model([node], [("x", np.float32, ["n"])], [("y", np.int64, [1, "k"])]))


@pytest.mark.parametrize(
    "dtype",
    ["float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool"],
)
def test_each_type(dtype: str) -> None:
    x = np.array([0, 1, 1, 0, 1]).astype(dtype)
    y = identity(np.dtype(dtype))(x)
    assert y.dtype == x.dtype and y.tolist() == x.tolist()


def test_bfloat16() -> None:
    x = np.array([1, -2.5, 3e38, 0], ml_dtypes.bfloat16)
    y = identity(ml_dtypes.bfloat16)(x)
    assert y.dtype == x.dtype and y.tobytes() == x.tobytes()


def test_strings() -> None:
    words = ["", "a", "größe", "模型", "with\0zero", "x" * 1000]
    model = identity(str)
    for x in (np.array(words, object), words, np.array(words[:4])):
        assert model(x).tolist() == list(words[: len(x)])
    assert model(np.array([b"a", b"bc"])).tolist() == ["a", "bc"]
    assert model(np.array([], object)).tolist() == []
    with pytest.raises(pyinfer.InputError, match="element 1 is int"):
        model(np.array(["a", 3], object))


def test_other_libraries() -> None:
    model = pyinfer.load(tiny.linear())
    np.testing.assert_allclose(model(torch.from_numpy(X)), Y)

    class Exchange:  # has DLPack and nothing else
        def __dlpack__(self, **options: Any) -> Any:
            return X.__dlpack__(**options)

        def __dlpack_device__(self) -> Any:
            return X.__dlpack_device__()

    class Array:
        def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
            return X

    for other in (Exchange(), Array(), memoryview(X)):
        np.testing.assert_allclose(model(other), Y)


def test_zero_size() -> None:
    for dtype in (np.float32, np.int64):
        y = identity(dtype)(np.empty(0, dtype))
        assert y.shape == (0,) and y.dtype == dtype
    assert pyinfer.load(tiny.linear())(np.empty((0, 3), np.float32)).shape == (0, 2)


def test_out() -> None:
    model = pyinfer.load(tiny.linear())
    out = np.zeros((2, 2), np.float32)
    assert model.run({"x": X}, out={"y": out})["y"] is out
    np.testing.assert_allclose(out, Y)
    frozen = np.zeros((2, 2), np.float32)
    frozen.flags.writeable = False
    for wrong in (np.zeros((2, 3), np.float32), np.zeros((2, 2)), np.zeros((2, 2), np.float32, order="F"), frozen, 3):
        with pytest.raises(pyinfer.InputError, match="out for 'y'"):
            model.run({"x": X}, out={"y": wrong})  # type: ignore[dict-item]
    with pytest.raises(pyinfer.InputError, match="no output 'z'"):
        model.run({"x": X}, out={"z": out})


def test_out_of_a_shape_that_the_run_finds() -> None:
    model = nonzero()
    x = np.float32([0, 3, 0, 4])
    out = np.zeros((1, 2), np.int64)
    assert model.run({"x": x}, out={"y": out})["y"] is out
    assert out.tolist() == [[1, 3]]
    with pytest.raises(pyinfer.InputError, match="out for 'y'"):
        model.run({"x": x}, out={"y": np.zeros((1, 3), np.int64)})


def test_memory_that_the_run_made_is_taken_over() -> None:
    """Large outputs of such shapes are not copied; they outlive runs and the model, and count in no account."""
    node = helper.make_node("NonZero", ["x"], ["y"]), helper.make_node("Identity", ["y"], ["z"])
    ports = [("x", np.float32, ["n"])], [("y", np.int64, [1, "k"]), ("z", np.int64, [1, "k"])]
    model = pyinfer.load(tiny.model(list(node), *ports), memory_limit=4 << 20)
    kept = [model(np.ones(n, np.float32)) for n in range(50000, 50020)]  # 8 MB
    del model
    gc.collect()
    for n, pair in zip(range(50000, 50020), kept, strict=True):
        assert pair.y.base is not None
        for array in pair:
            assert array.flags.writeable and array.flags.aligned
            assert np.array_equal(array, np.arange(n)[None])
        pair.y[:] = 0
        assert pair.z[0, -1] == n - 1


def test_a_call_warns_once_of_casts() -> None:
    model = pyinfer.load(tiny.linear())
    with pytest.warns(pyinfer.InputWarning) as caught:
        for _ in range(3):
            np.testing.assert_allclose(model(X.astype(np.float64)), Y)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert "'x' was given as float64[2, 3]" in str(caught[0].message)


def test_closing_inside_a_conversion() -> None:
    model = pyinfer.load(tiny.two())

    class Closes:
        def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
            model.close()
            return np.int64([1])

    result = model(Closes(), np.int64([2]))  # this call holds the model until it ends
    assert result.s.tolist() == [3]
    assert model.closed


def test_nothing_is_kept() -> None:
    model = pyinfer.load(tiny.linear())
    x = X.copy()
    result = model(x)
    gone = weakref.ref(x), weakref.ref(result), weakref.ref(model)
    del x, result, model
    gc.collect()
    assert [ref() for ref in gone] == [None] * 3
