# SPDX-License-Identifier: Apache-2.0
"""What steps cost and why they are what they are: as numbers, text, tables and charts."""

from __future__ import annotations

import json
import pickle
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

import pyinfer
from pyinfer import _core, example
from support import tiny

X = example.pictures()[0]


@pytest.fixture(scope="module")
def digits() -> pyinfer.Model:
    return pyinfer.load(example.model_path(), threads=1)


def test_profile() -> None:
    """Rates are what was counted by the time it took; a lookup moves the rows that it takes, not the table."""
    weights = {"w": np.ones((64, 32), np.float32), "t": np.ones((1000, 64), np.float32)}
    nodes = [helper.make_node("Gather", ["t", "i"], ["x"]), helper.make_node("MatMul", ["x", "w"], ["y"])]
    m = pyinfer.load(tiny.model(nodes, [("i", np.int64, [48])], [("y", np.float32, [48, 32])], weights), threads=1)
    profile = m.profile(np.arange(48), repeat=3)
    lookup, product = profile.steps
    assert profile.threads == 1 and profile.peak_gflops > 0
    assert lookup.bytes == 48 * (64 * 4 * 2 + 8) and lookup.flops == lookup.gflops == lookup.share == 0
    assert product.flops == 2 * 48 * 64 * 32 and product.bytes == 4 * (48 * 64 + 64 * 32 + 48 * 32)
    for step in profile.steps:
        assert step.gflops == pytest.approx(step.flops / step.ms / 1e6) and step.gbytes == pytest.approx(step.bytes / step.ms / 1e6)
        assert step.share == pytest.approx(step.gflops / profile.peak_gflops)
    head, *rows, last = str(profile).splitlines()
    assert head.split() == "ms % GFLOP/s of peak MB GB/s operator by node".split() and len(rows) == 2
    assert f"{product.gflops:.1f}" in rows[1] and f"{100 * product.share:.1f} %" in rows[1] and "%" not in rows[0]
    assert f"peak {profile.peak_gflops:.1f} GFLOP/s on 1 thread" in last
    html = profile._repr_html_()
    assert html.count("<th>") == html.count("<td>") / 2 == 13 and f"<td>{product.gbytes:.1f}</td>" in html
    assert m.profile(np.arange(48), repeat=1).peak_gflops == profile.peak_gflops, "measured again"


def test_peak() -> None:
    for threads in (-1, 0, 1, 2, 1000):
        assert 0 < _core.peak_gflops(threads) < float("inf")
    with pytest.raises(TypeError):
        _core.peak_gflops("two")  # type: ignore[arg-type]
    assert 0 < _core.peak_gbytes(1) < float("inf")
    with pytest.raises(TypeError):
        _core.peak_gbytes("two")  # type: ignore[arg-type]


def test_plot(digits: pyinfer.Model, tmp_path: Path) -> None:
    """A bar for each operator and each step with its time, and a point for each step that has operations."""
    profile = digits.profile(X, repeat=2)
    chart = profile.plot(tmp_path / "p.png")
    assert (tmp_path / "p.png").stat().st_size > 20_000
    png = chart._repr_png_()  # type: ignore[attr-defined]  # for notebooks
    assert png.startswith(b"\x89PNG") and len(png) > 20_000
    operators, steps, roof = chart.axes
    slowest = sorted(profile.steps, key=lambda s: -s.ms)
    np.testing.assert_allclose([bar.get_width() for bar in steps.patches], [s.ms for s in slowest])
    assert [t.get_text().split()[0] for t in steps.get_yticklabels()] == [s.name for s in slowest]
    groups = profile.by_operator()
    np.testing.assert_allclose([bar.get_width() for bar in operators.patches], [g.ms for g in groups])
    assert sum(g.number for g in groups) == len(profile.steps) and sum(g.ms for g in groups) == pytest.approx(profile.ms)
    known = [(s.flops / s.bytes, s.gflops) for s in profile.steps if s.flops]
    np.testing.assert_allclose(roof.collections[0].get_offsets(), known)
    slope = roof.lines[0].get_xydata()
    np.testing.assert_allclose(slope[:, 1] / slope[:, 0], profile.peak_gbytes)
    assert roof.lines[-1].get_ydata()[0] == profile.peak_gflops


def test_without_matplotlib(digits: pyinfer.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"matplotlib.*pip install"):
        digits.profile(X, repeat=1).plot()


def test_many_odd_names(tmp_path: Path) -> None:
    """Names like HTML, formulas and nothing do no harm; of many steps the slowest are drawn."""
    nodes = [helper.make_node("Softmax", [f"y{i}"], [f"y{i + 1}"], ["<b>bold</b>", "$x_{1$", "", "a & b"][i % 4]) for i in range(40)]
    m = pyinfer.load(tiny.model(nodes, [("y0", np.float32, [4, 8])], [("y40", np.float32, [4, 8])]), threads=1)
    profile = m.profile(repeat=1)
    html = profile.html()
    assert "<b>" not in html and "&lt;b&gt;bold" in html and html == profile._repr_html_() and "http" not in html
    assert profile.html(tmp_path / "p.html") in (tmp_path / "p.html").read_text(encoding="utf-8")
    profile.plot(tmp_path / "p.png")
    explained = m.explain()._repr_html_()
    assert "<b>" not in explained and "&lt;b&gt;bold" in explained


def test_chrome_trace(digits: pyinfer.Model, tmp_path: Path) -> None:
    profile = digits.profile(X, repeat=1)
    profile.chrome_trace(tmp_path / "t.json")
    events = json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    assert [e["args"]["name"] for e in events] == [s.name for s in profile.steps]


def test_explain(digits: pyinfer.Model) -> None:
    """It is a text, and each step says which nodes it came from; every node of the file is in one."""
    text = digits.explain(X)
    assert isinstance(text, str) and repr(text) == str(text) == "\n".join(text.splitlines()) and pickle.loads(pickle.dumps(text)) == text
    rows = digits.steps((X,), 0)[0][0]
    assert [(s.name, s.impl, s.shapes) for s in text.steps] == [(r["name"], r["impl"], r["shapes"]) for r in rows]
    from_nodes = [n.name for s in text.steps for n in s.nodes]
    assert sorted(from_nodes) == sorted(row[1] for row in digits.inner_rows())
    first = text.steps[0]
    assert [n.op for n in first.nodes] == ["Conv", "Relu"] and first.layout == "channels-last"
    assert "fused: node_Conv_49 (Conv), node_relu (Relu)" in text
    assert all(s.isa for s in text.steps if s.impl != "ref") and not any(s.isa for s in text.steps if s.impl == "ref")
    html = text._repr_html_()
    assert html.count("<tr>") == len(text.steps) + 1 and first.refused.split(":")[0] in html
    plain = pyinfer.load(example.model_path(), level=0, threads=1).explain(X)
    assert all(len(s.nodes) == 1 and s.nodes[0].name == s.name for s in plain.steps) and "fused:" not in plain.replace("refused:", "")


def test_instructions() -> None:
    """Kernels are of the widest instructions that may be used; PYINFER_ISA is read once a process."""
    cpu = pyinfer.config()["cpu"]
    limit = re.search(r"limited to (\w+)", cpu)
    known = ["any", "avx2", "avx512"]
    most = known.index(limit[1].partition("_")[0]) if limit else 2
    has = cpu.partition("(")[0]
    widest = known[min(most, 2 if "avx512" in has else 1 if "avx2" in has else 0)]
    m = pyinfer.load(tiny.linear(), threads=1, onednn=0)
    assert {s.isa for s in m.explain((4, 3)).steps} <= {widest, ""}
    resize = helper.make_node("Resize", ["x", "", "s"], ["y"], "up", mode="linear")
    data = tiny.model([resize], [("x", np.float32, [1, 1, 4, 4])], [("y", np.float32, [1, 1, 8, 8])], {"s": np.float32([1, 1, 2, 2])})
    (step,) = pyinfer.load(data, threads=1).explain().steps
    assert step.isa == ("any" if widest == "any" else "avx2"), "it has no kernels for AVX-512"


def test_shapes_that_fold() -> None:
    """Nodes that only compute shapes belong to no step; one that two steps took in is in both."""
    nodes = [
        helper.make_node("Shape", ["x"], ["s"], "shape"),
        helper.make_node("Reshape", ["x", "s"], ["r"], "reshape"),
        helper.make_node("Neg", ["r"], ["n"], "neg"),
        helper.make_node("Exp", ["n"], ["e"], "exp"),
        helper.make_node("Add", ["e", "x"], ["y"], "add"),
    ]
    m = pyinfer.load(tiny.model(nodes, [("x", np.float32, ["n", 512])], [("y", np.float32, ["n", 512])]), threads=1)
    steps = m.explain((64, 512)).steps
    names = [n.name for s in steps for n in s.nodes]
    assert "shape" not in names and {"neg", "exp", "add"} <= set(names)


def test_given(digits: pyinfer.Model) -> None:
    assert digits.explain((6, 1, 8, 8)) == digits.explain(X) == digits.explain({"x": X}) != digits.explain()
    with pytest.raises(pyinfer.InputError, match="no input .z."):
        digits.explain({"z": X})
    with pytest.raises(pyinfer.InputError, match="expected"):
        digits.profile((6, 1, 8))
