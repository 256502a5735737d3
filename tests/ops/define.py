# SPDX-License-Identifier: Apache-2.0
"""Operators by their definitions in NumPy, in f64 and slow: oracles where ONNX's evaluator is wrong."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

Array = np.ndarray
Truth = Callable[[list[Array | None]], list[Array]]


def places(
    size: list[int], attrs: dict[str, Any], ceil: bool = False
) -> tuple[list[int], list[int]]:
    """Sizes of a windowed operator's output, and the pads at each axis' begin, from its attributes."""
    rank = len(size)
    kernel = attrs["kernel_shape"]
    stride, dilation = (attrs.get(k) or [1] * rank for k in ("strides", "dilations"))
    pads = attrs.get("pads") or [0] * 2 * rank
    auto = attrs.get("auto_pad", "NOTSET")
    out, begin = [], []
    for i in range(rank):
        reach = (kernel[i] - 1) * dilation[i] + 1
        if auto.startswith("SAME"):
            n = -(-size[i] // stride[i])
            total = max((n - 1) * stride[i] + reach - size[i], 0)
            out.append(n)
            begin.append(total // 2 if auto == "SAME_UPPER" else total - total // 2)
            continue
        a, b = (0, 0) if auto == "VALID" else (pads[i], pads[rank + i])
        free = size[i] + a + b - reach
        n = (-(-free // stride[i]) if ceil else free // stride[i]) + 1
        if (
            ceil and (n - 1) * stride[i] >= size[i] + a
        ):  # no window begins in the padding at the end
            n -= 1
        out.append(n)
        begin.append(a)
    return out, begin


def pool(name: str, attrs: dict[str, Any], indices: bool = False) -> Truth:
    """MaxPool, AveragePool, LpPool; with `indices` the second output of MaxPool."""

    def run(inputs: list[Array | None]) -> list[Array]:
        x = inputs[0]
        assert x is not None
        size = list(x.shape[2:])
        rank = len(size)
        out, begin = places(size, attrs, bool(attrs.get("ceil_mode")))
        stride, dilation = (attrs.get(k) or [1] * rank for k in ("strides", "dilations"))
        pads = attrs.get("pads") or [0] * 2 * rank
        same = attrs.get("auto_pad", "NOTSET").startswith("SAME")
        integers = x.dtype.kind in "iu"
        wide = x.astype(np.int64 if integers else np.float64)
        y = np.zeros([*x.shape[:2], *out], wide.dtype)
        where = np.zeros(y.shape, np.int64)
        flat = np.arange(x.size, dtype=np.int64).reshape(x.shape)
        if attrs.get("storage_order"):
            axes = [0, 1, *range(x.ndim - 1, 1, -1)]
            flat = np.arange(x.size, dtype=np.int64).reshape([x.shape[a] for a in axes])
            flat = flat.transpose(axes)
        for at in product(*map(range, out)):
            taps, room = [], 1
            for i in range(rank):
                first = at[i] * stride[i] - begin[i]
                every = [first + k * dilation[i] for k in range(attrs["kernel_shape"][i])]
                taps.append([p for p in every if 0 <= p < size[i]])
                # the padding counts for an average where include_pad says so, what ceil_mode adds past it does not
                end = size[i] + (attrs["kernel_shape"][i] * dilation[i] if same else pads[rank + i])
                room *= sum(p < end for p in every)
            part = wide[(slice(None), slice(None), *np.ix_(*taps))].reshape(*x.shape[:2], -1)
            to = (slice(None), slice(None), *at)
            if name == "MaxPool":
                if not part.shape[-1]:
                    y[to], where[to] = np.iinfo(x.dtype).min if integers else -np.inf, -1
                    continue
                y[to] = part.max(-1)
                all_at = flat[(slice(None), slice(None), *np.ix_(*taps))].reshape(part.shape)
                where[to] = np.take_along_axis(all_at, part.argmax(-1)[..., None], -1)[..., 0]
            elif name == "AveragePool":
                n = room if attrs.get("count_include_pad") else part.shape[-1]
                y[to] = part.sum(-1) / n if n else np.nan
            else:
                p = float(attrs.get("p", 2))
                y[to] = (np.abs(part) ** p).sum(-1) ** (1 / p)
        return [y.astype(x.dtype), where] if indices else [y.astype(x.dtype)]

    return run


def conv_transpose(attrs: dict[str, Any]) -> Truth:
    def run(inputs: list[Array | None]) -> list[Array]:
        x, w, b = inputs[0], inputs[1], inputs[2] if len(inputs) > 2 else None
        assert x is not None and w is not None
        rank, group = x.ndim - 2, attrs.get("group", 1)
        stride, dilation = (attrs.get(k) or [1] * rank for k in ("strides", "dilations"))
        pads = attrs.get("pads") or [0] * 2 * rank
        extra = attrs.get("output_padding") or [0] * rank
        kernel = list(w.shape[2:])
        full = [
            (x.shape[2 + i] - 1) * stride[i] + (kernel[i] - 1) * dilation[i] + 1 + extra[i]
            for i in range(rank)
        ]
        inner, outer = w.shape[0] // group, w.shape[1]
        y = np.zeros([x.shape[0], group, outer, *full])
        xg = x.astype(np.float64).reshape(x.shape[0], group, inner, *x.shape[2:])
        wg = w.astype(np.float64).reshape(group, inner, outer, *kernel)
        for k in product(*map(range, kernel)):
            to = tuple(
                slice(k[i] * dilation[i], k[i] * dilation[i] + (n - 1) * stride[i] + 1, stride[i])
                for i, n in enumerate(x.shape[2:])
            )
            y[(slice(None),) * 3 + to] += np.einsum("ngi...,gio->ngo...", xg, wg[(..., *k)])
        y = y.reshape(x.shape[0], group * outer, *full)
        auto = attrs.get("auto_pad", "NOTSET")
        cut = []
        for i in range(rank):
            wanted = attrs.get("output_shape")
            if wanted or auto.startswith("SAME"):
                n = wanted[i] if wanted else x.shape[2 + i] * stride[i]
                total = max(full[i] - n, 0)
                a = total // 2 if auto == "SAME_UPPER" else total - total // 2
                cut.append(slice(a, a + n))
            else:
                cut.append(slice(pads[i], full[i] - pads[rank + i]))
        more = [max(c.stop - n, 0) for c, n in zip(cut, full, strict=True)]
        y = np.pad(y, [(0, 0), (0, 0), *((0, m) for m in more)])[(slice(None), slice(None), *cut)]
        if b is not None:
            y = y + b.astype(np.float64).reshape(-1, *[1] * rank)
        return [y.astype(x.dtype)]

    return run


def flat_softmax(name: str, axis: int) -> Truth:
    """Softmax, LogSoftmax and Hardmax before version 13: over a matrix of two groups of axes."""

    def run(inputs: list[Array | None]) -> list[Array]:
        x = inputs[0]
        assert x is not None
        rows = int(np.prod(x.shape[: axis % x.ndim]))
        m = x.astype(np.float64).reshape(
            rows, -1 if rows else int(np.prod(x.shape[axis % x.ndim :]))
        )
        if not m.size:
            return [x.copy()]
        if name == "Hardmax":
            y = np.zeros(m.shape)
            y[np.arange(len(m)), m.argmax(1)] = 1
        else:
            with np.errstate(all="ignore"):
                y = m - m.max(1, keepdims=True)
                total = np.exp(y).sum(1, keepdims=True)
                y = y - np.log(total) if name == "LogSoftmax" else np.exp(y) / total
        return [y.reshape(x.shape).astype(x.dtype)]

    return run


def global_lp_pool(p: float) -> Truth:
    def run(inputs: list[Array | None]) -> list[Array]:
        x = inputs[0]
        assert x is not None
        axes = tuple(range(2, x.ndim))
        y = (np.abs(x.astype(np.float64)) ** p).sum(axes, keepdims=True) ** (1 / p)
        return [y.astype(x.dtype)]

    return run


def upsample(mode: str, scales: list[float], name: str) -> Truth:
    """Upsample, and Resize of version 10: places without any half pixel."""

    def run(inputs: list[Array | None]) -> list[Array]:
        x = inputs[0]
        assert x is not None
        y = x.astype(np.float64)
        for axis, scale in enumerate(scales):
            n = y.shape[axis]
            s = np.float32(scale)
            at = np.arange(int(np.floor(np.float32(n) * s))) / float(s)
            low = np.minimum(np.floor(at + 1e-6).astype(int), n - 1)
            a = np.take(y, low, axis)
            if mode != "nearest":
                part = (np.clip(at - low, 0, 1)).reshape(
                    [-1 if i == axis else 1 for i in range(y.ndim)]
                )
                a = a * (1 - part) + np.take(y, np.minimum(low + 1, n - 1), axis) * part
            y = a
        return [y.astype(x.dtype)]

    return run


def max_roi_pool(attrs: dict[str, Any]) -> Truth:
    """Girshick's Fast R-CNN: corners are rounded, bins overlap, empty bins are 0."""

    def run(inputs: list[Array | None]) -> list[Array]:
        x, rois = inputs
        assert x is not None and rois is not None
        ph, pw = attrs["pooled_shape"]
        y = np.zeros([len(rois), x.shape[1], ph, pw], x.dtype)
        for r, roi in enumerate(rois.astype(np.float64)):
            x0, y0, x1, y1 = (int(np.floor(v * attrs["spatial_scale"] + 0.5)) for v in roi[1:])
            high, wide = max(y1 - y0 + 1, 1), max(x1 - x0 + 1, 1)
            for i, j in product(range(ph), range(pw)):
                rows = np.clip([i * high // ph + y0, -(-(i + 1) * high // ph) + y0], 0, x.shape[2])
                cols = np.clip([j * wide // pw + x0, -(-(j + 1) * wide // pw) + x0], 0, x.shape[3])
                part = x[int(roi[0]), :, rows[0] : rows[1], cols[0] : cols[1]]
                if part[0].size:
                    y[r, :, i, j] = part.max((1, 2))
        return [y]

    return run


def topk(k: int, axis: int, largest: bool) -> Truth:
    """Of equal elements the first ones."""

    def run(inputs: list[Array | None]) -> list[Array]:
        x = inputs[0]
        assert x is not None
        wide = x.astype(np.float64) if x.dtype.kind not in "iu" else x
        if largest:
            back = np.flip(wide, axis)
            order = np.flip(np.argsort(back, axis=axis, kind="stable"), axis)
            order = wide.shape[axis] - 1 - order
        else:
            order = np.argsort(wide, axis=axis, kind="stable")
        order = np.take(order, range(k), axis).astype(np.int64)
        return [np.take_along_axis(x, order, axis), order]

    return run


def activation(name: str, alpha: list[float], beta: list[float]) -> Callable[[Array], Array]:
    """By name; takes its numbers from the fronts of the lists."""

    def number(given: list[float], default: float) -> float:
        return float(np.float32(given.pop(0) if given else default))

    name = name.lower()
    if name == "affine":
        a, b = number(alpha, 1), number(beta, 0)
        return lambda x: a * x + b
    if name == "scaledtanh":
        a, b = number(alpha, 1), number(beta, 1)
        return lambda x: a * np.tanh(b * x)
    if name == "hardsigmoid":
        a, b = number(alpha, 0.2), number(beta, 0.5)
        return lambda x: np.clip(a * x + b, 0, 1)
    if name in ("elu", "leakyrelu", "thresholdedrelu"):
        a = number(alpha, {"elu": 1, "leakyrelu": 0.01, "thresholdedrelu": 1}[name])
        if name == "elu":
            return lambda x: np.where(x >= 0, x, a * np.expm1(np.minimum(x, 0)))
        if name == "leakyrelu":
            return lambda x: np.where(x >= 0, x, a * x)
        return lambda x: np.where(x > a, x, 0)
    return {
        "relu": lambda x: np.maximum(x, 0),
        "tanh": np.tanh,
        "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
        "softsign": lambda x: x / (1 + np.abs(x)),
        "softplus": lambda x: np.log1p(np.exp(x)),
    }[name]


def recurrent(name: str, attrs: dict[str, Any]) -> Truth:
    """RNN, GRU, LSTM: the equations of ONNX's text, a batch row at a time for its own length."""
    count = {"LSTM": 3, "GRU": 2, "RNN": 1}[name]
    standard = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}[
        name
    ]

    def run(inputs: list[Array | None]) -> list[Array]:
        x, w, r, b, lengths, h0, c0, p = (
            None if v is None else v.astype(np.float64)
            for v in [*inputs, *[None] * (8 - len(inputs))]
        )
        kind = inputs[0].dtype  # type: ignore[union-attr]
        directions, _, hidden = r.shape
        if attrs.get("layout"):
            x = x.swapaxes(0, 1)
            h0, c0 = (None if v is None else v.swapaxes(0, 1) for v in (h0, c0))
        steps, batch, _ = x.shape
        names = attrs.get("activations") or standard * directions
        alpha, beta = (list(attrs.get(f"activation_{k}") or []) for k in ("alpha", "beta"))
        every = [activation(n, alpha, beta) for n in names]
        limit = float(np.float32(attrs.get("clip", np.inf)))
        y, last = (
            np.zeros([steps, directions, batch, hidden]),
            np.zeros([directions, batch, hidden]),
        )
        cell = np.zeros(last.shape)

        def cut(v: Array) -> Array:
            return np.clip(v, -limit, limit)

        for k in range(directions):
            f = every[k * count : (k + 1) * count]
            gates = w.shape[1] // hidden
            wb, rb = np.split(b[k], 2) if b is not None else (np.zeros(gates * hidden),) * 2
            pi, po, pf = np.split(p[k], 3) if p is not None else (np.zeros(hidden),) * 3
            back = attrs.get("direction") == "reverse" or k == 1
            for n in range(batch):
                long = steps if lengths is None else int(lengths[n])
                h = h0[k, n] if h0 is not None else np.zeros(hidden)
                c = c0[k, n] if c0 is not None else np.zeros(hidden)
                for t in range(long - 1, -1, -1) if back else range(long):
                    a = x[t, n] @ w[k].T + wb
                    if name == "RNN":
                        h = f[0](cut(a + h @ r[k].T + rb))
                    elif name == "GRU":
                        az, ar, ah = np.split(a, 3)
                        rz, rr, rh = np.split(r[k], 3)
                        bz, br, bh = np.split(rb, 3)
                        z = f[0](cut(az + h @ rz.T + bz))
                        s = f[0](cut(ar + h @ rr.T + br))
                        linear = attrs.get("linear_before_reset")
                        part = s * (h @ rh.T + bh) if linear else (s * h) @ rh.T + bh
                        h = (1 - z) * f[1](cut(ah + part)) + z * h
                    else:
                        i, o, g, u = np.split(a + h @ r[k].T + rb, 4)
                        i = f[0](cut(i + pi * c))
                        g = 1 - i if attrs.get("input_forget") else f[0](cut(g + pf * c))
                        c = g * c + i * f[1](cut(u))
                        h = f[0](cut(o + po * c)) * f[2](c)
                    y[t, k, n] = h
                last[k, n], cell[k, n] = h, c
        if attrs.get("layout"):
            y, last, cell = y.transpose(2, 0, 1, 3), last.swapaxes(0, 1), cell.swapaxes(0, 1)
        return [v.astype(kind) for v in (y, last, cell)[: 3 if name == "LSTM" else 2]]

    return run


def conv_sums(x: Array, w: Array, attrs: dict[str, Any]) -> Array:
    """A convolution of integers, exact in i64; zero points are subtracted already, so padding is 0."""
    size, rank, group = list(x.shape[2:]), x.ndim - 2, attrs.get("group", 1)
    out, begin = places(size, attrs | {"kernel_shape": list(w.shape[2:])})
    stride, dilation = (attrs.get(k) or [1] * rank for k in ("strides", "dilations"))
    inner, outer = w.shape[1], w.shape[0] // group
    y = np.zeros([x.shape[0], group, outer, *out], np.int64)
    xg = x.reshape(x.shape[0], group, inner, *size)
    wg = w.reshape(group, outer, inner, *w.shape[2:])
    for k in product(*map(range, w.shape[2:])):
        part = xg
        inside = np.ones(out, bool)
        for i in range(rank):
            at = np.arange(out[i]) * stride[i] - begin[i] + k[i] * dilation[i]
            ok = (at >= 0) & (at < size[i])
            part = np.take(part, np.clip(at, 0, size[i] - 1), 3 + i)
            inside &= ok.reshape([-1 if j == i else 1 for j in range(rank)])
        y += np.einsum("ngi...,goi->ngo...", part * inside, wg[(..., *k)])
    return y.reshape(x.shape[0], group * outer, *out)


def less_zero(x: Array | None, zero: Array | None, shape: list[int]) -> Array:
    assert x is not None
    wide = x.astype(np.int64)
    if zero is None:
        return wide
    z = zero.astype(np.int64)
    return wide - (z.reshape(shape) if z.size > 1 else z.reshape(()))


def conv_integer(attrs: dict[str, Any]) -> Truth:
    def run(inputs: list[Array | None]) -> list[Array]:
        x, w, zx, zw = [*inputs, *[None] * (4 - len(inputs))]
        assert w is not None
        shape = [-1, *[1] * (w.ndim - 1)]
        y = conv_sums(less_zero(x, zx, []), less_zero(w, zw, shape), attrs)
        return [y.astype(np.int32)]

    return run


def qlinear_conv(attrs: dict[str, Any], kind: Any) -> Truth:
    def run(inputs: list[Array | None]) -> list[Array]:
        x, sx, zx, w, sw, zw, sy, zy, b = [*inputs, *[None] * (9 - len(inputs))]
        assert w is not None and sx is not None and sw is not None and sy is not None
        assert zy is not None
        sums = conv_sums(less_zero(x, zx, []), less_zero(w, zw, [-1, *[1] * (w.ndim - 1)]), attrs)
        channel = [1, -1, *[1] * (w.ndim - 2)]
        if b is not None:
            sums = sums + b.astype(np.int64).reshape(channel)
        scale = sx.astype(np.float64) * sw.astype(np.float64) / sy.astype(np.float64)
        y = np.rint(sums * (scale.reshape(channel) if scale.size > 1 else scale)) + int(zy)
        info = np.iinfo(kind)
        return [np.clip(y, info.min, info.max).astype(kind)]

    return run


def batch_norm(epsilon: float, spatial: bool) -> Truth:
    def run(inputs: list[Array | None]) -> list[Array]:
        x, scale, b, mean, var = (np.asarray(v, np.float64) for v in inputs)
        shape = [1, -1, *[1] * (x.ndim - 2)] if spatial else [1, *x.shape[1:]]
        scale, b, mean, var = (v.reshape(shape) for v in (scale, b, mean, var))
        y = (x - mean) / np.sqrt(var + np.float32(epsilon)) * scale + b
        return [y.astype(inputs[0].dtype)]  # type: ignore[union-attr]

    return run


def local_norm(attrs: dict[str, Any]) -> Truth:
    """LRN: the squares of `size` channels around each."""

    def run(inputs: list[Array | None]) -> list[Array]:
        x = np.asarray(inputs[0], np.float64)
        size = attrs["size"]
        alpha, beta, bias = (
            float(np.float32(attrs.get(k, v)))
            for k, v in (("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0))
        )
        sums = np.zeros(x.shape)
        for c in range(x.shape[1]):
            first, last = c - (size - 1) // 2, c + size // 2
            sums[:, c] = (x[:, max(first, 0) : last + 1] ** 2).sum(1)
        y = x / (bias + alpha / size * sums) ** beta
        return [y.astype(inputs[0].dtype)]  # type: ignore[union-attr]

    return run
