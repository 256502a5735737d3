# SPDX-License-Identifier: Apache-2.0
"""Text in pictures, with rapidocr's models."""

import numpy as np
import pytest

from models import ocr, zoo
from pyinfer.demo import reading


def test_components() -> None:
    mask = np.zeros((40, 60), bool)
    mask[3:6, 2:20] = mask[5:12, 18:22] = mask[11, 4:20] = True  # a bow
    mask[20:30, 40:50] = True
    mask[0, 59] = True
    assert sorted(reading.components(mask)) == [(2, 3, 22, 12), (40, 20, 50, 30), (59, 0, 60, 1)]
    assert reading.components(np.zeros((4, 4), bool)) == []
    ndimage = pytest.importorskip("scipy.ndimage")
    noise = np.random.default_rng(0).random((60, 80)) > 0.6
    want = [(x.start, y.start, x.stop, y.stop) for y, x in ndimage.find_objects(ndimage.label(noise)[0])]
    assert sorted(reading.components(noise)) == sorted(want)


def test_words_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "model_paths", zoo.rapidocr_models)
    page = ocr.draw([("Hello engine", 20, 20), ("ONNX 2024", 40, 90)], 420, 150)
    lines = reading.Reader(1).read(page)
    assert [line.text for line in lines] == ["Hello engine", "ONNX 2024"]
    left, top, right, bottom = lines[1].box
    assert 20 < left < 60 and 70 < top < 110 and bottom < 140 and right < 300


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading.importlib.util, "find_spec", lambda name: None)
    assert reading.model_paths() == {}
    with pytest.raises(FileNotFoundError, match="pip install"):
        reading.Reader()
