# SPDX-License-Identifier: Apache-2.0
"""docs/inside/add_operator.md, done: its blocks make an operator in a copy of csrc, which is built and runs a model."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pyinfer
from docs.pages import DOCS, ROOT, blocks, unprinted

pytestmark = pytest.mark.full

PAGE = DOCS / "inside" / "add_operator.md"


def captioned(caption: str) -> str:
    """All blocks of the page with this caption, as one text."""
    found = []
    for block in blocks(PAGE.read_text(encoding="utf-8")):
        match = re.match(r":caption: (.*)\n\n", block.text)
        if match and match[1] == caption:
            found.append(block.text[match.end() :])
    assert found, caption
    return "\n".join(found)


def test_the_walk_through(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "csrc", tmp_path / "csrc")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "csrc/ops/squared_relu.c").write_text(captioned("csrc/ops/squared_relu.c"))
    with (tmp_path / "csrc/ops/families.inc").open("a") as families:
        families.write(captioned("at the end of csrc/ops/families.inc"))
    commands = [b.text for b in blocks(PAGE.read_text()) if b.language == "console"]
    build = [line.removeprefix("$ ").split() for line in commands[0].splitlines()]
    assert len(build) == 2
    for command in build:
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    script = captioned("squared.py")
    (tmp_path / "squared.py").write_text(script)
    path = {"LD_LIBRARY_PATH": "build/mine", "PYTHONPATH": str(Path(pyinfer.__file__).parents[1])}
    assert commands[1].strip() == "$ LD_LIBRARY_PATH=build/mine python squared.py"
    run = [sys.executable, "squared.py"]
    done = subprocess.run(run, cwd=tmp_path, env=os.environ | path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not unprinted(script, done.stdout), done.stdout
    path.pop("LD_LIBRARY_PATH")  # without the operator it is refused: the file of the page was it
    done = subprocess.run(run, cwd=tmp_path, env=os.environ | path, capture_output=True, text=True)
    assert done.returncode == 1 and "SquaredRelu" in done.stderr and "UnsupportedError" in done.stderr, done
