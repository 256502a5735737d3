# SPDX-License-Identifier: Apache-2.0
"""Legal nodes of each operator: MAKERS[name](draw, row). LEFT_OUT says which have none, and why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ops.draw import FLOATS, Draw, Node, Row

Maker = Callable[[Draw, Row], Node]


def unary(**numbers: tuple[float, float]) -> Maker:
    """One tensor of any shape; float attributes within these limits."""

    def make(d: Draw, row: Row) -> Node:
        x = d.array(d.type(row), d.dims())
        given = {k: d.int(0, 8) / 8 * (b - a) + a for k, (a, b) in numbers.items() if d.flag()}
        return Node([x], given)

    return make


def binary(d: Draw, row: Row, kinds: list[str] | None = None, **attrs: Any) -> Node:
    kind, shape = d.of(kinds or row.types), d.dims()
    old = row.since < 7 or row.name == "SwiGLU"
    return Node(
        [
            d.array(kind, shape if old else d.part(shape)),
            d.array(kind, shape if old else d.part(shape)),
        ],
        attrs,
    )


def divide(d: Draw, row: Row) -> Node:
    node = binary(d, row)
    a, b = node.inputs
    assert a is not None and b is not None
    if b.dtype.kind in "iu":  # what x / 0 and the least / -1 are is not defined
        b[(b == 0) | (b == np.array(-1).astype(b.dtype))] = 1
    return node


def modulo(d: Draw, row: Row) -> Node:
    node = divide(d, row)
    floats = node.inputs[0] is not None and node.inputs[0].dtype.kind not in "iu"
    node.attrs = {"fmod": 1} if floats or d.flag() else {}
    return node


def power(d: Draw, row: Row) -> Node:
    kind, shape = d.of([t for t in row.types if t in FLOATS]), d.dims()
    y = d.of([2.0, 3.0, 0.5, -1.0, 1.7, 0.0])
    exponent = (
        np.asarray(y, d.array(kind, []).dtype)
        if d.flag()
        else d.array(kind, d.part(shape) if row.since > 6 else shape)
    )
    if row.since < 7:
        exponent = d.array(kind, shape)
    x = d.array(kind, shape)
    # NumPy takes x ** 0.5 as sqrt(x): NaN for -inf, where C and IEEE 754 say inf
    return Node([x, exponent], oracle=not bool(np.isneginf(x.astype(np.float64)).any()))


def shift(d: Draw, row: Row) -> Node:
    node = binary(d, row, direction=d.of(["LEFT", "RIGHT"]))
    a, b = node.inputs
    assert a is not None and b is not None
    node.inputs[1] = (b % np.array(a.dtype.itemsize * 8, b.dtype)).astype(b.dtype)
    return node


def variadic(d: Draw, row: Row) -> Node:
    kind, shape, same = d.type(row), d.dims(), row.since < 8
    return Node([d.array(kind, shape if same else d.part(shape)) for _ in range(d.int(1, 4))])


def where(d: Draw, row: Row) -> Node:
    kind, shape = d.type(row), d.dims()
    return Node([d.array("bool", d.part(shape)), *(d.array(kind, d.part(shape)) for _ in range(2))])


def clip(d: Draw, row: Row) -> Node:
    kind = d.type(row)
    x = d.array(kind, d.dims())
    if row.since < 11:
        return Node([x], {"min": -1.0, "max": d.of([1.0, 2.5])})
    low, high = (d.whole(v, kind) for v in ((0, 2) if kind[0] == "u" else (-1, 2)))
    return Node([x, low if d.flag() else None, high if d.flag() else None])


def prelu(d: Draw, row: Row) -> Node:
    kind, shape = d.type(row), d.dims(1)
    slope = d.array(kind, d.part(shape) if row.since > 6 else [1])
    finite = bool(
        np.isfinite(slope.astype(np.float64)).all()
    )  # the evaluator multiplies a zero by it too
    return Node([d.array(kind, shape), slope], oracle=row.since > 6 and finite)


def shrink(d: Draw, row: Row) -> Node:
    node = unary(bias=(-1, 1), lambd=(0, 1))(d, row)
    node.oracle = (
        node.inputs[0] is not None and node.inputs[0].dtype.kind not in "iu"
    )  # past the ends it wraps, we stop
    return node


def reduction(d: Draw, row: Row) -> Node:
    kind, shape = d.type(row), d.dims()
    x = d.array(kind, shape, special=False)
    axes = [a for a in range(len(shape)) if d.flag()]
    axes = [a - len(shape) if row.since > 10 and d.flag() else a for a in axes]
    attrs: dict[str, Any] = {"keepdims": int(d.flag())}
    terms = max([1, *shape]) ** 2
    by_input = row.since >= 18 or (row.name == "ReduceSum" and row.since >= 13)
    if by_input:
        attrs["noop_with_empty_axes"] = int(d.flag())
        node = Node([x, d.whole(axes) if axes or d.flag() else None], attrs, terms=terms)
        node.oracle = x.size > 0 and bool(axes)
        return node
    return Node([x], attrs | ({"axes": axes} if axes else {}), terms=terms, oracle=x.size > 0)


def arg(d: Draw, row: Row) -> Node:
    shape = d.dims(1, empty=False)
    x = d.array(d.type(row), shape, special=False, low=-3, high=3)
    attrs = {
        "axis": d.axis(len(shape)) if row.since > 10 else d.int(0, len(shape) - 1),
        "keepdims": int(d.flag()),
    }
    return Node([x], attrs | ({"select_last_index": int(d.flag())} if row.since >= 12 else {}))


def softmax(d: Draw, row: Row) -> Node:
    shape = d.dims(1)
    axis = d.axis(len(shape)) if row.since > 10 else d.int(0, len(shape) - 1)
    return Node(
        [d.array(d.type(row), shape)], {"axis": axis}, oracle=row.since >= 13 and 0 not in shape
    )


def matmul(d: Draw, row: Row) -> Node:
    kind = d.type(row)
    m, k, n = (d.of([1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65, 0]) for _ in range(3))
    batch = d.dims(0, 2, empty=False, cap=4)
    a, b = [*d.part(batch), m, k], [*d.part(batch), k, n]
    if d.int(0, 4) == 0:
        a = [k]
    if d.int(0, 4) == 0:
        b = [k]
    return Node([d.array(kind, a, special=False), d.array(kind, b, special=False)], terms=max(k, 1))


def gemm(d: Draw, row: Row) -> Node:
    kind = d.type(row)
    m, k, n = (d.of([1, 2, 7, 8, 9, 16, 17, 33, 64, 65]) for _ in range(3))
    ta, tb = int(d.flag()), int(d.flag())
    c: Any = d.of([(m, n), (n,), (1, n), (m, 1), (1, 1), ()]) if row.since > 6 else (m, n)
    attrs: dict[str, Any] = {"transA": ta, "transB": tb}
    if kind in FLOATS:
        attrs |= {"alpha": d.of([1.0, 0.5]), "beta": d.of([1.0, 2.0, 0.0])}
    third = None if row.since >= 11 and d.flag() else d.array(kind, c, special=False)
    sides = [(k, m) if ta else (m, k), (n, k) if tb else (k, n)]
    return Node([*(d.array(kind, s, special=False) for s in sides), third], attrs, terms=k)


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


def transpose(d: Draw, row: Row) -> Node:
    shape = d.dims()
    order = list(range(len(shape)))
    for i in range(len(order)):
        j = d.int(0, i)
        order[i], order[j] = order[j], order[i]
    return Node([d.array(d.type(row), shape)], {"perm": order} if d.flag() and shape else {})


def concat(d: Draw, row: Row) -> Node:
    kind, shape = d.type(row), d.dims(1)
    axis = d.axis(len(shape)) if row.since > 10 else d.int(0, len(shape) - 1)
    parts = []
    for _ in range(d.int(1, 4)):
        shape[axis] = d.of([1, 2, 3, 7, 8, 0])
        parts.append(d.array(kind, shape))
    return Node([*parts], {"axis": axis})


def gather(d: Draw, row: Row) -> Node:
    shape = d.dims(1, 4)
    axis = d.int(0, len(shape) - 1)
    shape[axis] = max(1, shape[axis])
    n = shape[axis]
    low = -n if row.since >= 11 or row.name == "Gather" else 0
    kind = d.of(["i32", "i64"])
    x = d.array(d.type(row), shape)
    if row.name == "Gather":
        where_from = d.dims(0, 2, cap=40)
    else:
        where_from = [d.int(0, s) for s in shape]
    idx = d.array("i64", where_from, special=False, low=low, high=n - 1).astype(
        kind.replace("i", "int")
    )
    return Node([x, idx], {"axis": axis})


def expand(d: Draw, row: Row) -> Node:
    shape = d.dims()
    return Node([d.array(d.type(row), d.part(shape)), d.whole(shape)])


def tile(d: Draw, row: Row) -> Node:
    shape = d.dims(0, 4, cap=500)
    if row.since < 6:
        kind, shape = d.of([t for t in row.types if t in ("f32", "i64")]), shape or [2]
        count, axis = d.whole([d.int(1, 3)], kind), d.whole([d.int(0, len(shape) - 1)], kind)
        return Node([d.array(kind, shape), count, axis])
    return Node([d.array(d.type(row), shape), d.whole([d.of([0, 1, 1, 2, 3]) for _ in shape])])


def pad(d: Draw, row: Row) -> Node:
    shape = d.dims(1, 4, empty=False, cap=1500)
    kind = d.type(row)
    mode = d.of(["constant", "reflect", "edge"])
    pads = [d.int(0, min(s - 1, 3)) for s in shape * 2]
    x = d.array(kind, shape)
    if row.since < 11:
        return Node(
            [x], {"pads" if row.since > 1 else "paddings": pads, "mode": mode}, oracle=False
        )
    value = d.array(kind, [], special=False) if mode == "constant" and d.flag() else None
    return Node([x, d.whole(pads), value], {"mode": mode})


def slices(d: Draw, row: Row) -> Node:
    shape = d.dims(1, 4)
    axes = [a for a in range(len(shape)) if d.flag()] or [0]
    starts, ends = ([d.int(-s - 2, s + 2) for s in (shape[a] for a in axes)] for _ in range(2))
    x = d.array(d.type(row), shape)
    if row.since < 10:
        return Node([x], {"axes": axes, "starts": starts, "ends": ends}, oracle=False)
    kind = d.of(["i32", "i64"])
    steps = [d.of([1, 2, 3, -1, -2]) for _ in axes]
    return Node([x, *(d.whole(v, kind) for v in (starts, ends, axes, steps))])


def trilu(d: Draw, row: Row) -> Node:
    x = d.array(d.type(row), d.dims(2, 4))
    return Node([x, d.whole(d.int(-9, 9)) if d.flag() else None], {"upper": int(d.flag())})


def cumulative(d: Draw, row: Row) -> Node:
    shape = d.dims(1, 4, empty=False)
    attrs = {"exclusive": int(d.flag()), "reverse": int(d.flag())}
    axis = d.int(0, len(shape) - 1)
    x = d.array(d.type(row), shape, special=False, low=-1, high=1)
    return Node([x, d.whole(axis)], attrs, terms=shape[axis] * 4)


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


def shuffle(d: Draw, row: Row) -> Node:
    b, c = d.of([1, 2, 3]), d.of([1, 2, 7])
    h, w = d.of([1, 2, 7, 8]), d.of([1, 3, 9])
    deep = row.name == "DepthToSpace"
    shape = [2, c * b * b, h, w] if deep else [2, c, h * b, w * b]
    mode = {"mode": d.of(["DCR", "CRD"])} if deep and row.since >= 11 else {}
    return Node([d.array(d.type(row), shape)], {"blocksize": b, **mode})


def nonzero(d: Draw, row: Row) -> Node:
    return Node([d.array(d.type(row), d.dims(1, 4))])


MAKERS: dict[str, Maker] = {
    **{
        name: unary()
        for name in (
            "Abs Neg Exp Log Sqrt Reciprocal Floor Ceil Round Sign Sin Cos Tan Asin Acos Atan Sinh Cosh Tanh Asinh "
            "Acosh Atanh Sigmoid HardSwish Relu Softplus Softsign Mish Not BitwiseNot IsNaN IsInf Identity Shape Size"
        ).split()
    },
    "HardSigmoid": unary(alpha=(0.1, 0.5), beta=(0.25, 0.75)),
    "Erf": lambda d, row: Node(
        [d.array(d.type(row), d.dims())], oracle=False
    ),  # it rounds integers, libm judges floats
    "LeakyRelu": unary(alpha=(-1, 1)),
    "Elu": unary(alpha=(0, 2)),
    "Selu": unary(alpha=(1, 2), gamma=(1, 2)),
    "Celu": unary(alpha=(0.5, 2)),
    "ThresholdedRelu": unary(alpha=(-1, 1)),
    "Swish": unary(alpha=(-1, 2)),
    "Shrink": shrink,
    **dict.fromkeys(
        "Add Sub Mul And Or Xor Equal Less Greater LessOrEqual GreaterOrEqual".split(), binary
    ),
    **dict.fromkeys("BitwiseAnd BitwiseOr BitwiseXor".split(), binary),
    "SwiGLU": binary,
    "Div": divide,
    "Mod": modulo,
    "Pow": power,
    "BitShift": shift,
    **dict.fromkeys(["Sum", "Mean", "Min", "Max"], variadic),
    "Where": where,
    "Clip": clip,
    "PRelu": prelu,
    **{
        f"Reduce{k}": reduction
        for k in "Sum Mean Max Min Prod L1 L2 LogSum LogSumExp SumSquare".split()
    },
    **dict.fromkeys(["ArgMax", "ArgMin"], arg),
    **dict.fromkeys(["Softmax", "LogSoftmax", "Hardmax"], softmax),
    "MatMul": matmul,
    "Gemm": gemm,
    **dict.fromkeys(["Conv", "ConvTranspose"], conv),
    "CausalConvWithState": causal_conv,
    "LinearAttention": linear_attention,
    **dict.fromkeys(["MaxPool", "AveragePool", "LpPool"], pool),
    **dict.fromkeys(["GlobalMaxPool", "GlobalAveragePool", "GlobalLpPool"], global_pool),
    "Transpose": transpose,
    "Concat": concat,
    **dict.fromkeys(["Gather", "GatherElements"], gather),
    "Expand": expand,
    "Tile": tile,
    "Pad": pad,
    "Slice": slices,
    "Trilu": trilu,
    **dict.fromkeys(["CumSum", "CumProd"], cumulative),
    **dict.fromkeys(["LayerNormalization", "RMSNormalization"], layer_norm),
    "TopK": topk,
    **dict.fromkeys(["DepthToSpace", "SpaceToDepth"], shuffle),
    "NonZero": nonzero,
}

SEQUENCES = "sequences are not arrays: test_sequence.py has them"
CONTROL = "has graphs: the conformance suite and tests/passes"
RANDOM = "random numbers have no right value: the conformance suite and the C tests check shapes and means"
TEXT = "strings: test_text.py"
LATER = "no maker yet: the conformance suite and the NumPy tests in this folder have it"

LEFT_OUT: dict[str, str] = {
    **dict.fromkeys(
        (
            "SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SequenceLength SplitToSequence "
            "ConcatFromSequence Optional OptionalGetElement OptionalHasElement"
        ).split(),
        SEQUENCES,
    ),
    **dict.fromkeys("If Loop Scan SequenceMap".split(), CONTROL),
    **dict.fromkeys(
        "RandomNormal RandomNormalLike RandomUniform RandomUniformLike Bernoulli Multinomial Dropout".split(),
        RANDOM,
    ),
    **dict.fromkeys(
        "RegexFullMatch StringConcat StringNormalizer StringSplit TfIdfVectorizer".split(), TEXT
    ),
    **dict.fromkeys(
        (
            "AffineGrid Attention BatchNormalization BitCast BlackmanWindow Cast CastLike CenterCropPad Col2Im Compress "
            "ConstantOfShape ConvInteger DFT DeformConv DequantizeLinear Det DynamicQuantizeLinear Einsum EyeLike "
            "Flatten GRU GatherND Gelu GridSample GroupNormalization HammingWindow HannWindow InstanceNormalization LRN "
            "LSTM LpNormalization MatMulInteger MaxRoiPool MaxUnpool MeanVarianceNormalization MelWeightMatrix "
            "NegativeLogLikelihoodLoss NonMaxSuppression OneHot QLinearConv QLinearMatMul QuantizeLinear RNN Range "
            "Reshape Resize ReverseSequence RoiAlign RotaryEmbedding STFT Scatter ScatterElements ScatterND "
            "SoftmaxCrossEntropyLoss Split Squeeze TensorScatter Unique Unsqueeze Upsample"
        ).split(),
        LATER,
    ),
}
