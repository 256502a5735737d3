# SPDX-License-Identifier: Apache-2.0
"""DFT, STFT, Det and the optimisers against NumPy, PyTorch and ONNX's reference evaluator."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper
from onnx.reference import ReferenceEvaluator

import pyinfer
from ops.node import dtype_of, run

# Powers, products of small primes, primes with and without Bluestein's algorithm.
LENGTHS = [
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    9,
    11,
    13,
    15,
    17,
    19,
    26,
    30,
    49,
    60,
    64,
    77,
    97,
    100,
    128,
    143,
    169,
]
LENGTHS += [210, 240, 256, 289, 343, 500, 509, 512, 1001, 1021, 1024, 2048, 2310, 4096, 4099, 5000]


def noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def as_complex(y: np.ndarray) -> np.ndarray:
    return y[..., 0] + 1j * y[..., 1]


def split(z: np.ndarray) -> np.ndarray:
    return np.stack([z.real, z.imag], -1)


def close(got: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    assert got.shape == expected.shape
    np.testing.assert_allclose(
        got, expected, rtol=0, atol=tolerance * (1 + np.abs(expected).max(initial=0))
    )


def dft(x: np.ndarray, n: int | None = None, axis: int = -2, **attrs: Any) -> np.ndarray:
    length = None if n is None else np.array(n, np.int64)
    return run("DFT", [x, length, np.array(axis)], opset=20, constant=[1, 2], **attrs)[0]


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("rows", [1, 9])
def test_every_length(n: int, rows: int) -> None:
    z = noise((rows, n), n) + 1j * noise((rows, n), n + 1)
    x = split(z)
    close(as_complex(dft(x)), np.fft.fft(z), 1e-13)
    close(as_complex(dft(x, inverse=1)), np.fft.ifft(z), 1e-13)
    real = np.ascontiguousarray(x[..., :1])
    close(as_complex(dft(real)), np.fft.fft(real[..., 0]), 1e-13)
    close(as_complex(dft(real, inverse=1)), np.fft.ifft(real[..., 0]), 1e-13)
    half = dft(real, onesided=1)
    close(as_complex(half), np.fft.rfft(real[..., 0]), 1e-13)
    close(dft(half, n, onesided=1, inverse=1)[..., 0], real[..., 0], 1e-13)


@given(
    dims=st.lists(st.integers(1, 6), min_size=1, max_size=3),
    axis=st.integers(0, 2),
    n=st.one_of(st.none(), st.integers(1, 12)),
    complex_in=st.booleans(),
    onesided=st.booleans(),
    inverse=st.booleans(),
    seed=st.integers(0, 99),
)
def test_axes_and_lengths(
    dims: list[int],
    axis: int,
    n: int | None,
    complex_in: bool,
    onesided: bool,
    inverse: bool,
    seed: int,
) -> None:
    axis %= len(dims)
    x = noise((*dims, 2 if complex_in else 1), seed)
    z = as_complex(x) if complex_in else x[..., 0]
    if onesided and inverse:
        points = n or 2 * (dims[axis] - 1)
        if points == 0:
            return
        expected = np.fft.irfft(z, points, axis)[..., None]
    else:
        full = (np.fft.ifft if inverse else np.fft.fft)(z, n, axis)
        if onesided:
            full = np.take(full, range(full.shape[axis] // 2 + 1), axis)
        expected = split(full)
    how = {"onesided": int(onesided), "inverse": int(inverse)}
    close(dft(x, n, axis, **how), expected, 1e-13)
    close(dft(x, n, axis - x.ndim, **how), expected, 1e-13)
    length = None if n is None else np.array(n, np.int32)
    close(run("DFT", [x, length], opset=17, constant=[1], axis=axis, **how)[0], expected, 1e-13)
    # the length and the axis come with the run: the shape is found then
    close(run("DFT", [x, length, np.array(axis)], opset=20, **how)[0], expected, 1e-13)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_types(dtype: Any) -> None:
    x = noise((3, 120, 1)).astype(dtype)
    expected = np.fft.rfft(x[..., 0].astype(np.float64))
    y = dft(x, onesided=1)
    assert y.dtype == dtype
    assert np.array_equal(y, split(expected).astype(dtype)) or dtype != np.float16
    close(as_complex(y.astype(np.float64)), expected, 4 * float(np.finfo(dtype).eps))


def test_rows_do_not_touch_each_other() -> None:
    x = noise((8, 64, 1))
    clean = dft(x, onesided=1)
    x[3] *= np.nan
    x[5] *= 1e200
    dirty = dft(x, onesided=1)
    keep = [0, 1, 2, 4, 6, 7]
    assert np.array_equal(dirty[keep], clean[keep])
    assert np.isnan(dirty[3]).all()


def test_empty() -> None:
    assert dft(np.zeros((0, 8, 2), np.float32)).shape == (0, 8, 2)
    assert dft(np.zeros((3, 8, 0, 2), np.float32), axis=1).shape == (3, 8, 0, 2)
    assert np.array_equal(dft(np.zeros((2, 0, 1), np.float32), 6), np.zeros((2, 6, 2), np.float32))


@pytest.mark.parametrize(
    ("shape", "length", "axis", "how"),
    [
        ((2, 8, 3), None, 1, {}),
        ((8,), None, 0, {}),
        ((2, 8, 1), None, 2, {}),
        ((2, 8, 1), None, -1, {}),
        ((2, 8, 1), None, 3, {}),
        ((2, 8, 1), None, -4, {}),
        ((2, 0, 1), None, 1, {}),
        ((2, 1, 2), None, 1, {"onesided": 1, "inverse": 1}),
        ((2, 8, 1), 0, 1, {}),
        ((2, 8, 1), -5, 1, {}),
        ((2, 8, 1), 2**40, 1, {}),
        ((2, 8, 1), 2**62, 1, {}),
        ((2, 8, 1), 2**63 - 1, 1, {}),
        ((2, 8, 1), -(2**63), 1, {}),
    ],
)
def test_refuses(
    shape: tuple[int, ...], length: int | None, axis: int, how: dict[str, int]
) -> None:
    for constant in ([1, 2], []):
        n = None if length is None else np.array(length)
        with pytest.raises(pyinfer.PyinferError):
            run(
                "DFT",
                [np.ones(shape, np.float32), n, np.array(axis)],
                opset=20,
                constant=constant,
                **how,
            )


# ---- STFT ----


@pytest.mark.parametrize("frame", [1, 2, 15, 16, 100, 251])
@pytest.mark.parametrize("step", [1, 7, 40])
@pytest.mark.parametrize("windowed", [False, True])
def test_stft(frame: int, step: int, windowed: bool) -> None:
    import torch
    x = noise((3, 300)).astype(np.float32)
    window = np.hanning(frame + 2)[1:-1].astype(np.float32) if windowed else None
    for onesided in (0, 1):
        expected = torch.stft(
            torch.from_numpy(x),
            frame,
            step,
            window=torch.from_numpy(window) if windowed else torch.ones(frame),
            center=False,
            onesided=bool(onesided),
            return_complex=True,
        )
        expected = split(expected.numpy().swapaxes(1, 2))
        length = None if windowed else np.array(frame)
        inputs = [x[..., None], np.array(step), window, length]
        for constant in ([1, 2, 3], []):
            y = run("STFT", inputs, opset=17, constant=constant, onesided=onesided)[0]
            close(y, expected, 1e-6)


def test_stft_of_complex_values() -> None:
    x, window = noise((2, 50, 2)), noise((12,), 1)
    y = run("STFT", [x, np.array(5), window], opset=17, onesided=0)[0]
    frames = [np.fft.fft(as_complex(x)[:, i : i + 12] * window) for i in range(0, 39, 5)]
    close(as_complex(y), np.stack(frames, 1), 1e-13)


def test_stft_of_a_signal_without_its_last_dimension() -> None:
    """PyTorch's script exporter leaves out the 1 of real signals."""
    x, window = noise((2, 50)), noise((12,), 1)
    y, z = (run("STFT", [a, np.array(5), window], opset=17)[0] for a in (x, x[..., None]))
    assert np.array_equal(y, z)


@pytest.mark.parametrize(
    ("shape", "step", "window", "length"),
    [
        ((2, 50, 1), 0, 8, None),
        ((2, 50, 1), -3, 8, None),
        ((2, 50, 1), 4, 8, 9),
        ((2, 50, 1), 4, 51, None),
        ((2, 50, 1), 4, None, 51),
        ((2, 50, 1), 4, None, 0),
        ((2, 50, 1), 4, None, -1),
        ((2, 50, 1), 4, None, 2**62),
        ((50,), 4, None, 8),
        ((2, 50, 1, 1), 4, None, 8),
        ((2, 50, 3), 4, None, 8),
        ((2, 0, 1), 4, None, None),
    ],
)
def test_stft_refuses(
    shape: tuple[int, ...], step: int, window: int | None, length: int | None
) -> None:
    inputs = [
        np.ones(shape, np.float32),
        np.array(step),
        None if window is None else np.ones(window, np.float32),
        None if length is None else np.array(length),
    ]
    for constant in ([1, 3], []):
        with pytest.raises(pyinfer.PyinferError):
            run("STFT", inputs, opset=17, constant=[c for c in constant if inputs[c] is not None])


def test_stft_takes_large_steps() -> None:
    y = run("STFT", [np.ones((2, 50, 1)), np.array(2**62), None, np.array(8)], opset=17)[0]
    assert y.shape == (2, 1, 5, 2)


# ---- Det ----


@pytest.mark.parametrize("n", [1, 2, 3, 5, 17, 64])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_det(n: int, dtype: Any) -> None:
    x = (noise((2, 3, n, n), n) / np.sqrt(n)).astype(dtype)
    expected = np.linalg.det(x.astype(np.float64))
    y = run("Det", [x], opset=22)[0]
    assert y.dtype == dtype
    np.testing.assert_allclose(
        y.astype(np.float64), expected, rtol=1e-10 + float(np.finfo(dtype).eps), atol=1e-7
    )


def test_det_of_special_matrices() -> None:
    assert run("Det", [np.zeros((4, 0, 0), np.float32)], opset=11)[0].tolist() == [1, 1, 1, 1]
    assert run("Det", [np.zeros((0, 3, 3), np.float32)], opset=11)[0].shape == (0,)
    assert run("Det", [np.zeros((3, 3), np.float32)], opset=11)[0] == 0
    assert run("Det", [np.eye(5, dtype=np.float32)[[1, 0, 2, 4, 3]]], opset=11)[0] == 1
    assert run("Det", [np.eye(5, dtype=np.float32)[[1, 0, 2, 3, 4]]], opset=11)[0] == -1
    assert np.isnan(run("Det", [np.full((3, 3), np.nan, np.float32)], opset=11)[0])
    for shape in ((3,), (3, 4), (2, 4, 3)):
        with pytest.raises(pyinfer.PyinferError, match="square"):
            run("Det", [np.zeros(shape, np.float32)], opset=11)


# ---- optimisers ----

DOMAIN = "ai.onnx.preview.training"


def optimiser(op: str, inputs: list[np.ndarray], outputs: int, **attrs: Any) -> onnx.ModelProto:
    names = [f"x{i}" for i in range(len(inputs))]
    ports = [
        helper.make_tensor_value_info(n, dtype_of(x), x.shape)
        for n, x in zip(names, inputs, strict=True)
    ]
    results = [f"y{i}" for i in range(outputs)]
    node = helper.make_node(op, names, results, domain=DOMAIN, **attrs)
    graph = helper.make_graph([node], "one", ports, [onnx.ValueInfoProto(name=y) for y in results])
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid(DOMAIN, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


MOMENTUM = {"alpha": 0.9, "beta": 0.7, "norm_coefficient": 0.02}


@pytest.mark.parametrize("steps", [0, 3])
@pytest.mark.parametrize(
    ("op", "states", "attrs"),
    [
        ("Momentum", 1, {"mode": "standard", **MOMENTUM}),
        ("Momentum", 1, {"mode": "nesterov", **MOMENTUM}),
        ("Adagrad", 1, {"decay_factor": 0.1, "epsilon": 1e-3, "norm_coefficient": 0.02}),
        ("Adam", 2, {"epsilon": 1e-3, "norm_coefficient": 0.02, "norm_coefficient_post": 0.03}),
        ("Adam", 2, {"alpha": 0.95, "beta": 0.1}),
    ],
)
@pytest.mark.parametrize("tensors", [1, 2])
def test_optimisers(steps: int, op: str, states: int, attrs: dict[str, Any], tensors: int) -> None:
    shapes = [(3, 700), (5,)][:tensors]
    inputs = [np.array(0.1, np.float32), np.array(steps, np.int64)]
    for group in range(2 + states):
        inputs += [np.abs(noise(s, 7 * group + i)).astype(np.float32) for i, s in enumerate(shapes)]
    model = optimiser(op, inputs, tensors * (1 + states), **attrs)
    feeds = {f"x{i}": x for i, x in enumerate(inputs)}
    got = pyinfer.load(model.SerializeToString(), threads=2).run_tuple(tuple(inputs))
    expected = ReferenceEvaluator(model).run(None, feeds)
    for g, e in zip(got, expected, strict=True):
        assert g.dtype == np.float32
        np.testing.assert_allclose(g, e, rtol=1e-5, atol=1e-6)


def test_optimisers_refuse() -> None:
    r, t, x = np.array(0.1, np.float32), np.array(1), np.ones(4, np.float32)
    bad: list[tuple[list[np.ndarray], int]] = [
        ([r, t], 1),
        ([r, t, x], 1),
        ([r, t, x, x], 2),
        ([r, t, x, x, x], 3),
        ([r, t, x, x, np.ones(5, np.float32)], 2),
        ([r, t, x, x, np.ones(4)], 2),
        ([r, t, *[np.ones(4, np.int64)] * 3], 2),
        ([np.ones(2, np.float32), t, x, x, x], 2),
    ]
    for inputs, outputs in bad:
        with pytest.raises(pyinfer.PyinferError):
            model = optimiser("Adagrad", inputs, outputs)
            pyinfer.load(model.SerializeToString()).run_tuple(tuple(inputs))
    with pytest.raises(pyinfer.PyinferError, match="mode"):
        pyinfer.load(
            optimiser("Momentum", [r, t, x, x, x], 2, mode="x", **MOMENTUM).SerializeToString()
        )
