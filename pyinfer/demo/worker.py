# SPDX-License-Identifier: Apache-2.0
"""Work away from the window's thread."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

Done = Callable[[Any, Exception | None], None]


class Worker:
    """A thread with a queue of one for each kind of work: a newer job takes the place of the one
    that still waits, so that the newest input is never far behind.

    `wake` is called from the thread whenever something is finished; the window then calls `deliver`
    in its own thread, which hands results (or errors) to those who asked.
    """

    def __init__(self, wake: Callable[[], None] = lambda: None) -> None:
        self.wake = wake
        self._waiting: dict[str, tuple[Callable[[], Any], Done]] = {}
        self._finished: deque[tuple[Done, Any, Exception | None]] = deque()
        self._changed = threading.Condition()
        self._at_work = False
        self._closed = False
        self._thread = threading.Thread(target=self._loop, name="pyinfer demo", daemon=True)
        self._thread.start()

    def submit(self, kind: str, work: Callable[[], Any], done: Done) -> None:
        """`done(result, error)` is called by a later `deliver`, unless a newer job replaced it."""
        with self._changed:
            self._waiting[kind] = (work, done)
            self._changed.notify_all()

    def deliver(self) -> int:
        """Hands over what is finished; gives how many results that were."""
        count = 0
        while self._finished:
            done, result, error = self._finished.popleft()
            done(result, error)
            count += 1
        return count

    @property
    def idle(self) -> bool:
        """Nothing waits, nothing is at work, all was delivered."""
        with self._changed:
            return not (self._waiting or self._at_work or self._finished)

    def close(self) -> None:
        """Drops what waits, and ends the thread; its present job gets a second to end."""
        with self._changed:
            self._waiting.clear()
            self._closed = True
            self._changed.notify_all()
        self._thread.join(1)

    def _loop(self) -> None:
        while True:
            with self._changed:
                self._at_work = False
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                kind = next(iter(self._waiting))
                work, done = self._waiting.pop(kind)
                self._at_work = True
            result, error = None, None
            try:
                result = work()
            except Exception as caught:  # shown in the window, whatever it is
                error = caught
            self._finished.append((done, result, error))
            del work, done, result, error
            self.wake()
