# SPDX-License-Identifier: Apache-2.0
"""Places for the blocks of a graph: layers from top to bottom (Sugiyama, Tagawa, Toda 1981)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

SWEEPS = 6


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


def _spread(order: list[int], wish: list[float]) -> list[float]:
    """Places at least 1 apart in this order, near to what each wishes: neighbours that would
    overlap move as one group to the middle of their wishes."""
    groups: list[list[float]] = []  # sum of (wish - offset), count
    for i in order:
        groups.append([wish[i], 1])
        while len(groups) > 1:
            (s0, n0), (s1, n1) = groups[-2:]
            if s0 / n0 + n0 <= s1 / n1:
                break
            groups[-2:] = [[s0 + s1 - n1 * n0, n0 + n1]]
    out = []
    for total, count in groups:
        out += [total / count + k for k in range(int(count))]
    return out


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
    for child, above in enumerate(parents):
        for parent in above:  # an edge over several rows passes a place in each
            path = [parent]
            for row in range(rows[parent] + 1, rows[child]):
                rows.append(row)
                up.append([])
                down.append([])
                path.append(len(rows) - 1)
            path.append(child)
            for a, b in zip(path, path[1:], strict=False):
                down[a].append(b)
                up[b].append(a)
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
                wish[i] = sum(x[j] for j in around) / len(around) if around else x[i]
            order = sorted(layer, key=lambda i: (wish[i], i >= count, i))
            asked = [wish[i] for i in order]
            for i, place in zip(order, _spread(list(range(len(order))), asked), strict=True):
                x[i] = place
    places = [(x[i], float(rows[i])) for i in range(count)]
    edges = {e: [(x[i], float(rows[i])) for i in path] for e, path in paths.items()}
    return Layout(places, edges, min(x, default=0.0), max(x, default=0.0), len(layers))
