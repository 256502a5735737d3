# SPDX-License-Identifier: Apache-2.0
"""Steps whose shapes depend on data: what was prepared for one run is right for the next."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper

import pyinfer


def model_of(nodes: list, inputs: dict[str, tuple[int, list]], constants: list) -> bytes:
    ports = [helper.make_tensor_value_info(n, t, shape) for n, (t, shape) in inputs.items()]
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "dynamic", ports, [result], constants)
    opset = helper.make_opsetid("", 17)
    return helper.make_model(graph, opset_imports=[opset], ir_version=9).SerializeToString()


def test_a_factor_of_dynamic_shape_is_not_packed() -> None:
    nodes = [
        helper.make_node("NonZero", ["mask"], ["places"]),
        helper.make_node("Squeeze", ["places", "zero"], ["index"]),
        helper.make_node("Gather", ["b", "index"], ["chosen"], axis=1),
        helper.make_node("MatMul", ["a", "chosen"], ["y"]),
    ]
    inputs = {
        "mask": (TensorProto.BOOL, ["n"]),
        "b": (TensorProto.FLOAT, [4, "n"]),
        "a": (TensorProto.FLOAT, [3, 4]),
    }
    model = pyinfer.load(
        model_of(nodes, inputs, [helper.make_tensor("zero", TensorProto.INT64, [1], [0])])
    )
    for seed in range(4):  # the same shapes each time, other numbers
        rng = np.random.default_rng(seed)
        mask = np.array([True, False, True, True, False])
        a = rng.standard_normal((3, 4)).astype(np.float32)
        b = rng.standard_normal((4, 5)).astype(np.float32)
        y = model.run({"mask": mask, "a": a, "b": b})["y"]
        np.testing.assert_allclose(y, a @ b[:, mask], rtol=1e-4, atol=1e-5)


def test_other_scales_with_the_same_result_shape() -> None:
    nodes = [helper.make_node("Resize", ["x", "", "scales"], ["y"], mode="linear")]
    inputs = {"x": (TensorProto.FLOAT, [1, 1, 1, 4]), "scales": (TensorProto.FLOAT, [4])}
    model = pyinfer.load(model_of(nodes, inputs, []))
    x = np.arange(4, dtype=np.float32).reshape(1, 1, 1, 4)
    results = []
    for scale in (2.0, 2.2, 2.0):
        scales = np.array([1, 1, 1, scale], np.float32)
        results.append(model.run({"x": x, "scales": scales})["y"])
    assert results[0].shape == results[1].shape
    assert not np.array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_an_input_that_is_read_twice_is_not_overwritten() -> None:
    nodes = [
        helper.make_node("Sin", ["x"], ["r"]),
        helper.make_node("Sum", ["r", "b", "r"], ["s"]),
        helper.make_node("Cos", ["s"], ["y"]),
    ]
    inputs = {"x": (TensorProto.FLOAT, [64]), "b": (TensorProto.FLOAT, [64])}
    model = pyinfer.load(model_of(nodes, inputs, []))
    x, b = np.random.default_rng(0).standard_normal((2, 64)).astype(np.float32)
    y = model.run({"x": x, "b": b})["y"]
    np.testing.assert_allclose(y, np.cos(2 * np.sin(x) + b), rtol=1e-4, atol=1e-5)


def test_a_convolution_of_its_own_residual() -> None:
    """relu(x) goes into the convolution and is added to its result: the sum may not be formed in its memory."""
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("Conv", ["r", "w"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["c", "r"], ["s"]),
        helper.make_node("Relu", ["s"], ["y"]),
    ]
    rng = np.random.default_rng(0)
    w = rng.standard_normal((8, 8, 3, 3)).astype(np.float32)
    inputs = {"x": (TensorProto.FLOAT, [1, 8, 9, 9])}
    weights = helper.make_tensor("w", TensorProto.FLOAT, w.shape, w.ravel())
    x = rng.standard_normal((1, 8, 9, 9)).astype(np.float32)
    fused = pyinfer.load(model_of(nodes, inputs, [weights])).run({"x": x})["y"]
    plain = pyinfer.load(model_of(nodes, inputs, [weights]), level=0).run({"x": x})["y"]
    np.testing.assert_allclose(fused, plain, rtol=1e-4, atol=1e-4)
