# SPDX-License-Identifier: Apache-2.0
"""The little of an ONNX file that a picture of its graph needs, without the package onnx.

Fields of protobuf (onnx.proto): ModelProto.graph = 7; GraphProto node = 1; NodeProto
input = 1, output = 2, name = 3, op_type = 4, attribute = 5; AttributeProto.g = 6.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import NamedTuple


class Node(NamedTuple):
    """A node of the file; `inputs` holds what its subgraphs read, too."""

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
    raise ValueError("no protobuf")


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """(number, content) of each field; the content of numbers is empty."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind, content = key & 7, data[:0]
        if kind == 0:
            _, at = _varint(data, at)
        elif kind == 2:
            length, at = _varint(data, at)
            content, at = data[at : at + length], at + length
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise ValueError("no protobuf")
        if at > len(data):
            raise ValueError("no protobuf")
        yield key >> 3, content


def _node(data: memoryview, depth: int = 0) -> Node:
    name = op = ""
    inputs, outputs = [], []
    for number, content in _fields(data):
        if number == 1:
            inputs.append(str(content, "utf-8", "replace"))
        elif number == 2:
            outputs.append(str(content, "utf-8", "replace"))
        elif number == 3:
            name = str(content, "utf-8", "replace")
        elif number == 4:
            op = str(content, "utf-8", "replace")
        elif number == 5 and depth < 8:
            for inner, graph in _fields(content):
                if inner == 6:
                    for part, node in _fields(graph):
                        if part == 1:
                            inputs.extend(_node(node, depth + 1).inputs)
    return Node(name, op, tuple(inputs), tuple(outputs))


def view(source: str | bytes) -> memoryview:
    """The bytes of a model, mapped if it is a file."""
    if isinstance(source, bytes):
        return memoryview(source)
    with open(source, "rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def nodes(source: str | bytes) -> list[Node]:
    """The nodes of a model (a path or its bytes), in the order of the file; none if it is no ONNX
    file, as a saved plan is none."""
    try:
        return [
            _node(content)
            for number, graph in _fields(view(source))
            if number == 7
            for part, content in _fields(graph)
            if part == 1
        ]
    except (ValueError, IndexError, OSError):
        return []
