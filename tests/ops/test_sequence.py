# SPDX-License-Identifier: Apache-2.0
"""Sequences and optionals as values: as inputs and outputs, through every operator, with wrong data, without memory."""

from __future__ import annotations

import gc
import pickle
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import pyinfer
from pyinfer import _core

F = TensorProto.FLOAT
A, B, C = np.float32([1, 2]), np.float32([[3], [4]]), np.float32(5)
Node = helper.make_node


def tensor(name: str, dtype: int = F, shape: Any = None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)


def sequence(name: str, dtype: int = F, shape: Any = None) -> onnx.ValueInfoProto:
    return helper.make_tensor_sequence_value_info(name, dtype, shape)


def optional(of: onnx.ValueInfoProto) -> onnx.ValueInfoProto:
    return helper.make_value_info(of.name, helper.make_optional_type_proto(of.type))


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    constants: dict[str, Any] | None = None,
    opset: int = 23,
    **options: Any,
) -> pyinfer.Model:
    initializers = [numpy_helper.from_array(np.asarray(v), k) for k, v in (constants or {}).items()]
    graph = helper.make_graph(nodes, "g", inputs, outputs, initializers)
    opsets = [helper.make_opsetid("", opset)]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    return pyinfer.load(made.SerializeToString(), threads=1, **options)


def same(got: Any, want: Any) -> None:
    if isinstance(want, list):
        assert isinstance(got, list) and len(got) == len(want)
        for g, w in zip(got, want, strict=True):
            same(g, w)
    elif want is None:
        assert got is None
    else:
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want, strict=True)


def insert_model(**options: Any) -> pyinfer.Model:
    ports = [sequence("s"), tensor("x"), tensor("p", TensorProto.INT64, [])]
    insert = Node("SequenceInsert", ["s", "x", "p"], ["y"])
    return model([insert], ports, [sequence("y")], **options)


# ---- values ----


def test_insert_at_every_place() -> None:
    m = insert_model()
    for p in range(-2, 3):
        want = [A, B]
        want.insert(p, C)
        same(m([A, B], C, np.int64(p)), want)
    same(m((), A, np.int64(0)), [A])
    with pytest.raises(pyinfer.InputError, match="position 3 is out of range for a sequence of 2"):
        m([A, B], C, np.int64(3))
    with pytest.raises(pyinfer.InputError, match="position -3 is out of range"):
        m([A, B], C, np.int64(-3))
    same(m([A, B], C, np.int64(1)), [A, C, B])


@pytest.mark.parametrize("level", [0, 2])
def test_everything_that_is_made_can_be_read(level: int) -> None:
    nodes = [
        Node("SequenceConstruct", ["x", "x2"], ["s"]),
        Node("SequenceErase", ["s", "p"], ["t"]),
        Node("SequenceInsert", ["t", "x2"], ["u"]),
        Node("SequenceLength", ["u"], ["n"]),
        Node("SequenceAt", ["u", "p"], ["a"]),
        Node("Relu", ["a"], ["r"]),
        Node("ConcatFromSequence", ["u"], ["c"], axis=-1),
        Node("ConcatFromSequence", ["u"], ["k"], axis=1, new_axis=1),
    ]
    outputs = [sequence("u"), tensor("n", TensorProto.INT64, [])]
    outputs += [tensor(n) for n in "arck"]
    ports = [
        tensor("x", F, ["n", 2]),
        tensor("x2", F, ["n", 2]),
        tensor("p", TensorProto.INT32, []),
    ]
    m = model(nodes, ports, outputs, level=level)
    for rows in (3, 1, 0, 3):
        x = np.random.default_rng(rows).standard_normal((rows, 2)).astype(np.float32)
        u = [-x, -x]
        got = m(x, -x, np.int32(0))
        want = [u, np.int64(2), u[0], np.maximum(u[0], 0), np.concatenate(u, -1), np.stack(u, 1)]
        for g, w in zip(got, want, strict=True):
            same(g, np.asarray(w) if not isinstance(w, list) else w)
    with pytest.raises(pyinfer.InputError, match="position 2 is out of range"):
        m(x, -x, np.int32(2))


@pytest.mark.parametrize("dtype", ["float32", "int8", "float64", "str"])
def test_split(dtype: str) -> None:
    x = np.arange(24).reshape(2, 3, 4).astype(dtype)
    if dtype == "str":
        x = x.astype(object)
    kind = TensorProto.STRING if dtype == "str" else helper.np_dtype_to_tensor_dtype(x.dtype)

    def split(sizes: Any, shape: Any = None, **attributes: Any) -> Any:
        ports = [tensor("x", kind, [2, 3, 4])]
        if sizes is not None:
            ports.append(tensor("n", TensorProto.INT64, np.shape(sizes)))
        names = [p.name for p in ports]
        node = Node("SplitToSequence", names, ["y"], **attributes)
        m = model([node], ports, [sequence("y", kind)])
        return m(x) if sizes is None else m(x, np.int64(sizes))

    same(split(None, axis=1), np.split(x, 3, 1))
    same(split(None, axis=1, keepdims=0), [x[:, i] for i in range(3)])
    same(split(1, axis=1, keepdims=0), [x[:, i] for i in range(3)])
    same(split([1, 1, 1], axis=1, keepdims=0), np.split(x, 3, 1))
    same(split(3, axis=2, keepdims=0), [x[:, :, :3], x[:, :, 3:]])
    same(split([0, 1, 3], axis=-1), [x[:, :, :0], x[:, :, :1], x[:, :, 1:]])
    for sizes, text in [
        (0, "split is 0"),
        ([1, 2, 3], r"split\[2\] is 3, but 1 of 4 are left"),
        ([1, 2], "split sums to 3, the axis has 4"),
        ([-1, 5], r"split\[0\] is -1"),
        ([2**62, 2**62, 4], r"split\[0\]"),
    ]:
        with pytest.raises(pyinfer.InputError, match=text):
            split(sizes, axis=2)


def test_strings_live_as_long_as_their_sequence() -> None:
    texts = [np.array(["a", "bc"], object), np.array(["dé"], object)]
    s = TensorProto.STRING
    nodes = [
        Node("Identity", ["s"], ["i"]),
        Node("SequenceAt", ["i", "p"], ["a"]),
        Node("Concat", ["a", "a"], ["aa"], axis=0),
        Node("SequenceInsert", ["i", "aa"], ["y"]),
    ]
    m = model(nodes, [sequence("s", s), tensor("p", TensorProto.INT64, [])], [sequence("y", s)])
    got = m(texts, np.int64(-1))
    m.close()
    assert [list(g) for g in got] == [["a", "bc"], ["dé"], ["dé", "dé"]]


def test_a_sequence_through_a_loop() -> None:
    """The body inserts its step; the sequence is carried, and read by an If in the body."""
    then = helper.make_graph([Node("SequenceErase", ["s"], ["e"])], "t", [], [sequence("e")])
    other = helper.make_graph([Node("Identity", ["s"], ["k"])], "o", [], [sequence("k")])
    body_nodes = [
        Node("Cast", ["i"], ["f"], to=F),
        Node("SequenceInsert", ["s0", "f"], ["s"]),
        Node("SequenceLength", ["s"], ["n"]),
        Node("Greater", ["n", "most"], ["big"]),
        Node("If", ["big"], ["s1"], then_branch=then, else_branch=other),
        Node("Identity", ["go"], ["go1"]),
    ]
    body = helper.make_graph(
        body_nodes,
        "b",
        [tensor("i", TensorProto.INT64, []), tensor("go", TensorProto.BOOL, []), sequence("s0")],
        [tensor("go1", TensorProto.BOOL, []), sequence("s1"), tensor("n", TensorProto.INT64, [])],
    )
    nodes = [
        Node("SequenceEmpty", [], ["empty"], dtype=F),
        Node("Loop", ["m", "", "empty"], ["y", "lengths"], body=body),
    ]
    outputs = [sequence("y"), tensor("lengths", TensorProto.INT64)]
    m = model(nodes, [tensor("m", TensorProto.INT64, [])], outputs, {"most": np.int64(4)})
    for steps in (1, 3, 6, 200):
        y, lengths = m(np.int64(steps))
        same(y, [np.float32(i) for i in range(min(steps, 4))])
        assert lengths.tolist() == [min(i + 1, 5) for i in range(steps)]


@pytest.mark.parametrize("has", [False, True])
def test_if_gives_an_optional(has: bool) -> None:
    kind = helper.make_tensor_type_proto(F, None)
    then = helper.make_graph([Node("Optional", ["x"], ["a"])], "t", [], [optional(tensor("a"))])
    other = helper.make_graph(
        [Node("Optional", [], ["b"], type=kind)], "o", [], [optional(tensor("b"))]
    )
    nodes = [
        Node("If", ["c"], ["y"], then_branch=then, else_branch=other),
        Node("OptionalHasElement", ["y"], ["h"]),
    ]
    ports = [tensor("c", TensorProto.BOOL, []), tensor("x", F, [2])]
    m = model(nodes, ports, [optional(tensor("y")), tensor("h", TensorProto.BOOL, [])])
    got = m(np.bool_(has), A)
    same(got.y, A if has else None)
    same(got.h, np.array(has))


def test_optional_inputs() -> None:
    nodes = [Node("OptionalHasElement", ["o"], ["h"]), Node("OptionalGetElement", ["o"], ["y"])]
    whole = [tensor("h", TensorProto.BOOL, []), tensor("y")]
    m = model(nodes, [optional(tensor("o"))], whole)
    same(m(A).y, A)
    with pytest.raises(pyinfer.InputError, match="OptionalGetElement.*the optional is absent"):
        m(None)
    same(m(B).y, B)
    whole[1] = sequence("y")
    m = model(nodes, [optional(sequence("o"))], whole)
    same(m([A, B]).y, [A, B])
    same(m([]).y, [])
    m = model(nodes[:1], [optional(sequence("o"))], whole[:1])
    assert [bool(m(v)) for v in (None, [], [A])] == [False, True, True]
    m = model([Node("Identity", ["o"], ["y"])], [optional(sequence("o"))], [optional(whole[1])])
    same(m(None), None)
    same(m([A]), [A])
    same(model(nodes[1:], [tensor("o", F, ["n"])], [tensor("y")])(A), A)


def test_map() -> None:
    body = helper.make_graph(
        [
            Node("Mul", ["a", "b"], ["p"]),
            Node("Add", ["p", "w"], ["q"]),
            Node("Shape", ["p"], ["z"]),
        ],
        "b",
        [tensor("a"), tensor("b")],
        [tensor("q"), tensor("z", TensorProto.INT64)],
    )
    outputs = [sequence("y"), sequence("z", TensorProto.INT64)]
    node = Node("SequenceMap", ["s", "t"], ["y", "z"], body=body)
    ports = [sequence("s"), sequence("t"), tensor("w", F, [])]
    m = model([node], ports, outputs)
    got = m([A, B, C], [A, A, A], C)
    same(got.y, [A * A + C, B * A + C, C * A + C])
    same(got.z, [np.int64([2]), np.int64([2, 2]), np.int64([2])])
    same(m([], [], C).y, [])
    with pytest.raises(pyinfer.InputError, match="the sequences differ in length: 2 and 1"):
        m([A, B], [A], C)
    ports[1] = tensor("t")
    same(model([node], ports, outputs)([A, B], C, C).y, [A * C + C, B * C + C])


# ---- random programs beside lists of Python ----


class Program:
    """Nodes on sequences, and what lists of Python make of them; positions are constants or inputs."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, Any] = {}
        self.inputs: dict[str, Any] = {"s": [self.array() for _ in range(self.rng.integers(4))]}
        self.lists: dict[str, list[np.ndarray]] = {"s": self.inputs["s"]}
        self.arrays: dict[str, np.ndarray] = {}
        self.fails = False

    def array(self) -> np.ndarray:
        return self.rng.integers(0, 9, (2, self.rng.integers(3))).astype(np.float32)

    def name(self, value: Any) -> str:
        """A new value that is a constant, or an input."""
        name = f"v{len(self.constants) + len(self.inputs)}"
        (self.constants if self.rng.random() < 0.5 else self.inputs)[name] = value
        return name

    def place(self, length: int, end: int) -> tuple[int, str]:
        p = int(self.rng.integers(-length, end)) if end > -length else 0
        if self.rng.random() < 0.02:
            p = int(self.rng.choice([end, -length - 1, 2**40]))
        self.fails |= not -length <= p < end
        return p, self.name(np.int64(p))

    def step(self) -> None:
        s = str(self.rng.choice(list(self.lists)))
        items, y = list(self.lists[s]), f"y{len(self.nodes)}"
        match self.rng.integers(8):
            case 0 | 1 | 2:
                x = self.array()
                p, place = self.place(len(items), len(items) + 1)
                self.nodes.append(Node("SequenceInsert", [s, self.name(x), place], [y]))
                items.insert(p, x)
                self.lists[y] = items
            case 3 if items:
                p, place = self.place(len(items), len(items))
                self.nodes.append(Node("SequenceErase", [s, place], [y]))
                if not self.fails:
                    del items[p]
                self.lists[y] = items
            case 4 if items:
                p, place = self.place(len(items), len(items))
                self.nodes.append(Node("SequenceAt", [s, place], [y]))
                self.arrays[y] = items[0] if self.fails else items[p]
            case 5 if len({len(x) for x in items}) == 1:
                self.nodes.append(Node("ConcatFromSequence", [s], [y], axis=1))
                self.arrays[y] = np.concatenate(items, 1)
            case 6 if self.arrays:
                x = str(self.rng.choice(list(self.arrays)))
                self.nodes.append(Node("SplitToSequence", [x], [y], axis=0))
                self.lists[y] = [self.arrays[x][i : i + 1] for i in range(len(self.arrays[x]))]
            case _:
                xs = [self.name(self.array()) for _ in range(1 + self.rng.integers(3))]
                values = [self.constants.get(x, self.inputs.get(x)) for x in xs]
                self.nodes.append(Node("SequenceConstruct", xs, [y]))
                self.lists[y] = values


@pytest.mark.parametrize("seed", range(150))
def test_random_programs(seed: int) -> None:
    program = Program(seed)
    while len(program.nodes) < 12 and not program.fails:
        program.step()
    ports = [sequence("s")]
    for name, value in list(program.inputs.items())[1:]:
        integer = value.dtype == np.int64
        ports.append(tensor(name, TensorProto.INT64 if integer else F, [] if integer else None))
    outputs = [sequence(n) for n in program.lists if n != "s"] + [tensor(n) for n in program.arrays]
    for level in (0, 2):
        try:
            m = model(program.nodes, ports, outputs, program.constants, level=level)
            got = m.run(program.inputs)
        except pyinfer.PyinferError as e:
            assert program.fails and "out of range for a sequence of" in str(e), e
            continue
        assert not program.fails
        for name, value in got.items():
            same(value, program.lists[name] if name in program.lists else program.arrays[name])


def test_many_threads() -> None:
    nodes = [Node("SequenceInsert", ["s", "x"], ["t"]), Node("SequenceAt", ["t", "p"], ["a"])]
    nodes += [Node("SequenceErase", ["t", "p"], ["y"])]
    m = model(nodes, [sequence("s"), tensor("x")], [sequence("y"), tensor("a")], {"p": np.int64(0)})

    def work(k: int) -> None:
        x = np.full(k + 1, k, np.float32)
        for _ in range(200):
            got = m([x, -x], x)
            same(got.y, [-x, x])
            same(got.a, x)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(8)))


# ---- what a model says about itself ----


def test_types_are_shown() -> None:
    ports = [sequence("s", F, [2, "n"]), optional(tensor("o", F, [3])), optional(sequence("q"))]
    nodes = [Node("Identity", [p.name], [p.name + "1"]) for p in ports]
    outputs = [sequence("s1"), optional(tensor("o1")), optional(sequence("q1"))]
    m = model(nodes, ports, outputs)
    shown = ["sequence(float32)", "optional(float32)", "optional(sequence(float32))"]
    assert [p.dtype for p in m.inputs] == [p.dtype for p in m.outputs] == shown
    assert str(m.inputs[0]) == "s: sequence(float32[2, n])"
    assert str(m.inputs[2]) == "q: optional(sequence(float32[...]))"
    assert "sequence(float32[2, n])" in repr(m) and "sequence" in m._repr_html_()
    x = np.ones((2, 4), np.float32)
    copy = pickle.loads(pickle.dumps(m))
    for each in (m, copy):
        got = each.run({"s": [x], "o": None, "q": None})
        same(got["s1"], [x])
        assert got["o1"] is None and got["q1"] is None
    assert "Identity" in m.explain([x], None, None) or m.explain([x], None, None)
    assert m.profile([x], None, None, repeat=1) is not None
    with pytest.raises(pyinfer.InputError, match="input 's' is sequence.float32.: give a list"):
        m.explain()


@pytest.mark.parametrize(
    "value, text",
    [
        (None, r"input 's' is sequence\(float32\): expected a list of arrays, got NoneType"),
        (A, "expected a list of arrays, got numpy.ndarray"),
        ({"a": A}, "expected a list of arrays, got dict"),
        ([A, None], "expected float32, got None"),
        ([A, np.complex64([1])], "expected float32, got complex64"),
        ([np.ones((1,) * 13, np.float32)], "13 dimensions"),
    ],
)
def test_wrong_kinds(value: Any, text: str) -> None:
    m = model([Node("Identity", ["s"], ["y"])], [sequence("s")], [sequence("y")])
    with pytest.raises(pyinfer.InputError, match=text):
        m(value)
    same(m([A]), [A])


def test_shapes_of_elements_are_checked() -> None:
    m = model([Node("Identity", ["s"], ["y"])], [sequence("s", F, [2, "n"])], [sequence("y")])
    with pytest.raises(
        pyinfer.InputError, match=r"element 1 of sequence 's': .*expected float32\[2, n\]"
    ):
        m([np.ones((2, 1)), np.ones((3, 1))])
    m = model([Node("Identity", ["s"], ["y"])], [tensor("s", F, [2])], [tensor("y")])
    with pytest.raises(pyinfer.InputError, match="expected float32, got None"):
        m(None)
    with pytest.raises(pyinfer.InputError, match="expected float32"):
        m([A, A])


def test_out_is_for_arrays() -> None:
    m = model([Node("Identity", ["s"], ["y"])], [sequence("s")], [sequence("y")])
    with pytest.raises(pyinfer.InputError, match="out for 'y': a sequence"):
        m.run({"s": [A]}, out={"y": np.zeros(2, np.float32)})


# ---- data that does not fit ----


@pytest.mark.parametrize(
    "items, text",
    [
        ([], "the sequence is empty"),
        ([C, C], "scalars can only be put together along a new axis"),
        ([A, B], r"tensor 1 of the sequence is f32\[2, 1\], the first is f32\[2\]"),
        ([B, np.float32([[1, 2], [3, 4], [5, 6]])], "cannot be put together on axis 0"),
    ],
)
def test_concat_of_what_does_not_fit(items: list[Any], text: str) -> None:
    node = Node("ConcatFromSequence", ["s"], ["y"], axis=0)
    with pytest.raises(pyinfer.InputError, match=text):
        model([node], [sequence("s")], [tensor("y")])(items)


def test_axes_out_of_range() -> None:
    for axis in (1, -2, 2**40):
        node = Node("ConcatFromSequence", ["s"], ["y"], axis=axis)
        with pytest.raises(pyinfer.ModelError, match="axis -?[0-9]+ is out of range for rank 1"):
            model([node], [sequence("s")], [tensor("y")])([A])
    m = model([Node("SequenceErase", ["s"], ["y"])], [sequence("s")], [sequence("y")])
    with pytest.raises(pyinfer.InputError, match="out of range for a sequence of 0"):
        m([])


def test_one_type_a_sequence() -> None:
    nodes = [Node("SequenceEmpty", [], ["e"]), Node("SequenceInsert", ["e", "x"], ["y"])]
    with pytest.raises(
        pyinfer.InputError, match="a tensor of i64 cannot be inserted into a sequence of f32"
    ):
        model(nodes, [tensor("x", TensorProto.INT64)], [sequence("y")])(np.int64([1]))
    node = Node("SequenceConstruct", ["x", "n"], ["y"])
    with pytest.raises(pyinfer.ModelError, match="both must be the same"):
        model([node], [tensor("x"), tensor("n", TensorProto.INT64)], [sequence("y")])


@pytest.mark.parametrize(
    "node, text",
    [
        (Node("SequenceLength", ["x"], ["y"]), "'input_sequence' is f32, expected one of seq"),
        (Node("Add", ["s", "s"], ["y"]), "is seq, expected one of"),
        (Node("Shape", ["s"], ["y"]), "is seq, expected one of"),
        (Node("SequenceConstruct", ["s"], ["y"]), "is seq, expected one of"),
        (Node("Optional", ["o"], ["y"]), "is opt, expected one of"),
        (Node("SequenceAt", ["o", "x"], ["y"]), "is opt, expected one of seq"),
    ],
)
def test_operators_get_what_they_take(node: onnx.NodeProto, text: str) -> None:
    ports = [tensor("x", F, []), sequence("s"), optional(tensor("o"))]
    with pytest.raises(pyinfer.ModelError, match=text):
        model([node], ports, [tensor("y")])(np.float32(1), [A], None)


def test_a_body_may_not_scan_sequences() -> None:
    body = helper.make_graph(
        [Node("SequenceEmpty", [], ["s"]), Node("Identity", ["go"], ["go1"])],
        "b",
        [tensor("i", TensorProto.INT64, []), tensor("go", TensorProto.BOOL, [])],
        [tensor("go1", TensorProto.BOOL, []), sequence("s")],
    )
    m = model(
        [Node("Loop", ["m", ""], ["y"], body=body)],
        [tensor("m", TensorProto.INT64, [])],
        [tensor("y")],
    )
    with pytest.raises(pyinfer.ModelError, match="Loop"):
        m(np.int64(2))


# ---- memory ----


def growing(**options: Any) -> pyinfer.Model:
    """A Loop that inserts its input at each step."""
    body = helper.make_graph(
        [Node("SequenceInsert", ["s", "x"], ["s1"]), Node("Identity", ["go"], ["go1"])],
        "b",
        [tensor("i", TensorProto.INT64, []), tensor("go", TensorProto.BOOL, []), sequence("s")],
        [tensor("go1", TensorProto.BOOL, []), sequence("s1")],
    )
    nodes = [Node("SequenceEmpty", [], ["e"]), Node("Loop", ["m", "", "e"], ["y"], body=body)]
    return model(
        nodes, [tensor("m", TensorProto.INT64, []), tensor("x")], [sequence("y")], **options
    )


def test_the_limit_holds() -> None:
    m = growing(memory_limit=4 << 20)
    big = np.ones(1 << 17, np.float32)
    assert len(m(np.int64(3), big)) == 3
    with pytest.raises(pyinfer.LimitError):
        m(np.int64(100), big)
    before = m.memory.used
    with pytest.raises(pyinfer.LimitError):
        m(np.int64(100), big)
    assert m.memory.used == before  # what a run made goes with it
    assert len(m(np.int64(3), big)) == 3


def test_runs_leave_nothing_behind() -> None:
    m = growing()
    assert m(np.int64(0), A) == []
    used = []
    for _ in range(5):
        m(np.int64(20), A)
        used.append(m.memory.used)
    assert used[1:] == used[:-1]


def test_too_long() -> None:
    node = Node("SplitToSequence", ["x"], ["y"])
    m = model([node], [tensor("x", TensorProto.INT8, ["n"])], [sequence("y", TensorProto.INT8)])
    with pytest.raises(pyinfer.LimitError, match="a sequence of 1048577 tensors"):
        m(np.zeros((1 << 20) + 1, np.int8))


def test_each_allocation_may_fail() -> None:
    then = helper.make_graph([Node("Optional", ["s"], ["a"])], "t", [], [optional(sequence("a"))])
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(F, None))
    other = helper.make_graph(
        [Node("Optional", [], ["b"], type=kind)], "o", [], [optional(sequence("b"))]
    )
    mapped = helper.make_graph([Node("Neg", ["k"], ["l"])], "m", [tensor("k")], [tensor("l")])
    nodes = [
        Node("SplitToSequence", ["x"], ["parts"], axis=0),
        Node("SequenceInsert", ["parts", "x"], ["s0"]),
        Node("SequenceMap", ["s0"], ["s"], body=mapped),
        Node("If", ["c"], ["o"], then_branch=then, else_branch=other),
        Node("OptionalGetElement", ["o"], ["g"]),
        Node("SequenceErase", ["g"], ["e"]),
        Node("ConcatFromSequence", ["e"], ["y"], axis=0),
        Node("Cast", ["y"], ["t"], to=TensorProto.STRING),
        Node("SequenceConstruct", ["t", "t"], ["z"]),
    ]
    ports = [tensor("c", TensorProto.BOOL, []), tensor("x", F, ["n", 2]), optional(sequence("q"))]
    outputs = [tensor("y"), sequence("z", TensorProto.STRING), optional(sequence("o"))]
    x = np.float32([[1, 2], [3, 4]])
    m = model(nodes, ports, outputs)

    def run(each: pyinfer.Model) -> Any:
        return each(np.bool_(True), x, [x])

    want = run(m)
    same(want.y, -x)
    m.close()
    gc.collect()
    alive = _core._alive_blocks()
    failures = 0
    for nth in range(1, 20000):
        m = model(nodes, ports, outputs)
        _core._fail_alloc(nth)
        try:
            got = run(m)
        except MemoryError:
            failures += 1
            got = None
        finally:
            _core._fail_alloc(0)
        same(run(m).y, want.y)
        m.close()
        assert _core._alive_blocks() == alive, f"a leak after failure {nth}"
        if got is not None:
            same(got.y, want.y)
            break
    else:
        raise AssertionError("never got through")
    assert failures > 50
