# SPDX-License-Identifier: Apache-2.0
"""A 1x1 convolution and the depthwise one behind it, as one step, against PyTorch in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper

import pyinfer
from ops.node import forced

# batch, channels, between, height, width, kernel, stride, pad, dilation: long and short rows, one to three panels of
# channels, more than one band, windows that leave rows or columns out
SIZES = [
    (1, 16, 96, 40, 60, 3, 1, 1, 1),
    (1, 24, 144, 33, 29, 3, 2, 1, 1),
    (2, 17, 33, 70, 14, 5, 1, 2, 1),
    (1, 9, 31, 99, 7, 5, 2, 2, 1),
    (3, 8, 65, 29, 23, 7, 1, 3, 1),
    (1, 32, 48, 30, 26, 3, 1, 2, 2),
    (1, 8, 32, 61, 13, 2, 3, 0, 1),
    (1, 8, 40, 303, 2, 5, 1, 2, 1),
    (1, 8, 20, 1500, 1, 3, 1, 1, 1),
    (1, 4, 7, 12, 64, 4, 1, 6, 1),
    (1, 100, 1300, 26, 25, 5, 2, 2, 1),  # rows of X copied in two blocks; more rings than the cache holds
]
ACTS = {
    "none": (None, lambda v: v),
    "relu": ("Relu", torch.relu),
    "silu": ("Swish", torch.nn.functional.silu),
    "hardswish": ("HardSwish", torch.nn.functional.hardswish),
}


def model(size: tuple[int, ...], first: str, last: str, bias: bool) -> tuple[bytes, Any, Any]:
    n, c, m, high, wide, k, stride, pad, dilation = size
    rng = np.random.default_rng(high * wide + c)
    draw = lambda *shape: rng.standard_normal(shape).astype(np.float32)  # noqa: E731
    x, w1, w2 = draw(n, c, high, wide), draw(m, c, 1, 1) / 3, draw(m, 1, k, k) / 3
    biases = (draw(m), draw(m)) if bias else (None, None)
    weights = {"w1": w1, "w2": w2, "b1": biases[0], "b2": biases[1]}
    nodes, value = [], "x"
    for i, act in ((1, first), (2, last)):
        more = (
            {}
            if i == 1
            else {
                "group": m,
                "strides": [stride] * 2,
                "pads": [pad] * 4,
                "dilations": [dilation] * 2,
            }
        )
        inputs = [value, f"w{i}", *([f"b{i}"] if bias else [])]
        nodes.append(helper.make_node("Conv", inputs, [f"c{i}"], name=f"conv{i}", **more))
        value = f"c{i}"
        if ACTS[act][0]:
            nodes.append(helper.make_node(ACTS[act][0], [value], [f"a{i}"]))
            value = f"a{i}"
    made = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, x.shape)],
        [helper.make_empty_tensor_value_info(value)],
        [numpy_helper.from_array(v, name) for name, v in weights.items() if v is not None],
    )  # fmt: skip
    t = [
        None if v is None else torch.from_numpy(v).double()
        for v in (x, w1, biases[0], w2, biases[1])
    ]
    conv = torch.nn.functional.conv2d
    want = ACTS[first][1](conv(t[0], t[1], t[2]))
    want = ACTS[last][1](conv(want, t[3], t[4], stride, pad, dilation, groups=m)).numpy()
    opsets = [helper.make_opsetid("", 24)]
    return helper.make_model(made, opset_imports=opsets, ir_version=10).SerializeToString(), x, want


def check(data: bytes, x: np.ndarray, want: np.ndarray, **options: Any) -> list[dict[str, Any]]:
    m = pyinfer.load(data, **options)
    for _ in range(2):
        (got,) = m.run({"x": x}).values()
        assert got.shape == want.shape
        assert np.abs(got - want).max() <= 3e-6 * np.abs(want).max()
    return [step for step in m.steps((x,), 0)[0][0] if step["op"] == "ConvDepthwise"]


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_sizes(size: tuple[int, ...]) -> None:
    for i, (first, last) in enumerate(
        [("relu", "none"), ("silu", "silu"), ("none", "relu"), ("hardswish", "none")]
    ):
        data, x, want = model(size, first, last, i % 2 == 0)
        for threads in (1, 2, 3):
            (step,) = check(data, x, want, threads=threads, exact=True)
            assert step["impl"] == "own"
            with forced("fip"):  # which needs six channels for a pair of its terms, and more columns than one register has
                (step,) = check(data, x, want, threads=threads)
                assert step["impl"] == ("fip" if size[1] >= 6 and size[2] > 16 else "ref")
        with forced("ref"):
            (step,) = check(data, x, want)
            assert step["impl"] == "ref"


def test_not_where_another_reads() -> None:
    """The result of the 1x1 convolution is an output of the model: it must be in memory."""
    data, x, _ = model(SIZES[0], "relu", "none", True)
    proto = onnx.load_from_string(data)
    proto.graph.output.append(helper.make_empty_tensor_value_info("a1"))
    m = pyinfer.load(proto.SerializeToString())
    outputs = m.run({"x": x})
    assert list(outputs) == ["c2", "a1"]
    assert "ConvDepthwise" not in [step["op"] for step in m.steps((x,), 0)[0][0]]
