# SPDX-License-Identifier: Apache-2.0
"""Error messages: each says in one line what is wrong, what was expected, and what to do."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

import pyinfer
from support import tiny

X = np.ones((2, 3), np.float32)
LINEAR, TWO = tiny.linear(), tiny.two()
SQUARE = tiny.model(
    [helper.make_node("Neg", ["x"], ["y"])], [("x", np.float32, ["n", "n"])], [("y", np.float32, ["n", "n"])]
)

CASES: list[tuple[Callable[[Any, Any], Any], type[Exception], str]] = [
    (lambda m, t: m(np.ones((2, 4), np.float32)), pyinfer.InputError, "input 'x': expected float32[n, 3], got float32[2, 4]; dimension 1"),
    (lambda m, t: m(np.ones(3, np.float32)), pyinfer.InputError, "got float32[3]; the batch dimension is missing"),
    (lambda m, t: m(X.astype(np.complex64)), pyinfer.InputError, "got complex64, and a cast might lose something; convert"),
    (lambda m, t: m(np.array([["a", "b"]])), pyinfer.InputError, "'x': expected float32, got text; turn it into"),
    (lambda m, t: m(None), pyinfer.InputError, "'x': expected float32, got None"),
    (lambda m, t: t(np.float32([1]), np.int64([1])), pyinfer.InputError, "input 'a': expected int64, got float32"),
    (lambda m, t: m(), pyinfer.InputError, "0 arrays are given, but 1 is needed: x: float32[n, 3]"),
    (lambda m, t: m(X, X), pyinfer.InputError, "2 arrays are given"),
    (lambda m, t: m(z=X), pyinfer.InputError, "no input 'z'. The input is x: float32[n, 3]"),
    (lambda m, t: t(X, a=X), pyinfer.InputError, "input 'a' is given twice"),
    (lambda m, t: m.run({"q": X}), pyinfer.InputError, "there is no input 'q'. The input is x: float32[n, 3]"),
    (lambda m, t: m.run({"x": X}, ["q"]), pyinfer.InputError, "no output 'q'. The only output is y"),
    (lambda m, t: m.run({"x": X}, out={"y": X}), pyinfer.InputError, "C-contiguous array float32[2, 2], got float32[2, 3]"),
    (lambda m, t: pyinfer.load(LINEAR, strict=True)(X[::-1]), pyinfer.InputError, "np.ascontiguousarray(x, np.float32)"),
    (lambda m, t: pyinfer.load(LINEAR, strict=True)(X.astype(">f4")), pyinfer.InputError, "got >f4[2, 3], of the other byte order"),
    (lambda m, t: pyinfer.load(LINEAR, strict=True)(X.astype(float)), pyinfer.InputError, "of float32, got float64[2, 3] (the model"),
    (lambda m, t: pyinfer.load(LINEAR, strict=True)(X.tolist()), pyinfer.InputError, "of float32, got a list (the model"),
    (lambda m, t: pyinfer.load(LINEAR, strict=True)(np.asfortranarray(X)), pyinfer.InputError, "got float32[2, 3], not C-contiguous"),
    (lambda m, t: t(np.int64([1]), np.int64([1, 2])), pyinfer.InputError, "'n' is 1 in dimension 0 of input 'a', but 2 in"),
    (lambda m, t: pyinfer.load(SQUARE)(X), pyinfer.InputError, "but 3 in dimension 1 of input 'x'"),
    (lambda m, t: pyinfer.load(LINEAR, level=99), pyinfer.InputError, "option level is 99, expected 0 to 2"),
    (lambda m, t: pyinfer.load(LINEAR, onednn=2), pyinfer.InputError, "option onednn is 2, expected 0 to 1"),
    (lambda m, t: pyinfer.load(LINEAR, threads=-5), pyinfer.InputError, "threads is -5, expected 0 to 65536"),
    (lambda m, t: pyinfer.load(LINEAR, threads="two"), TypeError, "option threads is 'two', expected an integer"),
    (lambda m, t: pyinfer.load(LINEAR, treads=1), TypeError, "no option 'treads', did you mean 'threads'? The options are threads, level"),
    (lambda m, t: pyinfer.load(LINEAR, memory_limit=1000)(X), pyinfer.LimitError, "memory limit of 1000 bytes"),
    (lambda m, t: pyinfer.load(b""), pyinfer.ModelError, "the file is empty"),
    (lambda m, t: pyinfer.load(b"junk"), pyinfer.ModelError, "not an ONNX model: this is a text"),
    (lambda m, t: pyinfer.load("/no/such.onnx"), pyinfer.FileError, "/no/such.onnx: No such file"),
    (lambda m, t: pyinfer.load("/"), pyinfer.FileError, "/ is a folder"),
    (lambda m, t: pyinfer.load(3.5), TypeError, "a path, bytes, a file object"),
]


def test_strict_refuses_slow_steps() -> None:
    """A large convolution of float64 has the plain kernel only; a small one, and float32, are no matter."""

    def conv(size: int, dtype: type) -> bytes:
        node = helper.make_node("Conv", ["x", "w"], ["y"], name="slow one")
        w = np.ones((8, 3, 3, 3), dtype)
        return tiny.model([node], [("x", dtype, [1, 3, size, size])], [("y", dtype, [1, 8, "h", "w"])], {"w": w})

    def run(data: bytes, dtype: type, size: int) -> None:
        pyinfer.load(data, strict=True)(np.zeros((1, 3, size, size), dtype))

    run(conv(8, np.float64), np.float64, 8)
    run(conv(128, np.float32), np.float32, 128)
    with pytest.raises(pyinfer.UnsupportedError, match="slow one.*the option strict refuses"):
        run(conv(128, np.float64), np.float64, 128)


@pytest.mark.parametrize(("act", "error", "said"), CASES, ids=[case[2] for case in CASES])
def test_message(act: Callable[[Any, Any], Any], error: type[Exception], said: str) -> None:
    model, two = pyinfer.load(LINEAR), pyinfer.load(TWO)
    with pytest.raises(error) as info:
        act(model, two)
    text = str(info.value)
    assert said in text and "\n" not in text
    assert model(X).tolist() == [[6.5, -5.75]] * 2  # the model is as good as before


@pytest.mark.parametrize("use", ["run", "memory", "metadata", "graph_text", "profile", "threads"])
def test_a_closed_model_says_so(use: str) -> None:
    model = pyinfer.load(LINEAR)
    model.close()
    with pytest.raises(pyinfer.InputError, match="the model is closed"):
        thing = getattr(model, use)
        thing({"x": X}) if use == "run" else thing(X) if use == "profile" else thing()


@pytest.mark.parametrize("symbol", ["?", "-1", "None", "unknown", "*"])
def test_what_exporters_write_for_any_size_is_no_symbol(symbol: str) -> None:
    ports = [("x", np.float32, [symbol, symbol])], [("y", np.float32, [symbol, symbol])]
    model = pyinfer.load(tiny.model([helper.make_node("Neg", ["x"], ["y"])], *ports))
    assert model.inputs[0].shape == (None, None)
    assert model(X).shape == X.shape


# ---- operators that are not supported ----


def named(op: str, name: str = "", line: int = 0, code: str = "y = f(x)", domain: str = "my.lib") -> onnx.NodeProto:
    node = helper.make_node(op, ["x"], [f"{op}{name}{line}"], name=name, domain=domain)
    if line:
        trace = f'File "/src/net.py", line 2, in forward\n    self.deep(x)\nFile "/src/net.py", line {line}, in deep\n    {code}'
        node.metadata_props.add(key="pkg.torch.onnx.stack_trace", value=trace)
    return node


def refusal(*nodes: onnx.NodeProto) -> str:
    x = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    y = helper.make_tensor_value_info(nodes[-1].output[0], onnx.TensorProto.FLOAT, [1])
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("my.lib", 3)]
    model = helper.make_model(helper.make_graph(nodes, "g", [x], [y]), opset_imports=opsets)
    with pytest.raises(pyinfer.UnsupportedError) as info:
        pyinfer.load(model)
    text, other = str(info.value), any(n.domain for n in nodes)
    assert text.endswith(". Operators of other domains run if the model has functions for them") == other
    return text.partition(". Operators of other domains")[0]


def test_one_unsupported_operator() -> None:
    assert refusal(named("A")) == "1 operator of this model is not supported: my.lib.A (opset 3, 1 node)"
    assert refusal(named("A", "fc")).endswith("my.lib.A (opset 3, 1 node: 'fc')")
    assert refusal(named("A", "", 7)).endswith("my.lib.A (opset 3, 1 node: from net.py:7, in deep: y = f(x))")
    assert refusal(named("A", domain="")).endswith(": A (opset 21, 1 node)")


def test_several_nodes_of_an_unsupported_operator() -> None:
    text = refusal(*(named("A", f"n{i}", 10 + i) for i in range(5)), named("Relu", domain=""))
    assert text.endswith(
        ": my.lib.A (opset 3, 5 nodes: 'n0' from net.py:10, in deep: y = f(x); 'n1' from net.py:11, in deep; "
        "'n2' from net.py:12, in deep; and 2 more)"
    )


def test_a_long_line_of_code_is_cut_visibly() -> None:
    text = refusal(named("A", "n", 7, "y = function(" + 40 * "argument, " + ")"))
    assert re.search(r"in deep: y = function\((argument, )+\w*,?\.\.\.\)$", text) and len(text) < 300


@pytest.mark.parametrize("count", [2, 4, 16, 40])
def test_all_unsupported_operators_are_named_at_once(count: int) -> None:
    text = refusal(*(named(f"Op{i}", f"layer.{i}/op", 100 + i, 20 * "code ") for i in range(count)))
    assert text.startswith(f"{count} operators of this model are not supported: my.lib.Op0 (opset 3, 1 node")
    for i in range(count):
        assert f"my.lib.Op{i} (opset 3, 1 node" in text
        assert count > 16 or f"'layer.{i}/op' from net.py:{100 + i}, in deep" in text


def test_unsupported_operators_of_a_torch_export() -> None:
    import torch

    class Net(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            twisted = torch.onnx.ops.symbolic("my.lib::Twist", (torch.relu(x),), dtype=x.dtype, shape=x.shape, version=3)
            return torch.sigmoid(twisted)

    program = torch.onnx.export(Net().eval(), (torch.ones(2, 3),), dynamo=True, verbose=False)
    with pytest.raises(pyinfer.UnsupportedError) as info:
        pyinfer.load(program)
    here = Path(__file__)
    line = next(i for i, text in enumerate(here.read_text().splitlines(), 1) if "(torch.relu(x),)" in text)
    assert "1 operator of this model is not supported: my.lib.Twist (opset 3, 1 node: '" in str(info.value)
    assert f"' from {here.name}:{line}, in forward: twisted = torch.onnx.ops" in str(info.value)
