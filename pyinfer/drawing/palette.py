# SPDX-License-Identifier: Apache-2.0
"""Colours that all eyes tell apart (Okabe and Ito, 2008), and a scale of time."""

from __future__ import annotations

BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILLION, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
BACK, PAPER, FAINT, QUIET = "#FAFAFA", "#FFFFFF", "#E4E4E4", "#555555"
ENGINES = {"pyinfer": BLUE, "ONNX Runtime": ORANGE, "PyTorch": GREEN}

_HEAT = [
    (0.0, (255, 255, 255)),
    (0.15, (253, 240, 200)),
    (0.5, (240, 185, 60)),
    (1.0, (232, 115, 30)),
]


def heat(part: float) -> str:
    """White for no time to orange for all of it; black text stays readable on each.

    >>> heat(0.0), heat(1.0)
    ('#ffffff', '#e8731e')
    """
    part = min(max(part, 0.0), 1.0)
    for (a, low), (b, high) in zip(_HEAT, _HEAT[1:], strict=False):
        if part <= b:
            t = (part - a) / (b - a)
            rgb = (round(p + t * (q - p)) for p, q in zip(low, high, strict=True))
            return "#" + "".join(f"{v:02x}" for v in rgb)
    return "#e8731e"
