# SPDX-License-Identifier: Apache-2.0
"""The camera's picture, live."""

from __future__ import annotations

from tkinter import ttk
from typing import TYPE_CHECKING

from ..camera import Camera
from .picture import Picture

if TYPE_CHECKING:
    from .window import Window

PAUSE = 30  # milliseconds between two looks


class Live(Picture):
    """The picture tab, fed by a camera while it is in front and runs."""

    key = "camera"

    def __init__(self, window: Window) -> None:
        self.camera: Camera | None = None
        super().__init__(window)

    def sources(self, row: ttk.Frame) -> None:
        row.grid(row=2, column=0, columnspan=3, sticky="ew", pady=(10, 0))
        self.go = self.button(row, "start", self.toggle)
        self.go.pack(side="left")

    def hint(self, drops: bool) -> str:
        return self.window.say("start")

    def toggle(self) -> None:
        """Starts or stops the camera."""
        if self.camera:
            self.leave()
        else:
            self.camera = Camera(lambda: None)
            self.after(PAUSE, self._look)
        self.window.follow(self.go, "stop" if self.camera else "start")

    def leave(self) -> None:
        if self.camera:
            self.camera.close()
            self.camera = None

    def _look(self) -> None:
        if self.camera is None:
            return
        if self.window.tab is not self or self.camera.failed:
            if self.camera.failed:
                self.window.tell("no_camera")
            self.toggle()
            return
        image = self.camera.take()
        if image is not None:
            self.show(image, self.lines)  # those of an earlier picture, until this one is read
        self.after(PAUSE, self._look)
