# SPDX-License-Identifier: Apache-2.0
"""The models that are timed, by name: those of tests/models/zoo.py, rapidocr's three nets, an LSTM."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import engines
import numpy as np
import recurrent

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from models import zoo  # noqa: E402

REAL = {"ocr_det": ("det", (3, 320, 320)), "ocr_rec": ("rec", (3, 48, 320)), "ocr_cls": ("cls", (3, 48, 192))}
RECURRENT = {"lstm_2x256": (2, 256, 50)}  # layers, hidden, steps
NAMES = (*zoo.MODELS, *REAL, *RECURRENT)


def files(
    name: str, folder: Path, batch: int = 1, exporter: str = "dynamo", shape: str = "static", module: Any = None
) -> tuple[Path, engines.Feeds]:
    """Path of the model, and its input; module: the PyTorch model, if it was made already."""
    if name in REAL:
        kind, size = REAL[name]
        x = np.random.default_rng(1).random((batch, *size), np.float32) * 2 - 1
        return zoo.rapidocr_models()[kind], {"x": x}
    if name in RECURRENT:
        path = folder / f"{name}.b{batch}.onnx"
        return path, recurrent.lstm(path, *RECURRENT[name], batch)
    return zoo.export(name, exporter, shape, folder, module, batch), zoo.feeds(name, batch)


def known(name: str) -> str:
    if name not in NAMES:
        raise argparse.ArgumentTypeError(f"no model called {name}")
    return name


def add_arguments(parser: argparse.ArgumentParser, seconds: float) -> None:
    """What models.py and streams.py share."""
    parser.add_argument("models", nargs="*", type=known, metavar="MODEL", help=f"of {' '.join(NAMES)}")
    parser.add_argument("--seconds", type=float, default=seconds, help="for each model, at least five rounds")
    parser.add_argument("--engines", nargs="*", default=["pyinfer", *engines.PEERS])
    parser.add_argument("--zoo", type=Path, default=os.environ.get("PYINFER_ZOO"), help="keep and reuse exports here")
    parser.add_argument("--json", type=Path, help="write every figure here")


@contextmanager
def kept(folder: Path | None) -> Iterator[Path]:
    """The folder of the exports, made if it is not there; None: one that is removed afterwards."""
    with TemporaryDirectory() as temporary:
        place = folder or Path(temporary)
        place.mkdir(parents=True, exist_ok=True)
        yield place
