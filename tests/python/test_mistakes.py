# SPDX-License-Identifier: Apache-2.0
"""Usual mistakes with arrays, names and options: each has a message that says what is wrong, and what to do."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import pyinfer
from pyinfer import _core
from support import tiny
from support.mistakes import node, says

F32 = np.float32


def net(shape: list[Any]) -> bytes:
    weights = {"w": np.ones((4, 3, 1, 1), F32)}
    return tiny.model([node("Conv", "image w", "map")], [("image", F32, shape)], [("map", F32, [None] * 4)], weights)


def bert() -> bytes:
    """[batch, length] of ids and mask to [batch, length, 2]."""
    ports = [(name, np.int64, ["batch", "length"]) for name in ("input_ids", "attention_mask")]
    nodes = [
        node("Mul", "input_ids attention_mask", "kept"),
        node("Gather", "table kept", "rows", "embed", "x = self.embed(ids)"),
    ]
    return tiny.model(nodes, ports, [("rows", F32, [None] * 3)], {"table": np.ones((10, 2), F32)})


IDS, PICTURE = np.ones((2, 4), np.int64), np.zeros((8, 8, 3), F32)
ANY, FIXED, BERT = net(["batch", 3, "height", "width"]), net([1, 3, 8, 8]), bert()


@pytest.fixture(autouse=True)
def a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def image() -> Iterator[pyinfer.Model]:
    yield (model := pyinfer.load(ANY))
    assert model(np.ones((1, 3, 8, 8), F32)).shape == (1, 4, 8, 8)  # as good as before


@pytest.fixture
def fixed() -> pyinfer.Model:
    return pyinfer.load(FIXED)


@pytest.fixture
def text() -> pyinfer.Model:
    return pyinfer.load(BERT)


# ---- names and numbers of inputs ----


@says(
    pyinfer.InputError,
    "there is no input 'imgae', did you mean 'image'? The input is image: float32[batch, 3, height, width]",
)
def test_a_misspelt_input_of_run(image: Any) -> None:
    image.run({"imgae": PICTURE})


@says(
    pyinfer.InputError,
    "there is no input 'imgae', did you mean 'image'? The input is image: float32[batch, 3, height, width]",
)
def test_a_misspelt_input_of_a_call(image: Any) -> None:
    image(imgae=PICTURE)


@says(
    pyinfer.InputError,
    "input 'attention_mask' is missing: give it too. The inputs are input_ids: int64[batch, length]; attention_mask: "
    "int64[batch, length]",
)
def test_an_input_that_is_missing_in_run(text: Any) -> None:
    text.run({"input_ids": IDS})


@says(
    pyinfer.InputError,
    "1 array is given, but 2 are needed: input_ids: int64[batch, length]; attention_mask: int64[batch, length]",
)
def test_an_input_that_is_missing_in_a_call(text: Any) -> None:
    text(IDS)


@says(
    pyinfer.InputError,
    "there is no input 'token_type_ids': leave it out. The inputs are input_ids: int64[batch, length]; "
    "attention_mask: int64[batch, length]",
)
def test_an_input_that_the_model_lacks(text: Any) -> None:
    text.run({"input_ids": IDS, "attention_mask": IDS, "token_type_ids": IDS})


@says(pyinfer.InputError, "2 arrays are given, but 1 is needed: image: float32[batch, 3, height, width]")
def test_too_many_inputs(image: Any) -> None:
    image(PICTURE, PICTURE)


@says(pyinfer.InputError, "input 'input_ids' is given twice: by its place, and by name")
def test_an_input_given_twice(text: Any) -> None:
    text(IDS, input_ids=IDS)


@says(
    pyinfer.InputError,
    "1 array is given, but 2 are needed: input_ids: int64[batch, length]; attention_mask: int64[batch, length]",
)
def test_a_tuple_of_the_wrong_length(text: Any) -> None:
    text.run((IDS,))


@says(
    pyinfer.InputError,
    "a dict is given as one array: call m(**x) or m.run(x). The inputs are input_ids: int64[batch, length]; "
    "attention_mask: int64[batch, length]",
)
def test_a_dictionary_in_a_call(text: Any) -> None:
    text({"input_ids": IDS, "attention_mask": IDS})


@says(pyinfer.InputError, "input 'image': expected an array of float32, got a dict: call m(**x) or m.run(x)")
def test_a_dictionary_for_the_only_input(image: Any) -> None:
    image({"image": PICTURE})


@says(
    pyinfer.InputError,
    "a BatchEncoding is given as one array: call m(**x) or m.run(x). The inputs are input_ids: int64[batch, length]; "
    "attention_mask: int64[batch, length]",
)
def test_what_a_tokenizer_gives_in_a_call(text: Any) -> None:
    from transformers import BatchEncoding

    text(BatchEncoding({"input_ids": IDS, "attention_mask": IDS}))


@says(
    pyinfer.InputError,
    "a list counts as one array: give a tuple of arrays, or a dictionary by name. The inputs are input_ids: "
    "int64[batch, length]; attention_mask: int64[batch, length]",
)
def test_a_list_of_arrays_for_several_inputs(text: Any) -> None:
    text.run([IDS, IDS])


# ---- shapes ----


@says(
    pyinfer.InputError,
    "input 'image': expected float32[batch, 3, height, width], got float32[1, 8, 8, 3]; the channels come last in "
    "it: give x.transpose(0, 3, 1, 2)",
)
def test_channels_last(image: Any) -> None:
    image(PICTURE[None])


@says(
    pyinfer.InputError,
    "input 'image': expected float32[batch, 3, height, width], got float32[3, 8, 8]; the batch dimension is missing: "
    "give x[None]",
)
def test_one_picture_without_batch(image: Any) -> None:
    image(PICTURE.transpose(2, 0, 1))


@says(
    pyinfer.InputError,
    "input 'image': expected float32[batch, 3, height, width], got float32[8, 8, 3]; the batch dimension is missing, "
    "and the channels come last in it: give x.transpose(2, 0, 1)[None]",
)
def test_one_picture_without_batch_and_channels_last(image: Any) -> None:
    image(PICTURE)


@says(
    pyinfer.InputError,
    "input 'input_ids': expected int64[batch, length], got int64[4]; the batch dimension is missing: give x[None]",
)
def test_one_row_of_ids(text: Any) -> None:
    text(IDS[0], IDS[0])


@says(
    pyinfer.InputError,
    "input 'image': expected float32[batch, 3, height, width], got float32[1, 1, 3, 8, 8]; it has a dimension too "
    "many: give x[0]",
)
def test_one_dimension_too_many(image: Any) -> None:
    image(np.zeros((1, 1, 3, 8, 8), F32))


@says(
    pyinfer.InputError,
    "input 'image': expected float32[batch, 3, height, width], got float32[192]; it must have 4 dimensions, not 1",
)
def test_a_row_for_a_picture(image: Any) -> None:
    image(np.zeros(192, F32))


@says(
    pyinfer.InputError,
    "input 'image': expected float32[batch, 3, height, width], got float32[]; it must have 4 dimensions, not 0",
)
def test_a_number_for_an_array(image: Any) -> None:
    image(3.0)


@says(
    pyinfer.InputError,
    "input 'image': expected float32[1, 3, 8, 8], got float32[8, 3, 8, 8]; the batch is fixed at 1 in this model: "
    "call it for one at a time, or export it with dynamic_shapes (dynamic_axes if dynamo=False)",
)
def test_a_batch_for_a_model_of_one(fixed: Any) -> None:
    fixed(np.zeros((8, 3, 8, 8), F32))


@says(
    pyinfer.InputError,
    "input 'image': expected float32[1, 3, 8, 8], got float32[1, 3, 16, 8]; the size of pictures is fixed in this "
    "model: resize yours, or export it with dynamic_shapes",
)
def test_another_size_of_picture(fixed: Any) -> None:
    fixed(np.zeros((1, 3, 16, 8), F32))


@says(
    pyinfer.InputError,
    "input 'image': expected float32[1, 3, 8, 8], got float32[480, 640, 3]; the model takes 8 x 8 pixels, so resize "
    "the picture first; the batch dimension is missing, and the channels come last in it: give x.transpose(2, 0, "
    "1)[None]",
)
def test_a_photo_as_it_is_read(fixed: Any) -> None:
    fixed(np.zeros((480, 640, 3), np.uint8))


@says(
    pyinfer.InputError,
    "input 'image': expected float32[1, 3, 8, 8], got float32[1, 1, 8, 8]; it is grey: give x.repeat(3, axis=1)",
)
def test_a_grey_picture(fixed: Any) -> None:
    fixed(np.zeros((1, 1, 8, 8), F32))


@says(pyinfer.InputError, "input 'x': expected float32[n, 3], got float32[2, 4]; dimension 1 must be 3, not 4")
def test_too_few_features() -> None:
    pyinfer.load(tiny.linear())(np.zeros((2, 4), F32))


@says(
    pyinfer.InputError,
    "input 'image': expected float32[batch, 3, height, width], got float32[1, 4, 8, 8]; it has a fourth channel, "
    "perhaps of transparency: give x[:, :3]",
)
def test_four_channels(image: Any) -> None:
    image(np.zeros((1, 4, 8, 8), F32))


@says(
    pyinfer.InputError,
    "'length' is 4 in dimension 1 of input 'input_ids', but 3 in dimension 1 of input 'attention_mask': the model "
    "gives both one name, so they must be equal; pad or cut one, or export it with two names",
)
def test_two_sizes_of_one_symbol(text: Any) -> None:
    text(IDS, IDS[:, :3])


@says(
    pyinfer.InputError,
    "'n' is 2 in dimension 0 of input 'x', but 3 in dimension 1 of input 'x': the model gives both one name, so they "
    "must be equal; pad or cut one, or export it with two names",
)
def test_two_sizes_of_one_symbol_within_an_input() -> None:
    square = tiny.model([node("Neg", "x", "y")], [("x", F32, ["n", "n"])], [("y", F32, ["n", "n"])])
    pyinfer.load(square)(np.zeros((2, 3), F32))


# ---- types of arrays ----


@says(
    pyinfer.InputError,
    "input 'input_ids': expected int64, got float32, and a cast might lose something; convert it first, e.g. "
    "x.astype(np.int64)",
)
def test_floats_for_ids(text: Any) -> None:
    text(IDS.astype(F32), IDS)


@says(
    pyinfer.InputError,
    "input 'image': expected float32, got complex64, and a cast might lose something; convert it first, e.g. "
    "x.astype(np.float32)",
)
def test_complex_numbers(image: Any) -> None:
    image(PICTURE[None].astype(np.complex64))


@says(
    pyinfer.InputError,
    "input 'input_ids': expected int64, got text; turn it into numbers first, e.g. with the model's tokenizer",
)
def test_texts_for_numbers(text: Any) -> None:
    text("hello", IDS)


@says(
    pyinfer.InputError,
    "input 'input_ids': expected int64, got text; turn it into numbers first, e.g. with the model's tokenizer",
)
def test_a_list_of_texts_for_numbers(text: Any) -> None:
    text(["hello", "world"], IDS)


@says(pyinfer.InputError, "input 'x': expected text (str), but element 0 is int; convert it first, e.g. x.astype(str)")
def test_numbers_for_texts() -> None:
    upper = tiny.model([node("StringNormalizer", "x", "y")], [("x", str, ["n"])], [("y", str, ["n"])])
    pyinfer.load(upper)(np.array([1, 2]))


@says(pyinfer.InputError, "input 'image': expected float32, got None; give an array")
def test_none_for_an_array(image: Any) -> None:
    image(None)


@says(
    pyinfer.InputError,
    "input 'input_ids': the rows of the list differ in length: pad them to one length first, e.g. tokenizer(..., "
    "padding=True)",
)
def test_a_ragged_list(text: Any) -> None:
    text([[1, 2], [3]], IDS)


@says(
    pyinfer.InputError,
    "input 'image': expected an array of float32, got something of the type PosixPath; give a NumPy array",
)
def test_a_path_for_a_picture(image: Any) -> None:
    image(Path("cat.png"))


@says(
    pyinfer.InputError,
    "input 'image': expected an array of float32, got something of the type object; give a NumPy array",
)
def test_an_object_that_is_no_array(image: Any) -> None:
    image(object())


@says(
    pyinfer.InputError,
    "input 'image': a Tensor does not become an array: can't convert meta device type tensor to numpy. Use "
    "Tensor.cpu() to copy the tensor to host memory first.",
)
def test_a_tensor_on_another_device(image: Any) -> None:
    image(torch.empty(1, 3, 8, 8, device="meta"))


@says(
    pyinfer.InputWarning,
    "input 'image' was given as float64[1, 3, 8, 8] and copied to fit; to avoid that, give a C-contiguous array of "
    "float32",
)
def test_a_float64_input(image: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image(np.zeros((1, 3, 8, 8)))


@says(
    pyinfer.InputWarning,
    "input 'input_ids' was given as int32[2, 4] and copied to fit; to avoid that, give a C-contiguous array of int64",
)
def test_int32_ids(text: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        text(IDS.astype(np.int32), IDS.astype(np.int32))


@says(
    pyinfer.InputError,
    "input 'image': expected a C-contiguous array of float32, got float64[1, 3, 8, 8] (the model is strict); give "
    "np.ascontiguousarray(x, np.float32)",
)
def test_a_cast_in_a_strict_model() -> None:
    pyinfer.load(ANY, strict=True)(np.zeros((1, 3, 8, 8)))


# ---- outputs ----


@says(pyinfer.InputError, "there is no output 'maps', did you mean 'map'? The only output is map")
def test_a_misspelt_output(image: Any) -> None:
    image.run({"image": np.zeros((1, 3, 8, 8), F32)}, ["maps"])


@says(TypeError, "outputs is a list of names: give ['map']")
def test_one_output_as_a_text(image: Any) -> None:
    image.run({"image": np.zeros((1, 3, 8, 8), F32)}, "map")


@says(
    pyinfer.InputError,
    "out for 'map': expected a writable, C-contiguous array float32[1, 4, 8, 8], got float32[2, 4, 8, 8]",
)
def test_out_of_the_wrong_shape(image: Any) -> None:
    image.run({"image": np.zeros((1, 3, 8, 8), F32)}, out={"map": np.zeros((2, 4, 8, 8), F32)})


@says(
    pyinfer.InputError,
    "out for 'map': expected a writable, C-contiguous array float32[1, 4, 8, 8], got float64[1, 4, 8, 8]",
)
def test_out_of_the_wrong_type(image: Any) -> None:
    image.run({"image": np.zeros((1, 3, 8, 8), F32)}, out={"map": np.zeros((1, 4, 8, 8))})


@says(
    pyinfer.InputError,
    "out for 'map': expected a writable, C-contiguous array float32[1, 4, 8, 8], got float32[1, 4, 8, 8], read-only",
)
def test_out_that_is_read_only(image: Any) -> None:
    out = np.zeros((1, 4, 8, 8), F32)
    out.flags.writeable = False
    image.run({"image": np.zeros((1, 3, 8, 8), F32)}, out={"map": out})


@says(pyinfer.InputError, "out for 'map': expected a writable, C-contiguous array float32[1, 4, 8, 8], got a list")
def test_out_that_is_no_array(image: Any) -> None:
    image.run({"image": np.zeros((1, 3, 8, 8), F32)}, out={"map": [1, 2]})


@says(TypeError, "out is a dictionary of arrays by output name: give {'map': x}, not ndarray")
def test_out_that_is_one_array(image: Any) -> None:
    image.run({"image": np.zeros((1, 3, 8, 8), F32)}, out=np.zeros((1, 4, 8, 8), F32))


@says(
    pyinfer.InputError,
    "fetch: '*embedding*' is no value or node of the model; near it: embed. Values within If, Loop and Scan "
    "cannot be fetched, weights by their names only",
)
def test_a_fetch_pattern_that_matches_nothing(text: Any) -> None:
    text.run((IDS, IDS), fetch=["*embedding*"])


@says(pyinfer.InputError, "fetch: 'input_ids' is an input: you have it already")
def test_fetch_of_an_input(text: Any) -> None:
    text.run((IDS, IDS), fetch=["input_ids"])


@says(TypeError, "fetch is a list of names or patterns: give ['rows']")
def test_fetch_of_a_text(text: Any) -> None:
    text.run((IDS, IDS), fetch="rows")


# ---- options ----


@says(
    TypeError,
    "load() has no option 'treads', did you mean 'threads'? The options are threads, level, onednn, strict, exact, "
    "skip_padding, tune, check_numbers, memory_limit ('pyinfer config' explains them)",
)
def test_a_misspelt_option() -> None:
    pyinfer.load(ANY, treads=2)


@says(
    TypeError,
    "load() has no option 'providers': models run on the CPU, leave it out. The options are threads, level, onednn, "
    "strict, exact, skip_padding, tune, check_numbers, memory_limit ('pyinfer config' explains them)",
)
def test_an_option_of_another_program() -> None:
    pyinfer.load(ANY, providers=["CUDAExecutionProvider"])  # type: ignore[arg-type]


@says(
    pyinfer.InputError,
    "option level is 3, expected 0 to 2 (optimisation: 0 none, 1 folding and dead code, 2 all passes)",
)
def test_an_option_out_of_range() -> None:
    pyinfer.load(ANY, level=3)


@says(
    pyinfer.InputError,
    "option threads is -1, expected 0 to 65536 (threads of one run; 0: as many as this process may use)",
)
def test_threads_below_zero() -> None:
    pyinfer.load(ANY, threads=-1)


@says(TypeError, "option threads is '4', expected an integer or a bool")
def test_a_text_for_an_option() -> None:
    pyinfer.load(ANY, threads="4")  # type: ignore[arg-type]


@says(TypeError, "option tune is 0.5, expected an integer or a bool")
def test_a_float_for_an_option() -> None:
    pyinfer.load(ANY, tune=0.5)  # type: ignore[arg-type]


@says(pyinfer.InputError, "option memory_limit is 1180591620717411303424: give a number below 2**63")
def test_a_number_beyond_64_bits() -> None:
    pyinfer.load(ANY, memory_limit=1 << 70)


@says(
    pyinfer.InputError,
    "the environment has PYINFER_THREADS=abc, expected a number from 0 to 65536 (threads of one run; 0: as many as "
    "this process may use)",
)
def test_no_number_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYINFER_THREADS", "abc")
    pyinfer.load(ANY)


@says(
    pyinfer.InputError,
    "the environment has PYINFER_LEVEL=9, expected a number from 0 to 2 (optimisation: 0 none, 1 folding and dead "
    "code, 2 all passes)",
)
def test_a_number_out_of_range_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYINFER_LEVEL", "9")
    pyinfer.load(ANY)


@says(pyinfer.InputError, "cache=True needs the path of a model, not its bytes")
def test_a_cache_for_bytes() -> None:
    pyinfer.load(ANY, cache=True)


# ---- memory ----


@says(
    pyinfer.LimitError,
    "N bytes more than the N in use would exceed the memory limit of N bytes: raise memory_limit, or give smaller inputs",
    numbers=False,
)
def test_more_memory_than_the_limit() -> None:
    pyinfer.load(ANY, memory_limit=1 << 16)(np.zeros((1, 3, 200, 200), F32))


@says(
    pyinfer.LimitError,
    "N bytes more than the N in use would exceed the memory limit of N bytes: raise memory_limit, or give smaller inputs",
    numbers=False,
)
def test_an_output_beyond_the_limit() -> None:
    pyinfer.load(ANY, memory_limit=1 << 20, onednn=False)(np.zeros((1, 3, 400, 400), F32))


@says(MemoryError, "the system has no memory for N bytes", numbers=False)
def test_no_memory_left_for_a_model() -> None:
    _core._fail_alloc(2)
    try:
        pyinfer.load(ANY)
    finally:
        _core._fail_alloc(0)


@pytest.mark.skipif("LD_PRELOAD" in os.environ, reason="the address sanitizer takes all addresses")
def test_no_memory_left_for_a_run() -> None:
    nodes = [node("MatMul", "a b", "ab", "big", "y = a @ b"), node("ReduceMax", "ab", "y", keepdims=0)]
    ports = [("a", F32, ["n", 1]), ("b", F32, [1, "m"])]
    code = """
import resource, sys, numpy, pyinfer
model = pyinfer.load(sys.stdin.buffer.read(), threads=1)
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
try:
    model(numpy.zeros((100_000, 1), "f"), numpy.zeros((1, 100_000), "f"))
except MemoryError as error:
    print(type(error).__name__, error)
"""
    data = tiny.model(nodes, ports, [("y", F32, [])])
    run = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, cwd="/")
    assert re.fullmatch(r"MemoryError the system has no memory for 40000\d{6} bytes\n", run.stdout.decode()), run.stderr.decode()


# ---- when, and of what ----


@says(
    pyinfer.NumberError,
    "Eltwise(Sqrt, Relu, Mul) 'square' (#2), from net.py:7, in forward: y = y * y: its result 'y', f32[2], has a NaN "
    "at [1]",
)
def test_a_nan_in_a_fused_step() -> None:
    nodes = [node("Sqrt", "x", "a"), node("Relu", "a", "b"), node("Mul", "b b", "y", "square", "y = y * y")]
    model = pyinfer.load(tiny.model(nodes, [("x", F32, ["n"])], [("y", F32, ["n"])]), check_numbers=True)
    model(F32([1, -1]))


@says(pyinfer.InputError, "the model is closed: load it again")
def test_a_closed_model() -> None:
    model = pyinfer.load(ANY)
    model.close()
    model(np.zeros((1, 3, 8, 8), F32))


@says(
    TypeError,
    "compare() takes a torch.nn.Module, a Model, a path, 'onnxruntime', 'openvino' or 'reference', not int",
)
def test_compare_with_something_else(image: Any) -> None:
    pyinfer.compare(image, 3, np.zeros((1, 3, 8, 8), F32))


@says(
    pyinfer.InputError,
    "compare() knows no engine 'tensorrt', and there is no such file: give a path, a Model, a torch.nn.Module, "
    "'onnxruntime', 'openvino' or 'reference'",
)
def test_compare_with_an_unknown_engine(image: Any) -> None:
    pyinfer.compare(image, "tensorrt", np.zeros((1, 3, 8, 8), F32))


@says(
    pyinfer.InputError,
    "the other model: input 'attention_mask' is missing: give it too. The inputs are input_ids: int64[batch, "
    "length]; attention_mask: int64[batch, length]",
)
def test_compare_with_another_model(image: Any, text: Any) -> None:
    pyinfer.compare(image, text, np.zeros((1, 3, 8, 8), F32))


class Two(torch.nn.Module):
    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return a + b


@says(
    pyinfer.InputError,
    "example_inputs has 1 value for Two.forward(a, b): missing a required argument: 'b'; give a tuple of its arguments",
)
def test_from_torch_with_too_few_arguments() -> None:
    pyinfer.from_torch(Two(), (torch.ones(2),))


@says(
    pyinfer.InputError,
    "example_inputs has 3 values for Two.forward(a, b): too many positional arguments; give a tuple of its arguments",
)
def test_from_torch_with_too_many_arguments() -> None:
    pyinfer.from_torch(Two(), (torch.ones(2), torch.ones(2), torch.ones(2)))


@says(TypeError, "expected a torch.nn.Module (no TorchScript) or torch.export.ExportedProgram, got str")
def test_from_torch_of_a_path() -> None:
    pyinfer.from_torch("net.pt", (torch.ones(2),))


@says(
    pyinfer.InputError,
    "input 'input': expected float32[4, 3], got float32[7, 3]; the batch is fixed at 4 in this model: give so many, "
    "or export it with dynamic_shapes (dynamic_axes if dynamo=False)",
)
def test_a_tensor_of_another_size_than_in_the_export() -> None:
    pyinfer.from_torch(torch.nn.Linear(3, 2), (torch.ones(4, 3),))(torch.ones(7, 3))


# ---- in a run ----


@says(
    pyinfer.InputError,
    "Gather 'embed' (#1), from net.py:7, in forward: x = self.embed(ids): index 11 (element 0) is out of range for "
    "axis 0 of length 10, expected -10 to 9",
)
def test_an_id_beyond_the_table(text: Any) -> None:
    text(np.full((1, 2), 11), np.ones((1, 2), np.int64))


def run_node(made: Any, rank: int = 2, **feeds: Any) -> None:
    ports = [(n, a.dtype, [f"{n}{d}" for d in range(a.ndim)]) for n, a in feeds.items()]
    kind = np.int64 if made.op_type == "Div" else F32
    pyinfer.load(tiny.model([made], ports, [("y", kind, [None] * rank)])).run(feeds)


@says(
    pyinfer.ModelError,
    "Reshape 'flat' (#0), from net.py:7, in forward: y = x.view(2, -1): f32[3, 5] does not divide by the 2 elements "
    "of the other entries of shape; the inputs are x: float32[3, 5], s: int64[2]",
)
def test_a_reshape_that_does_not_fit() -> None:
    made = node("Reshape", "x s", "y", "flat", "y = x.view(2, -1)")
    run_node(made, x=np.zeros((3, 5), F32), s=np.int64([2, -1]))


@says(pyinfer.InputError, "Div 'half' (#0), from net.py:7, in forward: y = a // b: integer division by zero")
def test_a_division_by_zero() -> None:
    run_node(node("Div", "a b", "y", "half", "y = a // b"), 1, a=np.int64([1, 2]), b=np.int64([1, 0]))


@says(
    pyinfer.ModelError,
    "Add 'sum' (#0), from net.py:7, in forward: y = a + b: f32[2, 3] and f32[2, 4] do not broadcast: 3 against 4; "
    "the inputs are a: float32[2, 3], b: float32[2, 4]",
)
def test_shapes_that_do_not_broadcast() -> None:
    run_node(node("Add", "a b", "y", "sum", "y = a + b"), a=np.zeros((2, 3), F32), b=np.zeros((2, 4), F32))


@says(
    pyinfer.ModelError,
    "MatMul 'fc' (#0), from net.py:7, in forward: y = a @ b: A is f32[2, 3] and B is f32[4, 5]: 3 columns against 4 "
    "rows; the inputs are a: float32[2, 3], b: float32[4, 5]",
)
def test_a_matrix_product_that_does_not_fit() -> None:
    run_node(node("MatMul", "a b", "y", "fc", "y = a @ b"), a=np.zeros((2, 3), F32), b=np.zeros((4, 5), F32))


@says(
    pyinfer.ModelError,
    "Conv 'conv' (#0), from net.py:7, in forward: y = self.conv(x): a window of 5 (kernel 5, dilation 1) does not "
    "fit into 2 padded to 2; the inputs are x: float32[1, 1, 2, 2], w: float32[1, 1, 5, 5]",
)
def test_a_picture_smaller_than_the_kernel() -> None:
    made = node("Conv", "x w", "y", "conv", "y = self.conv(x)")
    run_node(made, 4, x=np.zeros((1, 1, 2, 2), F32), w=np.zeros((1, 1, 5, 5), F32))


@says(
    pyinfer.ModelError,
    "Concat 'cat' (#0), from net.py:7, in forward: y = torch.cat([a, b], 1): f32[2, 3] does not fit f32[3, 3] (input "
    "1) on axis 1; the inputs are a: float32[2, 3], b: float32[3, 3]",
)
def test_concat_of_other_sizes() -> None:
    made = node("Concat", "a b", "y", "cat", "y = torch.cat([a, b], 1)", axis=1)
    run_node(made, a=np.zeros((2, 3), F32), b=np.zeros((3, 3), F32))


# ---- no mistakes ----


def test_arrays_that_are_fine(image: Any) -> None:
    good = np.ones((1, 3, 8, 8), F32)
    want = image(good)
    read_only, tensor = good.copy(), torch.ones(1, 3, 8, 8, requires_grad=True)
    read_only.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (image(read_only) == want).all() and (image(tensor) == want).all()
        assert np.isnan(image(np.full((1, 3, 8, 8), np.nan, F32))).all()
    with pytest.warns(pyinfer.InputWarning):
        assert (image(good.tolist()) == want).all()
    assert (image(good.transpose(0, 1, 3, 2)) == want).all() and (image(good[:, ::-1]) == want).all()
    assert (image(good.astype(np.float16)) == want).all() and (image(good.astype(np.uint8)) == want).all()
