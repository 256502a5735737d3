# SPDX-License-Identifier: Apache-2.0
"""What README.md says is true: its examples run, its commands, files, options and errors exist."""

import builtins
import contextlib
import io
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pyinfer
from pyinfer import _core, cli
from pyinfer.cli._shared import FLAGS

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = ["README.md", "tests/README.md"]
USE = "pip install . && pyinfer run --example"
DEVELOP = 'pip install ".[test]" && pytest'


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def section(title: str) -> str:
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


def rows(title: str) -> list[list[str]]:
    """The cells of the section's table, without its head."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    assert len(lines) > 2, title
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_python_examples() -> None:
    (code,) = blocks("python")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
    text = printed.getvalue()
    assert "[0 2 3 5 7 8]" in text and "(1, 10)" in text and "Conv" in text
    assert len([line for line in code.splitlines() if line]) <= 10


def test_set_up_is_two_commands() -> None:
    assert [block.strip() for block in blocks("sh")] == [USE, DEVELOP]
    script = (ROOT / ".ci" / "run").read_text()
    assert re.search(r'^ *pip install (?:-\w+ )*"\.\[test\b[^"]*\]"', script, re.MULTILINE)
    assert re.search(r"\btests pytest;? *}?$", script, re.MULTILINE)


def test_example_prints_what_it_says() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pyinfer", "run", "--example"],
        capture_output=True,
        check=True,
        cwd=ROOT / "csrc",
    )
    printed = [line.rstrip() for line in done.stdout.decode().splitlines()]
    assert len(printed) > 30
    (said,) = blocks("text")
    for line in said.splitlines():
        if line != "...":
            pattern = re.sub(r"\\? \d+(?:\.\d+)?\\? µs", r" [\\d.]+ µs", re.escape(line.rstrip()))
            pattern = re.sub(
                r"pyinfer\\ [\d\\.]+", re.escape(f"pyinfer {pyinfer.__version__}"), pattern
            )
            pattern = re.sub(r"\d+\\ threads?", r"\\d+ threads?", pattern)
            pattern = re.sub(r"0\\\.(\d{3})\d", r"0\\.\1\\d", pattern)
            assert any(re.fullmatch(pattern, p) for p in printed), (line, printed)


def test_commands() -> None:
    named = {m[1] for m in re.finditer(r"\bpyinfer ([a-z]+) ?[A-Z`-]", README)}
    lines = [row[0].strip("`").split() for row in rows("Command line") if row[0].startswith("`pyinfer ")]
    table = {line[1] for line in lines}
    usage = io.StringIO()
    with contextlib.redirect_stdout(usage), pytest.raises(SystemExit):
        cli.main(["--help"])
    known = set(re.findall(r"^ {4}([a-z]+) ", usage.getvalue(), re.MULTILINE))
    assert table == known
    assert named <= known
    for line in lines:
        helped = io.StringIO()
        with contextlib.redirect_stdout(helped), pytest.raises(SystemExit):
            cli.main([line[1], "--help"])
        assert all(flag in helped.getvalue() for flag in line if flag.startswith("--"))


def test_flags_of_commands() -> None:
    told = set(re.findall(r"(--\w+)", " ".join(row[0] for row in rows("Command line") if row[0].startswith("`--"))))
    assert told == set(FLAGS)
    named = set(re.findall(r"`(--\w[\w-]*)", section("Command line")))
    there = {s for name in cli.COMMANDS for a in cli.parser_of(name).actions for s in a.option_strings}
    assert named <= there


@pytest.mark.parametrize("page", PAGES)
def test_files_exist(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    roots = "csrc|tests|benchmarks|pyinfer/example|[.]ci"
    named = {m[0].rstrip(".") for m in re.finditer(rf"(?<![\w/.-])(?:{roots})/[\w./-]+", text)}
    named |= {
        m[0] for m in re.finditer(r"(?<![\w/.-])(?:LICENSE|CHANGELOG\.md|pyproject\.toml)\b", text)
    }
    assert len(named) >= 3
    missing = sorted(name for name in named if not (ROOT / name).exists())
    assert not missing


def test_folders_of_the_tests() -> None:
    text = (ROOT / "tests" / "README.md").read_text()
    named = set(re.findall(r"^\| `(\w+)/` \|", text, re.MULTILINE))
    there = {p.name for p in (ROOT / "tests").iterdir() if p.is_dir() and p.name[0] not in "._"}
    assert named == there


def test_options() -> None:
    said = [(r[0].strip("`"), int(r[1]), r[2].strip("`")) for r in rows("Options")]
    assert said == [
        (name, default, f"PYINFER_{name.upper()}") for name, _, default, _ in _core.options()
    ]


def test_errors() -> None:
    for cells in rows("Errors"):
        names = [cell.strip("`") for cell in cells[:2]]
        error = getattr(pyinfer, names[0])
        assert issubclass(error, pyinfer.PyinferError)
        assert not names[1] or issubclass(error, getattr(builtins, names[1]))
    listed = {cells[0].strip("`") for cells in rows("Errors")} | {"PyinferError"}
    assert listed == {
        name
        for name in pyinfer.__all__
        if isinstance(getattr(pyinfer, name), type)
        and issubclass(getattr(pyinfer, name), pyinfer.PyinferError)
    }


def test_attributes_of_models() -> None:
    named = set(re.findall(r"\bm\.(\w+)", section("Python") + section("Limits")))
    assert {"run", "profile", "explain"} <= named
    assert all(hasattr(pyinfer.Model, name) for name in named)


@pytest.mark.parametrize("page", [*PAGES, "CHANGELOG.md"])
def test_width(page: str) -> None:
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if len(line) > 110] == []
