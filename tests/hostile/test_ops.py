# SPDX-License-Identifier: Apache-2.0
"""Every operator with inputs, attributes, ranks and numbers that it was not made for: an error of ours or a result."""

import itertools
from collections.abc import Iterator

import numpy as np
import onnx
import onnx.defs
import pytest
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from hostile.small import model, port, survive

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
OPSETS = (7, 11, 13, 18, 24)
NUMBERS = [0, -1, 1, 2, 5, -(2**31), 2**31, 2**62, -(2**63), 2**63 - 1]
SHAPES = [
    [],
    [0],
    [1],
    [3],
    [0, 2],
    [2, 3],
    [1, 2, 3],
    [2, 0, 3],
    [1, 2, 4, 4],
    [1, 2, 3, 3, 3],
    [1] * 6,
    [2] * 9,
]
KINDS = {
    AttributeProto.INT: [*NUMBERS],
    AttributeProto.INTS: [
        [],
        [0],
        [-1],
        [1, 1],
        [2, 2, 2],
        [0] * 4,
        [2**62] * 2,
        [-(2**63)] * 3,
        [2**31] * 4,
        [1] * 9,
    ],
    AttributeProto.FLOAT: [0.0, -1.0, float("nan"), float("inf"), 1e38],
    AttributeProto.FLOATS: [[], [0.0], [float("nan")] * 2, [1e30] * 4],
    AttributeProto.STRING: ["", "bogus", "x" * 1000, "linear", "SAME_UPPER", "VALID"],
    AttributeProto.STRINGS: [[], ["bogus"], ["Relu", "Tanh"] * 3],
}


def schemas() -> dict[str, list[onnx.defs.OpSchema]]:
    """By name, the versions that the opsets of interest see."""
    found: dict[str, list[onnx.defs.OpSchema]] = {}
    for name in sorted({s.name for s in onnx.defs.get_all_schemas() if s.domain == ""}):
        for opset in OPSETS:
            try:
                schema = onnx.defs.get_schema(name, opset, "")
            except onnx.defs.SchemaError:
                continue
            if not schema.deprecated and schema.since_version not in [
                s.since_version for s in found.get(name, [])
            ]:
                found.setdefault(name, []).append(schema)
    return found


ALL = schemas()
GROUPS = 16
FILLS = (0, -1, 3, 2**62)


def usual_type(schema: onnx.defs.OpSchema, i: int) -> int:
    """float where input i may be one, else int64, else the first type that is legal."""
    inputs = schema.inputs
    types = inputs[min(i, len(inputs) - 1)].types if inputs else {"tensor(float)"}
    for text, dtype in (
        ("tensor(float)", FLOAT),
        ("tensor(int64)", INT64),
        ("tensor(bool)", TensorProto.BOOL),
    ):
        if text in types:
            return dtype
    text = sorted(types)[0]
    return getattr(TensorProto, text[7:-1].upper(), FLOAT) if text.startswith("tensor(") else FLOAT


def most(schema: onnx.defs.OpSchema) -> int:
    return min(schema.max_input, schema.min_input + 3, 8)


def one(
    schema: onnx.defs.OpSchema,
    shapes: list[list[int]],
    fill: int | None = None,
    types: dict[str, int] | None = None,
    **attributes: object,
) -> bytes:
    """One node; its inputs are the model's, or with `fill` its integers are constants of that number."""
    inputs, constants, names = [], [], []
    for i, shape in enumerate(shapes):
        letter = schema.inputs[min(i, len(schema.inputs) - 1)].type_str if schema.inputs else ""
        dtype = (types or {}).get(letter, usual_type(schema, i))
        names.append(f"i{i}")
        if fill is not None and dtype == INT64:
            constants.append(numpy_helper.from_array(np.full(shape, fill, np.int64), names[-1]))
        else:
            inputs.append(port(names[-1], shape, dtype))
    outputs = [f"o{i}" for i in range(max(1, min(schema.max_output, 3)))]
    node = helper.make_node(schema.name, names, outputs[:1] if schema.name != "TopK" else outputs)
    for name, value in attributes.items():
        if isinstance(value, AttributeProto):
            node.attribute.append(value)
        else:
            node.attribute.append(
                helper.make_attribute(
                    name, value, attr_type=None if value != [] else AttributeProto.INTS
                )
            )
    made = model(
        [node],
        inputs,
        [port(node.output[0], None, FLOAT)],
        constants,
        opset=max(schema.since_version, 7),
    )
    return made.SerializeToString()


def required(schema: onnx.defs.OpSchema) -> dict[str, object]:
    """Plain values for attributes that must be there."""
    values = {
        AttributeProto.INT: 1,
        AttributeProto.INTS: [1],
        AttributeProto.FLOAT: 1.0,
        AttributeProto.STRING: "constant",
        AttributeProto.TENSOR: numpy_helper.from_array(np.float32([1])),
    }
    kinds = {
        name: int(a.type.value if hasattr(a.type, "value") else a.type)
        for name, a in schema.attributes.items()
        if a.required
    }
    return {name: values[kind] for name, kind in kinds.items() if kind in values}


def cases(schema: onnx.defs.OpSchema) -> Iterator[bytes]:
    plain = required(schema)
    n, top = max(schema.min_input, 1), most(schema)
    for count in range(top + 2):  # arity, and all ranks alike
        for shape in SHAPES:
            yield one(schema, [shape] * count, **plain)
    for first, second in itertools.product(SHAPES, SHAPES):  # two ranks
        yield one(schema, [first, *[second] * (max(n, min(top, 2)) - 1)], **plain)
    for letter in {p.type_str for p in schema.inputs}:  # each type that is legal
        for text in next(p for p in schema.inputs if p.type_str == letter).types:
            dtype = (
                getattr(TensorProto, text[7:-1].upper(), None)
                if text.startswith("tensor(")
                else None
            )
            if dtype is not None:
                for shape in ([], [2, 3], [1, 2, 4, 4], [0, 2], [70]):
                    yield one(schema, [shape] * n, types={letter: dtype}, **plain)
    for number in NUMBERS:  # integers that are sizes, axes, indices
        for shape in ([2, 3], [1, 2, 4, 4]):
            for length in ([], [1], [2], [4]):
                for count in {n, top}:
                    yield one(schema, [shape, *[length] * (count - 1)], number, **plain)
    for name, attribute in schema.attributes.items():
        right = int(attribute.type.value if hasattr(attribute.type, "value") else attribute.type)
        for kind, values in KINDS.items():
            for value in values if kind == right else values[1:2]:
                given = helper.make_attribute(name, value, attr_type=kind)
                for shape in ([3], [2, 3], [1, 2, 4, 4]):
                    yield one(schema, [shape] * n, 1, **{**plain, name: given})


@pytest.mark.full
@pytest.mark.parametrize("group", range(GROUPS))
def test_every_operator(group: int) -> None:
    for name in list(ALL)[group::GROUPS]:
        for schema in ALL[name]:
            survive(list(cases(schema)), fills=FILLS, memory=8 << 30)


@pytest.mark.parametrize("name", ["Conv", "Gather", "Reshape", "Slice", "TopK", "Pad"])
def test_some_operators(name: str) -> None:
    survive(list(cases(ALL[name][-1]))[::3], fills=FILLS, memory=8 << 30)
