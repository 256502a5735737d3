# SPDX-License-Identifier: Apache-2.0
"""The pages of docs/: their blocks of code, their links."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if "_ext" not in path.parts)


class Block(NamedTuple):
    """A fenced block: its language, its text, the line of the page that it begins behind."""

    language: str
    text: str
    line: int


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(text: str) -> Iterator[Block]:
    fence = re.compile(r"^(`{3,})([^\n`]*)\n(.*?)^\1$", re.MULTILINE | re.DOTALL)
    for match in fence.finditer(text):
        yield Block(match[2].strip(), match[3], text.count("\n", 0, match.start()) + 1)


def without_code(text: str) -> str:
    """The page without blocks and literals, but with the text of directives."""
    text = re.sub(r"^(`{3,})(?!\{toctree\}|\{include\})[^\n`]*\n.*?^\1$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]+`", "", text)


def anchors(text: str) -> set[str]:
    """What `#...` of a link may be: headings as GitHub and MyST write them, and labels."""
    titles = re.findall(r"^#{1,3} (.*)$", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles)
    return {*plain, *re.findall(r"^\((\S+)\)=$", text, re.MULTILINE)}


def said(code: str) -> list[str]:
    """What a block says that it prints: `print(...)  # text`, in order; `...` in it stands for anything."""
    return re.findall(r"^\s*print\(.*\) +# (.*)$", code, re.MULTILINE)


def like(said: str, line: str) -> bool:
    """Is the line what was said, with other numbers and implementations (`[own]`)? `...` stands for anything."""
    pattern = re.escape(said).replace(re.escape("..."), ".*")
    pattern = re.sub(r"\\\[[a-z]\w*\\\]", r"\\[\\w+\\]", pattern)
    return re.fullmatch(re.sub(r"\d+(?:\\\.\d+)?", r"[\\d.e+-]+", pattern), line) is not None


def unprinted(code: str, printed: str) -> list[str]:
    """What the block says that it prints, but did not, in this order."""
    missing, at = [], 0
    for text in said(code):
        pattern = re.compile(r"^" + ".*".join(map(re.escape, text.split("..."))) + r"$", re.MULTILINE)
        found = pattern.search(printed, at)
        if found:
            at = found.end()
        else:
            missing.append(text)
    return missing
