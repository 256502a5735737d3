# SPDX-License-Identifier: Apache-2.0
"""check_numbers=True: the first step that makes a NaN or an infinity is named."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import pyinfer
from support import tiny

INF = np.float32("inf")


def load(*nodes: onnx.NodeProto, dtype: Any = np.float32, out: str = "y", weights: Any = None, **options: Any) -> pyinfer.Model:
    data = tiny.model(nodes, [("x", dtype, ["n", 3])], [(out, dtype, ["n", 3])], weights)
    return pyinfer.load(data, **({"check_numbers": True} | options))


def node(op: str, *names: str, **more: Any) -> onnx.NodeProto:
    *ins, out = names
    return helper.make_node(op, ins, [out], f"node_{out}", **more)


def x(*values: float, dtype: Any = np.float32) -> Any:
    return np.array([[1, 2, 3], values], dtype)


CHAIN = node("Sqrt", "x", "a"), node("Softmax", "a", "b"), node("Exp", "b", "y")


@pytest.mark.parametrize("options", [{}, {"level": 0}, {"onednn": False}])
def test_the_first_nan(options: dict[str, Any]) -> None:
    m = load(*CHAIN, **options)
    assert np.isfinite(m(x(4, 5, 6))).all()
    with pytest.raises(pyinfer.NumberError, match=r"^Sqrt 'node_a' \(#0\): its result 'a', f32\[2, 3\], has a NaN at \[1, 1\]$") as info:
        m(x(4, -5, 6))
    assert isinstance(info.value, ArithmeticError)
    assert np.isfinite(m(x(4, 5, 6))).all(), "the model works on"
    assert np.isnan(load(*CHAIN, check_numbers=False)(x(4, -5, 6))).any()


def test_the_line_of_pytorch() -> None:
    bad = node("Log", "x", "y")
    bad.metadata_props.add(key="pkg.torch.onnx.stack_trace", value='File "net.py", line 7, in forward\n    return x.log()')
    with pytest.raises(pyinfer.NumberError, match=r"from net.py:7, in forward: return x.log\(\): its result 'y'"):
        load(bad)(x(-1, 1, 1))


def test_infinities_that_are_passed_on_are_no_fault() -> None:
    mask = {"m": np.float32([0, -INF, 0])}
    m = load(node("Add", "x", "m", "a"), node("Softmax", "a", "y", axis=-1), weights=mask)
    assert m(x(4, 5, 6))[1].tolist()[1] == 0
    assert load(node("Neg", "x", "y"))(x(INF, 1, 1))[1, 0] == -INF
    with pytest.raises(pyinfer.NumberError, match=r"node_y.*an infinity at \[1, 2\]"):
        load(node("Neg", "x", "a"), node("Exp", "a", "y"))(x(0, 0, -1e9))
    with pytest.raises(pyinfer.NumberError, match="its result .* has a NaN"):  # inf - inf
        load(node("Identity", "x", "a"), node("Sub", "a", "x", "b"), node("Abs", "b", "y"))(x(INF, 1, 1))


def test_inputs_and_views() -> None:
    with pytest.raises(pyinfer.NumberError, match=r"^input 'x', f32\[2, 3\], has a NaN at \[1, 0\]"):
        load(*CHAIN)(x(np.nan, 1, 1))
    shape = {"s": np.int64([3, -1])}
    nodes = node("Reshape", "x", "s", "a"), node("Neg", "a", "b"), node("Reshape", "b", "t", "y")
    m = load(*nodes, weights=shape | {"t": np.int64([-1, 3])})
    assert m(x(INF, 1, 1))[1, 0] == -INF


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_types(dtype: Any) -> None:
    m = load(node("Sqrt", "x", "y"), dtype=dtype)
    assert np.isfinite(m(x(1, 2, 3, dtype=dtype))).all()
    with pytest.raises(pyinfer.NumberError, match="a NaN"):
        m(x(1, -2, 3, dtype=dtype))
    with pytest.raises(pyinfer.NumberError, match="an infinity"):
        load(node("Mul", "x", "x", "y"), dtype=dtype)(x(1, -2, np.finfo(dtype).max, dtype=dtype))


def test_shapes_that_depend_on_data_and_bodies() -> None:
    nodes = [node("NonZero", "x", "i"), node("Cast", "i", "f", to=TensorProto.FLOAT), node("Log", "f", "y")]
    m = pyinfer.load(tiny.model(nodes, [("x", np.float32, [3])], [("y", np.float32, ["r", "n"])]), check_numbers=True)
    with pytest.raises(pyinfer.NumberError, match="node_y.*an infinity"):
        m(np.float32([1, 0, 0]))
    info = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in ("r", "q")]
    bodies = [helper.make_graph([node("Sqrt", "x", n)], n, [], [v]) for n, v in zip("rq", info, strict=True)]
    inner = helper.make_node("If", ["yes"], ["y"], "if", then_branch=bodies[0], else_branch=bodies[1])
    both = tiny.model([inner], [("x", np.float32, [3]), ("yes", np.bool_, [])], [("y", np.float32, [3])])
    with pytest.raises(pyinfer.NumberError, match=r"If 'if'.*Sqrt 'node_r'.*a NaN"):
        pyinfer.load(both, check_numbers=True)(np.float32([1, -1, 0]), np.bool_(True))
