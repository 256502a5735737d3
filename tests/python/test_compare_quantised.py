# SPDX-License-Identifier: Apache-2.0
"""Comparisons of models that onnxruntime.quantization made: what rounding explains is no difference, a wrong scale is one,
and it is found where it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    quantize_dynamic,
    quantize_static,
)

import pyinfer
from pyinfer import cli
from pyinfer._quantised import Noise
from pyinfer.comparison import Difference, _conclude
from support import tiny

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c1 = torch.nn.Conv2d(1, 16, 3, padding=1)
        self.norm = torch.nn.BatchNorm2d(16)
        self.c2 = torch.nn.Conv2d(16, 16, 3, padding=1)
        self.l1 = torch.nn.Linear(16 * 16, 32)
        self.l2 = torch.nn.Linear(32, 5)

    def forward(self, x: Any) -> Any:
        y = torch.relu(self.norm(self.c1(x)))
        y = torch.relu(self.c2(y) + y)
        y = torch.max_pool2d(y, 2).flatten(1)
        y = torch.relu(self.l1(y))
        return self.l2(y)


class Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, x: torch.Tensor) -> None:
        self.batches: Iterator[Any] = iter({"x": part.numpy()} for part in x.split(32))

    def get_next(self) -> Any:
        return next(self.batches, None)


def made(seed: int, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures of five kinds: a pattern each, and noise."""
    rng = np.random.default_rng(seed)
    kinds = np.random.default_rng(0).random((5, 1, 8, 8))
    label = rng.integers(0, 5, n)
    x = 0.7 * kinds[label] + 0.3 * rng.random((n, 1, 8, 8))
    return torch.tensor(x, dtype=torch.float32), torch.tensor(label)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """net.onnx, and qdq.onnx, each.onnx (scales per channel), operators.onnx, dynamic.onnx, made of it."""
    torch.manual_seed(0)
    net, (x, label) = Net(), made(1, 256)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    for rows in [*torch.randperm(256).split(64)] * 5:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(x[rows]), label[rows]).backward()
        optimizer.step()
    net.eval()
    assert (net(x).argmax(1) == label).float().mean() > 0.9
    folder = tmp_path_factory.mktemp("quantised")
    file = str(folder / "net.onnx")
    torch.onnx.export(net, (x[:4],), file, dynamic_shapes=({0: "batch"},), external_data=False, verbose=False)
    torch.save(net.state_dict(), folder / "net.pt")
    static = {"qdq": {}, "each": {"per_channel": True}}
    for name, more in static.items():
        quantize_static(file, folder / f"{name}.onnx", Reader(x), quant_format=QuantFormat.QDQ, **more)
    only = ["Conv", "MatMul", "MaxPool"]  # the other ones are of Microsoft's domain in this form
    operators = {"quant_format": QuantFormat.QOperator, "op_types_to_quantize": only}
    quantize_static(file, folder / "operators.onnx", Reader(x), **operators)
    quantize_dynamic(file, folder / "dynamic.onnx")
    return folder


@pytest.fixture(scope="module")
def net(folder: Path) -> Net:
    net = Net()
    net.load_state_dict(torch.load(folder / "net.pt"))
    return net.eval()


X = made(2, 8)[0]
FORMS = ["qdq", "each", "operators", "dynamic"]


def with_scale(path: Path, name: str, factor: float) -> Path:
    """The model with one scale that is wrong by this factor."""
    proto = onnx.load(path)
    (scale,) = [w for w in proto.graph.initializer if w.name == name]
    scale.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(scale) * np.float32(factor), name))
    broken = path.with_name(f"broken_{path.name}")
    onnx.save(proto, broken)
    return broken


@pytest.mark.parametrize("form", FORMS)
def test_rounding_is_no_difference(folder: Path, net: Net, form: str) -> None:
    m = pyinfer.load(folder / f"{form}.onnx")
    for other in (folder / "net.onnx", "onnxruntime", "reference", net):
        found = pyinfer.compare(m, other, X)
        assert found.ok and found.first is None, str(found)
        assert "as one is quantised" in str(found) and 0 <= found.largest.rms < 0.03
    assert not pyinfer.compare(m, net, X, tolerance=1e-4).ok, "a limit that is given counts"
    assert not pyinfer.compare(m, net, X, atol=1e-6).ok
    back = pyinfer.compare(folder / "net.onnx", m, X)
    assert back.ok and "as one is quantised" in str(back)


CASES = [
    ("qdq", "x_scale", 0.25, "x_QuantizeLinear", None),
    ("qdq", "relu_scale", 0.25, "node_Conv_", "self.norm(self.c1(x))"),
    ("each", "relu_1_scale", 0.25, "node_add_", "self.c2(y) + y"),
    ("qdq", "c2.weight_scale", 4, "node_conv2d_1", "self.c2(y) + y"),
    ("each", "l1.weight_scale", 0.25, "node_linear", "self.l1(y)"),
    ("qdq", "relu_2_scale", 0.25, "node_linear", "self.l1(y)"),
    ("qdq", "linear_1_scale", 0.25, "node_linear_1", "self.l2(y)"),
    ("operators", "c2.weight_scale", 4, "node_conv2d_1_quant", "self.c2(y) + y"),
    ("operators", "relu_scale", 0.25, "node_relu", "self.norm(self.c1(x))"),
    ("dynamic", "c2.weight_scale", 0.25, "conv2d_1_bias_add", "self.c2(y) + y"),
    ("dynamic", "l2.weight_Transposed_scale", 4, "node_linear_1_Add", "self.l2(y)"),
]


@pytest.mark.parametrize(("form", "scale", "factor", "node", "line"), CASES)
def test_a_wrong_scale_is_found_where_it_is(
    folder: Path, net: Net, form: str, scale: str, factor: float, node: str, line: str | None
) -> None:
    broken = with_scale(folder / f"{form}.onnx", scale, factor)
    with_net = scale in ("c2.weight_scale", "linear_1_scale")  # each of these is an export
    for other in (folder / "net.onnx", net)[: 1 + with_net]:
        found = pyinfer.compare(broken, other, X)
        first = found.first
        assert first and not found.ok and first.node.startswith(node), str(found)
        assert line in (first.source or "") if line else first.source is None
        assert f"of node '{first.node}'" in found.verdict()[1]
        before = found.rows[: found.rows.index(first)]
        assert all(row.ok and row.rms < 0.05 for row in before)
        assert np.isfinite(first.rms) and first.dtype == "float32"
    assert pyinfer.compare(broken, "onnxruntime", X).ok, "both run what the file says"


def test_the_table_tells_that_values_are_cut_off(folder: Path, net: Net) -> None:
    broken = with_scale(folder / "qdq.onnx", "relu_scale", 0.25)
    said = str(pyinfer.compare(broken, net, X))
    assert "first difference is in value 'relu_QuantizeLinear_Output'" in said
    assert "integers reach from 0 to " in said and ", floats from 0 to " in said and "level=0" not in said
    whole = pyinfer.compare(broken, folder / "qdq.onnx", X)  # of two quantised models, too
    assert whole.first and whole.first.name == "relu_QuantizeLinear_Output" and "integers reach" in whole.first.note
    back = pyinfer.compare(folder / "net.onnx", broken, X)
    assert back.first and back.first.name == "relu" and back.first.node.startswith("node_Conv_")


def test_a_scale_that_is_an_input() -> None:
    """Of two models that differ in a weight behind it."""

    def model(weight: float) -> pyinfer.Model:
        nodes = [
            helper.make_node("QuantizeLinear", ["x", "s"], ["q"]),
            helper.make_node("DequantizeLinear", ["q", "s"], ["d"]),
            helper.make_node("Mul", ["d", "w"], ["m"]),
            helper.make_node("Exp", ["m"], ["y"]),
        ]
        ports = [("x", np.float32, ["n"]), ("s", np.float32, [])], [("y", np.float32, ["n"])]
        return pyinfer.load(tiny.model(nodes, *ports, {"w": np.float32([weight])}))

    found = pyinfer.compare(model(1), model(2), (np.linspace(0, 2, 100, dtype=np.float32), np.float32(0.01)))
    assert found.first and found.first.name == "y" and [row.name for row in found.rows if row.ok] == ["q", "d"], str(found)


def test_in_a_terminal(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(folder / "x.npy", X.numpy())
    words = ["--with", str(folder / "net.onnx"), "--input", f"x={folder / 'x.npy'}"]
    assert cli.main(["compare", str(folder / "qdq.onnx"), *words]) == 0
    assert "agrees with" in capsys.readouterr().out
    broken = with_scale(folder / "qdq.onnx", "relu_scale", 0.1)
    assert cli.main(["compare", str(broken), *words]) == 1
    assert "first difference is in value 'relu_QuantizeLinear_Output'" in capsys.readouterr().out
    assert cli.main(["compare", str(folder / "qdq.onnx"), *words[:2]]) == 1  # random: not what it was calibrated on
    said = capsys.readouterr().out
    assert "in value 'x_QuantizeLinear_Output'" in said and "integers reach from" in said


def test_names_of_another_exporter(folder: Path, net: Net) -> None:
    torch.onnx.export(net, (X,), folder / "old.onnx", dynamo=False, input_names=["x"], dynamic_axes={"x": [0]})  # type: ignore[arg-type]
    quantize_static(folder / "old.onnx", folder / "old_q.onnx", Reader(made(1, 64)[0]), quant_format=QuantFormat.QDQ)
    assert pyinfer.compare(folder / "old_q.onnx", net, X).ok
    broken = with_scale(folder / "old_q.onnx", "/Relu_output_0_scale", 0.25)
    found = pyinfer.compare(broken, net, X)
    assert not found.ok and "values within have the same name there; compare with the ONNX file from before" in str(found)
    found = pyinfer.compare(broken, folder / "old.onnx", X)
    assert found.first and found.first.node == "/c1/Conv", str(found)


def test_an_error_that_grows_step_by_step() -> None:
    """No value stands out: then none is named, but the output differs."""

    def rows(*rms: float) -> list[Difference]:
        kinds = ["value"] * (len(rms) - 1) + ["output"]
        known = [Difference(f"v{i}", k, "", "", None, (1,), "", 1, 1, rms[i], True, None, "") for i, k in enumerate(kinds)]
        return Noise({row.name for row in known}, 0.1, 0.03).judged(known)

    grown = rows(0.01, 0.02, 0.04, 0.09, 0.18, 0.3, 0.2)
    assert [row.ok for row in grown] == [True] * 6 + [False]
    assert "no value within stands out" in str(_concluded(grown))
    jumped = rows(0.01, 0.02, 0.3, 0.2, 0.05, 0.3, 0.2)
    assert [row.ok for row in jumped] == [True, True, False, False, True, False, False]
    assert [row.ok for row in rows(0.001, 0.02, 0.09)] == [True, True, False], "a jump at the output itself"


def _concluded(rows: list[Difference]) -> list[str]:
    notes: list[str] = []
    _conclude(rows, True, notes)
    return notes
