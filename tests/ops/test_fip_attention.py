# SPDX-License-Identifier: Apache-2.0
"""Attention by the fast inner product: against float64, with masks, windows and caches against the plain reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pyinfer
from ops.node import forced, model_of, run

# batch, heads, heads of keys, queries, keys, size, size of values
SIZES = [
    (1, 2, 2, 128, 128, 64, 64),
    (2, 3, 3, 77, 133, 20, 40),  # a panel of keys, one of values that is not full; a tile of five queries
    (1, 4, 2, 65, 33, 96, 31),
    (3, 8, 8, 24, 300, 100, 17),  # one thread packs for itself
]


def given(size: tuple[int, ...], seed: int = 0) -> list[np.ndarray]:
    b, h, kv, s, t, d, dv = size
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(dims).astype(np.float32) for dims in ((b, h, s, d), (b, kv, t, d), (b, kv, t, dv))]


def exact(q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    q, k, v = (x.astype(np.float64) for x in (q, k, v))
    k, v = (x.repeat(q.shape[1] // k.shape[1], 1) for x in (k, v))
    x = q @ k.swapaxes(2, 3) / np.sqrt(q.shape[3]) + (0 if mask is None else mask)
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True) @ v


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("threads", [1, 2])
def test_error(size: tuple[int, ...], threads: int) -> None:
    """That of the direct product, of unlike magnitudes too."""
    for seed, scales in enumerate([(1, 1, 1), (1e-4, 1e3, 1e-3), (1e5, 1e-5, 1e6)]):
        q, k, v = (x * np.float32(scale) for x, scale in zip(given(size, seed), scales, strict=True))
        want = exact(q, k, v)
        for impl in ("simd", "fip"):
            (got,) = run("Attention", [q, k, v], impl=impl, threads=threads)
            assert np.abs(got - want).max() <= 3e-6 * np.abs(want).max(), (impl, scales)


def test_peaks() -> None:
    """Weights of all sizes: one key takes nearly all, or all but one are hidden."""
    q, k, v = given((1, 1, 1, 90, 90, 64, 64))
    mask = np.where(np.eye(90, dtype=bool), 0, -np.inf).astype(np.float32)
    (got,) = run("Attention", [q, k, v, mask], impl="fip")
    np.testing.assert_allclose(got, v, rtol=0, atol=1e-6)
    (got,) = run("Attention", [30 * q, k, v], impl="fip")
    np.testing.assert_allclose(got, exact(30 * q, k, v), rtol=0, atol=2e-4)  # scores near 100, whose digits count
    for scale in (0.0, 1.0):  # a head of zeros
        (got,) = run("Attention", [q, 0 * k, np.float32(scale) * v], impl="fip")
        np.testing.assert_allclose(got, np.broadcast_to(scale * v.mean(2, keepdims=True), v.shape), rtol=0, atol=1e-6)


OPTIONS: list[dict[str, Any]] = [
    {"is_causal": 1},
    {"is_causal": 1, "softcap": 2.0},
    {"left_window_size": 40, "right_window_size": 3},  # keys before the first that a block sees
    {"left_window_size": 7, "is_causal": 1, "scale": 0.4},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("kind", ["none", "bool", "float", "past"])
def test_parts_of_the_keys(size: tuple[int, ...], options: dict[str, Any], kind: str) -> None:
    q, k, v = given(size)
    rng = np.random.default_rng(1)
    inputs: list[np.ndarray | None] = [q, k, v, None]
    shape = (size[0], 1, size[3], size[4])
    if kind == "bool":
        inputs[3] = rng.random(shape) < 0.7
    if kind == "float":
        inputs[3] = np.where(rng.random(shape) < 0.3, -np.inf, rng.standard_normal(shape)).astype(np.float32)
    if kind == "past":
        inputs += given((*size[:4], 45, *size[5:]), 2)[1:]
    outputs = 3 if kind == "past" else 1
    want, got = (run("Attention", inputs, impl=impl, opset=25, outputs=outputs, **options)[0] for impl in ("ref", "fip"))
    np.testing.assert_allclose(got, want, rtol=0, atol=4e-6 * np.abs(want).max())


def test_what_is_not_finite_spoils_no_more_than_in_the_direct_product() -> None:
    q, k, v = given((1, 2, 2, 60, 70, 64, 64))
    hidden = np.ones((60, 70), bool)
    hidden[:, [3, 50]] = False
    want = run("Attention", [q, k, v, hidden], impl="simd")[0]
    k[0, 0, 3], k[0, 0, 50, 5], v[0, 1, 50] = np.nan, np.inf, 1e30
    np.testing.assert_allclose(run("Attention", [q, k, v, hidden], impl="fip")[0], want, rtol=0, atol=1e-5)
    assert np.isnan(run("Attention", [q, k, v], impl="fip")[0][:, 0]).all()


def impl_of(size: tuple[int, ...], **options: Any) -> str:
    inputs = given(size)
    m = pyinfer.load(model_of("Attention", inputs), **options)
    return str(m.steps(tuple(inputs), 0)[0][0][0]["impl"])


def test_where_it_is_taken() -> None:
    for size in SIZES:
        with forced("fip"):
            assert impl_of(size) == "fip"
            assert impl_of(size, exact=True) != "fip"
    for size in ((1, 2, 2, 3, 512, 64, 64), (1, 2, 2, 128, 128, 16, 16)):  # few queries; rows copied for few columns
        assert impl_of(size) == "simd"
