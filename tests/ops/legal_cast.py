# SPDX-License-Identifier: Apache-2.0
"""Legal nodes of casts, of operators on text, and of ai.onnx.ml."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from ops.draw import FLOATS, SMALL_FLOATS, TYPES, WORDS, Draw, Maker, Node, Row
from ops.node import dtype_of

NARROW_INTS = ("u2", "i2", "u4", "i4")


def numbers(row: Row) -> list[str]:
    return [t for t in row.types if t != "str"]  # text: test_cast_text.py


def cast(d: Draw, row: Row) -> Node:
    """What a number out of an integer's range becomes is not defined, and none is drawn."""
    old = {"f32", "f16", "f64", "bool", *(f"{k}{b}" for k in "iu" for b in (8, 16, 32, 64))}
    kinds = [t for t in numbers(row) if row.since >= 19 or t in old]
    kind, to = d.of(kinds), d.of(kinds)
    low, high = (0, 1) if "u2" in (kind, to) or to == "i2" else (0, 4) if to[0] == "u" else (-4, 4)
    whole = to[0] in "iu" and to != "bool"
    special = not whole and to != "f8e8m0"
    x = d.array(kind, d.dims(0, 3, cap=900), special=special, low=low, high=high)
    if whole and kind == "f8e8m0":
        x = np.ones_like(x)
    attrs: dict[str, Any] = {}
    if row.since >= 19 and to in SMALL_FLOATS[:4]:
        attrs["saturate"] = int(d.flag())
    target = np.zeros(1, TYPES[to])
    node = Node([x], attrs, narrow=True)
    if row.name == "CastLike":
        node.inputs.append(target)
    else:
        number = dtype_of(target)
        attrs["to"] = number
        if row.since < 6:
            node.like = Node([x], {"to": number}, narrow=True, opset=9)
            attrs["to"] = {1: "FLOAT", 10: "FLOAT16", 11: "DOUBLE", 9: "BOOL"}.get(
                number, str(np.dtype(TYPES[to])).upper()
            )
    if to in old and to != "bool":
        wide = np.float64 if kind in (*FLOATS, *SMALL_FLOATS) else None

        def truth(inputs: list[Any]) -> list[Any]:
            y = inputs[0] if wide is None else inputs[0].astype(wide)
            return [y.astype(TYPES[to])]

        if kind not in NARROW_INTS:
            node.truth = truth
    if to in NARROW_INTS and kind not in old:  # NumPy has not all of these casts
        node.truth = lambda x: [x[0].astype(np.float32).astype(np.int8).astype(TYPES[to])]
    if to in SMALL_FLOATS:
        node.excuse = "it rounds small floats in its own way"
    return node


def bit_cast(d: Draw, row: Row) -> Node:
    sizes: dict[int, list[str]] = {}
    for t in numbers(row):
        if t not in ("bool", "f4e2m1") and not re.fullmatch("[iu][24]", t) and t[:2] != "f6":
            sizes.setdefault(np.dtype(TYPES[t]).itemsize, []).append(t)
    kinds = sizes[d.of(sorted(sizes))]
    kind, to = d.of(kinds), d.of(kinds)
    x = d.array(kind, d.dims(0, 3))

    def equal(i: int, got: Any, want: Any, label: str) -> None:
        assert got.dtype == want.dtype and got.tobytes() == want.tobytes(), label

    target = np.zeros(1, TYPES[to])
    return Node(
        [x], {"to": dtype_of(target)}, truth=lambda given: [given[0].view(TYPES[to])], equal=equal
    )


def string_concat(d: Draw, row: Row) -> Node:
    shape = d.dims(0, 3, cap=100)
    inputs: list[Any] = [d.array("str", d.part(shape)) for _ in range(2)]
    return Node(inputs, truth=lambda x: [np.asarray(x[0] + x[1], object)])


def string_split(d: Draw, row: Row) -> Node:
    attrs: dict[str, Any] = {"delimiter": d.of([",", "o", "ö", "er"])} if d.flag() else {}
    if d.flag():
        attrs["maxsplit"] = d.int(1, 3)
    x = d.array("str", d.dims(0, 2, empty=False, cap=60))

    def truth(inputs: list[Any]) -> list[Any]:
        most = attrs.get("maxsplit", -1)
        parts = [t.split(attrs.get("delimiter"), most) for t in inputs[0].reshape(-1)]
        counts = [len(p) for p in parts]
        wide = max(counts, default=0)
        out = np.array([p + [""] * (wide - len(p)) for p in parts], object)
        shape = inputs[0].shape
        return [out.reshape([*shape, wide]), np.array(counts, np.int64).reshape(shape)]

    return Node([x], attrs, outputs=2, truth=truth)


def string_normalizer(d: Draw, row: Row) -> Node:
    n, case = d.int(1, 9), d.of(["LOWER", "UPPER", "NONE"])
    attrs: dict[str, Any] = {"case_change_action": case}
    if d.flag():
        attrs |= {"stopwords": [d.of(WORDS[1:5])], "is_case_sensitive": 1}
    stop = attrs.get("stopwords", [])

    def truth(inputs: list[Any]) -> list[Any]:
        kept = [t for t in inputs[0].reshape(-1) if t not in stop]
        kept = [getattr(t, case.lower())() if case != "NONE" else t for t in kept] or [""]
        return [np.array(kept, object).reshape([1] * (inputs[0].ndim - 1) + [len(kept)])]

    return Node([d.array("str", [1, n] if d.flag() else [n])], attrs, truth=truth)


def regex(d: Draw, row: Row) -> Node:
    pattern = d.of(["a", "[a-z]+", "(word|a)", "W.*", ".*,.*", "", "[^a]*", "w?o*r+d{1,2}"])

    def truth(inputs: list[Any]) -> list[Any]:
        flat = [bool(re.fullmatch(pattern, t)) for t in inputs[0].reshape(-1)]
        return [np.array(flat, np.bool_).reshape(inputs[0].shape)]

    return Node([d.array("str", d.dims(0, 3, cap=100))], {"pattern": pattern}, truth=truth)


def tfidf(d: Draw, row: Row) -> Node:
    kind, grams = d.type(row), d.int(1, 3)
    pool = [1, 2, 3, 1, 2, 2, 3, 1, 2, 3] if kind != "str" else list("abcabbcabc")
    counts, ends = [0, 3, 7], [3, 7, 10]
    pool, counts = pool[: ends[grams - 1]], counts[:grams]
    n = sum((b - a) // (i + 1) for i, (a, b) in enumerate(zip(counts, ends, strict=False)))
    attrs: dict[str, Any] = {
        "mode": d.of(["TF", "IDF", "TFIDF"]),
        "min_gram_length": d.int(1, grams),
        "max_gram_length": grams,
        "max_skip_count": d.int(0, 3),
        "ngram_counts": counts,
        "ngram_indexes": list(range(n)),
        "pool_strings" if kind == "str" else "pool_int64s": pool,
    }
    if attrs["mode"] != "TF" or d.flag():
        attrs["weights"] = [d.int(1, 8) / 4 for _ in range(n)]
    shape = [d.of([1, 7, 12])] if d.flag() else [d.of([1, 3]), d.of([1, 7, 12])]
    if kind == "str":
        rng = np.random.default_rng(d.int(0, 2**20))
        x = np.array(list("abcx"), object)[rng.integers(4, size=shape)]
    else:
        x = d.array(kind, shape, special=False, low=1, high=4)
    return Node([x], attrs)


def rows_of(d: Draw, row: Row) -> Any:
    kind = d.of([t for t in row.types if t != "str"])
    return d.array(kind, [d.of([1, 3, 9]), d.of([1, 3, 8, 17])], special=False)


def features(d: Draw, row: Row) -> Node:
    x = d.array(d.type(row), d.dims(1, 3, empty=False))
    n = d.int(1, 5)
    at = d.array("i64", [n], special=False, low=0, high=x.shape[-1] - 1)

    def truth(inputs: list[Any]) -> list[Any]:
        y = np.take(inputs[0], inputs[1], axis=-1)
        return [y.reshape(1, -1) if y.ndim == 1 else y]

    return Node([x, at], truth=truth)


def binarizer(d: Draw, row: Row) -> Node:
    t = d.of([0.0, 1.0, -0.5])
    truth = lambda inputs: [(inputs[0] > t).astype(inputs[0].dtype)]  # noqa: E731
    return Node([rows_of(d, row)], {"threshold": t}, truth=truth)


def scaler(d: Draw, row: Row) -> Node:
    x = rows_of(d, row)
    n = d.of([1, x.shape[1]])
    offset, scale = ([d.int(-8, 8) / 4 for _ in range(n)] for _ in range(2))

    def truth(inputs: list[Any]) -> list[Any]:
        return [((inputs[0].astype(np.float64) - offset) * scale).astype(np.float32)]

    return Node([x], {"offset": offset, "scale": scale}, truth=truth)


def normalizer(d: Draw, row: Row) -> Node:
    x, norm = rows_of(d, row), d.of(["MAX", "L1", "L2"])
    x[x == 0] = 1

    def truth(inputs: list[Any]) -> list[Any]:
        y = inputs[0].astype(np.float64)
        by = {"MAX": np.abs(y).max(1), "L1": np.abs(y).sum(1), "L2": np.sqrt((y * y).sum(1))}
        return [(y / by[norm][:, None]).astype(np.float32)]

    return Node([x], {"norm": norm}, truth=truth)


def regressor(d: Draw, row: Row) -> Node:
    x, targets = rows_of(d, row), d.of([1, 2, 5])
    w = [d.int(-8, 8) / 4 for _ in range(targets * x.shape[1])]
    b = [d.int(-8, 8) / 4 for _ in range(targets)]

    def truth(inputs: list[Any]) -> list[Any]:
        y = inputs[0].astype(np.float64) @ np.reshape(w, (targets, -1)).T + b
        return [y.astype(np.float32)]

    attrs = {"coefficients": w, "intercepts": b, "targets": targets}
    return Node([x], attrs, terms=x.shape[1] * 4, truth=truth)


def labels(d: Draw, row: Row) -> Node:
    back = d.flag()
    names = ["a", "word", "Wörter"]
    if row.since < 2:
        x = d.array("i64", [5], special=False, low=0, high=4) if back else d.array("str", [5])
        attrs: dict[str, Any] = {"classes_strings": names, "default_int64": -7}
        attrs["default_string"] = "none"
    else:
        x = d.array("i64", [2, 5], special=False, low=0, high=4) if back else d.array("str", [7])
        kinds = ("keys_int64s", "values_strings") if back else ("keys_strings", "values_int64s")
        given: list[Any] = [[0, 1, 2], names]
        attrs = dict(zip(kinds, given if back else given[::-1], strict=True))
        attrs |= {"default_int64": -7, "default_string": "none"}

    def truth(inputs: list[Any]) -> list[Any]:
        table: Any = dict(enumerate(names)) if back else {n: i for i, n in enumerate(names)}
        flat = [table.get(v, "none" if back else -7) for v in inputs[0].reshape(-1).tolist()]
        return [np.array(flat, object if back else np.int64).reshape(inputs[0].shape)]

    return Node([x], attrs, truth=truth)


MAKERS: dict[str, Maker] = {
    **dict.fromkeys(["Cast", "CastLike"], cast),
    "BitCast": bit_cast,
    "StringConcat": string_concat,
    "StringSplit": string_split,
    "StringNormalizer": string_normalizer,
    "RegexFullMatch": regex,
    "TfIdfVectorizer": tfidf,
    "ArrayFeatureExtractor": features,
    "Binarizer": binarizer,
    "Scaler": scaler,
    "Normalizer": normalizer,
    "LinearRegressor": regressor,
    "LabelEncoder": labels,
}
