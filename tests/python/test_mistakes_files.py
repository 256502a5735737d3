# SPDX-License-Identifier: Apache-2.0
"""Usual mistakes with files and models: each has a message that says what the file is, and what to do."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper

import pyinfer
from support import tiny
from support.mistakes import node, says

F32 = np.float32
X = np.ones((1, 3), F32)


@pytest.fixture(autouse=True)
def a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def load(name: str, data: bytes | None = None) -> pyinfer.Model:
    if data is not None:
        Path(name).write_bytes(data)
    return pyinfer.load(name)


# ---- places ----


@says(pyinfer.FileError, "...")
def test_a_missing_file() -> None:
    load("net.onnx")


@says(pyinfer.FileError, "...")
def test_a_misspelt_file() -> None:
    Path("resnet50.onnx").write_bytes(b"")
    load("resnet_50.onnx")


@says(pyinfer.FileError, "...")
def test_a_file_in_a_missing_folder() -> None:
    load("models/net.onnx")


@says(pyinfer.FileError, "...")
def test_a_folder() -> None:
    os.mkdir("net")
    load("net")


@says(pyinfer.FileError, "...")
def test_a_folder_that_holds_models() -> None:
    os.mkdir("net")
    Path("net/encoder.onnx").touch()
    Path("net/decoder.onnx").touch()
    load("net")


@says(pyinfer.FileError, "...")
def test_a_saved_model_folder() -> None:
    os.makedirs("net/variables")
    Path("net/saved_model.pb").touch()
    load("net")


@says(pyinfer.FileError, "...")
def test_a_name_on_a_hub() -> None:
    load("sentence-transformers/all-MiniLM-L6-v2")


@says(pyinfer.FileError, "...")
def test_an_address() -> None:
    load("https://example.org/net.onnx")


@says(pyinfer.FileError, "...")
def test_the_home_folder_by_its_sign() -> None:
    load("~/net.onnx")


# ---- other files ----


@says(pyinfer.ModelError, "...")
def test_an_empty_file() -> None:
    load("net.onnx", b"")


@says(pyinfer.ModelError, "...")
def test_a_git_lfs_pointer() -> None:
    load("net.onnx", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n")


@says(pyinfer.ModelError, "...")
def test_a_web_page() -> None:
    load("net.onnx", b"\n<!DOCTYPE html>\n<html><body>404</body></html>")


@says(pyinfer.ModelError, "...")
def test_a_json_text() -> None:
    load("config.json", b'{\n  "architectures": ["BertModel"]}')


@says(pyinfer.ModelError, "...")
def test_a_torchscript_file() -> None:
    torch.jit.script(torch.nn.Linear(3, 2)).save("net.pt")
    load("net.pt")


@says(pyinfer.ModelError, "...")
def test_a_torch_checkpoint() -> None:
    torch.save(torch.nn.Linear(3, 2).state_dict(), "net.pth")
    load("net.pth")


@says(pyinfer.ModelError, "...")
def test_an_old_torch_checkpoint() -> None:
    torch.save(torch.nn.Linear(3, 2).state_dict(), "net.pth", _use_new_zipfile_serialization=False)
    load("net.pth")


@says(pyinfer.ModelError, "...")
def test_an_exported_program() -> None:
    torch.export.save(torch.export.export(torch.nn.Linear(3, 2), (torch.ones(1, 3),)), "net.pt2")
    load("net.pt2")


@says(pyinfer.ModelError, "...")
def test_a_pickle() -> None:
    load("net.pkl", pickle.dumps([1, 2, 3]))


@says(pyinfer.ModelError, "...")
def test_a_safetensors_file() -> None:
    from safetensors.numpy import save

    load("model.safetensors", save({"w": X}))


@says(pyinfer.ModelError, "...")
def test_a_saved_model_file() -> None:
    inner = b"\x0a\x04\x0a\x02v1" + b"\x12" + b"\xd0\x0f" + bytes(2000)
    load("saved_model.pb", b"\x08\x01\x12" + bytes([len(inner) & 127 | 128, len(inner) >> 7]) + inner)


@says(pyinfer.ModelError, "...")
def test_a_frozen_tensorflow_graph() -> None:
    made = b"\x0a\x01x\x12\x0bPlaceholder" + b"\x2a\x0d\x0a\x05dtype\x12\x04\x30\x01\x30\x01"
    load("frozen.pb", b"".join(b"\x0a" + bytes([len(made)]) + made for _ in range(3)))


@says(pyinfer.ModelError, "...")
def test_a_keras_h5_file() -> None:
    load("net.h5", b"\x89HDF\r\n\x1a\n" + bytes(40))


def archive(**files: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for name, text in files.items():
            made.writestr(name.replace("_json", ".json").replace("_onnx", ".onnx"), text)
    return out.getvalue()


@says(pyinfer.ModelError, "...")
def test_a_keras_file() -> None:
    load("net.keras", archive(metadata_json="{}", config_json="{}"))


@says(pyinfer.ModelError, "...")
def test_a_zipped_model() -> None:
    load("net.zip", archive(net_onnx="x"))


@says(pyinfer.ModelError, "...")
def test_a_tflite_file() -> None:
    load("net.tflite", b"\x1c\0\0\0TFL3" + bytes(40))


@says(pyinfer.ModelError, "...")
def test_an_openvino_xml() -> None:
    load("net.xml", b"<?xml version='1.0'?>\n<net name='x' version='11'/>")


@says(pyinfer.ModelError, "...")
def test_an_openvino_bin() -> None:
    load("net.bin", np.linspace(-1, 1, 1000, dtype=F32).tobytes())


@says(pyinfer.ModelError, "...")
def test_a_gguf_file() -> None:
    load("net.gguf", b"GGUF\3\0\0\0" + bytes(40))


@says(pyinfer.ModelError, "...")
def test_a_model_in_the_format_of_onnx_runtime() -> None:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = "net.ort"
    options.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime.InferenceSession(tiny.linear(), options)
    load("net.ort")


@says(pyinfer.ModelError, "...")
def test_a_numpy_array() -> None:
    np.save("x.npy", X)
    load("x.npy")


@says(pyinfer.ModelError, "...")
def test_a_compressed_model() -> None:
    load("net.onnx.gz", gzip.compress(tiny.linear()))


@says(pyinfer.ModelError, "...")
def test_a_tar_archive() -> None:
    import tarfile

    with tarfile.open("net.tar", "w") as made:
        made.addfile(tarfile.TarInfo("net.onnx"))
    load("net.tar")


@says(pyinfer.ModelError, "...")
def test_a_python_source() -> None:
    load("net.py", b"import torch\n\nclass Net(torch.nn.Module):\n    pass\n")


@says(pyinfer.ModelError, "...")
def test_labels() -> None:
    load("labels.txt", b"tench\ngoldfish\ngreat white shark\n")


@says(pyinfer.ModelError, "...")
def test_a_picture() -> None:
    load("cat.png", b"\x89PNG\r\n\x1a\n" + bytes(40))


@says(pyinfer.ModelError, "...")
def test_a_model_that_is_cut_off() -> None:
    load("net.onnx", tiny.linear()[:-20])


@says(pyinfer.ModelError, "...")
def test_a_large_model_that_is_cut_off() -> None:
    data = tiny.model(
        [node("MatMul", "x w", "y")], [("x", F32, [1, 3])], [("y", F32, [1, 50000])], {"w": np.ones((3, 50000), F32)}
    )
    load("net.onnx", data[:100_000])


@says(pyinfer.ModelError, "...")
def test_a_single_tensor() -> None:
    load("x.pb", onnx.numpy_helper.from_array(np.ones(3, F32), "x").SerializeToString())


@says(pyinfer.ModelError, "...")
def test_a_graph_without_a_model() -> None:
    load("x.pb", onnx.load_from_string(tiny.linear()).graph.SerializeToString())


@says(pyinfer.InputError, "...")
def test_bytes_as_a_text() -> None:
    pyinfer.load(tiny.linear().decode("latin1"))


@says(TypeError, "...")
def test_a_file_opened_as_text() -> None:
    Path("net.onnx").write_text("x")
    with open("net.onnx") as file:
        pyinfer.load(file)


@says(TypeError, "...")
def test_a_torch_module() -> None:
    pyinfer.load(torch.nn.Linear(3, 2))


@says(TypeError, "...")
def test_a_session_of_onnx_runtime() -> None:
    pyinfer.load(onnxruntime.InferenceSession(tiny.linear()))


@says(TypeError, "...")
def test_nothing_at_all() -> None:
    pyinfer.load(None)


# ---- external data, saved plans ----


def external(folder: str, size: int = 48) -> str:
    made = onnx.load_from_string(tiny.linear())
    os.makedirs(folder, exist_ok=True)
    onnx.save(made, f"{folder}/net.onnx", save_as_external_data=True, location="net.onnx.data", size_threshold=0)
    os.truncate(f"{folder}/net.onnx.data", size) if size else os.remove(f"{folder}/net.onnx.data")
    return f"{folder}/net.onnx"


@says(pyinfer.FileError, "...")
def test_external_data_left_behind() -> None:
    load(external("net", 0))


@says(pyinfer.ModelError, "...")
def test_external_data_that_is_cut_off() -> None:
    load(external("net", 20))


@says(pyinfer.ModelError, "...")
def test_external_data_that_is_a_git_lfs_pointer() -> None:
    Path("net").mkdir()
    weights = {"w": np.ones((100, 3, 1, 1), F32)}
    data = tiny.model([node("Conv", "x w", "y")], [("x", F32, [1, 3, 8, 8])], [("y", F32, [None] * 4)], weights)
    made = onnx.load_from_string(data)
    onnx.save(made, "net/net.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    Path("net/weights.bin").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1200\n")
    load("net/net.onnx")


@says(pyinfer.FileError, "...")
def test_bytes_of_a_model_with_external_data() -> None:
    pyinfer.load(Path(external("net")).read_bytes())


@says(pyinfer.FileError, "...")
def test_a_plan_of_another_version() -> None:
    pyinfer.load(tiny.linear()).save("net.plan", X)
    data = bytearray(Path("net.plan").read_bytes())
    data[8] += 1
    load("net.plan", data)


@says(pyinfer.FileError, "...")
def test_a_plan_that_is_cut_off() -> None:
    pyinfer.load(tiny.linear()).save("net.plan", X)
    load("net.plan", Path("net.plan").read_bytes()[:-100])


@says(pyinfer.FileError, "...")
def test_saving_into_a_missing_folder() -> None:
    pyinfer.load(tiny.linear()).save("plans/net.plan", X)


# ---- models ----


def model(*nodes: Any, opset: int = 21, domain: str = "", ir: int = 10, inputs: Any = None, **weights: Any) -> bytes:
    """An unchecked one, from x: float32[2, 3] to the last node's output."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, inputs or [2, 3])
    y = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)
    kept = [onnx.numpy_helper.from_array(array, name) for name, array in weights.items()]
    opsets = [helper.make_opsetid("", opset)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    graph = helper.make_graph(nodes, "g", [x], [y], kept)
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=ir).SerializeToString())


@says(pyinfer.UnsupportedError, "...")
def test_a_misspelt_operator() -> None:
    pyinfer.load(model(node("Sigmiod", "x", "y", "act", "y = torch.sigmoid(x)")))


@says(pyinfer.UnsupportedError, "...")
def test_an_operator_of_a_domain_of_ones_own() -> None:
    made = node("Twist", "x", "y", "twist", "y = twist(x)", domain="my.lib")
    pyinfer.load(model(made, domain="my.lib"))


@says(pyinfer.UnsupportedError, "...")
def test_an_operator_without_its_domain() -> None:
    pyinfer.load(model(node("FusedMatMul", "x x", "y", "act")))


@says(pyinfer.UnsupportedError, "...")
def test_an_operator_of_pytorch_that_was_not_translated() -> None:
    pyinfer.load(model(node("cdist", "x x", "y", "", "y = torch.cdist(x, x)", domain="aten"), domain="aten"))


@says(pyinfer.UnsupportedError, "...")
def test_an_operator_newer_than_the_opset() -> None:
    pyinfer.load(model(node("Gelu", "x", "y"), opset=17))


@says(pyinfer.UnsupportedError, "...")
def test_an_opset_of_the_future() -> None:
    pyinfer.load(model(node("Relu", "x", "y"), opset=99))


@says(pyinfer.UnsupportedError, "...")
def test_a_file_format_of_the_future() -> None:
    pyinfer.load(model(node("Relu", "x", "y"), ir=99))


@says(pyinfer.ModelError, "...")
def test_an_opset_that_is_not_told() -> None:
    made = onnx.load_from_string(model(node("Relu", "x", "y")))
    del made.opset_import[:]
    pyinfer.load(made)


@says(pyinfer.ModelError, "...")
def test_a_value_that_no_node_makes() -> None:
    pyinfer.load(model(node("Add", "x hiden", "y", "sum", "y = x + hidden")))


@says(pyinfer.ModelError, "...")
def test_nodes_in_the_wrong_order() -> None:
    pyinfer.load(model(node("Relu", "a", "y", "act"), node("Neg", "x", "a")))


@says(pyinfer.ModelError, "...")
def test_nodes_in_a_circle() -> None:
    pyinfer.load(model(node("Add", "x b", "a", "first"), node("Neg", "a", "b", "second")))


@says(pyinfer.ModelError, "...")
def test_an_output_that_no_node_makes() -> None:
    made = onnx.load_from_string(model(node("Relu", "x", "y")))
    made.graph.output[0].name = "logits"
    pyinfer.load(made)


@says(pyinfer.ModelError, "...")
def test_two_nodes_that_make_one_value() -> None:
    pyinfer.load(model(node("Relu", "x", "y", "one"), node("Neg", "x", "y", "other")))


@says(pyinfer.ModelError, "...")
def test_weights_that_do_not_fit() -> None:
    pyinfer.load(model(node("MatMul", "x w", "y", "fc", "y = self.fc(x)"), w=np.ones((4, 2), F32)))


@says(pyinfer.ModelError, "...")
def test_a_bias_that_does_not_fit() -> None:
    pyinfer.load(model(node("Add", "x b", "y", "bias", "y = x + self.b"), b=np.ones(4, F32)))


@says(pyinfer.ModelError, "...")
def test_weights_of_another_type() -> None:
    pyinfer.load(model(node("MatMul", "x w", "y", "fc", "y = self.fc(x)"), w=np.ones((3, 2), np.float16)))


@says(pyinfer.ModelError, "...")
def test_channels_that_do_not_fit() -> None:
    made = node("Conv", "x w", "y", "conv", "y = self.conv(x)")
    pyinfer.load(model(made, inputs=[1, 3, 8, 8], w=np.ones((4, 5, 1, 1), F32)))


@says(pyinfer.ModelError, "...")
def test_an_attribute_that_is_missing() -> None:
    pyinfer.load(model(node("Concat", "x x", "y", "cat")))


@says(pyinfer.ModelError, "...")
def test_an_axis_that_is_too_large() -> None:
    pyinfer.load(model(node("Softmax", "x", "y", "soft", "y = x.softmax(2)", axis=2)))


@says(pyinfer.ModelError, "...")
def test_too_few_inputs_of_a_node() -> None:
    pyinfer.load(model(node("MatMul", "x", "y", "fc")))
