# SPDX-License-Identifier: Apache-2.0
"""The scripts of `pyinfer completion`, asked by the shells themselves."""

import shutil
import subprocess
from pathlib import Path

import pytest

from pyinfer import cli

ASK = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"
complete -p pyinfer >/dev/null || exit 3
_pyinfer
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("completion")
    (root / "sub").mkdir()
    for name in ("a.onnx", "b b.plan", "c.npy", "photo.png"):
        (root / name).touch()
    return root


def script(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert cli.main(["completion", shell]) == 0
    return capsys.readouterr().out


def bash(text: str, folder: Path, *words: str) -> set[str]:
    (folder / "sub" / "pyinfer.bash").write_text(text)
    ask = ["bash", "-c", ASK, "bash", "sub/pyinfer.bash", "pyinfer", *words]
    done = subprocess.run(ask, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return set(filter(None, done.stdout.split("\n")))


def test_bash(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = script("bash", capsys)
    assert bash(text, folder, "") == {*cli.COMMANDS, "--help", "--version"}
    assert bash(text, folder, "co") == {"compare", "config", "completion"}
    models = {"a.onnx", "b b.plan", "sub"}
    for command in ("run", "info", "bench", "compare", "profile", "explain", "doctor", "demo"):
        assert bash(text, folder, command, "") == models
        assert {"--threads"} <= bash(text, folder, command, "--th")
    assert bash(text, folder, "run", "ph") == {"photo.png"}  # no model: any file
    assert bash(text, folder, "run", "a.onnx", "--thr") == {"--threads"}
    assert bash(text, folder, "run", "a.onnx", "--threads", "") == set()
    every = {"a.onnx", "b b.plan", "c.npy", "photo.png", "sub"}
    assert bash(text, folder, "run", "--input", "x", "=") == every
    assert bash(text, folder, "run", "--input", "x", "=", "c") == {"c.npy"}
    assert bash(text, folder, "info", "--level", "") == bash(text, folder, "info", "--level", "=") == {"0", "1", "2"}
    assert bash(text, folder, "bench", "--vs", "open") == {"openvino"}
    assert bash(text, folder, "compare", "a.onnx", "--with", "") == {"onnxruntime", "openvino", "reference", *models}
    assert bash(text, folder, "completion", "") == {"bash", "zsh", "fish"}
    assert bash(text, folder, "demo", "--language", "z") == {"zh"}


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_bash_knows_every_flag(command: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = {s for action in cli.parser_of(command).actions for s in action.option_strings}
    assert bash(script("bash", capsys), folder, command, "--") == {flag for flag in flags if flag.startswith("--")}


def test_zsh(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = script("zsh", capsys)
    for command in cli.COMMANDS:
        assert f"        {command})\n" in text
    if not shutil.which("zsh"):
        pytest.skip("no zsh here to ask")
    (folder / "_pyinfer").write_text(text)
    # what _describe and _arguments are given is what zsh would offer
    ask = """
compdef() { print -r "compdef $*" }
source ./_pyinfer
_describe() { print -rl -- "${(P@)2}" }
_arguments() { print -rl -- "$@" }
words=(pyinfer ''); CURRENT=2; _pyinfer
words=(pyinfer run ''); CURRENT=3; _pyinfer
"""
    done = subprocess.run(["zsh", "-f", "-c", ask], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert "compdef _pyinfer pyinfer" in done.stdout
    assert all(f"{name}:" in done.stdout for name in cli.COMMANDS)
    assert "*--input[" in done.stdout and ":MODEL:_files -g '*.(onnx|plan)(-.)'" in done.stdout


def test_fish(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = script("fish", capsys)
    for command in cli.COMMANDS:
        assert f"-n __fish_use_subcommand -a {command} " in text
    if not shutil.which("fish"):
        pytest.skip("no fish here to ask")
    (folder / "sub" / "pyinfer.fish").write_text(text)

    def ask(line: str) -> set[str]:
        code = f"source sub/pyinfer.fish; complete -C '{line}'"
        done = subprocess.run(["fish", "--no-config", "-c", code], cwd=folder, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 and not done.stderr, done.stderr
        return {row.split("\t")[0] for row in done.stdout.splitlines()}

    assert ask("pyinfer co") == {"compare", "config", "completion"}
    assert ask("pyinfer run --thr") == {"--threads"}
    assert ask("pyinfer info --level ") == {"0", "1", "2"}
    assert "a.onnx" in ask("pyinfer run a")
