# SPDX-License-Identifier: Apache-2.0
"""What a session says of its model: inputs, outputs, metadata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ...model import Port

#: ONNX's numbers of element types, by pyinfer's names of them; ONNX Runtime's name of each.
ELEMENTS = {
    "float32": (1, "float"),
    "uint8": (2, "uint8"),
    "int8": (3, "int8"),
    "uint16": (4, "uint16"),
    "int16": (5, "int16"),
    "int32": (6, "int32"),
    "int64": (7, "int64"),
    "str": (8, "string"),
    "bool": (9, "bool"),
    "float16": (10, "float16"),
    "float64": (11, "double"),
    "uint32": (12, "uint32"),
    "uint64": (13, "uint64"),
    "complex64": (14, "complex64"),
    "complex128": (15, "complex128"),
    "bfloat16": (16, "bfloat16"),
    "float8_e4m3fn": (17, "float8e4m3fn"),
    "float8_e4m3fnuz": (18, "float8e4m3fnuz"),
    "float8_e5m2": (19, "float8e5m2"),
    "float8_e5m2fnuz": (20, "float8e5m2fnuz"),
    "uint4": (21, "uint4"),
    "int4": (22, "int4"),
    "float4_e2m1fn": (23, "float4e2m1"),
    "float8_e8m0fnu": (24, "float8e8m0"),
    "uint2": (25, "uint2"),
    "int2": (26, "int2"),
}


def type_text(dtype: str) -> str:
    """ONNX Runtime's text for pyinfer's type of a value.

    >>> type_text("optional(sequence(float32))")
    'optional(seq(tensor(float)))'
    >>> type_text("sequence(map(str, float32))")
    'seq(map(string,tensor(float)))'
    """
    for kind, name in (("optional(", "optional("), ("sequence(", "seq(")):
        if dtype.startswith(kind):
            return f"{name}{type_text(dtype[len(kind) : -1])})"
    if dtype.startswith("map("):
        key, value = dtype[4:-1].split(", ")
        return f"map({ELEMENTS[key][1]},{type_text(value)})"
    return f"tensor({ELEMENTS[dtype][1] if dtype in ELEMENTS else dtype})"


def element_name(dtype: str) -> str:
    """The element type's name, without what is around it.

    >>> element_name("optional(sequence(float32))")
    'float32'
    """
    return dtype.rpartition("(")[2].rpartition(" ")[2].rstrip(")")


class NodeArg:
    """An input or output: name, type ("tensor(float)"), and shape: ints, names of symbolic
    dimensions, None for one without a name; [] if nothing is known of it."""

    __slots__ = ("_shape", "name", "type")

    def __init__(self, port: Port, fixed: Mapping[str, int]) -> None:
        self.name = port.name
        self.type = type_text(port.dtype)
        shape = () if "map(" in port.dtype else port.shape or ()
        self._shape = [fixed.get(d, d) if isinstance(d, str) else d for d in shape]

    @property
    def shape(self) -> list[int | str | None]:
        """A list of its own."""
        return list(self._shape)

    def __str__(self) -> str:
        return f"NodeArg(name={self.name!r}, type={self.type!r}, shape={self._shape})"

    __repr__ = __str__


class ModelMetadata(NamedTuple):
    """What the model's file says of itself."""

    producer_name: str
    graph_name: str
    graph_description: str
    domain: str
    description: str
    version: int
    custom_metadata_map: dict[str, str]


def _varint(data: Any, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def _strings(data: Any, at: int, end: int, wanted: tuple[int, ...]) -> dict[int, tuple[int, int]]:
    """Where fields with these numbers lie in a protobuf message; all others are skipped."""
    found = {}
    while at < end:
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 2:
            size, at = _varint(data, at)
            if key >> 3 in wanted:
                found[key >> 3] = (at, at + size)
            at += size
        elif kind == 0:
            _, at = _varint(data, at)
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            break
    return found


def graph_texts(data: Any) -> tuple[str, str]:
    """The name of the graph (field 7 of the model, 2 of the graph) and its description (10)."""
    try:
        place = _strings(data, 0, len(data), (7,)).get(7, (0, 0))
        texts = _strings(data, *place, (2, 10))
    except IndexError:  # a saved plan is no ONNX file
        return "", ""
    name, text = (
        bytes(data[slice(*texts.get(n, (0, 0)))]).decode("utf-8", "replace") for n in (2, 10)
    )
    return name, text
