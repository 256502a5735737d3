# SPDX-License-Identifier: Apache-2.0
"""Operators that draw random numbers: their moments and frequencies, and what a seed promises."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

import pyinfer
from ops.node import run

N = 40_000
TYPES = [np.float16, np.float32, np.float64]
INTEGERS = [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64]


def draw(op: str, inputs: list[np.ndarray], **attrs: Any) -> np.ndarray:
    return run(op, inputs, **attrs)[0]


def number(dtype: Any) -> int:
    return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


def near(values: np.ndarray, mean: float, deviation: float) -> None:
    """Five standard errors of the mean; the deviation to 3 %."""
    values = values.astype(np.float64)
    assert abs(values.mean() - mean) < 5 * deviation / np.sqrt(values.size)
    assert abs(values.std() / deviation - 1) < 0.03


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("like", [False, True])
def test_normal_and_uniform(dtype: Any, like: bool) -> None:
    shape: Any = {"shape": [200, N // 200]}
    ends: list[np.ndarray] = [np.zeros((200, N // 200), dtype)] if like else []
    more = {} if like else {**shape, "dtype": number(dtype)}
    suffix = "Like" if like else ""
    x = draw("RandomNormal" + suffix, ends, mean=2.0, scale=3.0, seed=5.0, **more)
    assert x.shape == (200, N // 200) and x.dtype == dtype
    near(x, 2, 3)
    assert (
        abs(np.mean(np.abs(x.astype(np.float64) - 2) < 3) - 0.6827) < 0.015
    )  # of a normal distribution
    x = draw("RandomUniform" + suffix, ends, low=-1.0, high=5.0, seed=5.0, **more)
    assert x.shape == (200, N // 200) and x.dtype == dtype
    near(x, 2, 6 / np.sqrt(12))
    assert x.min() >= -1 and x.max() <= 5


@pytest.mark.parametrize("dtype", [*TYPES, *INTEGERS, np.bool_])
def test_bernoulli(dtype: Any) -> None:
    p = np.repeat(np.float32([0, 0.2, 0.7, 1]), N)
    x = draw("Bernoulli", [p], dtype=number(dtype), seed=1.0)
    assert x.dtype == dtype
    shares = x.reshape(4, N).astype(np.float64).mean(1)
    assert shares[0] == 0 and shares[3] == 1
    np.testing.assert_allclose(shares[1:3], [0.2, 0.7], atol=0.012)


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize("source", TYPES)
def test_multinomial(dtype: Any, source: Any) -> None:
    p = np.array([[0.1, 0.2, 0.3, 0.4], [0, 1, 0, 0], [0.5, 0, 0, 0.5]])
    with np.errstate(divide="ignore"):
        weights = (np.log(p) + [[3], [-2], [0]]).astype(
            source
        )  # what is added to all does not matter
    x = draw("Multinomial", [weights], sample_size=N, dtype=number(dtype), seed=3.0)
    assert x.shape == (3, N) and x.dtype == dtype
    shares = np.stack([np.bincount(row, minlength=4) / N for row in x])
    np.testing.assert_allclose(shares, p, atol=0.013)
    assert (shares[p == 0] == 0).all()


SEEDED: list[tuple[str, list[np.ndarray], dict[str, Any]]] = [
    ("RandomNormal", [], {"shape": [64]}),
    ("RandomUniformLike", [np.zeros(64, np.float32)], {}),
    ("Bernoulli", [np.full(64, 0.5, np.float32)], {}),
    ("Multinomial", [np.zeros((2, 5), np.float32)], {"sample_size": 64}),
]


@pytest.mark.parametrize(("op", "inputs", "attrs"), SEEDED, ids=[op for op, *_ in SEEDED])
def test_seeds(op: str, inputs: list[np.ndarray], attrs: dict[str, Any]) -> None:
    texts = [draw(op, inputs, seed=seed, **attrs).tobytes() for seed in (7.0, 7.0, 8.0, 0.5, -1.0)]
    assert texts[0] == texts[1] and len(set(texts)) == 4
    assert draw(op, inputs, **attrs).tobytes() != draw(op, inputs, **attrs).tobytes()


def test_refused() -> None:
    x = np.zeros((2, 3), np.float32)
    with pytest.raises(pyinfer.ModelError, match="dtype i32 is not possible"):
        draw("RandomNormalLike", [x], dtype=TensorProto.INT32)
    with pytest.raises(pyinfer.ModelError, match="rank 1, expected 2"):
        draw("Multinomial", [x[0]])
    with pytest.raises(pyinfer.ModelError, match="no classes"):
        draw("Multinomial", [x[:, :0]])
