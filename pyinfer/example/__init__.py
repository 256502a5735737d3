# SPDX-License-Identifier: Apache-2.0
"""A small model and pictures for it, to try pyinfer without a download.

The model tells handwritten digits apart; it was trained on scikit-learn's load_digits by
tests/models/train_digits.py. Input "x": float32 [batch, 1, 8, 8], 0 black to 1 white.
Output "probabilities": float32 [batch, 10].

>>> import pyinfer
>>> from pyinfer import example
>>> x, labels = example.pictures()
>>> model = pyinfer.load(example.model_path())
>>> bool((model(x).argmax(1) == labels).all())
True
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["model_path", "picture_paths", "pictures"]

_HERE = Path(__file__).parent


def model_path() -> Path:
    """The file digits.onnx.

    >>> model_path().name
    'digits.onnx'
    """
    return _HERE / "digits.onnx"


def picture_paths() -> list[Path]:
    """The pictures as grey 8x8 PNG files, in the order of `pictures`.

    >>> picture_paths()[0].name
    'digit_0.png'
    """
    return [_HERE / row["file"] for row in _about()]


def pictures() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The same pictures as the model's input, float32 [6, 1, 8, 8], and their labels, int64 [6].

    >>> x, labels = pictures()
    >>> x.shape, labels.tolist()
    ((6, 1, 8, 8), [0, 2, 3, 5, 7, 8])
    """
    rows = _about()
    grey = np.array([row["pixels"] for row in rows], dtype=np.float32)
    labels = np.array([row["label"] for row in rows], dtype=np.int64)
    return (grey / np.float32(255)).reshape(-1, 1, 8, 8), labels


def _about() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((_HERE / "digits.json").read_text())["pictures"]
    return rows
