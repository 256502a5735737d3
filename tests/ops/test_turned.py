# SPDX-License-Identifier: Apache-2.0
"""Products of a transposed A by our own kernel, against NumPy in float64."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import pyinfer
from ops.node import forced


@pytest.mark.parametrize("batch", [(), (3,), (2, 3)], ids=str)
@pytest.mark.parametrize("sizes", [(1, 7, 9), (5, 1, 33), (13, 40, 17), (65, 129, 31), (130, 16, 64), (40, 120, 300)], ids=str)
def test_transposed_a(sizes: tuple[int, int, int], batch: tuple[int, ...]) -> None:
    m, k, n = sizes
    rng = np.random.default_rng(m * k)
    x = rng.standard_normal((*batch, k, m)).astype(np.float32)
    rank = x.ndim
    perm = [*range(rank - 2), rank - 1, rank - 2]
    for constant in (True, False):
        w = rng.standard_normal((k, n) if constant else (*batch, k, n)).astype(np.float32)
        feeds = {"x": x} if constant else {"x": x, "w": w}
        graph = helper.make_graph(
            [helper.make_node("Transpose", ["x"], ["t"], perm=perm), helper.make_node("MatMul", ["t", "w"], ["y"])], "g",
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, a.shape) for name, a in feeds.items()],
            [helper.make_empty_tensor_value_info("y")], [numpy_helper.from_array(w, "w")] if constant else [])  # fmt: skip
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
        want = x.astype(np.float64).swapaxes(-1, -2) @ w.astype(np.float64)
        for threads in (1, 3):
            with forced("own"):
                loaded = pyinfer.load(model.SerializeToString(), threads=threads)
                for _ in range(2):
                    got = loaded.run(feeds)["y"]
                steps = loaded.steps(tuple(feeds.values()), 0)[0][0]
            assert [(s["op"], s["impl"]) for s in steps if "Reshape" not in s["op"]] == [("MatMul", "own")]
            np.testing.assert_allclose(got, want, rtol=0, atol=2e-6 * np.abs(want).max() * np.sqrt(k))
