# SPDX-License-Identifier: Apache-2.0
"""Strokes as small pictures."""

import numpy as np
import pytest

import pyinfer
from pyinfer import example
from pyinfer.demo import strokes

TURN = np.linspace(0, 2 * np.pi, 40)
DIGITS = {
    0: [[(0.5 + 0.25 * np.cos(t), 0.5 + 0.4 * np.sin(t)) for t in TURN]],
    1: [[(0.4, 0.25), (0.52, 0.1), (0.52, 0.9)]],
    4: [[(0.5, 0.1), (0.25, 0.6), (0.8, 0.6)], [(0.6, 0.4), (0.58, 0.9)]],
    7: [[(0.25, 0.12), (0.75, 0.12), (0.45, 0.9)]],
}


@pytest.mark.parametrize("digit", DIGITS)
def test_the_packaged_model_reads_them(digit: int) -> None:
    x = strokes.picture(DIGITS[digit], 8, 8)
    assert x.shape == (8, 8) and x.dtype == np.float32 and 0 <= x.min() and x.max() <= 1
    assert pyinfer.load(example.model_path(), threads=1)(x[None, None]).argmax() == digit


def test_place_and_size_do_not_matter() -> None:
    there = [[(x / 3 + 0.6, y / 3 + 0.1) for x, y in stroke] for stroke in DIGITS[4]]
    assert np.abs(strokes.picture(there, 8, 8) - strokes.picture(DIGITS[4], 8, 8)).max() < 0.2


def test_little_is_fine() -> None:
    assert not strokes.picture([], 8, 8).any()
    assert not strokes.picture([[]], 8, 8).any()
    dot = strokes.picture([[(0.3, 0.3)]], 28, 28)
    assert dot.any() and not dot[:8].any() and dot.mean() < 0.2
