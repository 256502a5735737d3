# SPDX-License-Identifier: Apache-2.0
"""Recurrent cells as TensorFlow's exporter writes them: a Loop that carries its weights along."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx.parser
import pytest
from onnx import numpy_helper

import pyinfer

CELL = """agraph (int64 n, float[1, 4] h, float[N, 1, 3] xs, float[1, 4] z)
    => (float[1, 4] last, float[4, 4] w, float[1, 4] keep, float[M, 1, 4] all, float[1, 4] same)
{
    c = Constant <value = bool {1}> ()
    w0 = Add (u, u)
    last, w, keep, other, all = Loop (n, c, h, w0, z, u) <
        body = b (int64 i, bool c1, float[1, 4] h1, float[4, 4] w1, float[1, 4] z1, float[4, 4] u1)
            => (bool c2, float[1, 4] h2, float[4, 4] w2, float[1, 4] z1, float[4, 4] u2, float[1, 4] o)
        {
            c2 = Identity (c1)
            x = Gather (xs, i)
            a = MatMul (h1, w1)
            b = MatMul (x, v)
            d = Add (a, b)
            e = Add (d, z1)
            h2 = Tanh (e)
            o = Mul (h2, z1)
            w2 = Identity (w1)
            u2 = Add (u1, w1)
        }>
    d = MatMul (z, other)
    same = Identity (d)
}"""


U, V = (np.random.default_rng(n).standard_normal((n, 4)).astype(np.float32) for n in (4, 3))


def with_weights(text: str) -> onnx.ModelProto:
    m = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]>\n{text}')
    m.graph.initializer.extend(numpy_helper.from_array(t, k) for k, t in (("u", U), ("v", V)))
    return m


def feeds(rounds: int) -> dict[str, Any]:
    r = np.random.default_rng(rounds)
    shapes = {"h": (1, 4), "xs": (6, 1, 3), "z": (1, 4)}
    x = {k: r.standard_normal(s).astype(np.float32) for k, s in shapes.items()}
    return {"n": np.array(rounds, np.int64)} | x


def rounds_of(n: int, h: np.ndarray, xs: np.ndarray, z: np.ndarray) -> list[np.ndarray]:
    w, u, rows = U + U, U, []
    for i in range(n):
        h = np.tanh(h @ w + xs[i] @ V + z)
        rows.append(h * z)
        u = u + w
    return [h, w, z, np.reshape(rows, (n, 1, 4)), z @ u]


@pytest.mark.parametrize("level", [0, 1, 2])
def test_carried_weights(level: int) -> None:
    """What is carried unchanged comes out as it went in, after no rounds too."""
    model = pyinfer.load(with_weights(CELL).SerializeToString(), level=level)
    for rounds in (0, 1, 6, 2):
        x = feeds(rounds)
        want = rounds_of(rounds, x["h"], x["xs"], x["z"])
        for g, w in zip(model.run(x).values(), want, strict=True):
            assert g.shape == w.shape
            np.testing.assert_allclose(g, w, rtol=1e-5, atol=1e-6)


def test_weights_are_no_inputs() -> None:
    """The Loop's step reads the state, the sequence and what varies: constants are in the body."""
    x = feeds(6)
    model = pyinfer.load(with_weights(CELL).SerializeToString())
    steps = model.steps(tuple(x.values()), 0)[0][0]
    (loop,) = [s for s in steps if s["op"] == "Loop"]
    inputs = loop["shapes"].split(" -> ")[0]
    assert inputs.count("f32[4, 4]") == 1, inputs  # the one that grows
    assert "f32[3, 4]" not in inputs


def test_branches_share_constants() -> None:
    text = """agraph (bool c, float[1, 4] x) => (float[1, 4] y)
    {
        w = Add (u, u)
        y = If (c) <
            then_branch = t () => (float[1, 4] p) { p = MatMul (x, w) },
            else_branch = e () => (float[1, 4] q) { r = MatMul (x, w) q = Add (r, x) }>
    }"""
    model = pyinfer.load(with_weights(text).SerializeToString())
    x = np.ones((1, 4), np.float32)
    for c in (True, False):
        got = model.run({"c": np.array(c), "x": x})["y"]
        np.testing.assert_allclose(got, x @ (U + U) + (0 if c else x), rtol=1e-5)
    (step,) = model.steps((np.array(True), x), 0)[0][0]
    assert "f32[4, 4]" not in step["shapes"]
