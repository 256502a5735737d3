# SPDX-License-Identifier: Apache-2.0
"""Makes docs/images: a picture of each tab.

    xvfb-run -a -s "-screen 0 1400x900x24" python tests/demo/shoot.py

In place of a camera OpenCV plays a film, if it is installed (opencv-python-headless).
"""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

import numpy as np  # noqa: E402
from PIL import Image, ImageDraw, ImageFont  # noqa: E402

from demo.test_window import draw_seven  # noqa: E402
from models import zoo  # noqa: E402
from pyinfer.demo import camera  # noqa: E402
from pyinfer.demo.session import Session  # noqa: E402
from pyinfer.demo.widgets.window import Window  # noqa: E402

FOLDER = ROOT / "docs" / "images"
SIGN = [("Open today 9:00 - 17:30", 70, 52, 62, "white"), ("Neural networks read", 80, 210, 66, "#222222"),
        ("what a camera sees:", 80, 315, 54, "#902020"), ("Room 42, second floor", 80, 440, 50, "#225522")]  # fmt: skip


def sign() -> Image.Image:
    page = Image.new("RGB", (900, 560), "#f4f0e6")
    pen = ImageDraw.Draw(page)
    pen.rectangle((40, 40, 860, 150), fill="#204060")
    for text, left, top, size, colour in SIGN:
        pen.text((left, top), text, fill=colour, font=ImageFont.load_default(size))
    return page


class Film:
    """What cv2.VideoCapture gives, over and over, at a camera's pace."""

    def __init__(self, path: str) -> None:
        import cv2

        film = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*"MJPG"), 30, sign().size)
        for i in range(30):
            film.write(np.asarray(sign().rotate(i / 10))[:, :, ::-1])
        film.release()
        self.path, self.capture = path, cv2.VideoCapture(path)

    def read(self) -> tuple[bool, Any]:
        import cv2

        time.sleep(1 / 30)
        worked, frame = self.capture.read()
        if not worked:
            self.capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
            worked, frame = self.capture.read()
        return worked, frame

    def release(self) -> None:
        self.capture.release()


def until(window: Window, what: Callable[[], object]) -> None:
    while not what():
        window.root.update()
        time.sleep(0.01)


def save(window: Window, name: str) -> None:
    until(window, lambda: window.worker.idle)
    window.grab().quantize(128, dither=Image.Dither.NONE).save(FOLDER / f"demo-{name}.png", optimize=True)


def main(folder: str) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    filmed = bool(importlib.util.find_spec("cv2"))
    camera.present = lambda: filmed
    camera._default = lambda: Film(f"{folder}/film.avi")
    window = Window(Session(threads=1))
    window.root.update()
    if filmed:
        live: Any = window.tab_of("camera")
        window.front(live)
        window.root.update()
        live.what.set("read")
        live._choose()
        live.toggle()
        until(window, lambda: len(live.lines) == len(SIGN))
        live.toggle()  # only then the worker comes to rest
        save(window, "camera")
        window.front(window.tabs[0])
    draw_seven(window)
    save(window, "draw")
    window.front(window.picture)
    window.picture.what.set("read")
    window.picture._choose()
    window.picture.show(sign())
    save(window, "picture")

    compare: Any = window.tab_of("compare")
    window.front(compare)
    compare.toggle()
    until(window, lambda: compare.comparison and len(compare.comparison.times.get("PyTorch", ())) > 60)
    compare.toggle()
    save(window, "compare")

    network: Any = window.tab_of("network")
    window.open_model(str(zoo.rapidocr_models()["det"]))
    until(window, lambda: window.session.opened.name.endswith("small.onnx") and window.worker.idle)
    window.picture.what.set("classify")
    window.picture.show(sign())
    until(window, lambda: window.worker.idle)
    window.tell("ready", name=window.session.opened.name, threads=1)
    window.front(network)
    until(window, lambda: network.blocks and window.worker.idle)
    network.graph.choose(6)
    save(window, "network")
    window.speak("zh")
    save(window, "network-zh")
    window.close()


if __name__ == "__main__":
    with TemporaryDirectory() as temporary:
        main(temporary)
