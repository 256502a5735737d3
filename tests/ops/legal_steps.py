# SPDX-License-Identifier: Apache-2.0
"""Legal nodes of normalisations, attention, recurrent nets, losses, training and signals: MAKERS[name](draw, row)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ops import define
from ops.draw import Draw, Maker, Node, Row

SIZES = [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33]


def features(d: Draw, kind: str, least: int = 0, channels: int = 0) -> Any:
    """[N, C, ...] of finite elements."""
    shape = [
        d.of([1, 2, 3]),
        channels or d.of(SIZES),
        *(d.of(SIZES) for _ in range(d.int(least, 3))),
    ]
    while int(np.prod(shape)) > 6000:
        i = 2 + int(np.argmax(shape[2:]))
        shape[i] = d.of([1, 2, 3])
    return d.array(kind, shape, special=False)


def per_channel(d: Draw, kind: str, n: Any, low: float = -2, high: float = 2) -> Any:
    return d.array(kind, [n] if isinstance(n, int) else n, special=False, low=low, high=high)


def batch_norm(d: Draw, row: Row) -> Node:
    kind = d.type(row)
    x = features(d, kind)
    shape: Any = x.shape[1]
    attrs: dict[str, Any] = {"epsilon": d.of([1e-5, 1e-2])} if d.flag() else {}
    if row.since < 9 and d.int(0, 3) == 0:
        attrs["spatial"], shape = 0, list(x.shape[1:])
    attrs |= {"is_test": 1} if row.since < 7 else {}
    attrs |= {"consumed_inputs": [0, 0, 0, 1, 1]} if row.since < 6 else {}
    a, b = (d.type(row) if row.since >= 15 and d.flag() else kind for _ in range(2))
    rest = [per_channel(d, a, shape), per_channel(d, a, shape), per_channel(d, b, shape)]
    rest.append(per_channel(d, b, shape, 0.25, 4))
    node = Node([x, *rest], attrs, terms=3)
    if row.since >= 14 and d.int(0, 3) == 0:
        attrs |= {"training_mode": 1, "momentum": d.of([0.9, 0.5])}
        node.outputs, node.terms = 3, x.size // x.shape[1]
        if x.size // x.shape[1] == 1 or x.dtype.itemsize == 2:
            node.least = 1e-2  # x - mean is rounding, and divided by sqrt(epsilon)
            attrs["epsilon"] = 1e-2
    elif row.since < 14:  # the evaluator trains there
        node.truth = define.batch_norm(attrs.get("epsilon", 1e-5), bool(attrs.get("spatial", 1)))
    return node


def instance_norm(d: Draw, row: Row) -> Node:
    kind = d.type(row)
    x = features(d, kind, 1)
    rest = [per_channel(d, kind, x.shape[1]) for _ in range(2)]
    attrs: dict[str, Any] = {"epsilon": d.of([1e-5, 1e-2])} if d.flag() else {}
    if row.since < 6:
        attrs |= {"consumed_inputs": [0]} if d.flag() else {}
    return normal(Node([x, *rest], attrs), int(x[0, 0].size))


def normal(node: Node, n: int) -> Node:
    """What is divided by a deviation of n elements; that of few may be rounding."""
    node.terms = 16
    if n < 4:
        node.attrs["epsilon"], node.least = 1.0, 1e-3
    return node


def group_norm(d: Draw, row: Row) -> Node:
    kind, groups = d.type(row), d.of([1, 2, 3, 8])
    x = features(d, kind, 1, groups * d.of([1, 2, 3, 16]))
    n = groups if row.since < 21 else x.shape[1]
    rest = [per_channel(d, kind, n) for _ in range(2)]
    attrs: dict[str, Any] = {"num_groups": groups}
    attrs |= {"epsilon": 1e-2} if d.flag() else {}
    node = normal(Node([x, *rest], attrs), int(x[0].size) // groups)
    if kind == "f64":
        node.least = max(node.least, 1e-5)  # the evaluator computes it in f32
    return node


def layer_norm(d: Draw, row: Row) -> Node:
    kind, shape = d.type(row), d.dims(1, 4, empty=False)
    shape[-1] = max(shape[-1], 5)
    axis = d.axis(len(shape))
    rest = [d.array(kind, shape[axis:], special=False) for _ in range(2)]
    if row.name == "RMSNormalization" or d.flag():
        rest.pop()
    attrs: dict[str, Any] = {"axis": axis}
    attrs |= {"epsilon": 1e-2} if d.flag() else {}
    outputs = d.int(1, 3) if row.name == "LayerNormalization" else 1
    return Node([d.array(kind, shape, special=False), *rest], attrs, outputs=outputs, terms=9)


def lp_norm(d: Draw, row: Row) -> Node:
    shape = d.dims(1, 4, empty=False)
    attrs: dict[str, Any] = {"axis": d.axis(len(shape)), "p": d.of([1, 2])}
    x = d.array(d.type(row), shape, special=False)
    wide = x.astype(np.float64)
    size = np.linalg.norm(wide, attrs["p"], attrs["axis"], keepdims=True)
    with np.errstate(all="ignore"):
        y = np.where(size == 0, 0, wide / size).astype(x.dtype)
    return Node([x], attrs, terms=2, truth=lambda inputs: [y])


def variance_norm(d: Draw, row: Row) -> Node:
    x = d.array(
        d.type(row), [d.of([2, 3]), d.of(SIZES), d.of([3, 7, 9]), d.of([2, 8])], special=False
    )
    return Node(
        [x],
        {"axes": d.of([[0, 2, 3], [2, 3], [1, 2, 3]])} if d.flag() else {},
        terms=16,
        least=1e-4,
    )


def local_norm(d: Draw, row: Row) -> Node:
    x = features(d, d.type(row), 2)
    if x.ndim != 4:
        x = x.reshape([*x.shape[:3], -1])
    attrs: dict[str, Any] = {"size": d.of([1, 2, 3, 4, 5, 7])}
    attrs |= (
        {"alpha": d.of([1e-4, 0.5]), "beta": d.of([0.75, 0.5, 1.0]), "bias": d.of([1.0, 2.0])}
        if d.flag()
        else {}
    )
    return Node([x], attrs, terms=7, truth=define.local_norm(dict(attrs)))


def attention(d: Draw, row: Row) -> Node:
    kind = d.type(row)
    batch, kv, group = d.of([1, 2]), d.of([1, 2, 3]), d.of([1, 1, 2])
    heads, q_len, k_len = kv * group, d.of([1, 2, 7, 9, 17]), d.of([1, 2, 8, 9, 33])
    size, v_size = d.of([1, 3, 8, 16, 17]), d.of([1, 5, 8, 16])

    def tensor(n: int, steps: int, width: int, flat: bool) -> Any:
        shape = [batch, steps, n * width] if flat else [batch, n, steps, width]
        return d.array(kind, shape, special=False, low=-2, high=2)

    flat = d.flag()
    q, k, v = (
        tensor(heads, q_len, size, flat),
        tensor(kv, k_len, size, flat),
        tensor(kv, k_len, v_size, flat),
    )
    past = d.of([0, 0, 1, 5])
    pasts = (
        [tensor(kv, past, size, False), tensor(kv, past, v_size, False)] if past else [None, None]
    )
    total = past + k_len
    mask = None
    if d.flag():
        shape: Any = d.of(
            [
                [q_len, total],
                [batch, 1, q_len, total],
                [batch, heads, q_len, total],
                [1, 1, q_len, total],
            ]
        )
        mask = d.array(d.of(["bool", kind]), shape, special=False)
        if mask.dtype == bool:
            mask[..., 0] = True  # no row without any key
    attrs: dict[str, Any] = {"q_num_heads": heads, "kv_num_heads": kv} if flat else {}
    if d.flag():
        attrs["scale"] = d.of([0.25, 1.0])
    if d.flag():
        attrs["is_causal"] = 1
    if d.flag():
        attrs["softcap"] = d.of([1.5, 20.0])
    outputs = d.of([1, 1, 3, 4]) if not past else d.of([3, 4])
    if outputs == 4:
        attrs["qk_matmul_output_mode"] = d.int(0, 3)
    inputs = [q, k, v, mask, *pasts]
    if row.since >= 24 and not past and d.int(0, 3) == 0:
        inputs.append(d.array("i64", [batch], special=False, low=1, high=k_len))
    node = Node(inputs, attrs, outputs=outputs, terms=size + total)
    if outputs == 4 and attrs["qk_matmul_output_mode"] == 0 and "softcap" in attrs:
        node.excuse = "the product that it shows is capped already"
    return node


def rotary(d: Draw, row: Row) -> Node:
    kind, batch, steps, heads = d.type(row), d.of([1, 2]), d.of([1, 2, 7, 9]), d.of([1, 2, 3])
    size = 2 * d.of([1, 2, 4, 8, 9, 16])
    part = 2 * d.int(1, size // 2)
    attrs: dict[str, Any] = {"interleaved": int(d.flag())}
    flat = d.flag()
    if d.flag():
        attrs["rotary_embedding_dim"] = part
    else:
        part = size
    if flat or d.flag():
        attrs["num_heads"] = heads
    shape = [batch, steps, heads * size] if flat else [batch, heads, steps, size]
    x = d.array(kind, shape, special=False)
    if d.flag():
        cos, sin = (d.array(kind, [33, part // 2], special=False, low=-1, high=1) for _ in range(2))
        return Node(
            [x, cos, sin, d.array("i64", [batch, steps], special=False, low=0, high=32)],
            attrs,
            terms=2,
        )
    cos, sin = (
        d.array(kind, [batch, steps, part // 2], special=False, low=-1, high=1) for _ in range(2)
    )
    return Node([x, cos, sin], attrs, terms=2)


def recurrent(d: Draw, row: Row) -> Node:
    kind, name = d.type(row), row.name
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[name]
    steps, batch, size, hidden = (
        d.of([1, 2, 7]),
        d.of([1, 2, 3, 9]),
        d.of([1, 3, 8, 17]),
        d.of([1, 2, 7, 8, 9, 16, 17]),
    )
    direction = d.of(["forward", "forward", "reverse", "bidirectional"])
    n = 1 + (direction == "bidirectional")
    layout = int(row.since >= 14 and d.flag())

    def normal(*shape: int) -> Any:
        return d.array(kind, shape, special=False, low=-0.8, high=0.8)

    x = normal(*([batch, steps, size] if layout else [steps, batch, size]))
    state = [batch, n, hidden] if layout else [n, batch, hidden]
    inputs: list[Any] = [x, normal(n, gates * hidden, size), normal(n, gates * hidden, hidden)]
    inputs.append(normal(n, 2 * gates * hidden) if d.flag() else None)
    lengths = d.array("i32", [batch], special=False, low=0, high=steps)
    lengths[d.int(0, batch - 1)] = steps
    inputs.append(lengths if d.flag() else None)
    inputs.append(normal(*state) if d.flag() else None)
    if name == "LSTM":
        inputs.append(normal(*state) if d.flag() else None)
        inputs.append(normal(n, 3 * hidden) if d.flag() else None)
    attrs: dict[str, Any] = {"hidden_size": hidden, "direction": direction}
    attrs |= {"layout": layout} if row.since >= 14 else {}
    if d.int(0, 3) == 0:
        attrs["clip"] = 0.7
    if name == "GRU" and row.since >= 3:
        attrs["linear_before_reset"] = int(d.flag())
    if name == "LSTM":
        attrs |= {"input_forget": 1} if d.int(0, 3) == 0 else {}
    if d.int(0, 2) == 0:
        some = [
            "Relu",
            "Tanh",
            "Sigmoid",
            "Softsign",
            "Softplus",
            "HardSigmoid",
            "Elu",
            "LeakyRelu",
            "ScaledTanh",
            "ThresholdedRelu",
            "Affine",
        ]
        bounded = [a for a in some if a in ("Tanh", "Sigmoid", "Softsign", "HardSigmoid")]
        # gates are bounded, or the state grows past all bounds
        each = {"LSTM": [bounded, some, bounded], "GRU": [bounded, bounded], "RNN": [bounded]}[name]
        attrs["activations"] = [d.of(names) for _ in range(n) for names in each]
        if "Affine" in attrs["activations"] or "ScaledTanh" in attrs["activations"] or d.flag():
            takes = {
                "Affine": (0.5, 0.25),
                "ScaledTanh": (0.9, 0.7),
                "HardSigmoid": (0.25, 0.4),
                "Elu": (0.8, None),
            }
            takes |= {"LeakyRelu": (0.1, None), "ThresholdedRelu": (0.3, None)}
            pairs = [takes.get(a, (None, None)) for a in attrs["activations"]]
            attrs["activation_alpha"] = [a for a, _ in pairs if a is not None]
            attrs["activation_beta"] = [b for _, b in pairs if b is not None]
            for k in ("activation_alpha", "activation_beta"):
                if not attrs[k]:
                    del attrs[k]
    outputs = 3 if name == "LSTM" else 2
    node = Node(
        inputs,
        attrs,
        outputs=outputs,
        terms=size + hidden,
        truth=define.recurrent(name, dict(attrs)),
    )
    node.least = {"f16": 2e-2, "bf16": 1e-1, "f32": 1e-5}.get(kind, 0)
    return node


def dropout(d: Draw, row: Row) -> Node:
    kind = d.of([k for k in row.types if "8" not in k])
    x, outputs = d.array(kind, d.dims()), d.of([1, 2]) if row.since >= 10 else 1
    if row.since < 12:
        return Node(
            [x],
            ({"ratio": 0.3} if d.flag() else {}) | ({"is_test": 1} if row.since < 7 else {}),
            outputs=outputs,
        )
    ratio = np.array(0.4, np.float32) if d.flag() else None
    return Node([x, ratio, np.array(False) if d.flag() else None], outputs=outputs)


def loss(d: Draw, row: Row) -> Node:
    kind, n, classes = d.type(row), d.of([1, 2, 7]), d.of([1, 2, 7, 9, 33])
    more = [d.of([1, 2, 3]) for _ in range(d.int(0, 3))]
    scores = d.array(kind, [n, classes, *more], special=False)
    target = d.array("i64", [n, *more], special=False, low=0, high=classes - 1)
    attrs: dict[str, Any] = {"reduction": d.of(["none", "mean", "sum"])} if d.flag() else {}
    if d.flag():
        attrs["ignore_index"] = d.of([0, -1])
        if attrs["ignore_index"] < 0:
            target[(0,) * target.ndim] = -1
        if classes == 1 or (target == attrs["ignore_index"]).all():
            attrs["reduction"] = "sum"  # a mean of none is NaN or 0
    target = target.astype(d.of([np.int32, np.int64]))
    weight = per_channel(d, kind, classes, 0.25, 2) if d.flag() else None
    two = row.name.startswith("Softmax") and d.flag()
    node = Node(
        [scores, target, weight], attrs, outputs=1 + two, terms=max(classes, target.size) + 3
    )
    means = attrs.get("reduction", "mean") == "mean" and weight is None
    if row.name.startswith("Neg") and attrs.get("ignore_index") == -1 and means:
        node.excuse = "a target of -1 counts in its means"
    return node


def training(d: Draw, row: Row) -> Node:
    kind, pieces = d.type(row), d.int(1, 3)
    rate, step = d.array("f32", [], special=False, low=0, high=0.5), d.whole(d.int(0, 5))
    shapes = [d.dims(0, 3, cap=200) for _ in range(pieces)]
    sets = {"Momentum": 3, "Adagrad": 3, "Adam": 4}[row.name]
    inputs = [
        d.array(kind, s, special=False, low=-2 if i < 2 else 0, high=2)
        for i in range(sets)
        for s in shapes
    ]
    attrs: dict[str, Any] = {"norm_coefficient": d.of([0.0, 0.25])}
    if row.name == "Momentum":
        attrs |= {"alpha": 0.9, "beta": d.of([1.0, 0.5]), "mode": d.of(["standard", "nesterov"])}
    elif row.name == "Adagrad":
        attrs |= {"decay_factor": d.of([0.0, 0.1]), "epsilon": 1e-2}
    else:
        attrs |= {
            "alpha": 0.75,
            "beta": 0.5,
            "epsilon": 1e-2,
            "norm_coefficient_post": d.of([0.0, 0.25]),
        }
    return Node(
        [rate.astype(np.float32), step, *inputs],
        attrs,
        outputs=pieces * (sets - 1),
        terms=4,
        least=1e-6,
    )


def dft(d: Draw, row: Row) -> Node:
    kind, rank = d.type(row), d.int(2, 4)
    shape = [d.of([1, 2, 3]) for _ in range(rank)]
    axis = d.int(0 if rank == 2 else 1, rank - 2) if row.since < 20 else d.int(0, rank - 2)
    shape[axis] = d.of([1, 2, 3, 7, 8, 9, 16, 17, 31, 32, 60, 64, 65])
    inverse, onesided = d.flag(), d.flag()
    shape[-1] = 1 if onesided and not inverse else d.of([1, 2])
    if onesided and inverse:
        onesided = False
    length = d.of([1, 2, 5, 8, 20]) if d.flag() else None
    attrs: dict[str, Any] = {"inverse": int(inverse), "onesided": int(onesided)}
    x = d.array(kind, shape, special=False)
    inputs: list[Any] = [x, None if length is None else d.whole(length)]
    if row.since >= 20:
        inputs.append(
            d.whole(axis - rank if d.flag() else axis) if d.flag() or axis != rank - 2 else None
        )
    else:
        attrs["axis"] = axis
    return Node(inputs, attrs, terms=shape[axis])


def stft(d: Draw, row: Row) -> Node:
    kind = d.type(row)
    frame = d.of([2, 3, 8, 9, 16, 17])
    signal = d.array(
        kind, [d.of([1, 2]), frame + d.of([0, 1, 9, 40]), d.of([1, 1, 2])], special=False
    )
    window = d.array(kind, [frame], special=False) if d.flag() else None
    length = d.whole(frame) if window is None or d.flag() else None
    onesided = int(d.flag() and signal.shape[2] == 1)
    return Node(
        [signal, d.whole(d.of([1, 2, 5])), window, length], {"onesided": onesided}, terms=frame
    )


def window_function(d: Draw, row: Row) -> Node:
    size, periodic = d.of([1, 2, 3, 8, 17, 64]), int(d.flag())
    attrs = {"periodic": periodic, "output_datatype": d.of([1, 11])}
    node = Node([d.whole(size, d.type(row))], attrs, least=1e-6)
    if size == 1 and not periodic:
        node.excuse = "it divides 0 by 0"
    return node


def mel(d: Draw, row: Row) -> Node:
    kind = d.type(row)
    numbers = [
        d.whole(v, kind) for v in (d.of([1, 2, 8, 16]), d.of([16, 64, 129]), d.of([8000, 16000]))
    ]
    edges = [np.array(d.of([0.0, 100.0]), np.float32), np.array(d.of([3000.0, 4000.0]), np.float32)]
    return Node(
        [*numbers, *edges], {"output_datatype": d.of([1, 11])} if d.flag() else {}, least=1e-5
    )


def det(d: Draw, row: Row) -> Node:
    n = d.of([1, 2, 3, 4, 7])
    return Node(
        [d.array(d.type(row), [*d.dims(0, 2, cap=30), n, n], special=False, low=-1, high=1)],
        terms=n * n,
        least=1e-4,
    )


def flex(d: Draw, row: Row) -> Node:
    kind = d.type(row)
    batch, kv, group = d.of([1, 2]), d.of([1, 2, 3]), d.of([1, 2])
    size, q_len, k_len = d.of([1, 3, 8, 16]), d.of([1, 2, 9]), d.of([1, 7, 17])
    q = d.array(kind, [batch, kv * group, q_len, size], special=False)
    k = d.array(kind, [batch, kv, k_len, size], special=False)
    v = d.array(kind, [batch, kv, k_len, d.of([1, 5, 8])], special=False)
    return Node([q, k, v], {"scale": 0.5} if d.flag() else {}, terms=size + k_len)


MAKERS: dict[str, Maker] = {
    "BatchNormalization": batch_norm,
    "InstanceNormalization": instance_norm,
    "GroupNormalization": group_norm,
    **dict.fromkeys(["LayerNormalization", "RMSNormalization"], layer_norm),
    "LpNormalization": lp_norm,
    "MeanVarianceNormalization": variance_norm,
    "LRN": local_norm,
    "Attention": attention,
    "FlexAttention": flex,
    "RotaryEmbedding": rotary,
    **dict.fromkeys(["LSTM", "GRU", "RNN"], recurrent),
    "Dropout": dropout,
    **dict.fromkeys(["NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss"], loss),
    **dict.fromkeys(["Adagrad", "Adam", "Momentum"], training),
    "DFT": dft,
    "STFT": stft,
    **dict.fromkeys(["HannWindow", "HammingWindow", "BlackmanWindow"], window_function),
    "MelWeightMatrix": mel,
    "Det": det,
}
