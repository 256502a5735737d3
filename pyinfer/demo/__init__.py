# SPDX-License-Identifier: Apache-2.0
"""A window for the classroom: draw, look at pictures, see inside a network, compare engines.

    pip install "pyinfer[demo]"
    pyinfer demo
    pyinfer demo model.onnx --labels names.txt

Nothing of it is imported before it is wanted. Works offline.
"""

from __future__ import annotations

import gc
import importlib.util
import os
from collections.abc import Sequence
from typing import Any

__all__ = ["missing", "show"]

TK = (
    "Tk for Python is missing. Debian and Ubuntu: apt install python3-tk; "
    "pyenv: install tk-dev and build Python again"
)
PILLOW = 'Pillow is missing: pip install "pyinfer[demo]"'
SCREEN = "there is no screen to show a window on: DISPLAY is not set"


def missing() -> str | None:
    """What keeps the window from opening, and what to do; None if nothing does.

    >>> missing() is None or isinstance(missing(), str)
    True
    """
    try:
        import _tkinter  # noqa: F401
        import tkinter  # noqa: F401
    except ImportError:
        return TK
    if importlib.util.find_spec("PIL") is None:
        return PILLOW
    if not os.environ.get("DISPLAY") and os.name == "posix":
        return SCREEN
    return None


def show(
    model: Any = None,
    *,
    labels: Sequence[str] | str | os.PathLike[str] | None = None,
    threads: int = 0,
    module: Any = None,
    language: str = "en",
) -> None:
    """Opens the window on a model, and returns when it is closed.

    model: what `pyinfer.load` takes, or a loaded model; None: the digits that come with pyinfer.
    labels: names of the classes, or a file of them (a name a line, or JSON); else those in the
    model's metadata. threads: of a run; 0: as many as the process may use. module: the torch
    module that the model was exported from, for Compare. language: "en" or "zh".

    >>> import pyinfer.demo
    >>> pyinfer.demo.show("model.onnx", labels="names.txt")  # doctest: +SKIP

    Raises ImportError where Tk, Pillow or a screen is missing, and what `pyinfer.load` raises.
    """
    problem = missing()
    if problem:
        raise ImportError(problem)
    from .session import Session
    from .widgets.window import Window

    Window(Session(model, labels, threads), language, module).run()
    gc.collect()  # what belongs to Tk must not be left to another thread
