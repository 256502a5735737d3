# SPDX-License-Identifier: Apache-2.0
"""Comparisons find the first value that differs, on the graph as it runs, and where NaN begins."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper

import pyinfer
from support import tiny

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
RNG = np.random.default_rng(0)
WEIGHTS = {
    "w1": RNG.standard_normal((16, 3, 3, 3)).astype(np.float32) / 4,
    "w2": RNG.standard_normal((16, 16, 3, 3)).astype(np.float32) / 8,
    "w3": RNG.standard_normal((16, 16, 3, 3)).astype(np.float32) / 8,
}
X = RNG.standard_normal((1, 3, 12, 12)).astype(np.float32)


def net(**changed: np.ndarray) -> bytes:
    """Three convolutions with activations, and a mean; each and its activation are one step."""
    names = ["x", "r1", "r2", "r3"]
    nodes = []
    for i in (1, 2, 3):
        nodes.append(helper.make_node("Conv", [names[i - 1], f"w{i}"], [f"c{i}"], f"conv{i}", pads=[1] * 4))
        nodes.append(helper.make_node("Relu", [f"c{i}"], [names[i]], f"relu{i}"))
    nodes.append(helper.make_node("GlobalAveragePool", ["r3"], ["y"], "mean"))
    ports = [("x", np.float32, ["n", 3, 12, 12])], [("y", np.float32, ["n", 16, 1, 1])]
    return tiny.model(nodes, *ports, WEIGHTS | changed)


def test_equal() -> None:
    m = pyinfer.load(net())
    for other in ("onnxruntime", pyinfer.load(net(), level=0)):
        found = pyinfer.compare(m, other, X)
        assert found.ok and found and found.first is None and found.nan is None
        assert [row.name for row in found.rows] == ["y"] and found.largest.relative < 1e-5
        assert str(found).startswith("agrees with") and "<table" in found._repr_html_()
    assert pyinfer.compare(m, m, {"x": X}, rtol=0, atol=0).largest.error == 0


def test_the_first_difference() -> None:
    worse = WEIGHTS["w2"].copy()
    worse[3] += 0.1
    found = pyinfer.compare(pyinfer.load(net()), pyinfer.load(net(w2=worse)), X)
    assert not found.ok and not found
    assert [(row.name, row.ok) for row in found.rows] == [("r1", True), ("r2", False), ("r3", False), ("y", False)]
    first = found.first
    assert first and (first.name, first.node, first.kind, first.shape) == ("r2", "conv2", "value", (1, 16, 12, 12))
    assert first.step.startswith("pyinfer.Conv [") and first.relative > 0.01 and first.nan is None
    text, html = str(found), found._repr_html_()
    assert "differs from the other model" in text and "first difference is in value 'r2'" in text
    assert html.count("<tr>") == 5 and "conv2" in html
    assert "differs" in repr(found)


def test_against_onnx_runtime_and_a_path(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(onnx.load_from_string(net()), path, save_as_external_data=True, location="weights", size_threshold=0)
    found = pyinfer.compare(path, "onnxruntime", X, tolerance=0)  # rounding differs somewhere
    assert not found.ok and found.first and found.largest.relative < 1e-4
    assert [row.name for row in found.rows] == ["r1", "r2", "r3", "y"]
    assert pyinfer.compare(path, path, X).ok
    pyinfer.load(path).save(tmp_path / "net.plan", X)
    with pytest.raises(pyinfer.InputError, match="saved plan"):
        pyinfer.compare(tmp_path / "net.plan", "onnxruntime", X)


def test_nan_and_infinity() -> None:
    holes = WEIGHTS["w2"].copy()
    holes[5, 0, 1, 1] = np.nan
    m = pyinfer.load(net(w2=holes), onednn=False)
    same = pyinfer.compare(m, "onnxruntime", X)
    assert same.nan and (same.nan.name, same.nan.nan) == ("r2", (0, 5, 0, 0)) and "NaN begins in value 'r2'" in str(same)
    assert same.ok and "144 NaN, 144 in the reference" in same.nan.note
    for a, b in ((m, pyinfer.load(net())), (pyinfer.load(net()), m)):
        found = pyinfer.compare(a, b, X)
        assert not found.ok and found.first and found.first.name == "r2" and np.isinf(found.largest.error)
    assert found.first and found.nan is None and "no NaN, " in found.first.note
    infinite = np.float32([[np.inf, np.nan, 1]])
    lin = pyinfer.load(tiny.linear())
    assert pyinfer.compare(lin, "onnxruntime", infinite).ok
    assert pyinfer.compare(lin, lin, np.zeros((0, 3), np.float32)).ok


def test_a_step_without_a_name() -> None:
    nodes = [helper.make_node("Log", ["x"], ["y"])]
    data = tiny.model(nodes, [("x", np.float32, [2])], [("y", np.float32, [2])])
    said = str(pyinfer.compare(data, "reference", np.float32([1, -1])))
    assert "NaN begins in output 'y', index [1], made by Log [" in said and "''" not in said


def test_limits() -> None:
    off = numpy_helper.to_array(onnx.load_from_string(tiny.linear()).graph.initializer[1]) + np.float32(0.01)
    proto = onnx.load_from_string(tiny.linear())
    proto.graph.initializer[1].CopyFrom(numpy_helper.from_array(off, "b"))
    x = np.float32([[1, 2, 3], [0, 0, 1]])
    a, b = pyinfer.load(tiny.linear()), pyinfer.load(proto)
    assert not pyinfer.compare(a, b, x).ok
    assert pyinfer.compare(a, b, x, tolerance=1e-3).ok and pyinfer.compare(a, b, x, atol=0.011).ok
    assert not pyinfer.compare(a, b, x, rtol=1e-3).ok and pyinfer.compare(a, b, x, rtol=1e-2).ok
    assert pyinfer.compare(a, b, x.astype(np.float64), tolerance=1e-3).ok


def test_what_cannot_be_compared() -> None:
    m = pyinfer.load(tiny.two())
    a = np.int64([1, 2])
    assert pyinfer.compare(m, "onnxruntime", (a, a)).ok
    with pytest.raises(pyinfer.InputError, match="1 array is given, but 2 are needed"):
        pyinfer.compare(m, m, a)
    with pytest.raises(TypeError, match="not int"):
        pyinfer.compare(m, 3, (a, a))
    with pytest.raises(pyinfer.InputError, match="2 outputs .* has 1"):
        pyinfer.compare(m, pyinfer.load(tiny.model([helper.make_node("Add", ["a", "b"], ["s"])],
                        [("a", np.int64, [2]), ("b", np.int64, [2])], [("s", np.int64, [2])])), (a, a))  # fmt: skip


def test_sequences() -> None:
    nodes = [helper.make_node("SplitToSequence", ["x"], ["s"], axis=0)]
    inputs = [helper.make_tensor_value_info("x", 1, [2, 3])]
    outputs = [helper.make_tensor_sequence_value_info("s", 1, None)]
    data = helper.make_model(helper.make_graph(nodes, "g", inputs, outputs), ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    found = pyinfer.compare(pyinfer.load(data), "onnxruntime", np.ones((2, 3), np.float32))
    assert found.ok and [row.name for row in found.rows] == ["s[0]", "s[1]"]


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c1 = torch.nn.Conv2d(3, 8, 3, padding=1)
        self.norm = torch.nn.BatchNorm2d(8)
        self.c2 = torch.nn.Conv2d(8, 8, 3, padding=1)
        self.last = torch.nn.Linear(8, 4)

    def forward(self, x: Any) -> Any:
        y = torch.relu(self.norm(self.c1(x)))
        z = torch.relu(self.c2(y) + y)
        return self.last(z.mean((2, 3)))


def test_against_a_module() -> None:
    torch.manual_seed(0)
    net, x = Net(), torch.rand(2, 3, 8, 8)
    m = pyinfer.from_torch(net, x)
    found = pyinfer.compare(m, net, x)
    assert found.ok and "run as in eval()" in str(found) and net.training
    net.eval()
    assert pyinfer.compare(m, net, x.numpy()).ok and pyinfer.compare(m, net, {"x": x}).ok
    with torch.no_grad():
        net.c2.weight[3] += 0.5
    found = pyinfer.compare(m, net, x)
    assert found.first and (found.first.name, found.first.kind) == ("relu_1", "value")
    assert "level=0" not in str(found), "the module's own values were not found"
    assert found.rows[0].name == "relu" and found.rows[0].ok
    assert found.first.source and ":" in found.first.source


class Residual(torch.nn.Module):
    """Its steps end in sums; each sum of a free size takes another number in the exporter's names."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = (torch.nn.Linear(8, 8) for _ in range(3))

    def forward(self, x: Any) -> Any:
        x = x + self.a(x)
        x = x + self.b(x)
        return (x + self.c(x)).mean(1)


def test_against_a_module_with_free_sizes() -> None:
    net, x = Residual().eval(), torch.rand(3, 5, 8)
    m = pyinfer.from_torch(net, x, ({0: "batch", 1: "length"},))
    with torch.no_grad():
        net.b.bias += 1
    for some in (x, x[:1], x[:1, :1]):
        found = pyinfer.compare(m, net, some)
        assert "level=0" not in str(found), "the module's own values were not found"
        assert found.first and found.first.kind == "value" and found.first.name.startswith("add")
        assert "x + self.b(x)" in (found.first.source or "")


def test_against_a_module_with_other_names() -> None:
    """The TorchScript exporter's names are not those of torch.export: level=0 is the reference within."""
    net, x = Net().eval(), torch.rand(2, 3, 8, 8)
    file = io.BytesIO()
    torch.onnx.export(net, (x,), file, dynamo=False)  # type: ignore[arg-type]
    m = pyinfer.load(file.getvalue())
    with torch.no_grad():
        net.c2.weight[3] += 0.5
    found = pyinfer.compare(m, net, x)
    assert not found.ok and found.first and found.first.kind == "output"
    assert "level=0" in str(found) and "all values within agree" in str(found)
