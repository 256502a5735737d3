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

from ._openmp import load_openmp

TYPE_CHECKING = False  # what typing's is to type checkers; importing typing costs 3 ms
if TYPE_CHECKING:
    from typing import Any

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
    from .comparison import Comparison, compare
    from .diagnosis import doctor
    from .model import CacheWarning, InputWarning, Model, PlanWarning, Port, load
    from .torch_export import from_torch

load_openmp()

# What is imported when it is first used: `pyinfer --help` needs neither NumPy nor the engine.
_LATER = {  # public names by the modules that have them
    "_core": "Cancelled FileError InputError LimitError ModelError NumberError PyinferError "
    "UnsupportedError __version__",
    "comparison": "Comparison compare",
    "diagnosis": "doctor",
    "model": "CacheWarning InputWarning Model PlanWarning Port load",
    "torch_export": "from_torch",
}
_HOME = {name: module for module, names in _LATER.items() for name in names.split()}

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
    "doctor",
    "from_torch",
    "load",
    "show_config",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME and name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module = import_module(f".{_HOME.get(name, name)}", __name__)
    if name in _LATER:
        return module
    value = getattr(module, "version" if name == "__version__" else name)
    return globals().setdefault(name, value)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def config() -> dict[str, str]:
    """What was found on this machine, as text: "version" of pyinfer; "cpu": its instruction sets
    that count; "onednn": version, file and instruction set, or why there is none; "openmp": the
    copies in the process, one if all is well; "threads": how many by default, and why.

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
