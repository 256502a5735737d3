# SPDX-License-Identifier: Apache-2.0
"""A screen without a monitor, for tests of the window."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


def need(*programs: str) -> None:
    """Skips where the machine has no Tk or lacks a program."""
    if importlib.util.find_spec("_tkinter") is None:
        pytest.skip("this Python has no Tk (Debian: apt install python3-tk)")
    for program in programs:
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed (Debian: apt install xvfb xdotool)")


@contextmanager
def xvfb(size: str = "1400x900x24") -> Iterator[str]:
    """The DISPLAY of a virtual screen of its own."""
    need("Xvfb")
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", size, "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    try:
        with os.fdopen(reading) as file:
            number = file.readline().strip()
        if not number:
            pytest.skip("Xvfb does not start here")
        yield f":{number}"
    finally:
        server.terminate()
        server.wait(10)
