# SPDX-License-Identifier: Apache-2.0
"""Element-wise nodes become one step: which do, and the same numbers as of ONNX's evaluator and of the single nodes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import pyinfer
from ops.node import dtype_of, forced

Array = np.ndarray[Any, Any]
Nodes = list[tuple[Any, ...]]  # (operator, inputs, output, attributes?)
SPECIAL = np.array(
    [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, -1e-40, 3e38, -3e38, 1, -1], np.float32
)


def f32(*shape: int, seed: int = 0, special: bool = False) -> Array:
    rng = np.random.default_rng((seed, *shape))
    x = np.asarray(rng.standard_normal(shape) * 2, np.float32)
    if special:
        mask = rng.random(shape) < 0.2
        x[mask] = rng.choice(SPECIAL, shape)[mask]
    return x


def build(
    nodes: Nodes, feeds: dict[str, Array], constants: dict[str, Any], outputs: str, opset: int
) -> bytes:
    graph = helper.make_graph(
        [
            helper.make_node(
                n[0], n[1].split(), [n[2]], name=f"node_{n[2]}", **(n[3] if len(n) > 3 else {})
            )
            for n in nodes
        ],
        "g",
        [helper.make_tensor_value_info(k, dtype_of(v), v.shape) for k, v in feeds.items()],
        [helper.make_empty_tensor_value_info(o) for o in outputs.split()],
        [
            numpy_helper.from_array(
                np.asarray(v, np.float32) if isinstance(v, (int, float)) else v, k
            )
            for k, v in constants.items()
        ],
    )
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()


def same_bits(got: Array, want: Array) -> None:
    assert got.shape == want.shape and got.dtype == want.dtype
    bits = [np.where(np.isnan(a), np.float32(np.nan), a).view(np.uint32) for a in (got, want)]
    np.testing.assert_array_equal(*bits)


def flushed(x: Array) -> Array:
    """Denormals are zeros in a run."""
    return x if x.dtype == bool else np.where(np.abs(x) < np.finfo(np.float32).tiny, x * 0, x)


def check(
    nodes: Nodes,
    feeds: dict[str, Array],
    constants: dict[str, Any] | None = None,
    *,
    outputs: str = "y",
    opset: int = 20,
    evaluator: bool = True,
    rtol: float | None = 1e-5,
) -> list[str]:
    """The steps at level 2, as explain() names them, after comparing with the single nodes, bit by bit, with the plain
    reference (unless rtol is None: differences add up), and with ONNX's evaluator."""
    data = build(nodes, feeds, constants or {}, outputs, opset)
    alone = pyinfer.load(data, level=1).run(feeds)
    models = [pyinfer.load(data, threads=t) for t in (1, 2)]
    for model in models:
        for _ in range(2):
            for name, got in model.run(feeds).items():
                same_bits(got, alone[name])
    with forced("ref"):
        plain = pyinfer.load(data).run(feeds) if rtol else {}
    for name, got in plain.items():
        np.testing.assert_allclose(got, alone[name], rtol=rtol, atol=1e-6)
    if evaluator:
        with np.errstate(all="ignore"):
            truth = ReferenceEvaluator(onnx.load_from_string(data)).run(
                outputs.split(), {k: flushed(v) for k, v in feeds.items()}
            )
        for name, want in zip(outputs.split(), truth, strict=True):
            np.testing.assert_allclose(alone[name], want, rtol=rtol, atol=1e-6)
    arrays = tuple(feeds[p.name] for p in models[0].inputs)
    profile = models[0].profile(*arrays, repeat=1)
    assert all(step.op in models[0].explain(*arrays) for step in profile.steps)
    return [step.op for step in profile.steps]


X = f32(2, 6, 130)
SILU = [("Mul", "x q", "a"), ("Sigmoid", "a", "b"), ("Mul", "x b", "c")]


def test_chain() -> None:
    nodes = [*SILU, ("Mul", "z s", "d"), ("Add", "c d", "e"), ("Add", "e t", "y")]
    constants = {"q": 1.702, "s": f32(130, seed=1), "t": f32(130, seed=2)}
    got = check(nodes, {"x": X, "z": f32(2, 6, 130, seed=3)}, constants)
    assert got == ["pyinfer.Eltwise(Mul, Sigmoid, Mul, Mul, Add, Add)"]


SHAPES = [
    *[
        (),
        (1,),
        (130,),
        (6, 130),
        (6, 1),
        (2, 1, 1),
        (2, 6, 1),
        (1, 6, 1),
        (2, 1, 130),
        (1, 1, 1),
        (1, 1, 130),
        (2, 6, 130),
    ],
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("constant", [False, True])
def test_broadcasts(shape: tuple[int, ...], constant: bool) -> None:
    other = {"z": f32(*shape, seed=4)}
    nodes = [("Mul", "x z", "a"), ("Exp", "a", "b"), ("Sub", "z b", "y")]
    got = check(nodes, {"x": X} | ({} if constant else other), other if constant else {})
    assert got == ["pyinfer.Eltwise(Mul, Exp, Sub)"]


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 31, 49, 63, 64, 65, 95, 96, 127, 129, 1000])
def test_lengths_of_rows(n: int) -> None:
    """Short rows that repeat are laid out in full; numbers for short rows are not worth it; long ones have tails of all kinds."""
    for rows in (1, 2, 300):
        feeds = {"x": f32(rows, n, special=True), "r": f32(rows, 1, seed=1, special=True)}
        feeds |= {"c": f32(n, seed=2, special=True), "z": f32(rows, n, seed=3)}
        nodes = [("Sub", "x r", "a"), ("Div", "a c", "b"), ("Relu", "b", "d"), ("Max", "z d", "y")]
        one = ["pyinfer.Eltwise(Sub, Div, Relu, Max)"]
        assert (check(nodes, feeds, evaluator=False) == one) == (rows == 1 or n == 1 or n >= 128)
        nodes[0] = ("Neg", "x", "a")
        assert check(nodes, feeds, evaluator=False) == ["pyinfer.Eltwise(Neg, Div, Relu, Max)"]


def test_more_dimensions_than_two() -> None:
    """N, C, H, W with numbers for channels; more than one batch: neither rows nor columns alone."""
    feeds = {
        "x": f32(3, 6, 12, 11),
        "s": f32(6, 1, 1, seed=1),
        "m": f32(3, 1, 1, 1, seed=2),
        "w": f32(12, 11, seed=3),
    }
    nodes = [("Sub", "x m", "a"), ("Mul", "a s", "b"), ("Add", "b w", "y")]
    assert check(nodes, feeds) == ["pyinfer.Eltwise(Sub, Mul, Add)"]


def test_rows_that_would_be_too_short() -> None:
    feeds = {"x": f32(8, 4, 3, 5), "s": f32(8, 1, 3, 1, seed=1), "t": f32(1, 4, 1, 5, seed=2)}
    assert check([("Mul", "x s", "a"), ("Add", "a t", "y")], feeds) == ["Mul", "Add"]


UNARY = [
    *"Neg Abs Sign Floor Ceil Round Reciprocal Sqrt Exp Log Erf Softplus Softsign Sin Cos".split(),
    *"Relu LeakyRelu Sigmoid Tanh HardSigmoid HardSwish Elu Gelu Mish".split(),
]


@pytest.mark.parametrize("op", UNARY)
def test_unary(op: str) -> None:
    x = f32(3, 333, special=True)
    if op in ("Sin", "Cos"):
        x = np.clip(np.nan_to_num(x), -50, 50)
    nodes = [(op, "x", "a"), ("Mul", "a z", "y")]
    got = check(
        nodes,
        {"x": x, "z": np.ones(333, np.float32)},
        rtol=1e-4,
        evaluator=op not in ("Exp", "Mish", "Softplus"),
    )
    assert got == [f"pyinfer.Eltwise({op}, Mul)"]
    same = check(
        [("Add", "x z", "a"), (op, "a", "y")],
        {"x": x, "z": np.zeros(333, np.float32)},
        rtol=1e-4,
        evaluator=False,
    )
    assert same == [f"pyinfer.Eltwise(Add, {op})"]


@pytest.mark.parametrize("op", "Add Sub Mul Div Min Max Pow PRelu Sum".split())
@pytest.mark.parametrize("order", ["a z", "z a", "a a"])
def test_binary(op: str, order: str) -> None:
    feeds = {"x": f32(4, 70, special=True), "z": f32(4, 70, seed=1, special=True)}
    nodes = [("Neg", "x", "a"), (op, order, "y")]
    assert check(nodes, feeds, rtol=1e-4, evaluator=False) == [f"pyinfer.Eltwise(Neg, {op})"]


@pytest.mark.parametrize("exponent", [2, 3, 0.5, -1, 1.5, 0])
def test_powers(exponent: float) -> None:
    feeds = {"x": np.abs(f32(4, 70)) + np.float32(0.1)}
    got = check([("Neg", "x", "a"), ("Abs", "a", "b"), ("Pow", "b e", "y")], feeds, {"e": exponent})
    assert got == ["pyinfer.Eltwise(Neg, Abs, Pow)"]


@pytest.mark.parametrize("op", "Less Greater LessOrEqual GreaterOrEqual Equal".split())
def test_comparisons(op: str) -> None:
    feeds = {"x": f32(6, 150, special=True), "z": f32(150, seed=1, special=True)}
    nodes = [("Abs", "x", "a"), (op, "a z", "b"), ("Where", "b x zero", "y")]
    assert check(nodes, feeds, {"zero": 0}) == [f"pyinfer.Eltwise(Abs, {op}, Where)"]


@pytest.mark.parametrize("shape", [(6, 150), (150,), (6, 1), (1,)])
def test_conditions(shape: tuple[int, ...]) -> None:
    feeds = {"x": f32(6, 150, special=True), "z": f32(6, 150, seed=1), "c": f32(*shape, seed=2) > 0}
    nodes = [("Where", "c x z", "a"), ("IsNaN", "a", "b"), ("Where", "b one a", "y")]
    assert check(nodes, feeds, {"one": 1}) == ["pyinfer.Eltwise(Where, IsNaN, Where)"]


def test_bounds() -> None:
    x = f32(3, 40, special=True)
    for bounds, constants in [
        ("", {}),
        ("low", {"low": -1}),
        ("low high", {"low": -1, "high": 1.5}),
    ]:
        nodes = [("Neg", "x", "a"), ("Clip", f"a {bounds}", "y")]
        assert check(nodes, {"x": x}, constants, evaluator=False) == ["pyinfer.Eltwise(Neg, Clip)"]
    nodes = [("Neg", "x", "a"), ("Clip", "a low", "y")]
    assert check(nodes, {"x": x, "low": f32()}, evaluator=False) == ["Neg", "Clip"]
    nodes = [("Neg", "x", "a"), ("Clip", "a", "y", {"min": -1.0, "max": 2.0})]
    assert check(nodes, {"x": x}, opset=6, evaluator=False) == ["pyinfer.Eltwise(Neg, Clip)"]


def test_many_operands() -> None:
    feeds = {"x": X, "z": f32(2, 6, 130, seed=1), "w": f32(130, seed=2)}
    nodes = [("Sum", "x z w x", "a"), ("Max", "a z w", "b"), ("Min", "one b x", "y")]
    assert check(nodes, feeds, {"one": 1}) == ["pyinfer.Eltwise(Sum, Max, Min)"]
    assert check([("Neg", "x", "a"), ("Mean", "a z", "y")], feeds) == ["Neg", "Mean"]


def test_values_read_more_than_once() -> None:
    feeds = {"x": X, "z": f32(130, seed=1)}
    nodes = [
        ("Add", "x z", "a"),
        ("Tanh", "a", "b"),
        ("Mul", "a b", "c"),
        ("Sub", "a c", "d"),
        ("Mul", "d d", "y"),
    ]
    ((only),) = check(nodes, feeds)
    assert only.startswith("pyinfer.Eltwise(Add, ")
    assert check(nodes, feeds, outputs="y a")[0] == "Add"  # somebody else wants it
    assert check([*nodes, ("ReduceSum", "a", "r")], feeds, outputs="y r")[0] == "Add"


def test_small_values_are_computed_once() -> None:
    feeds = {"x": f32(64, 130), "z": f32(130, seed=1)}
    nodes = [("Exp", "z", "a"), ("Neg", "a", "b"), ("Mul", "x b", "c"), ("Abs", "c", "y")]
    assert check(nodes, feeds) == ["pyinfer.Eltwise(Exp, Neg)", "pyinfer.Eltwise(Mul, Abs)"]


def test_long_chains_are_cut() -> None:
    nodes = [("Sin" if i % 2 else "Cos", f"v{i}", f"v{i + 1}") for i in range(75)]
    got = check([("Neg", "x", "v0"), *nodes], {"x": f32(7, 19)}, outputs="v75")
    assert len(got) == 3 and all(op.startswith("pyinfer.Eltwise(") for op in got)
    feeds = {f"x{i}": f32(3, 90, seed=i) for i in range(30)}
    nodes = [("Add", f"{f'v{i - 1}' if i > 1 else 'x0'} x{i}", f"v{i}") for i in range(1, 30)]
    got = check(nodes, feeds, outputs="v29")
    assert 4 <= len(got) <= 6 and sum(op.count("Add") for op in got) == 29


def test_what_stays() -> None:
    feeds = {"x": X}
    assert check([("Exp", "x", "y")], feeds) == ["Exp"]
    assert check([("Neg", "x", "a"), ("Greater", "a x", "y")], feeds, evaluator=False) == [
        "Neg",
        "Greater",
    ]
    assert check([("Neg", "x", "a"), ("Celu", "a", "y")], feeds) == ["Neg", "Celu"]
    old = [("Neg", "x", "a"), ("Add", "a z", "y", {"axis": 1, "broadcast": 1})]
    assert check(old, feeds | {"z": f32(6)}, opset=6, evaluator=False) == ["Neg", "Add"]
    wide = {"x": X.astype(np.float64)}
    data = build([("Neg", "x", "a"), ("Exp", "a", "y")], wide, {}, "y", 20)
    assert [s["op"] for s in pyinfer.load(data).steps((wide["x"],), 0)[0][0]] == ["Neg", "Exp"]


def test_empty_and_scalar() -> None:
    nodes = [("Neg", "x", "a"), ("Exp", "a", "y")]
    assert check(nodes, {"x": f32(0, 5)}) == ["Neg", "Exp"]
    assert check(nodes, {"x": f32()}) == ["pyinfer.Eltwise(Neg, Exp)"]
    got = check(
        [("Neg", "x", "a"), ("Add", "a k", "y")],
        {"x": f32()},
        {"k": np.ones((1, 1, 1), np.float32)},
    )
    assert got == ["pyinfer.Eltwise(Neg, Add)"]


def test_the_name_is_that_of_the_last_node() -> None:
    data = build([("Neg", "x", "a"), ("Exp", "a", "y")], {"x": X}, {}, "y", 20)
    (step,) = pyinfer.load(data).steps((X,), 0)[0][0]
    assert (step["name"], step["domain"], step["op"], step["parts"]) == (
        "node_y",
        "pyinfer",
        "Eltwise",
        "Neg, Exp",
    )


# In trees. Not Sigmoid: x * Sigmoid(x) becomes Swish before, which has other bits. Not what is far off near a pole.
SAFE = [op for op in UNARY if op not in ("Sigmoid", "Sin", "Cos")]


@st.composite
def trees(draw: st.DrawFn) -> tuple[Nodes, dict[str, Array], dict[str, float], str]:
    """Operators on values that are inputs or results, of shapes that broadcast, some results read by several."""
    full = draw(st.lists(st.sampled_from([1, 2, 3, 5, 17, 40, 64, 130]), min_size=1, max_size=3))
    feeds = {"x": f32(*full)}
    for i in range(draw(st.integers(1, 5))):
        shape = [d if draw(st.booleans()) else 1 for d in full][draw(st.integers(0, len(full))) :]
        feeds[f"x{i}"] = f32(*shape, seed=i, special=draw(st.booleans()))
    constants = {"k0": 0.625, "k1": -1.5}
    names, conditions, nodes = [*feeds, *constants], [], []
    for i in range(draw(st.integers(2, 20))):
        a, b = (
            draw(st.sampled_from(some))
            for some in ([n for n in names if n not in constants], names)
        )
        kinds = ["unary", "binary", "binary", "compare"] + ["where"] * bool(conditions)
        match draw(st.sampled_from(kinds)):
            case "unary":
                nodes.append((draw(st.sampled_from(SAFE)), a, f"v{i}"))
            case "binary":
                order = draw(st.sampled_from([f"{a} {b}", f"{b} {a}"]))
                nodes.append(
                    (draw(st.sampled_from("Add Sub Mul Div Min Max".split())), order, f"v{i}")
                )
            case "compare":
                nodes.append(
                    (draw(st.sampled_from("Less Greater Equal".split())), f"{a} {b}", f"c{i}")
                )
                conditions.append(f"c{i}")
                continue
            case "where":
                nodes.append(("Where", f"{draw(st.sampled_from(conditions))} {a} {b}", f"v{i}"))
        names.append(f"v{i}")
    made = [n[2] for n in nodes if n[2].startswith("v")] or ["x"]
    nodes.append(("Neg", made[-1], "y"))
    also = draw(st.sampled_from(made))
    return nodes, feeds, constants, "y" if also == "x" else f"y {also}"


@given(trees())
def test_random_trees(tree: tuple[Nodes, dict[str, Array], dict[str, float], str]) -> None:
    """The bits of the single nodes; which of them are one step does not matter."""
    nodes, feeds, constants, outputs = tree
    check(nodes, feeds, constants, outputs=outputs, evaluator=False, rtol=None)


def test_large() -> None:
    """Several chunks for each thread, whose borders lie within rows."""
    feeds = {
        "x": f32(3, 5, 7001),
        "z": f32(3, 5, 7001, seed=1),
        "s": f32(5, 1, seed=2),
        "c": f32(7001, seed=3),
    }
    nodes = [("Mul", "x s", "a"), ("Tanh", "a", "b"), ("Add", "b c", "d"), ("Sub", "z d", "y")]
    assert check(nodes, feeds, rtol=1e-4) == ["pyinfer.Eltwise(Mul, Tanh, Add, Sub)"]


def test_conditions_are_bytes_of_any_value() -> None:
    data = build(
        [("Where", "c x z", "a"), ("Neg", "a", "y")],
        {"c": np.zeros((3, 30), bool), "x": f32(3, 30), "z": f32(3, 30)},
        {},
        "y",
        20,
    )
    c = np.arange(90, dtype=np.uint8).reshape(3, 30).view(bool)
    feeds = {"c": c, "x": f32(3, 30), "z": f32(3, 30, seed=1)}
    got = pyinfer.load(data).run(feeds)["y"]
    np.testing.assert_array_equal(got, -np.where(c.view(np.uint8) != 0, feeds["x"], feeds["z"]))
    assert TensorProto.BOOL == dtype_of(c)
