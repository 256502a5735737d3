# SPDX-License-Identifier: Apache-2.0
"""The command: each subcommand as text and as JSON, exit codes, one line for an error."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pyinfer import cli
from support import tiny

ELSEWHERE = Path(__file__).parent  # python -m would take the source tree where it stands in it


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("models") / "linear.onnx"
    file.write_bytes(tiny.linear())
    return str(file)


def command(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> tuple[str, str]:
    assert cli.main(arguments) == code
    return capsys.readouterr()


def test_run(path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "x.npy", np.ones((1, 3), np.float32))
    out, _ = command(capsys, "run", path, "--input", f"x={tmp_path / 'x.npy'}")
    assert "y: float32 1x2, min -5.75" in out and "6.5000" in out
    out, _ = command(capsys, "run", path, "--size", "4", "--json")
    assert json.loads(out)["outputs"] == {"y": {"shape": [4, 2], "dtype": "float32"}}
    out, _ = command(capsys, "run", "--example", "--json")
    assert [row["label"] for row in json.loads(out)] == [int(np.argmax(row["scores"])) for row in json.loads(out)]
    out, _ = command(capsys, "run", "--example")
    assert "6 of 6 right" in out and "█" in out


@pytest.mark.parametrize("name", ["info", "bench", "profile", "explain", "ops", "config"])
def test_as_text_and_as_json(name: str, path: str, capsys: pytest.CaptureFixture[str]) -> None:
    model = [] if name in ("ops", "config") else [path]
    few = ["--repeat", "2"] if name in ("bench", "profile") else []
    out, err = command(capsys, name, *model, *few)
    assert out.strip() and not err
    out, err = command(capsys, name, *model, *few, "--json")
    assert json.loads(out) and not err


def test_ops(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = command(capsys, "ops", "conv")
    assert {line.split()[0] for line in out.splitlines()[:-1]} >= {"Conv", "QLinearConv", "ConvTranspose"}
    out, _ = command(capsys, "ops", "Relu")
    assert any(line.split()[:6] == ["Relu", "since", "opset", "1,", "6", "float"] for line in out.splitlines()), out
    rows = json.loads(command(capsys, "ops", "max*", "--json")[0])
    assert {row["name"] for row in rows} >= {"Max", "MaxPool"} and all(row["name"].startswith("Max") for row in rows)
    assert not [row for row in json.loads(command(capsys, "ops", "--json")[0]) if row["domain"] == "pyinfer"]
    assert cli.main(["ops", "nothing"]) == 1
    assert "no operator is called like 'nothing'" in capsys.readouterr().err
    out, _ = command(capsys, "ops", "--markdown")
    assert "| Conv | 1 | float |" in out


def test_what_they_say(path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    info = json.loads(command(capsys, "info", path, "--json")[0])
    assert info["inputs"] == [{"name": "x", "shape": ["n", 3], "dtype": "float32"}]
    bench = json.loads(command(capsys, "bench", path, "--vs", "onnxruntime", "--repeat", "3", "--json")[0])
    assert [row["engine"] for row in bench["engines"]] == ["pyinfer", "onnxruntime"]
    assert {"Conv", "Relu"} <= {row["name"] for row in json.loads(command(capsys, "ops", "--json")[0])}
    assert "tuned" in json.loads(command(capsys, "explain", path, "--tune", "1", "--json")[0])["steps"][0]
    trace = tmp_path / "trace.json"
    steps = json.loads(command(capsys, "profile", path, "--repeat", "2", "--trace", str(trace), "--json")[0])
    assert all({"ms", "flops", "bytes", "gflops", "gbytes", "share"} <= step.keys() for step in steps)
    assert json.loads(trace.read_text())
    assert "threads" in command(capsys, "config")[0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run"], "--example"),
        (["run", "nothing.onnx"], "nothing.onnx"),
        (["info", __file__], "ONNX"),
        (["run", "MODEL", "--input", "x"], "NAME=random"),
        (["run", "MODEL", "--input", "z=random"], "x: float32[n, 3]"),
        (["run", "MODEL", "--input", "x=nothing.npy"], "nothing.npy"),
        (["run", "MODEL", "--input", "x=picture.png"], "4 dimensions"),
        (["bench", "MODEL", "--vs", "abacus"], "abacus"),
        (["run", "MODEL", "--threads", "-1"], "threads"),
    ],
)
def test_errors_are_one_line(arguments: list[str], said: str, path: str, capsys: pytest.CaptureFixture[str]) -> None:
    out, err = command(capsys, *[path if a == "MODEL" else a for a in arguments], code=1)
    assert not out and err.startswith("pyinfer: ") and said in err
    assert len(err.splitlines()) == 1


def test_wrong_arrays_in_a_file(path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "junk.npy").write_bytes(b"junk")
    np.save(tmp_path / "wide.npy", np.ones((1, 4), np.float32))
    for name in ("junk", "wide"):
        err = command(capsys, "run", path, "--input", f"x={tmp_path / name}.npy", code=1)[1]
        assert err.startswith("pyinfer: ") and len(err.splitlines()) == 1


def test_usage(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["fly"], ["run", "--fly"], ["info"]):
        with pytest.raises(SystemExit) as end:
            cli.main(arguments)
        assert end.value.code == 2
    with pytest.raises(SystemExit) as end:
        cli.main(["--help"])
    assert end.value.code == 0
    assert "examples:" in capsys.readouterr().out


def test_as_a_module(path: str) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "pyinfer", *arguments]
        return subprocess.run(line, capture_output=True, text=True, timeout=120, cwd=ELSEWHERE)

    assert run("info", path).returncode == 0
    wrong = run("info", "nothing.onnx")
    assert wrong.returncode == 1 and len(wrong.stderr.splitlines()) == 1
    assert run().returncode == 2


def test_a_closed_pipe() -> None:
    script = f"{sys.executable} -m pyinfer ops --json | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=120, cwd=ELSEWHERE)
    assert (done.returncode, done.stderr) == (0, "")
