# SPDX-License-Identifier: Apache-2.0
"""Weights that a file keeps in narrow types and widens by Cast and Mul: nothing of that is left for a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import pyinfer
from tests.ops.node import dtype_of

R = np.random.default_rng(5)
K, N = 600, 700  # more than is folded
X = R.standard_normal((3, K)).astype(np.float32)
W = R.integers(-128, 128, (K, N)).astype(np.int8)
COLUMNS, ROWS = (R.uniform(0.001, 0.01, s).astype(np.float32) for s in ((1, N), (K, 1)))
CAST = helper.make_node("Cast", ["w"], ["f"], to=TensorProto.FLOAT)
MUL = helper.make_node("Mul", ["f", "s"], ["m"])


def model(
    nodes: Sequence[onnx.NodeProto],
    constants: dict[str, np.ndarray],
    x: np.ndarray,
) -> bytes:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", dtype_of(x), ["a", *x.shape[1:]])],
        [helper.make_empty_tensor_value_info("y")],
        [numpy_helper.from_array(v, k) for k, v in constants.items()],
    )
    m = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return m.SerializeToString()


def check(file: bytes | Path, x: np.ndarray, want: np.ndarray, rtol: float = 0) -> list[str]:
    """The operators that run; results as those of NumPy, the same without passes."""
    m = pyinfer.load(file)
    plain = pyinfer.load(file, level=0).run({"x": x})["y"]
    assert want.dtype == np.float32
    atol = rtol * float(np.abs(want).max())
    np.testing.assert_allclose(plain, want, rtol=rtol, atol=atol)
    np.testing.assert_allclose(m.run({"x": x})["y"], want, rtol=rtol, atol=atol)
    return [step["op"] for step in m.steps((x,), 0)[0][0]]


@pytest.mark.parametrize("factor", [COLUMNS, COLUMNS[0], ROWS, np.float32(0.25)], ids=str)
def test_product(factor: np.ndarray) -> None:
    nodes = [CAST, MUL, helper.make_node("MatMul", ["x", "m"], ["y"])]
    want = X @ (W.astype(np.float32) * factor)
    assert check(model(nodes, {"w": W, "s": np.array(factor)}, X), X, want, 1e-4) == ["MatMul"]


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.float16, ml_dtypes.bfloat16])
def test_types(dtype: type) -> None:
    w = (np.abs(W) if dtype is np.uint8 else W).astype(dtype)
    nodes = [CAST, helper.make_node("MatMul", ["x", "f"], ["y"])]
    assert check(model(nodes, {"w": w}, X), X, X @ w.astype(np.float32), 1e-3) == ["MatMul"]


def test_turned() -> None:
    """The transpose is made once, at load."""
    turn = helper.make_node("Transpose", ["m"], ["t"])
    nodes = [CAST, MUL, turn, helper.make_node("MatMul", ["x", "t"], ["y"])]
    x = X[:, :1] * R.standard_normal(N).astype(np.float32)
    want = x @ (W.astype(np.float32) * ROWS).T
    assert check(model(nodes, {"w": W, "s": ROWS}, x), x, want, 1e-4) == ["MatMul"]


@pytest.mark.parametrize("factor", [None, COLUMNS, COLUMNS[0], ROWS, np.float32(0.25)], ids=str)
@pytest.mark.parametrize("shape", [(5,), (2, 3)])
def test_picked_rows(shape: tuple[int, ...], factor: np.ndarray | None) -> None:
    """Rows are picked from the table as it is in the file: no step sees all of it in f32."""
    ids = R.integers(-K, K, shape)
    name, table = ("f", [CAST]) if factor is None else ("m", [CAST, MUL])
    nodes = [*table, helper.make_node("Gather", [name, "x"], ["y"])]
    constants = {"w": W} if factor is None else {"w": W, "s": np.array(factor)}
    wide = W.astype(np.float32) * (np.float32(1) if factor is None else factor)
    file = model(nodes, constants, ids)
    assert check(file, ids, wide[ids])[0] == "Gather"
    for step in pyinfer.load(file).steps((ids,), 0)[0][0]:
        assert f"f32[{K}, {N}]" not in step["shapes"]


def test_read_by_two() -> None:
    """An embedding whose table is the last product's weight too."""
    ids = R.integers(0, K, (4,))
    nodes = [
        CAST,
        MUL,
        helper.make_node("Gather", ["m", "x"], ["e"]),
        helper.make_node("Transpose", ["m"], ["t"]),
        helper.make_node("MatMul", ["e", "t"], ["y"]),
    ]
    wide = W.astype(np.float32) * ROWS
    ops = check(model(nodes, {"w": W, "s": ROWS}, ids), ids, wide[ids] @ wide.T, 1e-4)
    assert "Transpose" not in ops and ops[-1] == "MatMul"


def test_other_axis_and_factor() -> None:
    """Gather of columns, and a factor of the full shape, are computed as they stand."""
    ids = R.integers(0, N, (4,))
    wide = W.astype(np.float32) * COLUMNS
    nodes = [CAST, MUL, helper.make_node("Gather", ["m", "x"], ["y"], axis=1)]
    check(model(nodes, {"w": W, "s": COLUMNS}, ids), ids, wide[:, ids])
    full = R.uniform(0.5, 1, (K, N)).astype(np.float32)
    nodes = [CAST, MUL, helper.make_node("MatMul", ["x", "m"], ["y"])]
    check(model(nodes, {"w": W, "s": full}, X), X, X @ (W.astype(np.float32) * full), 1e-4)


def test_convolution() -> None:
    """Batch normalisation goes into weights that are scaled already, along the same axis or another one."""
    x = R.standard_normal((1, 160, 3, 3)).astype(np.float32)
    w = R.integers(-128, 128, (192, 160, 3, 3)).astype(np.int8)
    shift = R.uniform(0.5, 1, (192,)).astype(np.float32)
    for shape in ((192, 1, 1, 1), (160, 1, 1)):
        s = R.uniform(0.001, 0.01, shape).astype(np.float32)
        nodes = [
            CAST,
            MUL,
            helper.make_node("Conv", ["x", "m"], ["c"]),
            helper.make_node("BatchNormalization", ["c", "k", "k", "k", "k"], ["y"]),
        ]
        conv = np.einsum("nchw,ochw->no", x, w.astype(np.float32) * s)[..., None, None]
        k = shift[:, None, None]
        want = (k * (conv - k) / np.sqrt(k + np.float32(1e-5)) + k).astype(np.float32)
        ops = check(model(nodes, {"w": w, "s": s, "k": shift}, x), x, want, 1e-3)
        assert not {"Cast", "Mul", "BatchNormalization"} & set(ops)


def test_cache(tmp_path: Path) -> None:
    """Packed weights are found again, and those of another factor are not taken for them."""
    nodes = [CAST, MUL, helper.make_node("MatMul", ["x", "m"], ["y"])]
    for scale in (COLUMNS, COLUMNS * 2):
        path = tmp_path / "m.onnx"
        path.write_bytes(model(nodes, {"w": W, "s": scale}, X))
        want = X @ (W.astype(np.float32) * scale)
        for _ in range(2):
            m = pyinfer.load(path, cache=tmp_path / "cache")
            np.testing.assert_allclose(m.run({"x": X})["y"], want, rtol=1e-4, atol=1e-4)
