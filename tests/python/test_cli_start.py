# SPDX-License-Identifier: Apache-2.0
"""Starting: what is imported when, and that `import pyinfer` looks as if all were there at once."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import pyinfer
from pyinfer import cli

ELSEWHERE = Path(__file__).parent
HEAVY = {"numpy", "pyinfer._core", "pyinfer.model", "torch", "rich", "onnx"}
RUN = """
import sys
from pyinfer import cli
try:
    cli.main(sys.argv[1:])
except SystemExit:
    pass
sys.stderr.write("\\n" + " ".join(sys.modules))
"""


def child(code: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        cwd=ELSEWHERE,
        env={**os.environ, **env},
    )


@pytest.mark.parametrize("words", [["--version"], ["ops", "conv"], ["config"]], ids=" ".join)
def test_the_engine_without_numpy(words: list[str]) -> None:
    done = child(RUN, *words)
    modules = done.stderr.splitlines()[-1].split()
    assert done.stdout and "pyinfer._core" in modules and "numpy" not in modules


@pytest.mark.parametrize(
    "words",
    [
        ["--help"], [], ["help", "run"], ["completion", "bash"], ["benhc"], ["run", "--fly"], ["cache"],
        *([name, "--help"] for name in cli.COMMANDS),
    ],
    ids=" ".join,
)  # fmt: skip
def test_neither_numpy_nor_the_engine(words: list[str], tmp_path: Path) -> None:
    done = child(RUN, *words, PYINFER_CACHE_DIR=str(tmp_path))
    assert done.stdout or "usage" in done.stderr
    assert not HEAVY & set(done.stderr.split())


def test_the_short_help_needs_no_argparse() -> None:
    for words in (["--help"], []):
        assert not {"argparse", "typing", "json"} & set(child("import sys; sys.path_hooks\n" + RUN, *words).stderr.split())


def test_every_command_is_a_module_with_help(capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path(cli.__file__).parent
    assert {p.stem for p in folder.glob("[a-z]*.py")} == set(cli.COMMANDS)
    for name, line in cli.COMMANDS.items():
        with pytest.raises(SystemExit) as end:
            cli.main([name, "--help"])
        out = capsys.readouterr().out
        assert end.value.code == 0
        assert f"usage: pyinfer {name}" in out and "examples:\n" in out and "exit codes: 0 " in out
        assert f"  pyinfer {name}" in out or f"pyinfer {name}" in out.partition("examples:")[2]
        assert f"    {name:12}{line}" in cli.help_text()


def test_the_same_flag_means_the_same() -> None:
    said: dict[str, set[str]] = {}
    for name in cli.COMMANDS:
        for action in cli.parser_of(name).actions:
            for flag in action.option_strings:
                said.setdefault(flag, set()).add(f"{action.type} {action.metavar} {type(action).__name__}")
    assert {flag: ways for flag, ways in said.items() if len(ways) > 1} == {}
    every = set(cli.COMMANDS) - {"demo", "completion"}
    assert {n for n in cli.COMMANDS if "--json" in cli.parser_of(n).format_help()} == every


def test_openmp_spins_briefly_whoever_comes_first() -> None:
    code = "import pyinfer, torch; from pyinfer import example; pyinfer.load(example.model_path())(example.pictures()[0])"
    clean = {"OMP_DISPLAY_ENV": "verbose"}
    assert "GOMP_SPINCOUNT = '30000'" in child(code, **clean).stderr
    assert "GOMP_SPINCOUNT = '77'" in child(code, **clean, GOMP_SPINCOUNT="77").stderr
    assert "GOMP_SPINCOUNT = '30000'" not in child(code, **clean, OMP_WAIT_POLICY="passive").stderr
    left = child("import os, pyinfer; print('GOMP_SPINCOUNT' in os.environ)").stdout
    assert left.strip() == "False"


def test_names_for_type_checkers_are_those_at_run_time() -> None:
    tree = ast.parse(Path(pyinfer.__file__).read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    told = {
        alias.asname or alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom) and node.level and node.module
        for alias in node.names
    }
    assert told == pyinfer._HOME
    assert set(pyinfer.__all__) == set(told) | {"config", "show_config"}


def test_the_package_looks_whole() -> None:
    code = """
import pickle, pyinfer
assert set(pyinfer.__all__) <= set(dir(pyinfer))
assert not hasattr(pyinfer, "nothing")
assert pyinfer.model.load is pyinfer.load and pyinfer._core.version == pyinfer.__version__
error = pickle.loads(pickle.dumps(pyinfer.InputError("x")))
assert type(error) is pyinfer.InputError and type(error).__module__ == "pyinfer"
space = {}
exec("from pyinfer import *", space)
assert set(pyinfer.__all__) <= set(space), set(pyinfer.__all__) - set(space)
from pyinfer import Model, _core
assert issubclass(Model, _core.Model)
"""
    child(code)


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"pyinfer {pyinfer.__version__}\n"
