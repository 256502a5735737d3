# SPDX-License-Identifier: Apache-2.0
"""Legal nodes of the quantised operators: MAKERS[name](draw, row)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ops import define
from ops.draw import TYPES, Draw, Maker, Node, Row
from ops.legal_nets import window

SIZES = [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65]
NUMBER = {
    "u16": 4,
    "i16": 5,
    "u8": 2,
    "i8": 3,
    "u4": 21,
    "i4": 22,
    "f8e4m3fn": 17,
    "f8e5m2": 19,
}  # in TensorProto


def near(i: int, got: Any, want: Any, label: str) -> None:
    """Quantised results may differ by one at a tie, where the sums were rounded differently; few do."""
    wide = np.abs(got.astype(np.int64) - want.astype(np.int64))
    assert wide.max(initial=0) <= 1 and (wide > 0).sum() <= 2 + wide.size // 50, label


def full(d: Draw, kind: str, shape: list[int], low: int = -128, high: int = 255) -> Any:
    return d.array(kind, shape, special=False, low=low, high=high)


def granularity(d: Draw, row: Row, least: int = 1) -> tuple[list[int], list[int], dict[str, Any]]:
    """Shapes of the data and of the scale: one for all, one for each place of an axis, or blocks."""
    shape = d.dims(least, 4)
    ways = 1 if not shape else 2 if row.since >= 13 else 1
    if row.since >= 21 and shape and 0 not in shape:
        ways = 3
    way = d.int(0, ways - 1)
    if way == 0:
        return shape, [], {}
    axis = d.axis(len(shape))
    if way == 1:
        return shape, [shape[axis]], {"axis": axis}
    block = d.int(1, shape[axis])
    scale = list(shape)
    scale[axis] = -(-shape[axis] // block)
    return shape, scale, {"axis": axis, "block_size": block}


def quantize(d: Draw, row: Row) -> Node:
    kind = d.of([k for k in row.types if k != "i32"] * 3 + ["i32"])
    shape, scales, attrs = granularity(d, row)
    x = d.array(kind, shape, special=False, low=-100, high=100)
    scale = d.array(
        "f32" if kind == "i32" or row.since < 19 else kind, scales, special=False, low=0.25, high=2
    )
    to = d.of(
        ["u8", "i8"]
        + (["f8e4m3fn", "f8e5m2"] if row.since >= 19 else [])
        + (["u16", "i16", "u4", "i4"] if row.since >= 21 else [])
    )
    zero = None
    if d.flag():
        zero = d.array(
            to, scales, special=False, low=0 if to[0] == "f" else -3, high=0 if to[0] == "f" else 7
        )
    elif row.since >= 21:
        attrs["output_dtype"] = NUMBER[to]
    else:
        to = "u8"
    if row.since >= 23 and d.int(0, 3) == 0:
        attrs["precision"] = d.of([1, 10, 16])  # f32, f16, bf16
    if to[0] == "f" and row.since >= 19 and d.flag():
        attrs["saturate"] = int(d.flag())
    node = Node([x, scale, zero], attrs, narrow=True)
    if to[0] != "f":
        node.equal = near
    return node


def dequantize(d: Draw, row: Row) -> Node:
    kind = d.type(row)
    shape, scales, attrs = granularity(d, row)
    x = d.array(kind, shape, special=False, low=-100, high=100)
    out = "f32" if row.since < 19 else d.of(["f32", "f16", "bf16"])
    scale = d.array(out, scales, special=False, low=0.25, high=2)
    zero = None
    if kind[0] in "iu" and kind != "i32" and d.flag():
        zero = d.array(kind, scales, special=False, low=-3, high=7)
    return Node([x, scale, zero], attrs, narrow=True)


def dynamic(d: Draw, row: Row) -> Node:
    x = d.array(
        "f32",
        d.dims(0, 4, empty=False),
        special=False,
        low=d.of([-100, 0, -4]),
        high=d.of([100, 4]),
    )
    return Node(
        [x],
        outputs=3,
        equal=lambda i, g, w, s: (
            near(i, g, w, s) if i != 1 else np.testing.assert_allclose(g, w, rtol=1e-6)
        ),
    )


def matrices(d: Draw, kinds: tuple[str, str]) -> tuple[Any, Any]:
    m, k, n = (d.of(SIZES) for _ in range(3))
    batch = d.dims(0, 2, empty=False, cap=4)
    a, b = [*d.part(batch), m, k], [*d.part(batch), k, n]
    return full(d, kinds[0], a), full(d, kinds[1], b)


def matmul_integer(d: Draw, row: Row) -> Node:
    kinds = d.type(row), d.of(["u8", "i8"])
    a, b = matrices(d, kinds)
    za = (
        full(d, kinds[0], [a.shape[-2]] if d.flag() and a.ndim == 2 else [], 0, 7)
        if d.flag()
        else None
    )
    zb = full(d, kinds[1], d.of([[], [b.shape[-1]]]), -3, 7) if d.flag() else None

    def truth(inputs: list[Any]) -> list[Any]:
        rows = None if za is None else za.reshape(-1, 1) if za.ndim else za
        parts = [
            x.astype(np.int64) - (0 if z is None else z.astype(np.int64))
            for x, z in ((a, rows), (b, zb))
        ]
        return [np.matmul(*parts).astype(np.int32)]

    return Node([a, b, za, zb], truth=truth)


def scalar(d: Draw, low: float, high: float, shape: list[int] | None = None) -> Any:
    return d.array("f32", shape or [], special=False, low=low, high=high)


def qlinear_matmul(d: Draw, row: Row) -> Node:
    kinds = d.of([k for k in row.types if k[0] in "iu"]), d.of(["u8", "i8"])
    a, b = matrices(d, kinds)
    out = kinds[0]
    per = [b.shape[-1]] if b.ndim == 2 and d.int(0, 3) == 0 else []
    small = 0.2 / np.sqrt(a.shape[-1])
    inputs = [a, scalar(d, 0.01, 0.1), full(d, kinds[0], [], 0, 9)]
    inputs += [b, scalar(d, small / 2, small, per), full(d, kinds[1], per, -3, 9)]
    inputs += [scalar(d, 0.5, 2), full(d, out, [], 0, 9)]
    return Node(inputs, equal=near)


def kernel(d: Draw, kinds: tuple[str, str]) -> tuple[Any, Any, dict[str, Any]]:
    group = d.of([1, 1, 1, 2, 3, 16])
    inner, outer = (1, 1) if group > 3 else (d.of(SIZES[:9]), d.of(SIZES[:12]))
    size = [d.of([1, 2, 3, 7, 8, 9]) for _ in range(d.int(1, 2))]
    attrs = window(d, size) | {"group": group}
    x = full(d, kinds[0], [d.of([1, 2]), group * inner, *size])
    w = full(d, kinds[1], [group * outer, inner, *attrs["kernel_shape"]])
    return x, w, attrs


def conv_integer(d: Draw, row: Row) -> Node:
    kinds = d.type(row), d.of(["u8", "i8"])
    x, w, attrs = kernel(d, kinds)
    zx = full(d, kinds[0], [], 0, 9) if d.flag() else None
    zw = full(d, kinds[1], d.of([[], [w.shape[0]]]), -3, 9) if d.flag() else None
    return Node([x, w, zx, zw], attrs, truth=define.conv_integer(dict(attrs)))


def qlinear_conv(d: Draw, row: Row) -> Node:
    kinds = d.type(row), d.of(["u8", "i8"])
    x, w, attrs = kernel(d, kinds)
    per = [w.shape[0]] if d.flag() else []
    small = 0.2 / np.sqrt(np.prod(w.shape[1:]))
    inputs: list[Any] = [x, scalar(d, 0.01, 0.1), full(d, kinds[0], [], 0, 9)]
    inputs += [w, scalar(d, small / 2, small, per), full(d, kinds[1], per, -3, 9)]
    inputs += [scalar(d, 0.5, 2), full(d, kinds[0], [], 0, 9)]
    inputs.append(full(d, "i32", [w.shape[0]], -999, 999) if d.flag() else None)
    return Node(inputs, attrs, equal=near, truth=define.qlinear_conv(dict(attrs), TYPES[kinds[0]]))


MAKERS: dict[str, Maker] = {
    "QuantizeLinear": quantize,
    "DequantizeLinear": dequantize,
    "DynamicQuantizeLinear": dynamic,
    "MatMulInteger": matmul_integer,
    "QLinearMatMul": qlinear_matmul,
    "ConvInteger": conv_integer,
    "QLinearConv": qlinear_conv,
}
