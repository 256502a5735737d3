# SPDX-License-Identifier: Apache-2.0
"""The reference is whole: each public name, function of C, command, variable stands in it."""

import re
import sys
import types
from pathlib import Path

import pytest

import pyinfer
from docs.pages import DOCS, PAGES, ROOT, blocks, name
from pyinfer import _core

sys.path.insert(0, str(DOCS / "_ext"))

import made_pages  # noqa: E402

REFERENCE = DOCS / "reference"
HEADER = (ROOT / "csrc" / "capi" / "pyinfer.h").read_text()


def documented() -> set[str]:
    """What the pages of the reference give to autodoc, by its last name."""
    found = set()
    for page in REFERENCE.glob("*.md"):
        for block in blocks(made_pages.fill(page.read_text())):
            if block.language == "{eval-rst}":
                found |= set(re.findall(r"^\.\. (?:auto\w+|data):: ([\w.]+)", block.text, re.MULTILINE))
                found |= {n for names in re.findall(r":members: (.*)", block.text) for n in names.split(", ")}
    return {entry.rsplit(".", 1)[-1] for entry in found}


def test_python() -> None:
    names = documented()
    assert set(pyinfer.__all__) <= names, set(pyinfer.__all__) - names
    own = {n for n in vars(pyinfer.Model) if n[0] != "_"}
    assert own | {"threads", "closed", "graph_text"} <= names, own - names
    assert {"Profile", "Step", "Memory", "Difference"} <= names


def test_what_no_page_names_is_added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyinfer, "__all__", [*pyinfer.__all__, "new", "NewError"])
    monkeypatch.setattr(pyinfer, "new", print, raising=False)
    monkeypatch.setattr(pyinfer, "NewError", KeyError, raising=False)
    assert ".. autofunction:: new\n" in made_pages.others() and ".. autoexception:: NewError" in made_pages.others()


def test_compat() -> None:
    from pyinfer.compat import onnxruntime

    text = (DOCS / "onnxruntime.md").read_text()
    names = [n for n in onnxruntime.__all__ if not isinstance(getattr(onnxruntime, n), types.ModuleType)]
    missing = [n for n in names if n not in documented() and f"`{n}" not in text]
    assert not missing


def test_c() -> None:
    page = made_pages.c_api()
    functions = set(re.findall(r"^PYINFER_API [\w ]+?\**(pyinfer_\w+)\(", HEADER, re.MULTILINE))
    assert len(functions) > 40
    for function in functions:
        assert len(re.findall(rf"^(?:\.\. c:function::| {{15}}) .*\b{function}\(", page, re.MULTILINE)) == 1, function
    for constant in set(re.findall(r"\b(PYINFER_[A-Z]\w+) = \d|^    (PYINFER_E_\w+)", HEADER, re.MULTILINE)):
        assert f".. c:enumerator:: {''.join(constant)}" in page, constant
    for kind in set(re.findall(r"^\} (pyinfer_\w+);|^typedef struct (pyinfer_\w+) ", HEADER, re.MULTILINE)):
        assert re.search(rf"^\.\. c:(?:struct|enum|type):: {''.join(kind)}$", page, re.MULTILINE), kind


def test_each_function_of_c_has_a_comment() -> None:
    _, items = made_pages.read_header(HEADER)
    assert [item.declarations for item in items if item.declarations and not item.comment] == []


def test_the_header_is_read_right() -> None:
    head, items = made_pages.read_header(
        "/* SPDX */\n/*\n * x: first\n * second\n */\n#include <a.h>\n\n/* ---- part ---- */\n\n"
        "/* Both. */\nPYINFER_API int pyinfer_a(void);\nPYINFER_API int pyinfer_b(int i);\n\n"
        'PYINFER_API int pyinfer_c(void); /* "c" */\n\n/* Alone. */\n\n'
        "typedef struct {\n    int x; /* is x */\n    const char *y, *z;\n} pyinfer_d;\n"
    )
    assert head == "x: first\nsecond"
    assert [(i.title, i.comment, len(i.declarations)) for i in items] == [
        ("part", "", 0), ("", "Both.", 2), ("", '"c"', 1), ("", "Alone.", 0), ("", "", 1),
    ]  # fmt: skip
    text = made_pages.declare(items[-1])
    assert text.startswith(".. c:struct:: pyinfer_d") and "   .. c:member:: int x\n\n      is x" in text
    assert "   .. c:member:: const char *y\n                 const char *z" in text
    assert made_pages.declare(items[1]).splitlines()[:2] == [
        ".. c:function:: int pyinfer_a()", "                int pyinfer_b(int i)",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="what is this"):
        made_pages.declare(made_pages.Item("", ["int x;"]))


def test_commands() -> None:
    page = made_pages.commands()
    assert len(made_pages.command_names()) >= 9
    for command in made_pages.command_names():
        assert f"## pyinfer {command}\n\n```text\nusage: pyinfer {command}" in page


def test_tables() -> None:
    assert all(f"| `{row[0]}` |" in made_pages.options() for row in _core.options())
    errors = {n for n in pyinfer.__all__ if n.endswith("Error") or n == "Cancelled"}
    assert all(f"| `{n}` |" in made_pages.errors() for n in errors)
    assert "| `LimitError` | `MemoryError` | `PYINFER_E_LIMIT` |" in made_pages.errors()
    assert made_pages.passes().count("\n") > 10 and "| `PI_MAX_RANK` | `12` |" in made_pages.limits()


def test_parts_are_used() -> None:
    used = {part for page in PAGES for part in re.findall(r"^<!-- made: ([\w-]+) -->$", page.read_text(), re.MULTILINE)}
    assert used == set(made_pages.PARTS)


def test_environment() -> None:
    """Each variable that the sources read stands on its page, and the other way round."""
    page = (REFERENCE / "environment.md").read_text()
    read = set()
    for path in [*(ROOT / "csrc").rglob("*.c"), *(ROOT / "pyinfer").rglob("*.py"), ROOT / "setup.py"]:
        text = path.read_text(encoding="utf-8")
        read |= set(re.findall(r'getenv\("(\w+)"', text))
        read |= set(re.findall(r'os\.environ(?:\.get\(|\.pop\(|\[)"(\w+)"', text))
    assert len(read) > 8
    said = set(re.findall(r"`((?:PYINFER|GOMP|OMP|ONEDNN|CMAKE)_\w+|DISPLAY|XDG_CACHE_HOME)`", page))
    options = {f"PYINFER_{row[0].upper()}" for row in _core.options()}
    outside = {"OMP_THREAD_LIMIT", "OMP_WAIT_POLICY"}  # read by libgomp, or named in a condition
    assert read - {"CI"} <= said, read - said
    assert said <= read | options | outside, said - read - options


def test_citation() -> None:
    text = (ROOT / "CITATION.cff").read_text()
    keys = dict(re.findall(r"^([\w-]+): *(.*)$", text, re.MULTILINE))
    assert keys["cff-version"] == "1.2.0" and keys["version"] == pyinfer.__version__ and keys["type"] == "software"
    assert {"message", "title", "authors", "license"} <= set(keys)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_options_that_pages_name_exist(page: Path) -> None:
    known = {row[0] for row in _core.options()} | {"cache"}
    for call in re.findall(r"pyinfer\.load\([^()\n]*(?:\(\))?[^()\n]*\)", page.read_text()):
        assert set(re.findall(r"\b(\w+)=", call)) <= known, call
