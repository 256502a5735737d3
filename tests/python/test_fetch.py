# SPDX-License-Identifier: Apache-2.0
"""Intermediate values by name: they are what the file says, and asking for them changes nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import pyinfer
from pyinfer import fetch
from support import tiny

RNG = np.random.default_rng(0)
W = {
    "w1": RNG.standard_normal((16, 3, 3, 3)).astype(np.float32) / 4,
    "w2": RNG.standard_normal((16, 16, 3, 3)).astype(np.float32) / 8,
    "b": RNG.standard_normal(16).astype(np.float32),
}


def net(size: int | str = "h") -> bytes:
    """Conv, Relu, Conv, Add, Relu, mean: fused into three steps, channels-last."""
    return tiny.model(
        [
            helper.make_node("Conv", ["x", "w1", "b"], ["c1"], "first/conv", pads=[1] * 4),
            helper.make_node("Relu", ["c1"], ["r1"], "first/relu"),
            helper.make_node("Conv", ["r1", "w2"], ["c2"], "second/conv", pads=[1] * 4),
            helper.make_node("Add", ["c2", "r1"], ["s2"], "second/add"),
            helper.make_node("Relu", ["s2"], ["r2"], "second/relu"),
            helper.make_node("GlobalAveragePool", ["r2"], ["y"], "mean"),
        ],
        [("x", np.float32, ["n", 3, size, size])],
        [("y", np.float32, ["n", 16, 1, 1])],
        W,
    )


def picture(size: int = 12, n: int = 2) -> np.ndarray:
    return np.random.default_rng(size).standard_normal((n, 3, size, size)).astype(np.float32)


def check(got: dict[str, np.ndarray], x: np.ndarray) -> None:
    """The relations of the net hold between the values."""
    np.testing.assert_array_equal(got["r1"], np.maximum(got["c1"], 0))
    np.testing.assert_allclose(got["s2"], got["c2"] + got["r1"], atol=1e-5)
    np.testing.assert_array_equal(got["r2"], np.maximum(got["s2"], 0))
    np.testing.assert_allclose(got["y"], got["r2"].mean((2, 3), keepdims=True), atol=1e-5)
    centre = np.einsum("nchw,ochw->no", x[:, :, 4:7, 4:7], W["w1"]) + W["b"]
    np.testing.assert_allclose(got["c1"][:, :, 5, 5], centre, atol=1e-4)


@pytest.mark.parametrize("size", ["h", 12])
def test_names_and_patterns(size: int | str) -> None:
    m = pyinfer.load(net(size))
    x = picture()
    before = m(x)
    got = m.run({"x": x}, fetch=["c1", "first/relu", "second/*"])
    assert list(got) == ["y", "c1", "first/relu", "c2", "s2", "r2"]
    assert got["c1"].shape == got["r2"].shape == (2, 16, 12, 12)
    check(got | {"r1": got["first/relu"]}, x)
    assert list(m.run(x, fetch=["r?"])) == ["y", "r1", "r2"]
    assert list(m.run((x,), outputs=[], fetch=["r1"])) == ["r1"]
    assert list(m.run(x, fetch=["y", "mean"])) == ["y", "mean"]
    assert m(x).tobytes() == before.tobytes() == m.run(x)["y"].tobytes()


def test_other_shapes_and_levels() -> None:
    for options in ({}, {"level": 0}, {"level": 1}, {"onednn": False}, {"threads": 1}):
        m = pyinfer.load(net(), **options)
        for n, size in ((1, 8), (3, 9), (2, 16)):
            check(m.run(picture(size, n), fetch=["*"]), picture(size, n))


def test_values_at_the_ends_of_steps_leave_the_plan_as_it_is() -> None:
    m = pyinfer.load(net(12))
    x = picture()
    steps = m.steps((x,), 0)[0][0]
    ends = [s["value"] for s in steps if s["op"] != "Transpose"]
    assert ends == ["r1", "r2", "y"]
    got = m.run(x, fetch=ends)
    (variant,) = m._variants.values()
    others = [s for s in variant.steps((x,), 0)[0][0] if s["op"] != "Transpose"]
    assert [(s["op"], s["impl"], s["value"]) for s in others] == [(s["op"], s["impl"], s["value"]) for s in steps if s["value"] in ends]
    assert got["y"].tobytes() == m(x).tobytes()


@pytest.mark.parametrize("level", [0, 2])
def test_weights_by_name(level: int) -> None:
    m = pyinfer.load(net(12), level=level)
    got = m.run(picture(), fetch=["w2", "r1", "b"])
    assert list(got) == ["y", "w2", "r1", "b"] and got["y"].tobytes() == m(picture()).tobytes()
    np.testing.assert_array_equal(got["w2"], W["w2"])
    np.testing.assert_array_equal(got["b"], W["b"])
    assert list(m.run(picture(), fetch=["*"])) == ["y", "c1", "r1", "c2", "s2", "r2"], "a pattern matches no weight"


def test_unknown_names_say_what_is_near() -> None:
    m = pyinfer.load(net())
    for wrong, near in ((["firs/conv"], "first/conv"), (["*relo*"], "first/relu"), (["c1", "c7"], "c7.*c1"), (["R1"], "r1")):
        with pytest.raises(pyinfer.InputError, match=near):
            m.run(picture(), fetch=wrong)
    with pytest.raises(pyinfer.InputError, match="'x' is an input"):
        m.run(picture(), fetch=["x"])
    with pytest.raises(TypeError, match=r"\['c1'\]"):
        m.run(picture(), fetch="c1")
    with pytest.raises(pyinfer.InputError, match="2 arrays are given"):
        m.run((picture(), picture()), fetch=["c1"])
    with pytest.raises(pyinfer.InputError, match="no value 'nothing'"):
        fetch.variant(m, ["nothing"])


def test_variants_are_kept_but_not_many() -> None:
    m = pyinfer.load(net())
    m.run(picture(), fetch=["c1"])
    (kept,) = m._variants.values()
    m.run(picture(), fetch=["first/conv"])
    assert [*m._variants.values()] == [kept]
    for name in ("r1", "c2", "s2", "r2", "c1"):
        m.run(picture(), fetch=[name])
    assert len(m._variants) == fetch.KEPT and m._variants["c1",] is not kept
    m.close()
    assert not m._variants
    with pytest.raises(pyinfer.InputError, match="closed"):
        m.run(picture(), fetch=["c1"])


def test_the_list_of_values() -> None:
    rows = fetch.values(pyinfer.load(net()))
    assert [r.name for r in rows] == ["c1", "r1", "c2", "s2", "r2", "y"]
    assert rows[0] == ("c1", "first/conv", "Conv", None)


def test_external_data_and_a_file_that_changes(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    proto = onnx.load_from_string(net())
    onnx.save(proto, path, save_as_external_data=True, location="weights", size_threshold=0)
    m = pyinfer.load(path)
    check(m.run(picture(), fetch=["*"]), picture())
    path.write_bytes(tiny.linear())
    with pytest.raises(pyinfer.FileError, match="changed"):
        m.run(picture(), fetch=["c1"])


def test_from_a_saved_plan(tmp_path: Path) -> None:
    pyinfer.load(net()).save(tmp_path / "net.plan", picture())
    check(pyinfer.load(tmp_path / "net.plan").run(picture(), fetch=["*"]), picture())


def test_functions_are_expanded_bodies_are_not_reached() -> None:
    f = helper.make_function(
        "own", "Twice", ["a"], ["c"],
        [helper.make_node("Neg", ["a"], ["b"]), helper.make_node("Mul", ["b", "b"], ["c"])],
        [helper.make_opsetid("", 17)],
    )  # fmt: skip
    body = helper.make_graph(
        [helper.make_node("Exp", ["z"], ["inside"])], "body", [], [helper.make_tensor_value_info("inside", TensorProto.FLOAT, None)]
    )
    other = helper.make_graph(
        [helper.make_node("Neg", ["z"], ["also"])], "other", [], [helper.make_tensor_value_info("also", TensorProto.FLOAT, None)]
    )
    nodes = [
        helper.make_node("Twice", ["x"], ["z"], "call", domain="own"),
        helper.make_node("If", ["yes"], ["y"], "if", then_branch=body, else_branch=other),
    ]
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [3]) for n in "xy")
    yes = helper.make_tensor_value_info("yes", TensorProto.BOOL, [])
    proto = helper.make_model(
        helper.make_graph(nodes, "g", [x, yes], [y]), functions=[f], ir_version=8,
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("own", 1)],
    )  # fmt: skip
    m = pyinfer.load(proto)
    given = (np.float32([1, 2, 3]), np.bool_(True))
    inner = [v.name for v in fetch.values(m) if v.op == "Neg"]
    got = m.run(given, fetch=["*"])
    np.testing.assert_array_equal(got[inner[0]], [-1, -2, -3])
    np.testing.assert_array_equal(got["z"], [1, 4, 9])
    with pytest.raises(pyinfer.InputError, match="If, Loop and Scan"):
        m.run(given, fetch=["inside"])


def test_odd_values() -> None:
    """A constant that folds, a sequence, a shape that depends on data, a string."""
    nodes = [
        helper.make_node("Add", ["k", "k"], ["folded"]),
        helper.make_node("Add", ["x", "folded"], ["y"]),
        helper.make_node("SplitToSequence", ["y"], ["parts"], axis=0),
        helper.make_node("SequenceLength", ["parts"], ["count"]),
        helper.make_node("NonZero", ["y"], ["where"]),
        helper.make_node("Cast", ["y"], ["text"], to=TensorProto.STRING),
        helper.make_node("Cast", ["text"], ["number"], to=TensorProto.FLOAT),
        helper.make_node("Identity", ["x"], ["same"]),
    ]  # fmt: skip
    data = tiny.model(
        nodes, [("x", np.float32, [3])],
        [("number", np.float32, [3]), ("count", np.int64, []), ("where", np.int64, [1, "n"])],
        {"k": np.float32([1])},
    )  # fmt: skip
    got = pyinfer.load(data).run(np.float32([-2, 0, 5]), fetch=["folded", "parts", "text", "where", "y"])
    assert got["folded"].tolist() == [2] and got["y"].tolist() == [0, 2, 7] and got["where"].tolist() == [[1, 2]]
    assert [p.tolist() for p in got["parts"]] == [[0], [2], [7]] and len(got["text"]) == 3
    assert pyinfer.load(data).run(np.float32([1, 2, 3]), fetch=["same"])["same"].tolist() == [1, 2, 3]
