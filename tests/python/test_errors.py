# SPDX-License-Identifier: Apache-2.0
"""Error messages: each says in one line what is wrong, what was expected, and what to do."""

from collections.abc import Callable
from typing import Any

import numpy as np
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
    (lambda m, t: m(np.ones((2, 4), np.float32)), pyinfer.InputError, "input 'x': expected f32[n, 3], got f32[2, 4]"),
    (lambda m, t: m(np.ones(3, np.float32)), pyinfer.InputError, "got f32[3]; a leading batch dimension may be missing"),
    (lambda m, t: m(X.astype(np.complex64)), pyinfer.InputError, "'x': expected float32, got complex64; convert"),
    (lambda m, t: m(np.array([["a", "b"]])), pyinfer.InputError, "e.g. x.astype(np.float32)"),
    (lambda m, t: m(None), pyinfer.InputError, "'x': expected float32, got None"),
    (lambda m, t: t(np.float32([1]), np.int64([1])), pyinfer.InputError, "input 'a': expected int64, got float32"),
    (lambda m, t: m(), pyinfer.InputError, "0 arrays are given, the model has 1 inputs: ('x',)"),
    (lambda m, t: m(X, X), pyinfer.InputError, "2 arrays are given"),
    (lambda m, t: m(z=X), pyinfer.InputError, "no input 'z' left: the inputs are ('x',)"),
    (lambda m, t: t(X, a=X), pyinfer.InputError, "no input 'a' left: the inputs are ('a', 'b')"),
    (lambda m, t: m.run({"q": X}), pyinfer.InputError, "missing: x; unknown: q. The inputs are x: float32[n, 3]"),
    (lambda m, t: m.run({"x": X}, ["q"]), pyinfer.InputError, "no output 'q'; the outputs are y"),
    (lambda m, t: m.run({"x": X}, out={"y": X}), pyinfer.InputError, "out for 'y' must be a writable, C-contiguous"),
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
    (lambda m, t: pyinfer.load(LINEAR, treads=1), TypeError, "no option 'treads'. The options are threads ("),
    (lambda m, t: pyinfer.load(LINEAR, memory_limit=1000)(X), pyinfer.LimitError, "memory limit of 1000 bytes"),
    (lambda m, t: pyinfer.load(b""), pyinfer.ModelError, "the file is empty"),
    (lambda m, t: pyinfer.load(b"junk"), pyinfer.ModelError, "no ONNX model"),
    (lambda m, t: pyinfer.load("/no/such.onnx"), pyinfer.FileError, "/no/such.onnx: No such file"),
    (lambda m, t: pyinfer.load("/"), pyinfer.FileError, "/ is a folder"),
    (lambda m, t: pyinfer.load(3.5), TypeError, "a path, bytes, a file object"),
]


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
