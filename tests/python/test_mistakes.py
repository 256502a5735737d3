# SPDX-License-Identifier: Apache-2.0
"""Usual mistakes with arrays, names and options: each has a message that says what is wrong, and what to do."""

from __future__ import annotations

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


@says(pyinfer.InputError, "...")
def test_a_misspelt_input_of_run(image: Any) -> None:
    image.run({"imgae": PICTURE})


@says(pyinfer.InputError, "...")
def test_a_misspelt_input_of_a_call(image: Any) -> None:
    image(imgae=PICTURE)


@says(pyinfer.InputError, "...")
def test_an_input_that_is_missing_in_run(text: Any) -> None:
    text.run({"input_ids": IDS})


@says(pyinfer.InputError, "...")
def test_an_input_that_is_missing_in_a_call(text: Any) -> None:
    text(IDS)


@says(pyinfer.InputError, "...")
def test_an_input_that_the_model_lacks(text: Any) -> None:
    text.run({"input_ids": IDS, "attention_mask": IDS, "token_type_ids": IDS})


@says(pyinfer.InputError, "...")
def test_too_many_inputs(image: Any) -> None:
    image(PICTURE, PICTURE)


@says(pyinfer.InputError, "...")
def test_an_input_given_twice(text: Any) -> None:
    text(IDS, input_ids=IDS)


@says(pyinfer.InputError, "...")
def test_a_tuple_of_the_wrong_length(text: Any) -> None:
    text.run((IDS,))


@says(pyinfer.InputError, "...")
def test_a_dictionary_in_a_call(text: Any) -> None:
    text({"input_ids": IDS, "attention_mask": IDS})


@says(pyinfer.InputError, "...")
def test_a_dictionary_for_the_only_input(image: Any) -> None:
    image({"image": PICTURE})


@says(pyinfer.InputError, "...")
def test_what_a_tokenizer_gives_in_a_call(text: Any) -> None:
    from transformers import BatchEncoding

    text(BatchEncoding({"input_ids": IDS, "attention_mask": IDS}))


@says(pyinfer.InputError, "...")
def test_a_list_of_arrays_for_several_inputs(text: Any) -> None:
    text.run([IDS, IDS])


# ---- shapes ----


@says(pyinfer.InputError, "...")
def test_channels_last(image: Any) -> None:
    image(PICTURE[None])


@says(pyinfer.InputError, "...")
def test_one_picture_without_batch(image: Any) -> None:
    image(PICTURE.transpose(2, 0, 1))


@says(pyinfer.InputError, "...")
def test_one_picture_without_batch_and_channels_last(image: Any) -> None:
    image(PICTURE)


@says(pyinfer.InputError, "...")
def test_one_row_of_ids(text: Any) -> None:
    text(IDS[0], IDS[0])


@says(pyinfer.InputError, "...")
def test_one_dimension_too_many(image: Any) -> None:
    image(np.zeros((1, 1, 3, 8, 8), F32))


@says(pyinfer.InputError, "...")
def test_a_number_for_an_array(image: Any) -> None:
    image(3.0)


@says(pyinfer.InputError, "...")
def test_a_batch_for_a_model_of_one(fixed: Any) -> None:
    fixed(np.zeros((8, 3, 8, 8), F32))


@says(pyinfer.InputError, "...")
def test_another_size_of_picture(fixed: Any) -> None:
    fixed(np.zeros((1, 3, 16, 8), F32))


@says(pyinfer.InputError, "...")
def test_four_channels(image: Any) -> None:
    image(np.zeros((1, 4, 8, 8), F32))


@says(pyinfer.InputError, "...")
def test_two_sizes_of_one_symbol(text: Any) -> None:
    text(IDS, IDS[:, :3])


@says(pyinfer.InputError, "...")
def test_two_sizes_of_one_symbol_within_an_input() -> None:
    square = tiny.model([node("Neg", "x", "y")], [("x", F32, ["n", "n"])], [("y", F32, ["n", "n"])])
    pyinfer.load(square)(np.zeros((2, 3), F32))


# ---- types of arrays ----


@says(pyinfer.InputError, "...")
def test_floats_for_ids(text: Any) -> None:
    text(IDS.astype(F32), IDS)


@says(pyinfer.InputError, "...")
def test_complex_numbers(image: Any) -> None:
    image(PICTURE[None].astype(np.complex64))


@says(pyinfer.InputError, "...")
def test_texts_for_numbers(text: Any) -> None:
    text("hello", IDS)


@says(pyinfer.InputError, "...")
def test_a_list_of_texts_for_numbers(text: Any) -> None:
    text(["hello", "world"], IDS)


@says(pyinfer.InputError, "...")
def test_numbers_for_texts() -> None:
    upper = tiny.model([node("StringNormalizer", "x", "y")], [("x", str, ["n"])], [("y", str, ["n"])])
    pyinfer.load(upper)(np.array([1, 2]))


@says(pyinfer.InputError, "...")
def test_none_for_an_array(image: Any) -> None:
    image(None)


@says(pyinfer.InputError, "...")
def test_a_ragged_list(text: Any) -> None:
    text([[1, 2], [3]], IDS)


@says(pyinfer.InputError, "...")
def test_a_path_for_a_picture(image: Any) -> None:
    image(Path("cat.png"))


@says(pyinfer.InputError, "...")
def test_an_object_that_is_no_array(image: Any) -> None:
    image(object())


@says(pyinfer.InputError, "...")
def test_a_tensor_on_another_device(image: Any) -> None:
    image(torch.empty(1, 3, 8, 8, device="meta"))


@says(pyinfer.InputWarning, "...")
def test_a_float64_input(image: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image(np.zeros((1, 3, 8, 8)))


@says(pyinfer.InputWarning, "...")
def test_int32_ids(text: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        text(IDS.astype(np.int32), IDS.astype(np.int32))


@says(pyinfer.InputError, "...")
def test_a_cast_in_a_strict_model() -> None:
    pyinfer.load(ANY, strict=True)(np.zeros((1, 3, 8, 8)))


# ---- outputs ----


@says(pyinfer.InputError, "...")
def test_a_misspelt_output(image: Any) -> None:
    image.run({"image": np.zeros((1, 3, 8, 8), F32)}, ["maps"])


@says(TypeError, "...")
def test_one_output_as_a_text(image: Any) -> None:
    image.run({"image": np.zeros((1, 3, 8, 8), F32)}, "map")


@says(pyinfer.InputError, "...")
def test_out_of_the_wrong_shape(image: Any) -> None:
    image.run({"image": np.zeros((1, 3, 8, 8), F32)}, out={"map": np.zeros((2, 4, 8, 8), F32)})


@says(pyinfer.InputError, "...")
def test_out_of_the_wrong_type(image: Any) -> None:
    image.run({"image": np.zeros((1, 3, 8, 8), F32)}, out={"map": np.zeros((1, 4, 8, 8))})


@says(pyinfer.InputError, "...")
def test_out_that_is_read_only(image: Any) -> None:
    out = np.zeros((1, 4, 8, 8), F32)
    out.flags.writeable = False
    image.run({"image": np.zeros((1, 3, 8, 8), F32)}, out={"map": out})


@says(pyinfer.InputError, "...")
def test_out_that_is_no_array(image: Any) -> None:
    image.run({"image": np.zeros((1, 3, 8, 8), F32)}, out={"map": [1, 2]})


@says(TypeError, "...")
def test_out_that_is_one_array(image: Any) -> None:
    image.run({"image": np.zeros((1, 3, 8, 8), F32)}, out=np.zeros((1, 4, 8, 8), F32))


@says(pyinfer.InputError, "...")
def test_a_fetch_pattern_that_matches_nothing(text: Any) -> None:
    text.run((IDS, IDS), fetch=["*embedding*"])


@says(pyinfer.InputError, "...")
def test_fetch_of_an_input(text: Any) -> None:
    text.run((IDS, IDS), fetch=["input_ids"])


@says(TypeError, "...")
def test_fetch_of_a_text(text: Any) -> None:
    text.run((IDS, IDS), fetch="rows")


# ---- options ----


@says(TypeError, "...")
def test_a_misspelt_option() -> None:
    pyinfer.load(ANY, treads=2)


@says(TypeError, "...")
def test_an_option_of_another_program() -> None:
    pyinfer.load(ANY, providers=["CUDAExecutionProvider"])  # type: ignore[arg-type]


@says(pyinfer.InputError, "...")
def test_an_option_out_of_range() -> None:
    pyinfer.load(ANY, level=3)


@says(pyinfer.InputError, "...")
def test_threads_below_zero() -> None:
    pyinfer.load(ANY, threads=-1)


@says(TypeError, "...")
def test_a_text_for_an_option() -> None:
    pyinfer.load(ANY, threads="4")  # type: ignore[arg-type]


@says(TypeError, "...")
def test_a_float_for_an_option() -> None:
    pyinfer.load(ANY, tune=0.5)  # type: ignore[arg-type]


@says(pyinfer.InputError, "...")
def test_a_number_beyond_64_bits() -> None:
    pyinfer.load(ANY, memory_limit=1 << 70)


@says(pyinfer.InputError, "...")
def test_no_number_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYINFER_THREADS", "abc")
    pyinfer.load(ANY)


@says(pyinfer.InputError, "...")
def test_a_number_out_of_range_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYINFER_LEVEL", "9")
    pyinfer.load(ANY)


@says(pyinfer.InputError, "...")
def test_a_cache_for_bytes() -> None:
    pyinfer.load(ANY, cache=True)


# ---- memory ----


@says(pyinfer.LimitError, "...")
def test_more_memory_than_the_limit() -> None:
    pyinfer.load(ANY, memory_limit=1 << 16)(np.zeros((1, 3, 200, 200), F32))


@says(pyinfer.LimitError, "...")
def test_an_output_beyond_the_limit() -> None:
    pyinfer.load(ANY, memory_limit=1 << 20, onednn=False)(np.zeros((1, 3, 400, 400), F32))


@says(MemoryError, "...")
def test_no_memory_left_for_a_model() -> None:
    _core._fail_alloc(40)
    try:
        pyinfer.load(ANY)
    finally:
        _core._fail_alloc(0)


def test_no_memory_left_for_a_run() -> None:
    code = """
import resource, sys, numpy, pyinfer
model = pyinfer.load(sys.stdin.buffer.read(), threads=1)
resource.setrlimit(resource.RLIMIT_AS, (3 << 29, 3 << 29))
x = numpy.zeros((1, 3, 10_000, 10_000), "u1").view("u1")
try:
    model.run({"image": numpy.broadcast_to(numpy.float32(0), (1, 3, 10_000, 10_000))})
except MemoryError as error:
    print(type(error).__name__, error)
"""
    run = subprocess.run([sys.executable, "-c", code], input=ANY, capture_output=True, cwd="/")
    assert run.stdout.decode() == "...", run.stderr.decode()


# ---- when, and of what ----


@says(pyinfer.InputError, "...")
def test_a_closed_model() -> None:
    model = pyinfer.load(ANY)
    model.close()
    model(np.zeros((1, 3, 8, 8), F32))


@says(TypeError, "...")
def test_compare_with_something_else(image: Any) -> None:
    pyinfer.compare(image, 3, np.zeros((1, 3, 8, 8), F32))


@says(TypeError, "...")
def test_compare_with_an_unknown_engine(image: Any) -> None:
    pyinfer.compare(image, "openvino", np.zeros((1, 3, 8, 8), F32))


@says(pyinfer.InputError, "...")
def test_compare_with_another_model(image: Any, text: Any) -> None:
    pyinfer.compare(image, text, np.zeros((1, 3, 8, 8), F32))


class Two(torch.nn.Module):
    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return a + b


@says(pyinfer.UnsupportedError, "...")
def test_from_torch_with_too_few_arguments() -> None:
    pyinfer.from_torch(Two(), (torch.ones(2),))


@says(pyinfer.UnsupportedError, "...")
def test_from_torch_with_too_many_arguments() -> None:
    pyinfer.from_torch(Two(), (torch.ones(2), torch.ones(2), torch.ones(2)))


@says(TypeError, "...")
def test_from_torch_of_a_path() -> None:
    pyinfer.from_torch("net.pt", (torch.ones(2),))


@says(pyinfer.InputError, "...")
def test_a_tensor_of_another_size_than_in_the_export() -> None:
    pyinfer.from_torch(torch.nn.Linear(3, 2), (torch.ones(4, 3),))(torch.ones(7, 3))


# ---- in a run ----


@says(pyinfer.InputError, "...")
def test_an_id_beyond_the_table(text: Any) -> None:
    text(np.full((1, 2), 11), np.ones((1, 2), np.int64))


def run_node(made: Any, rank: int = 2, **feeds: Any) -> None:
    ports = [(n, a.dtype, [f"{n}{d}" for d in range(a.ndim)]) for n, a in feeds.items()]
    kind = np.int64 if made.op_type == "Div" else F32
    pyinfer.load(tiny.model([made], ports, [("y", kind, [None] * rank)])).run(feeds)


@says(pyinfer.InputError, "...")
def test_a_reshape_that_does_not_fit() -> None:
    made = node("Reshape", "x s", "y", "flat", "y = x.view(2, -1)")
    run_node(made, x=np.zeros((3, 5), F32), s=np.int64([2, -1]))


@says(pyinfer.InputError, "...")
def test_a_division_by_zero() -> None:
    run_node(node("Div", "a b", "y", "half", "y = a // b"), 1, a=np.int64([1, 2]), b=np.int64([1, 0]))


@says(pyinfer.InputError, "...")
def test_shapes_that_do_not_broadcast() -> None:
    run_node(node("Add", "a b", "y", "sum", "y = a + b"), a=np.zeros((2, 3), F32), b=np.zeros((2, 4), F32))


@says(pyinfer.InputError, "...")
def test_a_matrix_product_that_does_not_fit() -> None:
    run_node(node("MatMul", "a b", "y", "fc", "y = a @ b"), a=np.zeros((2, 3), F32), b=np.zeros((4, 5), F32))


@says(pyinfer.InputError, "...")
def test_a_picture_smaller_than_the_kernel() -> None:
    made = node("Conv", "x w", "y", "conv", "y = self.conv(x)")
    run_node(made, 4, x=np.zeros((1, 1, 2, 2), F32), w=np.zeros((1, 1, 5, 5), F32))


@says(pyinfer.InputError, "...")
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
