# SPDX-License-Identifier: Apache-2.0
"""The pages as Sphinx builds them, without a warning and without a network: each name can be linked to, no page asks the
network for anything."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pyinfer
from docs.pages import DOCS, PAGES, ROOT

pytestmark = pytest.mark.full

NETWORKLESS = """
import socket, sys
def refuse(*args, **named): raise OSError("the network is asked for")
socket.socket.connect = socket.getaddrinfo = refuse
from sphinx.cmd.build import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for needed in () if os.environ.get("CI") else ("furo", "myst_parser", "sphinx"):
        pytest.importorskip(needed, reason='the pages are built with pip install ".[docs]"')
    to = tmp_path_factory.mktemp("docs")
    arguments = ["-q", "-W", "--keep-going", "-b", "html", "-d", str(to / "trees"), str(DOCS), str(to / "html")]
    done = subprocess.run(
        [sys.executable, "-c", NETWORKLESS, *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(pyinfer.__file__).parents[1])},
        cwd=to,  # python -c looks for packages in its folder first: not in the source tree
    )
    assert done.returncode == 0, done.stderr
    return to / "html"


def test_each_page(built: Path) -> None:
    for page in PAGES:
        html = (built / page.relative_to(DOCS)).with_suffix(".html").read_text(encoding="utf-8")
        assert "<h1>" in html and "system-message" not in html
        asked = re.findall(r'(?:src|<link[^>]*href)="(https?:[^"]*)"', html)
        assert not asked, (page, asked)


def test_the_index_of_names(built: Path) -> None:
    from sphinx.util.inventory import InventoryFile

    names = {
        entry: kind
        for kind, entries in InventoryFile.loads((built / "objects.inv").read_bytes(), uri="").data.items()
        for entry in entries
    }
    for public in pyinfer.__all__:
        assert names.get(f"pyinfer.{public}", "").startswith("py:"), public
    for method in (n for n in vars(pyinfer.Model) if n[0] != "_"):
        assert f"pyinfer.Model.{method}" in names, method
    header = (ROOT / "csrc/capi/pyinfer.h").read_text()
    for function in re.findall(r"^PYINFER_API [\w ]+?\**(pyinfer_\w+)\(", header, re.MULTILINE):
        assert names.get(function) == "c:function", function


def test_search_finds(built: Path) -> None:
    text = (built / "searchindex.js").read_text(encoding="utf-8")
    index = json.loads(text[text.index("{") : text.rindex("}") + 1])
    assert "winograd" in index["terms"] and len(index["docnames"]) == len(PAGES)
