# SPDX-License-Identifier: Apache-2.0
"""Tables in the documentation that are made from the code say what the code says."""

import difflib
from pathlib import Path

import pytest

from pyinfer.cli import main

ROOT = Path(__file__).resolve().parents[2]


def test_operators(capsys: pytest.CaptureFixture[str]) -> None:
    page = ROOT / "docs" / "operators.md"
    assert main(["ops", "--markdown"]) == 0
    made = capsys.readouterr().out
    changed = difflib.unified_diff(page.read_text().splitlines(), made.splitlines(), "page", "rows", "", "", 0, "")
    lines = [line for line in changed if not line.startswith("@@")]
    assert not lines, "\n".join(
        ["the table of operators changed; run: python -m pyinfer ops --markdown > docs/operators.md", *lines]
    )
