# SPDX-License-Identifier: Apache-2.0
"""--input: files, pictures, numbers and texts; sizes that inputs share."""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper
from PIL import Image

import pyinfer
from pyinfer import cli
from pyinfer.cli._inputs import make_feeds
from support import tiny


def made(shape: list[Any], dtype: Any, *given: str, size: int = 1) -> np.ndarray:
    """What becomes of --input for a model with one input x."""
    node = helper.make_node("Identity", ["x"], ["y"])
    model = pyinfer.load(tiny.model([node], [("x", dtype, shape)], [("y", dtype, shape)]))
    return make_feeds(model, argparse.Namespace(input=list(given), size=size))["x"]


@pytest.fixture
def picture(tmp_path: Path) -> str:
    """Red, 2 pixels high and 4 wide."""
    pixels = np.zeros((2, 4, 3), np.uint8)
    pixels[..., 0] = 255
    Image.fromarray(pixels).save(tmp_path / "red.png")
    return f"x={tmp_path / 'red.png'}"


def test_pictures(picture: str) -> None:
    x = made(["n", 3, "h", "w"], np.float32, picture)
    assert x.shape == (1, 3, 2, 4) and x.dtype == np.float32 and (x[0, 0] == 1).all() and not x[0, 1:].any()
    x = made(["n", 3, 6, 5], np.float16, picture)
    assert x.shape == (1, 3, 6, 5) and x.dtype == np.float16 and (x[0, 0] == 1).all()
    x = made(["n", 6, 5, 3], np.uint8, picture)  # channels behind the pixels
    assert x.shape == (1, 6, 5, 3) and x.dtype == np.uint8 and (x[..., 0] == 255).all() and not x[..., 1:].any()
    x = made(["n", 1, 2, 4], np.float32, picture)
    assert x.shape == (1, 1, 2, 4) and 0.2 < x.min() == x.max() < 0.4, "red is a dark grey"


def test_numbers() -> None:
    assert made(["n", 3], np.int64, "x=7", size=2).tolist() == [[7, 7, 7]] * 2
    assert made(["n"], np.float32, "x=-1e3").tolist() == [-1000]


def test_texts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ports = [("s", object, ["n"]), ("t", object, ["n"])], [("y", object, ["n"])]
    path = tmp_path / "concat.onnx"
    path.write_bytes(tiny.model([helper.make_node("StringConcat", ["s", "t"], ["y"])], *ports, opset=20))
    assert cli.main(["run", str(path), "--input", "s=good", "--input", "t= day"]) == 0
    assert "y: text 1: 'good day'" in capsys.readouterr().out
    np.save(tmp_path / "s.npy", np.array(["a", "b"]))
    files = ["--input", f"s={tmp_path / 's.npy'}", "--input", "t=!"]
    assert cli.main(["run", str(path), *files, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["outputs"]["y"]["values"] == ["a!", "b!"]


def test_shared_sizes(tmp_path: Path) -> None:
    """An input that is made up has the sizes that the others, which were given, say."""
    ports = [("a", np.float32, ["n", "k"]), ("b", np.float32, ["k", 4])], [("y", np.float32, ["n", 4])]
    model = pyinfer.load(tiny.model([helper.make_node("MatMul", ["a", "b"], ["y"])], *ports))
    np.save(tmp_path / "a.npy", np.ones((3, 5), np.float32))
    for b in (["b=ones"], ["b=2"], []):
        feeds = make_feeds(model, argparse.Namespace(input=[*b, f"a={tmp_path / 'a.npy'}"], size=1))
        assert feeds["b"].shape == (5, 4) and model.run(feeds)["y"].shape == (3, 4)


@pytest.mark.parametrize(
    ("dtype", "value", "said"),
    [
        (np.int64, "1.5", "takes whole numbers, not 1.5"),
        (np.uint8, "300", "cannot hold 300"),
        (np.int64, __file__, "floats or of uint8"),
        (np.float32, __file__, "neither a .npy file nor a picture"),
        (np.float32, "none.jpg", "none.jpg: No such file"),
    ],
)
def test_what_does_not_fit(dtype: Any, value: str, said: str) -> None:
    with pytest.raises(cli.Problem, match=said):
        made(["n", 3, 2, 2], dtype, f"x={value}")


def test_objects_in_a_file(tmp_path: Path) -> None:
    np.save(tmp_path / "o.npy", np.array(["a", None], object))
    with pytest.raises(cli.Problem, match="dtype=str"):
        made(["n"], np.float32, f"x={tmp_path / 'o.npy'}")
