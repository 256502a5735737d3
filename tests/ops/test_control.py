# SPDX-License-Identifier: Apache-2.0
"""If, Loop and Scan: the corners of the standard, errors, endless loops."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import numpy as np
import onnx.parser
import pytest
from onnx import GraphProto, TensorProto, helper
from onnx.reference import ReferenceEvaluator

import pyinfer
from tests.ops.node import dtype_of

I64, F32 = np.int64, np.float32


def model(text: str, opset: int = 21) -> onnx.ModelProto:
    return onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]>\n{text}')


def run(m: onnx.ModelProto, feeds: dict[str, Any], **options: Any) -> list[np.ndarray]:
    loaded = pyinfer.load(m.SerializeToString(), **options)
    results = [list(loaded.run(feeds).values()) for _ in range(2)]
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)
    return results[0]


def check(m: onnx.ModelProto, feeds: dict[str, Any]) -> list[np.ndarray]:
    """Against the reference evaluator of ONNX, at each level of optimisation."""
    want = ReferenceEvaluator(m).run(None, feeds)
    for level in (0, 2):
        got = run(m, feeds, level=level)
        for g, w in zip(got, want, strict=True):
            w = np.asarray(w)
            assert g.dtype == w.dtype and g.shape == w.shape
            np.testing.assert_allclose(g, w, rtol=1e-6)
    return got


# ---- If ----

IF = """agraph (bool{shape} c, float[N] x) => (float[M] y) {{
    one = Constant <value = float[1] {{1.0}}> ()
    z = Add (x, one)
    y = If (c) <
        then_branch = t () => (float[N] a) {{ a = Mul (z, z) }},
        else_branch = e () => (float[N2] b) {{ k = Constant <value_ints = [2]> () b = Tile (x, k) }}
    >
}}"""


@pytest.mark.parametrize("opset", [1, 11, 13, 16, 19, 21])
@pytest.mark.parametrize("shape", ["", "[1]"])
@pytest.mark.parametrize("condition", [False, True])
def test_if(opset: int, shape: str, condition: bool) -> None:
    m = model(IF.format(shape=shape), max(opset, 6))
    c = np.array([condition] if shape else condition)
    x = np.arange(3, dtype=F32)
    y = x + 1
    want = y * y if condition else np.tile(x, 2)
    if opset < 13:  # Constant of ints came later
        for attr in m.graph.node[-1].attribute:
            for node in attr.g.node:
                if node.op_type == "Constant":
                    del node.attribute[:]
                    value = helper.make_tensor("v", TensorProto.INT64, [1], [2])
                    node.attribute.append(helper.make_attribute("value", value))
    if opset == 1:
        m.opset_import[0].version = 7
    for level in (0, 2):
        np.testing.assert_array_equal(run(m, {"c": c, "x": x}, level=level)[0], want)


def test_if_without_inputs_and_with_an_outer_value_as_result() -> None:
    m = model("""agraph (bool c, float[N] x) => (float[N] y, int64 n) {
        y, n = If (c) <
            then_branch = t () => (float[N] a, int64 b) {
                a = Identity (x)
                b = Constant <value_int = 1> ()
            },
            else_branch = e () => (float[N] a2, int64 b2) {
                a2 = Neg (x)
                b2 = Size (x)
            }
        >
    }""")
    for c in (True, False):
        check(m, {"c": np.array(c), "x": np.arange(4, dtype=F32)})


def test_nested_ifs_see_the_values_of_all_scopes() -> None:
    m = model("""agraph (bool c, bool d, float[N] x) => (float[N] y) {
        p = Neg (x)
        y = If (c) <
            then_branch = t () => (float[N] a) {
                q = Mul (p, x)
                a = If (d) <
                    then_branch = tt () => (float[N] u) { r = Add (q, p) u = Add (r, x) },
                    else_branch = te () => (float[N] v) { v = Sub (q, x) }
                >
            },
            else_branch = e () => (float[N] b) { b = Identity (p) }
        >
    }""")
    for c in (True, False):
        for d in (True, False):
            check(m, {"c": np.array(c), "d": np.array(d), "x": np.arange(4, dtype=F32)})


def test_if_refuses_more_than_one_condition() -> None:
    m = model(IF.format(shape="[N]"))
    loaded = pyinfer.load(m.SerializeToString())
    with pytest.raises(pyinfer.PyinferError, match="not one bool"):
        loaded.run({"c": np.array([True, False]), "x": np.zeros(2, F32)})


def test_a_branch_of_another_type_than_declared() -> None:
    m = model("""agraph (bool c, double[N] x) => (float[N] y) {
        y = If (c) <
            then_branch = t () => (float[N] a) { a = Identity (x) },
            else_branch = e () => (float[N] b) { b = Cast <to = 1> (x) }
        >
    }""")
    loaded = pyinfer.load(m.SerializeToString())
    loaded.run({"c": np.array(False), "x": np.zeros(2)})
    with pytest.raises(pyinfer.ModelError, match="f64, but f32 was declared"):
        loaded.run({"c": np.array(True), "x": np.zeros(2)})


# ---- Loop ----

SUMS = """agraph (int64{m} M, bool{c} c, float[N] x) => (float[N] s, float[K, N] all, int64[K] steps) {{
    s, all, steps = Loop ({given}, x) <
        body = b (int64 i, bool go, float[N] v) => (bool more, float[N] w, float[N] out, int64 j) {{
            limit = Constant <value = int64 {{4}}> ()
            more = Less (i, limit)
            w = Add (v, x)
            out = Mul (w, v)
            j = Identity (i)
        }}
    >
}}"""


@pytest.mark.parametrize("opset", [11, 13, 16, 19, 21])
@pytest.mark.parametrize("shape", ["", "[1]"])
@pytest.mark.parametrize("trips", [0, 1, 3, 9, -2])
@pytest.mark.parametrize("condition", [True, False])
@pytest.mark.parametrize("given", ["M, c", "M, ", ", c", ", "])
def test_loop(opset: int, shape: str, trips: int, condition: bool, given: str) -> None:
    m = model(SUMS.format(m=shape, c=shape, given=given), max(opset, 9))
    x = np.array([1, 2], F32)
    feeds = {"M": np.array(trips, I64), "c": np.array(condition), "x": x}
    if shape:
        feeds.update(M=feeds["M"].reshape(1), c=feeds["c"].reshape(1))
    n = 5 if condition or "c" not in given else 0
    if "M" in given:
        n = max(0, min(n, trips))
    want, rows = x, []
    for _ in range(n):
        rows.append((want + x) * want)
        want = want + x
    s, every, steps = run(m, feeds)
    np.testing.assert_array_equal(s, want)
    np.testing.assert_array_equal(every, np.array(rows, F32).reshape(n, 2))
    np.testing.assert_array_equal(steps, np.arange(n))
    assert steps.dtype == I64


def test_loop_of_opset_1() -> None:
    m = model(SUMS.format(m="", c="", given="M, c"), 9)
    m.opset_import[0].version = 7
    del m.graph.output[1:]
    body = next(a.g for a in m.graph.node[0].attribute if a.name == "body")
    body.node[1].CopyFrom(helper.make_node("Not", ["stop"], ["more"]))
    body.node.insert(1, helper.make_node("Greater", ["fi", "fl"], ["stop"]))
    body.node.insert(1, helper.make_node("Cast", ["i"], ["fi"], to=1))
    body.node.insert(1, helper.make_node("Cast", ["limit"], ["fl"], to=1))
    feeds = {"M": np.array(9, I64), "c": np.array(True), "x": np.array([1, 2], F32)}
    np.testing.assert_array_equal(run(m, feeds)[0], [7, 14])


def test_a_carried_value_grows() -> None:
    m = model("""agraph (int64 M, float[N] x) => (float[K] y, int64[T] sizes) {
        y, sizes = Loop (M, , x) <
            body = b (int64 i, bool go, float[P] v) => (bool more, float[Q] w, int64 n) {
                more = Identity (go)
                w = Concat <axis = 0> (v, x)
                n = Size (w)
            }
        >
    }""")
    for trips in (0, 1, 40, 3):
        y, sizes = run(m, {"M": np.array(trips, I64), "x": np.array([1, 2], F32)})
        np.testing.assert_array_equal(y, np.tile([1, 2], trips + 1))
        np.testing.assert_array_equal(sizes, 2 * np.arange(2, trips + 2))


def test_no_steps_of_known_and_unknown_shape() -> None:
    text = """agraph (int64 M, float[2, 3] x) => (float[K, N] a, int64[K] b, double[K, 5, S] c) {{
        a, b, c = Loop (M, ) <
            body = b (int64 i, bool go) => (bool more, {a}, int64 n, double[5, S] d) {{
                more = Identity (go)
                e = Transpose (x)
                n = Size (e)
                s = ReduceSum <keepdims = 0> (e)
                k = NonZero (e)
                f = Cast <to = 11> (k)
                d = Concat <axis = 0> (f, f, f)
            }}
        >
    }}"""
    for declared in ("float[3, 2] e", "float[A, B] e", "float[] e"):
        m = model(text.format(a=declared))
        a, b, c = run(m, {"M": np.array(0, I64), "x": np.zeros((2, 3), F32)})
        assert a.shape == (0, 3, 2) and b.shape == (0,) and c.shape == (0, 5, 0)
        assert (a.dtype, b.dtype, c.dtype) == (F32, I64, np.float64)


def test_no_steps_of_undeclared_type() -> None:
    m = model(SUMS.format(m="", c="", given="M, c"))
    body = next(a.g for a in m.graph.node[0].attribute if a.name == "body")
    for output in body.output:
        output.ClearField("type")
    feeds = {"M": np.array(0, I64), "c": np.array(True), "x": np.array([1, 2], F32)}
    s, every, steps = run(m, feeds)
    assert every.shape == (0, 2) and every.dtype == F32
    assert steps.shape == (0,) and steps.dtype == I64


def test_a_loop_in_a_loop_in_an_if() -> None:
    m = model("""agraph (bool c, int64 M, float[N] x) => (float[N] y) {
        y = If (c) <
            then_branch = t () => (float[N] a) {
                a = Loop (M, , x) <
                    body = o (int64 i, bool g, float[N] v) => (bool h, float[N] w) {
                        h = Identity (g)
                        w = Loop (i, , v) <
                            body = p (int64 j, bool g2, float[N] v2) => (bool h2, float[N] w2) {
                                h2 = Identity (g2)
                                k = Add (i, j)
                                f = Cast <to = 1> (k)
                                s = Mul (x, f)
                                w2 = Add (v2, s)
                            }
                        >
                    }
                >
            },
            else_branch = e () => (float[N] b) { b = Neg (x) }
        >
    }""")
    for c in (True, False):
        feeds = {"c": np.array(c), "M": np.array(4, I64), "x": np.array([1, 2], F32)}
        factor = 1 + sum(i + j for i in range(4) for j in range(i)) if c else -1
        np.testing.assert_array_equal(run(m, feeds)[0], factor * feeds["x"])


def test_a_carried_value_may_not_change_its_type() -> None:
    m = model("""agraph (int64 M, float[N] x) => (float[N] y) {
        y = Loop (M, , x) <
            body = b (int64 i, bool go, float[N] v) => (bool more, float[N] w) {
                more = Identity (go)
                w = Cast <to = 11> (v)
            }
        >
    }""")
    with pytest.raises(
        pyinfer.ModelError, match="carried value 0 is f32 before step 0 and f64 after"
    ):
        run(m, {"M": np.array(2, I64), "x": np.zeros(2, F32)})


def test_a_scan_output_may_not_change_its_shape() -> None:
    m = model("""agraph (int64 M) => (int64[K, N] y) {
        y = Loop (M, ) <
            body = b (int64 i, bool go) => (bool more, int64[N] r) {
                more = Identity (go)
                zero = Constant <value = int64 {0}> ()
                one = Constant <value = int64 {1}> ()
                r = Range (zero, i, one)
            }
        >
    }""")
    with pytest.raises(pyinfer.ModelError, match="changes its shape or type at step 1"):
        run(m, {"M": np.array(3, I64)})


ENDLESS = """agraph (float[N] x) => (float[N] y{more}) {{
    y{more_out} = Loop (, , x) <
        body = b (int64 i, bool go, float[N] v) => (bool again, float[N] w{scan}) {{
            again = Identity (go)
            w = Neg (v)
            {make}
        }}
    >
}}"""


def test_an_endless_loop_ends_by_ctrl_c() -> None:
    m = model(ENDLESS.format(more="", more_out="", scan="", make=""))
    loaded = pyinfer.load(m.SerializeToString())
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            timer.start()
            loaded.run({"x": np.zeros(4, F32)})
    finally:
        timer.join()
        signal.signal(signal.SIGINT, before)


def test_an_endless_loop_ends_at_the_memory_limit() -> None:
    m = model(
        ENDLESS.format(
            more=", float[K, N] z", more_out=", z", scan=", float[N] u", make="u = Abs (v)"
        )
    )
    loaded = pyinfer.load(m.SerializeToString(), memory_limit=4 << 20)
    for _ in range(2):
        with pytest.raises(pyinfer.LimitError, match="memory limit"):
            loaded.run({"x": np.zeros(1024, F32)})


def test_strings_go_through_bodies() -> None:
    m = model("""agraph (int64 M, string[N] x) => (string[N] y, string[K, N] z) {
        y, z = Loop (M, , x) <
            body = b (int64 i, bool go, string[N] v) => (bool more, string[N] w, string[N] u) {
                more = Identity (go)
                w = Identity (v)
                u = Identity (x)
            }
        >
    }""")
    x = np.array(["a", "long enough to be elsewhere"], object)
    for trips in (0, 3):
        y, z = run(m, {"M": np.array(trips, I64), "x": x})
        assert y.tolist() == x.tolist() and z.tolist() == [x.tolist()] * trips


# ---- Scan ----


def body_of(states: int, scans: int) -> GraphProto:
    """state k: += the sum of all scan inputs; scan outputs: each input squared, and the first new state."""
    names = [f"s{k}" for k in range(states)] + [f"x{k}" for k in range(scans)]
    ports = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in names]
    nodes = [helper.make_node("Sum", names[states:], ["sum"])]
    for k in range(states):
        nodes.append(helper.make_node("Add", [f"s{k}", "sum"], [f"t{k}"]))
    for k in range(scans):
        nodes.append(helper.make_node("Mul", [f"x{k}", f"x{k}"], [f"y{k}"]))
    nodes.append(helper.make_node("Identity", ["t0"], ["last"]))
    results = [f"t{k}" for k in range(states)] + [f"y{k}" for k in range(scans)] + ["last"]
    outs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in results]
    return helper.make_graph(nodes, "body", ports, outs)


def scan_model(
    states: list[np.ndarray],
    scans: list[np.ndarray],
    opset: int,
    lengths: np.ndarray | None = None,
    **attrs: Any,
) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    feeds = {f"i{k}": x for k, x in enumerate(states + scans)}
    names = list(feeds)
    if opset == 8:
        names.insert(0, "lengths" if lengths is not None else "")
        if lengths is not None:
            feeds["lengths"] = lengths
    body = body_of(len(states), len(scans))
    outs = [f"o{k}" for k in range(len(body.output))]
    node = helper.make_node("Scan", names, outs, body=body, num_scan_inputs=len(scans), **attrs)
    ports = [helper.make_tensor_value_info(n, dtype_of(x), x.shape) for n, x in feeds.items()]
    results = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in outs]
    graph = helper.make_graph([node], "scan", ports, results)
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8), feeds


def plain_scan(
    states: list[np.ndarray], scans: list[np.ndarray], in_axes: list[int], in_back: list[int],
    out_axes: list[int], out_back: list[int],
) -> list[np.ndarray]:  # fmt: skip
    """The pseudo-code of the standard."""
    rows: list[list[np.ndarray]] = [[] for _ in range(len(scans) + 1)]
    steps = scans[0].shape[in_axes[0]]
    for t in range(steps):
        xs = [
            np.take(x, steps - 1 - t if back else t, axis=a)
            for x, a, back in zip(scans, in_axes, in_back, strict=True)
        ]
        states = [s + np.sum(xs, axis=0, dtype=F32) for s in states]
        for row, y, back in zip(rows, [x * x for x in xs] + [states[0]], out_back, strict=True):
            row.insert(0 if back else len(row), y)
    if steps == 0:
        empty = np.zeros(states[0].shape, F32)
        return states + [np.stack([empty], a)[..., :0] if a == -1 else
                         np.take(np.stack([empty], a), [], a) for a in out_axes]  # fmt: skip
    return states + [np.stack(r, a) for r, a in zip(rows, out_axes, strict=True)]


@pytest.mark.parametrize("opset", [9, 11, 16, 19, 21, 23])
@pytest.mark.parametrize("steps", [0, 1, 5])
def test_scan(opset: int, steps: int) -> None:
    rng = np.random.default_rng(steps)
    states = [rng.standard_normal((2, 3)).astype(F32) for _ in range(2)]
    for in_axes in ([0, 0], [1, 2], [-1, 0], [-2, -3]):
        for out_axes in ([0, 0, 0], [1, 2, 0], [-1, 0, -2]):
            in_back, out_back = ([0, 1], [1, 0, 1]) if in_axes[0] else ([1, 0], [0, 1, 0])
            shape = [np.insert([2, 3], a if a >= 0 else 3 + a, steps) for a in in_axes]
            scans = [rng.standard_normal(s).astype(F32) for s in shape]
            m, feeds = scan_model(
                states, scans, opset, scan_input_axes=in_axes, scan_output_axes=out_axes,
                scan_input_directions=in_back, scan_output_directions=out_back,
            )  # fmt: skip
            want = plain_scan(states, scans, in_axes, in_back, out_axes, out_back)
            for g, w in zip(run(m, feeds), want, strict=True):
                assert g.shape == w.shape
                np.testing.assert_allclose(g, w, rtol=1e-5, atol=1e-6)


def test_scan_with_defaults_against_the_reference_evaluator() -> None:
    rng = np.random.default_rng(0)
    states = [rng.standard_normal(4).astype(F32)]
    scans = [rng.standard_normal((6, 4)).astype(F32) for _ in range(3)]
    check(*scan_model(states, scans, 21))


@pytest.mark.parametrize("lengths", [None, [3, 5, 0], [0, 0, 0], [5, 5, 5]])
@pytest.mark.parametrize("back", [0, 1])
def test_scan_8_has_a_batch(lengths: list[int] | None, back: int) -> None:
    rng = np.random.default_rng(0)
    state = rng.standard_normal((3, 2)).astype(F32)
    scans = [rng.standard_normal((3, 5, 2)).astype(F32) for _ in range(2)]
    given = None if lengths is None else np.array(lengths, I64)
    m, feeds = scan_model([state], scans, 8, given, directions=[0, back])
    got = run(m, feeds)
    assert [g.shape for g in got] == [(3, 2)] + 3 * [(3, 5, 2)]
    for b in range(3):
        n = 5 if lengths is None else lengths[b]
        part = [x[b, :n] for x in scans]
        want = plain_scan([state[b]], part, [0, 0], [0, back], [0, 0, 0], [0, 0, 0])
        np.testing.assert_allclose(got[0][b], want[0], rtol=1e-5, atol=1e-6)
        for g, w in zip(got[1:], want[1:], strict=True):
            np.testing.assert_allclose(g[b, :n], w, rtol=1e-5, atol=1e-6)
            assert not g[b, n:].any()


def test_scan_of_no_sequences() -> None:
    m, feeds = scan_model([np.zeros((0, 2), F32)], [np.zeros((0, 5, 2), F32)], 8)
    assert [g.shape for g in run(m, feeds)] == [(0, 2), (0, 5, 2), (0, 5, 2)]


@pytest.mark.parametrize(
    ("attrs", "text"),
    [
        ({"scan_input_axes": [3, 0]}, "axis 3 is out of range"),
        ({"scan_input_axes": [0]}, "scan_input_axes has 1 entries, expected 2"),
        ({"scan_output_directions": [0]}, "scan_output_directions has 1 entries, expected 3"),
        ({"scan_output_axes": [0, 0, -4]}, "axis -4 is out of range"),
        ({"scan_input_axes": [0, 1]}, "does not fit 1 sequences of 5 steps"),
    ],
)
def test_scan_refuses(attrs: dict[str, Any], text: str) -> None:
    scans = [np.zeros((5, 2), F32), np.zeros((5, 2), F32)]
    m, feeds = scan_model([np.zeros(2, F32)], scans, 21, **attrs)
    with pytest.raises(pyinfer.ModelError, match=text):
        run(m, feeds)


def test_scan_8_refuses_lengths_beyond_the_sequence() -> None:
    m, feeds = scan_model(
        [np.zeros((1, 2), F32)], [np.zeros((1, 5, 2), F32)], 8, np.array([6], I64)
    )
    with pytest.raises(pyinfer.PyinferError, match="sequence length 6 is not in 0 to 5"):
        run(m, feeds)


def test_scan_states_keep_their_shape() -> None:
    m, feeds = scan_model([np.zeros(1, F32)], [np.zeros((5, 2), F32)], 21)
    with pytest.raises(
        pyinfer.ModelError, match=r"output 0 of the body is f32\[2\], but was f32\[1\]"
    ):
        run(m, feeds)


@pytest.mark.parametrize("count", [0, -1, 9])
def test_scan_refuses_a_wrong_number_of_scan_inputs(count: int) -> None:
    m, feeds = scan_model([np.zeros(2, F32)], [np.zeros((5, 2), F32)], 21)
    attr = next(a for a in m.graph.node[0].attribute if a.name == "num_scan_inputs")
    attr.CopyFrom(helper.make_attribute("num_scan_inputs", count))
    with pytest.raises(pyinfer.ModelError, match=f"num_scan_inputs is {count}"):
        run(m, feeds)


def test_scan_sees_outer_values_and_nests() -> None:
    m = model("""agraph (float[R, T] x, float k) => (float[R, T] y) {
        y = Scan <num_scan_inputs = 1,
            body = rows (float[T] r) => (float[T] s) {
                zero = Constant <value = float {0.0}> ()
                last, s = Scan <num_scan_inputs = 1,
                    body = sums (float a, float e) => (float b, float f) {
                        p = Mul (e, k)
                        b = Add (a, p)
                        f = Identity (b)
                    }
                > (zero, r)
            }
        > (x)
    }""")
    x = np.random.default_rng(0).standard_normal((3, 4)).astype(F32)
    y = run(m, {"x": x, "k": np.array(2, F32)})[0]
    np.testing.assert_allclose(y, np.cumsum(2 * x, 1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("op", ["If", "Loop", "Scan"])
def test_a_missing_body_is_an_error(op: str) -> None:
    x = helper.make_tensor_value_info("x", TensorProto.BOOL, [])
    y = helper.make_tensor_value_info("y", TensorProto.BOOL, [])
    more = {"num_scan_inputs": 1} if op == "Scan" else {}
    node = helper.make_node(op, ["x"] if op != "Loop" else ["", "x"], ["y"], **more)
    m = helper.make_model(helper.make_graph([node], "g", [x], [y]), ir_version=8)
    with pytest.raises(pyinfer.ModelError, match="is missing"):
        pyinfer.load(m.SerializeToString())
