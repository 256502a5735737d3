# SPDX-License-Identifier: Apache-2.0
"""Files stay short, have their own names, say their licence, and know no one's machine."""

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from lint.clex import ROOT, c_files, name

LIMIT = 800  # lines
COLUMNS = 140
# The roots of people's own folders, and of this project's workshops; spelled so that this file does not match.
LOCAL = re.compile(r"(?<![\w.$}])/(?:home|root|work|Users|tmp/v)/")
LICENCE = "SPDX-License-Identifier: Apache-2.0"
TEXT = {".c", ".h", ".inc", ".py", ".pyi", ".md", ".toml", ".txt", ".cmake", ".json", ".in", ".map", ".sh", ".cfg", ""}


def ours(*suffixes: str) -> Iterator[Path]:
    """Text files of the project itself."""
    skip = {"build", "dist", "__pycache__", "node_modules"}
    for folder, below, files in os.walk(ROOT):
        parts = Path(folder).relative_to(ROOT).parts
        built = {"lib", "include"} if parts == ("pyinfer",) else set()
        below[:] = sorted(
            entry
            for entry in below
            if not (entry.startswith(".") and entry != ".ci") and entry not in skip | built and not entry.endswith(".egg-info")
        )
        for path in (Path(folder, entry) for entry in sorted(files) if not entry.startswith(".")):
            if path.suffix in TEXT and (not suffixes or path.suffix in suffixes):
                yield path


def too_long(path: str, text: str) -> list[str]:
    lines = text.splitlines()
    found = [f"{path}: {len(lines)} lines, {LIMIT} are allowed"] if len(lines) > LIMIT else []
    return found + [
        f"{path}:{i}: {len(line)} columns, {COLUMNS} are allowed"
        for i, line in enumerate(lines, 1)
        if len(line) > COLUMNS
    ]


def twice(names: list[str]) -> list[str]:
    count = Counter(n.rsplit("/", 1)[-1] for n in names)
    return [n for n in names if count[n.rsplit("/", 1)[-1]] > 1 and not n.endswith("kernels.inc")]


def local_paths(path: str, text: str) -> list[str]:
    return [
        f"{path}:{i}: {line.strip()[:100]}" for i, line in enumerate(text.splitlines(), 1) if LOCAL.search(line)
    ]


def test_files_are_short() -> None:
    code = [*c_files(), *ours(".py")]
    found = [row for f in code for row in too_long(str(f.relative_to(ROOT)), f.read_text())]
    assert not found, "\n".join(["", *found])


def test_basenames_are_unique_in_csrc() -> None:
    found = twice([name(f) for f in c_files()])
    assert not found, "\n".join(["", *found])


def test_the_licence_comes_first() -> None:
    code = [*c_files(), *ours(".py"), *ours(".c"), *ours(".h")]
    found = [str(f) for f in code if f.stat().st_size and LICENCE not in "".join(f.read_text().splitlines()[:2])]
    assert not found, "\n".join(["", *found])


def test_no_local_paths() -> None:
    found = [row for f in ours() for row in local_paths(str(f.relative_to(ROOT)), f.read_text(errors="replace"))]
    assert not found, "\n".join(["", *found])


def test_the_checkers_find() -> None:
    assert too_long("x.c", "\n" * (LIMIT + 1)) and not too_long("x.c", "\n" * LIMIT)
    assert too_long("x.c", "x" * (COLUMNS + 1)) and not too_long("x.c", "x" * COLUMNS)
    assert twice(["base/x.c", "ops/x.c", "ops/y.c"]) == ["base/x.c", "ops/x.c"]
    assert local_paths("x", "see /ho" + "me/me/x") and local_paths("x", '"/wor' + 'k/x"')
    assert not local_paths("x", "/homework/ a/home/ ${prefix}/work/x /usr/include")
