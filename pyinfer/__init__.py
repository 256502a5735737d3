# SPDX-License-Identifier: Apache-2.0
"""Runs ONNX models on a CPU.

>>> import pyinfer
>>> from pyinfer import example
>>> m = pyinfer.load(example.model_path())
>>> x, labels = example.pictures()
>>> m(x).argmax(axis=1).tolist()
[0, 2, 3, 5, 7, 8]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._openmp import short_spin

with short_spin():
    from . import _core as _core

from ._core import (
    Cancelled,
    FileError,
    InputError,
    LimitError,
    ModelError,
    NumberError,
    PyinferError,
    UnsupportedError,
)
from ._core import version as __version__
from .model import CacheWarning, InputWarning, Model, PlanWarning, Port, load

if TYPE_CHECKING:
    from .comparison import Comparison, compare
    from .torch_export import from_torch

_LATER = {  # names whose modules are imported when first used
    "Comparison": "comparison",
    "compare": "comparison",
    "from_torch": "torch_export",
}

__all__ = [
    "CacheWarning",
    "Cancelled",
    "Comparison",
    "FileError",
    "InputError",
    "InputWarning",
    "LimitError",
    "Model",
    "ModelError",
    "NumberError",
    "PlanWarning",
    "Port",
    "PyinferError",
    "UnsupportedError",
    "__version__",
    "compare",
    "config",
    "from_torch",
    "load",
    "show_config",
]


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return globals().setdefault(name, getattr(import_module(f".{_LATER[name]}", __name__), name))


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def config() -> dict[str, str]:
    """What was found on this machine: version, CPU features, oneDNN, OpenMP copies, threads and
    why.

    >>> sorted(config())
    ['cpu', 'onednn', 'openmp', 'threads', 'version']
    """
    from . import _core

    lines = (line.partition(": ") for line in _core.describe().splitlines())
    return {key: value for key, _, value in lines}


def show_config() -> None:
    """Prints :func:`config`, a line an entry."""
    for key, value in config().items():
        print(f"{key:8} {value}")
