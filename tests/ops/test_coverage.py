# SPDX-License-Identifier: Apache-2.0
"""Every version of every operator of ONNX has a row that serves it, with all element types of its first type variable."""

from __future__ import annotations

import onnx
import pytest
from onnx.defs import OpSchema

from pyinfer import _core

# Without a row, and why.
WITHOUT = {
    ("", "Constant"): "the reader makes it a constant",
    (
        "",
        "ImageDecoder",
    ): "needs decoders of JPEG, JPEG 2000, TIFF and others, which do not belong into an engine",
    (
        "ai.onnx.preview.training",
        "Gradient",
    ): "needs the derivative of every operator, for training only",
    ("ai.onnx.ml", "DictVectorizer"): "takes maps",
    ("ai.onnx.ml", "CastMap"): "takes maps",
}
# Types that a schema allows and that mean nothing.
NO_SENSE = {("Col2Im", "string"): "a sum of strings"}

NAMES = {
    "float": "f32",
    "double": "f64",
    "float16": "f16",
    "bfloat16": "bf16",
    "string": "str",
    "bool": "bool",
}
NAMES |= {"complex64": "c64", "complex128": "c128", "float4e2m1": "f4e2m1", "float8e8m0": "f8e8m0"}
NAMES |= {f"float8{k}": f"f8{k}" for k in ("e4m3fn", "e4m3fnuz", "e5m2", "e5m2fnuz")}
NAMES |= {f"float6{k}": f"f6{k}" for k in ("e2m3", "e3m2")}
NAMES |= {f"int{n}": f"i{n}" for n in (2, 4, 8, 16, 32, 64)} | {
    f"uint{n}": f"u{n}" for n in (2, 4, 8, 16, 32, 64)
}

ROWS: dict[tuple[str, str], list[tuple[int, str, str]]] = {}
for domain, name, since, signature, types in _core.ops():
    ROWS.setdefault((domain, name), []).append((since, signature, types))

SCHEMAS = [
    s
    for s in onnx.defs.get_all_schemas_with_history()
    if (s.domain, s.name) not in WITHOUT and (s.domain, s.name) in ROWS
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda s: f"{s.name}-{s.since_version}")
def test_version(schema: OpSchema) -> None:
    rows = [row for row in ROWS[schema.domain, schema.name] if row[0] <= schema.since_version]
    assert rows, "no row serves this version"
    _, signature, types = max(rows)
    if schema.deprecated:
        return
    have = set(types.split())
    allowed = {t.type_param_str: t.allowed_type_strs for t in schema.type_constraints}
    for port, text in zip(schema.inputs, signature.split("->")[0].split(), strict=False):
        if not text.endswith(":T"):
            continue
        tensors = [
            t[7:-1] for t in allowed.get(port.type_str, [port.type_str]) if t.startswith("tensor(")
        ]
        missing = {t for t in tensors if NAMES[t] not in have and (schema.name, t) not in NO_SENSE}
        assert not missing, port.name


def test_every_name() -> None:
    names = {(s.domain, s.name) for s in onnx.defs.get_all_schemas_with_history()}
    assert names - set(ROWS) == set(WITHOUT)
