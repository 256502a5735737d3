# SPDX-License-Identifier: Apache-2.0
"""Usual mistakes with files and models: each has a message that says what the file is, and what to do."""

from __future__ import annotations

import gzip
import io
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


@says(pyinfer.FileError, "FOLDER/net.onnx: No such file or directory; there is no .onnx file there")
def test_a_missing_file() -> None:
    load("net.onnx")


@says(pyinfer.FileError, "FOLDER/resnet_50.onnx: No such file or directory; did you mean resnet50.onnx?")
def test_a_misspelt_file() -> None:
    Path("resnet50.onnx").write_bytes(b"")
    load("resnet_50.onnx")


@says(pyinfer.FileError, "FOLDER/models/net.onnx: No such file or directory; there is no folder FOLDER/models")
def test_a_file_in_a_missing_folder() -> None:
    load("models/net.onnx")


@says(pyinfer.FileError, "FOLDER/net is a folder, expected a file; there is no .onnx file in it")
def test_a_folder() -> None:
    os.mkdir("net")
    load("net")


@says(pyinfer.FileError, "FOLDER/net is a folder, expected a file; give a file in it: decoder.onnx, encoder.onnx")
def test_a_folder_that_holds_models() -> None:
    os.mkdir("net")
    Path("net/encoder.onnx").touch()
    Path("net/decoder.onnx").touch()
    load("net")


@says(
    pyinfer.FileError,
    "FOLDER/net is a folder, expected a file; it is a TensorFlow SavedModel: convert it with tf2onnx: python -m "
    "tf2onnx.convert --saved-model FOLDER/net --output model.onnx",
)
def test_a_saved_model_folder() -> None:
    os.makedirs("net/variables")
    Path("net/saved_model.pb").touch()
    load("net")


@says(
    pyinfer.FileError,
    "FOLDER/sentence-transformers/all-MiniLM-L6-v2: No such file or directory; there is no folder "
    "FOLDER/sentence-transformers",
)
def test_a_name_on_a_hub() -> None:
    load("sentence-transformers/all-MiniLM-L6-v2")


@says(
    pyinfer.FileError,
    "FOLDER/https:/example.org/net.onnx: No such file or directory; it is an address: download the file first, and "
    "give its path",
)
def test_an_address() -> None:
    load("https://example.org/net.onnx")


@says(
    pyinfer.FileError,
    "FOLDER/~/net.onnx: No such file or directory; '~' is not looked up: give os.path.expanduser(path)",
)
def test_the_home_folder_by_its_sign() -> None:
    load("~/net.onnx")


# ---- other files ----


@says(pyinfer.ModelError, "FOLDER/net.onnx: not an ONNX model: the file is empty; fetch it again")
def test_an_empty_file() -> None:
    load("net.onnx", b"")


@says(
    pyinfer.ModelError,
    "FOLDER/net.onnx: not an ONNX model: this is a Git LFS pointer, not the file itself: fetch that with 'git lfs "
    "pull'",
)
def test_a_git_lfs_pointer() -> None:
    load("net.onnx", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n")


@says(
    pyinfer.ModelError,
    "FOLDER/net.onnx: not an ONNX model: this is a web page (HTML), perhaps the error page of a download: download "
    "it again, with the address of the file itself",
)
def test_a_web_page() -> None:
    load("net.onnx", b"\n<!DOCTYPE html>\n<html><body>404</body></html>")


@says(
    pyinfer.ModelError,
    "FOLDER/config.json: not an ONNX model: this is a JSON text, perhaps a model's configuration: the model is in "
    "another file, *.onnx",
)
def test_a_json_text() -> None:
    load("config.json", b'{\n  "architectures": ["BertModel"]}')


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@says(
    pyinfer.ModelError,
    "FOLDER/net.pt: not an ONNX model: this is a PyTorch file (weights, TorchScript or a program of torch.export); "
    "load it in PyTorch and export the model with torch.onnx.export(..., dynamo=True)",
)
def test_a_torchscript_file() -> None:
    torch.jit.script(torch.nn.Linear(3, 2)).save("net.pt")
    load("net.pt")


@says(
    pyinfer.ModelError,
    "FOLDER/net.pth: not an ONNX model: this is a PyTorch file (weights, TorchScript or a program of torch.export); "
    "load it in PyTorch and export the model with torch.onnx.export(..., dynamo=True)",
)
def test_a_torch_checkpoint() -> None:
    torch.save(torch.nn.Linear(3, 2).state_dict(), "net.pth")
    load("net.pth")


@says(
    pyinfer.ModelError,
    "FOLDER/net.pth: not an ONNX model: this is a Python pickle (perhaps an old .pt or .pth file), which may run "
    "code when it is opened; load it in PyTorch and export the model with torch.onnx.export(..., dynamo=True)",
)
def test_an_old_torch_checkpoint() -> None:
    torch.save(torch.nn.Linear(3, 2).state_dict(), "net.pth", _use_new_zipfile_serialization=False)
    load("net.pth")


@says(
    pyinfer.ModelError,
    "FOLDER/net.pt2: not an ONNX model: this is a PyTorch file (weights, TorchScript or a program of torch.export); "
    "load it in PyTorch and export the model with torch.onnx.export(..., dynamo=True)",
)
def test_an_exported_program() -> None:
    torch.export.save(torch.export.export(torch.nn.Linear(3, 2), (torch.ones(1, 3),)), "net.pt2")
    load("net.pt2")


@says(
    pyinfer.ModelError,
    "FOLDER/net.pkl: not an ONNX model: this is a Python pickle (perhaps an old .pt or .pth file), which may run "
    "code when it is opened; load it in PyTorch and export the model with torch.onnx.export(..., dynamo=True)",
)
def test_a_pickle() -> None:
    load("net.pkl", pickle.dumps([1, 2, 3]))


@says(
    pyinfer.ModelError,
    "FOLDER/model.safetensors: not an ONNX model: this is a safetensors file, which has weights but no computation; "
    "load it in PyTorch and export the model with torch.onnx.export(..., dynamo=True)",
)
def test_a_safetensors_file() -> None:
    from safetensors.numpy import save

    load("model.safetensors", save({"w": X}))


@says(
    pyinfer.ModelError,
    "FOLDER/saved_model.pb: not an ONNX model: this is a TensorFlow SavedModel; convert it with tf2onnx: python -m "
    "tf2onnx.convert --saved-model FOLDER --output model.onnx",
)
def test_a_saved_model_file() -> None:
    inner = b"\x0a\x04\x0a\x02v1" + b"\x12" + b"\xd0\x0f" + bytes(2000)
    load("saved_model.pb", b"\x08\x01\x12" + bytes([len(inner) & 127 | 128, len(inner) >> 7]) + inner)


@says(
    pyinfer.ModelError,
    "FOLDER/frozen.pb: not an ONNX model: this is a frozen TensorFlow graph; convert it with tf2onnx: python -m "
    "tf2onnx.convert --graphdef FILE --inputs NAMES --outputs NAMES --output model.onnx",
)
def test_a_frozen_tensorflow_graph() -> None:
    made = b"\x0a\x01x\x12\x0bPlaceholder" + b"\x2a\x0d\x0a\x05dtype\x12\x04\x30\x01\x30\x01"
    load("frozen.pb", b"".join(b"\x0a" + bytes([len(made)]) + made for _ in range(3)))


@says(
    pyinfer.ModelError,
    "FOLDER/net.h5: not an ONNX model: this is an HDF5 file, perhaps of Keras; load it there and call "
    "model.export('model.onnx', format='onnx')",
)
def test_a_keras_h5_file() -> None:
    load("net.h5", b"\x89HDF\r\n\x1a\n" + bytes(40))


def archive(**files: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for name, text in files.items():
            made.writestr(name.replace("_json", ".json").replace("_onnx", ".onnx"), text)
    return out.getvalue()


@says(
    pyinfer.ModelError,
    "FOLDER/net.keras: not an ONNX model: this is a Keras model; load it there and call model.export('model.onnx', "
    "format='onnx')",
)
def test_a_keras_file() -> None:
    load("net.keras", archive(metadata_json="{}", config_json="{}"))


@says(
    pyinfer.ModelError,
    "FOLDER/net.zip: not an ONNX model: this is a zip archive with an ONNX file in it: unpack it first",
)
def test_a_zipped_model() -> None:
    load("net.zip", archive(net_onnx="x"))


@says(
    pyinfer.ModelError,
    "FOLDER/net.tflite: not an ONNX model: this is a TensorFlow Lite model; convert it with tf2onnx: python -m "
    "tf2onnx.convert --tflite FILE --output model.onnx",
)
def test_a_tflite_file() -> None:
    load("net.tflite", b"\x1c\0\0\0TFL3" + bytes(40))


@says(
    pyinfer.ModelError,
    "FOLDER/net.xml: not an ONNX model: this is an XML file, perhaps of OpenVINO: use the ONNX file, or export the "
    "model to ONNX from where it was trained",
)
def test_an_openvino_xml() -> None:
    load("net.xml", b"<?xml version='1.0'?>\n<net name='x' version='11'/>")


@says(
    pyinfer.ModelError,
    "FOLDER/net.bin: the file is damaged, or no ONNX model: byte 7: not a field of an ONNX file; a .bin file has the "
    "weights of OpenVINO or PyTorch: use the model's .onnx file",
)
def test_an_openvino_bin() -> None:
    load("net.bin", np.linspace(-1, 1, 1000, dtype=F32).tobytes())


@says(
    pyinfer.ModelError,
    "FOLDER/net.gguf: not an ONNX model: this is a GGUF file, which holds weights for llama.cpp only: use the "
    "model's ONNX export",
)
def test_a_gguf_file() -> None:
    load("net.gguf", b"GGUF\3\0\0\0" + bytes(40))


@says(
    pyinfer.ModelError,
    "FOLDER/net.ort: not an ONNX model: this is a model in ONNX Runtime's own format; use the .onnx file that it was "
    "made from",
)
def test_a_model_in_the_format_of_onnx_runtime() -> None:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = "net.ort"
    options.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime.InferenceSession(tiny.linear(), options)
    load("net.ort")


@says(
    pyinfer.ModelError,
    "FOLDER/x.npy: not an ONNX model: this is a NumPy array: load it with numpy.load and give it to the model",
)
def test_a_numpy_array() -> None:
    np.save("x.npy", X)
    load("x.npy")


@says(pyinfer.ModelError, "FOLDER/net.onnx.gz: not an ONNX model: this is compressed with gzip: unpack it first")
def test_a_compressed_model() -> None:
    load("net.onnx.gz", gzip.compress(tiny.linear()))


@says(pyinfer.ModelError, "FOLDER/net.tar: not an ONNX model: this is a tar archive: unpack it first")
def test_a_tar_archive() -> None:
    import tarfile

    with tarfile.open("net.tar", "w") as made:
        made.addfile(tarfile.TarInfo("net.onnx"))
    load("net.tar")


@says(pyinfer.ModelError, "FOLDER/net.py: not an ONNX model: this is a text: give the model's .onnx file")
def test_a_python_source() -> None:
    load("net.py", b"import torch\n\nclass Net(torch.nn.Module):\n    pass\n")


@says(pyinfer.ModelError, "FOLDER/labels.txt: not an ONNX model: this is a text: give the model's .onnx file")
def test_labels() -> None:
    load("labels.txt", b"tench\ngoldfish\ngreat white shark\n")


@says(pyinfer.ModelError, "FOLDER/cat.png: not an ONNX model: this is a PNG picture: give the model's .onnx file")
def test_a_picture() -> None:
    load("cat.png", b"\x89PNG\r\n\x1a\n" + bytes(40))


@says(
    pyinfer.ModelError,
    "FOLDER/net.onnx: the file is damaged, or no ONNX model: byte 2: field 7 has 143 bytes, but only 129 are left: "
    "it seems to be cut off; fetch it again, or export it again",
)
def test_a_model_that_is_cut_off() -> None:
    load("net.onnx", tiny.linear()[:-20])


@says(
    pyinfer.ModelError,
    "FOLDER/net.onnx: the file is damaged, or no ONNX model: byte 2: field 7 has 600088 bytes, but only 99994 are "
    "left: it seems to be cut off; fetch it again, or export it again",
)
def test_a_large_model_that_is_cut_off() -> None:
    data = tiny.model(
        [node("MatMul", "x w", "y")], [("x", F32, [1, 3])], [("y", F32, [1, 50000])], {"w": np.ones((3, 50000), F32)}
    )
    load("net.onnx", data[:100_000])


@says(
    pyinfer.ModelError,
    "FOLDER/x.pb: not an ONNX model: this is a single ONNX tensor, not a model: onnx.load_tensor(file) reads it",
)
def test_a_single_tensor() -> None:
    load("x.pb", onnx.numpy_helper.from_array(np.ones(3, F32), "x").SerializeToString())


@says(
    pyinfer.ModelError,
    "FOLDER/x.pb: the file is damaged, or no ONNX model: byte 0: field 1 has the wrong wire type 2; fetch it again, "
    "or export it again",
)
def test_a_graph_without_a_model() -> None:
    load("x.pb", onnx.load_from_string(tiny.linear()).graph.SerializeToString())


@says(pyinfer.InputError, "the path has a NUL character: give the bytes of a model as bytes, not as str")
def test_bytes_as_a_text() -> None:
    pyinfer.load(tiny.linear().decode("latin1"))


@says(TypeError, "the file object gives text: open it as bytes, with open(path, 'rb')")
def test_a_file_opened_as_text() -> None:
    Path("net.onnx").write_text("x")
    with open("net.onnx") as file:
        pyinfer.load(file)


@says(
    TypeError,
    "load() takes a path, bytes, a file object, an onnx.ModelProto or a torch.onnx.ONNXProgram, not Linear; for a "
    "PyTorch module use pyinfer.from_torch(module, example_inputs)",
)
def test_a_torch_module() -> None:
    pyinfer.load(torch.nn.Linear(3, 2))


@says(
    TypeError,
    "load() takes a path, bytes, a file object, an onnx.ModelProto or a torch.onnx.ONNXProgram, not InferenceSession",
)
def test_a_session_of_onnx_runtime() -> None:
    pyinfer.load(onnxruntime.InferenceSession(tiny.linear()))


@says(
    TypeError,
    "load() takes a path, bytes, a file object, an onnx.ModelProto or a torch.onnx.ONNXProgram, not NoneType",
)
def test_nothing_at_all() -> None:
    pyinfer.load(None)


# ---- external data, saved plans ----


def external(folder: str, size: int = 48) -> str:
    made = onnx.load_from_string(tiny.linear())
    os.makedirs(folder, exist_ok=True)
    onnx.save(made, f"{folder}/net.onnx", save_as_external_data=True, location="net.onnx.data", size_threshold=0)
    os.truncate(f"{folder}/net.onnx.data", size) if size else os.remove(f"{folder}/net.onnx.data")
    return f"{folder}/net.onnx"


@says(
    pyinfer.FileError,
    "FOLDER/net/net.onnx: tensor 'w': external data 'net.onnx.data': there is no such file beside the model: put it "
    "there, or fetch it too",
)
def test_external_data_left_behind() -> None:
    load(external("net", 0))


@says(
    pyinfer.ModelError,
    "FOLDER/net/net.onnx: tensor 'w': f32[3, 2] needs 24 bytes at 0, but the file 'net.onnx.data' has 20 bytes: it "
    "is cut off, or of another model: fetch it again",
)
def test_external_data_that_is_cut_off() -> None:
    load(external("net", 20))


@says(
    pyinfer.ModelError,
    "FOLDER/net/net.onnx: tensor 'w': f32[100, 3, 1, 1] needs 1200 bytes at 0, but the file 'weights.bin' has 67 "
    "bytes: it is a Git LFS pointer: fetch the file itself with 'git lfs pull'",
)
def test_external_data_that_is_a_git_lfs_pointer() -> None:
    Path("net").mkdir()
    weights = {"w": np.ones((100, 3, 1, 1), F32)}
    data = tiny.model([node("Conv", "x w", "y")], [("x", F32, [1, 3, 8, 8])], [("y", F32, [None] * 4)], weights)
    made = onnx.load_from_string(data)
    onnx.save(made, "net/net.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    Path("net/weights.bin").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1200\n")
    load("net/net.onnx")


@says(
    pyinfer.FileError,
    "tensor 'w': its data is in the file 'net.onnx.data', which a model given as bytes cannot open: load the model "
    "by its path",
)
def test_bytes_of_a_model_with_external_data() -> None:
    pyinfer.load(Path(external("net")).read_bytes())


@says(pyinfer.FileError, "FOLDER/net.plan: the saved plan has format 3, this version reads format 2: make it again")
def test_a_plan_of_another_version() -> None:
    pyinfer.load(tiny.linear()).save("net.plan", X)
    data = bytearray(Path("net.plan").read_bytes())
    data[8] += 1
    load("net.plan", data)


@says(
    pyinfer.FileError,
    "FOLDER/net.plan: the saved plan is damaged: it is cut off, or longer than it was; make it again",
)
def test_a_plan_that_is_cut_off() -> None:
    pyinfer.load(tiny.linear()).save("net.plan", X)
    load("net.plan", Path("net.plan").read_bytes()[:-100])


@says(pyinfer.FileError, "plans/net.plan: No such file or directory; there is no folder FOLDER/plans")
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


@says(
    pyinfer.UnsupportedError,
    "1 operator of this model is not supported: Sigmiod (opset 21, did you mean Sigmoid?, 1 node: 'act' from "
    "net.py:7, in forward: y = torch.sigmoid(x))",
)
def test_a_misspelt_operator() -> None:
    pyinfer.load(model(node("Sigmiod", "x", "y", "act", "y = torch.sigmoid(x)")))


@says(
    pyinfer.UnsupportedError,
    "1 operator of this model is not supported: my.lib.Twist (opset 1, 1 node: 'twist' from net.py:7, in forward: y "
    "= twist(x)). Operators of other domains run if the model has functions for them",
)
def test_an_operator_of_a_domain_of_ones_own() -> None:
    made = node("Twist", "x", "y", "twist", "y = twist(x)", domain="my.lib")
    pyinfer.load(model(made, domain="my.lib"))


@says(
    pyinfer.UnsupportedError,
    "1 operator of this model is not supported: Scaler (opset 21, did you mean ai.onnx.ml.Scaler?, 1 node: 'scale')",
)
def test_an_operator_without_its_domain() -> None:
    pyinfer.load(model(node("Scaler", "x", "y", "scale")))


@says(
    pyinfer.UnsupportedError,
    "1 operator of this model is not supported: aten.cdist (opset 1, which the exporter left in PyTorch's form: "
    "export with dynamo=True, 1 node: from net.py:7, in forward: y = torch.cdist(x, x)). Operators of other domains "
    "run if the model has functions for them",
)
def test_an_operator_of_pytorch_that_was_not_translated() -> None:
    pyinfer.load(model(node("cdist", "x x", "y", "", "y = torch.cdist(x, x)", domain="aten"), domain="aten"))


@says(
    pyinfer.UnsupportedError,
    "1 operator of this model is not supported: com.microsoft.FusedConv (opset 1, made by ONNX Runtime's "
    "optimiser: use the model as it was exported, 1 node)",
)
def test_an_operator_that_an_optimiser_made() -> None:
    pyinfer.load(model(node("FusedConv", "x x", "y", domain="com.microsoft"), domain="com.microsoft"))


@says(
    pyinfer.UnsupportedError,
    "1 operator of this model is not supported: com.microsoft.QLinearReduceMean (opset 1, made by ONNX Runtime's "
    "quantiser: quantise with quant_format=QuantFormat.QDQ, 1 node)",
)
def test_an_operator_of_onnx_runtimes_quantiser() -> None:
    pyinfer.load(model(node("QLinearReduceMean", "x x", "y", domain="com.microsoft"), domain="com.microsoft"))


@pytest.mark.parametrize("op", ["QLinearWhere", "MatMulNBits", "GatherBlockQuantized"])
def test_more_operators_of_onnx_runtimes_quantisers(op: str) -> None:
    with pytest.raises(pyinfer.UnsupportedError, match="made by ONNX Runtime's quantiser: quantise with quant_format=QuantFormat.QDQ"):
        pyinfer.load(model(node(op, "x x", "y", domain="com.microsoft"), domain="com.microsoft"))


@says(
    pyinfer.UnsupportedError,
    "1 operator of this model is not supported: com.microsoft.Tokenizer (opset 1, which only ONNX Runtime has: split "
    "texts before the model, 1 node)",
)
def test_an_operator_that_only_onnx_runtime_has() -> None:
    pyinfer.load(model(node("Tokenizer", "x", "y", domain="com.microsoft"), domain="com.microsoft"))


@says(
    pyinfer.UnsupportedError,
    "1 operator of this model is not supported: Gelu (opset 17, too old: export the model with opset_version=20 or "
    "newer, 1 node)",
)
def test_an_operator_newer_than_the_opset() -> None:
    pyinfer.load(model(node("Gelu", "x", "y"), opset=17))


@says(pyinfer.UnsupportedError, "1 operator of this model is not supported: HyperAttention (opset 99, 1 node)")
def test_an_operator_of_an_opset_of_the_future() -> None:
    assert (pyinfer.load(model(node("Neg", "x", "y"), opset=99, ir=99))(np.ones((2, 3), F32)) == -1).all()  # is tried
    pyinfer.load(model(node("HyperAttention", "x", "y"), opset=99))


@says(pyinfer.ModelError, "Relu (#0): the model does not say which opset of ONNX it uses: set its opset_import")
def test_an_opset_that_is_not_told() -> None:
    made = onnx.load_from_string(model(node("Relu", "x", "y")))
    del made.opset_import[:]
    pyinfer.load(made)


@says(
    pyinfer.ModelError,
    "Add 'sum' (#0), from net.py:7, in forward: y = x + hidden: 'hiden' is not an input, an initializer or an output "
    "of any node here: is it misspelt?",
)
def test_a_value_that_no_node_makes() -> None:
    pyinfer.load(model(node("Add", "x hiden", "y", "sum", "y = x + hidden")))


@says(pyinfer.ModelError, "Add 'first' (#0) depends on its own output: the graph has a cycle")
def test_nodes_in_a_circle() -> None:
    pyinfer.load(model(node("Add", "x b", "a", "first"), node("Neg", "a", "b", "second")))


@says(
    pyinfer.ModelError,
    "output 'logits': 'logits' is not an input, an initializer or an output of any node here: is it misspelt?",
)
def test_an_output_that_no_node_makes() -> None:
    made = onnx.load_from_string(model(node("Relu", "x", "y")))
    made.graph.output[0].name = "logits"
    pyinfer.load(made)


@says(pyinfer.ModelError, "Neg 'other' (#1): output 'y' has the name of another value")
def test_two_nodes_that_make_one_value() -> None:
    pyinfer.load(model(node("Relu", "x", "y", "one"), node("Neg", "x", "y", "other")))


@says(
    pyinfer.ModelError,
    "MatMul 'fc' (#0), from net.py:7, in forward: y = self.fc(x): A is f32[2, 3] and B is f32[4, 2]: 3 columns "
    "against 4 rows",
)
def test_weights_that_do_not_fit() -> None:
    pyinfer.load(model(node("MatMul", "x w", "y", "fc", "y = self.fc(x)"), w=np.ones((4, 2), F32)))


@says(
    pyinfer.ModelError,
    "Add 'bias' (#0), from net.py:7, in forward: y = x + self.b: f32[2, 3] and f32[4] do not broadcast: 3 against 4",
)
def test_a_bias_that_does_not_fit() -> None:
    pyinfer.load(model(node("Add", "x b", "y", "bias", "y = x + self.b"), b=np.ones(4, F32)))


@says(
    pyinfer.ModelError,
    "MatMul 'fc' (#0), from net.py:7, in forward: y = self.fc(x): input 1 'B' is f16, but an input before it is f32: "
    "both must be the same",
)
def test_weights_of_another_type() -> None:
    pyinfer.load(model(node("MatMul", "x w", "y", "fc", "y = self.fc(x)"), w=np.ones((3, 2), np.float16)))


@says(
    pyinfer.ModelError,
    "Conv 'conv' (#0), from net.py:7, in forward: y = self.conv(x): X is f32[1, 3, 8, 8] and W is f32[4, 5, 1, 1], "
    "which do not fit with group 1",
)
def test_channels_that_do_not_fit() -> None:
    made = node("Conv", "x w", "y", "conv", "y = self.conv(x)")
    pyinfer.load(model(made, inputs=[1, 3, 8, 8], w=np.ones((4, 5, 1, 1), F32)))


@says(pyinfer.ModelError, "Concat 'cat' (#0): attribute 'axis' (an int) is missing")
def test_an_attribute_that_is_missing() -> None:
    pyinfer.load(model(node("Concat", "x x", "y", "cat")))


@says(
    pyinfer.ModelError,
    "Softmax 'soft' (#0), from net.py:7, in forward: y = x.softmax(2): axis 2 is out of range for rank 2",
)
def test_an_axis_that_is_too_large() -> None:
    pyinfer.load(model(node("Softmax", "x", "y", "soft", "y = x.softmax(2)", axis=2)))


@says(pyinfer.ModelError, "MatMul 'fc' (#0): input 1 'B' is missing")
def test_too_few_inputs_of_a_node() -> None:
    pyinfer.load(model(node("MatMul", "x", "y", "fc")))
