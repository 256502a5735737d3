# SPDX-License-Identifier: Apache-2.0
"""Places for the blocks of a graph: layers from top to bottom (Sugiyama, Tagawa, Toda 1981)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

SWEEPS = 6
LINE = 0.25  # room for an edge that passes a row, in parts of a block's


class Layout(NamedTuple):
    """Centres of the blocks in columns and rows; for each edge (parent, child) the points that it
    passes; the columns from least to most, and the number of rows."""

    places: list[tuple[float, float]]
    edges: dict[tuple[int, int], list[tuple[float, float]]]
    left: float
    right: float
    rows: int


def _rows(parents: Sequence[Sequence[int]]) -> list[int]:
    rows = [0] * len(parents)
    for i, above in enumerate(parents):
        rows[i] = max((rows[p] + 1 for p in above), default=0)
    return rows


def _spread(wish: Sequence[float], size: Sequence[float]) -> list[float]:
    """Places in this order, near to what each wishes, with room for the size of each: neighbours
    that would overlap move as one group to the middle of their wishes, the small ones further."""
    offset = [0.0]
    for a, b in zip(size, size[1:], strict=False):
        offset.append(offset[-1] + (a + b) / 2)
    groups: list[list[float]] = []  # sum of (wish - offset) * size, of size; count
    for want, shift, weight in zip(wish, offset, size, strict=False):
        weight = weight**4  # a line makes way for a block
        groups.append([(want - shift) * weight, weight, 1])
        while len(groups) > 1 and groups[-2][0] / groups[-2][1] > groups[-1][0] / groups[-1][1]:
            last = groups.pop()
            groups[-1] = [a + b for a, b in zip(groups[-1], last, strict=True)]
    starts = [total / weight for total, weight, count in groups for _ in range(int(count))]
    return [start + shift for start, shift in zip(starts, offset, strict=False)]


def layout(parents: Sequence[Sequence[int]]) -> Layout:
    """parents[i]: the blocks before block i, each with a smaller number.

    >>> layout([[], [0], [0], [1, 2]]).places
    [(0.0, 0.0), (-0.5, 1.0), (0.5, 1.0), (0.0, 2.0)]
    """
    rows = _rows(parents)
    count = len(parents)
    up: list[list[int]] = [[] for _ in parents]
    down: list[list[int]] = [[] for _ in parents]
    paths: dict[tuple[int, int], list[int]] = {}
    passed: dict[tuple[int, int], int] = {}  # (parent, row) to a place
    for child, above in enumerate(parents):
        for parent in above:  # edges over several rows pass a place in each: one a parent
            path = [parent]
            for row in range(rows[parent] + 1, rows[child]):
                if (parent, row) not in passed:
                    passed[parent, row] = len(rows)
                    rows.append(row)
                    up.append([path[-1]])
                    down.append([])
                    down[path[-1]].append(len(rows) - 1)
                path.append(passed[parent, row])
            path.append(child)
            down[path[-2]].append(child)
            up[child].append(path[-2])
            paths[parent, child] = path
    layers: list[list[int]] = [[] for _ in range(max(rows, default=-1) + 1)]
    for i, row in enumerate(rows):
        layers[row].append(i)
    x = [0.0] * len(rows)
    for layer in layers:
        for k, i in enumerate(layer):
            x[i] = k - (len(layer) - 1) / 2
    for sweep in range(SWEEPS):
        near, walk = (up, layers) if sweep % 2 == 0 else (down, layers[::-1])
        for layer in walk:
            wish = dict.fromkeys(layer, 0.0)
            for i in layer:
                around = near[i] or (up[i] + down[i])
                alike = [j for j in around if (j < count) == (i < count)]  # both run straight
                around = alike or around
                wish[i] = sum(x[j] for j in around) / len(around) if around else x[i]
            order = sorted(layer, key=lambda i: (wish[i], i >= count, i))
            sizes = [1.0 if i < count else LINE for i in order]
            spread = _spread([wish[i] for i in order], sizes)
            for i, place in zip(order, spread, strict=True):
                x[i] = place
    places = [(x[i], float(rows[i])) for i in range(count)]
    edges = {e: [(x[i], float(rows[i])) for i in path] for e, path in paths.items()}
    return Layout(places, edges, min(x, default=0.0), max(x, default=0.0), len(layers))
