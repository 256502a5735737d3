# SPDX-License-Identifier: Apache-2.0
"""The same numbers at each level of optimisation, with each set of implementations, on one thread and on two."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import pyinfer
from pyinfer import _core


class Net:
    """A random network of images: values by channels, all of the same height and width."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.values = [("x", 4)]

    def constant(self, array: np.ndarray) -> str:
        self.constants.append(numpy_helper.from_array(array, f"c{len(self.constants)}"))
        return self.constants[-1].name

    def weights(self, *shape: int) -> str:
        return self.constant((self.rng.standard_normal(shape) * 0.3).astype(np.float32))

    def add(self, op: str, *inputs: str, **attributes: Any) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def pick(self, channels: int | None = None) -> tuple[str, int]:
        fitting = [v for v in self.values if channels is None or v[1] == channels]
        recent = fitting[-3:]
        return recent[self.rng.integers(len(recent))]

    def step(self) -> None:
        x, c = self.pick()
        kind = int(self.rng.integers(12))
        wide = c
        if kind < 3:
            wide, size = int(self.rng.choice([4, 6, 16])), int(self.rng.choice([1, 3]))
            y = self.add(
                "Conv",
                x,
                self.weights(wide, c, size, size),
                self.weights(wide),
                pads=[size // 2] * 4,
            )
        elif kind == 3:
            y = self.add("Conv", x, self.weights(c, 1, 3, 3), pads=[1] * 4, group=c)
        elif kind == 4:
            var = self.constant(self.rng.uniform(0.5, 2, c).astype(np.float32))
            y = self.add(
                "BatchNormalization", x, self.weights(c), self.weights(c), self.weights(c), var
            )
        elif kind == 5:
            y = self.add(
                str(self.rng.choice(["Relu", "Sigmoid", "Tanh", "LeakyRelu", "HardSwish"])), x
            )
        elif kind == 6:
            y = self.add("Mul", x, self.add("Sigmoid", x))
        elif kind == 7:
            y = self.add(str(self.rng.choice(["Add", "Sub", "Mul"])), x, self.pick(c)[0])
        elif kind == 8:
            other, more = self.pick()
            y, wide = self.add("Concat", x, other, axis=1), c + more
        elif kind == 9:
            last = self.add("Transpose", x, perm=[0, 2, 3, 1])
            normed = self.add("LayerNormalization", last, self.weights(c), self.weights(c), axis=-1)
            wide = int(self.rng.choice([4, 8]))
            dense = self.add("MatMul", normed, self.weights(c, wide))
            y = self.add("Transpose", self.add("Add", dense, self.weights(wide)), perm=[0, 3, 1, 2])
        elif kind == 10:
            op = str(self.rng.choice(["MaxPool", "AveragePool"]))
            y = self.add(op, x, kernel_shape=[3, 3], pads=[1] * 4)
        else:
            scale = self.add("Sigmoid", self.add("GlobalAveragePool", x))
            y = self.add("Mul", x, scale)
        self.values.append((y, wide))

    def model(self, steps: int) -> bytes:
        for _ in range(steps):
            self.step()
        names = {self.values[-1][0], self.pick()[0]}
        graph = helper.make_graph(
            self.nodes,
            "random",
            [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 4, "h", "w"])],
            [helper.make_empty_tensor_value_info(name) for name in sorted(names)],
            self.constants,
        )
        return helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
        ).SerializeToString()


def results(
    data: bytes, inputs: list[np.ndarray], impl: str | None = None, **options: Any
) -> list[dict[str, np.ndarray]]:
    _core._force_impl(impl)
    try:
        model = pyinfer.load(data, **options)
        return [dict(model.run({"x": x})) for x in inputs]
    finally:
        _core._force_impl(None)


@pytest.mark.parametrize("seed", range(24))
def test_random_networks(seed: int) -> None:
    data = Net(seed).model(4 + seed % 13)
    rng = np.random.default_rng(seed)
    shapes = [(1, 4, 7, 9), (2, 4, 5, 4), (1, 4, 7, 9)]
    inputs = [rng.standard_normal(s).astype(np.float32) for s in shapes]
    want = results(data, inputs, "ref", level=0, threads=1, onednn=False)
    for options in (
        {"level": 0},
        {"level": 1},
        {"level": 2, "threads": 1},
        {"level": 2, "threads": 2},
        {"level": 2, "onednn": False},
        {"level": 2, "impl": "ref"},
    ):
        got = results(data, inputs, **options)
        for a, b in zip(got, want, strict=True):
            assert a.keys() == b.keys()
            for name, array in b.items():
                scale = max(1.0, float(np.abs(array).max()))
                np.testing.assert_allclose(
                    a[name] / scale,
                    array / scale,
                    rtol=1e-4,
                    atol=1e-4,
                    err_msg=f"{options} {name}",
                )
