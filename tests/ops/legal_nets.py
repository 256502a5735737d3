# SPDX-License-Identifier: Apache-2.0
"""Legal nodes of nets' and quantised operators: MAKERS[name](draw, row); those in LEFT_OUT have none."""

from __future__ import annotations

from typing import Any

import numpy as np

from ops.draw import Draw, Maker, Node, Row


def window(d: Draw, spatial: int, size: list[int], pads: bool = True) -> dict[str, Any]:
    kernel = [d.of([1, 2, 3]) for _ in range(spatial)]
    dilation = [
        d.of([1, 1, 2]) if (k - 1) * 2 < n else 1 for k, n in zip(kernel, size, strict=True)
    ]
    kernel = [min(k, n) for k, n in zip(kernel, size, strict=True)]
    attrs: dict[str, Any] = {
        "kernel_shape": kernel,
        "strides": [d.of([1, 2, 3]) for _ in kernel],
        "dilations": dilation,
    }
    if pads and d.flag():
        attrs["pads"] = [
            d.int(0, (k - 1) * r) for k, r in zip(kernel * 2, dilation * 2, strict=True)
        ]
    return attrs


def images(d: Draw, channels: int, kind: str) -> Any:
    size = [d.of([1, 2, 3, 7, 8, 9, 15, 17]) for _ in range(d.int(1, 3))]
    while np.prod(size) > 600:
        size[0] = 2
        size.sort()
    return d.array(kind, [d.of([1, 2]), channels, *size], special=False)


def conv(d: Draw, row: Row) -> Node:
    kind, group = d.type(row), d.of([1, 1, 2, 3])
    inner, outer = (d.of([1, 2, 4, 7, 8]) for _ in range(2))
    x = images(d, group * inner, kind)
    attrs = window(d, x.ndim - 2, list(x.shape[2:]))
    shape = [group * inner, outer] if row.name == "ConvTranspose" else [group * outer, inner]
    w = d.array(kind, [*shape, *attrs["kernel_shape"]], special=False)
    b = d.array(kind, [group * outer], special=False) if d.flag() else None
    if row.name == "ConvTranspose":
        attrs.pop("pads", None)
    return Node([x, w, b], attrs | {"group": group}, terms=int(w[0].size) + inner)


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
    x = images(d, d.of([1, 2, 7, 8, 9, 17]), d.type(row))
    attrs = window(d, x.ndim - 2, list(x.shape[2:]))
    if row.name == "LpPool":
        attrs |= {"p": d.of([1, 2, 3])}
    if "MaxPool" not in row.name and row.since < (19 if row.name == "AveragePool" else 18):
        attrs.pop("dilations")
    if row.name == "MaxPool" and row.since < 10:
        attrs.pop("dilations")
    if row.name == "AveragePool" and row.since >= 7:
        attrs["count_include_pad"] = int(d.flag())
    if row.name == "LpPool" and row.since < 2:
        attrs["p"] = 2.0
    # the evaluator's own pools are wrong for several of these: PyTorch judges them in test_fast_paths and the suite
    return Node([x], attrs, terms=30, oracle=False)


def global_pool(d: Draw, row: Row) -> Node:
    x = images(d, d.of([1, 7, 8, 17]), d.type(row))
    attrs: dict[str, Any] = {} if "Lp" not in row.name else {"p": 2.0 if row.since < 2 else 2}
    return Node([x], attrs, terms=x[0, 0].size, oracle="Lp" not in row.name)


def layer_norm(d: Draw, row: Row) -> Node:
    kind, shape = d.type(row), d.dims(1, 4, empty=False)
    shape[-1] = max(shape[-1], 5)
    axis = d.int(0, len(shape) - 1)
    rest = [d.array(kind, shape[axis:], special=False) for _ in range(2)]
    if row.name == "RMSNormalization" or d.flag():
        rest.pop()
    return Node([d.array(kind, shape, special=False), *rest], {"axis": axis}, terms=9)


def topk(d: Draw, row: Row) -> Node:
    shape = d.dims(1, 4, empty=False)
    axis = d.int(0, len(shape) - 1)
    k = d.int(0 if row.since > 1 else 1, shape[axis])
    x = d.array(d.type(row), shape, special=False)
    if row.since < 10:
        return Node([x], {"axis": axis, "k": k}, outputs=2, oracle=False)
    more = {"largest": int(d.flag())} if row.since >= 11 else {}
    return Node(
        [x, d.whole([k])],
        {"axis": axis, **more},
        outputs=2,
        oracle=row.since >= 11 and x.dtype.kind == "f",
    )


MAKERS: dict[str, Maker] = {
    **dict.fromkeys(["Conv", "ConvTranspose"], conv),
    "CausalConvWithState": causal_conv,
    "LinearAttention": linear_attention,
    **dict.fromkeys(["MaxPool", "AveragePool", "LpPool"], pool),
    **dict.fromkeys(["GlobalMaxPool", "GlobalAveragePool", "GlobalLpPool"], global_pool),
    **dict.fromkeys(["LayerNormalization", "RMSNormalization"], layer_norm),
    "TopK": topk,
}

LATER = "no maker yet: the conformance suite and the NumPy tests in this folder have it"
LEFT_OUT: dict[str, str] = {
    **dict.fromkeys(["Adagrad", "Adam", "Momentum", "FlexAttention"], LATER),
    **dict.fromkeys(
        (
            "AffineGrid Attention BatchNormalization BlackmanWindow Col2Im ConvInteger DFT DeformConv "
            "DequantizeLinear Det DynamicQuantizeLinear GRU Gelu GridSample GroupNormalization HammingWindow "
            "HannWindow InstanceNormalization LRN LSTM LpNormalization MatMulInteger MaxRoiPool MaxUnpool "
            "MeanVarianceNormalization MelWeightMatrix NegativeLogLikelihoodLoss NonMaxSuppression QLinearConv "
            "QLinearMatMul QuantizeLinear RNN Resize RoiAlign RotaryEmbedding STFT SoftmaxCrossEntropyLoss "
            "Upsample"
        ).split(),
        LATER,
    ),
}
