# SPDX-License-Identifier: Apache-2.0
"""A real pointer draws a seven in the real command's window."""

import os
import subprocess
import sys
import time
from pathlib import Path

from demo import screen

ELSEWHERE = Path(__file__).parent
SHOW = """
import sys
from pyinfer import cli
from pyinfer.demo.widgets.draw import Draw
done = Draw._done
def tell(self, *rest):
    done(self, *rest)
    print("top", self.bars.shown[0].label, len(self.strokes[-1]), flush=True)
Draw._done = tell
entered = Draw.entered
def say(self):
    entered(self)
    self.update()
    c = self.canvas
    print("at", c.winfo_rootx(), c.winfo_rooty(), min(c.winfo_width(), c.winfo_height()), flush=True)
Draw.entered = say
sys.exit(cli.main(["demo", "--threads", "1"]))
"""
CORNERS = [(0.25, 0.15), (0.75, 0.15), (0.45, 0.85)]


def test_a_seven() -> None:
    screen.need("Xvfb", "xdotool")
    with screen.xvfb() as display:
        env = {**os.environ, "DISPLAY": display}
        child = subprocess.Popen([sys.executable, "-c", SHOW], cwd=ELSEWHERE, env=env, stdout=subprocess.PIPE, text=True)
        try:
            assert child.stdout
            words = child.stdout.readline().split()
            assert words[:1] == ["at"], words
            left, top, side = map(int, words[1:])
            points = [
                (left + side * (a + (c - a) * i / 12), top + side * (b + (d - b) * i / 12))
                for (a, b), (c, d) in zip(CORNERS, CORNERS[1:], strict=False)
                for i in range(13)
            ]
            time.sleep(0.3)
            for i, (x, y) in enumerate(points):
                button = ["mousedown", "1"] if i == 0 else []
                subprocess.run(["xdotool", "mousemove", str(round(x)), str(round(y)), *button], env=env, check=True)
            subprocess.run(["xdotool", "mouseup", "1"], env=env, check=True)
            time.sleep(1)
            child.terminate()
            tops = [line.split() for line in child.stdout if line.startswith("top")]
            assert len(tops) > 5, "the bars follow the pen"
            assert tops[-1][1] == "7" and int(tops[-1][2]) > 10
        finally:
            child.kill()
            child.wait()
