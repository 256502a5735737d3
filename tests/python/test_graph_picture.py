# SPDX-License-Identifier: Apache-2.0
"""Graphs as pictures: every node and edge is in them, whatever the names hold."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from onnx import helper

import pyinfer
from pyinfer import example
from pyinfer.drawing.graph import GraphPicture
from pyinfer.drawing.kinds import COLOURS, kind_of
from support import tiny

SVG = "{http://www.w3.org/2000/svg}"
X = example.pictures()[0]
ODD = "<b>&\"'\x01\ufffe ü"


def chain(length: int, name: str = "") -> pyinfer.Model:
    """x, relu'd and doubled so many times, each time added to x: edges from one value to everywhere."""
    nodes, last = [], "x"
    for i in range(length):
        nodes.append(helper.make_node("Relu", [last], [f"r{i}"], f"relu {i}{name}"))
        nodes.append(helper.make_node("Add", [f"r{i}", "x"], [f"y{i}"], f"add {i}{name}"))
        last = f"y{i}"
    return pyinfer.load(tiny.model(nodes, [("x", np.float32, ["n"])], [(last, np.float32, ["n"])]), threads=1)


def read(picture: GraphPicture) -> tuple[list[ElementTree.Element], list[ElementTree.Element], ElementTree.Element]:
    """Blocks, edges, and the whole."""
    root = ElementTree.fromstring(picture.svg)
    blocks = [g for g in root.iter(f"{SVG}g") if g.get("class") == "block"]
    edges = [p for p in root.iter(f"{SVG}path") if p.get("class") == "edge"]
    return blocks, edges, root


def tip(block: ElementTree.Element) -> str:
    return block.findtext(f"{SVG}title") or ""


def texts(block: ElementTree.Element) -> list[str]:
    return ["".join(t.itertext()) for t in block.iter(f"{SVG}text")]


def test_steps_and_nodes(tmp_path: Path) -> None:
    m = pyinfer.load(example.model_path(), threads=1)
    planned, file = m.graph(X), m.graph(X, passes=False)
    blocks, edges, root = read(planned)
    plan = m.plan_rows((X,))
    assert len(blocks) == len(plan["nodes"]) + 2 and len(edges) == len(blocks) - 1
    for step in plan["steps"]:
        name = f"{step['domain']}.{step['op']} {step['name']}".lstrip(".")
        block = next(b for b in blocks if tip(b).startswith(name) and step["impl"] in tip(b))
        assert step["shapes"] in tip(block) and step["isa"] in tip(block)
        assert block.find(f"{SVG}rect").get("fill") == COLOURS[kind_of(step["op"])]  # type: ignore[union-attr]
    assert any("Conv + Relu" in texts(b) and "node_relu (Relu)" in tip(b) for b in blocks)
    assert "6×8×8×16" in planned.svg and "6×16×8×8" in file.svg
    blocks, edges, root = read(file)
    inner = m.inner_rows()
    assert len(blocks) == len(inner) + 2 and [texts(b)[0] for b in blocks[1:-1]] == [row[2] for row in inner]
    assert texts(blocks[0]) == ["x"] and texts(blocks[-1]) == ["probabilities"]
    assert str(file).splitlines()[0] == "digits.onnx: as in the file, before the passes: 10 nodes" and len(str(file).splitlines()) == 11
    planned.save(tmp_path / "g.svg")
    assert (tmp_path / "g.svg").read_text(encoding="utf-8") == planned.svg == planned._repr_svg_()
    assert planned.svg in planned._repr_html_() and "http" not in re.sub(r'xmlns="[^"]*"', "", planned.svg)


def test_time() -> None:
    m = pyinfer.load(example.model_path(), threads=1)
    profile = m.profile(X, repeat=1)
    picture = m.graph(X, profile=profile)
    blocks, _, _ = read(picture)
    slow = max(profile.steps, key=lambda s: s.ms)
    hot = [b for b in blocks if b.find(f"{SVG}rect").get("fill") == "#e8731e"]  # type: ignore[union-attr]
    assert len(hot) == 1 and slow.name in tip(hot[0]) and f"{slow.ms:.3f} ms" in " ".join(texts(hot[0]))
    with pytest.raises(pyinfer.InputError, match="other steps"):
        m.graph(X, passes=False, profile=profile)


def test_names_are_escaped() -> None:
    m = chain(3, ODD)
    for picture in (m.graph((4,)), m.graph((4,), passes=False)):
        blocks, _, _ = read(picture)  # it is XML
        assert "<b>" not in picture.svg and any("<b>&\"'?\ufffd ü" in tip(b) for b in blocks)


def test_all_of_many_nodes() -> None:
    """Columns are folded; blocks do not overlap, nothing is off the sheet, and edges begin and end at their blocks."""
    picture = chain(250).graph((4,), passes=False)
    blocks, edges, root = read(picture)
    assert len(blocks) == 502 and len(edges) == 250 + 500 + 1
    width, height = float(root.get("width", 0)), float(root.get("height", 0))
    assert max(width, height) < 8000, "a sheet, not a ribbon"
    group = next(g for g in root.iter(f"{SVG}g") if g.get("transform"))
    shift = float(re.findall(r"[\d.]+", group.get("transform", ""))[0])
    boxes = []
    for block in blocks:
        rect = block.find(f"{SVG}rect")
        assert rect is not None
        x, y, w, h = (float(rect.get(k, 0)) for k in ("x", "y", "width", "height"))
        assert 0 <= x + shift and x + w + shift <= width and 0 <= y and y + h <= height
        boxes.append((x, y, x + w, y + h))
    for i, a in enumerate(boxes):
        for b in boxes[:i]:
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
    starts, ends = [((a + c) / 2, d) for a, _, c, d in boxes], [((a + c) / 2, b) for a, b, c, _ in boxes]
    ways: set[tuple[float, float]] = set()  # where an edge may leave what another one drew
    for edge in edges:
        numbers = [float(n) for n in re.findall(r"-?[\d.]+", edge.get("d", ""))]
        assert tuple(numbers[:2]) in ways or any(abs(numbers[0] - x) <= 1 and abs(numbers[1] - y) <= 1 for x, y in starts)
        ways.update(zip(numbers[::2], numbers[1::2], strict=True))
        assert any(abs(numbers[-2] - x) <= 1 and abs(numbers[-1] + 1 - y) <= 1 for x, y in ends)
        assert all(-shift <= n <= width for n in numbers[::2]) and all(0 <= n <= height for n in numbers[1::2])


def test_views_several_outputs_and_absent_inputs() -> None:
    nodes = [
        helper.make_node("Split", ["x"], ["a", "b"], "split", axis=0),
        helper.make_node("Flatten", ["a"], ["f"], "flat"),
        helper.make_node("Clip", ["f", "", "most"], ["c"], "clip"),
        helper.make_node("Neg", ["b"], ["d"], "neg"),
    ]
    data = tiny.model(nodes, [("x", np.float32, [4, 3])], [("c", np.float32, [2, 3]), ("d", np.float32, [2, 3])], {"most": np.float32(1)})
    picture = pyinfer.load(data, threads=1).graph(passes=False)
    blocks, edges, _ = read(picture)
    assert len(blocks) == 7 and len(edges) == 6 and picture.title == "a model"
    assert "Split split: x f32[4, 3] -> a f32[2, 3], b f32[2, 3]" in str(picture)
    planned = pyinfer.load(data, threads=1).graph()
    dashed = [b for b in read(planned)[0] if b.find(f"{SVG}rect").get("stroke-dasharray")]  # type: ignore[union-attr]
    assert all("no step" in tip(b) for b in dashed)


def test_no_nodes() -> None:
    """What is known before the run leaves nothing to draw."""
    node = helper.make_node("Neg", ["w"], ["y"], "neg")
    m = pyinfer.load(tiny.model([node], [], [("y", np.float32, [2])], {"w": np.ones(2, np.float32)}), threads=1)
    blocks, edges, root = read(m.graph())
    assert not blocks and not edges and float(root.get("width", 0)) > 0
    assert str(m.graph()) == "a model: as it runs, after the passes: 0 steps, 0 views" and not m.explain().steps
    assert m.memory().arena == m.memory().lower_bound == 0
    m.memory().plot()
    m.profile(repeat=1).plot()
    assert len(read(m.graph(passes=False))[0]) == 2


def test_titles_fit_into_their_blocks() -> None:
    helvetica_bold = {"C": 722, "o": 611, "n": 611, "v": 556, " ": 278, "+": 584, "B": 722, "a": 556, "t": 333, "c": 556}
    helvetica_bold |= {"h": 611, "…": 1000, "i": 278, "R": 722, "e": 556, "l": 278, "u": 611, "N": 722, "z": 500}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("BatchNormalization", ["c", "s", "b", "m", "v"], ["n"]),
        helper.make_node("Relu", ["n"], ["y"]),
    ]
    rng = np.random.default_rng(0)
    weights = {"w": rng.random((8, 3, 3, 3), np.float32)} | {n: rng.random(8, np.float32) + 1 for n in "sbmv"}
    ports = [("x", np.float32, [1, 3, 9, 9])], [("y", np.float32, [1, 8, 7, 7])]
    blocks, _, _ = read(pyinfer.load(tiny.model(nodes, *ports, weights)).graph())
    (title,) = (texts(b)[0] for b in blocks if texts(b)[0].startswith("Conv + "))
    assert title.endswith("n + Relu")
    assert sum(helvetica_bold[letter] for letter in title) * 12 / 1000 < 176 - 10
