# SPDX-License-Identifier: Apache-2.0
"""Both languages say the same, and every text that the window asks for exists."""

import re
from pathlib import Path

import pyinfer.demo
from pyinfer.demo import texts
from pyinfer.drawing import palette

FOLDER = Path(pyinfer.demo.__file__).parent


def test_both_languages() -> None:
    for key, (english, chinese) in texts.TEXTS.items():
        fields = [set(re.findall(r"\{(\w+)[:}]", text)) for text in (english, chinese)]
        assert english and chinese and fields[0] == fields[1], key


def test_all_that_is_asked_for_is_there() -> None:
    code = "".join(path.read_text() for path in (FOLDER / "widgets").glob("*.py"))
    asked = set(re.findall(r'\b(?:say|tell|follow|label|button)\((?:[\w.]+, )?"(\w+)"', code))
    assert len(asked) > 15 and asked <= texts.TEXTS.keys()


def test_black_is_readable_on_heat() -> None:
    for i in range(11):
        r, g, b = (int(palette.heat(i / 10)[k : k + 2], 16) / 255 for k in (1, 3, 5))
        light = 0.2126 * r**2.2 + 0.7152 * g**2.2 + 0.0722 * b**2.2
        assert (light + 0.05) / 0.05 > 6  # contrast, WCAG
