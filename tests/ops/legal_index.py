# SPDX-License-Identifier: Apache-2.0
"""Legal nodes of operators that scatter, gather, split, reshape, select and cast; NumPy says what most of them give."""

from __future__ import annotations

from typing import Any

import numpy as np

from ops.draw import FLOATS, TYPES, Draw, Maker, Node, Row
from ops.node import dtype_of

FOLDS: dict[str, Any] = {
    "none": lambda a, b: b,
    "add": np.add,
    "mul": np.multiply,
    "max": np.maximum,
    "min": np.minimum,
}
SUMMED = (*FLOATS, "i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64")


def fold_of(d: Draw, row: Row, kind: str) -> str:
    """A reduction that this version has and that is no sum: sums of 16-bit floats depend on the order."""
    choices = ["none"]
    if row.since >= 16 and kind in SUMMED:
        choices += ["add", "mul"] + ["max", "min"] * (row.last >= 18)
    return d.of(choices)


def scatter_elements(d: Draw, row: Row) -> Node:
    kind, shape = d.type(row), d.dims(1, 4, empty=False, cap=800)
    axis, fold = d.int(0, len(shape) - 1), fold_of(d, row, kind)
    part = [d.int(0, s) for s in shape]
    data, updates = d.array(kind, shape, special=False), d.array(kind, part, special=False)
    n = shape[axis]
    index = d.array("i64", part, special=False, low=0, high=n - 1)
    if fold == "none" and part[axis]:  # which of two equal indices is last is not defined
        part[axis] = min(part[axis], n)
        rng = np.random.default_rng(d.int(0, 2**20))
        order = np.argsort(rng.random([*part[:axis], n, *part[axis + 1 :]]), axis=axis)
        index = np.take(order, range(part[axis]), axis=axis)
    if row.since >= 11 and d.flag():
        index = np.where(index % 2, index, index - n)
    index = index.astype(d.of([np.int32, np.int64]))

    def truth(inputs: list[Any]) -> list[Any]:
        out, at, new = inputs[0].copy(), inputs[1], inputs[2]
        for place in np.ndindex(at.shape):
            to = (*place[:axis], int(at[place]), *place[axis + 1 :])
            out[to] = FOLDS[fold](out[to], new[place])
        return [out]

    attrs: dict[str, Any] = {"axis": axis - len(shape) * (row.since >= 11 and d.flag())}
    attrs |= {"reduction": fold} if row.since >= 16 else {}
    node = Node([data, index, updates], attrs, truth=truth, terms=max([1, *part]) + 1)
    node.opset = 18 if fold in ("max", "min") else 0
    return node


def nd_indices(d: Draw, lead: list[int], sizes: list[int]) -> Any:
    """An index array [*lead, len(sizes)], with no tuple twice for the places it names if there are enough."""
    flat, count = int(np.prod(sizes)), int(np.prod(lead))
    rng = np.random.default_rng(d.int(0, 2**20))
    picks = rng.permutation(flat)[:count] if count <= flat else rng.integers(flat, size=count)
    tuples = np.stack(np.unravel_index(picks, sizes), -1) if sizes else np.zeros((count, 0))
    index = tuples.astype(np.int64).reshape([*lead, len(sizes)])
    if sizes and d.flag():
        index = np.where(rng.random(index.shape) < 0.5, index, index - np.array(sizes))
    return index.astype(np.int64)


def scatter_nd(d: Draw, row: Row) -> Node:
    kind, shape = d.type(row), d.dims(1, 4, empty=False, cap=1500)
    fold, depth = fold_of(d, row, kind), d.int(1, len(shape))
    lead = [d.of([1, 2, 3, 0])]
    if fold == "none":
        lead = [min(lead[0], int(np.prod(shape[:depth])))]
    lead = [1, *lead] if d.flag() else lead
    index = nd_indices(d, lead, shape[:depth])
    updates = d.array(kind, [*lead, *shape[depth:]], special=False)

    def truth(inputs: list[Any]) -> list[Any]:
        out, at, new = inputs[0].copy(), inputs[1], inputs[2]
        for place in np.ndindex(at.shape[:-1]):
            to = tuple(int(i) for i in at[place])
            out[to] = FOLDS[fold](out[to], new[place])
        return [out]

    attrs = {"reduction": fold} if row.since >= 16 else {}
    node = Node([d.array(kind, shape, special=False), index, updates], attrs, truth=truth, terms=9)
    node.opset = 18 if fold in ("max", "min") else 0
    return node


def gather_nd(d: Draw, row: Row) -> Node:
    shape = d.dims(1, 4, empty=False, cap=1500)
    batch = d.int(0, len(shape) - 1) if row.since >= 12 else 0
    depth = d.int(1, len(shape) - batch)
    lead = [*shape[:batch], *(d.of([1, 2, 7]) for _ in range(d.int(0, 2)))]
    index = nd_indices(d, lead, shape[batch : batch + depth])

    def truth(inputs: list[Any]) -> list[Any]:
        x, at = inputs
        out = np.empty([*at.shape[:-1], *x.shape[batch + depth :]], x.dtype)
        for place in np.ndindex(at.shape[:-1]):
            out[place] = x[(*place[:batch], *(int(i) for i in at[place]))]
        return [out]

    attrs = {"batch_dims": batch} if row.since >= 12 else {}
    return Node([d.array(d.type(row), shape), index], attrs, truth=truth)


def split(d: Draw, row: Row) -> Node:
    kind, shape = d.type(row), d.dims(1, 4, empty=False)
    axis, n = d.int(0, len(shape) - 1), d.int(1, 4)
    sizes = [d.of([1, 2, 7, 0] if row.since >= 13 else [1, 2, 7]) for _ in range(n)]
    equal = row.since >= 2 and d.flag()
    if equal:
        sizes = [d.of([1, 2, 8])] * n
        if row.since >= 18 and n > 1:  # the last is what is left: all others are ceil(sum / n)
            sizes[-1] = d.int(max(1, sizes[0] - n + 1), sizes[0])
    shape[axis] = sum(sizes)
    attrs: dict[str, Any] = {"axis": axis - len(shape) * (row.since >= 11 and d.flag())}
    inputs: list[Any] = [d.array(kind, shape)]
    if equal:
        attrs |= {"num_outputs": n} if row.since >= 18 else {}
    elif row.since >= 13:
        inputs.append(d.whole(sizes))
    else:
        attrs["split"] = sizes
    ends = np.cumsum([0, *sizes])

    def truth(given: list[Any]) -> list[Any]:
        cut = zip(ends[:-1], ends[1:], strict=True)
        return [np.take(given[0], range(a, b), axis=axis) for a, b in cut]

    return Node(inputs, attrs, outputs=n, truth=truth)


def reshape(d: Draw, row: Row) -> Node:
    shape = d.dims(0, 4)
    x = d.array(d.type(row), shape)
    wanted: list[int] = list(shape)
    for _ in range(d.int(0, 3)):  # two neighbours become one, or a 1 comes in
        i = d.int(0, len(wanted))
        if i + 1 < len(wanted) and d.flag():
            wanted[i : i + 2] = [wanted[i] * wanted[i + 1]]
        else:
            wanted.insert(i, 1)
    out, text = tuple(wanted), list(wanted)
    zero = row.since >= 14 and 0 in shape
    if not zero and 0 not in shape:
        for i in range(min(len(text), len(shape))):
            if text[i] == shape[i] and d.flag():
                text[i] = 0
        if text and d.flag():
            text[d.int(0, len(text) - 1)] = -1
    elif 0 in shape and not zero:  # a 0 copies: it must stand where it stood
        text, out = list(shape), tuple(shape)
    attrs: dict[str, Any] = {"allowzero": 1} if zero else {}
    inputs: list[Any] = [x]
    if row.since < 5:
        attrs["shape"] = text
    else:
        inputs.append(d.whole(text))
    if row.since < 5 and not text:
        return Node([d.array(d.type(row), [2, 3])], {"shape": [3, 2]}, truth=to_shape((3, 2)))
    return Node(inputs, attrs, truth=to_shape(out))


def to_shape(shape: tuple[int, ...]) -> Any:
    return lambda inputs: [inputs[0].reshape(shape)]


def flatten(d: Draw, row: Row) -> Node:
    shape = d.dims(1, 4)
    axis = d.int(0, len(shape))
    out = (int(np.prod(shape[:axis])), int(np.prod(shape[axis:])))
    return Node([d.array(d.type(row), shape)], {"axis": axis}, truth=to_shape(out))


def squeeze(d: Draw, row: Row) -> Node:
    shape = d.dims(0, 4)
    axes = sorted({d.int(0, len(shape)) for _ in range(d.int(1, 3))})
    full = list(shape)
    for a in axes:
        full.insert(a, 1)
    axes = [a for a in axes if a < len(full) and full[a] == 1]
    small, large = tuple(s for i, s in enumerate(full) if i not in axes), tuple(full)
    given = [a - len(full) if row.since >= 13 and d.flag() else a for a in axes]
    back = row.name == "Unsqueeze"
    x = d.array(d.type(row), small if back else large)
    if row.since >= 13:
        return Node([x, d.whole(given)], truth=to_shape(large if back else small))
    return Node([x], {"axes": given}, truth=to_shape(large if back else small))


def center(d: Draw, row: Row) -> Node:
    shape = d.dims(1, 4, empty=False, cap=800)
    axes = [a for a in range(len(shape)) if d.flag()] or [0]
    sizes = [d.int(1, min(shape[a] + 4, 20)) for a in axes]
    kind = d.type(row)
    node = Node([d.array(kind, shape), d.whole(sizes)], {"axes": axes})

    def truth(inputs: list[Any]) -> list[Any]:
        x = inputs[0]
        for a, n in zip(axes, sizes, strict=True):
            have = x.shape[a]
            if n < have:
                x = np.take(x, range((have - n) // 2, (have - n) // 2 + n), axis=a)
            elif n > have:
                room = [(0, 0)] * x.ndim
                room[a] = ((n - have) // 2, n - have - (n - have) // 2)
                x = np.pad(x, room) if x.dtype != object else np.pad(x, room, constant_values="")
        return [x]

    if kind == "f8e8m0":  # it has no 0 to pad with
        node.inputs[1] = d.whole([min(n, shape[a]) for a, n in zip(axes, sizes, strict=True)])
        sizes[:] = [min(n, shape[a]) for a, n in zip(axes, sizes, strict=True)]
    node.truth = truth
    return node


def filled(d: Draw, row: Row) -> Node:
    kind, shape = d.of([*FLOATS[:3], "i64", "i32", "u8", "bool", "i8", "u64"]), d.dims(0, 4)
    value = d.array(kind, [1])
    return Node(
        [d.whole(shape).reshape(len(shape))],
        {"value": tensor(value)},
        truth=lambda inputs: [np.full(inputs[0], value[0], value.dtype)],
    )


def tensor(x: Any) -> Any:
    from onnx import numpy_helper

    return numpy_helper.from_array(x)


def ranges(d: Draw, row: Row) -> Node:
    kind = d.of([t for t in row.types if t not in ("f16", "bf16")])
    start, step = d.int(-9, 9), d.of([1, 2, 3, -1, -2])
    end = start + d.int(-20, 40)
    return Node([d.whole(v, kind) for v in (start, end, step)], terms=40)


def eye(d: Draw, row: Row) -> Node:
    x = d.array(d.type(row), d.dims(2, 2))
    k, to = d.int(-9, 9), d.of(["f32", "f64", "i64", "u8"])

    def truth(inputs: list[Any]) -> list[Any]:
        return [np.eye(*inputs[0].shape, k=k, dtype=TYPES[to])]

    return Node([x], {"k": k, "dtype": dtype_of(np.zeros(1, TYPES[to]))}, truth=truth)


def tensor_scatter(d: Draw, row: Row) -> Node:
    kind = d.type(row)
    b, h, n, w = d.of([1, 2, 3]), d.of([1, 2]), d.of([1, 7, 9]), d.of([1, 8, 17])
    t, mode = d.int(1, n), d.of(["linear", "circular"])
    past, new = d.array(kind, [b, h, n, w]), d.array(kind, [b, h, t, w])
    start = d.array("i64", [b], special=False, low=0, high=n - t if mode == "linear" else n - 1)

    def truth(inputs: list[Any]) -> list[Any]:
        out = inputs[0].copy()
        for i in range(b):
            for j in range(t):
                out[i, :, (int(start[i]) + j) % n] = inputs[1][i, :, j]
        return [out]

    return Node([past, new, start], {"mode": mode, "axis": d.of([2, -2])}, truth=truth)


def one_hot(d: Draw, row: Row) -> Node:
    kind, values = d.of(["i64", "i32", "f32"]), d.array(d.type(row), [2])
    depth = d.of([1, 2, 7, 16])
    low, high = (-depth, depth - 1) if row.since >= 11 or d.flag() else (0, depth - 1)
    at = np.rint(d.array(kind, d.dims(1, 3, cap=300), special=False, low=low, high=high))
    axis = d.int(-at.ndim - 1, at.ndim)

    def truth(inputs: list[Any]) -> list[Any]:
        index = np.expand_dims(inputs[0].astype(np.int64) % depth, axis)
        line = [1] * index.ndim
        line[axis] = depth
        hot = index == np.arange(depth).reshape(line)
        return [np.where(hot, inputs[2][1], inputs[2][0]).astype(inputs[2].dtype)]

    depths = d.whole([depth] if d.flag() else depth, d.of(["i64", "i32"]))
    return Node([at, depths, values], {"axis": axis}, truth=truth)


def reverse_sequence(d: Draw, row: Row) -> Node:
    time, batch = d.of([1, 2, 9]), d.of([1, 2, 3])
    t = d.int(0, 1)
    shape = [time, batch] if t == 0 else [batch, time]
    lengths = d.array("i64", [batch], special=False, low=1, high=time)

    def truth(inputs: list[Any]) -> list[Any]:
        x = np.moveaxis(inputs[0], t, 0)
        out = x.copy()
        for i, n in enumerate(lengths):
            out[:n, i] = x[:n, i][::-1]
        return [np.ascontiguousarray(np.moveaxis(out, 0, t))]

    x = d.array(d.type(row), [*shape, *d.dims(0, 2, cap=64)])
    return Node([x, lengths], {"time_axis": t, "batch_axis": 1 - t}, truth=truth)


def compress(d: Draw, row: Row) -> Node:
    shape = d.dims(1, 4, empty=False)
    axis = d.int(0, len(shape) - 1) if d.flag() else None
    n = shape[axis] if axis is not None else int(np.prod(shape))
    keep = d.array("bool", [d.int(1, n)])
    attrs = {} if axis is None else {"axis": axis}

    def truth(inputs: list[Any]) -> list[Any]:
        return [np.compress(inputs[1], inputs[0], axis=axis)]

    return Node([d.array(d.type(row), shape), keep], attrs, truth=truth)


def unique(d: Draw, row: Row) -> Node:
    kind = d.of([t for t in row.types if t not in ("c64", "c128", "str", "bf16")])
    shape = d.dims(1, 3, empty=False, cap=900)
    axis = d.int(0, len(shape) - 1) if d.flag() else None
    x = d.array(kind, shape, special=False, low=-2, high=2)
    if kind in FLOATS:
        x = np.rint(x)
    attrs: dict[str, Any] = {"sorted": int(d.flag())} | ({} if axis is None else {"axis": axis})

    def truth(inputs: list[Any]) -> list[Any]:
        y, first, back, count = np.unique(inputs[0], True, True, True, axis=axis)
        back = back.reshape(-1)
        if not attrs["sorted"]:
            order = np.argsort(first)
            y = np.take(y, order, axis=axis or 0)
            first, count, back = first[order], count[order], np.argsort(order)[back]
        return [y, first, back, count]

    return Node([x], attrs, outputs=4, truth=truth)


EQUATIONS = "ij,jk->ik bij,bjk->bik ij->ji ii->i ii ij->i i,j->ij i,i bhid,bhjd->bhij ij,kj->ik abc,cd,d->ab ...ij,jk".split()


def einsum(d: Draw, row: Row) -> Node:
    equation, size = d.of(EQUATIONS), {c: d.of([1, 2, 3, 7, 8, 9]) for c in "abcdhijk"}
    lead = d.dims(0, 2, empty=False, cap=6)
    kind = d.of([t for t in row.types if t not in ("u8", "i8", "u16", "i16")])
    inputs: list[Any] = []
    for term in equation.split("->")[0].split(","):
        shape = lead * term.startswith("...") + [size[c] for c in term.strip(".")]
        inputs.append(d.array(kind, shape, special=False))

    def truth(given: list[Any]) -> list[Any]:
        wide = np.float64 if kind in FLOATS else given[0].dtype
        out = np.einsum(equation, *(x.astype(wide) for x in given))
        return [np.asarray(out).astype(given[0].dtype)]

    return Node(inputs, {"equation": equation}, terms=100, truth=truth)


MAKERS: dict[str, Maker] = {
    **dict.fromkeys(["Scatter", "ScatterElements"], scatter_elements),
    "ScatterND": scatter_nd,
    "GatherND": gather_nd,
    "Split": split,
    "Reshape": reshape,
    "Flatten": flatten,
    **dict.fromkeys(["Squeeze", "Unsqueeze"], squeeze),
    "CenterCropPad": center,
    "ConstantOfShape": filled,
    "Range": ranges,
    "EyeLike": eye,
    "TensorScatter": tensor_scatter,
    "OneHot": one_hot,
    "ReverseSequence": reverse_sequence,
    "Compress": compress,
    "Unique": unique,
    "Einsum": einsum,
}
