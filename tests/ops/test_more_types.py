# SPDX-License-Identifier: Apache-2.0
"""Element types that few models use: complex numbers, truth values, strings and 8-bit floats where ONNX allows them."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pyinfer
from ops.node import run

COMPLEX = [np.complex64, np.complex128]


def noise(shape: tuple[int, ...], dtype: Any, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.integers(-4, 5, shape)
    if np.dtype(dtype).kind == "c":
        return (x + 1j * rng.integers(-4, 5, shape)).astype(dtype)
    return x.astype(dtype)


@pytest.mark.parametrize("dtype", COMPLEX)
def test_unique(dtype: Any) -> None:
    x = noise((6, 4), dtype)
    got = run("Unique", [x], outputs=4)
    for g, e in zip(got, np.unique(x, True, True, True), strict=True):
        assert np.array_equal(g.ravel(), e.ravel())
    x = x[[0, 3, 0, 1, 3, 2]]
    assert np.array_equal(run("Unique", [x], axis=0)[0], np.unique(x, axis=0))


@pytest.mark.parametrize("dtype", [*COMPLEX, np.bool_, np.int8, np.uint8, np.int64, np.uint64])
def test_col2im(dtype: Any) -> None:
    x = noise((2, 3 * 4, 9), dtype) * np.asarray(60 if dtype in (np.int8, np.uint8) else 1, dtype)
    if dtype is np.int64:
        x += 2**60 + 1  # more than a double holds
    expected = np.zeros((2, 3, 4, 4), dtype)
    for c in range(9):
        for b in range(4):
            expected[:, :, c // 3 + b // 2, c % 3 + b % 2] += x.reshape(2, 3, 4, 9)[:, :, b, c]
    y = run("Col2Im", [x, np.array([4, 4]), np.array([2, 2])])[0]
    assert y.dtype == dtype
    assert np.array_equal(y, expected)


@pytest.mark.parametrize("dtype", COMPLEX)
@pytest.mark.parametrize("mode", ["linear", "nearest", "cubic"])
def test_grid_sample(dtype: Any, mode: str) -> None:
    x = noise((2, 3, 5, 6), dtype)
    grid = np.random.default_rng(1).uniform(-1.2, 1.2, (2, 4, 4, 2)).astype(np.float32)
    y = run("GridSample", [x, grid], opset=22, mode=mode)[0]
    parts = [
        run("GridSample", [np.ascontiguousarray(p), grid], opset=22, mode=mode)[0]
        for p in (x.real, x.imag)
    ]
    assert y.dtype == dtype
    np.testing.assert_allclose(y.real, parts[0], rtol=1e-6, atol=1e-6)  # f32 has a kernel of its own
    np.testing.assert_allclose(y.imag, parts[1], rtol=1e-6, atol=1e-6)


def test_grid_sample_of_strings() -> None:
    x = np.array([f"s{i}" for i in range(12)], object).reshape(1, 1, 3, 4)
    rows, columns = np.meshgrid([-1.0, 0.0, 1.0, 5.0], [-1.0, 1.0], indexing="ij")
    grid = np.stack([columns, rows], -1)[None].astype(np.float32)
    how = {"mode": "nearest", "align_corners": 1}
    y = run("GridSample", [x, grid], opset=22, **how)[0]
    assert y[0, 0].tolist() == [["s0", "s3"], ["s4", "s7"], ["s8", "s11"], ["", ""]]
    with pytest.raises(pyinfer.UnsupportedError, match="linear"):
        run("GridSample", [x, grid], opset=22)


@pytest.mark.parametrize("dtype", [*COMPLEX, np.bool_])
@pytest.mark.parametrize("reduction", ["add", "mul", "min", "max"])
def test_scatter(dtype: Any, reduction: str) -> None:
    data, updates = noise((7, 3), dtype), noise((5, 3), dtype, 1)
    index = np.array([[6], [0], [6], [2], [0]])
    rules = {"add": np.add, "mul": np.multiply, "min": np.minimum, "max": np.maximum}
    if np.dtype(dtype).kind == "c" and reduction in ("min", "max"):
        with pytest.raises(pyinfer.UnsupportedError):
            run("ScatterND", [data, index, updates], opset=18, reduction=reduction)
        return
    expected = data.copy()
    rules[reduction].at(expected, index[:, 0], updates)
    assert np.array_equal(
        run("ScatterND", [data, index, updates], opset=18, reduction=reduction)[0], expected
    )
    index = np.repeat(index, 3, 1)
    y = run("ScatterElements", [data, index, updates], opset=18, reduction=reduction, axis=0)[0]
    assert np.array_equal(y, expected)


F8 = ["float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"]


@given(
    types=st.tuples(*[st.sampled_from([*F8, "int8", "uint8"])] * 3),
    m=st.integers(1, 5),
    n=st.integers(1, 5),
    k=st.integers(0, 9),
    seed=st.integers(0, 99),
)
def test_qlinear_matmul(types: tuple[str, str, str], m: int, n: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)

    def one(name: str, shape: tuple[int, ...]) -> np.ndarray:
        if name in F8:
            return rng.uniform(-8, 8, shape).astype(getattr(ml_dtypes, name))
        info = np.iinfo(name)
        return rng.integers(info.min, info.max + 1, shape).astype(name)

    def zero(name: str) -> np.ndarray:
        return one(name, ()) if name not in F8 else np.zeros((), getattr(ml_dtypes, name))

    a, b = one(types[0], (2, m, k)), one(types[1], (k, n))
    za, zb, zy = map(zero, types)
    sa, sb = (np.array(s, np.float32) for s in (0.25, 0.5))
    sy = np.array(2.0 if "int8" in types[2] else 64.0, np.float32)
    wide = [t.astype(np.float64) for t in (a, b, za, zb)]
    exact = (wide[0] - wide[2]) @ (wide[1] - wide[3]) * float(sa * sb / sy)
    y = run("QLinearMatMul", [a, sa, za, b, sb, zb, sy, zy], opset=21)[0]
    assert y.dtype == zy.dtype
    if types[2] in F8:
        top = float(ml_dtypes.finfo(y.dtype).max)
        assert np.array_equal(
            y.astype(np.float64), np.clip(exact, -top, top).astype(y.dtype).astype(np.float64)
        )
    else:
        info = np.iinfo(types[2])
        assert np.array_equal(
            y, np.clip(np.rint(exact) + int(zy), info.min, info.max).astype(y.dtype)
        )


@pytest.mark.parametrize("impl", [None, "ref"])
def test_integer_products_in_both_ways(impl: str | None) -> None:
    a, b = noise((3, 4, 6), np.int8), noise((6, 5), np.uint8, 1)
    y = run("MatMulInteger", [a, b], impl=impl)[0]
    assert np.array_equal(y, a.astype(np.int32) @ b.astype(np.int32))
