# SPDX-License-Identifier: Apache-2.0
"""What each pass makes of a small model: the steps that are left, and the same numbers as without passes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import pyinfer

RNG = np.random.default_rng(5)


def f32(*shape: int, scale: float = 0.3) -> np.ndarray:
    return (RNG.standard_normal(shape) * scale).astype(np.float32)


def node(op: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), outputs.split(), name=outputs, **attributes)


def steps(
    nodes: list[onnx.NodeProto],
    constants: dict[str, Any],
    x: np.ndarray,
    outputs: str = "y",
    opset: int = 20,
) -> list[str]:
    """Names of the operators that run at level 2, after comparing the results with level 0 and 1,
    with fixed and with symbolic shapes."""
    lists = []
    for dims in (list(x.shape), [f"d{i}" for i in range(x.ndim)]):
        graph = helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, dims)],
            [helper.make_empty_tensor_value_info(name) for name in outputs.split()],
            [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
        )
        data = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9
        ).SerializeToString()
        want = pyinfer.load(data, level=0, onednn=False).run({"x": x})
        for level in (1, 2):
            model = pyinfer.load(data, level=level)
            for _ in range(2):
                for name, array in model.run({"x": x}).items():
                    np.testing.assert_allclose(array, want[name], rtol=1e-4, atol=1e-5)
        lists.append([step["op"] for step in model.steps((x,), 0)[0][0]])
    assert lists[0] == lists[1]
    return lists[0]


IMAGE = f32(2, 8, 9, 7, scale=1)
CONV = {"w": f32(8, 8, 3, 3), "b": f32(8)}
NORM = {"s": f32(8), "o": f32(8), "m": f32(8), "v": RNG.uniform(0.5, 2, 8).astype(np.float32)}


def conv(inputs: str, outputs: str) -> onnx.NodeProto:
    return node("Conv", inputs, outputs, pads=[1, 1, 1, 1])


def images(ops: list[str]) -> list[str]:
    """Without the transposes at the borders, of which there are at most one an input or output."""
    assert ops.count("Transpose") <= 2, ops
    return [op for op in ops if op != "Transpose"]


def test_conv_norm_relu() -> None:
    nodes = [
        conv("x w b", "a"),
        node("BatchNormalization", "a s o m v", "n"),
        node("Relu", "n", "y"),
    ]
    assert len(images(steps(nodes, CONV | NORM, IMAGE))) == 1


def test_residual() -> None:
    nodes = [
        conv("x w b", "a"),
        node("Relu", "a", "r"),
        conv("r w b", "c"),
        node("Add", "c x", "d"),
    ]
    nodes.append(node("Relu", "d", "y"))
    assert len(images(steps(nodes, CONV, IMAGE))) == 2


def test_residual_that_is_read_twice() -> None:
    nodes = [
        conv("x w b", "a"),
        conv("a w b", "c"),
        node("Add", "c a", "y"),
        node("Mul", "a c", "z"),
    ]
    steps(nodes, CONV, IMAGE, "y z")


@pytest.mark.parametrize("activation", ["Relu", "Sigmoid", "HardSwish", "Tanh"])
def test_activations(activation: str) -> None:
    assert len(images(steps([conv("x w b", "a"), node(activation, "a", "y")], CONV, IMAGE))) <= 2


def test_transposes_vanish() -> None:
    """A chain of convolutions has transposes at its ends only; pooling and Concat do not break it."""
    nodes = [conv("x w b", "a"), node("MaxPool", "a", "p", kernel_shape=[3, 3], pads=[1] * 4)]
    nodes += [conv("p w b", "c"), node("Concat", "a c", "d", axis=1), node("Relu", "d", "e")]
    nodes += [conv("e w2 b", "y")]
    images(steps(nodes, CONV | {"w2": f32(8, 16, 3, 3)}, IMAGE))


ROWS = f32(3, 5, 16, scale=1)
GELU_ERF = [
    node("Div", "x r", "a"),
    node("Erf", "a", "b"),
    node("Add", "b one", "c"),
    node("Mul", "x c", "d"),
    node("Mul", "d half", "y"),
]
GELU_TANH = [
    node("Pow", "x three", "a"),
    node("Mul", "a k", "b"),
    node("Add", "x b", "c"),
    node("Mul", "c q", "d"),
    node("Tanh", "d", "e"),
    node("Add", "e one", "f"),
    node("Mul", "x half", "g"),
    node("Mul", "g f", "y"),
]
NUMBERS = {
    name: np.float32(v)
    for name, v in {
        "r": np.sqrt(2), "one": 1, "half": 0.5, "three": 3, "k": 0.044715, "q": np.sqrt(2 / np.pi),
        "eps": 1e-5, "two": 2,
    }.items()
}  # fmt: skip


def test_gelu() -> None:
    assert steps(GELU_ERF, NUMBERS, ROWS) == ["Gelu"]
    assert steps(GELU_TANH, NUMBERS, ROWS) == ["Gelu"]


def test_no_gelu_with_another_number() -> None:
    assert "Gelu" not in steps(GELU_ERF, NUMBERS | {"half": np.float32(0.4)}, ROWS)
    assert "Gelu" not in steps(GELU_TANH, NUMBERS | {"k": np.float32(0.05)}, ROWS)


def test_silu() -> None:
    assert len(steps([node("Sigmoid", "x", "a"), node("Mul", "x a", "y")], {}, ROWS)) == 1
    assert len(steps([node("Sigmoid", "x", "a"), node("Mul", "a x", "y")], {}, ROWS, "y a")) == 2


LAYER_NORM = [
    node("ReduceMean", "x last", "m", keepdims=1),
    node("Sub", "x m", "d"),
    node("Pow", "d two", "p"),
    node("ReduceMean", "p last", "v", keepdims=1),
    node("Add", "v eps", "e"),
    node("Sqrt", "e", "root"),
    node("Div", "d root", "n"),
    node("Mul", "n s", "t"),
    node("Add", "t o", "y"),
]


def test_layer_normalisation() -> None:
    constants = NUMBERS | {"last": np.array([-1]), "s": f32(16), "o": f32(16)}
    assert steps(LAYER_NORM, constants, ROWS) == ["LayerNormalization"]
    assert len(steps(LAYER_NORM, constants, ROWS, "y d")) > 1  # somebody reads the difference
    assert len(steps(LAYER_NORM, constants | {"last": np.array([1])}, ROWS)) > 1


def test_no_layer_normalisation() -> None:
    constants = NUMBERS | {"last": np.array([-1]), "s": f32(1), "o": f32(16)}
    assert len(steps(LAYER_NORM, constants, ROWS)) > 1
    steps(LAYER_NORM[:-1], constants | {"s": f32(4)}, f32(3, 5, 1), "t")


def test_product_of_nothing() -> None:
    nodes = [
        node("Reshape", "x flat", "a"),
        node("MatMul", "a w", "b"),
        node("Reshape", "b wide", "y"),
    ]
    constants = {"flat": np.array([6, 0]), "wide": np.array([2, 3, 4]), "w": f32(0, 4)}
    nodes[0].attribute.append(helper.make_attribute("allowzero", 1))
    steps(nodes, constants, f32(2, 3, 0))


def test_bias_of_wrong_length() -> None:
    """Seen before the convolution itself is checked: its input has no shape when the model is loaded."""
    nodes = [conv("x w b", "a"), node("BatchNormalization", "a s o m v", "y")]
    with pytest.raises(pyinfer.ModelError):
        steps(nodes, CONV | NORM | {"b": f32(3)}, IMAGE)


def test_dense() -> None:
    nodes = [node("MatMul", "x w", "a"), node("Add", "a b", "c"), node("Relu", "c", "y")]
    assert len(steps(nodes, {"w": f32(16, 8), "b": f32(8)}, ROWS)) == 1


def test_nothing_done() -> None:
    nodes = [
        node("Identity", "x", "a"),
        node("Transpose", "a", "b", perm=[0, 2, 1]),
        node("Transpose", "b", "c", perm=[0, 2, 1]),
        node("Mul", "c one", "d"),
        node("Reshape", "d flat", "e"),
        node("Reshape", "e shape", "f"),
        node("Exp", "f", "y"),
    ]
    constants = NUMBERS | {"flat": np.array([-1]), "shape": np.array([3, 5, 16])}
    assert steps(nodes, constants, ROWS) == ["Exp"]


def test_convnext_block() -> None:
    nodes = [
        node("Conv", "x dw b", "a", group=8, pads=[3] * 4),
        node("Transpose", "a", "l", perm=[0, 2, 3, 1]),
        node("LayerNormalization", "l s o", "n", axis=-1),
        node("MatMul", "n w1", "h0"),
        node("Add", "h0 b1", "h"),
        node("Gelu", "h", "g"),
        node("MatMul", "g w2", "p0"),
        node("Add", "p0 b2", "p"),
        node("Mul", "p gamma", "q"),
        node("Transpose", "q", "c", perm=[0, 3, 1, 2]),
        node("Add", "c x", "y"),
    ]
    constants = {
        "dw": f32(8, 1, 7, 7), "b": f32(8), "s": f32(8), "o": f32(8), "w1": f32(8, 32), "b1": f32(32),
        "w2": f32(32, 8), "b2": f32(8), "gamma": f32(8),
    }  # fmt: skip
    images(steps(nodes, constants, IMAGE))  # the borders only


def test_attention() -> None:
    """Heads are split and merged by strides, not by moving data."""
    nodes = []
    for name, perm in (("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])):
        nodes += [
            node("MatMul", f"x w{name}", f"{name}0"),
            node("Reshape", f"{name}0 split", f"{name}1"),
            node("Transpose", f"{name}1", name, perm=perm),
        ]
    nodes += [
        node("MatMul", "q k", "s0"),
        node("Mul", "s0 half", "s"),
        node("Softmax", "s", "p", axis=-1),
        node("MatMul", "p v", "o0"),
        node("Transpose", "o0", "o1", perm=[0, 2, 1, 3]),
        node("Reshape", "o1 merge", "o"),
        node("MatMul", "o wo", "y"),
    ]
    constants = {"half": np.float32(0.5)} | {f"w{n}": f32(16, 16) for n in "qkvo"}
    constants |= {"split": np.array([0, 0, 4, 4]), "merge": np.array([0, 0, 16])}
    ops = steps(nodes, constants, ROWS)
    assert ops.count("Transpose") <= 1, ops


def test_outputs_of_every_kind() -> None:
    """Inputs, constants, views, twice the same, and results that nobody else reads."""
    nodes = [
        node("Relu", "x", "a"),
        node("Reshape", "a flat", "view"),
        node("Identity", "x", "same"),
        node("Identity", "k", "constant"),
        node("TopK", "x two", "unread places"),
        node("Shape", "x", "shape"),
    ]
    constants = {"flat": np.array([-1]), "two": np.array([2]), "k": f32(3)}
    steps(nodes, constants, ROWS, "a view same constant places shape")


def test_sizes_from_data() -> None:
    """One model, one context, results of other sizes in each run."""
    nodes = [
        node("NonZero", "x", "z"),
        node("Transpose", "z", "t"),
        node("Reshape", "t flat", "f"),
        node("Cast", "f", "y", to=onnx.TensorProto.FLOAT),
        node("Relu", "x", "r"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["a", "b"])],
        [helper.make_empty_tensor_value_info(name) for name in ("y", "r", "z")],
        [numpy_helper.from_array(np.array([-1]), "flat")],
    )
    data = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    for level in (0, 1, 2):
        model = pyinfer.load(data.SerializeToString(), level=level)
        for keep in (0, 3, 12, 1, 0, 12):
            x = np.zeros((3, 4), np.float32)
            x.reshape(-1)[:keep] = -1
            got = model.run({"x": x})
            np.testing.assert_array_equal(got["y"], np.argwhere(x).reshape(-1))
            np.testing.assert_array_equal(got["z"], np.array(np.nonzero(x)))
            assert got["r"].shape == x.shape
        assert model.run({"x": np.zeros((0, 4), np.float32)})["y"].shape == (0,)


def test_limit_leaves_the_model_usable() -> None:
    nodes = [node("MatMul", "x w", "a"), node("Relu", "a", "r"), node("MatMul", "r w", "y")]
    weights = f32(64, 64)
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 64])],
        [helper.make_empty_tensor_value_info("y")],
        [numpy_helper.from_array(weights, "w")],
    )
    data = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    model = pyinfer.load(data.SerializeToString(), memory_limit=2 << 20)
    small = f32(2, 64)
    for _ in range(40):
        with pytest.raises(pyinfer.LimitError):
            model.run({"x": np.zeros((1 << 14, 64), np.float32)})
        np.testing.assert_allclose(
            model.run({"x": small})["y"],
            np.maximum(small @ weights, 0) @ weights,
            rtol=1e-4,
            atol=1e-5,
        )


def test_rows_that_are_not_dense() -> None:
    """Series as channels: neither rows nor columns of the product's left operand are dense, and it is not left to plain loops."""
    x = f32(2, 21, 16, 7, scale=1)
    w = f32(16, 40)
    nodes = [node("Transpose", "x", "t", perm=[0, 3, 1, 2]), node("MatMul", "t w", "y")]
    assert steps(nodes, {"w": w}, x) == ["MatMul"]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, x.shape)],
        [helper.make_empty_tensor_value_info("y")], [numpy_helper.from_array(w, "w")])  # fmt: skip
    data = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9).SerializeToString()
    for options in ({}, {"onednn": False}):
        m = pyinfer.load(data, **options)
        np.testing.assert_allclose(m(x), x.transpose(0, 3, 1, 2) @ w, rtol=1e-4, atol=1e-5)
        assert m.steps((x,), 0)[0][0][0]["impl"] != "ref"
