# SPDX-License-Identifier: Apache-2.0
"""How soon the bars of `pyinfer demo` follow the pen, and whether the window ever stalls.

    xvfb-run -a python benchmarks/demo.py                  # the packaged digits alone
    xvfb-run -a python benchmarks/demo.py resnet50.onnx    # while that model runs in the worker all the time

A pen draws sevens with 125 events a second. Latency: from the handling of an event to the bars with the answer to it
being drawn; events that a newer one overtook have none. Stall: the longest time in which the window did nothing.
"""

import argparse
import json
import time
from typing import Any

from pyinfer.demo.session import Session, open_model
from pyinfer.demo.widgets.window import Window

RATE = 125  # events a second, as a mouse sends them
CORNERS = [(0.25, 0.15), (0.75, 0.15), (0.45, 0.85)]


class Pen:
    """Draws sevens in the window's first tab."""

    def __init__(self, window: Window, seconds: float) -> None:
        self.window, self.tab = window, window.tabs[0]
        self.events, self.beats = 0, []
        self.latencies: list[float] = []
        self.start = self.end = time.perf_counter()
        self.seconds = seconds
        self.tab.updated = self.updated

    def updated(self, asked: float) -> None:
        self.window.root.update_idletasks()
        self.latencies.append((time.perf_counter() - asked) * 1e3)

    def step(self) -> None:
        now = time.perf_counter()
        self.beats.append(now)
        if now - self.start > self.seconds:
            self.end = now
            self.window.root.quit()
            return
        self.window.root.after(max(1, round(1000 * (self.start + (self.events + 1) / RATE - now))), self.step)
        at = self.events % 100
        if at == 0:
            self.tab.clear()
        leg, part = divmod(at, 50)
        (a, b), (c, d) = CORNERS[leg], CORNERS[leg + 1]
        canvas = self.tab.canvas
        side = min(canvas.winfo_width(), canvas.winfo_height())
        x, y = ((p + (q - p) * part / 49) * side for p, q in ((a, c), (b, d)))
        canvas.event_generate("<B1-Motion>" if at else "<Button-1>", x=round(x), y=round(y))
        self.events += 1


def keep_busy(window: Window, opened: Any) -> None:
    """The model runs in the worker again and again, beside the drawing."""
    feeds = opened.feeds()
    runs = [0]

    def again(_: Any, error: Exception | None) -> None:
        if error:
            raise error
        runs[0] += 1
        window.worker.submit("busy", lambda: opened.model.run(feeds), again)

    again(None, None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    window = Window(Session(threads=options.threads))
    window.root.update()
    if options.model:
        keep_busy(window, open_model(options.model, threads=options.threads))
    pen = Pen(window, options.seconds)
    window.root.after(500, lambda: (setattr(pen, "start", time.perf_counter()), pen.step()))
    window.root.mainloop()
    took = pen.end - pen.start
    times = sorted(pen.latencies)
    gaps = [b - a for a, b in zip(pen.beats, pen.beats[1:], strict=False)]
    found = {
        "events_a_second": pen.events / took,
        "frames_a_second": len(times) / took,
        "latency_median_ms": times[len(times) // 2],
        "latency_p95_ms": times[int(len(times) * 0.95)],
        "latency_max_ms": times[-1],
        "stall_max_ms": max(gaps) * 1e3 - 1e3 / RATE,
        "threads": window.session.threads,
    }
    window.close()
    for key, value in found.items():
        print(f"{key:20} {value:8.2f}")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(found, file, indent=1)


if __name__ == "__main__":
    main()
