# SPDX-License-Identifier: Apache-2.0
"""The camera, without one."""

import threading
from typing import Any

import numpy as np

from pyinfer.demo.camera import Camera


class Fake:
    """So many frames, then the cable is pulled; blue first."""

    def __init__(self, frames: int) -> None:
        self.left, self.released = frames, threading.Event()

    def read(self) -> tuple[bool, Any]:
        self.left -= 1
        return self.left >= 0, np.full((4, 6, 3), (255, 0, self.left), np.uint8)

    def release(self) -> None:
        self.released.set()


def test_the_newest_picture() -> None:
    fake = Fake(5)
    camera = Camera(lambda: None, lambda: fake)
    assert fake.released.wait(30)
    assert camera.failed
    image = camera.take()
    assert image.size == (6, 4) and image.getpixel((0, 0)) == (0, 0, 255)
    assert camera.take() is None
    camera.close()


def test_it_stops() -> None:
    fake = Fake(10**9)
    woken = threading.Event()
    camera = Camera(woken.set, lambda: fake)
    assert woken.wait(30)
    camera.close()
    assert fake.released.wait(30) and not camera.failed


def test_no_driver() -> None:
    def opener() -> Any:
        raise OSError("no driver")

    woken = threading.Event()
    camera = Camera(woken.set, opener)
    assert woken.wait(30) and camera.failed and camera.take() is None
    camera.close()
