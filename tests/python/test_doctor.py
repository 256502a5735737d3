# SPDX-License-Identifier: Apache-2.0
"""pyinfer.doctor: each kind of trouble is made here, and found; a healthy model has none."""

import json
import mmap
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import pyinfer
from pyinfer import cli, example
from pyinfer.diagnosis import Finding, Report, in_file, machine, onnx_file
from support import tiny

TRACE = 'File "/x/net.py", line 3, in forward\n    x = self.fc(x)\nFile "/x/layer.py", line 12, in forward\n    return torch.foo(x)'


def node(op: str, inputs: list[str], output: str, trace: str = "", **more: Any) -> onnx.NodeProto:
    made = helper.make_node(op, inputs, [output], name=f"the_{output}", **more)
    if trace:
        made.metadata_props.add(key=onnx_file.TRACE, value=trace)
    return made


def model(
    nodes: list[onnx.NodeProto], kind: int = TensorProto.FLOAT, opset: int = 17, **weights: np.ndarray
) -> onnx.ModelProto:
    """x [n, 4] -> y of the same type; not checked."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", kind, ["n", 4])],
        [helper.make_tensor_value_info("y", kind, None)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    domains = {n.domain for n in nodes if n.domain}
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid(d, v) for d, v in [("", opset), *((d, 1) for d in domains)]],
        ir_version=8, producer_name="a test",
    )  # fmt: skip


def one(report: Report, severity: str, said: str) -> Finding:
    """The only finding of the model with these words."""
    (found,) = [f for f in report.findings if f.about == "model" and said in f.text]
    assert found.severity == severity, found
    return found


def test_a_healthy_model() -> None:
    report = pyinfer.doctor(example.model_path())
    assert report.ok and not [f for f in report.of("slow", "problem") if f.about == "model"]
    facts = report.facts["model"]
    proto = onnx.load(example.model_path())
    assert facts["opsets"] == {o.domain: o.version for o in proto.opset_import}
    assert facts["producer"] == proto.producer_name and facts["ir_version"] == proto.ir_version
    assert sum(facts["nodes"].values()) == len(proto.graph.node)
    kept = sum(numpy_helper.to_array(t).nbytes for t in proto.graph.initializer)
    assert facts["weights"]["bytes"] == kept
    assert facts["unused_weights"] == [] and facts["denormal_weights"] == 0
    assert facts["measured_ms"] > 0 and facts["flops"] > 1e6 and facts["estimated_ms"] > 0
    assert "batch" in one(report, "note", "dimensions").details[0]
    assert json.loads(json.dumps(report.as_dict())) == report.as_dict()


def test_texts() -> None:
    report = pyinfer.doctor(model([node("Foo", ["x"], "y", TRACE)]))
    text, html = str(report), report._repr_html_()
    assert text.splitlines()[0] == "machine" and text.splitlines()[-1] == report.verdict()
    for finding in report.findings:
        assert finding.text.split()[0] in text and finding.severity in html
    assert all(len(line) <= 100 or " " not in line.strip() for line in text.splitlines())
    assert "<table>" in html and "&#x27;the_y&#x27;" in html
    assert report.verdict() in repr(report)


def test_without_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyinfer.Model, "run", lambda *_: pytest.fail("it ran"))
    report = pyinfer.doctor(example.model_path(), run=False)
    assert report.ok and "measured_ms" not in report.facts["model"] and report.facts["model"]["steps"] > 3


def test_a_model_that_is_loaded_and_inputs_that_are_given() -> None:
    loaded = pyinfer.load(example.model_path(), threads=1)
    x, _ = example.pictures()
    report = pyinfer.doctor(loaded, {"x": x})
    assert report.ok and report.model == str(example.model_path())
    assert "x [6, 1, 8, 8]" in one(report, "note", "dimensions").advice
    assert "x [3, 1, 8, 8]" in one(pyinfer.doctor(loaded, size=3), "note", "dimensions").advice


def test_operators_that_are_not_supported() -> None:
    nodes = [
        node("FusedConv", ["x"], "a", TRACE, domain="com.microsoft"),
        node("QuantizeLinear", ["a", "w"], "q", domain="com.microsoft"),
        node("Softmx", ["a"], "b"),
        node("Softmx", ["b"], "c"),
        node("LayerNormalization", ["c", "w"], "d"),
        node("Frobnicate", ["d"], "y"),
    ]
    report = pyinfer.doctor(model(nodes, opset=13, w=np.ones(4, np.float32)))
    assert not report.ok
    fused = one(report, "problem", "com.microsoft.FusedConv (opset 1)")
    assert fused.details == ("'the_a' from layer.py:12, in forward: return torch.foo(x)",)
    assert "ONNX Runtime's optimiser" in fused.advice
    assert "2 nodes" in one(report, "problem", "Softmx").text and "is it Softmax?" in one(report, "problem", "Softmx").advice
    assert "too old" in one(report, "problem", "LayerNormalization").advice
    assert "pyinfer ops" in one(report, "problem", "Frobnicate").advice
    assert report.facts["model"]["unsupported"] == ["com.microsoft.FusedConv", "Softmx", "LayerNormalization", "Frobnicate"]
    assert not [f for f in report.findings if "cannot be loaded" in f.text], "told once"


def test_what_the_file_says_of_operators_is_what_the_engine_says() -> None:
    proto = model([node("Relu", ["x"], "a"), node("Own", ["a"], "y", domain="mine")])
    inner = helper.make_function("mine", "Own", ["p"], ["q"], [helper.make_node("Nope", ["p"], ["q"])],
                                 [helper.make_opsetid("", 17)])  # fmt: skip
    proto.functions.append(inner)
    with pytest.raises(pyinfer.UnsupportedError, match="Nope"):
        pyinfer.load(proto)
    assert pyinfer.doctor(proto).facts["model"]["unsupported"] == ["Nope"]
    inner.node[0].op_type = "Abs"
    del proto.functions[:]
    proto.functions.append(inner)
    assert pyinfer.doctor(proto).facts["model"]["unsupported"] == []


def test_of_models_that_others_made() -> None:
    folder = Path(onnx.__file__).parent / "backend" / "test" / "data"
    files = sorted(folder.rglob("model.onnx"))
    assert len(files) > 100
    for path in files:
        try:
            pyinfer.load(path)
            refused = False
        except pyinfer.UnsupportedError:
            refused = True
        file, proto = onnx_file.read(path.read_bytes()), onnx.load(path)
        assert bool(in_file.unsupported(file)) == refused, path
        assert [n.op for n in file.nodes][: len(proto.graph.node)] == [n.op_type for n in proto.graph.node], path
        for tensor, want in zip(file.weights, proto.graph.initializer, strict=True):
            assert tensor.name == want.name and tensor.dims == tuple(want.dims)
            assert tensor.dtype == helper.tensor_dtype_to_np_dtype(want.data_type).name


@pytest.mark.parametrize(
    "trace",
    [
        TRACE,
        TRACE + '\nFile "/y/site-packages/torch/nn.py", line 9, in forward\n    return F.foo(x)',
        'File "/y/torch/nn.py", line 9, in forward\n    return F.foo(x)',
        'File "<stdin>", line 5, in forward\nFile "<stdin>", line 6, in forward',
        'File "a.py", line 1, in f', "nonsense", "",
    ],
)  # fmt: skip
def test_lines_of_pytorch_are_those_that_the_engine_tells(trace: str) -> None:
    proto = model([node("Relu", ["x"], "y", trace)])
    (told,) = [row[3] for row in pyinfer.load(proto).inner_rows()]
    assert onnx_file.read(proto.SerializeToString()).nodes[0].source == (told or "")


def test_in_subgraphs_too() -> None:
    branch = helper.make_graph([node("Nope", ["x"], "inner")], "then",
                               [], [helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)])  # fmt: skip
    other = helper.make_graph([node("Add", ["x", "w"], "outer")], "else",
                              [], [helper.make_tensor_value_info("outer", TensorProto.FLOAT, None)])  # fmt: skip
    nodes = [
        node("ReduceMax", ["x"], "most", keepdims=0), node("Cast", ["most"], "c", to=TensorProto.BOOL),
        node("If", ["c"], "y", then_branch=branch, else_branch=other),
    ]  # fmt: skip
    facts = pyinfer.doctor(model(nodes, w=np.ones(4, np.float32))).facts["model"]
    assert facts["unsupported"] == ["Nope"] and facts["unused_weights"] == []


def test_opsets() -> None:
    relu = [node("Relu", ["x"], "y")]
    assert "newer" in one(pyinfer.doctor(model(relu, opset=99)), "note", "opset 99").text
    assert "old" in one(pyinfer.doctor(model(relu, opset=8)), "note", "opset 8").text
    one(pyinfer.doctor(model(relu)), "ok", "opset 17, IR version 8, written by a test")


def test_weights(tmp_path: Path) -> None:
    w = np.ones((4, 4), np.float32)
    w[0, :3], w[1, 1], w[2, 0] = 1e-40, np.nan, -0.0
    wide = np.full((4, 4), 2.0)
    wide[3, 3] = -5e-324
    product = model(
        [node("MatMul", ["x", "w"], "a"), node("Cast", ["wide"], "b", to=1), node("MatMul", ["a", "b"], "y")],
        w=w, wide=wide, never=np.zeros((50, 50), np.float32), normal=np.full(7, 1.2e-38, np.float32),
    )  # fmt: skip
    for report in (pyinfer.doctor(product), pyinfer.doctor(saved(product, tmp_path))):
        assert one(report, "note", "4 weights so small").details == ("w: 3 of 16", "wide: 1 of 16")
        assert one(report, "note", "1 weight is NaN").details == ("w: 1 of 16",)
        assert one(report, "note", "never used").details == ("never: 10.0 kB", "normal: 28 B")
        assert report.facts["model"]["weights"]["by_type"] == {"float32": 64 + 10_000 + 28, "float64": 128}
        assert report.ok


def test_many_weights_are_read_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_file, "CHUNK", 7)
    w = np.zeros((4, 25), np.float32)
    w[:, ::5] = 1e-39
    assert pyinfer.doctor(model([node("MatMul", ["x", "w"], "y")], w=w)).facts["model"]["denormal_weights"] == 20


def saved(proto: onnx.ModelProto, folder: Path) -> Path:
    """With its weights in another file."""
    path = folder / "model.onnx"
    onnx.save(proto, path, save_as_external_data=True, location="model.data", size_threshold=0)
    return path


def test_external_data(tmp_path: Path) -> None:
    product = model([node("MatMul", ["x", "w"], "y")], w=np.ones((4, 4), np.float32))
    path = saved(product, tmp_path)
    one(pyinfer.doctor(path), "ok", "external data: 1 file, all there")
    data = tmp_path / "model.data"
    os.truncate(data, 60)
    short = pyinfer.doctor(path)
    assert "it has 60 B" in one(short, "problem", "too short").details[0]
    data.unlink()
    missing = pyinfer.doctor(path)
    assert one(missing, "problem", "missing").details == ("model.data: 64 B, 1 weight",)
    assert len(missing.of("problem")) == len(short.of("problem")) == 1, "told once"
    bare = pyinfer.doctor(path.read_bytes())
    assert "by its path" in one(bare, "problem", "bytes have no folder").advice
    text = path.read_bytes().replace(b"model.data", b"../../data")
    path.write_bytes(text)
    one(pyinfer.doctor(path), "problem", "missing")


def test_slow_steps() -> None:
    nodes = [node("Erf", ["x"], "a", TRACE), node("Softmax", ["a"], "y")]
    report = pyinfer.doctor(model(nodes, TensorProto.DOUBLE), size=4000)
    slow = one(report, "slow", "on plain reference code")
    assert any("Erf 'the_a'" in line and "refused: " in line and "layer.py:12" in line for line in slow.details)
    assert "float32" in one(report, "note", "of float64").advice
    plan = one(pyinfer.doctor(model(nodes, TensorProto.DOUBLE), run=False), "slow", "2 steps run on plain")
    assert "%" not in plan.text
    half = pyinfer.doctor(model([node("Softmax", ["x"], "y")], TensorProto.FLOAT16))
    one(half, "note", "1 step is of 16-bit floats")
    quick = pyinfer.doctor(model([node("Softmax", ["x"], "y")]))
    assert not [f for f in quick.findings if "float64" in f.text or "16-bit" in f.text]


def test_a_run_that_gives_nan() -> None:
    report = pyinfer.doctor(model([node("Sqrt", ["x"], "y")]))
    assert "check_numbers" in one(report, "note", "NaN in y").advice


@pytest.mark.parametrize("source", [b"", b"nonsense", b"PK\x03\x04", "nothing.onnx"])
def test_what_is_no_model(source: Any) -> None:
    report = pyinfer.doctor(source)
    assert not report.ok and len(report.of("problem")) == 1
    with pytest.raises(pyinfer.PyinferError) as error:
        pyinfer.load(source)
    assert str(error.value) in one(report, "problem", "cannot be loaded").text


def test_inputs_that_nobody_can_make_up() -> None:
    proto = model([node("SequenceAt", ["x", "i"], "y")], i=np.int64(0))
    value = helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, None)
    proto.graph.input[0].CopyFrom(value)
    report = pyinfer.doctor(proto)
    assert report.ok and "inputs=" in one(report, "note", "not planned or run").advice
    given = pyinfer.doctor(proto, {"x": [np.ones(3, np.float32)]})
    assert given.facts["model"]["measured_ms"] > 0


def test_inputs_that_do_not_do() -> None:
    proto = model([node("Reshape", ["x", "s"], "y")], s=np.int64([3, 5]))
    assert "--size" in one(pyinfer.doctor(proto), "problem", "on such inputs").advice


def test_a_saved_plan(tmp_path: Path) -> None:
    path = tmp_path / "digits.plan"
    pyinfer.load(example.model_path()).save(path, example.pictures()[0])
    report = pyinfer.doctor(path)
    assert report.ok and report.facts["model"]["steps"] > 3
    one(report, "ok", "a saved plan")


def test_an_unknown_option() -> None:
    with pytest.raises(TypeError, match="speed"):
        pyinfer.doctor(example.model_path(), speed=1)


# ---- the reader of files ----


def test_damaged_files_are_no_trouble() -> None:
    good = tiny.linear()
    rng = np.random.default_rng(0)
    for at in range(len(good)):
        with_hole = bytearray(good)
        with_hole[at] = rng.integers(256)
        for data in (good[:at], bytes(with_hole)):
            try:
                onnx_file.read(data)
            except onnx_file.Damaged:
                pass


def test_graphs_within_graphs_end() -> None:
    graph = b""
    for _ in range(200):
        attribute = b"\x32" + _length(graph) + graph  # AttributeProto.g
        a_node = b"\x2a" + _length(attribute) + attribute  # NodeProto.attribute
        graph = b"\x0a" + _length(a_node) + a_node  # GraphProto.node
    with pytest.raises(onnx_file.Damaged, match="deep"):
        onnx_file.read(b"\x08\x08\x3a" + _length(graph) + graph)


def _length(data: bytes) -> bytes:
    n, out = len(data), b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def test_a_mapped_file_is_read_as_bytes_are(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(tiny.linear())
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert onnx_file.read(mapped) == onnx_file.read(tiny.linear())


# ---- the machine ----


def test_the_machine() -> None:
    report = pyinfer.doctor()
    assert report.ok and report.model is None and set(report.facts) == {"machine"}
    facts, config = report.facts["machine"], pyinfer.config()
    assert facts["threads"]["threads"] == int(config["threads"].split()[0])
    assert facts["openmp"] == config["openmp"].split(", ") and facts["onednn"] == config["onednn"]
    assert facts["packages"]["numpy"] == np.__version__
    assert set(facts["cpu"]["features"]) | set(facts["cpu"]["missing"]) >= {"avx2", "avx512", "avx512_vnni"}


def said_with(monkeypatch: pytest.MonkeyPatch, config: dict[str, str], **env: str) -> list[str]:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(machine, "config", lambda: {**pyinfer.config(), **config})
    return [f"{f.severity}: {f.text}" for f in pyinfer.doctor().findings]


def test_trouble_with_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    env = {"OMP_WAIT_POLICY": "active", "OMP_NUM_THREADS": "3", "OMP_PROC_BIND": "close", "PYINFER_ONEDNN": "off"}
    monkeypatch.delenv("PYINFER_THREADS", raising=False)
    found = "\n".join(
        said_with(
            monkeypatch,
            {"openmp": "/a/libgomp.so.1, /b/libiomp5.so", "onednn": "not found", "cpu": "any (limited to any)",
             "threads": "4096 (affinity mask)"},
            **env,
        )
    )  # fmt: skip
    assert "slow: 2 OpenMP libraries" in found
    assert "without AVX2" in found and "slow: PYINFER_ISA=any keeps" in found
    assert "slow: PYINFER_ONEDNN turns oneDNN off" in found
    assert "note: threads never sleep" in found
    assert "note: OMP_NUM_THREADS=3 is set" in found
    assert "note: OMP_PROC_BIND ties threads" in found


def test_missing_onednn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYINFER_ONEDNN", raising=False)
    assert "slow: oneDNN is not used: not found" in said_with(monkeypatch, {"onednn": "not found"})


@pytest.mark.parametrize(
    ("group", "files", "limit"),
    [
        ("0::/a/b", {"a/memory.max": "1000", "a/b/memory.max": "max"}, 1000),
        ("0::/a/b", {"memory.max": "900", "a/memory.max": "1000"}, 900),
        ("0::/", {"memory.max": "max"}, None),
        ("4:memory:/job\n0::/", {"memory/job/memory.limit_in_bytes": "5000"}, 5000),
        ("4:memory:/job", {"memory/job/memory.limit_in_bytes": "9223372036854771712"}, None),
        ("3:cpu:/job", {"memory/job/memory.limit_in_bytes": "5000"}, None),
    ],
)
def test_the_memory_of_a_control_group(group: str, files: dict[str, str], limit: int | None, tmp_path: Path) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(group + "\n")
    for name, text in files.items():
        path = tmp_path / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    assert machine.memory_limit(str(tmp_path)) == limit


def test_openmp_of_other_packages(tmp_path: Path) -> None:
    for name in ("torch/lib/libgomp.so.1", "learn.libs/libgomp-e985.so.1", "mk[l]/lib/libiomp5.so", "a/lib/libcompiler.so"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    found = machine.other_openmp(["/nowhere", str(tmp_path)])
    assert found == {"learn": f"{tmp_path}/learn.libs/libgomp-e985.so.1", "mk[l]": f"{tmp_path}/mk[l]/lib/libiomp5.so"}


# ---- the command ----


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor"]) == 0
    assert capsys.readouterr().out.startswith("machine\n")
    path = str(example.model_path())
    assert cli.main(["doctor", path, "--size", "2", "--threads", "1"]) == 0
    out, err = capsys.readouterr()
    assert "x [2, 1, 8, 8]" in out and "a run took" in out and not err
    assert cli.main(["doctor", path, "--no-run", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] and "measured_ms" not in report["facts"]["model"]
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(model([node("Foo", ["x"], "y")]).SerializeToString())
    assert cli.main(["doctor", str(bad), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert [f["severity"] for f in report["findings"] if f["about"] == "model"].count("problem") == 1
    assert cli.main(["doctor", path, "--option", "speed=1"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("pyinfer: ") and "speed" in err and len(err.splitlines()) == 1
