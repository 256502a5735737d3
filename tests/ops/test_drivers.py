# SPDX-License-Identifier: Apache-2.0
"""Shared drivers at sizes where they leave the plain loop: sorting, reducing, normalising, gathering, scattering, and
attention of few queries; against NumPy and the plain reference."""

from __future__ import annotations

import numpy as np
import pytest

import pyinfer
from ops.node import run
from ops.test_fast_paths import normal, same

I64 = np.int64


def best(x: np.ndarray, k: int, axis: int, largest: int) -> np.ndarray:
    """Places of the k best: NaN above all, equal ones by their place."""
    wide = np.where(np.isnan(x), np.inf, x) if x.dtype.kind == "f" else x.astype(np.int64)
    nan = np.isnan(x) if x.dtype.kind == "f" else np.zeros(x.shape, bool)
    place = np.broadcast_to(
        np.arange(x.shape[axis]).reshape([-1 if i == axis else 1 for i in range(x.ndim)]), x.shape
    )
    sign = -1 if largest else 1
    order = np.lexsort((place, sign * wide, sign * nan.astype(int)), axis=axis)
    return np.take(order, np.arange(k), axis)


@pytest.mark.parametrize("largest", [0, 1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.uint8])
@pytest.mark.parametrize(
    ("shape", "axis"), [((3, 1000), 1), ((2, 301, 37), 1), ((130, 5), 0), ((3, 65, 16), 1)]
)
def test_topk(shape: tuple[int, ...], axis: int, dtype: type, largest: int) -> None:
    rng = np.random.default_rng(len(shape))
    x = (rng.integers(0, 200, shape) if dtype is not np.float32 else normal(rng, *shape)).astype(
        dtype
    )
    for k in (1, 5, shape[axis] // 4, shape[axis] // 4 + 1, shape[axis]):
        for threads in (1, 2):
            values, order = run("TopK", [x, np.array([k], I64)], outputs=2, threads=threads, axis=axis, largest=largest)  # fmt: skip
            want = best(x, k, axis, largest)
            assert np.array_equal(order, want)
            assert np.array_equal(values, np.take_along_axis(x, want, axis), equal_nan=dtype is np.float32)  # fmt: skip


def test_topk_many_nan() -> None:
    x = np.full((2, 200), np.nan, np.float32)
    x[:, 50:60] = 1
    for largest in (0, 1):
        assert np.array_equal(
            run("TopK", [x, np.array([7], I64)], outputs=2, largest=largest)[1],
            best(x, 7, 1, largest),
        )


@pytest.mark.parametrize(
    "dtype", [np.float32, np.float64, np.float16, np.int8, np.int32, np.int64, np.uint64]
)
def test_unique(dtype: type) -> None:
    x = (
        np.random.default_rng(3)
        .integers(-90 if np.dtype(dtype).kind != "u" else 0, 90, 3000)
        .astype(dtype)
    )
    want = np.unique(x, return_index=True, return_inverse=True, return_counts=True)
    for got, w in zip(run("Unique", [x], outputs=4), want, strict=True):
        assert np.array_equal(got, w.reshape(got.shape))
    order = np.argsort(want[1])
    got = run("Unique", [x], outputs=4, sorted=0)
    assert np.array_equal(got[0], want[0][order]) and np.array_equal(got[3], want[3][order])
    assert np.array_equal(got[0][got[2]], x)


@pytest.mark.parametrize(
    "op",
    "ReduceSum ReduceMean ReduceMax ReduceMin ReduceL1 ReduceL2 ReduceSumSquare ReduceLogSumExp ReduceProd".split(),
)
@pytest.mark.parametrize("dtype", [np.float64, np.int64, np.int32])
def test_reduce_wide(op: str, dtype: type) -> None:
    if dtype is not np.float64 and op in ("ReduceL2", "ReduceLogSumExp", "ReduceMean"):
        dtype = np.float32
    x = (np.random.default_rng(5).standard_normal((7, 33, 70)) * 3).astype(dtype)
    numpy_of = {
        "ReduceSum": np.sum,
        "ReduceMean": np.mean,
        "ReduceMax": np.max,
        "ReduceMin": np.min,
        "ReduceL1": lambda v, a: np.abs(v).sum(a),
        "ReduceL2": lambda v, a: np.sqrt((v.astype(np.float64) ** 2).sum(a)),
        "ReduceSumSquare": lambda v, a: (v**2).sum(a),
        "ReduceLogSumExp": lambda v, a: np.log(np.exp(v.astype(np.float64)).sum(a)),
        "ReduceProd": np.prod,
    }
    for axes in ((0,), (1,), (2,), (0, 2), (0, 1, 2)):
        if op == "ReduceProd" and len(axes) > 1:
            continue
        got = run(op, [x, np.array(axes, I64)], opset=18, keepdims=0)[0]
        want = numpy_of[op](x, axes)
        close = 1e-5 if dtype is np.float32 else 1e-12
        np.testing.assert_allclose(got, want, rtol=close, atol=close)
    if dtype is np.float64:
        x[3, 4, 5] = np.nan
        assert np.isnan(run(op, [x, np.array([0, 1, 2], I64)], opset=18, keepdims=0)[0])


@pytest.mark.parametrize("seed", range(8))
def test_norms_over_axes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = [int(d) for d in rng.choice([1, 2, 3, 9, 17, 40], rng.integers(2, 5))]
    x = normal(rng, *shape, special=seed % 2 == 1)
    for axis in range(-1, len(shape)):
        for p in (1, 2):
            same("LpNormalization", [x], axis=axis, p=p)
            with np.errstate(all="ignore"):
                want = x / np.linalg.norm(x, p, axis, keepdims=True)
            if seed % 2 == 0:
                np.testing.assert_allclose(run("LpNormalization", [x], axis=axis, p=p)[0], want, rtol=1e-5, atol=1e-6)  # fmt: skip
    for n in range(1, len(shape) + 1):
        axes = sorted(int(a) for a in rng.choice(len(shape), n, replace=False))
        same("MeanVarianceNormalization", [x], 1e-4, axes=axes)
        same(
            "MeanVarianceNormalization", [np.clip(x, -1e3, 1e3).astype(np.float16)], 1e-2, axes=axes
        )


def test_norm_of_the_very_small_and_large() -> None:
    for size in (1e-30, 1e-18, 1e25, 0.0):
        x = np.full((3, 40), size, np.float32)
        for axis in (0, 1):
            same("LpNormalization", [x], axis=axis, p=2)
    y = run("LpNormalization", [np.full((2, 16), 1e30, np.float32)], axis=1, p=2)[0]
    np.testing.assert_allclose(y, 0.25, rtol=1e-6)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.uint8, np.float16, np.complex64])
def test_scatter_elements(axis: int, dtype: type) -> None:
    rng = np.random.default_rng(axis)
    shape, part = (9, 40, 300), [5, 33, 270]
    part[axis] = 60  # more than there are: targets are met again and again
    data = rng.integers(0, 5, shape).astype(dtype)
    index = rng.integers(-shape[axis], shape[axis], part)
    updates = rng.integers(1, 3, part).astype(dtype)
    place = list(np.indices(part))
    place[axis] = index % shape[axis]
    for reduction, ufunc in (
        ("none", None),
        ("add", np.add),
        ("max", np.maximum),
        ("min", np.minimum),
    ):
        if dtype is np.complex64 and reduction in ("max", "min"):
            continue
        want = data.copy()
        if ufunc:
            ufunc.at(want, tuple(place), updates)
        else:
            for at in zip(*(p.reshape(-1) for p in place), updates.reshape(-1), strict=True):
                want[at[:-1]] = at[-1]
        for threads in (1, 2):
            got = run("ScatterElements", [data, index, updates], opset=18, threads=threads, axis=axis, reduction=reduction)  # fmt: skip
            assert np.array_equal(got[0], want)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("index_type", [np.int32, np.int64])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int8, np.complex128])
def test_gather_elements(dtype: type, index_type: type, axis: int) -> None:
    rng = np.random.default_rng(1)
    x = rng.integers(0, 99, (300, 70)).astype(dtype)
    index = rng.integers(-x.shape[axis], x.shape[axis], (200, 60)).astype(index_type)
    want = np.take_along_axis(x[:, :60] if axis == 0 else x[:200], index, axis)
    for threads in (1, 2):
        assert np.array_equal(
            run("GatherElements", [x, index], axis=axis, threads=threads)[0], want
        )
        for wrong in (
            x.shape[axis],
            -x.shape[axis] - 1,
            np.iinfo(index_type).min,
            np.iinfo(index_type).max,
        ):
            bad = index.copy()
            bad[150, 3] = wrong
            with pytest.raises(
                pyinfer.InputError, match=f"index {wrong} .element 9003. is out of range"
            ):
                run("GatherElements", [x, bad], axis=axis, threads=threads)


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.int64, np.float32, np.float64])
def test_range(dtype: type) -> None:
    for start, limit, delta in ((0, 30000, 1), (5, -29000, -3), (-7, 100, 10)):
        got = run("Range", [np.array(v, dtype) for v in (start, limit, delta)])[0]
        assert got.dtype == dtype and np.array_equal(
            got, np.arange(start, limit, delta).astype(dtype)
        )
    many = run("Range", [np.array(v, np.int64) for v in (3, 700001, 7)], threads=2)[0]
    assert np.array_equal(many, np.arange(3, 700001, 7))


@pytest.mark.parametrize("seed", range(10))
def test_attention_of_few_queries(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kv = int(rng.choice([1, 2, 3]))
    heads = kv * int(rng.choice([1, 2]))
    queries, total, past = (
        int(rng.integers(1, 4)),
        int(rng.choice([1, 7, 64, 130])),
        int(rng.choice([0, 5, 33])),
    )
    size, v_size = (int(rng.choice([8, 17, 64, 70])) for _ in range(2))
    q = normal(rng, 2, heads, queries, size, special=False)
    k, v = (normal(rng, 2, kv, total, s, special=False) for s in (size, v_size))
    everything = total + past
    mask = [None, rng.random((queries, everything)) > 0.3, normal(rng, 2, 1, queries, everything, special=False)][seed % 3]  # fmt: skip
    inputs = [q, k, v, mask]
    outputs = 1
    if past:
        inputs += [normal(rng, 2, kv, past, s, special=False) for s in (size, v_size)]
        outputs = 3
    same(
        "Attention",
        inputs,
        2e-5,
        opset=23,
        outputs=outputs,
        is_causal=int(seed % 4 == 1),
        softcap=float(seed % 2),
    )


def test_few_queries_are_as_many() -> None:
    """One query at a time gives what all of them give at once."""
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((1, 4, 40, 64)).astype(np.float32) for _ in range(3))
    many = run("Attention", [q, k, v], opset=23)[0]
    for i in (0, 17, 39):
        one = run("Attention", [np.ascontiguousarray(q[:, :, i : i + 1]), k, v], opset=23)[0]
        np.testing.assert_allclose(one[:, :, 0], many[:, :, i], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("seed", range(12))
def test_rotary(seed: int) -> None:
    rng = np.random.default_rng(seed)
    batch, heads, steps, size = (
        int(rng.choice(c)) for c in ([1, 2], [1, 3], [1, 5, 33], [2, 6, 16, 34])
    )
    half = size // 2 if seed % 3 else max(size // 4, 1)
    more = {"rotary_embedding_dim": 2 * half, "interleaved": int(rng.integers(0, 2))}
    shape = (batch, heads, steps, size)
    if seed % 2:
        shape, more["num_heads"] = (batch, steps, heads * size), heads  # type: ignore[assignment]
    places = rng.integers(0, 50, (batch, steps)) if seed % 4 < 2 else None
    rows = (batch if seed < 6 else 1, steps) if places is None else (50,)  # 1: shared by the batch
    caches = [normal(rng, *rows, half, special=False) for _ in range(2)]
    inputs = [normal(rng, *shape, special=False), *caches] + (
        [places] if places is not None else []
    )
    same("RotaryEmbedding", inputs, opset=23, **more)
    same("RotaryEmbedding", [x.astype(np.float16) if x.dtype == np.float32 else x for x in inputs], 2e-3, opset=23, **more)  # fmt: skip
    if places is not None:
        places[-1, -1] = -1 if seed % 2 else 50
        with pytest.raises(pyinfer.InputError, match="position .* is out of range for 50"):
            run("RotaryEmbedding", inputs, opset=23, **more)


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax", "Hardmax"])
def test_softmax_of_doubles(op: str) -> None:
    rng = np.random.default_rng(0)
    for shape, axis in (((3, 700), 1), ((3, 70, 5), 1), ((1, 1), 0)):
        x = rng.standard_normal(shape) * 20
        x -= x.max(axis, keepdims=True)
        want = {
            "Softmax": np.exp(x) / np.exp(x).sum(axis, keepdims=True),
            "LogSoftmax": x - np.log(np.exp(x).sum(axis, keepdims=True)),
            "Hardmax": (x == 0).astype(float),
        }[op]
        np.testing.assert_allclose(run(op, [x], axis=axis)[0], want, rtol=1e-12, atol=1e-300)
    if op == "Softmax":
        for odd in (np.nan, np.inf):
            assert np.isnan(run(op, [np.array([[1.0, odd, 2.0]])])[0]).all()
        assert run(op, [np.array([[1.0, -np.inf, 1.0]])])[0].tolist() == [[0.5, 0, 0.5]]


def test_pow_of_denormals() -> None:
    """Denormals are zeros in a run, those that come in too."""
    tiny = np.array([1e-40, -1e-40, 1.4e-45, -1.4e-45], np.float32)
    zero = np.array([0.0, -0.0, 0.0, -0.0], np.float32)
    with np.errstate(all="ignore"):
        for e in (1.7, 0.5, 2, 3, -1, -1.5, 0, 1e-40):
            power = np.full(4, e, np.float32)
            want = np.power(zero, np.float32(0 if e == 1e-40 else e))
            for impl in (None, "ref"):
                for p in (power, power[:1]):
                    assert np.array_equal(run("Pow", [tiny, p], impl=impl)[0], want), (e, impl)
    negative = np.full(3, -2, np.float32), np.full(3, 1e-40, np.float32)
    for impl in (None, "ref"):
        assert run("Pow", [*negative], impl=impl)[0].tolist() == [1, 1, 1]


@pytest.mark.parametrize("seed", range(6))
def test_flex_attention_on_floats(seed: int) -> None:
    rng = np.random.default_rng(seed)
    group, queries, keys, size, v_size = (int(d) for d in rng.choice([1, 2, 3, 17, 40], 5))
    q = normal(rng, 2, 2 * min(group, 3), queries, size, special=seed % 2 == 1)
    k, v = (normal(rng, 2, 2, keys, d, special=False) for d in (size, v_size))
    same("FlexAttention", [q, k, v], 2e-5, opset=1, domain="ai.onnx.preview")
