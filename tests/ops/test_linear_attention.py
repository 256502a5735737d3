# SPDX-License-Identifier: Apache-2.0
"""LinearAttention against ONNX's reference evaluator, over rules, heads, sizes and types; and what it refuses."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from onnx.reference.ops.op_linear_attention import LinearAttention

import pyinfer
from ops.node import run

NAMES = ("query", "key", "value", "past_state", "decay", "beta")
RULES = ("linear", "gated", "delta", "gated_delta")


def inputs_of(
    rule: str,
    *,
    batch: int = 2,
    steps: int = 5,
    heads: tuple[int, int] = (4, 2),
    sizes: tuple[int, int] = (8, 6),
    per_key: bool = False,
    one_beta: bool = False,
    past: bool = True,
) -> list[np.ndarray | None]:
    rng = np.random.default_rng(steps * 100 + sizes[1])
    (q, kv), (d_k, d_v) = heads, sizes
    key = rng.standard_normal((batch, steps, kv, d_k))
    key /= np.sqrt((key**2).sum(-1, keepdims=True)) + 1e-3
    beta = rng.random((batch, steps, 1 if one_beta else kv))
    every = [
        rng.standard_normal((batch, steps, q * d_k)),
        key.reshape(batch, steps, kv * d_k),
        rng.standard_normal((batch, steps, kv * d_v)),
        rng.standard_normal((batch, kv, d_k, d_v)) if past else None,
        -rng.random((batch, steps, kv * d_k if per_key else kv)) if "gated" in rule else None,
        beta if "delta" in rule else None,
    ]
    return [None if x is None else x.astype(np.float32) for x in every]


def infer(
    x: list[np.ndarray | None], rule: str, heads: tuple[int, int] = (4, 2), **more: Any
) -> list[np.ndarray]:
    q, kv = heads
    more = {"opset": 27, "outputs": 2} | more
    return run("LinearAttention", x, update_rule=rule, q_num_heads=q, kv_num_heads=kv, **more)


def reference(
    x: list[np.ndarray | None], rule: str, heads: tuple[int, int] = (4, 2), scale: float = 0.0
) -> Any:
    q, kv = heads
    return LinearAttention._run(
        None, *x, q_num_heads=q, kv_num_heads=kv, scale=scale, update_rule=rule
    )


def close(got: list[np.ndarray], want: Any, tolerance: float = 2e-5) -> None:
    for y, z in zip(got, want, strict=True):
        assert y.dtype == z.dtype and y.shape == z.shape
        y, z = y.astype(np.float32), z.astype(np.float32)
        np.testing.assert_allclose(y, z, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("heads", [(1, 1), (4, 2), (6, 1), (3, 3)])
@pytest.mark.parametrize("sizes", [(8, 6), (1, 1), (17, 32), (64, 70)])
def test_rules(rule: str, heads: tuple[int, int], sizes: tuple[int, int]) -> None:
    for steps, past, per_key in ((1, True, False), (9, False, True), (33, True, True)):
        x = inputs_of(
            rule, steps=steps, heads=heads, sizes=sizes, past=past, per_key=per_key, one_beta=past
        )
        close(infer(x, rule, heads, threads=1), reference(x, rule, heads))
        close(infer(x, rule, heads, threads=4, scale=0.3), reference(x, rule, heads, 0.3))


def test_steps_one_by_one_are_the_steps_at_once() -> None:
    x = inputs_of("gated_delta", steps=12, sizes=(32, 40))
    y, last = infer(x, "gated_delta")
    state, rows = x[3], []
    for t in range(12):
        part = [x[0], x[1], x[2], None, x[4], x[5]]
        step = [None if p is None else p[:, t : t + 1].copy() for p in part]
        row, state = infer([*step[:3], state, *step[4:]], "gated_delta")
        rows.append(row)
    assert np.array_equal(np.concatenate(rows, 1), y) and np.array_equal(state, last)


@pytest.mark.parametrize("state", [np.float32, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("rule", RULES)
def test_types(rule: str, dtype: type, state: type) -> None:
    x = [None if a is None else a.astype(dtype) for a in inputs_of(rule)]
    assert x[3] is not None
    x[3] = x[3].astype(state)
    close(infer(x, rule), reference(x, rule), 2e-5 if dtype is state is np.float32 else 8e-3)
    x[3] = None
    assert infer(x, rule)[1].dtype == dtype


def test_nothing() -> None:
    x = inputs_of("linear", steps=0)
    y, state = infer(x, "linear")
    assert y.shape == (2, 0, 24) and np.array_equal(state, x[3])
    for more in ({"batch": 0}, {"sizes": (8, 0)}, {"steps": 0, "past": False}):
        x = inputs_of("gated_delta", **more)
        assert [a.shape for a in infer(x, "gated_delta")] == [
            a.shape for a in reference(x, "gated_delta")
        ]
    x = inputs_of("gated_delta", sizes=(0, 6))  # sums of nothing
    assert not infer(x, "gated_delta")[0].any()


@pytest.mark.parametrize(
    ("place", "shape", "text"),
    [
        (0, (2, 5, 30), "do not fit together"),
        (0, (2, 5, 4, 8), "do not fit together"),
        (1, (2, 4, 16), "do not fit together"),
        (1, (2, 5, 15), "do not fit together"),
        (1, (2, 5, 8), "do not fit together"),
        (2, (1, 5, 12), "do not fit together"),
        (2, (2, 5, 13), "do not fit together"),
        (3, (2, 2, 6, 8), "past_state is"),
        (3, (2, 2, 48), "past_state is"),
        (4, (2, 5, 3), "decay is"),
        (4, (2, 5), "decay is"),
        (4, (2, 1, 2), "decay is"),
        (5, (2, 5, 4), "beta is"),
        (5, (1, 5, 2), "beta is"),
        (5, (2, 5), "beta is"),
    ],
)
def test_wrong_shapes(place: int, shape: tuple[int, ...], text: str) -> None:
    x = inputs_of("gated_delta")
    x[place] = np.zeros(shape, np.float32)
    with pytest.raises(pyinfer.PyinferError, match=text):
        infer(x, "gated_delta")


@pytest.mark.parametrize("heads", [(0, 0), (4, 0), (4, 3), (-4, 2), (4, -2), (2, 4), (4, 2**62)])
def test_wrong_heads(heads: tuple[int, int]) -> None:
    with pytest.raises(pyinfer.PyinferError, match="q_num_heads is"):
        infer(inputs_of("linear"), "linear", heads)


def test_wrong_rules() -> None:
    for rule, given, text in (
        ("gate", "linear", "'gate' is not one of linear"),
        ("gated", "linear", "gated needs decay"),
        ("delta", "linear", "delta needs beta"),
        ("gated_delta", "gated", "gated_delta needs beta"),
        ("linear", "gated", "linear takes no decay"),
        ("gated", "gated_delta", "gated takes no beta"),
    ):
        with pytest.raises(pyinfer.PyinferError, match=text):
            infer(inputs_of(given), rule)
    x = inputs_of("linear", past=False)[:3]  # what is absent may also not be named
    close(infer(x, "linear"), reference(x, "linear"))


@pytest.mark.parametrize("place", range(6))
def test_a_type_for_all(place: int) -> None:
    x = inputs_of("gated_delta")
    x[place] = np.float64(x[place])
    with pytest.raises(pyinfer.PyinferError, match=NAMES[place]):
        infer(x, "gated_delta")
