# SPDX-License-Identifier: Apache-2.0
"""Takes the place of the package onnxruntime in sys.modules."""

from __future__ import annotations

import sys
from types import ModuleType

_hidden: list[dict[str, ModuleType]] = []


def _named() -> list[str]:
    return [m for m in sys.modules if m == "onnxruntime" or m.startswith("onnxruntime.")]


class Installation:
    """What :func:`install` gives: leaving its ``with`` undoes it."""

    def __enter__(self) -> Installation:
        return self

    def __exit__(self, *unused: object) -> None:
        uninstall()


def install() -> Installation:
    """From now on ``import onnxruntime`` gives this package, whether ONNX Runtime is installed or
    not. Modules that imported ONNX Runtime before keep it: install first. It can be nested.

    >>> from pyinfer.compat import onnxruntime as ort
    >>> with ort.install():
    ...     import onnxruntime
    ...     onnxruntime is ort
    True
    """
    _hidden.append({name: sys.modules.pop(name) for name in _named()})
    ours = __package__ or ""
    for name in list(sys.modules):
        if name == ours or name == f"{ours}.capi" or name.startswith(f"{ours}.capi."):
            sys.modules["onnxruntime" + name[len(ours) :]] = sys.modules[name]
    return Installation()


def uninstall() -> None:
    """Undoes the last :func:`install`; what ``import onnxruntime`` gave before is back."""
    if not _hidden:
        raise RuntimeError("uninstall() without install()")
    for name in _named():
        del sys.modules[name]
    sys.modules.update(_hidden.pop())
