# SPDX-License-Identifier: Apache-2.0
"""Blocks and edges as SVG: layers from top to bottom, folded into columns where there are many."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

from . import palette
from .kinds import ink
from .layout import layout

WIDE, HIGH = 196.0, 84.0  # pixels from block to block
BOX, LOW = (176.0, 44.0), 24.0  # a block; the height of a flat one
MARGIN, GAP = 24.0, 44.0  # around the graph; between columns
LETTER, BOLD = 0.56, 0.66  # width of a usual letter in parts of its size, of a capital or bold one
MOST_ROWS = 44  # of a column, unless there are thousands


class Block(NamedTuple):
    """title and note: its two lines; tip: what is shown under the pointer; colour "#rrggbb";
    parents: blocks before it, by number; label: of the edges that leave it. flat: a low block with
    one line, dashed: one that computes nothing."""

    title: str
    note: str
    tip: str
    colour: str
    parents: tuple[int, ...]
    label: str = ""
    flat: bool = False
    dashed: bool = False


def plain(text: str) -> str:
    """The text for XML: escaped, without characters that XML does not have.

    >>> plain("a < \\x01")
    'a &lt; �'
    """
    return escape(re.sub("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text))


def short(text: str, width: float, size: float, letter: float = LETTER) -> str:
    """What of the text fits into so many pixels, at its two ends.

    >>> short("encoder.layer.0.attention", 100, 12)
    'encoder…ention'
    """
    most = max(int(width / (letter * size)), 4)
    if len(text) <= most:
        return text
    return f"{text[: most // 2]}…{text[len(text) - (most + 1) // 2 + 1 :]}"


def _text(x: float, y: float, text: str, size: float, rest: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}"{rest}>{plain(text)}</text>'


class _Sheet:
    """Where columns and rows of a layout are on the picture."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self.blocks = blocks
        self.plan = layout([b.parents for b in blocks])
        square = math.sqrt(1.3 * self.plan.rows * WIDE / HIGH)  # rows of a sheet like a screen
        columns = math.ceil(self.plan.rows / max(MOST_ROWS, square)) or 1
        self.each = math.ceil(self.plan.rows / columns) or 1
        longest: dict[int, list[tuple[float, float]]] = {}  # by parent: the others are parts of it
        for (parent, _), path in self.plan.edges.items():
            if len(path) > len(longest.get(parent, ())):
                longest[parent] = path
        ways = [(parent, path[-2:]) for (parent, _), path in self.plan.edges.items()]
        self.lanes: list[list[int]] = [[] for _ in range(columns)]  # who goes to the next one
        for parent, path in [*longest.items(), *ways]:
            for a, b in zip(path, path[1:], strict=False):
                lanes = self.lanes[self.column(a[1])]
                if self.column(a[1]) != self.column(b[1]) and parent not in lanes:
                    lanes.append(parent)
        self.drawn: dict[int, int] = {}  # places of a parent's way
        self.lane = [6.0 * len(lanes) for lanes in self.lanes]
        start = [math.inf, -math.inf] if blocks else [0.0, 0.0]
        spans = [start[:] for _ in range(columns)]  # least and most places
        for points in [self.plan.places, *longest.values()]:
            for x, row in points:
                span = spans[self.column(row)]
                span[:] = min(span[0], x), max(span[1], x)
        self.shift, right = [], MARGIN  # of a column's places
        for (least, most), lane in zip(spans, self.lane, strict=True):
            self.shift.append(right + BOX[0] / 2 - least * WIDE)
            right += (most - least) * WIDE + BOX[0] + GAP + lane
        self.edge_of = [
            m * WIDE + s + BOX[0] / 2 for (_, m), s in zip(spans, self.shift, strict=True)
        ]
        self.width = self.edge_of[-1] + MARGIN
        self.begin(0)

    def begin(self, top: float) -> None:
        """Blocks begin below this height."""
        room = max(self.lane) + 16 if len(self.lane) > 1 else 0.0
        self.first = top + BOX[1] / 2 + room
        self.height = self.first + (self.each - 1) * HIGH + BOX[1] / 2 + 36 + room

    def column(self, row: float) -> int:
        return int(row) // self.each

    def at(self, place: tuple[float, float]) -> tuple[float, float]:
        x = place[0] * WIDE + self.shift[self.column(place[1])]
        return x, self.first + (place[1] % self.each) * HIGH

    def half(self, block: int) -> float:
        return (LOW if self.blocks[block].flat else BOX[1]) / 2

    def edge(self, ends: tuple[int, int], path: list[tuple[float, float]]) -> str:
        """Down, across, down: an S between two rows; around the corner to the next column. What is
        drawn already of the way that it shares with others of its parent is left out."""
        skip = min(self.drawn.get(ends[0], 0), len(path) - 2)
        self.drawn[ends[0]] = max(self.drawn.get(ends[0], 0), len(path) - 2)
        path = path[skip:]
        points = [self.at(p) for p in path]
        if not skip:
            points[0] = (points[0][0], points[0][1] + self.half(ends[0]))
        points[-1] = (points[-1][0], points[-1][1] - self.half(ends[1]) - 1)
        drawn = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
        for k, ((x0, y0), (x1, y1)) in enumerate(zip(points, points[1:], strict=False)):
            column = self.column(path[k][1])
            if column == self.column(path[k + 1][1]):
                if abs(x0 - x1) < 0.5:
                    drawn.append(f"L{x1:.1f} {y1:.1f}")
                else:
                    middle = (y0 + y1) / 2
                    drawn.append(f"C{x0:.1f} {middle:.1f} {x1:.1f} {middle:.1f} {x1:.1f} {y1:.1f}")
                continue
            by = 6.0 * self.lanes[column].index(ends[0])
            low = self.first + (self.each - 1) * HIGH + BOX[1] / 2 + 22 + by
            high = self.first - BOX[1] / 2 - 12 - by
            lane = self.edge_of[column] + GAP / 2 + self.lane[column] - by
            drawn.append(
                f"L{x0:.1f} {low:.1f}L{lane:.1f} {low:.1f}L{lane:.1f} {high:.1f}"
                f"L{x1:.1f} {high:.1f}L{x1:.1f} {y1:.1f}"
            )
        return f'<path class="edge" d="{"".join(drawn)}" marker-end="url(#tip)"/>'

    def block(self, number: int) -> str:
        block = self.blocks[number]
        x, y = self.at(self.plan.places[number])
        half, dark = self.half(number), f' fill="{ink(block.colour)}"'
        lines = (
            [(block.title, y + 3.5, 10.5, LETTER, dark)]
            if block.flat
            else [
                (block.title, y - 4, 12, BOLD, dark + ' font-weight="bold"'),
                (block.note, y + 13, 10.5, LETTER, dark),
            ]
        )
        texts = "".join(
            _text(x, at, short(text, BOX[0] - 10, size, wide), size, f' text-anchor="middle"{rest}')
            for text, at, size, wide, rest in lines
            if text
        )
        dash = ' stroke-dasharray="4 3"' if block.dashed else ""
        label = ""
        if block.label:  # on paper, so that edges behind it do not strike it through
            wide = LETTER * 10 * len(block.label) + 6
            label = (
                f'<rect x="{x + 4:.1f}" y="{y + half + 4:.1f}" width="{wide:.1f}" height="14" '
                f'fill="{palette.PAPER}" fill-opacity="0.85"/>'
                + _text(x + 7, y + half + 14, block.label, 10, ' class="shape"')
            )
        return (
            f'<g class="block"><title>{plain(block.tip)}</title>'
            f'<rect x="{x - BOX[0] / 2:.1f}" y="{y - half:.1f}" width="{BOX[0]:g}" '
            f'height="{2 * half:g}" rx="{LOW / 2 if block.flat else 5:g}" fill="{block.colour}"'
            f' stroke="{palette.QUIET}"{dash}/>{texts}</g>{label}'
        )


def svg(blocks: Sequence[Block], title: str, about: str, legend: Sequence[tuple[str, str]]) -> str:
    """A picture; on top its title, what it is about, and the legend: (colour, what it means)."""
    sheet = _Sheet(blocks)
    width = max(sheet.width, 480.0)
    x, y, keys = MARGIN, 70.0, []
    for colour, name in legend:
        if x > MARGIN and x + 26 + LETTER * 11 * len(name) > width:
            x, y = MARGIN, y + 20
        keys.append(
            f'<rect x="{x:.1f}" y="{y - 10:.1f}" width="13" height="13" fill="{colour}" '
            f'stroke="{palette.QUIET}"/>' + _text(x + 18, y + 1, name, 11)
        )
        x += 34 + LETTER * 11 * len(name)
    sheet.begin(y + 24)
    shift = (width - sheet.width) / 2
    edges = [sheet.edge(ends, path) for ends, path in sheet.plan.edges.items()]
    drawn = [sheet.block(i) for i in range(len(blocks))]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{sheet.height:.0f}" '
        f'viewBox="0 0 {width:.0f} {sheet.height:.0f}" role="img" '
        'font-family="Helvetica, Arial, sans-serif">\n'
        "<style>.edge{fill:none;stroke:#7a7a7a;stroke-width:1.4}.shape{fill:#444444}"
        ".block:hover rect{stroke:#000000;stroke-width:2.5}</style>\n"
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#7a7a7a"/></marker></defs>\n'
        f'<rect width="100%" height="100%" fill="{palette.PAPER}"/>\n'
        + _text(MARGIN, 28, short(title, width - 2 * MARGIN, 14, BOLD), 14, ' font-weight="bold"')
        + _text(MARGIN, 47, about, 12)
        + "\n"
        + "\n".join(keys)
        + f'\n<g transform="translate({shift:.1f} 0)">\n'
        + "\n".join([*edges, *drawn])
        + "\n</g>\n</svg>\n"
    )
