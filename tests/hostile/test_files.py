# SPDX-License-Identifier: Apache-2.0
"""Files that are no models: what they are is said, and what to do."""

import gzip
import io
import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

import pyinfer
from hostile.small import constant, load, mlp, model, port, survive


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("archive/data.pkl", b"x")
    return out.getvalue()


def safetensors() -> bytes:
    head = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    return len(head).to_bytes(8, "little") + head + bytes(4)


def numpy_file() -> bytes:
    out = io.BytesIO()
    np.save(out, np.zeros(3))
    return out.getvalue()


WRONG = {
    "empty": (b"", "the file is empty"),
    "Git LFS": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n",
        "git lfs pull",
    ),
    "web page": (b"\n<!doctype html>\n<html><body>404</body></html>", "web page"),
    "zip": (zipped(), "torch.onnx.export"),
    "pickle": (pickle.dumps([1, 2, 3], protocol=2), "pickle"),
    "safetensors": (safetensors(), "safetensors"),
    "gzip": (gzip.compress(mlp().SerializeToString()), "gzip"),
    "numpy": (numpy_file(), "NumPy"),
    "tflite": (b"\x1c\0\0\0TFL3" + bytes(40), "TensorFlow Lite"),
    "gguf": (b"GGUF\3\0\0\0" + bytes(40), "GGUF"),
    "xml": (b"<?xml version='1.0'?><net/>", "XML"),
    "text": (str(mlp()).encode(), "textproto"),
    "noise": (bytes(range(255, 0, -1)), "damaged, or no ONNX model"),
    "zeros": (bytes(1000), "damaged, or no ONNX model"),
    "a tensor": (constant("w", [1.0, 2.0]).SerializeToString(), "ONNX model"),
    "a graph": (mlp().graph.SerializeToString(), "ONNX model"),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("how", ["path", "bytes"])
def test_wrong_file(name: str, how: str, tmp_path: Path) -> None:
    data, part = WRONG[name]
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    with pytest.raises(pyinfer.ModelError) as error:
        load(str(path) if how == "path" else data)
    assert part in str(error.value)


def test_places_that_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    places = [
        tmp_path,
        tmp_path / "missing",
        tmp_path / "pipe",
        tmp_path / "loop",
        "/dev/zero",
        "/dev/null",
        "x" * 5000,
        "",
    ]
    for place, line in zip(places, survive([str(p) for p in places], seconds=60), strict=True):
        assert line.startswith("FileError: "), (place, line)


def big(n: int) -> bytes:
    nodes = [helper.make_node("Gather", ["w", "i"], ["y"], axis=0)]
    return model(
        nodes, [port("i", [1], TensorProto.INT64)], [port("y")], [constant("w", np.arange(n))]
    ).SerializeToString()


@pytest.mark.parametrize("how", ["path", "bytes", "bytearray", "memoryview", "file object"])
def test_large_constants(how: str, tmp_path: Path) -> None:
    data = big(100_000)
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    sources = {
        "path": str(path),
        "bytes": data,
        "bytearray": bytearray(data),
        "memoryview": memoryview(data),
    }
    loaded = load(open(path, "rb") if how == "file object" else sources[how])
    del data, sources
    assert loaded.run({"i": np.array([99_999])})["y"].tolist() == [99_999]


@pytest.mark.parametrize("n", [100, 200_000])
def test_a_file_cut_at_large_data(n: int, tmp_path: Path) -> None:
    data = big(n)
    cuts = [len(data) - k for k in (1, 2, 10, 100, 300)] + [50, 100, len(data) // 2]
    paths = []
    for k, cut in enumerate(cuts):
        paths.append(str(tmp_path / f"{k}.onnx"))
        Path(paths[-1]).write_bytes(data[:cut])
    for line in survive(paths):
        assert line.startswith("ModelError"), line
