# SPDX-License-Identifier: Apache-2.0
"""Data movement against NumPy: random shapes, dtypes and arguments."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.one_node import check

DTYPES = ["float32", "uint8", "int64", "float16", "float64", "int16"]


def integers(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


@st.composite
def arrays(draw: st.DrawFn, low: int = 1, least: int = 1) -> np.ndarray:
    """Small whole numbers; now and then an axis that is longer than a vector."""
    rank = draw(st.integers(least, 5))
    shape = [draw(st.integers(low, 6)) for _ in range(rank)]
    if draw(st.booleans()):
        shape[draw(st.integers(0, rank - 1))] = draw(st.sampled_from([17, 33, 64]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return rng.integers(-100, 100, shape).astype(draw(st.sampled_from(DTYPES)))


@given(x=arrays(low=0), data=st.data())
def test_transpose(x: np.ndarray, data: st.DataObject) -> None:
    perm = data.draw(st.permutations(range(x.ndim)))
    check("Transpose", [x], [x.transpose(perm)], perm=list(perm))


@given(x=arrays(), data=st.data())
def test_slice(x: np.ndarray, data: st.DataObject) -> None:
    start, end, step, index = [], [], [], []
    for n in x.shape:
        s = data.draw(st.sampled_from([-3, -2, -1, 1, 2, 3, 2**40, -(2**63)]))
        a, b = (data.draw(st.integers(-n - 3, n + 3) | st.just(2**62)) for _ in range(2))
        start.append(a)
        end.append(b)
        step.append(s)
        first = a if a >= 0 else a + n
        last = b if b >= 0 else b + n
        low, high = (0, n) if s > 0 else (-1, n - 1)
        index.append(list(range(min(max(first, low), high), min(max(last, low), high), s)))
    axes = integers(*range(x.ndim))
    check(
        "Slice", [x, integers(*start), integers(*end), axes, integers(*step)], [x[np.ix_(*index)]]
    )


@given(x=arrays(), data=st.data())
def test_concat_and_split(x: np.ndarray, data: st.DataObject) -> None:
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    n = x.shape[axis]
    cuts = sorted(data.draw(st.lists(st.integers(0, n), min_size=2, max_size=2)))
    parts = np.split(x, cuts, axis)
    check("Split", [x, integers(*(p.shape[axis] for p in parts))], parts, axis=axis)
    check("Concat", parts, [x], axis=axis)


@given(x=arrays(low=0), data=st.data())
def test_tile(x: np.ndarray, data: st.DataObject) -> None:
    repeats = integers(*(data.draw(st.integers(0, 3)) for _ in x.shape))
    check("Tile", [x, repeats], [np.tile(x, repeats)])


@given(x=arrays(), data=st.data())
def test_expand(x: np.ndarray, data: st.DataObject) -> None:
    ones = [data.draw(st.booleans()) for _ in x.shape]
    small = x[tuple(slice(0, 1) if o else slice(None) for o in ones)]
    shape = [data.draw(st.integers(1, 3)) for _ in range(data.draw(st.integers(0, 2)))] + list(
        x.shape
    )
    check("Expand", [small, integers(*shape)], [np.broadcast_to(small, shape)])


@given(x=arrays(), data=st.data())
def test_pad(x: np.ndarray, data: st.DataObject) -> None:
    mode = data.draw(st.sampled_from(["constant", "reflect", "edge", "wrap"]))
    pads = [(data.draw(st.integers(0, 9)), data.draw(st.integers(0, 9))) for _ in x.shape]
    value = np.array(7, x.dtype)
    expected = np.pad(x, pads, mode=mode, **({"constant_values": 7} if mode == "constant" else {}))
    given_pads = integers(*(p[0] for p in pads), *(p[1] for p in pads))
    check("Pad", [x, given_pads, value], [expected], mode=mode)


@given(x=arrays(), data=st.data())
def test_pad_cuts(x: np.ndarray, data: st.DataObject) -> None:
    low = [data.draw(st.integers(0, n)) for n in x.shape]
    high = [data.draw(st.integers(0, n - a)) for n, a in zip(x.shape, low, strict=True)]
    index = tuple(slice(a, n - b) for a, b, n in zip(low, high, x.shape, strict=True))
    check("Pad", [x, integers(*(-a for a in low), *(-b for b in high))], [x[index]])


@given(x=arrays(), data=st.data())
def test_gather(x: np.ndarray, data: st.DataObject) -> None:
    axis = data.draw(st.integers(0, x.ndim - 1))
    n = x.shape[axis]
    index = np.array(data.draw(st.lists(st.integers(-n, n - 1), max_size=6)), np.int64)
    index = index.astype(data.draw(st.sampled_from(["int32", "int64"])))
    check("Gather", [x, index], [np.take(x, index, axis)], axis=axis)
    shape = list(x.shape)
    shape[axis] = data.draw(st.integers(0, 5))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    index = rng.integers(-n, n, shape)
    check("GatherElements", [x, index], [np.take_along_axis(x, index, axis)], axis=axis)


@given(x=arrays(), data=st.data())
def test_gather_nd(x: np.ndarray, data: st.DataObject) -> None:
    depth = data.draw(st.integers(1, x.ndim))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    lead = (data.draw(st.integers(0, 3)), 2)
    index = np.stack([rng.integers(-n, n, lead) for n in x.shape[:depth]], -1)
    check("GatherND", [x, index], [x[tuple(index[..., i] for i in range(depth))]])


@given(x=arrays(), data=st.data())
def test_topk(x: np.ndarray, data: st.DataObject) -> None:
    axis = data.draw(st.integers(0, x.ndim - 1))
    k = data.draw(st.integers(0, x.shape[axis]))
    largest = data.draw(st.integers(0, 1))
    key = x.astype(np.float64) * (-1 if largest else 1)
    order = np.argsort(key, axis=axis, kind="stable").take(range(k), axis)
    values = np.take_along_axis(x, order, axis)
    check("TopK", [x, integers(k)], [values, order], axis=axis, largest=largest)


@given(x=arrays(), data=st.data())
def test_unique(x: np.ndarray, data: st.DataObject) -> None:
    axis = data.draw(st.none() | st.integers(0, x.ndim - 1))
    values, first, inverse, counts = np.unique(x, True, True, True, axis=axis)
    expected = [values, first, inverse.reshape(-1), counts]
    check("Unique", [x], expected, **({} if axis is None else {"axis": axis}))


@given(x=arrays(low=0))
def test_nonzero(x: np.ndarray) -> None:
    check("NonZero", [x], [np.array(np.nonzero(x), np.int64).reshape(x.ndim, -1)])


@given(x=arrays(least=2), k=st.integers(-5, 5))
def test_trilu(x: np.ndarray, k: int) -> None:
    check("Trilu", [x, np.array(k)], [np.tril(x, k)], upper=0)
    check("Trilu", [x, np.array(k)], [np.triu(x, k)])


@pytest.mark.parametrize("k", [-300, -299, -3, 0, 5, 199, 200])
def test_eye(k: int) -> None:
    x = np.zeros((300, 200), np.float32)  # too large to be folded
    check("EyeLike", [x], [np.eye(300, 200, k, np.float32)], k=k)


@pytest.mark.parametrize("shape", [(7, 70, 3), (40, 600), (3, 5, 513), (2000, 2)])
def test_cumsum_of_many_lanes(shape: tuple[int, ...]) -> None:
    x = np.arange(np.prod(shape), dtype=np.int64).reshape(shape)
    for axis in range(len(shape)):
        check("CumSum", [x, np.array(axis)], [np.cumsum(x, axis)])


@pytest.mark.parametrize("k", [100, 260])
@pytest.mark.parametrize("dtype", ["float32", "int32", "float64"])
def test_topk_of_most(k: int, dtype: str) -> None:
    x = np.random.default_rng(k).integers(-50, 50, (5, 260)).astype(dtype)
    at = np.argsort(-x, axis=1, kind="stable")[:, :k]
    check("TopK", [x, integers(k)], [np.take_along_axis(x, at, 1), at], axis=1)


@given(x=arrays(), data=st.data())
def test_cumsum(x: np.ndarray, data: st.DataObject) -> None:
    x = x.astype(np.int64)
    axis = data.draw(st.integers(0, x.ndim - 1))
    at = np.array(axis)
    check("CumSum", [x, at], [np.cumsum(x, axis)])
    check("CumSum", [x, at], [np.cumsum(x, axis) - x], exclusive=1)
    check("CumSum", [x, at], [np.flip(np.cumsum(np.flip(x, axis), axis), axis)], reverse=1)


@pytest.mark.parametrize(
    "equation",
    ["bij,bjk->bik", "bhqd,bhkd->bhqk", "...ij,...jk->...ik", "ij,ik->jk", "i,j", "ii,ij->j"],
)
def test_einsum(equation: str) -> None:
    rng = np.random.default_rng(0)
    shapes = {"i": 4, "j": 5, "k": 6, "b": 2, "h": 3, "q": 40, "d": 7}
    terms = equation.split("->")[0].split(",")
    xs = [
        rng.standard_normal([shapes[c] for c in t.replace("...", "bh")]).astype(np.float32)
        for t in terms
    ]
    expected = np.asarray(np.einsum(equation, *xs), np.float32)
    check("Einsum", xs, [expected], 1e-5, equation=equation)


@pytest.mark.parametrize(
    "op", ["Gather", "GatherElements", "GatherND", "ScatterElements", "ScatterND"]
)
@pytest.mark.parametrize("value", [3, -4, 2**62, -(2**63)])
@pytest.mark.parametrize("constants", [False, True])
def test_index_out_of_range(op: str, value: int, constants: bool) -> None:
    import pyinfer
    from support.one_node import run

    x = np.arange(3, dtype=np.float32)
    index = np.array([[value]] if op.endswith("ND") else [value], np.int64)
    inputs = [x, index] + ([np.zeros(1, np.float32)] if op.startswith("Scatter") else [])
    with pytest.raises(pyinfer.InputError, match=f"index {value} .* axis 0 of length 3"):
        run(op, inputs, constants=constants)


def test_pad_wraps_before_opset_19() -> None:
    """PyTorch writes mode wrap into files of opset 18 too."""
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    check(
        "Pad",
        [x, np.array([1, 0, 0, 2])],
        [np.pad(x, ((1, 0), (0, 2)), mode="wrap")],
        opset=18,
        mode="wrap",
    )
