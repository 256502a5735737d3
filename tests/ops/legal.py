# SPDX-License-Identifier: Apache-2.0
"""Legal nodes of each operator: MAKERS[name](draw, row). LEFT_OUT says which have none, and why.

The rows of nets and of quantised operators are in legal_nets.py, those that move elements, text, sequences and
ai.onnx.ml in legal_move.py; elementwise operators, reductions and matrix products are here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ops import define, legal_move, legal_nets, legal_quant, legal_steps
from ops.draw import FLOATS, Draw, Maker, Node, Row


def unary(**numbers: tuple[float, float]) -> Maker:
    """One tensor of any shape; float attributes within these limits."""

    def make(d: Draw, row: Row) -> Node:
        x = d.array(d.type(row), d.dims())
        given = {k: d.int(0, 8) / 8 * (b - a) + a for k, (a, b) in numbers.items() if d.flag()}
        node = Node([x], given)
        if row.name == "Selu" and row.since < 6 and len(given) < 2:
            node.excuse = "seldom: its defaults are those of version 6"
        return node

    return make


def binary(d: Draw, row: Row, kinds: list[str] | None = None, **attrs: Any) -> Node:
    kind, shape = d.of(kinds or row.types), d.dims()
    if row.since < 7 and shape and d.flag():  # the second has some successive axes of the first
        axis = d.int(0, len(shape) - 1)
        a, b = d.array(kind, shape), d.array(kind, shape[axis : axis + d.int(0, 3)])
        rest = [1] * (len(shape) - axis - b.ndim)
        like = Node([a, b.reshape([*b.shape, *rest])], opset=7)
        return Node([a, b], {"broadcast": 1, "axis": axis}, like=like)
    old = row.since < 7
    return Node(
        [
            d.array(kind, shape if old else d.part(shape)),
            d.array(kind, shape if old else d.part(shape)),
        ],
        attrs,
    )


def swiglu(d: Draw, row: Row) -> Node:
    kind, shape = d.type(row), d.dims()
    a, b = d.array(kind, shape), d.array(kind, shape)
    a[np.abs(a) < 1e-30] = (
        0  # half of the least normal number is 0 for the engine, and times infinity NaN
    )
    return Node([a, b])


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
    least = bool(np.isneginf(x.astype(np.float64)).any())
    return Node([x, exponent], excuse=least * "it takes x ** 0.5 as sqrt(x): NaN for -inf")


def shift(d: Draw, row: Row) -> Node:
    node = binary(d, row, direction=d.of(["LEFT", "RIGHT"]))
    a, b = node.inputs
    assert a is not None and b is not None
    node.inputs[1] = (b % np.array(a.dtype.itemsize * 8, b.dtype)).astype(b.dtype)
    return node


def variadic(d: Draw, row: Row) -> Node:
    kind, shape, same = d.type(row), d.dims(), row.since < 8
    inputs: list[Any] = [
        d.array(kind, shape if same else d.part(shape)) for _ in range(d.int(1, 4))
    ]
    return Node(inputs, terms=len(inputs) if row.name in ("Sum", "Mean") else 1)


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
    return Node(
        [d.array(kind, shape), slope],
        excuse="" if finite else "it multiplies zeros by an infinite slope",
    )


def shrink(d: Draw, row: Row) -> Node:
    node = unary(bias=(-1, 1), lambd=(0, 1))(d, row)
    if node.inputs[0] is not None and node.inputs[0].dtype.kind in "iu":
        node.excuse = "past the ends of integers it wraps"
    return node


def reduction(d: Draw, row: Row) -> Node:
    kind, shape = d.type(row), d.dims()
    x = d.array(kind, shape, special=False)
    if row.name == "ReduceProd" and kind in FLOATS:  # near 1: a product of many overflows on the way, or not, by its order
        x = np.copysign(d.array(kind, shape, special=False, low=0.9, high=1.1), x)
    axes = [a for a in range(len(shape)) if d.flag()]
    axes = [a - len(shape) if row.since > 10 and d.flag() else a for a in axes]
    attrs: dict[str, Any] = {"keepdims": int(d.flag())}
    terms = max([1, *shape]) ** 2
    by_input = row.since >= 18 or (row.name == "ReduceSum" and row.since >= 13)
    if by_input:
        attrs["noop_with_empty_axes"] = int(d.flag())
        node = Node([x, d.whole(axes) if axes or d.flag() else None], attrs, terms=terms)
    else:
        node = Node([x], attrs | ({"axes": axes} if axes else {}), terms=terms)
    if row.name == "ReduceMean" and kind not in FLOATS:
        node.excuse = "seldom: it sums integers in their type"
    elif row.name == "ReduceL2" and kind not in FLOATS:
        node.excuse = "seldom: a root past the largest integer wraps, ours is the largest"
    elif kind == "bool" and 0 in shape:
        node.excuse = "it takes True for the largest of no booleans"
    return node


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
    node = Node([d.array(d.type(row), shape)], {"axis": axis})
    if row.since < 13:
        node.truth = define.flat_softmax(row.name, axis)
    return node


def erf(d: Draw, row: Row) -> Node:
    x = d.array(d.type(row), d.dims())
    return Node(
        [x], excuse="it computes integers in f32, where erf(4) is 1" * (x.dtype.kind in "iu")
    )


def matmul(d: Draw, row: Row) -> Node:
    kind = d.type(row)
    m, k, n = (d.of([1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65, 0]) for _ in range(3))
    if d.int(0, 3) == 0:
        m, k, n = d.of([(1, 128, 129), (127, 9, 31), (17, 129, 64), (129, 1, 127), (63, 127, 16)])
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
    node = Node([*(d.array(kind, s, special=False) for s in sides), third], attrs, terms=k)
    if row.since < 7:
        node.attrs["broadcast"] = int(third is not None and d.flag())
        node.excuse = "" if node.attrs["broadcast"] else "it leaves C out"
    return node


def cumulative(d: Draw, row: Row) -> Node:
    shape = d.dims(1, 4, empty=False)
    attrs = {"exclusive": int(d.flag()), "reverse": int(d.flag())}
    axis = d.int(0, len(shape) - 1)
    x = d.array(d.type(row), shape, special=False, low=-1, high=1)
    return Node([x, d.whole(axis)], attrs, terms=shape[axis] * 4)


MAKERS: dict[str, Maker] = {
    **{
        name: unary()
        for name in (
            "Abs Neg Exp Log Sqrt Reciprocal Floor Ceil Round Sign Sin Cos Tan Asin Acos Atan Sinh Cosh Tanh Asinh "
            "Acosh Atanh Sigmoid HardSwish Relu Softplus Softsign Mish Not BitwiseNot IsNaN IsInf Identity Shape Size"
        ).split()
    },
    "HardSigmoid": unary(alpha=(0.1, 0.5), beta=(0.25, 0.75)),
    "Erf": erf,
    "LeakyRelu": unary(alpha=(-1, 1)),
    "Elu": unary(alpha=(0, 2)),
    "Selu": unary(alpha=(1, 2), gamma=(1, 2)),
    "Celu": unary(alpha=(0.5, 2)),
    "ThresholdedRelu": unary(alpha=(-1, 1)),
    "Swish": unary(alpha=(-1, 2)),
    "Gelu": lambda d, row: Node(
        [d.array(d.type(row), d.dims())],
        {"approximate": d.of(["none", "tanh"])} if d.flag() else {},
    ),
    "Shrink": shrink,
    **dict.fromkeys(
        "Add Sub Mul And Or Xor Equal Less Greater LessOrEqual GreaterOrEqual".split(), binary
    ),
    **dict.fromkeys("BitwiseAnd BitwiseOr BitwiseXor".split(), binary),
    "SwiGLU": swiglu,
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
    **dict.fromkeys(["CumSum", "CumProd"], cumulative),
    **legal_nets.MAKERS,
    **legal_quant.MAKERS,
    **legal_steps.MAKERS,
    **legal_move.MAKERS,
}

CONTROL = "has graphs: the conformance suite and tests/passes"
RANDOM = "random numbers have no right value: test_random.py"

LEFT_OUT: dict[str, str] = {
    **dict.fromkeys("If Loop Scan SequenceMap".split(), CONTROL),
    **dict.fromkeys(
        "RandomNormal RandomNormalLike RandomUniform RandomUniformLike Bernoulli Multinomial".split(),
        RANDOM,
    ),
    **legal_move.LEFT_OUT,
}
