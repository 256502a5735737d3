# SPDX-License-Identifier: Apache-2.0
"""What goes on, for what takes more than a second: on stderr, and only if that is a terminal.

It is drawn by rich if that is installed, else as a plain line, and is gone at the end. What is
being measured is not disturbed: `counted` draws between the runs, not during them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

DELAY = 1.0  # seconds before anything is drawn
PAUSE = 0.1  # seconds between two drawings


class _Display(Protocol):
    def update(self, done: int) -> None: ...
    def stop(self) -> None: ...


class _Line:
    """A line of text that is written again and again."""

    def __init__(self, text: str, total: int) -> None:
        self.text, self.total, self.start = text, total, time.monotonic()

    def update(self, done: int) -> None:
        count = f" {done} of {self.total}," if self.total else ""
        seconds = DELAY + time.monotonic() - self.start
        sys.stderr.write(f"\r{self.text}:{count} {seconds:.0f} s\x1b[K")
        sys.stderr.flush()

    def stop(self) -> None:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()


class _Rich:
    """A spinner or a bar of rich."""

    def __init__(self, text: str, total: int) -> None:
        from rich import progress
        from rich.console import Console

        bar: tuple[Any, ...] = (progress.BarColumn(), progress.MofNCompleteColumn())
        self.progress = progress.Progress(
            progress.SpinnerColumn(),
            progress.TextColumn("{task.description}", markup=False),
            *(bar if total else ()),
            progress.TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
            auto_refresh=False,
        )
        self.task = self.progress.add_task(text, total=total or None)
        task = self.progress.tasks[0]
        task.start_time = (task.start_time or 0) - DELAY  # that much has passed
        self.progress.start()

    def update(self, done: int) -> None:
        self.progress.update(self.task, completed=done, refresh=True)

    def stop(self) -> None:
        self.progress.stop()


def _display(text: str, total: int = 0) -> _Display:
    try:
        return _Rich(text, total)
    except ImportError:
        return _Line(text, total)


def _wanted() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


@contextmanager
def busy(text: str) -> Iterator[None]:
    """Around something that takes an unknown time."""
    if not _wanted():
        yield
        return
    import threading

    ended = threading.Event()

    def draw() -> None:
        if ended.wait(DELAY):
            return
        display = _display(text)
        while True:
            display.update(0)
            if ended.wait(PAUSE):
                break
        display.stop()

    thread = threading.Thread(target=draw, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def counted(text: str, total: int) -> Iterator[int]:
    """range(total) for a loop; drawn between its turns."""
    display: _Display | None = None
    wanted, drawn = _wanted(), time.monotonic() + DELAY - PAUSE
    try:
        for i in range(total):
            if wanted and time.monotonic() - drawn > PAUSE:
                display = display or _display(text, total)
                display.update(i)
                drawn = time.monotonic()
            yield i
    finally:
        if display:
            display.stop()
