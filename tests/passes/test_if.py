# SPDX-License-Identifier: Apache-2.0
"""An If whose condition is a constant, at load or once shapes are known, becomes its branch: no step, and what follows is
planned as if it had never been there."""

from __future__ import annotations

import gc
import io
import warnings
from typing import Any

import numpy as np
import onnx.parser
import pytest
from onnx import ModelProto, helper, numpy_helper

import pyinfer
from pyinfer import _core

F32 = np.float32
W = np.random.default_rng(2).standard_normal((8, 3, 3, 3)).astype(F32)


def model(text: str, functions: str = "") -> ModelProto:
    head = '<ir_version: 8, opset_import: ["" : 18, "own" : 1]>'
    return onnx.parser.parse_model(f"{head}\n{text}\n{functions}")


def ops(m: ModelProto, *feeds: dict[str, Any], at_first: str = "If") -> list[list[str]]:
    """What runs for each set of inputs; one model is run with all of them, twice, after level 0 said what is right. There
    it has a step `at_first`."""
    data = m.SerializeToString()
    plain, some, all_ = (pyinfer.load(data, level=level) for level in range(3))
    for feed in [*feeds, *feeds]:
        want = plain.run(feed)
        for got in (some.run(feed), all_.run(feed)):
            assert got.keys() == want.keys()
            for name, array in want.items():
                assert np.shape(got[name]) == np.shape(array)
                np.testing.assert_allclose(got[name], array, rtol=1e-4, atol=1e-5)
    names = plain.input_names
    assert any(s["op"] == at_first for s in plain.steps(tuple(feeds[0][n] for n in names), 0)[0][0])
    return [[s["op"] for s in all_.steps(tuple(f[n] for n in names), 0)[0][0]] for f in feeds]


def ones(*shape: int) -> dict[str, Any]:
    return {"x": np.random.default_rng(len(shape)).standard_normal(shape).astype(F32)}


# ---- what exporters write ----


def test_squeeze_of_torchscript() -> None:
    import torch

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 8, 3)

        def forward(self, x: Any) -> Any:
            return torch.relu(self.conv(x.squeeze(1))).squeeze(0)

    net, file = Net().eval(), io.BytesIO()
    free = {"x": dict(enumerate("abcde"))}
    names: dict[str, Any] = {"input_names": ["x"], "dynamic_axes": free}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(net, (torch.zeros(2, 1, 3, 8, 8),), file, dynamo=False, **names)
    feeds = [ones(n, 1, 3, 9, 8) for n in (2, 1, 3)]
    lists = ops(onnx.load_from_string(file.getvalue()), *feeds)
    for steps in lists:
        assert "If" not in steps and "Relu" not in steps and steps.count("Conv") == 1
    got = pyinfer.load(file.getvalue())(feeds[1]["x"])
    want = net(torch.tensor(feeds[1]["x"])).detach().numpy()
    assert np.shape(got) == want.shape == (8, 7, 6)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


GUARD = """agraph (float[a, b, c, d] x, float[8, 3, 3, 3] w) => (float[e, f, g, h] y) {
    shape = Shape (x)
    one = Constant <value = int64[1] {1}> ()
    zero = Constant <value = int64[1] {0}> ()
    n = Gather (shape, zero)
    is = Equal (n, one)
    z = If (is) <
        then_branch = t () => (float[N] a1) { m = Neg (x) a1 = Abs (m) },
        else_branch = e () => (float[N] a2) { a2 = Concat <axis = 2> (x, x) }
    >
    c1 = Conv <pads = [1, 1, 1, 1]> (z, w)
    y = Relu (c1)
}"""


def constants(m: ModelProto, **arrays: Any) -> ModelProto:
    """These inputs become initializers."""
    kept = [port for port in m.graph.input if port.name not in arrays]
    del m.graph.input[:]
    m.graph.input.extend(kept)
    m.graph.initializer.extend(numpy_helper.from_array(np.array(v), k) for k, v in arrays.items())
    return m


def test_the_outcome_changes_with_the_shape() -> None:
    m = constants(model(GUARD), w=W)
    one, two, again = ops(m, ones(1, 3, 5, 6), ones(2, 3, 5, 6), ones(1, 3, 7, 6))
    assert "Concat" in two and "Concat" not in one
    for steps in (one, two):
        assert steps.count("Conv") == 1 and not {"If", "Relu", "Equal"} & set(steps)
    assert one == again


def test_a_condition_that_depends_on_what_another_if_makes() -> None:
    m = model("""agraph (float[a, b] x) => (float[N] y) {
        one = Constant <value = int64[1] {1}> ()
        two = Constant <value = int64[1] {2}> ()
        zero = Constant <value = int64[1] {0}> ()
        s = Shape (x)
        n = Gather (s, zero)
        c = Equal (n, one)
        u = If (c) <
            then_branch = t () => (float[N] a1) { a1 = Squeeze (x, zero) },
            else_branch = e () => (float[N] a2) { a2 = Identity (x) }
        >
        s2 = Shape (u)
        r = Size (s2)
        one0 = Constant <value = int64 {1}> ()
        c2 = Equal (r, one0)
        y = If (c2) <
            then_branch = t2 () => (float[N] b1) { b1 = Neg (u) },
            else_branch = e2 () => (float[N] b2) { b2 = Transpose (u) }
        >
    }""")
    assert ops(m, ones(1, 5), ones(3, 5)) == [["Neg"], ["Transpose"]]


# ---- forms ----


@pytest.mark.parametrize("shape", ["", "[1]"])
@pytest.mark.parametrize("c", [0, 1])
@pytest.mark.parametrize("d", [0, 1])
def test_nested(shape: str, c: int, d: int) -> None:
    m = model(f"""agraph (float[N] x, bool q) => (float[M] y, float[N] r) {{
        c = Constant <value = bool{shape} {{{c}}}> ()
        d = Constant <value = bool{shape} {{{d}}}> ()
        p = Exp (x)
        y = If (c) <
            then_branch = t () => (float[M] a) {{
                f = Mul (p, x)
                a = If (d) <
                    then_branch = tt () => (float[M] u) {{ u = Concat <axis = 0> (f, p) }},
                    else_branch = te () => (float[M] v) {{ v = Sub (f, x) }}
                >
            }},
            else_branch = e () => (float[M] b) {{
                b = If (q) <
                    then_branch = et () => (float[M] u2) {{
                        u2 = If (d) <
                            then_branch = t3 () => (float[M] u3) {{ u3 = Sin (p) }},
                            else_branch = e3 () => (float[M] v3) {{ v3 = Cos (p) }}
                        >
                    }},
                    else_branch = ee () => (float[M] v2) {{ v2 = Identity (x) }}
                >
            }}
        >
        r = Neg (p)
    }}""")
    feeds = [{**ones(4), "q": np.array(q)} for q in (True, False)]
    for steps in ops(m, *feeds):
        assert steps.count("If") == (0 if c else 1)  # only what depends on the data is left
        assert ("Concat" in steps) == bool(c and d)


OUTPUTS = """agraph (float[N] x) => (float[N] y0, float[N] y1, float[N] y2, float[K] y3, float[N] y4, float[N] y5) {{
    c = Constant <value = bool {{{c}}}> ()
    p = Exp (x)
    y0, y1, y2, y3, y4, unread = If (c) <
        then_branch = t () => (float[N] p, float[N] x, float[N] a, float[K] k, float[N] a, float[N] b) {{
            a, m = Dropout (x)
            k = Constant <value_floats = [1.0, 2.0]> ()
            b = Sin (a)
        }},
        else_branch = e () => (float[N] f, float[N] g, float[N] g, float[K] h, float[N] p, float[N] i) {{
            f = Cos (p)
            g = Sin (f)
            h = Identity (outer)
            i = Neg (g)
        }}
    >
    y5 = Add (y2, y0)
}}"""


@pytest.mark.parametrize("c", [0, 1])
def test_what_a_branch_gives(c: int) -> None:
    """Outer values, inputs of the graph, constants, one value twice, and what nobody reads."""
    m = model(OUTPUTS.format(c=c))
    m.graph.initializer.append(numpy_helper.from_array(np.float32([3, 4, 5]), "outer"))
    (steps,) = ops(m, ones(4))
    assert "If" not in steps and len(steps) <= 5
    data = m.SerializeToString()
    x = ones(4)["x"]
    for name in ("y0", "y2", "p"):  # the names of the file stay, for those who ask for them
        got = pyinfer.load(data).run({"x": x}, fetch=[name])
        np.testing.assert_allclose(
            got[name], pyinfer.load(data, level=0).run({"x": x}, fetch=[name])[name], 1e-6
        )


def test_the_output_of_a_branch_is_what_a_step_is_called() -> None:
    m = model("""agraph (float[N] x) => (float[N] y) {
        c = Constant <value = bool {1}> ()
        y = If (c) <
            then_branch = t () => (float[N] a) { b = Exp (x) a = CumSum (b, axis) },
            else_branch = e () => (float[N] d) { d = Identity (x) }
        >
    }""")
    m.graph.initializer.append(numpy_helper.from_array(np.int64(0), "axis"))
    steps = pyinfer.load(m.SerializeToString()).steps((ones(3)["x"],), 0)[0][0]
    assert [(s["op"], s["value"]) for s in steps] == [("Exp", "b"), ("CumSum", "y")]


def test_in_a_function() -> None:
    m = model(
        """agraph (float[N] x) => (float[N] y) {
            a = own.pick <yes = 1> (x)
            b = own.pick <yes = 0> (a)
            y = Exp (b)
        }""",
        """<domain: "own", opset_import: ["" : 18]>
        pick <yes> (u) => (v) {
            k = Constant <value_int : int = @yes> ()
            c = Cast <to = 9> (k)
            v = If (c) <
                then_branch = t () => (float[N] a) { a = Sinh (u) },
                else_branch = e () => (float[N] a) { a = Cosh (u) }
            >
        }""",
    )
    assert ops(m, ones(4)) == [["Sinh", "Cosh", "Exp"]]


def test_a_whole_subgraph_moves_out_with_its_loop() -> None:
    m = model("""agraph (float[N] x, int64 n) => (float[N] y) {
        c = Constant <value = bool {1}> ()
        p = Exp (x)
        y = If (c) <
            then_branch = t () => (float[N] a) {
                m = Neg (p)
                a = Loop (n, , x) <
                    body = b (int64 i, bool go, float[N] v) => (bool more, float[N] w) {
                        more = Identity (go)
                        w = If (c) <
                            then_branch = t2 () => (float[N] f) { g = Add (v, m) f = Mul (g, p) },
                            else_branch = e2 () => (float[N] h) { h = Identity (v) }
                        >
                    }
                >
            },
            else_branch = e () => (float[N] d) { d = Identity (x) }
        >
    }""")
    for steps in ops(m, *({**ones(4), "n": np.array(n)} for n in (0, 3))):
        assert "If" not in steps and "Loop" in steps


def test_sequences_and_optionals() -> None:
    m = model("""agraph (float[N, M] x) => (float[N] y, bool h) {
        c = Constant <value = bool {1}> ()
        one = Constant <value = int64 {1}> ()
        s, o = If (c) <
            then_branch = t () => (seq(float[N]) a, optional(float[N]) b) {
                a = SplitToSequence <axis = 0, keepdims = 0> (x)
                b = Optional (x)
            },
            else_branch = e () => (seq(float[N]) d, optional(float[N]) f) {
                d = SequenceConstruct (x, x)
                f = Optional <type = float[N]> ()
            }
        >
        p = SequenceAt (s, one)
        y = Neg (p)
        h = OptionalHasElement (o)
    }""")
    (steps,) = ops(m, ones(3, 4))
    assert not {"If", "SequenceAt", "SplitToSequence"} & set(steps)


def test_what_is_known_outside_is_known_inside() -> None:
    """A shape that is computed outside of a subgraph is a constant in it: the sizes of its results are known."""
    m = model("""agraph (float[A, 3, C, D] x, float[8, 3, 3, 3] w) => (float[N, 8, P, Q] y) {
        s = Shape (x)
        one = Constant <value = int64[1] {1}> ()
        four = Constant <value = int64[1] {4}> ()
        like = Slice (s, one, four)
        z = Scan <num_scan_inputs = 1, body = b (float[P, Q, R] v) => (float[S, T, U] u) {
            f = Flatten (v)
            u = Reshape (f, like)
        }> (x)
        k = Conv (z, w)
        y = Relu (k)
    }""")
    lists = ops(constants(m, w=W), ones(2, 3, 4, 5), ones(1, 3, 6, 5), at_first="Scan")
    for steps in lists:
        assert "Scan" in steps and "Relu" not in steps


# ---- faults ----

FAULTY = """agraph (float[2] x) => (float[N] y) {{
    c = Constant <value = bool {{{c}}}> ()
    z = If (c) <
        then_branch = t () => (float[N] a) {{
            k = Constant <value = float[3] {{1.0, 2.0, 3.0}}> ()
            a = Add (x, k)
        }},
        else_branch = e () => (float[N] b) {{ b = Neg (x) }}
    >
    y = Exp (z)
}}"""


def test_the_other_branch_is_not_looked_at() -> None:
    (steps,) = ops(model(FAULTY.format(c=0)), ones(2))
    assert "If" not in steps and "Add" not in steps


def test_errors_name_the_node_and_its_line() -> None:
    m = model(FAULTY.format(c=1))
    choice = m.graph.node[1]
    choice.name = "choice"
    inner = choice.attribute[0].g.node[1]
    with pytest.raises(pyinfer.ModelError, match=r"Add \(#1\): .*\[2\].*\[3\]"):
        pyinfer.load(m.SerializeToString())
    inner.name = "sum"
    trace = 'File "net.py", line 7, in forward\n    return x + k'
    choice.metadata_props.add(key="pkg.torch.onnx.stack_trace", value=trace)
    with pytest.raises(pyinfer.ModelError, match=r"Add 'sum' \(#1\), from net.py:7"):
        pyinfer.load(m.SerializeToString())


def branches(m: ModelProto) -> list[Any]:
    node = next(n for n in m.graph.node if n.op_type == "If")
    return [a.g for a in node.attribute]


@pytest.mark.parametrize("which", [0, 1])
def test_a_branch_of_too_few_outputs(which: int) -> None:
    m = model(FAULTY.format(c=0))
    m.graph.node[1].output.append("more")
    other = branches(m)[1 - which]
    other.output.append(other.output[0])
    with pytest.raises(pyinfer.ModelError, match=r"If \(#1\): a branch has 1 outputs, expected 2"):
        pyinfer.load(m.SerializeToString())


def test_a_branch_with_inputs() -> None:
    m = model(FAULTY.format(c=0))
    branches(m)[1].input.append(helper.make_tensor_value_info("extra", 1, [2]))
    loaded = pyinfer.load(m.SerializeToString())
    with pytest.raises(pyinfer.ModelError, match="If.*a branch has inputs"):
        loaded.run(ones(2))


def test_a_condition_of_two() -> None:
    m = model(FAULTY.format(c=0))
    value = numpy_helper.from_array(np.array([True, True]))
    m.graph.node[0].attribute[0].t.CopyFrom(value)
    loaded = pyinfer.load(m.SerializeToString())
    with pytest.raises(pyinfer.ModelError, match="If.*not one bool"):
        loaded.run(ones(2))


def test_a_cycle_in_a_branch() -> None:
    m = model(FAULTY.format(c=0))
    branches(m)[1].node[0].CopyFrom(helper.make_node("Add", ["b", "x"], ["b"]))
    with pytest.raises(pyinfer.ModelError, match="cycle"):
        pyinfer.load(m.SerializeToString()).run(ones(2))


def test_the_types_that_follow_are_checked() -> None:
    m = model(FAULTY.format(c=0))
    branches(m)[1].node[0].CopyFrom(helper.make_node("Cast", ["x"], ["b"], to=9))
    with pytest.raises(pyinfer.ModelError, match=r"Exp.*bool"):
        pyinfer.load(m.SerializeToString())


def test_a_long_row_of_ifs() -> None:
    """Each in the next one's condition, in one walk over the graph."""
    nodes, value = [], "x"
    for i in range(3000):
        parts = []
        for name, op in (("then_branch", "Neg"), ("else_branch", "Exp")):
            result = [helper.make_tensor_value_info(f"{name}{i}", 1, None)]
            body = [helper.make_node(op, [value], [f"{name}{i}"])]
            parts.append(helper.make_graph(body, name, [], result))
        nodes += [
            helper.make_node("Shape", [value], [f"s{i}"]),
            helper.make_node("Equal", [f"s{i}", "n"], [f"c{i}"]),
            helper.make_node(
                "If", [f"c{i}"], [f"v{i}"], then_branch=parts[0], else_branch=parts[1]
            ),
        ]
        value = f"v{i}"
    ports = [helper.make_tensor_value_info(n, 1, ["N"]) for n in ("x", value)]
    graph = helper.make_graph(
        nodes, "g", ports[:1], ports[1:], [numpy_helper.from_array(np.int64([2]), "n")]
    )
    m = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 18)])
    loaded = pyinfer.load(m.SerializeToString(), level=1)
    x = np.float32([1, 2])
    np.testing.assert_array_equal(loaded.run({"x": x})[value], x)
    assert {s["op"] for s in loaded.steps((x,), 0)[0][0]} == {"Neg"}


def test_each_allocation_may_fail() -> None:
    data = constants(model(GUARD), w=W).SerializeToString()
    feed = ones(1, 3, 4, 4)
    with pyinfer.load(data, threads=1, onednn=False) as m:
        expected = m.run(feed)["y"]
    gc.collect()
    alive = _core._alive_blocks()
    for nth in range(1, 5000):
        m = result = None
        _core._fail_alloc(nth)
        try:
            m = pyinfer.load(data, threads=1, onednn=False)
            result = m.run(feed)["y"]
        except MemoryError:
            pass
        finally:
            _core._fail_alloc(0)
        if m is not None:
            np.testing.assert_array_equal(m.run(feed)["y"], expected)
            m.close()
        del m
        assert _core._alive_blocks() == alive, f"a leak after failure {nth}"
        if result is not None:
            np.testing.assert_array_equal(result, expected)
            assert nth > 50
            return
    raise AssertionError("still failing after 5000 allocations")
