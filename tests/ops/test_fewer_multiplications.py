# SPDX-License-Identifier: Apache-2.0
"""Products by one level of Strassen's algorithm and by the fast inner product, against float64: odd rows, panels that are left or
half full, long sums in parts, epilogues, threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import pyinfer
from ops.node import forced

# rows, columns, products of a sum
SIZES = [
    (128, 512, 512),
    (49, 1000, 640),  # an odd number of rows, a panel that is half full
    (197, 96, 770),  # three panels of 32: one is left
    (131, 200, 2100),  # sums in parts
    (300, 129, 1024),  # rows that meet in one set of the cache; one column in the last panel
    (24, 64, 64),  # the fewest: one thread has all
    (1200, 70, 30),  # many blocks of rows
]
IMPLS = ("strassen", "fip")
ENDS: dict[str, list[tuple[str, list[str]]]] = {
    "plain": [],
    "bias": [("Add", ["b"])],
    "relu": [("Add", ["b"]), ("Relu", [])],
    "gelu": [("Add", ["b"]), ("Gelu", [])],
    "residual": [("Add", ["b"]), ("Add", ["z"]), ("Relu", [])],
}


def model(nodes: list[onnx.NodeProto], shapes: dict[str, Any], weights: dict[str, np.ndarray]) -> bytes:
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info(k, onnx.TensorProto.FLOAT, v) for k, v in shapes.items()],
        [helper.make_empty_tensor_value_info(nodes[-1].output[0])],
        [numpy_helper.from_array(v, k) for k, v in weights.items()],
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    return made.SerializeToString()


def chain(first: onnx.NodeProto, end: str) -> list[onnx.NodeProto]:
    nodes = [first]
    for op, more in ENDS[end]:
        nodes.append(helper.make_node(op, [nodes[-1].output[0], *more], [f"y{len(nodes)}"]))
    return nodes


def finish(y: np.ndarray, end: str, b: np.ndarray, z: np.ndarray | None) -> np.ndarray:
    from math import erf

    y = y if end == "plain" else y + b
    y = y if z is None else y + z
    if end == "gelu":
        return y * (1 + np.vectorize(erf)(y / np.sqrt(2))) / 2
    return np.maximum(y, 0) if end in ("relu", "residual") else y


def impls(m: pyinfer.Model, feeds: dict[str, np.ndarray]) -> list[str]:
    return [step["impl"] for step in m.steps(tuple(feeds.values()), 0)[0][0]]


def check(impl: str, data: bytes, feeds: dict[str, np.ndarray], want: np.ndarray, threads: tuple[int, ...] = (1, 2)) -> None:
    for count in threads:
        with forced(impl):
            m = pyinfer.load(data, threads=count)
            for _ in range(2):
                (got,) = m.run(feeds).values()
                assert np.abs(got - want).max() <= 3e-6 * np.abs(want).max()
            assert impl in impls(m, feeds)


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_products(impl: str, size: tuple[int, int, int], end: str) -> None:
    m, n, k = size
    rng = np.random.default_rng(m * n)
    x, z = rng.standard_normal((m, k), np.float32), rng.standard_normal((m, n), np.float32)
    w = rng.standard_normal((k, n), np.float32) / np.float32(np.sqrt(k))
    b = rng.standard_normal(n).astype(np.float32)
    feeds = {"x": x, "z": z} if end == "residual" else {"x": x}
    data = model(chain(helper.make_node("MatMul", ["x", "w"], ["y"]), end),
                 {name: value.shape for name, value in feeds.items()}, {"w": w, "b": b})  # fmt: skip
    want = finish(x.astype(np.float64) @ w, end, b, feeds.get("z"))
    # With little to do for each thread the direct product is quicker.
    check(impl, data, feeds, want, (1, 2, 3) if m > 3 * 128 else (1, 2) if m > 24 else (1,))


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("end", ENDS)
def test_pointwise_convolutions(impl: str, end: str) -> None:
    rng = np.random.default_rng(5)
    x = rng.standard_normal((2, 96, 15, 13), np.float32)
    w = rng.standard_normal((200, 96, 1, 1), np.float32) / 10
    b, z = rng.standard_normal((200, 1, 1)).astype(np.float32), rng.standard_normal((2, 200, 15, 13), np.float32)
    feeds = {"x": x, "z": z} if end == "residual" else {"x": x}
    # A convolution before it, so that the image is channels-last there.
    nodes = [helper.make_node("Conv", ["x", "first"], ["x1"], pads=[1, 1, 1, 1])]
    nodes += chain(helper.make_node("Conv", ["x1", "w"], ["y"]), end)
    first = rng.standard_normal((96, 96, 3, 3), np.float32) / 30
    data = model(nodes, {name: value.shape for name, value in feeds.items()}, {"w": w, "b": b, "first": first})
    padded = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))
    image = np.einsum("nchwij,ocij->nohw", windows, first.astype(np.float64), optimize=True)
    want = np.einsum("nchw,oc->nohw", image, w[:, :, 0, 0].astype(np.float64), optimize=True)
    check(impl, data, feeds, finish(want, end, b, feeds.get("z")))


# batch, places, channels, filters, kernel, stride, pads
AXES = [
    (1, 401, 64, 96, 3, 2, (0, 0)),
    (2, 130, 96, 200, 3, 1, (1, 1)),  # two images, each between its zeros
    (1, 100, 128, 128, 5, 3, (4, 0)),  # places at the end that no window reads
    (1, 128, 128, 256, 4, 1, (3, 9)),  # windows of nothing but zeros
    (1, 200, 256, 128, 1, 2, (0, 0)),
    (2, 130, 256, 128, 1, 1, (0, 0)),
]


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("case", AXES, ids=str)
@pytest.mark.parametrize("column", [False, True], ids=["1d", "column"])
def test_convolutions_along_one_axis(impl: str, case: tuple[Any, ...], end: str, column: bool) -> None:
    batch, places, channels, filters, kernel, stride, pads = case
    rng = np.random.default_rng(places)
    x = rng.standard_normal((batch, channels, places), np.float32)
    w = rng.standard_normal((filters, channels, kernel), np.float32) / 20
    padded = np.pad(x.astype(np.float64), ((0, 0), (0, 0), pads))
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel, 2)[:, :, ::stride]
    want = np.einsum("ncli,oci->nol", windows, w.astype(np.float64), optimize=True)
    b, z = rng.standard_normal((filters, 1)).astype(np.float32), rng.standard_normal(want.shape, np.float32)
    want = finish(want, end, b, z if end == "residual" else None)
    feeds = {"x": x, "z": z} if end == "residual" else {"x": x}
    strides, around = [stride], list(pads)
    if column:  # [..., places, 1], as exporters of Keras write it
        feeds, w, b, want = {n: v[..., None] for n, v in feeds.items()}, w[..., None], b[..., None], want[..., None]
        strides, around = [stride, 1], [pads[0], 0, pads[1], 0]
    nodes = chain(helper.make_node("Conv", ["x", "w"], ["y"], strides=strides, pads=around), end)
    data = model(nodes, {name: value.shape for name, value in feeds.items()}, {"w": w, "b": b})
    check(impl, data, feeds, want)


# image, channels, filters, kernel, strides, pads, dilations, groups
WINDOWS = [
    ((15, 14), 16, 40, (3, 3), (2, 2), (1, 1, 1, 1), (1, 1), 1),
    ((9, 20), 7, 33, (5, 3), (1, 2), (2, 0, 2, 3), (1, 2), 1),  # a sum of 105; gaps along the row
    ((16, 16), 3, 96, (4, 4), (4, 4), (0, 0, 0, 0), (1, 1), 1),  # patches
    ((6, 5), 128, 64, (3, 3), (1, 1), (2, 2, 2, 2), (2, 2), 1),  # a sum in parts; windows of padding alone
    ((3, 12), 24, 64, (1, 1), (2, 3), (0, 0, 0, 0), (1, 1), 1),
    ((9, 20), 24, 80, (3, 3), (1, 2), (1, 1, 0, 1), (1, 1), 2),
    ((14, 13), 105, 150, (3, 5), (2, 1), (1, 2, 1, 2), (1, 2), 3),  # two threads cut the rows of a group
    ((7, 5), 64, 96, (1, 1), (1, 1), (0, 0, 0, 0), (1, 1), 2),
    ((7, 5), 64, 132, (1, 1), (2, 1), (0, 0, 0, 0), (1, 1), 4),
]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("case", WINDOWS, ids=str)
def test_windows(case: tuple[Any, ...], end: str) -> None:
    size, channels, filters, kernel, strides, pads, dilations, groups = case
    rng = np.random.default_rng(channels)
    x = rng.standard_normal((2, channels, *size), np.float32)
    w = rng.standard_normal((filters, channels // groups, *kernel), np.float32) / np.float32(np.sqrt(channels * kernel[0] * kernel[1]))
    padded = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3])))
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    windows = np.lib.stride_tricks.sliding_window_view(padded, reach, (2, 3))
    windows = windows[:, :, :: strides[0], :: strides[1], :: dilations[0], :: dilations[1]]
    parts = zip(np.split(windows, groups, 1), np.split(w.astype(np.float64), groups), strict=True)
    want = np.concatenate([np.einsum("nchwij,ocij->nohw", x1, w1, optimize=True) for x1, w1 in parts], 1)
    b, z = rng.standard_normal((filters, 1, 1)).astype(np.float32), rng.standard_normal(want.shape, np.float32)
    feeds = {"x": x, "z": z} if end == "residual" else {"x": x}
    first = helper.make_node("Conv", ["x", "w"], ["y"], strides=strides, pads=pads, dilations=dilations, group=groups)
    data = model(chain(first, end), {name: value.shape for name, value in feeds.items()}, {"w": w, "b": b})
    check("fip", data, feeds, finish(want, end, b, feeds.get("z")))


def test_where_they_are_taken() -> None:
    """Where they save time, and nowhere else; exact=1 turns them off."""
    for m, n, k, taken in ((128, 2048, 1024, True), (3, 2048, 1024, False), (128, 8, 64, False)):
        x = np.ones((m, k), np.float32)
        data = model([helper.make_node("MatMul", ["x", "w"], ["y"])], {"x": x.shape}, {"w": np.ones((k, n), np.float32)})
        assert (impls(pyinfer.load(data, threads=1), {"x": x})[0] in IMPLS) == taken
        assert impls(pyinfer.load(data, threads=1, exact=True), {"x": x})[0] not in IMPLS
        assert pyinfer.load(data)(x) == pytest.approx(k)


@pytest.mark.parametrize("impl", IMPLS)
def test_infinity_stays_in_its_rows(impl: str) -> None:
    """A row that is not finite spoils itself, with Strassen's product the row half of A away too, nothing else."""
    rng = np.random.default_rng(3)
    x, w = rng.standard_normal((130, 512), np.float32), rng.standard_normal((512, 256), np.float32)
    data = model([helper.make_node("MatMul", ["x", "w"], ["y"])], {"x": x.shape}, {"w": w})
    with forced(impl):
        m = pyinfer.load(data)
        clean = m(x).copy()
        x[7, 300] = np.inf
        got = m(x)
    others = np.delete(np.arange(130), [7, 72] if impl == "strassen" else [7])
    np.testing.assert_array_equal(got[others], clean[others])
    assert not np.isfinite(got[7]).any()


@pytest.mark.parametrize("spread", [1e1, 1e2, 1e3, 1e4, 1e6, 1e9])
@pytest.mark.parametrize("k", [7, 30, 256, 2000])
def test_large_numbers_that_meet_small_weights(spread: float, k: int) -> None:
    """As in a table whose columns have each a unit of its own: what is lost with them is not lost."""
    rng = np.random.default_rng(k)
    unit = np.exp(rng.uniform(-0.5, 0.5, k) * np.log(spread))
    x, w = rng.standard_normal((61, k)) * unit, rng.standard_normal((k, 70)) / unit[:, None]
    x, w = x.astype(np.float32), w.astype(np.float32)
    x[5:9] = 0
    data = model([helper.make_node("MatMul", ["x", "w"], ["y"])], {"x": x.shape}, {"w": w})
    with forced("fip"):
        got = pyinfer.load(data)(x)
    want = x.astype(np.float64) @ w
    assert np.abs(got - want).max() <= 2e-5 * np.abs(want).max()


def test_magnitudes() -> None:
    """Rows of A and the whole of B of any size: each row is as good as by itself, a row of zeros is zero."""
    rng = np.random.default_rng(4)
    scale = 10.0 ** np.arange(-24, 30, 3)[:, None]
    x, w = rng.standard_normal((18, 300)), rng.standard_normal((300, 64)) * 1e-3
    for size in (1e-6, 1.0, 1e6):
        rows = np.concatenate([x * scale, np.zeros((4, 300))]).astype(np.float32)
        b = (w * size).astype(np.float32)
        data = model([helper.make_node("MatMul", ["x", "w"], ["y"])], {"x": rows.shape}, {"w": b})
        with forced("fip"):
            got = pyinfer.load(data)(rows)
        want = rows.astype(np.float64) @ b
        assert (np.abs(got - want) <= 3e-6 * np.abs(want).max(1, keepdims=True)).all()
