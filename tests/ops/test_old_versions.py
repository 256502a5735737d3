# SPDX-License-Identifier: Apache-2.0
"""What old versions of operators said in attributes that newer ones dropped, by hand in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ops.node import run

Case = tuple[str, int, list[np.ndarray], dict[str, Any], Callable[[], np.ndarray]]

RNG = np.random.default_rng(0)
F = np.float32
X = RNG.standard_normal((2, 3, 4, 5)).astype(F)
POSITIVE = np.abs(X)
PLANE = RNG.standard_normal((3, 4)).astype(F)
EACH = RNG.random(3).astype(F) + 1  # a value for each channel
FEATURES = [RNG.random((3, 4, 5)).astype(F) + 1 for _ in range(4)]
A, B, C = (RNG.random(s).astype(F) for s in ((3, 4), (4, 5), (5,)))
WIDE = RNG.standard_normal((2, 6, 4, 5)).astype(F)


def column(x: np.ndarray) -> np.ndarray:
    return x[:, None, None]


def windows(x: np.ndarray) -> list[np.ndarray]:
    """The four elements of all 2x2 windows."""
    return [x[:, :, i : i + 3, j : j + 4] for i in (0, 1) for j in (0, 1)]


def normal(x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + 1e-5)


def batch_norm(scale: Any, bias: Any, mean: Any, variance: Any) -> np.ndarray:
    return (X - mean) / np.sqrt(variance + 1e-5) * scale + bias


def group_norm() -> np.ndarray:
    groups = normal(WIDE.reshape(2, 3, 2, 4, 5), (2, 3, 4))
    return (groups * EACH[:, None, None, None] + EACH[:, None, None, None]).reshape(WIDE.shape)


def softmax_of_rows() -> np.ndarray:
    e = np.exp(X.reshape(2, -1))
    return (e / e.sum(1, keepdims=True)).reshape(X.shape)


CASES: list[Case] = []
for version in (1, 6):
    for name, function in (
        ("Add", np.add),
        ("Sub", np.subtract),
        ("Mul", np.multiply),
        ("Div", np.divide),
    ):
        inputs, how = [X, PLANE], {"broadcast": 1, "axis": 1}
        CASES += [(name, version, inputs, how, lambda f=function: f(X, PLANE[:, :, None]))]
        CASES += [(name, version, [X, X[0, 0]], {"broadcast": 1}, lambda f=function: f(X, X[0, 0]))]
    CASES += [
        (
            "Gemm",
            version,
            [A, B, C],
            {"broadcast": 1, "alpha": 0.5, "beta": 2.0},
            lambda: 0.5 * A @ B + 2 * C,
        )
    ]
    CASES += [("Dropout", version, [X], {"is_test": 1, "ratio": 0.4}, lambda: X)]
EDGES = ((0, 0), (0, 0), (1, 3), (2, 4))
ON_CHANNELS = {"broadcast": 1, "axis": 1}
MEANS = [EACH, EACH, EACH, EACH]
TWICE = {"kernel_shape": [2, 2]}
CASES += [
    ("Pow", 1, [POSITIVE, EACH], ON_CHANNELS, lambda: POSITIVE ** column(EACH)),
    ("Greater", 1, [POSITIVE, EACH], ON_CHANNELS, lambda: column(EACH) < POSITIVE),
    ("And", 1, [X > 0, EACH > 1.5], ON_CHANNELS, lambda: (X > 0) & column(EACH > 1.5)),
    (
        "BatchNormalization",
        1,
        [X, *MEANS],
        {"is_test": 1, "consumed_inputs": [0, 0, 0, 1, 1]},
        lambda: batch_norm(*map(column, MEANS)),
    ),
    ("BatchNormalization", 6, [X, *MEANS], {"is_test": 1}, lambda: batch_norm(*map(column, MEANS))),
    (
        "BatchNormalization",
        6,
        [X, *FEATURES],
        {"is_test": 1, "spatial": 0},
        lambda: batch_norm(*FEATURES),
    ),
    ("BatchNormalization", 7, [X, *FEATURES], {"spatial": 0}, lambda: batch_norm(*FEATURES)),
    (
        "Upsample",
        1,
        [X],
        {"height_scale": 2.0, "width_scale": 3.0},
        lambda: X.repeat(2, 2).repeat(3, 3),
    ),
    ("Upsample", 7, [X], {"scales": [1.0, 1.0, 2.0, 3.0]}, lambda: X.repeat(2, 2).repeat(3, 3)),
    ("Upsample", 9, [X, np.array([1, 1, 2, 3], F)], {}, lambda: X.repeat(2, 2).repeat(3, 3)),
    ("Resize", 10, [X, np.array([1, 1, 2, 3], F)], {}, lambda: X.repeat(2, 2).repeat(3, 3)),
    (
        "Pad",
        1,
        [X],
        {"paddings": [0, 0, 1, 2, 0, 0, 3, 4], "value": 2.0},
        lambda: np.pad(X, EDGES, constant_values=2),
    ),
    (
        "Pad",
        2,
        [X],
        {"pads": [0, 0, 1, 2, 0, 0, 3, 4], "mode": "edge"},
        lambda: np.pad(X, EDGES, mode="edge"),
    ),
    ("Cast", 1, [X * 3], {"to": "INT32"}, lambda: (X * 3).astype(np.int32)),
    ("PRelu", 1, [X, EACH], {}, lambda: np.where(X < 0, X * column(EACH), X)),
    ("PRelu", 6, [X, EACH[:1]], {}, lambda: np.where(X < 0, X * EACH[0], X)),
    ("Concat", 1, [X, X], {}, lambda: np.concatenate([X, X], 1)),
    ("Tile", 1, [X, np.array(2, F), np.array(1, F)], {}, lambda: np.tile(X, (1, 2, 1, 1))),
    (
        "Slice",
        1,
        [X],
        {"starts": [1, -3], "ends": [3, 1000], "axes": [1, 3]},
        lambda: X[:, 1:3, :, -3:],
    ),
    ("Split", 1, [X, np.array([1, 3], F)], {"axis": 2}, lambda: X[:, :, :1]),
    ("Split", 1, [X], {"axis": 2, "split": [1, 3]}, lambda: X[:, :, :1]),
    ("TopK", 1, [X], {"k": 2, "axis": 3}, lambda: -np.sort(-X, -1)[..., :2]),
    ("Reshape", 1, [X], {"shape": [2, -1, 0, 5]}, lambda: X.reshape(2, 3, 4, 5)),
    (
        "Scatter",
        9,
        [0 * A, np.array([[1, 0, 2, 2]]), A[:1]],
        {},
        lambda: np.array([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 1]]) * A[:1],
    ),
    (
        "InstanceNormalization",
        1,
        [X, EACH, EACH],
        {"consumed_inputs": [0]},
        lambda: normal(X, (2, 3)) * column(EACH) + column(EACH),
    ),
    ("GroupNormalization", 18, [WIDE, EACH, EACH], {"num_groups": 3}, group_norm),
    ("Softmax", 1, [X], {}, softmax_of_rows),
    ("LpPool", 1, [X], {"p": 2.0, **TWICE}, lambda: np.sqrt(sum(w**2 for w in windows(X)))),
    ("GlobalLpPool", 1, [X], {"p": 2.0}, lambda: np.sqrt((X**2).sum((2, 3), keepdims=True))),
    ("MaxPool", 1, [X], TWICE, lambda: np.max(windows(X), 0)),
    ("AveragePool", 1, [X], TWICE, lambda: np.mean(windows(X), 0)),
    (
        "Hardmax",
        1,
        [X],
        {},
        lambda: np.eye(60, dtype=F)[X.reshape(2, -1).argmax(1)].reshape(X.shape),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c[0]}-{c[1]}")
def test_by_hand(case: Case) -> None:
    op, version, inputs, how, expected = case
    outputs = 2 if op in ("Split", "TopK") else 1
    for constant in (range(1, len(inputs)), ()):
        y = run(op, inputs, opset=version, outputs=outputs, constant=tuple(constant), **how)[0]
        np.testing.assert_allclose(y, expected(), rtol=1e-5, atol=1e-5)


ELEMENTWISE = "Relu Sigmoid Tanh Exp Log Sqrt Abs Neg Floor Ceil Reciprocal Elu LeakyRelu Selu HardSigmoid Clip Sum Max Min Mean"


@pytest.mark.parametrize("op", ELEMENTWISE.split())
def test_consumed_inputs_say_nothing(op: str) -> None:
    inputs = [POSITIVE, X] if op in ("Sum", "Max", "Min", "Mean") else [POSITIVE]
    y = run(op, inputs, opset=1, consumed_inputs=[0])[0]
    np.testing.assert_allclose(
        y, run(op, inputs, opset=6)[0], rtol=1e-5
    )  # Selu's constants got digits


@pytest.mark.parametrize(
    ("op", "version", "gates"), [("LSTM", 1, 4), ("GRU", 1, 3), ("GRU", 3, 3), ("RNN", 1, 1)]
)
def test_output_sequence(op: str, version: int, gates: int) -> None:
    x, w, r = (
        RNG.random((5, 2, 3)).astype(F),
        RNG.random((1, 4 * gates, 3)).astype(F),
        RNG.random((1, 4 * gates, 4)).astype(F),
    )
    outputs = 3 if op == "LSTM" else 2
    old = run(op, [x, w, r], opset=version, outputs=outputs, hidden_size=4, output_sequence=1)
    new = run(op, [x, w, r], opset=7, outputs=outputs, hidden_size=4)
    for a, b in zip(old, new, strict=True):
        assert np.array_equal(a, b)
