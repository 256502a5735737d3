# SPDX-License-Identifier: Apache-2.0
"""The command: each subcommand as text and as JSON, exit codes, one line for an error."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from onnx import helper

import pyinfer
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
    y = json.loads(out)["outputs"]["y"]
    assert y["shape"] == [4, 2] and y["dtype"] == "float32" and np.shape(y["values"]) == (4, 2)
    assert y["min"] == np.min(y["values"]) and y["max"] == np.max(y["values"])
    out, _ = command(capsys, "run", "--example", "--json")
    assert [row["label"] for row in json.loads(out)] == [int(np.argmax(row["scores"])) for row in json.loads(out)]
    out, _ = command(capsys, "run", "--example")
    assert "6 of 6 right" in out and "█" in out


@pytest.mark.parametrize("name", ["info", "bench", "compare", "profile", "explain", "graph", "memory", "doctor", "ops", "config"])
def test_as_text_and_as_json(name: str, path: str, capsys: pytest.CaptureFixture[str]) -> None:
    model = [] if name in ("ops", "config") else [path]
    few = {"bench": ["--repeat", "2"], "profile": ["--repeat", "2"], "compare": ["--with", "reference"]}.get(name, [])
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


def test_pictures(path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def written(name: str) -> bytes:
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).unlink()
        return data

    out, _ = command(capsys, "graph", path)
    assert "as it runs" in out and "x f32[1, 3]" in out
    for flags, said in (["--size", "4"], b"4\xc3\x973"), (["--time"], b"<svg"), (["--file"], b"<svg"):
        out, err = command(capsys, "graph", path, "--output", str(tmp_path / "g.svg"), *flags)
        assert out.count("\n") == 1 and "g.svg" in out and not err and said in written("g.svg")
    for name, flags in ("profile", ["--repeat", "2"]), ("memory", []):
        command(capsys, name, path, *flags, "--plot", str(tmp_path / "p.png"))
        assert written("p.png").startswith(b"\x89PNG")
        _, err = command(capsys, name, path, *flags, "--plot", str(tmp_path / "p.foo"), code=1)
        assert err.startswith("pyinfer: --plot ") and "p.foo: " in err and len(err.splitlines()) == 1
    command(capsys, "profile", path, "--repeat", "2", "--html", str(tmp_path / "p.html"))
    assert b"<table" in written("p.html")
    memory = json.loads(command(capsys, "memory", path, "--size", "8", "--json")[0])
    assert memory["inputs"] == 8 * 3 * 4 and memory["lower_bound"] <= memory["arena"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "nothing.onnx"], "nothing.onnx"),
        (["info", __file__], "ONNX"),
        (["run", "MODEL", "--input", "z=random"], "x: float32[n, 3]"),
        (["run", "MODEL", "--input", "x=nothing.npy"], "pyinfer: nothing.npy: No such file"),
        (["run", "MODEL", "--input", "x=nothing.png"], "nothing.png: No such file"),
        (["run", "MODEL", "--input", f"x={__file__}"], "4 dimensions"),
        (["run", "MODEL", "--threads", "-1"], "threads"),
        (["run", "MODEL", "--option", "fast=1"], "skip_padding"),
        (["compare", "MODEL", "--with", "other.onnx"], "other.onnx: No such file"),
        (["profile", "MODEL", "--repeat", "2", "--trace", "/none/t.json"], "pyinfer: /none/t.json: No such file"),
        (["ops", "conw"], "no operator is called like 'conw' (did you mean 'Conv'?)"),
    ],
)
def test_errors_are_one_line(arguments: list[str], said: str, path: str, capsys: pytest.CaptureFixture[str]) -> None:
    out, err = command(capsys, *[path if a == "MODEL" else a for a in arguments], code=1)
    assert not out and err.startswith("pyinfer: ") and said in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["graph", "MODEL", "--file", "--time"], "leave out --file"),
        (["run"], "--example"),
        (["run", "MODEL", "--input", "x"], "NAME=random"),
        (["run", "MODEL", "--option", "fast"], "NAME=NUMBER"),
        (["bench", "MODEL", "--vs", "abacus"], "abacus"),
        (["bench", "MODEL", "--repeat", "0"], "--repeat"),
        (["compare", "MODEL", "--with", "abacus"], "onnxruntime, openvino, reference or a file"),
    ],
)
def test_wrong_values_of_flags(
    arguments: list[str], said: str, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out, err = command(capsys, *[path if a == "MODEL" else a for a in arguments], code=2)
    assert not out and err.startswith("pyinfer: ") and said in err and len(err.splitlines()) == 1


def test_what_other_engines_cannot_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = tmp_path / "linear.plan"
    pyinfer.load(tiny.linear()).save(plan, np.ones((1, 3), np.float32))
    err = command(capsys, "bench", str(plan), "--vs", "onnxruntime", code=1)[1]
    assert err == "pyinfer: other engines do not read plans: give the .onnx file that it was made of\n"
    node = helper.make_node("Relu", ["a"], ["y"])
    halves = tmp_path / "halves.onnx"  # ONNX Runtime has no Relu of bfloat16
    halves.write_bytes(tiny.model([node], [("a", ml_dtypes.bfloat16, [2])], [("y", ml_dtypes.bfloat16, [2])]))
    err = command(capsys, "bench", str(halves), "--vs", "onnxruntime", code=1)[1]
    assert err.startswith("pyinfer: onnxruntime cannot run this model: ") and len(err.splitlines()) == 1


def test_wrong_arrays_in_a_file(path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "junk.npy").write_bytes(b"junk")
    np.save(tmp_path / "wide.npy", np.ones((1, 4), np.float32))
    for name in ("junk", "wide"):
        err = command(capsys, "run", path, "--input", f"x={tmp_path / name}.npy", code=1)[1]
        assert err.startswith("pyinfer: ") and len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "pyinfer --help"),
        (["fly"], "no command 'fly'"),
        (["benhc"], "did you mean 'bench'?"),
        (["--versio"], "did you mean '--version'?"),
        (["run", "--fly"], "there is no '--fly' here;"),
        (["run", "--thread=2", "--jsn"], "did you mean '--json'?"),
        (["info"], "MODEL"),
        (["run", "m.onnx", "--threads", "two"], "'two'"),
        (["completion", "tcsh"], "'tcsh'"),
    ],
)
def test_wrong_usage(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(arguments)
    out, err = capsys.readouterr()
    assert end.value.code == 2
    assert not out and err.startswith("usage: pyinfer") and said in err


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    for arguments in (["--help"], ["-h"], ["help"]):
        with pytest.raises(SystemExit) as end:
            cli.main(arguments)
        assert end.value.code == 0
        said.append(capsys.readouterr().out)
    assert "examples:" in said[0] and said[0] == said[1] == said[2]


def test_compare(path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    others = ["onnxruntime", "reference", path]
    if find_spec("openvino"):
        others.append("openvino")
    else:
        _, err = command(capsys, "compare", path, "--with", "openvino", code=1)
        assert err == "pyinfer: comparing with OpenVINO needs openvino: pip install openvino\n"
    for other in others:
        found = json.loads(command(capsys, "compare", path, "--with", other, "--size", "3", "--json")[0])
        assert found["ok"] and [row["name"] for row in found["rows"]] == ["y"], other
        assert found["rows"][0]["shape"] == [3, 2]
    wrong = tiny.model(
        [helper.make_node("MatMul", ["x", "w"], ["xw"]), helper.make_node("Add", ["xw", "b"], ["y"])],
        [("x", np.float32, ["n", 3])], [("y", np.float32, ["n", 2])],
        {"w": np.float32([[1, -1], [2, -2], [3, -3]]), "b": np.float32([0.5, 0.26])},
    )  # fmt: skip
    (tmp_path / "wrong.onnx").write_bytes(wrong)
    against = ["compare", path, "--with", str(tmp_path / "wrong.onnx"), "--input", "x=ones"]
    out, err = command(capsys, *against, code=1)
    assert out.startswith("differs from ") and not err
    assert not json.loads(command(capsys, *against, "--json", code=1)[0])["ok"]
    for allowed in (["--tolerance", "0.01"], ["--atol", "0.02"], ["--rtol", "0.01"]):
        assert "agrees with" in command(capsys, *against, *allowed)[0]
    command(capsys, *against, "--atol", "0.001", code=1)


def test_infinity_is_null_in_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, w in (("a", [1.0, 2.0]), ("b", [1.0, np.inf])):
        graph = [helper.make_node("Add", ["x", "w"], ["y"])]
        data = tiny.model(graph, [("x", np.float32, [2])], [("y", np.float32, [2])], {"w": np.float32(w)})
        (tmp_path / name).write_bytes(data)
    out, _ = command(capsys, "compare", str(tmp_path / "a"), "--with", str(tmp_path / "b"), "--json", code=1)
    assert json.loads(out, parse_constant=pytest.fail)["rows"][0]["error"] is None


def test_options_of_load(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    fused = json.loads(command(capsys, "explain", path, "--json")[0])["steps"]
    plain = json.loads(command(capsys, "explain", path, "--level", "0", "--json")[0])["steps"]
    assert len(fused) < len(plain) == 2
    same = json.loads(command(capsys, "explain", path, "--option", "level=0", "--json")[0])["steps"]
    assert [s["op"] for s in same] == [s["op"] for s in plain]
    ones = json.loads(command(capsys, "run", path, "--input", "x=ones", "--option", "exact=1", "--threads", "1", "--json")[0])
    assert ones["outputs"]["y"]["shape"] == [1, 2]


def test_warnings_are_one_line(path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "x.npy", np.ones((1, 3)))
    _, err = command(capsys, "run", path, "--input", f"x={tmp_path / 'x.npy'}")
    assert err.startswith("pyinfer: input 'x' was given as float64[1, 3]") and len(err.splitlines()) == 1


def test_as_a_module(path: str) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "pyinfer", *arguments]
        return subprocess.run(line, capture_output=True, text=True, timeout=120, cwd=ELSEWHERE)

    assert run("info", path).returncode == 0
    wrong = run("info", "nothing.onnx")
    assert wrong.returncode == 1 and len(wrong.stderr.splitlines()) == 1
    assert run().returncode == 2


@pytest.mark.parametrize("line", ["ops --json | head -1", "ops | true", "--help | true", "ops --json | true"])
def test_a_closed_pipe(line: str) -> None:
    script = f"{sys.executable} -m pyinfer {line}; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=120, cwd=ELSEWHERE)
    assert (done.returncode, done.stderr) == (0, "")


def test_ctrl_c(tmp_path: Path) -> None:
    (tmp_path / "long.onnx").write_bytes(tiny.long())
    script = """
import os, signal, sys, threading
import pyinfer
from pyinfer import cli
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background starts without
run = pyinfer.Model.run
def start(*rest):
    threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    return run(*rest)
pyinfer.Model.run = start
sys.exit(cli.main(sys.argv[1:]))
"""
    line = [sys.executable, "-c", script, "run", str(tmp_path / "long.onnx"), "--size", "8192"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=300, cwd=ELSEWHERE)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
