# SPDX-License-Identifier: Apache-2.0
"""Models that say quantised operators in floats: what runs on bytes, and that it is the same but for a step of rounding."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import pyinfer


class Net:
    """A graph in the making: quantised values, constants, and operators between them."""

    def __init__(self, seed: int, kind: str = "uint8") -> None:
        self.rng = np.random.default_rng(seed)
        self.kind = kind
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.count = 0

    def constant(self, value: Any) -> str:
        self.count += 1
        self.constants.append(numpy_helper.from_array(np.asarray(value), f"c{self.count}"))
        return f"c{self.count}"

    def add(self, op: str, *inputs: str, **attributes: Any) -> str:
        self.count += 1
        self.nodes.append(helper.make_node(op, inputs, [f"v{self.count}"], **attributes))
        return f"v{self.count}"

    def qdq(self, x: str, scale: float, zero: int, kind: str = "") -> str:
        s, z = (
            self.constant(np.float32(scale)),
            self.constant(np.dtype(kind or self.kind).type(zero)),
        )
        return self.add("DequantizeLinear", self.add("QuantizeLinear", x, s, z), s, z)

    def weights(
        self, *shape: int, axis: int | None = 0, kind: str = "int8", zero: int = 0
    ) -> tuple[str, np.ndarray]:
        """Dequantised weights, and their scales."""
        info = np.iinfo(kind)
        w = self.rng.integers(max(info.min, -127), info.max + 1, shape).astype(kind)
        each = () if axis is None else (shape[axis],)
        scale = np.asarray(self.rng.uniform(0.001, 0.003, each), np.float32)
        zeros = np.full(each, zero, kind)
        more = {} if axis is None else {"axis": axis}
        names = [self.constant(v) for v in (w, scale, zeros)]
        return self.add("DequantizeLinear", *names, **more), scale

    def bias(self, n: int, scale: np.ndarray) -> str:
        b = self.rng.integers(-3000, 3000, n).astype(np.int32)
        scale = np.asarray(np.broadcast_to(scale, n), np.float32)
        return self.add("DequantizeLinear", self.constant(b), self.constant(scale), axis=0)

    def model(self, x: np.ndarray, dims: list[Any], y: str) -> bytes:
        graph = helper.make_graph(
            self.nodes, "g", [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, dims)],
            [helper.make_empty_tensor_value_info(y)], self.constants,
        )  # fmt: skip
        imports = [helper.make_opsetid("", 17)]
        return helper.make_model(graph, opset_imports=imports, ir_version=9).SerializeToString()

    def check(self, x: np.ndarray, y: str, step: float, wrong: float = 0.01) -> list[str]:
        """Names of the steps at level 2; results as at level 0, but for one step in a few elements."""
        lists = []
        for dims in (list(x.shape), [f"d{i}" for i in range(x.ndim)]):
            data = self.model(x, dims, y)
            want = pyinfer.load(data, level=0, onednn=False).run({"x": x})[y]
            for onednn in (True, False):
                model = pyinfer.load(data, onednn=onednn)
                for _ in range(2):
                    got = model.run({"x": x})[y]
                    assert got.shape == want.shape and got.dtype == want.dtype
                    off = np.abs(got - want)
                    assert off.max() <= step * 1.01 and (off > 1e-5).mean() <= wrong
                assert np.unique(got).size > 10
            lists.append([s["op"] for s in model.steps((x,), 0)[0][0]])
        assert lists[0] == lists[1]
        return lists[0]


IMAGE = np.random.default_rng(1).standard_normal((2, 8, 9, 11)).astype(np.float32)


@pytest.mark.parametrize("kind", ["uint8", "int8"])
@pytest.mark.parametrize("weights", ["int8", "uint8"])
@pytest.mark.parametrize("each", [True, False])
@pytest.mark.parametrize("bias", ["", "grid", "float"])
@pytest.mark.parametrize("relu", [False, True])
def test_conv(kind: str, weights: str, each: bool, bias: str, relu: bool) -> None:
    net = Net(3, kind)
    low = np.iinfo(kind).min
    x = net.qdq("x", 0.03, low + 120)
    w, scale = net.weights(
        6, 8, 3, 3, axis=0 if each else None, kind=weights, zero=100 if weights == "uint8" else 0
    )
    inputs = [x, w]
    if bias == "grid":
        inputs.append(net.bias(6, np.float32(0.03) * scale))
    if bias == "float":
        inputs.append(net.constant(net.rng.standard_normal(6).astype(np.float32)))
    y = net.add("Conv", *inputs, pads=[1, 1, 0, 1], strides=[1, 2])
    if relu:
        y = net.add("Relu", y)
    y = net.qdq(y, 0.05, low if relu else low + 128)
    assert net.check(IMAGE, y, 0.05) == ["QuantizeLinear", "QLinearConv", "DequantizeLinear"]


def test_relu_that_the_bytes_do_not_bound() -> None:
    net = Net(4, "int8")
    w, _ = net.weights(6, 8, 3, 3)
    y = net.qdq(net.add("Relu", net.add("Conv", net.qdq("x", 0.03, 5), w)), 0.05, -40)
    assert net.check(IMAGE, y, 0.05) == ["QuantizeLinear", "QLinearConv", "Max", "DequantizeLinear"]


@pytest.mark.parametrize(
    ("low", "high", "steps"),
    [
        (0.0, 6.0, ["QLinearConv"]),
        (-3.0, None, ["QLinearConv"]),
        (None, 3.0, None),
        (0.5, 6.0, None),
    ],
)
def test_clip(low: float | None, high: float | None, steps: list[str] | None) -> None:
    """One that the bytes imply goes: they reach from 0 to 6."""
    net = Net(4)
    w, _ = net.weights(6, 8, 3, 3)
    bounds = ["" if v is None else net.constant(np.float32(v)) for v in (low, high)]
    y = net.add("Clip", net.add("Conv", net.qdq("x", 0.03, 120), w), *bounds)
    got = net.check(IMAGE, net.qdq(y, 6 / 255, 0), 6 / 255)
    assert got[1:-1] == steps if steps else "QLinearConv" not in got


def test_block_of_a_network() -> None:
    """Convolutions, a residual, a pool, a flatten, a classifier."""
    net = Net(5)
    x = net.qdq("x", 0.03, 120)
    w, scale = net.weights(8, 8, 3, 3)
    a = net.add("Conv", x, w, net.bias(8, np.float32(0.03) * scale), pads=[1] * 4)
    a = net.qdq(net.add("Relu", a), 0.02, 0)
    w, scale = net.weights(8, 1, 3, 3)
    a = net.qdq(
        net.add("Conv", a, w, net.bias(8, np.float32(0.02) * scale), pads=[1] * 4, group=8),
        0.01,
        131,
    )
    a = net.qdq(net.add("Relu", net.add("Add", a, x)), 0.025, 0)
    a = net.qdq(net.add("MaxPool", a, kernel_shape=[2, 2], strides=[2, 2]), 0.025, 0)
    a = net.qdq(net.add("Flatten", a), 0.025, 0)
    w, scale = net.weights(20, 160)
    y = net.qdq(net.add("Gemm", a, w, net.bias(20, np.float32(0.025) * scale), transB=1), 0.05, 128)
    steps = net.check(IMAGE, y, 0.1, 0.6)
    assert steps == [
        "QuantizeLinear",
        "Transpose",
        "QLinearConv",
        "QLinearConv",
        "QuantAdd",
        "DequantizeLinear",
        "MaxPool",
        "QuantizeLinear",
        "Transpose",
        "QLinearConv",
        "DequantizeLinear",
    ]


@pytest.mark.parametrize("each", [True, False])
def test_matmul(each: bool) -> None:
    net = Net(6)
    w, _ = net.weights(11, 30, axis=1 if each else None)
    y = net.qdq(net.add("MatMul", net.qdq("x", 0.03, 120), w), 0.01, 128)
    assert net.check(IMAGE, y, 0.01) == ["QuantizeLinear", "QLinearMatMul", "DequantizeLinear"]


def test_gemm_not_transposed() -> None:
    net = Net(7)
    w, scale = net.weights(11, 30, axis=1)
    y = net.add("Gemm", net.qdq("x", 0.03, 120), w, net.bias(30, np.float32(0.03) * scale))
    y = net.qdq(y, 0.01, 128)
    assert net.check(IMAGE[0, 0], y, 0.01) == ["QuantizeLinear", "QLinearConv", "DequantizeLinear"]


@pytest.mark.parametrize("op", ["Add", "Mul"])
@pytest.mark.parametrize("other", ["", "row", "one"])
def test_binary_same_bits(op: str, other: str) -> None:
    net = Net(8)
    a, b = net.qdq("x", 0.03, 120), net.qdq("x", 0.02, 3, "int8")
    if other:
        shape = (9, 1) if other == "row" else ()
        b = net.constant(net.rng.integers(0, 255, shape).astype(np.uint8))
        b = net.add(
            "DequantizeLinear", b, net.constant(np.float32(0.01)), net.constant(np.uint8(7))
        )
    y = net.qdq(net.add(op, a, b), 0.04, 100)
    steps = net.check(IMAGE, y, 0.0, 0.0)
    assert f"Quant{op}" in steps and op not in steps


def test_floats_that_somebody_reads_stay() -> None:
    """The product is an output itself, or the bias lies in another grid."""
    net = Net(9)
    w, scale = net.weights(6, 8, 3, 3)
    conv = net.add("Conv", net.qdq("x", 0.03, 120), w)
    y = net.add("Add", net.qdq(conv, 0.05, 128), conv)
    assert "QLinearConv" not in net.check(IMAGE, y, 0.05)
    net = Net(10)
    w, scale = net.weights(6, 8, 3, 3)
    y = net.add("Conv", net.qdq("x", 0.03, 120), w, net.bias(6, np.float32(0.05) * scale))
    assert "QLinearConv" not in net.check(IMAGE, net.qdq(y, 0.05, 128), 0.05)


@pytest.mark.parametrize("from_shape", [False, True])
def test_in_a_branch_that_is_taken(from_shape: bool) -> None:
    net = Net(11)
    x = net.qdq("x", 0.03, 120)
    outside = net.nodes[:]
    w, _ = net.weights(6, 8, 3, 3)
    result = [helper.make_empty_tensor_value_info(net.qdq(net.add("Conv", x, w), 0.05, 128))]
    taken = helper.make_graph(net.nodes[len(outside) :], "taken", [], result)
    other = [helper.make_node("MatMul", [x, x], ["wrong"])]
    left = helper.make_graph(other, "left", [], [helper.make_empty_tensor_value_info("wrong")])
    net.nodes = outside
    condition = net.constant(np.bool_(True))
    if from_shape:
        condition = net.add("Equal", net.add("Size", "x"), net.constant(np.int64(IMAGE.size)))
    y = net.add("If", condition, then_branch=taken, else_branch=left)
    assert net.check(IMAGE, y, 0.05) == ["QuantizeLinear", "QLinearConv", "DequantizeLinear"]
