# SPDX-License-Identifier: Apache-2.0
"""Top classes, and where their names come from."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyinfer.demo import classify
from pyinfer.demo.session import open_model


def test_top() -> None:
    best = classify.top(np.array([[0.0, 2.0, 1.0]], np.float32), ["a", "b", "c"], 2)
    assert [g.label for g in best] == ["b", "c"]
    assert best[0].share == pytest.approx(np.e**2 / (1 + np.e + np.e**2))
    assert classify.top(np.array([0.25, 0.75]), [], 9) == [(1, "1", 0.75), (0, "0", 0.25)]
    assert classify.top(np.array([1000.0, -1000.0]), [], 1)[0].share == 1
    assert classify.top(np.array([]), [], 3) == []


@pytest.mark.parametrize(
    "text",
    [
        "cat\ndog\n", "cat\r\n\r\ndog", "cat, dog", '["cat", "dog"]', '{"0": "cat", "1": "dog"}', '{"cat": 0, "dog": 1}',
        "{0: 'cat', 1: 'dog'}", '{"0": ["n02", "cat"], "1": ["n03", "dog"]}', "('cat', 'dog')",
    ],
)  # fmt: skip
def test_labels(text: str, tmp_path: Path) -> None:
    assert classify.parse_labels(text) == ["cat", "dog"]
    (tmp_path / "labels").write_text("\ufeff" + text, encoding="utf-8")
    assert classify.read_labels(tmp_path / "labels") == ["cat", "dog"]
    assert classify.labels_of({"opset": "17", "meta.names": text}) == ["cat", "dog"]


def test_odd_labels() -> None:
    assert classify.parse_labels("{1: 'b', 3: 'd'}") == ["0", "b", "2", "d"]
    assert classify.parse_labels("{9999999999: 'far'}") == []
    assert classify.parse_labels("[" * 5000) == ["[" * 5000]
    assert classify.parse_labels("") == [] == classify.labels_of({})


def test_the_first_run_is_not_the_time() -> None:
    """It plans and packs; that of the second is told. Then each is run once."""
    opened = open_model(threads=1)
    x = np.zeros((1, 1, 8, 8), np.float32)
    runs: list[Any] = []

    class Counted:
        outputs = opened.model.outputs

        def run_tuple(self, arrays: Any) -> Any:
            runs.append(arrays)
            return opened.model.run_tuple(arrays)

    counted = dataclasses.replace(opened, model=Counted())  # type: ignore[arg-type]
    counted.classify(x, 3)
    assert len(runs) == 2
    counted.classify(x, 3)
    assert len(runs) == 3
