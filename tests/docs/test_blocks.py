# SPDX-License-Identifier: Apache-2.0
"""The code in the pages runs, and prints what the pages say.

Blocks of a page that are called `python` run one after the other, as if pasted; `# text` behind a print is what it prints.
A block called `text` behind them is an example of what was printed: its first line is looked for. Of blocks called `sh` the
lines run that begin with `pyinfer `, beside a model.onnx. Blocks that are called otherwise (`py`, `console`) need what a test
has not: a network of the reader's, a new environment."""

import contextlib
import io
import os
import shlex
import shutil
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

import pyinfer
from docs.pages import PAGES, ROOT, blocks, like, name, unprinted
from lint import binary
from pyinfer import example

RUN = [page for page in PAGES if any(b.language in ("python", "sh") for b in blocks(page.read_text()))]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where a block runs: model.onnx is there, and the environment is as before afterwards."""
    shutil.copy(example.model_path(), tmp_path / "model.onnx")
    monkeypatch.chdir(tmp_path)
    with mock.patch.dict(os.environ, XDG_CACHE_HOME=str(tmp_path / "home")):
        yield tmp_path


@pytest.fixture
def one_torch_thread() -> Iterator[None]:
    """Two that wait for each other are no quicker with so small networks, and far slower where a core is taken."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def stand_in(model: Any = None, *, labels: Any = None, threads: int = 0, module: Any = None, language: str = "en") -> None:
    """pyinfer.demo.show without a window: it opens the model, and classifies."""
    from pyinfer.demo.session import open_model

    opened = open_model(model, labels, threads)
    (port,) = opened.model.inputs
    guesses, _ = opened.classify(np.zeros([d if isinstance(d, int) else 1 for d in port.shape], port.dtype), 3)
    assert len(guesses) == 3 and (module is None or callable(module))


def run_lines(text: str) -> None:
    """The lines that begin with `pyinfer `, of which there is one at least, with the pyinfer under test."""
    environment = os.environ | {"PYTHONPATH": str(Path(pyinfer.__file__).parents[1])}
    lines = [line for line in text.splitlines() if line.startswith("pyinfer ")]
    assert lines, text
    for line in lines:
        command = [sys.executable, "-m", "pyinfer", *shlex.split(line, comments=True)[1:]]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert done.returncode == 0 and done.stdout, f"{line}\n{done.stderr}"


@pytest.mark.usefixtures("one_torch_thread")
@pytest.mark.parametrize("page", RUN, ids=name)
def test_page(page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyinfer.demo

    monkeypatch.setattr(pyinfer.demo, "show", stand_in)
    module = types.ModuleType("page")  # torch.export looks for the module of a class
    monkeypatch.setitem(sys.modules, "page", module)
    printed = None
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.language == "sh":
            run_lines(block.text)
        if block.language == "text" and printed:
            said, *lines = block.text.splitlines()[0], *printed.getvalue().splitlines()
            assert any(like(said, line) for line in lines), f"{name(page)}:{block.line}, but\n{printed.getvalue()}"
        printed = None
        if block.language != "python":
            continue
        printed = io.StringIO()
        code = compile("\n" * block.line + block.text, str(page), "exec")
        with contextlib.redirect_stdout(printed):
            exec(code, module.__dict__)
        missing = unprinted(block.text, printed.getvalue())
        assert not missing, f"{name(page)}:{block.line} does not print {missing}, but\n{printed.getvalue()}"


def test_c(folder: Path) -> None:
    """The program of the page on C compiles without a warning and runs."""
    page = ROOT / "docs" / "howto" / "c_program.md"
    (code,) = [b.text for b in blocks(page.read_text()) if b.language == "c"]
    Path("main.c").write_text(code)
    package = binary.package()
    flags = [f"-I{package}/include", f"-L{package}/lib", "-lpyinfer", f"-Wl,-rpath,{package}/lib"]
    subprocess.run(["gcc", "-std=c11", "-Wall", "-Wextra", "-Werror", "main.c", *flags, "-o", "main"], check=True)
    done = subprocess.run(["./main", "model.onnx"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("2 dimensions, first value "), done
    done = subprocess.run(["./main", "none.onnx"], capture_output=True, text=True)
    assert done.returncode == 1 and "none.onnx" in done.stderr


def test_the_checker_finds() -> None:
    code = "print(1)  # 1\nif x:\n    print(f(2))  # a...c\n"
    assert unprinted(code, "1\nabc\n") == []
    assert unprinted(code, "1\nabd\n") == ["a...c"]
    assert unprinted(code, "abc\n1\n") == ["a...c"]
    assert like("1 Conv [own] 2.5 ms: ...", "12 Conv [onednn] 0.3 ms: x") and not like("1 Conv", "1 Gemm")
