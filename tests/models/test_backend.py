# SPDX-License-Identifier: Apache-2.0
"""The whole conformance suite of ONNX, at its own tolerances; what is left out stands in left_out.py."""

from __future__ import annotations

import collections
import fnmatch
from collections.abc import Callable

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import pyinfer
import pyinfer.backend
from models import suite
from models.left_out import LEFT_OUT, RANDOM

CASES = suite.cases()


@pytest.mark.parametrize(
    ("name", "run"), [(n, run) for n, (_, run) in CASES.items()], ids=list(CASES)
)
def test_case(name: str, run: Callable[..., None]) -> None:
    reason = suite.left_out(name)
    if reason is None:
        return run()
    if reason is RANDOM:
        run(atol=1.0)
        pytest.xfail(reason)
    try:
        run()
    except Exception:
        pytest.xfail(reason)
    pytest.fail(f"{name} passes: take it out of tests/models/left_out.py")


def test_the_suite_is_whole() -> None:
    kinds = collections.Counter(kind for kind, _ in CASES.values())
    assert kinds == {
        "node": 1884,
        "simple": 23,
        "pytorch-operator": 35,
        "pytorch-converted": 82,
        "real": 9,
    }


def test_each_entry_of_the_list_names_cases() -> None:
    patterns = [pattern for listed in LEFT_OUT.values() for pattern in listed]
    unknown = [p for p in patterns if not fnmatch.filter(CASES, p)]
    assert not unknown, f"left_out.py names no case by {unknown}"
    assert len(patterns) == len(set(patterns))


# ---- the interface itself ----


def test_devices() -> None:
    assert pyinfer.backend.supports_device("CPU") and not pyinfer.backend.supports_device("CUDA")
    with pytest.raises(ValueError, match="device CPU, not on 'CUDA'"):
        pyinfer.backend.prepare(onnx.ModelProto(), "CUDA")


def neg_model() -> onnx.ModelProto:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n"])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n"])
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "g", [x], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])


def test_inputs_in_order_by_name_or_the_only_one() -> None:
    x = np.float32([1, 2])
    rep = pyinfer.backend.prepare(neg_model(), threads=1)
    for inputs in ([x], (x,), {"x": x}, x):
        outputs = rep.run(inputs)
        assert outputs["y"] is outputs[0] and outputs[0].tolist() == [-1, -2]
    assert rep.model.threads == 1


def test_compatible_is_what_loads() -> None:
    model = neg_model()
    assert pyinfer.backend.is_compatible(model)
    model.graph.node[0].op_type = "NoSuchOperator"
    assert not pyinfer.backend.is_compatible(model)


def test_a_node_in_a_version() -> None:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    node = helper.make_node("Softmax", ["x"], ["y"], axis=1)
    (y,) = pyinfer.backend.run_node(node, [x], opset_version=11)
    assert np.allclose(y.sum(axis=1), 1)
    squeeze = helper.make_node("Squeeze", ["x"], ["y"], axes=[0])  # axes is an input since 13
    assert pyinfer.backend.run_node(squeeze, [x[None]], opset_version=11)["y"].shape == (2, 3)
    with pytest.raises(pyinfer.PyinferError):
        pyinfer.backend.run_node(squeeze, [x[None]])


def test_a_node_with_outputs_and_inputs_left_out() -> None:
    x = np.float32([3, -5, 9])
    node = helper.make_node("Clip", ["x", "", "most"], ["y"])
    info = [(np.dtype(np.float32), (3,))]
    (y,) = pyinfer.backend.run_node(node, {"x": x, "most": np.float32(4)}, outputs_info=info)
    assert y.tolist() == [3, -5, 4]
    node = helper.make_node("TopK", ["x", "k"], ["", "i"])
    assert pyinfer.backend.run_node(node, [x, np.int64([2])])["i"].tolist() == [2, 0]
    with pytest.raises(ValueError, match="1 inputs are given, TopK names 2"):
        pyinfer.backend.run_node(node, [x])


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.float16, np.float64, np.int8, np.int64])
def test_a_node_of_a_type(dtype: type) -> None:
    node = helper.make_node("Add", ["x", "x"], ["y"])
    (y,) = pyinfer.backend.run_node(node, [np.array([1, 2], dtype)])
    assert y.dtype == dtype and y.tolist() == [2, 4]


def test_a_node_of_strings() -> None:
    (y,) = pyinfer.backend.run_node(
        helper.make_node("Identity", ["x"], ["y"]), [np.array(["a", "ö"])]
    )
    assert y.dtype == object and y.tolist() == ["a", "ö"]


def test_a_node_of_sequences_and_optionals() -> None:
    run_node = pyinfer.backend.run_node
    x = [np.float32([1, 2]), np.float32([3])]
    joined = run_node(helper.make_node("ConcatFromSequence", ["s"], ["y"], axis=0), [x])["y"]
    assert joined.tolist() == [1, 2, 3]
    longer = run_node(helper.make_node("SequenceInsert", ["s", "x"], ["y"]), [x, joined])["y"]
    assert [a.tolist() for a in longer] == [[1, 2], [3], [1, 2, 3]]
    has = helper.make_node("OptionalHasElement", ["o"], ["y"])
    assert not run_node(has, [None])["y"] and run_node(has, [joined])["y"]
    (same,) = run_node(helper.make_node("Identity", ["o"], ["y"]), [None])
    assert same is None
