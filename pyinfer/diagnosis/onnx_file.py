# SPDX-License-Identifier: Apache-2.0
"""What is written in an ONNX file, read without the engine: it also tells of models that cannot be
loaded. Nothing is copied but names; weights stay where they are.

The file is protobuf: messages of fields, each a number, a type and a value (onnx.proto names them).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

# By the number in TensorProto.DataType: NumPy's name, bits an element.
TYPES = {
    **{1: ("float32", 32), 2: ("uint8", 8), 3: ("int8", 8), 4: ("uint16", 16), 5: ("int16", 16)},
    **{6: ("int32", 32), 7: ("int64", 64), 8: ("str", 0), 9: ("bool", 8), 10: ("float16", 16)},
    **{11: ("float64", 64), 12: ("uint32", 32), 13: ("uint64", 64), 14: ("complex64", 64)},
    **{15: ("complex128", 128), 16: ("bfloat16", 16), 17: ("float8_e4m3fn", 8)},
    **{18: ("float8_e4m3fnuz", 8), 19: ("float8_e5m2", 8), 20: ("float8_e5m2fnuz", 8)},
    **{21: ("uint4", 4), 22: ("int4", 4), 23: ("float4_e2m1fn", 4), 24: ("float8_e8m0fnu", 8)},
    **{25: ("uint2", 2), 26: ("int2", 2), 27: ("float6_e2m3fn", 6), 28: ("float6_e3m2fn", 6)},
}
TRACE = "pkg.torch.onnx.stack_trace"
LIBRARIES = ("site-packages/", "dist-packages/", "/torch/")  # in the paths of their frames
MOST_DEPTH = 64  # of graphs within graphs


class Damaged(ValueError):
    """The bytes are no ONNX model."""


class Span(NamedTuple):
    """Bytes of the file."""

    start: int
    end: int


class Tensor(NamedTuple):
    """A weight, or the constant of a node. data: where its elements are in this file; location: the
    file that has them instead, from `offset` on, `length` bytes if that is said."""

    name: str
    dtype: str
    dims: tuple[int, ...]
    data: Span | None
    location: str
    offset: int
    length: int | None

    @property
    def nbytes(self) -> int:
        bits = next((bits for name, bits in TYPES.values() if name == self.dtype), 0)
        return (math.prod(self.dims) * bits + 7) // 8


class Node(NamedTuple):
    """A node; version: of its domain's operators, None if the file does not say; source: the line
    of PyTorch, "" if the exporter wrote none."""

    domain: str
    op: str
    version: int | None
    name: str
    source: str

    @property
    def full_name(self) -> str:
        return f"{self.domain}.{self.op}" if self.domain else self.op


@dataclass
class OnnxFile:
    """What the file says. weights: initializers of all graphs; constants: tensors of nodes; used:
    names that a node or an output reads; functions: (domain, name) of those that it defines."""

    ir_version: int = 0
    producer: str = ""
    opsets: dict[str, int] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    weights: list[Tensor] = field(default_factory=list)
    constants: list[Tensor] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    functions: set[tuple[str, str]] = field(default_factory=set)


def _varint(data: Any, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (1 << 64) - 1, at
        shift += 7
    raise Damaged("a number is cut off")


def _fields(data: Any, span: Span) -> Iterator[tuple[int, Any]]:
    """Number and value of each field: an int, a Span, or None for what nothing here reads."""
    at, end = span
    while at < end:
        key, at = _varint(data, at, end)
        kind = key & 7
        value: Any = None
        if kind == 0:
            value, at = _varint(data, at, end)
        elif kind == 2:
            size, at = _varint(data, at, end)
            value = Span(at, at + size)
            at += size
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise Damaged("a field has a type that does not exist in ONNX files")
        if at > end:
            raise Damaged("a field is cut off")
        yield key >> 3, value


def _text(data: Any, span: Any) -> str:
    if not isinstance(span, Span):
        raise Damaged("a name is no text")
    text = bytes(data[span.start : span.end]).decode(errors="replace")
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)


def _int(value: Any) -> int:
    if not isinstance(value, int):
        raise Damaged("a number is none")
    return value - (1 << 64) if value >= 1 << 63 else value


def _message(value: Any) -> Span:
    if not isinstance(value, Span):
        raise Damaged("a message is none")
    return value


def _pair(data: Any, span: Any) -> tuple[str, str]:
    found = {number: _text(data, value) for number, value in _fields(data, _message(span))}
    return found.get(1, ""), found.get(2, "")


def _opset(data: Any, span: Any) -> tuple[str, int]:
    domain, version = "", 0
    for number, value in _fields(data, _message(span)):
        if number == 1:
            domain = _text(data, value)
        elif number == 2:
            version = _int(value)
    return "" if domain == "ai.onnx" else domain, version


def own_line(trace: str) -> str:
    """ "net.py:7, in forward: y = fc(x)" from the last frame of a stack trace that is not within a
    library, as the engine tells it."""
    lines = [line.strip() for line in trace.splitlines()]
    frames = []
    for i, line in enumerate(lines):
        parts = line.split('"')
        if line.startswith('File "') and len(parts) >= 3:
            code = lines[i + 1] if i + 1 < len(lines) else ""
            frames.append((parts[1], parts[2].removeprefix(", line "), code))
    own = [frame for frame in frames if not any(part in frame[0] for part in LIBRARIES)]
    if not frames:
        return ""
    path, where, code = (own or frames)[-1]
    said = "" if not code or code.startswith('File "') else f": {code}"
    return f"{path.rsplit('/', 1)[-1]}:{where}{said}"


class _Reader:
    def __init__(self, data: Any) -> None:
        self.data, self.file = data, OnnxFile()

    def model(self) -> OnnxFile:
        whole, graphs, functions = Span(0, len(self.data)), [], []
        for number, value in _fields(self.data, whole):
            if number == 1:
                self.file.ir_version = _int(value)
            elif number == 2:
                self.file.producer = _text(self.data, value)
            elif number == 7:
                graphs.append(_message(value))
            elif number == 8:
                domain, version = _opset(self.data, value)
                self.file.opsets[domain] = version
            elif number == 25:
                functions.append(_message(value))
        if not graphs:
            raise Damaged("there is no graph in it")
        for span in functions:
            self.function(span)
        self.graph(graphs[-1], self.file.opsets, 0)
        return self.file

    def function(self, span: Span) -> None:
        name = domain = ""
        nodes, opsets = [], dict[str, int]()
        for number, value in _fields(self.data, span):
            if number == 1:
                name = _text(self.data, value)
            elif number == 10:
                domain = _text(self.data, value)
            elif number == 7:
                nodes.append(_message(value))
            elif number == 9:
                imported, version = _opset(self.data, value)
                opsets[imported] = version
        self.file.functions.add((domain, name))
        for node in nodes:
            self.node(node, opsets or self.file.opsets, 0)

    def graph(self, span: Span, opsets: dict[str, int], depth: int) -> None:
        if depth > MOST_DEPTH:
            raise Damaged("graphs lie too deep within each other")
        for number, value in _fields(self.data, span):
            if number == 1:
                self.node(_message(value), opsets, depth)
            elif number == 5:
                self.file.weights.append(self.tensor(_message(value)))
            elif number == 12:
                for inner, text in _fields(self.data, _message(value)):
                    if inner == 1:
                        self.file.used.add(_text(self.data, text))

    def node(self, span: Span, opsets: dict[str, int], depth: int) -> None:
        texts = {3: "", 4: "", 7: ""}
        trace, made, attributes = "", "", []
        for number, value in _fields(self.data, span):
            if number == 1:
                self.file.used.add(_text(self.data, value))
            elif number in texts:
                texts[number] = _text(self.data, value)
            elif number == 2:
                made = made or _text(self.data, value)
            elif number == 5:
                attributes.append(_message(value))
            elif number == 9:
                key, text = _pair(self.data, value)
                trace = text if key == TRACE else trace
        domain = "" if texts[7] == "ai.onnx" else texts[7]
        version = opsets.get(domain)
        if domain == "com.microsoft" and texts[4] in ("QuantizeLinear", "DequantizeLinear"):
            domain, version = "", 21  # ONNX's own under another name: the engine reads them so
        self.file.nodes.append(Node(domain, texts[4], version, texts[3], own_line(trace)))
        for attribute in attributes:
            for number, value in _fields(self.data, attribute):
                if number in (5, 10):
                    tensor = self.tensor(_message(value))
                    self.file.constants.append(tensor._replace(name=tensor.name or made))
                elif number in (6, 11):
                    self.graph(_message(value), opsets, depth + 1)

    def tensor(self, span: Span) -> Tensor:
        name, kind, dims, data = "", 0, list[int](), None
        external: dict[str, str] = {}
        outside = False
        for number, value in _fields(self.data, span):
            if number == 1:
                packed = isinstance(value, Span)
                dims += self.numbers(value) if packed else [_int(value)]
            elif number == 2:
                kind = _int(value)
            elif number in (4, 9, 10) and isinstance(value, Span):
                data = value
            elif number == 8:
                name = _text(self.data, value)
            elif number == 13:
                key, text = _pair(self.data, value)
                external[key] = text
            elif number == 14:
                outside = value == 1
        dtype = TYPES.get(kind, ("unknown", 0))[0]
        if not outside:
            return Tensor(name, dtype, tuple(dims), data, "", 0, None)
        offset, length = external.get("offset", "0"), external.get("length", "")
        return Tensor(
            name,
            dtype,
            tuple(dims),
            None,
            external.get("location", ""),
            int(offset) if offset.isdecimal() else 0,
            int(length) if length.isdecimal() else None,
        )

    def numbers(self, span: Span) -> list[int]:
        found, at = [], span.start
        while at < span.end:
            value, at = _varint(self.data, at, span.end)
            found.append(_int(value))
        return found


def read(data: Any) -> OnnxFile:
    """data: bytes, or what gives bytes by slices and numbers by indices (mmap). Raises Damaged."""
    return _Reader(data).model()
