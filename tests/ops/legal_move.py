# SPDX-License-Identifier: Apache-2.0
"""Legal nodes of operators that move elements: MAKERS[name](draw, row); those in LEFT_OUT have none, for a reason."""

from __future__ import annotations

import numpy as np

from ops import legal_cast, legal_index
from ops.draw import Draw, Maker, Node, Row


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
    x = d.array(d.type(row), d.part(shape))
    bad = x.dtype.kind == "c" and not np.isfinite(x).all()
    return Node(
        [x, d.whole(shape)], excuse="it multiplies by 1: an infinite part spoils both" * bad
    )


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
        return Node([x], {"pads" if row.since > 1 else "paddings": pads, "mode": mode})
    value = d.array(kind, [], special=False) if mode == "constant" and d.flag() else None
    node = Node([x, d.whole(pads), value], {"mode": mode})
    if mode == "constant" and value is None and kind in ("str", "f8e8m0"):
        node.excuse = "it fills with 0, which the type has not"
    return node


def slices(d: Draw, row: Row) -> Node:
    shape = d.dims(1, 4)
    axes = [a for a in range(len(shape)) if d.flag()] or [0]
    starts, ends = ([d.int(-s - 2, s + 2) for s in (shape[a] for a in axes)] for _ in range(2))
    x = d.array(d.type(row), shape)
    if row.since < 10:
        return Node([x], {"axes": axes, "starts": starts, "ends": ends})
    kind = d.of(["i32", "i64"])
    steps = [d.of([1, 2, 3, -1, -2]) for _ in axes]
    return Node([x, *(d.whole(v, kind) for v in (starts, ends, axes, steps))])


def trilu(d: Draw, row: Row) -> Node:
    x = d.array(d.type(row), d.dims(2, 4))
    excuse = "it fills with 0" * (x.dtype == object)
    k = d.whole(d.int(-9, 9)) if d.flag() else None
    return Node([x, k], {"upper": int(d.flag())}, excuse=excuse)


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
    "Transpose": transpose,
    "Concat": concat,
    **dict.fromkeys(["Gather", "GatherElements"], gather),
    "Expand": expand,
    "Tile": tile,
    "Pad": pad,
    "Slice": slices,
    "Trilu": trilu,
    **dict.fromkeys(["DepthToSpace", "SpaceToDepth"], shuffle),
    "NonZero": nonzero,
    **legal_index.MAKERS,
    **legal_cast.MAKERS,
}

SEQUENCES = "sequences are not arrays: test_sequence.py has them"

LEFT_OUT: dict[str, str] = {
    **dict.fromkeys(
        (
            "CategoryMapper FeatureVectorizer Imputer LinearClassifier OneHotEncoder SVMClassifier SVMRegressor "
            "TreeEnsemble TreeEnsembleClassifier TreeEnsembleRegressor ZipMap"
        ).split(),
        "ai.onnx.ml: test_ml.py",
    ),
    **dict.fromkeys(
        (
            "SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SequenceLength SplitToSequence "
            "ConcatFromSequence Optional OptionalGetElement OptionalHasElement"
        ).split(),
        SEQUENCES,
    ),
}
