# SPDX-License-Identifier: Apache-2.0
"""The packaged example: it is what digits.json says, and what PyTorch computed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models import engine

EXAMPLE = Path(__file__).resolve().parents[2] / "pyinfer" / "example"
ABOUT = json.loads((EXAMPLE / "digits.json").read_text())


def test_pictures() -> None:
    model = engine.load(EXAMPLE / "digits.onnx")
    assert len(ABOUT["pictures"]) == 6
    for row in ABOUT["pictures"]:
        grey = np.asarray(Image.open(EXAMPLE / row["file"]))
        assert grey.shape == (8, 8) and grey.ravel().tolist() == row["pixels"]
        got = model((grey.astype(np.float32) / 255)[None, None])
        assert got.shape == (1, 10) and got.argmax() == row["label"]
        assert np.abs(got[0] - np.array(row["probabilities"])).max() < 2e-6  # six digits are written


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_accuracy(batch: int) -> None:
    """All digits, in batches; the last batch is smaller, so that two shapes are planned."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    x = (digits.images[:, None] / 16).astype(np.float32)
    model = engine.load(EXAMPLE / "digits.onnx")
    got = np.concatenate([model(x[i : i + batch]) for i in range(0, len(x), batch)])
    assert np.abs(got.sum(1) - 1).max() < 1e-5
    assert (got.argmax(1) == digits.target).mean() > 0.98


def test_size() -> None:
    assert (EXAMPLE / "digits.onnx").stat().st_size < 300_000
