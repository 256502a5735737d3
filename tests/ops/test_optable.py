# SPDX-License-Identifier: Apache-2.0
"""Each row of the table against ONNX's own schema of that opset: versions, arity, names and kinds of attributes."""

from __future__ import annotations

import re
from typing import Any

import onnx
import pytest
from onnx import AttributeProto, TensorProto, helper
from onnx.defs import OpSchema

import pyinfer
from pyinfer import _core

WRONG_KIND = re.compile(
    r"attribute '\w+' is (an? |floats|ints|strings|tensors)[a-z ]*, expected (an? |floats|ints|strings|tensors)"
)

ROWS = [row for row in _core.ops() if row[0] == ""]
NAMES = sorted({row[1] for row in ROWS})
CONTAINERS = {"If", "Loop", "Scan"}  # their graphs are checked in test_control.py


def schemas(name: str) -> list[OpSchema]:
    found, version = [], onnx.defs.onnx_opset_version()
    while version > 0:
        try:
            found.append(onnx.defs.get_schema(name, max_inclusive_version=version))
        except onnx.defs.SchemaError:
            break
        version = found[-1].since_version - 1
    return found


def marks(parameters: list[Any]) -> list[str]:
    kinds = {"Single": "", "Optional": "?", "Variadic": "*"}
    return [kinds[str(p.option).split(".")[-1]] for p in parameters]


def our_marks(text: str) -> list[str]:
    names = [part.split(":")[0] for part in text.split()]
    return ["*" if "*" in n else "?" if "?" in n else "" for n in names]


@pytest.mark.parametrize("name", NAMES)
def test_versions_and_arity(name: str) -> None:
    rows = sorted((row for row in ROWS if row[1] == name), key=lambda row: row[2])
    since = [row[2] for row in rows]
    assert len(set(since)) == len(since)
    every = schemas(name)
    assert set(since) <= {s.since_version for s in every}
    for schema in every:
        row = [r for r in rows if r[2] <= schema.since_version][-1]
        inputs, outputs = row[3].split("->")
        if not (name == "Resize" and schema.since_version < 13):  # "" was how inputs were left out
            assert our_marks(inputs) == marks(schema.inputs)
        assert our_marks(outputs) == marks(schema.outputs)


def dummy(name: str, attr: Any) -> onnx.AttributeProto | None:
    values = {
        AttributeProto.FLOAT: 1.0,
        AttributeProto.INT: 1,
        AttributeProto.STRING: "NOTSET",
        AttributeProto.INTS: [1],
        AttributeProto.FLOATS: [1.0],
        AttributeProto.STRINGS: ["a"],
        AttributeProto.TENSOR: helper.make_tensor("t", TensorProto.FLOAT, [1], [1.0]),
    }
    kind = int(attr.type)
    return helper.make_attribute(name, values[kind], attr_type=kind) if kind in values else None


def refusal(schema: OpSchema, attributes: list[onnx.AttributeProto]) -> str:
    """What loading says about a node of this schema with these attributes and inputs of unknown shape; "" if nothing."""
    ports = [onnx.ValueInfoProto(name=f"x{i}") for i in range(max(1, len(schema.inputs)))]
    for port in ports:
        port.type.tensor_type.elem_type = TensorProto.FLOAT
    node = helper.make_node(schema.name, [p.name for p in ports][: len(schema.inputs)], ["y"])
    node.attribute.extend(attributes)
    graph = helper.make_graph([node], "one", ports, [onnx.ValueInfoProto(name="y")])
    opset = helper.make_opsetid("", schema.since_version)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=10)
    try:
        pyinfer.load(model.SerializeToString(), level=0)
    except pyinfer.PyinferError as e:
        return str(e)
    return ""


@pytest.mark.parametrize("name", [n for n in NAMES if n not in CONTAINERS])
def test_attributes(name: str) -> None:
    """No attribute of the schema is unknown here or has another kind; one that is not in the schema is refused."""
    for schema in schemas(name):
        given = [dummy(n, a) for n, a in schema.attributes.items()]
        text = refusal(schema, [a for a in given if a is not None])
        assert "no attribute" not in text, schema.since_version
        assert not WRONG_KIND.search(text), schema.since_version
        bogus = helper.make_attribute("no_such_attribute", 1)
        assert "no attribute 'no_such_attribute'" in refusal(schema, [bogus]), schema.since_version
