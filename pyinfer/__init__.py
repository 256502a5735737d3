# SPDX-License-Identifier: Apache-2.0
"""Run ONNX models on a CPU: ``m = pyinfer.load("model.onnx"); y = m(x)``."""

from ._core import (
    Cancelled,
    FileError,
    InputError,
    LimitError,
    ModelError,
    PyinferError,
    UnsupportedError,
)
from ._core import version as __version__
from .model import InputWarning, Model, Port, load

__all__ = [
    "Cancelled",
    "FileError",
    "InputError",
    "InputWarning",
    "LimitError",
    "Model",
    "ModelError",
    "Port",
    "PyinferError",
    "UnsupportedError",
    "__version__",
    "config",
    "load",
    "show_config",
]


def config() -> dict[str, str]:
    """What was found on this machine: version, CPU features, oneDNN, OpenMP, threads and why."""
    from . import _core

    lines = (line.partition(": ") for line in _core.describe().splitlines())
    return {key: value for key, _, value in lines}


def show_config() -> None:
    """Prints :func:`config`, a line an entry."""
    for key, value in config().items():
        print(f"{key}: {value}")
