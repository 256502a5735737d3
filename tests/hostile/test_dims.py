# SPDX-License-Identifier: Apache-2.0
"""Dimensions that lie: an error before memory is taken, also where their product wraps around to what is there."""

import itertools

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from hostile.small import constant, model, port, survive

DIMS = [0, 1, -1, 3, 2**31 - 1, 2**31 + 1, 2**32, 2**62, 2**63 - 1, -(2**63)]
SHAPES = (
    [[d] for d in DIMS]
    + [list(p) for p in itertools.product(DIMS, repeat=2)]
    + [[2**16] * 4, [2**32, 2**32, 0], [1] * 13, [2**21] * 3]
)
MEMORY = 6 << 30  # address space of the child: a wild allocation fails


def legal(shape: list[int]) -> bool | None:
    """None: without elements, and of a size that may be refused."""
    size = np.prod([float(d) for d in shape if d])
    if min(shape, default=1) < 0 or len(shape) > 12:
        return False
    return None if 0 in shape and size >= 2**59 else bool(size < 2**63)


def with_constant(tensor: onnx.TensorProto) -> bytes:
    tensor.name = "w"
    return model(
        [helper.make_node("Identity", ["w"], ["y"])], [], [port("y")], [tensor]
    ).SerializeToString()


def check(sources: list[bytes], expected: list[bool | None]) -> None:
    for source, fine, line in zip(sources, expected, survive(sources, memory=MEMORY), strict=True):
        assert line == "ok" or line.startswith(("ModelError", "LimitError")), (line, source)
        if fine is not None:
            assert (line == "ok") == fine, (line, source)


@pytest.mark.parametrize(
    "dtype", [TensorProto.FLOAT, TensorProto.INT4, TensorProto.COMPLEX128, TensorProto.STRING]
)
@pytest.mark.parametrize("kind", ["nothing", "raw", "numbers"])
def test_constants(dtype: int, kind: str) -> None:
    sources, fine = [], []
    for shape in SHAPES:
        tensor = onnx.TensorProto(data_type=dtype, dims=shape)
        if kind == "raw":
            tensor.raw_data = bytes(12)
        if kind == "numbers":
            (
                tensor.float_data.extend([0] * 3),
                tensor.int32_data.extend([0] * 3),
                tensor.double_data.extend([0] * 3),
            )
            tensor.string_data.extend([b""] * 3)
        sources.append(with_constant(tensor))
        empty, three = 0 in shape and legal(shape), shape in ([3], [1, 3], [3, 1])
        counts = {
            "nothing": empty,
            "raw": three and dtype == TensorProto.FLOAT,
            "numbers": three and dtype in (TensorProto.FLOAT, TensorProto.STRING),
        }
        fine.append(counts[kind])
    check(sources, fine)


def test_sparse_constants() -> None:
    sources, fine = [], []
    for shape in SHAPES:
        sparse = helper.make_sparse_tensor(
            constant("w", [1.0]), constant("i", [0], np.int64), shape
        )
        sources.append(
            model(
                [helper.make_node("Identity", ["w"], ["y"])], [], [port("y")], sparse=[sparse]
            ).SerializeToString()
        )
        fine.append(
            bool(legal(shape))
            and 0 not in shape
            and np.prod([float(d) for d in shape]) * 4 <= 2**28
        )
    check(sources, fine)


@pytest.mark.parametrize("index", [-1, 4, 2**62, -(2**63)])
def test_sparse_indices(index: int) -> None:
    flat = helper.make_sparse_tensor(constant("w", [1.0]), constant("i", [index], np.int64), [2, 2])
    pair = helper.make_sparse_tensor(
        constant("w", [1.0]), constant("i", [[0, index]], np.int64), [2, 2]
    )
    sources = [
        model(
            [helper.make_node("Identity", ["w"], ["y"])], [], [port("y")], sparse=[s]
        ).SerializeToString()
        for s in (flat, pair)
    ]
    for line in survive(sources):
        assert line.startswith("ModelError") and "out of range" in line


def test_inputs() -> None:
    sources = []
    for shape in SHAPES:
        sources.append(
            model(
                [helper.make_node("Relu", ["x"], ["y"])], [port("x", shape)], [port("y")]
            ).SerializeToString()
        )
    for shape, line in zip(SHAPES, survive(sources, memory=MEMORY), strict=True):
        if line != "ok":
            assert line.startswith(("ModelError", "LimitError")), line
        if min(shape) < -1 or len(shape) > 12:
            assert line != "ok"


@pytest.mark.parametrize("dtype", [-1, 0, 29, 63, 64, 255, 2**31 - 1, -(2**31)])
def test_element_types(dtype: int) -> None:
    tensor = onnx.TensorProto(data_type=dtype, dims=[1], raw_data=bytes(4))
    line = survive([with_constant(tensor)])[0]
    assert line.startswith(("ModelError", "UnsupportedError")) and "element type" in line
