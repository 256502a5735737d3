# SPDX-License-Identifier: Apache-2.0
"""The graph of what runs: blocks, edges, places, values inside."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import pyinfer
from pyinfer import example
from pyinfer.demo import network
from pyinfer.demo.session import Session, open_model
from pyinfer.drawing.layout import layout
from support import tiny


def residual() -> onnx.ModelProto:
    """relu(conv(x) + skip(x)), then the mean."""
    rng = np.random.default_rng(0)
    sizes = {"w": [8, 3, 3, 3], "v": [8, 3, 1, 1]}
    weights = [helper.make_tensor(n, TensorProto.FLOAT, s, rng.standard_normal(int(np.prod(s)))) for n, s in sizes.items()]
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["x", "v"], ["b"], "skip"),
        helper.make_node("Add", ["a", "b"], ["c"], "add"),
        helper.make_node("Relu", ["c"], ["d"], "relu"),
        helper.make_node("GlobalAveragePool", ["d"], ["y"], "mean"),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 16, 16])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "g", [x], [y], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_blocks() -> None:
    opened = open_model(residual(), threads=1)
    blocks = opened.blocks(opened.feeds())
    assert [b.op for b in blocks].count("Conv") == 2
    joined = next(b for b in blocks if "Relu" in b.merged)
    other = next(i for i, b in enumerate(blocks) if b.op == "Conv" and b is not joined)
    turned = next(i for i, b in enumerate(blocks) if b.op == "Transpose")
    assert joined.merged == ["Add", "Relu"] and joined.parents == [turned, other] and joined.value == "d"
    assert blocks[other].parents == [turned] and not blocks[turned].parents
    assert blocks[-1].parents == [blocks.index(joined)] and blocks[-1].value == "y"
    assert all(b.ms > 0 and b.impl for b in blocks)


def test_values_inside() -> None:
    opened = open_model(residual(), threads=1)
    x = np.random.default_rng(1).standard_normal((1, 3, 16, 16)).astype(np.float32)
    blocks = opened.blocks(opened.feeds(x))
    values = opened.activations(opened.feeds(x), blocks, len(blocks) - 1)
    assert values["d"].shape == (1, 8, 16, 16) and values["d"].min() == 0
    assert np.allclose(values["d"].mean((2, 3), keepdims=True), opened.model(x), atol=1e-5)
    assert np.allclose(values["y"], opened.model(x), atol=1e-5)


def test_only_one_value_where_all_are_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = open_model(residual(), threads=1)
    blocks = opened.blocks(opened.feeds())
    monkeypatch.setattr("pyinfer.demo.session.MOST_BYTES", 100)
    assert blocks[-1].value in opened.activations(opened.feeds(), blocks, len(blocks) - 1)


def test_views_are_no_blocks() -> None:
    nodes = [
        helper.make_node("Neg", ["x"], ["a"]),
        helper.make_node("Reshape", ["a", "s"], ["b"]),
        helper.make_node("CumSum", ["b", "axis"], ["y"]),
    ]
    ports, weights = ([("x", np.float32, [2, 3])], [("y", np.float32, [6])]), {"s": np.int64([6]), "axis": np.int64(0)}
    model = pyinfer.load(tiny.model(nodes, *ports, weights))
    blocks = network.blocks(model, (np.ones((2, 3), np.float32),), 2)
    assert [(b.op, b.parents) for b in blocks] == [("Neg", []), ("CumSum", [0])]
    assert blocks[0].output_bytes == 24 and not blocks[0].merged


def test_places() -> None:
    parents = [[], [0], [1], [0, 2], [3], [3], [4, 5, 0]]
    plan = layout(parents)
    assert [y for _, y in plan.places] == [0, 1, 2, 3, 4, 4, 5] and plan.rows == 6
    assert len(plan.edges) == sum(map(len, parents))
    for (parent, child), path in plan.edges.items():
        assert path[0] == plan.places[parent] and path[-1] == plan.places[child]
        assert [y for _, y in path] == list(range(int(path[0][1]), int(path[-1][1]) + 1))
    points = {p for path in plan.edges.values() for p in path}
    for y in range(plan.rows):
        row = sorted(px for px, py in points if py == y)
        assert all(b - a > 0.249 for a, b in zip(row, row[1:], strict=False)), "blocks and edges keep apart"
        row = sorted(px for px, py in plan.places if py == y)
        assert all(b - a > 0.999 for a, b in zip(row, row[1:], strict=False)), "blocks keep apart"
    assert plan.edges[0, 6][1:4] == plan.edges[0, 3][1:-1] + [plan.edges[0, 6][3]], "edges of a block share their way"
    assert layout([]).rows == 0


def test_a_session_remembers_inputs(tmp_path: Path) -> None:
    session = Session(threads=1)
    assert session.input_of(session.opened)["x"].shape == (1, 1, 8, 8)
    onnx.save(residual(), tmp_path / "residual.onnx")
    other = session.with_model(str(tmp_path / "residual.onnx"), ["a", "b"], 1)
    assert other.drawn is session.digits and other.opened.labels == ["a", "b"] and other.opened.name == "residual.onnx"
    assert other.input_of(other.opened)["x"].shape == (1, 3, 16, 16)
    exact = other.with_model(str(tmp_path / "residual.onnx"), None, 1, exact=True)
    assert exact.exact and exact.digits is not session.digits and exact.with_model(None, None, 1).exact
    again = other.with_model(None, None, 2)
    assert not again.exact
    assert again.opened is again.digits and again.threads == 2 and again.opened.labels[7] == "7"


def test_sources() -> None:
    loaded = pyinfer.load(example.model_path(), threads=1)
    opened = open_model(loaded, threads=2)
    assert opened.model.threads == 2 and loaded.threads == 1
    assert open_model(Path(example.model_path()).read_bytes()).blocks({"x": example.pictures()[0]})[0].op == "Conv"
