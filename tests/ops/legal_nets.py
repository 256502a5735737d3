# SPDX-License-Identifier: Apache-2.0
"""Legal nodes of convolutions, pools and images: MAKERS[name](draw, row)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ops import define
from ops.draw import FLOATS, Draw, Maker, Node, Row

SIDES = [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33]
CHANNELS = [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65]


def window(d: Draw, size: list[int]) -> dict[str, Any]:
    """Attributes of a window that fits into an image of this size."""
    kernel = [min(d.of([1, 2, 3, 3, 5]), n) for n in size]
    dilation = [
        d.of([1, 1, 2]) if (k - 1) * 2 < n else 1 for k, n in zip(kernel, size, strict=True)
    ]
    attrs: dict[str, Any] = {"kernel_shape": kernel}
    if d.flag():
        attrs["strides"] = [d.of([1, 2, 3]) for _ in kernel]
    if d.flag():
        attrs["dilations"] = dilation
    kind = d.int(0, 5)
    if kind < 3:
        dilation = attrs.get("dilations", [1] * len(kernel))
        reach = [(k - 1) * r for k, r in zip(kernel, dilation, strict=True)]
        attrs["pads"] = [d.int(0, n) for n in reach * 2]
    elif kind < 5:
        attrs["auto_pad"] = d.of(["SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET"])
    return attrs


def images(
    d: Draw, channels: int, kind: str, least: int = 1, most: int = 3, special: bool = False
) -> Any:
    size = [d.of(SIDES) for _ in range(d.int(least, most))]
    while np.prod(size) * channels > 6000:
        size[int(np.argmax(size))] = d.of([1, 2, 3])
    return d.array(kind, [d.of([1, 1, 2, 3]), channels, *size], special=special)


def large_conv(d: Draw, row: Row) -> Node:
    """3x3 or 1x1 on many channels: what the fast implementations are for."""
    c, k, side = d.of([8, 32, 33, 64]), d.of([16, 32, 64, 65]), d.of([7, 8, 13, 16, 17])
    size = d.of([3, 3, 1])
    x = d.array("f32", [d.of([1, 2]), c, side, d.of([side, 6, 9])], special=False)
    w = d.array("f32", [k, c, size, size], special=False, low=-1, high=1)
    b = d.array("f32", [k], special=False) if d.flag() else None
    attrs: dict[str, Any] = {"pads": [size // 2] * 4} if d.flag() else {}
    return Node([x, w, b], attrs, terms=c * size * size)


def conv(d: Draw, row: Row) -> Node:
    if d.int(0, 9) == 0:
        return large_conv(d, row)
    kind, group = d.type(row), d.of([1, 1, 1, 2, 3, 16, 33])
    inner, outer = (1, d.of([1, 1, 2])) if group > 3 else (d.of(CHANNELS[:12]), d.of(CHANNELS[:13]))
    if d.int(0, 19) == 0:
        outer = 0 if row.name == "Conv" and d.flag() else outer
    x = images(d, group * inner, kind)
    attrs = window(d, list(x.shape[2:]))
    w = d.array(kind, [group * outer, inner, *attrs["kernel_shape"]], special=False)
    b = d.array(kind, [group * outer], special=False) if d.flag() else None
    if d.flag():
        del attrs["kernel_shape"]
    return Node([x, w, b], attrs | {"group": group}, terms=int(np.prod(w.shape[1:])) + 1)


def conv_transpose(d: Draw, row: Row) -> Node:
    kind, group = d.type(row), d.of([1, 1, 2, 3, 16])
    inner, outer = (1, 1) if group > 3 else (d.of(CHANNELS[:9]), d.of(CHANNELS[:9]))
    x = images(d, group * inner, kind)
    if x.size > 2000:
        x = x[:, :, :2]
    rank = x.ndim - 2
    kernel = [d.of([1, 2, 3, 4]) for _ in range(rank)]
    attrs: dict[str, Any] = {"kernel_shape": kernel, "group": group}
    stride = [d.of([1, 2, 3]) for _ in kernel]
    if d.flag():
        attrs["strides"] = stride
    else:
        stride = [1] * rank
    if d.flag():
        attrs["dilations"] = [d.of([1, 2, 3]) for _ in kernel]
    kind_of_pads = d.int(0, 5)
    if kind_of_pads < 3:
        n = [
            min((k - 1) * r, 2)
            for k, r in zip(kernel, attrs.get("dilations", [1] * rank), strict=True)
        ]
        pads = [d.int(0, m) for m in n * 2]
        small = any(s == 1 for s in x.shape[2:])
        attrs["pads"] = [min(p, m // 2 if small else m) for p, m in zip(pads, n * 2, strict=True)]
    elif kind_of_pads < 4:
        attrs["auto_pad"] = d.of(["SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET"])
    if d.flag() and "auto_pad" not in attrs:
        attrs["output_padding"] = [d.int(0, s - 1) for s in stride]
    w = d.array(kind, [group * inner, outer, *kernel], special=False)
    b = d.array(kind, [group * outer], special=False) if d.flag() else None
    terms = inner * int(np.prod(kernel)) + 1
    return Node([x, w, b], attrs, terms=terms, truth=define.conv_transpose(dict(attrs)))


def causal_conv(d: Draw, row: Row) -> Node:
    kind, taps = d.type(row), d.of([1, 2, 4, 9])
    x = d.array(kind, [d.of([1, 2]), d.of([1, 3, 8]), d.of([0, 1, 7, 33])], special=False)
    w = d.array(kind, [x.shape[1], 1, taps], special=False)
    b = d.array(kind, [x.shape[1]], special=False) if d.flag() else None
    past = d.array(kind, [*x.shape[:2], taps - 1], special=False) if d.flag() else None
    return Node([x, w, b, past], {"activation": d.of(["none", "silu"])}, outputs=2, terms=taps)


def linear_attention(d: Draw, row: Row) -> Node:
    kind, rule = d.type(row), d.of(["linear", "gated", "delta", "gated_delta"])
    batch, steps, kv, group = d.of([1, 2]), d.of([0, 1, 9]), d.of([1, 2, 3]), d.of([1, 2])
    d_k, d_v = d.of([1, 3, 16]), d.of([0, 1, 31, 33, 64])

    def packed(width: int, low: float, high: float) -> Any:
        return d.array(kind, [batch, steps, width], special=False, low=low, high=high)

    q, v = packed(kv * group * d_k, -2, 2), packed(kv * d_v, -2, 2)
    k = packed(kv * d_k, -0.25, 0.25)  # no longer than 1: the state stays small
    decay = packed(d.of([kv, kv * d_k]), -2, 0) if "gated" in rule else None
    beta = packed(d.of([kv, 1]), 0, 1) if "delta" in rule else None
    past = d.array(d.type(row), [batch, kv, d_k, d_v], special=False) if d.flag() else None
    attrs = {"q_num_heads": kv * group, "kv_num_heads": kv, "update_rule": rule}
    attrs |= {"scale": 0.5} if d.flag() else {}
    return Node([q, k, v, past, decay, beta], attrs, outputs=2, terms=d_k * (steps + 1))


def pool(d: Draw, row: Row) -> Node:
    name = row.name
    x = images(d, d.of(CHANNELS), d.type(row), special=name == "MaxPool" and d.flag())
    if x.dtype.kind not in "iu" and name == "MaxPool":
        x[np.isnan(x)] = 1  # where NaN goes is not defined
    attrs = window(d, list(x.shape[2:]))
    dilated = {"MaxPool": 10, "AveragePool": 19, "LpPool": 18}[name]
    if row.since < dilated:
        attrs.pop("dilations", None)
    if row.since >= {"MaxPool": 10, "AveragePool": 10, "LpPool": 18}[name] and d.flag():
        attrs["ceil_mode"] = 1
    if name == "AveragePool" and row.since >= 7:
        attrs["count_include_pad"] = int(d.flag())
    if name == "LpPool":
        attrs["p"] = d.of([1, 2, 3]) if row.since >= 2 else 2.0
    indices = name == "MaxPool" and row.since >= 8 and d.flag()
    if indices:
        attrs["storage_order"] = int(d.flag())
    truth = define.pool(name, dict(attrs), indices)
    return Node([x], attrs, outputs=1 + indices, terms=0 if name == "MaxPool" else 30, truth=truth)


def global_pool(d: Draw, row: Row) -> Node:
    x = images(d, d.of(CHANNELS), d.type(row))
    terms = int(x[0, 0].size)
    if "Lp" in row.name:
        p = 2.0 if row.since < 2 else d.of([1, 2, 3])
        return Node([x], {"p": p}, terms=terms, truth=define.global_lp_pool(float(p)))
    if "Max" in row.name:
        axes = tuple(range(2, x.ndim))
        return Node([x], truth=lambda inputs: [x.max(axes, keepdims=True)])
    return Node([x], {}, terms=terms)


def unpool(d: Draw, row: Row) -> Node:
    n, c, h, w = d.of([1, 2]), d.of([1, 3, 8]), d.of([1, 2, 7]), d.of([1, 3, 9])
    x = d.array(d.type(row), [n, c, h, w])
    kernel = [d.of([1, 2, 3]), d.of([1, 2, 3])]
    stride = [max(1, k - d.int(0, 1)) for k in kernel]
    size = [(s - 1) * t + k for s, t, k in zip((h, w), stride, kernel, strict=True)]
    full = n * c * size[0] * size[1]
    rng = np.random.default_rng(d.int(0, 2**20))
    where = rng.permutation(full)[: x.size].reshape(x.shape).astype(np.int64)
    return Node([x, where], {"kernel_shape": kernel, "strides": stride})


def col2im(d: Draw, row: Row) -> Node:
    rank = d.int(1, 3)
    size = [d.of([1, 2, 5, 8]) for _ in range(rank)]
    block = [d.int(1, n) for n in size]
    attrs: dict[str, Any] = {}
    stride, dilation, pads = [1] * rank, [1] * rank, [0] * 2 * rank
    if d.flag():
        attrs["strides"] = stride = [d.of([1, 2, 3]) for _ in size]
    if d.flag():
        attrs["dilations"] = dilation = [
            d.of([1, 2]) if (k - 1) * 2 < n else 1 for k, n in zip(block, size, strict=True)
        ]
    if d.flag():
        attrs["pads"] = pads = [d.int(0, 2) for _ in pads]
    count = 1
    for i in range(rank):
        reach = (block[i] - 1) * dilation[i] + 1
        count *= (size[i] + pads[i] + pads[rank + i] - reach) // stride[i] + 1
    kind = d.of([k for k in row.types if k in FLOATS or k[0] in "iu"])
    x = d.array(kind, [d.of([1, 2]), d.of([1, 3]) * int(np.prod(block)), count], special=False)
    return Node([x, d.whole(size), d.whole(block)], attrs, terms=int(np.prod(block)))


def resize(d: Draw, row: Row) -> Node:
    kind = d.of([k for k in row.types if k in FLOATS])
    size = [
        d.of([1, 2]),
        d.of([1, 3, 8]),
        *(d.of([1, 2, 3, 7, 8, 9, 16]) for _ in range(d.int(1, 2))),
    ]
    mode = d.of(["nearest", "linear", "cubic"] if row.since >= 11 else ["nearest", "linear"])
    rank = len(size)
    x = d.array(kind, size, special=False)
    scales = [
        1.0,
        1.0,
        *(d.of([0.5, 0.625, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0]) for _ in size[2:]),
    ]
    scales = [s if int(n * s) > 0 else 1.0 for s, n in zip(scales, size, strict=True)]
    attrs: dict[str, Any] = {"mode": mode}
    if row.since < 11:
        return Node(
            [x, np.array(scales, np.float32)],
            attrs,
            least=1e-5,
            truth=define.upsample(mode, scales, row.name),
        )
    modes = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"]
    modes += ["half_pixel_symmetric"] if row.since >= 18 else []
    attrs["coordinate_transformation_mode"] = d.of(modes)
    if mode == "nearest":
        attrs["nearest_mode"] = d.of(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
    if mode == "cubic":
        attrs |= {"cubic_coeff_a": d.of([-0.75, -0.5]), "exclude_outside": int(d.flag())}
    if row.since >= 18 and mode != "nearest":
        attrs["antialias"] = int(d.flag())
    wanted = [n if i < 2 else d.of([1, 2, 3, 7, 8, 11, 17]) for i, n in enumerate(size)]
    by_size = d.flag()
    if row.since >= 18 and d.flag():
        attrs["axes"] = list(range(2, rank))
        scales, wanted = scales[2:], wanted[2:]
    if row.since >= 18 and by_size and d.int(0, 3) == 0:
        attrs["keep_aspect_ratio_policy"] = d.of(["stretch", "not_larger", "not_smaller"])
        if not attrs.get("axes"):
            attrs["axes"], wanted = list(range(2, rank)), wanted[2:]
    second = d.whole(wanted) if by_size else None
    node = Node(
        [x, None, None if by_size else np.array(scales, np.float32), second], attrs, least=1e-5
    )
    node.terms = 16
    rates = (
        [m / n for m, n in zip(wanted, size[-len(wanted) :], strict=True)] if by_size else scales
    )
    odd = any(
        not float(n * s).is_integer() for s, n in zip(rates, size[-len(rates) :], strict=True)
    )
    if odd and attrs["coordinate_transformation_mode"] in ("pytorch_half_pixel", "align_corners"):
        node.excuse = "it takes a size times a scale for the output's length, not rounded"
    elif (
        (odd and "symmetric" in attrs["coordinate_transformation_mode"])
        or by_size
        and any(not float(64 * r).is_integer() for r in rates)
    ):
        node.excuse = "seldom: at a place that is nearly a whole number it takes the neighbour"
    return node


def upsample(d: Draw, row: Row) -> Node:
    size = [d.of([1, 2]), d.of([1, 3, 8]), *(d.of([1, 2, 3, 7, 9]) for _ in range(2))]
    x = d.array(d.of([k for k in row.types if k in FLOATS]), size, special=False)
    mode = d.of(["nearest", "linear"] if row.since > 1 else ["nearest", "bilinear"])
    scales = [1.0, 1.0, d.of([1.0, 1.5, 2.0, 3.0]), d.of([1.0, 1.25, 2.0, 2.5])]
    truth = define.upsample(mode, scales, row.name)
    if row.since >= 9:
        return Node([x, np.array(scales, np.float32)], {"mode": mode}, least=1e-5, truth=truth)
    if row.since >= 7:
        return Node([x], {"mode": mode, "scales": scales}, least=1e-5, truth=truth)
    attrs = {"mode": mode, "height_scale": scales[2], "width_scale": scales[3]}
    return Node([x], attrs, least=1e-5, truth=truth)


def grid_sample(d: Draw, row: Row) -> Node:
    kind = d.of([k for k in row.types if k in FLOATS])
    rank = d.of([2, 2, 3]) if row.since >= 20 else 2
    n, size = d.of([1, 2]), [d.of([1, 2, 3, 7, 9]) for _ in range(rank)]
    out = [d.of([1, 2, 3, 8]) for _ in range(rank)]
    x = d.array(kind, [n, d.of([1, 3, 8]), *size], special=False)
    grid = d.array(d.of(["f32", kind]), [n, *out, rank], special=False, low=-1, high=1) * d.of(
        [1, 1, 2]
    )
    grid = (grid + np.array(0.013, grid.dtype)).astype(grid.dtype)  # off the ties of nearest
    new = ["linear", "nearest", "cubic"] if rank == 2 else ["linear", "nearest"]
    mode = d.of(new if row.since >= 20 else ["bilinear", "nearest", "bicubic"])
    attrs = {
        "mode": mode,
        "padding_mode": d.of(["zeros", "border", "reflection"]),
        "align_corners": int(d.flag()),
    }
    node = Node([x, grid], attrs, least=1e-4, terms=64)
    if row.since < 20:
        new_name = {"bilinear": "linear", "bicubic": "cubic"}.get(str(attrs["mode"]), "nearest")
        node.like = Node([x, grid], attrs | {"mode": new_name}, opset=20)
    if "cubic" in str(attrs["mode"]) and attrs["padding_mode"] != "zeros":
        node.excuse = "seldom: it moves the place into the image, PyTorch each of its 16 neighbours"
    return node


def roi_align(d: Draw, row: Row) -> Node:
    kind, n = d.type(row), d.of([1, 2])
    x = d.array(kind, [n, d.of([1, 3, 8]), d.of([2, 7, 9, 16]), d.of([2, 8, 17])], special=False)
    count = d.of([0, 1, 2, 7])
    corner = d.array(kind, [count, 2], special=False, low=-2, high=9)
    rois = np.concatenate(
        [corner, corner + d.array(kind, [count, 2], special=False, low=0, high=9)], 1
    )
    where = d.array("i64", [count], special=False, low=0, high=n - 1)
    attrs: dict[str, Any] = {"output_height": d.of([1, 2, 3]), "output_width": d.of([1, 2, 5])}
    attrs |= {"sampling_ratio": d.of([0, 1, 2, 3]), "spatial_scale": d.of([1.0, 0.5, 0.25])}
    attrs["mode"] = d.of(["avg", "max"])
    if row.since >= 16:
        attrs["coordinate_transformation_mode"] = d.of(["half_pixel", "output_half_pixel"])
    node = Node([x, rois.astype(x.dtype), where], attrs, terms=16, least=1e-4)
    if row.since < 16:
        node.excuse = "it takes the default of version 16"
    return node


def max_roi_pool(d: Draw, row: Row) -> Node:
    kind, n = d.type(row), d.of([1, 2])
    x = d.array(kind, [n, d.of([1, 3]), d.of([2, 7, 9]), d.of([2, 8, 17])], special=False)
    count = d.of([0, 1, 3])
    batch = d.array("i64", [count, 1], special=False, low=0, high=n - 1)
    a = d.array("i64", [count, 2], special=False, low=0, high=9)
    b = a + d.array("i64", [count, 2], special=False, low=0, high=9)
    rois = np.concatenate([batch, a, b], 1).astype(x.dtype)
    attrs = {"pooled_shape": [d.of([1, 2, 3]), d.of([1, 2])], "spatial_scale": d.of([1.0, 0.5])}
    return Node([x, rois], attrs, truth=define.max_roi_pool(dict(attrs)))


def deform_conv(d: Draw, row: Row) -> Node:
    kind, group, deform = d.type(row), d.of([1, 2]), d.of([1, 2])
    n, inner, outer = d.of([1, 2]), 2 * d.of([1, 2]), d.of([1, 3])
    h, w = d.of([3, 5, 8]), d.of([3, 4, 9])
    kernel = [d.of([1, 2, 3]), d.of([1, 2, 3])]
    attrs: dict[str, Any] = {"kernel_shape": kernel, "group": group, "offset_group": deform}
    attrs["strides"] = [d.of([1, 2]), d.of([1, 2])]
    attrs["pads"] = [d.int(0, 1) for _ in range(4)]
    out, _ = define.places([h, w], attrs)
    x = d.array(kind, [n, inner * group, h, w], special=False)
    weight = d.array(kind, [outer * group, inner, *kernel], special=False)
    taps = kernel[0] * kernel[1]
    offset = d.array(kind, [n, deform * taps * 2, *out], special=False, low=-1.9, high=1.9)
    b = d.array(kind, [outer * group], special=False) if d.flag() else None
    mask = d.array(kind, [n, deform * taps, *out], special=False) if d.flag() else None
    return Node([x, weight, offset, b, mask], attrs, terms=inner * taps * 4, least=1e-4)


def affine_grid(d: Draw, row: Row) -> Node:
    rank, n = d.of([2, 3]), d.of([1, 2])
    theta = d.array(d.type(row), [n, rank, rank + 1], special=False)
    size = [n, d.of([1, 3]), *(d.of([1, 2, 7]) for _ in range(rank))]
    return Node([theta, d.whole(size)], {"align_corners": int(d.flag())}, terms=4, least=1e-6)


def suppression(d: Draw, row: Row) -> Node:
    batch, boxes, classes = d.of([1, 2]), d.of([0, 1, 2, 7, 17, 33]), d.of([1, 2, 3])
    a = d.array("f32", [batch, boxes, 2], special=False, low=0, high=4)
    b = a + d.array("f32", [batch, boxes, 2], special=False, low=0.5, high=4)
    every = np.concatenate([(a + b) / 2, b - a] if (centre := d.flag()) else [a, b], 2)
    scores = d.array("f32", [batch, classes, boxes], special=False, low=0, high=1)
    rest: list[Any] = [d.whole([d.of([0, 1, 3, 100])])]
    rest += [np.array([d.of([0.0, 0.3, 0.5, 1.0])], np.float32) if d.flag() else None]
    rest += [np.array([d.of([0.0, 0.4])], np.float32) if d.flag() else None]
    attrs = {"center_point_box": int(centre)} if centre or d.flag() else {}
    all_given = [np.zeros([1], np.float32) if t is None else t for t in rest]
    every = every.astype(np.float32)
    like = Node([every, scores, *all_given], attrs, opset=11)
    return Node([every, scores, *rest], attrs, like=like)


def topk(d: Draw, row: Row) -> Node:
    shape = d.dims(1, 4, empty=False)
    axis = d.axis(len(shape)) if row.since >= 10 else d.int(0, len(shape) - 1)
    k = d.int(0 if row.since > 1 else 1, shape[axis])
    x = d.array(d.type(row), shape, special=False)
    attrs: dict[str, Any] = {"axis": axis}
    if row.since >= 11:
        attrs |= {"largest": int(d.flag()), "sorted": 1}
    truth = define.topk(k, axis, bool(attrs.get("largest", 1)))
    if row.since < 10:
        return Node([x], {"axis": axis, "k": k}, outputs=2, truth=truth)
    return Node([x, d.whole([k])], attrs, outputs=2, truth=truth)


MAKERS: dict[str, Maker] = {
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "DeformConv": deform_conv,
    "CausalConvWithState": causal_conv,
    "LinearAttention": linear_attention,
    **dict.fromkeys(["MaxPool", "AveragePool", "LpPool"], pool),
    **dict.fromkeys(["GlobalMaxPool", "GlobalAveragePool", "GlobalLpPool"], global_pool),
    "MaxUnpool": unpool,
    "Col2Im": col2im,
    "Resize": resize,
    "Upsample": upsample,
    "GridSample": grid_sample,
    "AffineGrid": affine_grid,
    "RoiAlign": roi_align,
    "MaxRoiPool": max_roi_pool,
    "NonMaxSuppression": suppression,
    "TopK": topk,
}
