# SPDX-License-Identifier: Apache-2.0
"""Random legal nodes of each row of the operator table: every implementation, the plain reference, ONNX's evaluator.

PYINFER_DIFF_SECONDS=600 pytest tests/ops/test_differential.py   goes on for so long, with new examples.
"""

from __future__ import annotations

import os
import time
import warnings
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator

import pyinfer
from ops.draw import TYPES, Draw, Node, Row
from ops.legal import LEFT_OUT, MAKERS
from ops.node import forced, model_of
from pyinfer import _core

SECONDS = float(os.environ.get("PYINFER_DIFF_SECONDS", "0"))
EXAMPLES = int(os.environ.get("PYINFER_DIFF_EXAMPLES", "20"))
IMPLS = ["winograd", "onednn", "own", "simd", "igemm", "panels", "f32"]  # beside "ref"
ROWS = [
    Row(name, since, signature, [t for t in types.split() if t in TYPES], domain)
    for domain, name, since, signature, types in _core.ops()
    if domain != "pyinfer" and name in MAKERS
]
# rtol and atol are the suite's. A sum of n terms of size s may be off by n * eps * s in any order of summing, also where
# the terms cancel: the last number, times the terms and the size of the inputs. (f64 against
# the evaluator: attributes and the numbers in functions' bodies, HardSwish's 1/6, are f32 there.)
TOLERANCE = {
    "float32": (1e-3, 1e-7, 2e-7),
    "float64": (1e-7, 1e-12, 1e-15),
    "float16": (5e-3, 1e-5, 2e-3),
}
NARROW = (3e-2, 1e-5, 1.6e-2)  # bfloat16


def close(node: Node, got: list[Any], want: list[Any], label: str, least: float = 0) -> None:
    assert len(got) == len(want), label
    for g, w in zip(got, want, strict=True):
        assert g.shape == w.shape and g.dtype == w.dtype, (
            f"{label}: {g.dtype}{g.shape}, expected {w.dtype}{w.shape}"
        )
        if g.dtype.kind in "iub":
            np.testing.assert_array_equal(g, w, err_msg=label)
            continue
        rtol, atol, each = TOLERANCE.get(str(w.dtype), NARROW)
        rtol, atol = max(rtol, least), max(atol, least / 10)
        inputs = [
            np.abs(x.astype(np.float64))
            for x in node.inputs
            if x is not None and x.dtype.kind not in "iub"
        ]
        size = max([float(x[np.isfinite(x)].max(initial=0)) for x in inputs], default=0)
        if node.terms > 1:
            atol += each * node.terms * max(size, 1) ** 2
        with np.errstate(all="ignore"):
            np.testing.assert_allclose(
                g.astype(np.float64), w.astype(np.float64), rtol=rtol, atol=atol, err_msg=label
            )


def oracle(row: Row, node: Node, opset: int) -> list[Any]:
    """What ONNX's evaluator says. It rounds 16-bit floats at each step: they go through it as f32."""

    def wide(x: Any) -> Any:
        return (
            x
            if x is None or x.dtype.itemsize != 2 or x.dtype.kind in "iu"
            else x.astype(np.float32)
        )

    inputs = [wide(x) for x in node.inputs]
    data = model_of(
        row.name, inputs, opset=opset, outputs=node.outputs, domain=row.domain, **node.attrs
    )
    feeds = {f"x{i}": x for i, x in enumerate(inputs) if x is not None}
    return list(ReferenceEvaluator(onnx.load_from_string(data)).run(None, feeds))


def compare(row: Row, node: Node) -> None:
    opset = max(row.since, 1)
    data = model_of(
        row.name, node.inputs, opset=opset, outputs=node.outputs, domain=row.domain, **node.attrs
    )
    feeds = {f"x{i}": x for i, x in enumerate(node.inputs) if x is not None}

    def run(impl: str | None, constant: tuple[int, ...] = ()) -> list[Any]:
        text = (
            data
            if not constant
            else model_of(
                row.name,
                node.inputs,
                opset=opset,
                outputs=node.outputs,
                constant=constant,
                domain=row.domain,
                **node.attrs,
            )
        )
        with forced(impl):
            model = pyinfer.load(text, level=0, threads=2)
            return list(
                model.run({k: v for k, v in feeds.items() if int(k[1:]) not in constant}).values()
            )

    want = run("ref")
    for impl in [None, *IMPLS]:
        close(node, run(impl), want, f"{row.name}-{row.since} {impl or 'default'} against ref")
    rest = tuple(i for i, x in enumerate(node.inputs) if i and x is not None)
    if rest:
        close(node, run(None, rest), want, f"{row.name}-{row.since} with constants against ref")
    if node.truth is not None:
        truth = node.truth(node.inputs)
        close(node, want, truth, f"{row.name}-{row.since} ref against its definition", 1e-6)
    elif node.oracle and not node.excuse and (row.since >= 7 or row.domain):
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                truth = oracle(row, node, opset)
            except Exception:  # it lacks the type, or the shape: the implementations were compared
                return
        truth = [
            np.asarray(t, w.dtype) for t, w in zip(truth, want, strict=True)
        ]  # NumPy sums u8 in u64
        close(node, want, truth, f"{row.name}-{row.since} ref against ONNX's evaluator", 1e-6)


def test_each_row_has_a_maker() -> None:
    """A new operator gets a maker in one of the files legal*.py, or a reason in LEFT_OUT there."""
    names = {name for domain, name, *_ in _core.ops() if domain != "pyinfer"}
    assert names - MAKERS.keys() - LEFT_OUT.keys() == set()
    assert (MAKERS.keys() | LEFT_OUT.keys()) - names == set() == MAKERS.keys() & LEFT_OUT.keys()


@st.composite
def node_of(draw: Any, row: Row) -> Node:
    return MAKERS[row.name](Draw(draw), row)


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
