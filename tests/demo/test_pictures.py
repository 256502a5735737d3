# SPDX-License-Identifier: Apache-2.0
"""Pictures as tensors, tensors as pictures."""

import numpy as np
import pytest
from PIL import Image

import pyinfer
from pyinfer import Port, example
from pyinfer.demo import pictures


@pytest.mark.parametrize(
    ("shape", "dtype", "want"),
    [
        ((1, 3, 224, 224), "float32", (3, 224, 224, False)),
        (("n", 3, None, "w"), "float32", (3, 224, 224, False)),
        ((1, 240, 320, 3), "uint8", (3, 240, 320, True)),
        ((None, 1, 28, 28), "float32", (1, 28, 28, False)),
        ((2, 3, 8, 8), "float32", None),
        ((1, 4, 8, 8), "float32", None),
        ((1, 128), "int64", None),
        (None, "float32", None),
    ],
)
def test_what_a_model_wants(shape: tuple[int | str | None, ...] | None, dtype: str, want: object) -> None:
    got = pictures.picture_input((Port("x", shape, dtype),))
    assert (got and got[1:5]) == want
    assert pictures.picture_input((Port("x", shape, dtype),) * 2) is None


def test_scaling() -> None:
    red = Image.new("RGB", (30, 20), (255, 0, 0))
    wanted = pictures.PictureInput("x", 3, 8, 8, False, "float32")
    x = pictures.tensor(red, wanted)
    assert x.shape == (1, 3, 8, 8) and x.dtype == np.float32 and x.flags.c_contiguous
    assert x[0, :, 4, 4].tolist() == pytest.approx([(1 - 0.485) / 0.229, -0.456 / 0.224, -0.406 / 0.225])
    assert pictures.tensor(red, wanted, "-1..1")[0, :, 0, 0].tolist() == [1, -1, -1]
    x = pictures.tensor(red, wanted._replace(last=True, dtype="uint8"))
    assert x.shape == (1, 8, 8, 3) and x.dtype == np.uint8 and x[0, 3, 3].tolist() == [255, 0, 0]


def test_digits() -> None:
    """As they lie in the package, and large, dark on light, somewhere in a picture."""
    model = pyinfer.load(example.model_path(), threads=1)
    wanted = pictures.picture_input(model.inputs)
    assert wanted
    for path, label in zip(example.picture_paths(), example.pictures()[1], strict=True):
        digit = Image.open(path)
        assert model(pictures.tensor(digit, wanted)).argmax() == label
        page = Image.new("L", (400, 300), 230)
        page.paste(Image.eval(digit.resize((160, 160)), lambda v: 230 - v * 200 // 255), (180, 100))
        assert model(pictures.tensor(page, wanted)).argmax() == label


@pytest.mark.parametrize(
    "shape",
    [(1, 64, 7, 7), (1, 3, 300, 200), (1, 10), (1, 1000), (1, 128, 384), (5,), (), (1, 2, 3, 4, 5), (0,), (1, 600, 1, 1)],
)
def test_thumbnails(shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).standard_normal(shape)
    image = pictures.thumbnails(array, (300, 200))
    assert 1 <= min(image.size) and image.width <= 300 and image.height <= 200
    assert pictures.thumbnails(np.full(shape, np.nan), (300, 200)).size == image.size
