# SPDX-License-Identifier: Apache-2.0
"""The newest picture of a camera, through OpenCV if it is installed."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any


def present() -> bool:
    """OpenCV is installed, and there is a camera."""
    return bool(importlib.util.find_spec("cv2")) and any(Path("/dev").glob("video*"))


class Camera:
    """Reads in a thread, so that the picture taken is never an old one. `opener` gives something
    like cv2.VideoCapture: read() -> (worked, [height, width, 3] blue first), release()."""

    def __init__(self, wake: Callable[[], None], opener: Callable[[], Any] | None = None) -> None:
        self.wake = wake
        self.failed = False
        self._opener = opener or _default
        self._frame: Any = None
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._loop, name="pyinfer camera", daemon=True)
        self._thread.start()

    def take(self) -> Any:
        """The newest picture, RGB of PIL, or None if there was none since the last."""
        with self._lock:
            frame, self._frame = self._frame, None
        if frame is None:
            return None
        from PIL import Image

        return Image.fromarray(frame[:, :, ::-1].copy())

    def close(self) -> None:
        """Lets go of the camera."""
        self._stop.set()
        self._thread.join(2)

    def _loop(self) -> None:
        capture = None
        try:
            capture = self._opener()
            while not self._stop.is_set():
                worked, frame = capture.read()
                if not worked:
                    break
                with self._lock:
                    self._frame = frame
                self.wake()
        except Exception:  # whatever a driver does: the window says that there is no picture
            pass
        finally:
            if not self._stop.is_set():
                self.failed = True
                self.wake()
            if capture is not None:
                capture.release()


def _default() -> Any:
    import cv2

    return cv2.VideoCapture(0)
