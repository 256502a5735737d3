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
from pyinfer.demo import pictures
from support import tiny


def flags(*given: str, **more: Any) -> argparse.Namespace:
    return argparse.Namespace(**{"input": list(given), "size": 1, "mean": None, "std": None} | more)


def made(shape: list[Any], dtype: Any, *given: str, **more: Any) -> np.ndarray:
    """What becomes of --input for a model with one input x."""
    node = helper.make_node("Identity", ["x"], ["y"])
    model = pyinfer.load(tiny.model([node], [("x", dtype, shape)], [("y", dtype, shape)]))
    return make_feeds(model, flags(*given, **more))["x"]


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


def test_mean_and_std(picture: str) -> None:
    imagenet = {"mean": "0.485,0.456,0.406", "std": "0.229,0.224,0.225"}
    x = made(["n", 3, 2, 4], np.float32, picture, **imagenet)
    np.testing.assert_allclose(x[0, :, 0, 0], [(1 - 0.485) / 0.229, -0.456 / 0.224, -0.406 / 0.225], rtol=1e-5)
    wanted = pictures.of_port(pyinfer.Port("x", (1, 3, 2, 4), "float32"))
    assert wanted and wanted.scaling == "ImageNet", "as the window does it"
    assert x.tobytes() == pictures.tensor(Image.open(picture.removeprefix("x=")), wanted).tobytes()
    x = made(["n", 2, 4, 3], np.float32, picture, mean="0.5", std="0.5")
    assert x[0, 0, 0].tolist() == [1, -1, -1]
    for wrong, said in (
        ({"mean": "a"}, "--mean is a number"), ({"std": "1,2"}, "2 numbers, the picture 3"), ({"std": "0"}, "a 0"),
    ):  # fmt: skip
        with pytest.raises(cli.Usage, match=said):
            made(["n", 3, 2, 4], np.float32, picture, **wrong)
    with pytest.raises(cli.Usage, match="takes 0..255"):
        made(["n", 3, 2, 4], np.uint8, picture, mean="0.5")
    with pytest.raises(cli.Usage, match="give one"):
        made(["n", 3], np.float32, "x=ones", mean="0.5")


def test_the_middle_of_a_picture(tmp_path: Path) -> None:
    pixels = np.zeros((4, 12, 3), np.uint8)
    pixels[:, 4:8] = 255
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    assert (made(["n", 3, 4, 4], np.float32, f"x={tmp_path / 'wide.png'}") == 1).all()
    with pytest.raises(cli.Problem, match="1 or 3 channels"):
        made(["n", 5, 4, 4], np.float32, f"x={tmp_path / 'wide.png'}")


def test_rows_of_scores(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, scores = tmp_path / "same.onnx", np.eye(25, 4, dtype=np.float32) + np.float32([0.5, 0, 0.25, 0])
    path.write_bytes(tiny.model([helper.make_node("Identity", ["x"], ["y"])], *[[(n, np.float32, ["n", 4])] for n in "xy"]))
    np.save(tmp_path / "x.npy", scores)
    words = ["run", str(path), "--input", f"x={tmp_path / 'x.npy'}", "--top", "2"]
    assert cli.main(words) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[1] == "  row 0:  0  1.5000,  2  0.2500" and said[2] == "  row 1:  1  1.0000,  0  0.5000"
    assert said[21:23] == ["  ... 5 more rows", said[22]] and said[22].endswith("the first time)")


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


def test_a_mask_that_is_made_up() -> None:
    """Random ones would have texts of nothing but padding: NaN."""
    node = helper.make_node("Identity", ["attention_mask"], ["y"])
    ports = [[(name, np.int64, ["n", 9])] for name in ("attention_mask", "y")]
    model = pyinfer.load(tiny.model([node], *ports))
    assert make_feeds(model, flags(size=4))["attention_mask"].all()
    assert not make_feeds(model, flags("attention_mask=zeros"))["attention_mask"].any()


def test_shared_sizes(tmp_path: Path) -> None:
    """An input that is made up has the sizes that the others, which were given, say."""
    ports = [("a", np.float32, ["n", "k"]), ("b", np.float32, ["k", 4])], [("y", np.float32, ["n", 4])]
    model = pyinfer.load(tiny.model([helper.make_node("MatMul", ["a", "b"], ["y"])], *ports))
    np.save(tmp_path / "a.npy", np.ones((3, 5), np.float32))
    for b in (["b=ones"], ["b=2"], []):
        feeds = make_feeds(model, flags(*b, f"a={tmp_path / 'a.npy'}"))
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
