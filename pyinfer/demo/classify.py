# SPDX-License-Identifier: Apache-2.0
"""From a model's output to names and shares."""

from __future__ import annotations

import ast
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

KEYS = ("labels", "names", "classes", "class_names", "id2label", "categories")


class Guess(NamedTuple):
    """A class, its name and its share, 0 to 1."""

    number: int
    label: str
    share: float


def shares(scores: NDArray[Any]) -> NDArray[np.float64]:
    """Scores as shares that sum up to 1: as they are if they do so, else their softmax.

    >>> shares(np.array([0.25, 0.75])).tolist()
    [0.25, 0.75]
    >>> shares(np.array([3.0, 3.0])).tolist()
    [0.5, 0.5]
    """
    flat = np.asarray(scores, np.float64).ravel()
    if flat.size and flat.min() >= 0 and abs(flat.sum() - 1) < 1e-3:
        return flat
    powers = np.exp(flat - flat.max(initial=-np.inf))
    return np.asarray(powers / powers.sum())


def top(scores: NDArray[Any], labels: Sequence[str], most: int = 5) -> list[Guess]:
    """The most probable classes, best first.

    >>> [tuple(g) for g in top(np.array([0.1, 0.2, 0.7]), ["a", "b"], 2)]
    [(2, '2', 0.7), (1, 'b', 0.2)]
    """
    part = shares(scores)
    order = np.argsort(-part, kind="stable")[:most]
    return [Guess(int(i), labels[i] if i < len(labels) else str(i), float(part[i])) for i in order]


def parse_labels(text: str) -> list[str]:
    """Names out of a text: JSON or Python, a list, or numbers to names or names to numbers; else a
    name a line, or separated by commas.

    >>> parse_labels("{0: 'cat', 1: 'dog'}"), parse_labels("cat\\ndog\\n"), parse_labels("cat,dog")
    (['cat', 'dog'], ['cat', 'dog'], ['cat', 'dog'])
    """
    found: Any = None
    if text.lstrip()[:1] in ("[", "{", "("):
        for read in (json.loads, ast.literal_eval):
            try:
                found = read(text)
                break
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
    if isinstance(found, Mapping):
        rows = dict(found)
        if rows and all(isinstance(v, int) for v in rows.values()):
            rows = {v: k for k, v in rows.items()}
        try:
            numbered = {int(k): v for k, v in rows.items()}
        except (TypeError, ValueError):
            return [str(v) for v in rows.values()]
        if not numbered or not 0 <= min(numbered) <= max(numbered) < 1_000_000:
            return []
        found = [numbered.get(i, str(i)) for i in range(max(numbered) + 1)]
    if isinstance(found, list | tuple):  # ["n01440764", "tench"]: the name comes last
        return [str(v[-1] if isinstance(v, list | tuple) and v else v) for v in found]
    lines = text.splitlines()
    if len(lines) == 1 and "," in text:
        lines = text.split(",")
    return [line.strip() for line in lines if line.strip()]


def labels_of(metadata: Mapping[str, str]) -> list[str]:
    """Names that a model carries in its own metadata, or none."""
    for key in KEYS:
        text = metadata.get(f"meta.{key}", "")
        if text:
            return parse_labels(text)
    return []


def read_labels(path: str | os.PathLike[str]) -> list[str]:
    """Names from a file."""
    with open(path, encoding="utf-8-sig") as file:
        return parse_labels(file.read())
