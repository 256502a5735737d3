# SPDX-License-Identifier: Apache-2.0
"""The notebooks run, and each .ipynb is its .py.

Cells are plain Python, so the .py is what runs here, in a process of its own. What a notebook claims, it asserts.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from notebooks.pair import FOLDER, SCRIPTS, as_notebook
from support.packages import MINILM, OCR_NEEDS, RAPIDOCR, folder_of, folder_with

FOLDERS = {  # packages that a notebook asks its reader to install, and which no test needs otherwise
    "sentence_search": lambda: [folder_of(MINILM)],
    "reading_text": lambda: [folder_of(RAPIDOCR), folder_with("ocr", OCR_NEEDS)],
}
MOST = 300_000  # bytes
ENTRY = """[torch_dynamo_backends]
pyinfer = pyinfer.torch_backend:backend
"""  # of pyproject.toml: an installed pyinfer brings it
names = pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.stem)


def test_pairs_are_complete() -> None:
    assert SCRIPTS and set(FOLDERS) <= {s.stem for s in SCRIPTS}
    there = {p.name for p in FOLDER.iterdir() if p.is_file() and p.name != "README.md"}
    assert there == {s.name for s in SCRIPTS} | {f"{s.stem}.ipynb" for s in SCRIPTS}


@names
def test_pair_in_step(script: Path) -> None:
    """If this fails: python tests/notebooks/pair.py"""
    there = script.with_suffix(".ipynb").read_text(encoding="utf-8")
    assert there == as_notebook(script)
    assert '"outputs": []' in there and '"output_type"' not in there and len(there) < MOST


@names
def test_runs(script: Path, tmp_path: Path) -> None:
    # The end of sys.path: what is installed comes first, and so does the pyinfer that is tested.
    more = [str(f) for f in FOLDERS.get(script.stem, list)()]
    info = tmp_path / "installed" / "pyinfer-0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pyinfer\nVersion: 0\n")
    (info / "entry_points.txt").write_text(ENTRY)
    path = os.pathsep.join([*(p for p in sys.path if p), *more, str(info.parent)])
    env = {**os.environ, "PYTHONPATH": path, "MPLBACKEND": "agg"}
    done = subprocess.run([sys.executable, script], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
