# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime's exceptions, and which of them pyinfer's become."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from ... import _core


class CompatWarning(UserWarning):
    """Something was asked for that pyinfer does not do; the results are right all the same."""


class Fail(Exception):
    """A run failed, or reached a limit."""


class InvalidArgument(Exception):
    """The arrays or arguments of the caller do not fit."""


class NoSuchFile(Exception):
    """The model's file could not be opened."""


class InvalidProtobuf(Exception):
    """The bytes are no ONNX model."""


class InvalidGraph(Exception):
    """The model breaks the ONNX standard."""


class NotImplemented(Exception):
    """The model, or the call, is legal, but pyinfer cannot run it."""


class RuntimeException(Exception):
    """A fault of the engine."""


class NoModel(Exception):
    """Never raised; there for ``except``."""


class EngineError(Exception):
    """Never raised; there for ``except``."""


class EPFail(Exception):
    """Never raised; there for ``except``."""


class ModelLoaded(Exception):
    """Never raised; there for ``except``."""


class NotFound(Exception):
    """Never raised; there for ``except``."""


class DeviceReset(Exception):
    """Never raised; there for ``except``."""


class ModelLoadCanceled(Exception):
    """Never raised; there for ``except``."""


class ModelRequiresCompilation(Exception):
    """Never raised; there for ``except``."""


def warn(text: str, level: int) -> None:
    """level: how many frames above the caller the user's line is."""
    warnings.warn(text, CompatWarning, stacklevel=level + 2)


def translated(error: Exception) -> Exception:
    """The exception of ONNX Runtime for one of pyinfer's, with the same text."""
    text = str(error)
    if isinstance(error, _core.ModelError):
        return (
            InvalidProtobuf(text)
            if "no ONNX model" in text or "not an ONNX model" in text
            else InvalidGraph(text)
        )
    for kind, name in (
        (_core.InputError, InvalidArgument),
        (_core.UnsupportedError, NotImplemented),
        (_core.FileError, NoSuchFile),
        (_core.LimitError, Fail),
        (_core.Cancelled, Fail),
    ):
        if isinstance(error, kind):
            return name(text)
    return RuntimeException(text)


@contextmanager
def translating() -> Iterator[None]:
    """pyinfer's exceptions leave it as ONNX Runtime's."""
    try:
        yield
    except _core.PyinferError as error:
        raise translated(error) from error
