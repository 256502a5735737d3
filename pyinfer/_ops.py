# SPDX-License-Identifier: Apache-2.0
"""The table of supported operators, as text and as the page docs/operators.md."""

from __future__ import annotations

import fnmatch
from typing import NamedTuple

from . import _core

GROUPS = (
    ("float", "f16 bf16 f32 f64"),
    ("int", "i8 i16 i32 i64 u8 u16 u32 u64"),
    ("complex", "c64 c128"),
    ("small", "f8e4m3fn f8e4m3fnuz f8e5m2 f8e5m2fnuz f8e8m0 f6e2m3 f6e3m2 f4e2m1 i4 u4 i2 u2"),
)

HEAD = """# Operators

`pyinfer ops` prints this table, `pyinfer ops PATTERN` a part of it, `pyinfer ops --json` each
version with its signature. An operator is known in every opset from the first one named on; the
others named are those where it changed. Types are those of the inputs in the newest version; `;`
parts inputs of different types. Operators that a model defines itself, as functions, run as well.

{groups}
- all: each of these, and str (strings), bool

This page is written by `pyinfer ops --markdown > docs/operators.md`.
"""


class Operator(NamedTuple):
    """An operator with all its versions."""

    domain: str
    name: str
    versions: tuple[int, ...]
    types: str

    @property
    def full_name(self) -> str:
        return f"{self.domain}.{self.name}" if self.domain else self.name


Row = tuple[str, str, int, str, str]


def matching(pattern: str | None = None) -> list[Row]:
    """Rows of the operator table, sorted; pattern: part of a name, or a name with * and ?."""
    rows = sorted(row for row in _core.ops() if row[0] != "pyinfer")
    if not pattern:
        return rows
    wanted = pattern.lower() if set(pattern) & set("*?[") else f"*{pattern.lower()}*"
    found = []
    for row in rows:
        names = {row[1].lower(), f"{row[0]}.{row[1]}".lstrip(".").lower()}
        if any(fnmatch.fnmatchcase(name, wanted) for name in names):
            found.append(row)
    return found


def group_types(types: str) -> str:
    """Short names of element types, groups of them by their name."""
    left = types.split()
    words: list[str] = []
    if {t for _, members in GROUPS for t in members.split()} | {"str", "bool"} <= set(left):
        return "all"
    for name, members in GROUPS:
        if set(members.split()) <= set(left):
            words.append(name)
            left = [t for t in left if t not in members.split()]
    return " ".join(words + left)


def _types(signature: str, types: str) -> str:
    """Types of the inputs, T's first; the signature names those that are no variables."""
    words = [group_types(types)] if types else []
    inputs = signature.partition("->")[0].split()
    for kind in dict.fromkeys(part.partition(":")[2] for part in inputs):
        word = {"value": "tensors, sequences and optionals", "seq": "sequences"}.get(kind, kind)
        if kind not in ("T", "U", "V") and not any(word in w.split() for w in words):
            words.append(word)
    return "; ".join(words) or "any"


def operators(rows: list[Row]) -> list[Operator]:
    """The rows, by operator."""
    by_name: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        by_name.setdefault(row[:2], []).append(row)
    return [
        Operator(domain, name, tuple(row[2] for row in same), _types(*same[-1][3:]))
        for (domain, name), same in by_name.items()
    ]


def text(rows: list[Row]) -> str:
    """The table for a terminal."""
    found = operators(rows)
    lines = []
    for op in found:
        since = ", ".join(map(str, op.versions))
        lines.append(f"{op.full_name:28} since opset {since:18} {op.types}".rstrip())
    lines.append(f"{len(found)} operators, {len(rows)} versions")
    return "\n".join(lines)


def markdown(rows: list[Row]) -> str:
    """The page docs/operators.md."""
    groups = [f"- {name}: {', '.join(types.split())}" for name, types in GROUPS]
    lines = [HEAD.format(groups="\n".join(groups))]
    found = operators(rows)
    for domain in sorted({op.domain for op in found}):
        lines += [
            f"## {domain or 'ai.onnx'}",
            "",
            "| operator | since opset | types |",
            "|---|---|---|",
        ]
        for op in found:
            if op.domain == domain:
                since = ", ".join(map(str, op.versions))
                lines.append(f"| {op.name} | {since} | {op.types} |")
        lines.append("")
    lines.append(f"{len(found)} operators, {len(rows)} versions.")
    return "\n".join(lines)
