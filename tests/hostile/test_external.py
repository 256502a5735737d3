# SPDX-License-Identifier: Apache-2.0
"""External data: read beneath the model's folder and nowhere else, with offsets and lengths that fit the file."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import pyinfer
from hostile.small import field, load, model, port, survive

VALUES = np.arange(4, dtype=np.float32)
LARGE = np.arange(1 << 15, dtype=np.float32)  # stays in the file until it is needed
SECRET = b"\0" * 4096


def with_data(
    values: np.ndarray = VALUES, dtype: int = TensorProto.FLOAT, **entries: str | bytes
) -> bytes:
    tensor = onnx.TensorProto(
        name="w", data_type=dtype, dims=values.shape, data_location=TensorProto.EXTERNAL
    )
    made = model([helper.make_node("Identity", ["w"], ["y"])], [], [port("y", None, dtype)])
    raw = tensor.SerializeToString()
    for key, value in entries.items():  # by hand: protobuf would refuse bytes that are no text
        raw += field(
            13,
            field(1, key.encode())
            + field(2, value if isinstance(value, bytes) else value.encode()),
        )
    graph = made.graph.SerializeToString() + field(5, raw)
    made.ClearField("graph")
    return made.SerializeToString() + field(7, graph)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "outside").write_bytes(SECRET)
    place = tmp_path / "model"
    (place / "sub").mkdir(parents=True)
    (place / "data").write_bytes(b"\xff" * 16 + VALUES.tobytes())
    (place / "sub" / "data").write_bytes(VALUES.tobytes())
    (place / "back\\slash").write_bytes(VALUES.tobytes())
    (place / "large").write_bytes(LARGE.tobytes())
    (place / "link").symlink_to("data")
    (place / "linked").symlink_to("sub")
    (place / "out").symlink_to("../outside")
    os.mkfifo(place / "pipe")
    (place / "null").symlink_to("/dev/zero")
    (tmp_path / "twin").write_bytes(VALUES.tobytes())
    os.link(tmp_path / "twin", place / "hard")
    return place


def put(folder: Path, data: bytes) -> str:
    path = folder / "model.onnx"
    path.write_bytes(data)
    return str(path)


ALLOWED = ["sub/data", "./sub/data", "sub//data", "sub/./data", "back\\slash"]
REFUSED: list[str | bytes] = [
    "", ".", "..", "/", "//", "./", "sub", "sub/", "sub/..", "../outside", "./../outside", "sub/../../outside", "sub/../data",
    "sub/../sub/data", "../model/data", "../model/sub/data", ".../data", "..\\outside", "sub\\data", "sub\\..\\data", "~", "~/data",
    "/etc/passwd", "//etc/passwd", "/proc/self/mem", "/proc/self/environ", "/proc/self/fd/0", "/dev/zero", "/dev/null", "/dev/stdin",
    "file:///etc/passwd", "http://example.com/x", "C:\\data", "\\\\host\\share", "%2e%2e/outside", "..%2foutside", "link",
    "linked/data", "out", "null", "pipe", "hard", "missing", "sub/missing", "data/x", "sub/data/", "x" * 255, "x" * 256, "x" * 4095,
    "x" * 4096, "d/" * 2047 + "data", "../" * 1000 + "etc/passwd", "data ", " data", "data\n", "DATA", "d\u0430ta", "data\x00",
    b"data\x00.bin", b"\xff\xfe", b"\x00", b"sub/\xc0\xaf", b"..\xc0\xafoutside",
]  # fmt: skip


@pytest.mark.parametrize("location", ALLOWED)
def test_beneath_the_folder(folder: Path, location: str) -> None:
    assert load(put(folder, with_data(location=location))).run({})["y"].tolist() == VALUES.tolist()


@pytest.mark.parametrize("location", REFUSED, ids=lambda s: ascii(s)[:30])
def test_nothing_else(folder: Path, location: str | bytes) -> None:
    line = survive([put(folder, with_data(location=location))], seconds=60)[0]
    assert line.startswith(("ModelError: ", "FileError: ")) and "tensor 'w'" in line


def test_working_folder_is_not_the_models(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    assert survive([put(folder, with_data(location="outside"))])[0].startswith("FileError")


FITS = {"location": "data", "offset": "16"}
SPANS = [
    (FITS, True),
    (FITS | {"length": "16"}, True),
    (FITS | {"length": "16", "checksum": "0" * 40}, True),
    (FITS | {"length": "15"}, False),
    (FITS | {"length": "17"}, False),
    (FITS | {"length": "0"}, False),
    (FITS | {"length": "-1"}, False),
    (FITS | {"offset": "17"}, False),
    (FITS | {"offset": "32"}, False),
    (FITS | {"offset": "33"}, False),
    (FITS | {"offset": "-16"}, False),
    (FITS | {"offset": " 16"}, False),
    (FITS | {"offset": "0x10"}, False),
    (FITS | {"offset": "16.0"}, False),
    (FITS | {"offset": ""}, False),
    (FITS | {"offset": str(2**63)}, False),
    (FITS | {"offset": str(2**64 + 16)}, False),
    (FITS | {"offset": "9" * 40}, False),
    ({"offset": "16"}, False),
]


@pytest.mark.parametrize(("entries", "fine"), SPANS, ids=str)
def test_offsets_and_lengths(folder: Path, entries: dict[str, str], fine: bool) -> None:
    path = put(folder, with_data(**entries))
    if fine:
        assert load(path).run({})["y"].tolist() == VALUES.tolist()
    else:
        with pytest.raises(pyinfer.ModelError, match="tensor 'w'"):
            load(path)


def test_a_model_of_bytes_needs_a_folder(folder: Path) -> None:
    data = with_data(location="sub/data")
    with pytest.raises(pyinfer.FileError, match="load the model by its path"):
        load(data)
    assert load(data, str(folder)).run({})["y"].tolist() == VALUES.tolist()
    with pytest.raises(pyinfer.ModelError):
        load(with_data(location="../outside"), str(folder))


def test_large_data_and_the_files_end(folder: Path) -> None:
    path = put(folder, with_data(LARGE, location="large"))
    assert np.array_equal(load(path).run({})["y"], LARGE)
    os.truncate(folder / "large", LARGE.nbytes - 1)
    with pytest.raises(pyinfer.ModelError, match=f"the file 'large' has {LARGE.nbytes - 1} bytes"):
        load(path)


def test_strings_cannot_be_external(folder: Path) -> None:
    with pytest.raises(pyinfer.ModelError, match="strings"):
        load(put(folder, with_data(dtype=TensorProto.STRING, location="sub/data")))


def test_int4_from_outside(folder: Path) -> None:
    (folder / "nibbles").write_bytes(b"\x21\xf3")
    y = load(put(folder, with_data(np.zeros(3), TensorProto.INT4, location="nibbles"))).run({})["y"]
    assert y.astype(int).tolist() == [1, 2, 3]


def changes() -> dict[str, Callable[[Path], None]]:
    def rewrite(path: Path) -> None:
        path.write_bytes(b"\1" * LARGE.nbytes)

    return {
        "truncated": lambda path: os.truncate(path, 100),
        "removed": os.unlink,
        "rewritten": rewrite,
    }


@pytest.mark.parametrize("change", changes())
def test_a_file_that_changes_after_loading(folder: Path, change: str) -> None:
    """An answer from what was there before, or an error: never the end of the process, never a mixture."""
    loaded = load(put(folder, with_data(LARGE, location="large")))
    changes()[change](folder / "large")
    try:
        assert np.array_equal(loaded.run({})["y"], LARGE)
    except pyinfer.FileError as error:
        assert "changed" in str(error) or "end" in str(error)
