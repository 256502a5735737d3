# SPDX-License-Identifier: Apache-2.0
"""Transposed convolutions on channels-last data by our own kernel, against PyTorch in float64."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper

import pyinfer
from ops.node import forced

# batch, channels, channels of Y, group, input, kernel, stride, pad, output padding, dilation: windows that tile the
# output, that overlap, that leave places out (stride above kernel; dilation and stride with a common factor), lines,
# volumes, rows of several tiles, several blocks of rows
SIZES = [
    (1, 24, 24, 1, (80, 80), (2, 2), (2, 2), (0, 0), (0, 0), (1, 1)),
    (2, 17, 33, 1, (13, 31), (3, 3), (2, 2), (1, 1), (1, 1), (1, 1)),
    (1, 8, 40, 1, (7, 64), (4, 4), (2, 2), (1, 1), (0, 0), (1, 1)),
    (1, 12, 18, 3, (9, 10), (5, 3), (3, 1), (2, 0), (1, 0), (1, 2)),
    (1, 5, 6, 1, (6, 7), (2, 1), (3, 4), (0, 0), (2, 1), (1, 1)),
    (1, 6, 70, 1, (5, 5), (3, 3), (2, 2), (2, 3), (0, 1), (2, 2)),
    (3, 9, 16, 1, (50,), (16,), (8,), (4,), (0,), (1,)),
    (1, 8, 8, 8, (65,), (3,), (1,), (1,), (0,), (1,)),
    (2, 4, 9, 1, (3, 5, 6), (2, 3, 2), (2, 1, 2), (0, 1, 0), (0, 0, 1), (1, 1, 1)),
    (1, 3, 5, 1, (1, 1), (1, 1), (1, 1), (0, 0), (0, 0), (1, 1)),
    (2, 12, 80, 2, (19, 11), (2, 2), (2, 2), (0, 0), (0, 0), (1, 1)),
    (1, 300, 40, 1, (5, 9), (4, 4), (2, 2), (1, 1), (0, 0), (1, 1)),
    (1, 8, 20, 1, (3, 4, 5), (2, 2, 2), (2, 2, 2), (0, 0, 0), (0, 0, 0), (1, 1, 1)),
]
ACTS = {"none": (None, lambda v: v), "relu": ("Relu", torch.relu), "silu": ("Swish", torch.nn.functional.silu)}


def model(size: tuple, act: str, bias: bool, residual: bool) -> tuple[bytes, dict[str, np.ndarray], np.ndarray]:
    n, c, m, group, places, kernel, stride, pad, more, dilation = size
    rng = np.random.default_rng(c * m)
    draw = lambda *shape: rng.standard_normal(shape).astype(np.float32)  # noqa: E731
    x, w, b = draw(n, c, *places), draw(c, m // group, *kernel), draw(m)
    op = [torch.nn.functional.conv_transpose1d, torch.nn.functional.conv_transpose2d, torch.nn.functional.conv_transpose3d]
    want = op[len(places) - 1](
        torch.from_numpy(x).double(), torch.from_numpy(w).double(), torch.from_numpy(b).double() if bias else None,
        stride, pad, more, group, dilation)  # fmt: skip
    feeds, weights = {"x": x}, {"w": w, "b": b} if bias else {"w": w}
    nodes = [helper.make_node("ConvTranspose", ["x", *weights], ["c"], group=group, strides=stride, pads=[*pad, *pad],
                              output_padding=more, dilations=dilation)]  # fmt: skip
    value = "c"
    if residual:
        feeds["z"] = draw(*want.shape)
        want = want + torch.from_numpy(feeds["z"])
        nodes.append(helper.make_node("Add", [value, "z"], ["s"]))
        value = "s"
    if ACTS[act][0]:
        nodes.append(helper.make_node(ACTS[act][0], [value], ["a"]))
        value = "a"
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info(k, onnx.TensorProto.FLOAT, v.shape) for k, v in feeds.items()],
        [helper.make_empty_tensor_value_info(value)], [numpy_helper.from_array(v, k) for k, v in weights.items()])  # fmt: skip
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 24)], ir_version=10)
    return proto.SerializeToString(), feeds, ACTS[act][1](want).numpy()


# The fast inner product refuses no more columns than one register has.
@pytest.mark.parametrize(
    ("impl", "size"), [(i, s) for i in ("own", "fip") for s in SIZES if i == "own" or s[2] // s[3] > 16], ids=str
)
@pytest.mark.parametrize("act", ACTS)
def test_own(impl: str, size: tuple, act: str) -> None:
    for i, threads in enumerate((1, 2, 3)):
        data, feeds, want = model(size, act, i % 2 == 0, i > 0)
        with forced(impl):
            m = pyinfer.load(data, threads=threads)
            for _ in range(2):
                (got,) = m.run(feeds).values()
                assert got.shape == want.shape
                assert np.abs(got - want).max() <= 3e-6 * np.abs(want).max()
            steps = m.steps(tuple(feeds.values()), 0)[0][0]
        assert impl in [step["impl"] for step in steps if step["op"] == "ConvTranspose"]


def test_exact() -> None:
    data, feeds, _ = model(SIZES[0], "none", True, False)
    steps = pyinfer.load(data, exact=True).steps(tuple(feeds.values()), 0)[0][0]
    assert "fip" not in [step["impl"] for step in steps]
