# SPDX-License-Identifier: Apache-2.0
"""Relative links of the pages, and of the files at the top, lead somewhere; each page is reached; files that are named exist."""

import re
from pathlib import Path

import pytest

from docs.pages import DOCS, PAGES, ROOT, anchors, blocks, name, without_code

TOP = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
ROOTS = "csrc|tests|benchmarks|pyinfer|notebooks|docs|[.]ci"


def broken(page: Path, text: str) -> list[str]:
    """Links of the page that lead nowhere."""
    found = []
    for target in re.findall(r"\]\(([^()\s]+)\)", without_code(text)):
        if re.match(r"https?://|mailto:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors(file.read_text(encoding="utf-8"))):
            found.append(target)
    return found


@pytest.mark.parametrize("page", [*PAGES, *TOP], ids=name)
def test_links(page: Path) -> None:
    assert not broken(page, page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", [*PAGES, *TOP], ids=name)
def test_files_that_are_named_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = {m[0].rstrip(".,:;") for m in re.finditer(rf"(?<![\w/.-])(?:{ROOTS})/[\w./*-]*\w", text)}
    made = {"csrc/ops/squared_relu.c"}  # by the reader, in inside/add_operator.md
    missing = [n for n in sorted(named - made) if not list(ROOT.glob(n)) and not list(ROOT.glob(f"{n}.*"))]
    assert not missing


def test_each_page_is_reached() -> None:
    reached = {DOCS / "index.md"}
    for page in PAGES:
        for block in blocks(page.read_text(encoding="utf-8")):
            if block.language == "{toctree}":
                lines = [line for line in block.text.splitlines() if line and line[0] != ":"]
                reached |= {(page.parent / f"{line}.md").resolve() for line in lines}
    assert set(PAGES) == reached


def test_pictures_are_used() -> None:
    used = {Path(p).name for page in [*PAGES, *TOP] for p in re.findall(r"\(([\w./-]*images/[\w.-]+)\)", page.read_text())}
    assert used == {path.name for path in (DOCS / "images").iterdir()}


def test_the_checker_finds() -> None:
    page = DOCS / "index.md"
    assert broken(page, "[a](none.md) [b](index.md#nothing) [c](index.md#ten-lines-to-the-first-answer)") == [
        "none.md", "index.md#nothing",
    ]  # fmt: skip
    assert not broken(page, "`[a](none.md)` [b](https://example.org/x) [c](howto/index.md)\n```text\n[d](none.md)\n```\n")
