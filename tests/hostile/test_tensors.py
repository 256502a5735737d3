# SPDX-License-Identifier: Apache-2.0
"""Every way to write a tensor into a file gives the same elements as the onnx package reads."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hostile.small import load, model, port, survive

SKIPPED = {"UNDEFINED", "FLOAT6E2M3", "FLOAT6E3M2"}  # the engine has no such types
DTYPES = {name: number for name, number in TensorProto.DataType.items() if name not in SKIPPED}
LENGTHS = [0, 1, 2, 3, 4, 5, 7, 8, 17, 70_001]  # odd ones for packed nibbles, the last is read late
FIELDS = ["float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data"]
EDGES = {
    TensorProto.INT8: [-128, 127],
    TensorProto.INT16: [-(2**15), 2**15 - 1],
    TensorProto.INT32: [-(2**31), 2**31 - 1],
    TensorProto.INT64: [-(2**63), 2**63 - 1],
    TensorProto.UINT8: [255],
    TensorProto.UINT16: [2**16 - 1],
    TensorProto.UINT32: [2**32 - 1],
    TensorProto.UINT64: [2**64 - 1],
    TensorProto.INT4: [-8, 7],
    TensorProto.UINT4: [15],
    TensorProto.INT2: [-2, 1],
    TensorProto.UINT2: [3],
    TensorProto.FLOAT: [float("nan"), float("inf"), -0.0, 1e-42],
    TensorProto.DOUBLE: [float("nan"), -float("inf"), 5e-324],
    TensorProto.FLOAT16: [float("nan"), 65504, 6e-8],
    TensorProto.BFLOAT16: [float("inf"), -3e38],
    TensorProto.COMPLEX64: [1 - 2j],
    TensorProto.COMPLEX128: [1e300 + 2j],
}


def values(dtype: int, n: int) -> np.ndarray:
    """n elements: the edges of the type, then small ones."""
    if dtype == TensorProto.STRING:
        return np.array([b"a" * (i % 5) for i in range(n)], object)
    kind = helper.tensor_dtype_to_np_dtype(dtype)
    small = (
        np.arange(n) % 2
        if dtype in (TensorProto.BOOL, TensorProto.INT2, TensorProto.UINT2)
        else np.arange(n) % 6
    )
    made = small.astype(kind)
    edges = (
        np.array(EDGES.get(dtype, []))[:n]
        if dtype not in (TensorProto.INT64, TensorProto.UINT64)
        else EDGES[dtype][:n]
    )
    for i, edge in enumerate(edges):
        made[i] = edge
    return made


def tensor(dtype: int, elements: np.ndarray, kind: str) -> onnx.TensorProto:
    if kind == "raw":
        return numpy_helper.from_array(elements, "w")
    if dtype == TensorProto.STRING:
        return helper.make_tensor("w", dtype, elements.shape, list(elements))
    raw = numpy_helper.from_array(elements, "w").raw_data
    made = helper.make_tensor("w", dtype, elements.shape, np.zeros(elements.size), raw=False)
    bits = {"float_data": np.float32, "double_data": np.float64, "int64_data": np.int64}
    field = helper.tensor_dtype_to_field(dtype)
    made.ClearField(field)
    if field in bits:
        numbers = np.frombuffer(raw, bits[field])
    elif field == "uint64_data":
        numbers = np.frombuffer(raw, np.uint32 if dtype == TensorProto.UINT32 else np.uint64)
    else:
        width = {
            TensorProto.INT32: np.int32,
            TensorProto.INT16: np.int16,
            TensorProto.INT8: np.int8,
        }
        wide = TensorProto.UINT16, TensorProto.FLOAT16, TensorProto.BFLOAT16
        numbers = np.frombuffer(raw, width.get(dtype, np.uint16 if dtype in wide else np.uint8))
    getattr(made, field).extend(numbers.tolist())
    return made


def unpacked(made: onnx.TensorProto) -> bytes:
    """The same message with each number in a field of its own, as old writers do it."""
    fields = {
        "float_data": (4, 5),
        "double_data": (10, 1),
        "int32_data": (5, 0),
        "int64_data": (7, 0),
        "uint64_data": (11, 0),
    }
    head = onnx.TensorProto()
    head.CopyFrom(made)
    out = b""
    for name, (number, kind) in fields.items():
        numbers = list(getattr(made, name))
        head.ClearField(name)
        for number_value in numbers:
            out += bytes([number << 3 | kind])
            if kind:
                out += np.array(number_value, np.float32 if kind == 5 else np.float64).tobytes()
                continue
            v = int(number_value) & (2**64 - 1)
            while v >= 0x80:
                out, v = out + bytes([v & 0x7F | 0x80]), v >> 7
            out += bytes([v])
    return head.SerializeToString() + out


def around(dtype: int, message: bytes) -> bytes:
    """A model that gives the constant back."""
    made = model(
        [helper.make_node("Identity", ["w"], ["y"])], [], [port("y", None, dtype)], opset=25, ir=13
    )
    graph, n, head = made.graph.SerializeToString(), len(message), b""
    made.ClearField("graph")
    for size, number in ((n, 5), (0, 7)):
        if number == 7:
            graph, size = graph + head + message, len(graph) + len(head) + n
        head = bytes([number << 3 | 2])
        while size >= 0x80:
            head, size = head + bytes([size & 0x7F | 0x80]), size >> 7
        head += bytes([size])
    return made.SerializeToString() + head + graph


def same(got: np.ndarray, want: np.ndarray) -> None:
    assert got.shape == want.shape
    if want.dtype.name in (
        "int4",
        "int2",
    ):  # a byte each, whose upper bits may be the sign or nothing
        got, want = got.astype(np.int8), want.astype(np.int8)
    if want.dtype == object:
        assert [
            s if isinstance(s, bytes) else s.encode() for s in got.ravel().tolist()
        ] == want.ravel().tolist()
    else:
        assert got.dtype.itemsize == want.dtype.itemsize and got.tobytes() == want.tobytes()


@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("kind", ["raw", "numbers", "unpacked"])
def test_constants(name: str, kind: str, tmp_path: Path) -> None:
    dtype = DTYPES[name]
    if dtype == TensorProto.STRING:
        kind = "numbers"  # the only way for strings
    for n in LENGTHS[: None if kind == "raw" else -1]:
        elements = values(dtype, n).reshape((1, n) if n % 2 else (n,))
        made = tensor(dtype, elements, kind)
        want = elements if dtype == TensorProto.STRING else numpy_helper.to_array(made)
        data = around(dtype, unpacked(made) if kind == "unpacked" else made.SerializeToString())
        (tmp_path / "m.onnx").write_bytes(data)
        same(load(data).run({})["y"], want)
        same(load(str(tmp_path / "m.onnx")).run({})["y"], want)


def test_booleans_are_0_or_1() -> None:
    for field in ({"raw_data": b"\0\1\2\xff"}, {"int32_data": [0, 1, 2, 256]}):
        made = onnx.TensorProto(name="w", data_type=TensorProto.BOOL, dims=[4], **field)
        assert (
            load(around(TensorProto.BOOL, made.SerializeToString())).run({})["y"].tobytes()
            == b"\0\1\1\1"
        )


def test_scalars() -> None:
    made = onnx.TensorProto(name="w", data_type=TensorProto.FLOAT, float_data=[3])
    assert load(around(TensorProto.FLOAT, made.SerializeToString())).run({})["y"].tolist() == 3


@pytest.mark.parametrize("indices", [[1, 4], [[0, 1], [1, 1]]], ids=["linear", "coordinates"])
def test_sparse(indices: list) -> None:
    sparse = helper.make_sparse_tensor(
        numpy_helper.from_array(np.float32([5, 6]), "w"),
        numpy_helper.from_array(np.array(indices), "i"),
        [2, 3],
    )
    made = model([helper.make_node("Identity", ["w"], ["y"])], [], [port("y")], sparse=[sparse])
    assert load(made.SerializeToString()).run({})["y"].tolist() == [[0, 5, 0], [0, 6, 0]]
    node = helper.make_node("Constant", [], ["y"], sparse_value=sparse)
    made = model([node, helper.make_node("Identity", ["y"], ["z"])], [], [port("z")])
    assert load(made.SerializeToString()).run({})["z"].tolist() == [[0, 5, 0], [0, 6, 0]]


def test_data_in_the_wrong_field() -> None:
    """Each type takes numbers from its own field only."""
    sources = []
    for dtype in DTYPES.values():
        for field in FIELDS:
            if field != helper.tensor_dtype_to_field(dtype):
                made = onnx.TensorProto(name="w", data_type=dtype, dims=[2])
                getattr(made, field).extend([b"", b""] if field == "string_data" else [1, 1])
                sources.append(around(dtype, made.SerializeToString()))
    for line in survive(sources):
        assert line.startswith("ModelError: tensor 'w': ") and "needs" in line, line


def test_segments_are_refused() -> None:
    made = onnx.TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1], float_data=[1])
    made.segment.begin, made.segment.end = 0, 1
    assert survive([around(TensorProto.FLOAT, made.SerializeToString())])[0].startswith(
        "UnsupportedError: tensor 'w'"
    )
