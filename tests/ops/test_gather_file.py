# SPDX-License-Identifier: Apache-2.0
"""Gather from a table that stays in the file: rows are read when they are asked for, and kept."""

from pathlib import Path
from threading import Thread

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import pyinfer

ROWS, WIDE = 20_000, 256  # 20 MB


@pytest.fixture(scope="module")
def table() -> np.ndarray:
    return np.random.default_rng(3).standard_normal((ROWS, WIDE)).astype(np.float32)


@pytest.fixture(scope="module")
def path(table: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    node = helper.make_node("Gather", ["t", "i"], ["y"], name="words")
    i = helper.make_tensor_value_info("i", TensorProto.INT64, ["n"])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", WIDE])
    graph = helper.make_graph([node], "g", [i], [y], [numpy_helper.from_array(table, "t")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)])
    path = tmp_path_factory.mktemp("table") / "m.onnx"
    onnx.save(model, path)
    return path


def test_rows(path: Path, table: np.ndarray) -> None:
    m = pyinfer.load(path)
    assert "[file]" in m.explain()
    for ids in ([0, 5, 5, -1, ROWS - 1, -ROWS], [7], list(range(100))):
        for _ in range(2):
            assert np.array_equal(m(np.array(ids)), table[ids])


def test_out_of_range(path: Path, table: np.ndarray) -> None:
    m = pyinfer.load(path)
    for bad in (ROWS, -ROWS - 1):
        with pytest.raises(pyinfer.InputError, match="out of range"):
            m(np.array([1, bad]))
    assert np.array_equal(m(np.array([1])), table[[1]])


def test_threads(path: Path, table: np.ndarray) -> None:
    m = pyinfer.load(path)
    wrong: list[int] = []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed % 2)  # two at a time ask for the same rows
        for _ in range(30):
            ids = rng.integers(0, ROWS, 64)
            if not np.array_equal(m(ids), table[ids]):
                wrong.append(seed)

    threads = [Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_the_file_changes(path: Path, table: np.ndarray, tmp_path: Path) -> None:
    copy = tmp_path / "copy.onnx"
    copy.write_bytes(path.read_bytes())
    m = pyinfer.load(copy)
    assert np.array_equal(m(np.array([3])), table[[3]])
    with open(copy, "r+b") as f:
        f.truncate(1000)
    assert np.array_equal(m(np.array([3])), table[[3]])
    with pytest.raises(pyinfer.FileError, match="changed|ends early"):
        m(np.array([4]))


def test_bytes_are_used_where_they_are(path: Path, table: np.ndarray) -> None:
    m = pyinfer.load(path.read_bytes())
    assert np.array_equal(m(np.array([3, 9])), table[[3, 9]])
