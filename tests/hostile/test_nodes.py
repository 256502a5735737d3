# SPDX-License-Identifier: Apache-2.0
"""Legal nodes of every operator (ops/legal*.py) with one thing damaged: an error of ours or a result.

PYINFER_DAMAGE_SECONDS=600 pytest tests/hostile/test_nodes.py   goes on for so long, with new seeds.
"""

from __future__ import annotations

import os
import random
import re
import time
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hostile.small import survive
from ops.draw import TYPES, Draw, Node, Row
from ops.legal import MAKERS
from ops.node import model_of
from pyinfer import _core

SECONDS = float(os.environ.get("PYINFER_DAMAGE_SECONDS", "0"))
GROUPS = 12
EACH = 6  # damaged nodes of each row
INTS = [0, -1, 1, 7, 2**31 - 1, 2**31, -(2**31), 2**32, 2**62, 2**63 - 1, -(2**63)]
FLOATS = [0.0, -1.0, float("nan"), float("inf"), -float("inf"), 1e38, 1e-45]
TEXTS = ["", "bogus", "x" * 999, "SAME_UPPER", "->", "...", "i,j->k", "(", "%s%n"]
ROWS = [
    Row(name, since, signature, [t for t in types.split() if t in TYPES], domain, since)
    for domain, name, since, signature, types in _core.ops()
    if domain not in ("pyinfer", "com.microsoft") and name in MAKERS
]


class Chance(Draw):
    """The choices of one node, made by a seed."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    def int(self, low: int, high: int) -> int:
        return self.rng.randint(low, high) if low <= high else low

    def flag(self) -> bool:
        return self.rng.random() < 0.5


def attribute_value(c: Chance, node: Node) -> None:
    """An attribute that is there gets a bad number, text or length."""
    if not node.attrs:
        return new_type(c, node)
    name = c.of(sorted(node.attrs))
    value = node.attrs[name]
    if isinstance(value, list) and value and not isinstance(value[0], (str, bytes)):
        bad = list(value)
        pool: list[Any] = FLOATS if isinstance(bad[0], float) else INTS
        how = c.int(0, 4)
        if how == 0:
            bad[c.int(0, len(bad) - 1)] = c.of(pool)
        elif how == 1:
            bad = bad + [c.of(pool)] * c.of([1, 9])
        elif how == 2:
            bad = bad[:-1] or [c.of(pool)]
        else:
            bad = [c.of(pool) for _ in bad]
        node.attrs[name] = bad
    elif isinstance(value, list):
        node.attrs[name] = c.of([value[:-1] or ["bogus"], value * 3, [c.of(TEXTS) for _ in value]])
    elif isinstance(value, float):
        node.attrs[name] = c.of(FLOATS)
    elif isinstance(value, int):
        node.attrs[name] = c.of(INTS)
    else:
        node.attrs[name] = c.of(TEXTS)


def attribute_kind(c: Chance, node: Node) -> None:
    if not node.attrs:
        return inputs_number(c, node)
    name = c.of(sorted(node.attrs))
    if c.flag():
        del node.attrs[name]
        return
    others: list[Any] = [c.of(INTS), c.of(FLOATS), c.of(TEXTS), [c.of(INTS)] * 3, ["bogus"] * 2]
    node.attrs[name] = c.of(others)


def arrays(node: Node) -> list[int]:
    return [i for i, x in enumerate(node.inputs) if isinstance(x, np.ndarray)]


def new_rank(c: Chance, node: Node) -> None:
    for i in arrays(node)[:1] or []:
        i = c.of(arrays(node))
        x = node.inputs[i]
        shape = list(x.shape)
        how = c.int(0, 2)
        if how == 0 and shape:
            shape = [int(np.prod(shape)) // max(1, shape[-1])] + [shape[-1]] * (len(shape) > 3)
            shape = shape if int(np.prod(shape)) == x.size else [x.size]
        elif how == 1:
            shape.insert(c.int(0, len(shape)), 1)
        else:
            shape = [1] * c.of([1, 9]) + shape
        node.inputs[i] = x.reshape(shape)


def new_dimension(c: Chance, node: Node) -> None:
    places = [i for i in arrays(node) if node.inputs[i].ndim]
    if not places:
        return new_type(c, node)
    i = c.of(places)
    x = node.inputs[i]
    axis, by = c.int(0, x.ndim - 1), c.of([0, 1, -1, 2])
    n = x.shape[axis]
    take = range(0) if by == 0 else [j % n for j in range(max(0, n + by))] if n else range(0)
    node.inputs[i] = np.take(x, list(take), axis=axis) if n else np.ones_like(x, shape=[1] * x.ndim)


def new_type(c: Chance, node: Node) -> None:
    if not arrays(node):
        return inputs_number(c, node)
    i = c.of(arrays(node))
    x = node.inputs[i]
    kind = c.of(["f32", "f64", "f16", "i64", "i32", "u8", "i8", "bool", "str", "i4", "c64"])
    with np.errstate(all="ignore"):
        if x.dtype == object or kind == "str":
            node.inputs[i] = np.full(x.shape, "a" if kind == "str" else 1, TYPES[kind])
        else:  # types of NumPy's own stand between those of ml_dtypes
            plain = x if x.dtype.kind in "biufc" else x.astype(np.float32)
            node.inputs[i] = plain.astype(TYPES[kind])


def inputs_number(c: Chance, node: Node) -> None:
    how = c.int(0, 2)
    if how == 0 and node.inputs:
        node.inputs.pop(c.int(0, len(node.inputs) - 1))
    elif how == 1 and node.inputs:
        node.inputs[c.int(0, len(node.inputs) - 1)] = None
    else:
        node.inputs.append(c.of([np.ones([2], np.float32), np.ones([2, 3], np.int64)]))


def outputs_number(c: Chance, node: Node) -> None:
    node.outputs = c.of([node.outputs + 1, max(1, node.outputs - 1), 9])


def values(c: Chance, node: Node) -> None:
    """Indices, axes, pads, sizes, repeats, scales: an integer or a float of an input is out of range."""
    places = [i for i in arrays(node) if node.inputs[i].size and node.inputs[i].dtype.kind in "iuf"]
    whole = [i for i in places if node.inputs[i].dtype.kind == "i"]
    if not places:
        return attribute_value(c, node)
    i = c.of(whole or places)
    x = np.array(node.inputs[i])
    flat = x.reshape(-1)
    with np.errstate(all="ignore"):
        for _ in range(c.of([1, 1, x.size])):
            bad = np.array(c.of(INTS if x.dtype.kind in "iu" else FLOATS))
            flat[c.int(0, flat.size - 1)] = bad.astype(x.dtype)
    node.inputs[i] = x


DAMAGES: list[Callable[[Chance, Node], None]] = [
    attribute_value,
    attribute_value,
    attribute_kind,
    new_rank,
    new_dimension,
    new_type,
    inputs_number,
    outputs_number,
    values,
    values,
]


def damaged(row: Row, seed: int) -> tuple[bytes, dict[str, Any]] | None:
    """A model of one damaged node and what it is run on; None if onnx cannot write it down."""
    c = Chance(seed)
    node = MAKERS[row.name](c, row)
    for _ in range(c.of([1, 1, 1, 2])):
        c.of(DAMAGES)(c, node)
    constant = [i for i in arrays(node) if c.flag()]
    try:
        data = model_of(
            row.name,
            node.inputs,
            opset=node.opset or row.since,
            outputs=node.outputs,
            constant=constant,
            domain=row.domain,
            **node.attrs,
        )
    except (TypeError, ValueError, OverflowError, AttributeError, NotImplementedError):
        return None
    feeds = {f"x{i}": x for i, x in enumerate(node.inputs) if x is not None and i not in constant}
    return data, feeds


# 1 GB of memory, 20 seconds a run; a child that uses up its time was caught in a load that does not end
def attack(group: int, seed: int) -> int:
    """Damaged nodes of the rows of one group; how many there were."""
    cases, names = [], []
    for row in ROWS[group::GROUPS]:
        for i in range(EACH):
            number = zlib.crc32(f"{row.domain} {row.name} {row.since} {seed} {i}".encode())
            made = damaged(row, number)
            if made is not None:
                cases.append(made)
                names.append(f"{row.name}-{row.since} seed {number}")
    lines = survive(cases, names=names)
    silent = [
        f"{name}: {line}"
        for name, line in zip(names, lines, strict=True)
        if line.startswith("ModelError") and not re.search("'node'|#0|node", line)
    ]
    assert silent == []
    return len(cases)


@pytest.mark.parametrize("group", range(GROUPS))
def test_damaged_nodes(group: int) -> None:
    end = time.monotonic() + SECONDS / GROUPS
    seed, ran = 0, attack(group, 0)
    while time.monotonic() < end:
        seed = random.getrandbits(32)
        ran += attack(group, seed)
    print(f"{ran} damaged nodes")


@pytest.mark.parametrize("op, opset", [("Upsample", 7), ("Resize", 18)])
@pytest.mark.parametrize("kind", ["str", "c64", "c128"])
def test_interpolation_of_what_has_no_mean(op: str, opset: int, kind: str) -> None:
    """The reference left such an output as the memory was, and text was read through it."""
    x = np.full([1, 2], "a", object) if kind == "str" else np.ones([1, 2], TYPES[kind])
    more: dict[str, Any] = {"mode": "linear"} | ({"scales": [1.0, 2.5]} if opset == 7 else {})
    inputs = [x] if opset == 7 else [x, None, np.array([1, 2.5], np.float32)]
    data = model_of(op, inputs, opset=opset, constant=(2,), **more)
    (line,) = survive([(data, {"x0": x})], names=[op])
    assert re.match("(ModelError|UnsupportedError): .*'node'.* have no mean", line), line
