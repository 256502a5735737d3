# SPDX-License-Identifier: Apache-2.0
"""Winograd convolutions against direct ones in float64: odd sizes, padding, epilogues, several images and blocks."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import pyinfer
from ops.node import forced

IMPLS = ("winograd", "winograd_fip")
# batch, channels, outputs, height, width, pads
SIZES = [
    (1, 64, 64, 56, 56, (1, 1, 1, 1)),
    (2, 32, 48, 29, 31, (1, 1, 1, 1)),
    (3, 72, 65, 15, 18, (0, 1, 2, 0)),
    (1, 48, 64, 30, 27, (0, 0, 0, 0)),
    (1, 64, 96, 50, 50, (2, 2, 2, 2)),
    (5, 128, 128, 12, 12, (1, 1, 1, 1)),
    (1, 256, 256, 7, 7, (1, 1, 1, 1)),  # F(2, 3)
    (2, 160, 200, 5, 7, (1, 0, 1, 2)),
]
ENDS = {
    "plain": [],
    "relu": [("Relu", "y", [])],
    "clip": [("Clip", "y", ["low", "high"])],
    "silu": [("Sigmoid", "s", []), ("Mul", "y", ["s"])],
    "residual": [("Add", "y", ["z"]), ("Relu", "y2", [])],
}


def model(size: tuple[Any, ...], end: str) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    n, channels, outs, high, wide, pads = size
    rng = np.random.default_rng(channels * high)
    x = rng.standard_normal((n, channels, high, wide)).astype(np.float32)
    w = (rng.standard_normal((outs, channels, 3, 3)) / 20).astype(np.float32)
    out = (high + pads[0] + pads[2] - 2, wide + pads[1] + pads[3] - 2)
    # A convolution before it, so that the image is channels-last there.
    weights = {"w": w, "b": rng.standard_normal(outs).astype(np.float32),
               "first": np.eye(channels, dtype=np.float32)[:, :, None, None],
               "low": np.float32(-0.5), "high": np.float32(1.5)}  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["x", "first"], ["x1"]),
        helper.make_node("Conv", ["x1", "w", "b"], ["c"], pads=list(pads)),
    ]
    last = "c"
    for op, name, more in ENDS[end]:
        nodes.append(helper.make_node(op, [last, *more], [name]))
        last = name if op != "Sigmoid" else last
    feeds = {"x": x}
    inputs = [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, x.shape)]
    if end == "residual":
        feeds["z"] = rng.standard_normal((n, outs, *out)).astype(np.float32)
        inputs.append(helper.make_tensor_value_info("z", onnx.TensorProto.FLOAT, feeds["z"].shape))
    graph = helper.make_graph(
        nodes, "g", inputs, [helper.make_empty_tensor_value_info(last)],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in weights.items()],
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    return made, feeds


def impls(m: pyinfer.Model, feeds: dict[str, np.ndarray]) -> list[str]:
    return [step["impl"] for step in m.steps(tuple(feeds.values()), 0)[0][0]]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_sizes(size: tuple[Any, ...], end: str) -> None:
    made, feeds = model(size, end)
    (want,) = ReferenceEvaluator(made).run(None, feeds)
    for threads in (1, 2, 3):
        for impl in (None, *IMPLS):
            with forced(impl):
                m = pyinfer.load(made.SerializeToString(), threads=threads)
                for _ in range(2):
                    (got,) = m.run(feeds).values()
                    assert np.abs(got - want).max() <= 1e-4 * np.abs(want).max()
                taken = impls(m, feeds)
            assert impl in taken if impl else set(IMPLS) & set(taken)


@pytest.mark.parametrize("side", [28, 7])  # F(4, 3) and F(2, 3)
@pytest.mark.parametrize("kind", ["relu", "smooth", "tiny", "huge"])
def test_error_of_the_fast_inner_product(kind: str, side: int) -> None:
    """It is about that of the plain products, whatever the magnitude of a place is."""
    made, feeds = model((1, 512, 64, side, side, (1, 1, 1, 1)), "plain")
    x = feeds["x"]
    ramp = np.linspace(1, 2, side, dtype=np.float32)
    if kind == "relu":
        x[...] = np.maximum(x, 0) * np.array([1, 1e-3], np.float32)[(np.arange(side) // 2) % 2]
    elif kind == "smooth":
        x[...] = 5 + np.arange(512)[:, None, None] % 3 * ramp[:, None] * ramp
    else:
        x *= np.float32(1e-25 if kind == "tiny" else 1e25)
    (weights,) = (numpy_helper.to_array(t) for t in made.graph.initializer if t.name == "w")
    spectrum = np.fft.rfft2(np.pad(x[0].astype(np.float64), ((0, 0), (1, 1), (1, 1))))
    kernel = np.zeros((64, 512, side + 2, side + 2))
    kernel[:, :, :3, :3] = weights
    both = (spectrum * np.conj(np.fft.rfft2(kernel))).sum(1)
    bias = next(numpy_helper.to_array(t) for t in made.graph.initializer if t.name == "b")
    want = np.fft.irfft2(both, (side + 2, side + 2))[:, :side, :side] + bias[:, None, None]
    error = {}
    for impl in IMPLS:
        with forced(impl):
            (got,) = pyinfer.load(made.SerializeToString()).run(feeds).values()
        error[impl] = np.sqrt(((got - want) ** 2).mean()) / np.sqrt((want**2).mean())
    # Rows whose squares are not numbers of f32 are scaled by their largest number.
    most = 1.5 if kind in ("relu", "smooth") else 3
    assert error["winograd_fip"] <= most * error["winograd"] + 1e-7
    assert error["winograd_fip"] < 2e-5


@pytest.mark.parametrize("impl", IMPLS)
def test_zeros_stay(impl: str) -> None:
    made, feeds = model(SIZES[1], "plain")
    feeds["x"][:, :, :12] = 0
    with forced(impl):
        (got,) = pyinfer.load(made.SerializeToString()).run(feeds).values()
    bias = next(numpy_helper.to_array(t) for t in made.graph.initializer if t.name == "b")
    np.testing.assert_array_equal(
        got[:, :, 1:8], np.broadcast_to(bias[:, None, None], got[:, :, 1:8].shape)
    )


def test_exact_turns_it_off() -> None:
    made, feeds = model(SIZES[0], "relu")
    m = pyinfer.load(made.SerializeToString(), exact=True)
    (want,) = ReferenceEvaluator(made).run(None, feeds)
    (got,) = m.run(feeds).values()
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
    assert not set(IMPLS) & set(impls(m, feeds))


@pytest.mark.parametrize("impl", IMPLS)
def test_infinity_stays_near(impl: str) -> None:
    """What is not finite spoils the tiles that read it, and nothing else."""
    made, feeds = model(SIZES[0], "plain")
    with forced(impl):
        m = pyinfer.load(made.SerializeToString())
        m.run(feeds)
    (clean,) = m.run(feeds).values()
    clean = clean.copy()
    feeds["x"][0, 3, 20, 20] = np.inf
    (got,) = m.run(feeds).values()
    touched = np.zeros((56, 56), bool)
    touched[16:24, 16:24] = True
    np.testing.assert_array_equal(got[0][:, ~touched], clean[0][:, ~touched])
    assert not np.isfinite(got[0, :, 19:22, 19:22]).any()
