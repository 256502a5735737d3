# SPDX-License-Identifier: Apache-2.0
"""Random legal nodes of each row of the operator table: every implementation, the plain reference, ONNX's evaluator.

PYINFER_DIFF_SECONDS=600 pytest tests/ops/test_differential.py   goes on for so long, with new examples.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pyinfer
from ops.draw import TYPES, Draw, Node, Row
from ops.found import FOUND, Found
from ops.legal import LEFT_OUT, MAKERS
from ops.node import forced, model_of
from ops.oracle import evaluate
from pyinfer import _core

SECONDS = float(os.environ.get("PYINFER_DIFF_SECONDS", "0"))
EXAMPLES = int(os.environ.get("PYINFER_DIFF_EXAMPLES", "25"))
COUNTS = os.environ.get("PYINFER_DIFF_COUNTS")  # a file that gets the number of cases as JSON


def rows() -> list[Row]:
    found = [
        Row(name, since, signature, [t for t in types.split() if t in TYPES], domain)
        for domain, name, since, signature, types in _core.ops()
        if domain not in ("pyinfer", "com.microsoft") and name in MAKERS
    ]
    newest = {"": 28, "ai.onnx.ml": 5}
    for row in found:
        later = [r.since for r in found if (r.domain, r.name) == (row.domain, row.name)]
        row.last = min([s - 1 for s in later if s > row.since], default=newest.get(row.domain, 1))
    return found


ROWS = rows()
# rtol and atol are the suite's. A sum of n terms of size s may be off by n * eps * s in any order of summing, also where
# the terms cancel: the last number, times the terms and the size of the inputs. (f64 against
# the evaluator: attributes and the numbers in functions' bodies, HardSwish's 1/6, are f32 there.)
TOLERANCE = {
    "float32": (1e-3, 1e-7, 2e-7),
    "float64": (1e-7, 1e-12, 1e-15),
    "float16": (5e-3, 1e-5, 2e-3),
    "complex64": (1e-3, 1e-7, 2e-7),
    "complex128": (1e-7, 1e-12, 1e-15),
}
NARROW = (3e-2, 1e-5, 1.6e-2)  # bfloat16
CASES: Counter[str] = Counter()  # nodes of each operator
RAN: Counter[str] = Counter()  # nodes that each implementation took
JUDGED: Counter[str] = Counter()  # nodes of each operator that an oracle judged
EXCUSED: Counter[tuple[str, str]] = Counter()
NEEDED: Counter[tuple[str, str]] = Counter()


def plain(x: Any) -> Any:
    return x if x.dtype.kind in "cOUS" else x.astype(np.float64)


def close(node: Node, got: list[Any], want: list[Any], label: str, least: float = 0) -> None:
    assert len(got) == len(want), label
    for i, (g, w) in enumerate(zip(got, want, strict=True)):
        if isinstance(w, list) or w is None:
            assert type(g) is type(w), label
            close(node, g or [], w or [], label, least)
            continue
        assert g.shape == w.shape and g.dtype == w.dtype, (
            f"{label}, output {i}: {g.dtype}{g.shape}, expected {w.dtype}{w.shape}"
        )
        if node.equal is not None:
            node.equal(i, g, w, label)
            continue
        if g.dtype.kind in "iubO" or str(g.dtype).startswith(("int", "uint")):
            np.testing.assert_array_equal(g, w, err_msg=label)
            continue
        rtol, atol, each = TOLERANCE.get(str(w.dtype), NARROW)
        rtol, atol = max(rtol, least, node.least), max(atol, least / 10)
        inputs = [
            np.abs(plain(x))
            for x in node.inputs
            if isinstance(x, np.ndarray) and x.dtype.kind not in "iubO"
        ]
        size = max([float(x[np.isfinite(x)].max(initial=0)) for x in inputs], default=0)
        if node.terms > 1:
            atol += each * node.terms * max(size, 1) ** 2
        with np.errstate(all="ignore"):
            if node.least:
                finite = np.abs(plain(w)[np.isfinite(plain(w))])
                atol += node.least * float(finite.max(initial=0))
            np.testing.assert_allclose(plain(g), plain(w), rtol=rtol, atol=atol, err_msg=label)


def judge(row: Row, node: Node, opset: int, got: list[Any], name: str) -> None:
    """Compares with an oracle. A node with an excuse may differ from the evaluator; whether any does is counted."""
    if node.truth is not None:
        JUDGED[row.name] += 1
        close(node, got, node.truth(node.inputs), f"{name} ref against its definition", 1e-6)
        return
    try:
        truth = evaluate(row, node, opset)
        if truth is None:
            return
        # NumPy sums u8 in u64
        truth = [
            np.asarray(t, w.dtype) if isinstance(w, np.ndarray) else t
            for t, w in zip(truth, got, strict=True)
        ]
        close(node, got, truth, f"{name} ref against ONNX's evaluator", 1e-6)
        JUDGED[row.name] += 1
    except Exception:
        if not node.excuse:
            raise
        NEEDED[row.name, node.excuse] += 1
    EXCUSED[row.name, node.excuse] += 1


def steps(model: Any, feeds: dict[str, Any]) -> list[dict[str, Any]]:
    lists = model.steps(tuple(feeds[n] for n in model.input_names), 0)[0]
    return list(lists[0])


def candidates(model: Any, feeds: dict[str, Any]) -> list[str]:
    """The implementations beside "ref" of a model's steps, where "ref" is forced: each was refused for that."""
    text = "; ".join(step["refused"] for step in steps(model, feeds))
    return sorted(set(re.findall(r"(?:^|; )(\w+): another one is forced", text)))


def compare(row: Row, node: Node) -> None:
    opset = node.opset or row.since
    name = f"{row.name}-{opset}"
    feeds = {f"x{i}": x for i, x in enumerate(node.inputs) if x is not None}

    def load(impl: str | None, constant: tuple[int, ...] = (), level: int = 0) -> Any:
        data = model_of(
            row.name,
            node.inputs,
            opset=opset,
            outputs=node.outputs,
            constant=constant,
            domain=row.domain,
            **node.attrs,
        )
        with forced(impl):
            return pyinfer.load(data, level=level, threads=2)

    def run(model: Any, constant: tuple[int, ...] = ()) -> list[Any]:
        return list(
            model.run({k: v for k, v in feeds.items() if int(k[1:]) not in constant}).values()
        )

    CASES[row.name] += 1
    with forced("ref"):
        want = run(load("ref"))
    rest = tuple(i for i, x in enumerate(node.inputs) if i and isinstance(x, np.ndarray))
    # weights as inputs and as constants; and with the passes, which make channels-last nodes of images
    for constant, level in [((), 0), (rest, 0), (rest, 2)] if rest else [((), 0), ((), 2)]:
        free = {k: x for k, x in feeds.items() if int(k[1:]) not in constant}
        with forced("ref"):
            others = candidates(load("ref", constant, level), free)
        for impl in others:
            with forced(impl):
                model = load(impl, constant, level)
                if impl not in {step["impl"] for step in steps(model, free)}:  # it refused
                    continue
                got = run(model, constant)
            RAN[impl] += 1
            close(node, got, want, f"{name} {impl} at level {level} against ref, {constant}")
        if others or level:
            got = run(load(None, constant, level), constant)
            close(node, got, want, f"{name} at level {level} against ref, constants {constant}")
    judge(row, node, opset, want, name)


def test_each_row_has_a_maker() -> None:
    """A new operator gets a maker in one of the files legal*.py, or a reason in LEFT_OUT there."""
    names = {name for domain, name, *_ in _core.ops() if domain not in ("pyinfer", "com.microsoft")}
    assert names - MAKERS.keys() - LEFT_OUT.keys() == set()
    assert (MAKERS.keys() | LEFT_OUT.keys()) - names == set() == MAKERS.keys() & LEFT_OUT.keys()


@st.composite
def node_of(draw: Any, row: Row) -> Node:
    d = Draw(draw)
    opset = d.of([row.last, row.last, row.since])
    node = MAKERS[row.name](d, row)
    node.opset = node.opset or opset
    return node


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.name}-{row.since}")
def test_row(row: Row) -> None:
    end = time.monotonic() + SECONDS / len(ROWS)

    @settings(
        max_examples=EXAMPLES,
        derandomize=not SECONDS,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(node=node_of(row))
    def check(node: Node) -> None:
        compare(row, node)

    check()
    while time.monotonic() < end:  # new examples each time
        check()


@pytest.mark.parametrize("found", FOUND, ids=lambda found: f"{found.name}-{found.since}")
def test_found(found: Found) -> None:
    row = next(r for r in reversed(ROWS) if r.name == found.name and r.since <= found.since)
    node = Node(list(found.inputs), dict(found.attrs), found.outputs, opset=found.since)
    node.excuse, node.narrow = found.excuse, found.narrow
    compare(row, node)


def test_excuses_are_needed() -> None:
    """Of what the tests above ran: an excuse that many nodes had, and none needed, is out of date ("seldom" ones excepted)."""
    if COUNTS:
        counts = {"cases": CASES, "ran": RAN, "judged": JUDGED}
        Path(COUNTS).write_text(json.dumps({k: dict(v) for k, v in counts.items()}, indent=1))
    idle = [
        key
        for key, n in EXCUSED.items()
        if key[1] and not key[1].startswith("seldom") and n >= 25 and not NEEDED[key]
    ]
    assert not idle, "; ".join(map(str, idle))
