# SPDX-License-Identifier: Apache-2.0
"""The node tests of ONNX's conformance suite whose operators are in our table and whose values are arrays."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx.backend.test.case.node import collect_testcases

import pyinfer
from pyinfer import _core

KNOWN = {(domain or "", name) for domain, name, *_ in _core.ops()}

# Random numbers: the suite's are NumPy's.
RANDOM = {"Bernoulli", "Dropout", "RandomNormalLike", "RandomUniformLike"}
# The expected values were computed in 16 bits step by step; here each step rounds once at its end.
ROUNDED_DIFFERENTLY = {
    "test_attention_4d_causal_bf16_expanded",
    "test_attention_4d_causal_fp16_expanded",
}


def operators(graph: onnx.GraphProto) -> set[tuple[str, str]]:
    found = set()
    for node in graph.node:
        found.add((node.domain, node.op_type))
        for attr in node.attribute:
            if attr.type == onnx.AttributeProto.GRAPH:
                found |= operators(attr.g)
    return found


def is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray | np.generic | onnx.TensorProto)


def as_array(value: Any) -> np.ndarray:
    return (
        numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.asarray(value)
    )


def ours(case: Any) -> bool:
    if case.model is None or case.name in ROUNDED_DIFFERENTLY or case.model.functions:
        return False
    names = operators(case.model.graph)
    training = case.name.startswith("test_training_dropout")
    random = any(name in RANDOM for _, name in names) and (training or "dropout" not in case.name)
    values = [v for ins, outs in case.data_sets for v in (*ins, *outs)]
    return names <= KNOWN and not random and all(map(is_array, values))


CASES = [case for case in collect_testcases(None) if ours(case)]


def widen(array: np.ndarray) -> np.ndarray:
    return array if array.dtype.kind in "iucb" else array.astype(np.float64)


def check(got: np.ndarray, want: np.ndarray, rtol: float, atol: float) -> None:
    assert got.shape == want.shape
    if want.dtype.kind in "OUS":
        text = [v.decode() if isinstance(v, bytes) else str(v) for v in want.ravel()]
        assert [str(v) for v in got.ravel()] == text
        return
    assert got.dtype == want.dtype
    if got.dtype == ml_dtypes.bfloat16:
        rtol = max(rtol, 1e-2)
    np.testing.assert_allclose(widen(got), widen(want), rtol=rtol, atol=atol)


def test_the_suite_is_there() -> None:
    assert len(CASES) > 1000


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Any) -> None:
    model = pyinfer.load(case.model.SerializeToString(), threads=2)
    for ins, outs in case.data_sets:
        arrays = [as_array(v) for v in ins]
        got = model.run_tuple(tuple(arrays))
        assert len(got) == len(outs)
        for g, w in zip(got, outs, strict=True):
            check(g, as_array(w), case.rtol, case.atol)
