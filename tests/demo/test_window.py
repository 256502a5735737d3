# SPDX-License-Identifier: Apache-2.0
"""The widgets, on a screen without a monitor."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from demo import screen
from pyinfer import example
from pyinfer.demo.session import Session
from support import tiny

SEVEN = [(0.25 + i / 20, 0.2) for i in range(11)] + [(0.75 - i * 0.028, 0.2 + i * 0.065) for i in range(1, 11)]


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    with screen.xvfb() as name:
        yield name


@pytest.fixture
def window(display: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    from pyinfer.demo.widgets.window import Window

    monkeypatch.setenv("DISPLAY", display)
    made = Window(Session(threads=1))
    made.root.update()
    yield made
    made.close()
    del made
    gc.collect()


def until(window: Any, what: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, window.news.cget("text")
        window.root.update()
        time.sleep(0.002)


def draw_seven(window: Any) -> Any:
    tab = window.tab_of("draw")
    side = min(tab.canvas.winfo_width(), tab.canvas.winfo_height())
    for i, (x, y) in enumerate(SEVEN):
        tab.canvas.event_generate("<B1-Motion>" if i else "<Button-1>", x=round(x * side), y=round(y * side))
        window.root.update()
    return tab


def test_draw(window: Any) -> None:
    tab = draw_seven(window)
    until(window, lambda: window.worker.idle)
    assert tab.bars.shown[0].label == "7" and len(tab.bars.shown) == 10
    assert window.session.last[window.session.digits.source].shape == (1, 1, 8, 8)
    tab.canvas.event_generate("<Escape>")
    window.root.update()
    assert tab.bars.shown == [] and tab.strokes == []


def test_draw_with_the_keyboard(window: Any) -> None:
    tab = window.tab_of("draw")
    tab.canvas.focus_force()
    window.root.update()
    for key in ["space", *["Down"] * 20]:
        tab.canvas.event_generate(f"<{key}>")
    until(window, lambda: window.worker.idle)
    assert tab.bars.shown[0].label == "1"


def test_picture(window: Any, tmp_path: Path) -> None:
    window.take(str(example.picture_paths()[2]))
    assert window.tab.key == "picture"
    until(window, lambda: window.picture.bars.shown)
    assert window.picture.bars.shown[0].label == "3"
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    window.take(str(bad))
    until(window, lambda: "cannot identify" in window.news.cget("text"))


def test_paste(window: Any) -> None:
    window.root.clipboard_clear()
    window.root.clipboard_append(f"file://{example.picture_paths()[1]}")
    window.root.event_generate("<Control-v>")
    until(window, lambda: window.picture.bars.shown)
    assert window.picture.bars.shown[0].label == "2"
    window.root.clipboard_clear()
    window.picture.paste()
    assert "clipboard" in window.news.cget("text")


def test_models_labels_threads(window: Any, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("\n".join(f"digit {i}" for i in range(10)))
    window.take(str(tmp_path / "names.txt"))
    tab = draw_seven(window)
    until(window, lambda: window.worker.idle)
    assert tab.bars.shown[0].label == "digit 7"
    window.count.set(2)
    window._threads()
    until(window, lambda: window.session.threads == 2)
    window.exact.set(True)
    window._set_exact()
    until(window, lambda: window.session.exact and window.session.threads == 2)
    until(window, lambda: window.worker.idle)
    assert tab.bars.shown[0].label == "digit 7"
    (tmp_path / "linear.onnx").write_bytes(tiny.linear())
    window.take(str(tmp_path / "linear.onnx"))
    until(window, lambda: window.session.opened.name == "linear.onnx")
    until(window, lambda: window.worker.idle)
    window.take(str(example.picture_paths()[2]))
    until(window, lambda: "linear.onnx" in window.news.cget("text"))
    (tmp_path / "broken.onnx").write_bytes(b"\xff\xff\xff")
    window.take(str(tmp_path / "broken.onnx"))
    until(window, lambda: "ModelError" in window.news.cget("text"))
    assert window.session.opened.name == "linear.onnx"


def test_languages_and_sizes(window: Any) -> None:
    window.speak("zh")
    assert window.notebook.tab(0, "text") == "手写" and window.root.title().endswith("神经网络")
    before = window.root.winfo_reqwidth()
    window.resize(1.3)
    window.root.update()
    assert window.root.winfo_reqwidth() > before
    window.speak("en")
    assert window.notebook.tab(0, "text") == "Draw"


def test_help(window: Any) -> None:
    window.root.event_generate("<F1>")
    window.root.update()
    (box,) = (w for w in window.root.winfo_children() if w.winfo_class() == "Toplevel")
    box.event_generate("<Escape>")
    window.root.update()
    assert not box.winfo_exists()


def test_each_tab_by_key_and_its_picture(window: Any) -> None:
    for i, tab in enumerate(window.tabs):
        window.root.event_generate(f"<Control-Key-{i + 1}>")
        until(window, lambda tab=tab: window.tab is tab and window.worker.idle)  # type: ignore[misc]
    image = window.grab()
    assert image.size == (window.root.winfo_width(), window.root.winfo_height())
    assert len(image.convert("L").getcolors()) > 5


def test_network(window: Any) -> None:
    draw_seven(window)
    until(window, lambda: window.worker.idle)
    tab = window.tab_of("network")
    window.front(tab)
    until(window, lambda: tab.blocks and window.worker.idle)
    assert [b.op for b in tab.blocks][:2] == ["Conv", "Conv"]
    tab.graph.event_generate("<Down>")
    tab.graph.event_generate("<Down>")
    until(window, lambda: tab._array is not None)
    assert tab._array.shape == (1, 32, 8, 8) and "Conv" in tab.title.cget("text")
    x, y = tab.graph._at(*tab.graph.plan.places[-1])
    for event in ("<ButtonPress-1>", "<ButtonRelease-1>"):
        tab.graph.event_generate(event, x=round(x), y=round(y))
    until(window, lambda: tab._array is not None and tab._array.shape == (1, 10))
    assert tab._array.argmax() == 7
    before = tab.graph.zoom
    tab.graph.event_generate("<plus>")
    window.root.update()
    assert tab.graph.zoom > before
    tab.graph.event_generate("<f>")
    window.root.update()
    assert all(0 < tab.graph._at(*p)[1] < tab.graph.winfo_height() for p in tab.graph.plan.places)


def test_the_legend_fits(window: Any) -> None:
    tab = window.tab_of("network")
    window.front(tab)
    until(window, lambda: tab.blocks and window.worker.idle)
    for language in ("en", "zh"):
        window.speak(language)
        window.root.geometry("300x640")
        until(window, lambda: window.root.winfo_width() == window.root.minsize()[0])
        window.root.update()
        assert tab.legend.bbox("all")[2] <= tab.legend.winfo_width(), language


def test_all_controls_stay_in_sight(window: Any) -> None:
    window.root.update()
    for larger in (1.0, 1.3):
        window.resize(larger)
        window.root.geometry("300x300")
        window.root.update()
        for _ in range(50):
            window.root.update()
            time.sleep(0.01)
        wide = window.bar.winfo_width()
        for child in window.bar.winfo_children():
            assert child.winfo_viewable() and child.winfo_x() + child.winfo_width() <= wide
            assert child.winfo_width() >= child.winfo_reqwidth()
    table = window.tab_of("compare").table
    window.resize(1 / 1.3)
    window.front(window.tab_of("compare"))
    until(window, lambda: table.winfo_width() > 1)
    assert sum(table.column(name, "minwidth") for name in table["columns"]) <= table.winfo_width()


def test_compare(window: Any) -> None:
    tab = window.tab_of("compare")
    tab.wanted["PyTorch"].set(False)
    window.root.event_generate("<F5>")
    until(window, lambda: len(tab.comparison.times.get("ONNX Runtime", ())) > 2 if tab.comparison else False)
    assert tab.table.set("pyinfer", "answer").startswith("7 ") and tab.table.set("ONNX Runtime", "answer").startswith("7 ")
    assert float(tab.table.set("ONNX Runtime", "difference")) < 1e-5
    assert tab.table.set("ONNX Runtime", "median").endswith("s")
    window.root.event_generate("<F5>")
    until(window, lambda: not tab.running and window.worker.idle)
    assert len(tab.chart.find_all()) > 5


def test_a_model_of_texts(window: Any, tmp_path: Path) -> None:
    """It takes no picture: said where one would be looked for; its mask is made up without padding."""
    nodes = [helper.make_node("Add", ["ids", "attention_mask"], ["y"])]
    ports = [("ids", np.int64, ["n", "t"]), ("attention_mask", np.int64, ["n", "t"])], [("y", np.int64, ["n", "t"])]
    path = tmp_path / "texts.onnx"
    path.write_bytes(tiny.model(nodes, *ports))
    window.open_model(str(path))
    until(window, lambda: window.session.opened.name == "texts.onnx" and window.worker.idle)
    feeds = window.session.input_of(window.session.opened)
    assert feeds["attention_mask"].all() and feeds["ids"].shape == (1, 64)
    window.front(window.picture)
    until(window, lambda: "does not take one picture" in window.news.cget("text"))


def test_camera(window: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    from pyinfer.demo import reading
    from pyinfer.demo.widgets import live

    class Camera:
        def __init__(self, wake: Callable[[], None]) -> None:
            self.failed = False

        def take(self) -> Any:
            return Image.open(example.picture_paths()[5]).convert("RGB")

        def close(self) -> None:
            self.failed = True

    monkeypatch.setattr(live, "Camera", Camera)
    tab = live.Live(window)
    window.tabs.append(tab)
    window.notebook.add(tab, text="Camera")
    window.front(tab)
    window.root.update()
    tab.toggle()
    until(window, lambda: tab.bars.shown)
    assert tab.bars.shown[0].label == "8"
    tab.lines = (reading.Line((1, 2, 30, 12), "text", 1.0),)
    seen = tab.image
    until(window, lambda: tab.image is not seen)
    assert any(tab.canvas.type(item) == "rectangle" for item in tab.canvas.find_all())  # the next picture has them
    tab.camera.failed = True
    until(window, lambda: tab.camera is None)


def test_the_window_goes_on_while_a_model_runs(window: Any) -> None:
    """Work in the worker that does not end holds up neither keys nor drawing."""
    gate = threading.Event()
    window.worker.submit("slow", lambda: gate.wait(60), lambda result, error: None)
    tab = draw_seven(window)
    window.speak("zh")
    assert len(tab.strokes[0]) > 10 and not tab.bars.shown and not gate.is_set()
    gate.set()
    until(window, lambda: window.worker.idle)
    assert tab.bars.shown[0].label == "7"
