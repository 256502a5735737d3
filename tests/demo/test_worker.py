# SPDX-License-Identifier: Apache-2.0
"""The queue of one."""

import threading
from typing import Any

from pyinfer.demo.worker import Worker


def wait(worker: Worker, woken: threading.Semaphore, results: int) -> None:
    for _ in range(results):
        assert woken.acquire(timeout=30)
        worker.deliver()


def test_only_the_newest_waits() -> None:
    woken, gate, got = threading.Semaphore(0), threading.Event(), []
    worker = Worker(woken.release)
    started = threading.Event()

    def first() -> int:
        started.set()
        gate.wait(30)
        return 0

    worker.submit("draw", first, lambda r, e: got.append(r))
    assert started.wait(30)
    for i in range(1, 100):
        worker.submit("draw", lambda i=i: i, lambda r, e: got.append(r))  # type: ignore[misc]
    worker.submit("other", lambda: "other", lambda r, e: got.append(r))
    assert not worker.idle
    gate.set()
    wait(worker, woken, 3)
    assert got == [0, 99, "other"]
    worker.close()


def test_errors_arrive_and_results_wait_for_deliver() -> None:
    woken, got = threading.Semaphore(0), []
    worker = Worker(woken.release)

    def work() -> Any:
        raise ValueError("no")

    worker.submit("a", work, lambda r, e: got.append((r, str(e), threading.current_thread())))
    assert woken.acquire(timeout=30)
    assert got == []
    assert worker.deliver() == 1
    assert got == [(None, "no", threading.current_thread())]
    worker.close()
    worker.submit("a", lambda: 1, lambda r, e: got.append(r))
    assert not woken.acquire(timeout=0.05)
