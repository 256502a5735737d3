# SPDX-License-Identifier: Apache-2.0
"""The little C lexing that the lint tests need."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CSRC = ROOT / "csrc"

_SPLIT = re.compile(
    r"""(?P<comment>/\*.*?\*/|//(?:\\\n|[^\n])*)|(?P<text>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')""",
    re.DOTALL,
)


def without_comments(text: str) -> str:
    """Comments become blanks; lines keep their numbers."""

    def blank(match: re.Match[str]) -> str:
        if match["comment"] is None:
            return match[0]
        return re.sub(r"[^\n]", " ", match[0])

    return _SPLIT.sub(blank, text)


def code_only(text: str) -> str:
    """Comments and the insides of literals become blanks; lines keep their numbers."""

    def blank(match: re.Match[str]) -> str:
        inside = re.sub(r"[^\n]", " ", match[0])
        return inside if match["comment"] is not None else f"{match[0][0]}{inside[2:]}{match[0][0]}"

    return _SPLIT.sub(blank, text)


def line_of(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


def c_files(*suffixes: str) -> Iterator[Path]:
    """The files of csrc with one of these suffixes (default: .c .h .inc), sorted."""
    wanted = suffixes or (".c", ".h", ".inc")
    found = [path for path in sorted(CSRC.rglob("*")) if path.suffix in wanted]
    assert found, f"no C files in {CSRC}"
    yield from found


def name(path: Path) -> str:
    return path.relative_to(CSRC).as_posix()
