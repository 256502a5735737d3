# SPDX-License-Identifier: Apache-2.0
"""Whole models against PyTorch: small ones from every exporter, full sizes in the tier `full`.

An error is measured as a share of the largest output; 1e-4 is allowed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from models import engine, zoo

LIMIT = 1e-4
ZooFile = Callable[[str, str, str], Path]
GetModule = Callable[[str], nn.Module]


def compare(path: Path, name: str, shape: str, module: nn.Module) -> None:
    """Batch 1; from a dynamic model batch 3 and other sizes too, and batch 1 again afterwards."""
    entry = zoo.MODELS[name]
    model = engine.load(path)
    runs = [(1, entry.size)]
    if shape == "dynamic":
        runs += [(3, entry.size), *((2, size) for size in entry.sizes), (1, entry.size)]
    for batch, size in runs:
        feeds = zoo.feeds(name, batch, size)
        want = zoo.expected(module, name, feeds)
        got = model.run(feeds)
        assert list(got) == list(want)
        errors = {key: engine.error(got[key], want[key]) for key in want}
        assert max(errors.values()) <= LIMIT, f"batch {batch}, size {size}: {errors}"


SMALL = [(n, e, s) for n in zoo.SMALL for e in zoo.EXPORTERS[:2] for s in zoo.SHAPES]
SMALL += [(n, "raw", "dynamic") for n in zoo.SMALL]
SMALL += [(n, "dynamo24", "dynamic") for n in ("vit_b16_small", "bert_base_small", "gpt2_small")]
SMALL.sort(key=lambda row: zoo.SMALL.index(row[0]))


@pytest.mark.parametrize(("name", "exporter", "shape"), SMALL)
def test_small(name: str, exporter: str, shape: str, zoo_file: ZooFile, module: GetModule) -> None:
    compare(zoo_file(name, exporter, shape), name, shape, module(name))


FULL = [(n, e, s) for n in zoo.FULL for e in zoo.EXPORTERS[:2] for s in zoo.SHAPES]
FULL += [
    ("resnet50", "raw", "dynamic"),
    ("unet", "raw", "dynamic"),
    ("vit_b16", "dynamo24", "dynamic"),
    ("bert_base", "dynamo24", "dynamic"),
    ("gpt2", "dynamo24", "dynamic"),
    ("minilm", "dynamo24", "dynamic"),
]
FULL.sort(key=lambda row: zoo.FULL.index(row[0]))


@pytest.mark.full
@pytest.mark.parametrize(("name", "exporter", "shape"), FULL)
def test_full(name: str, exporter: str, shape: str, zoo_file: ZooFile, module: GetModule) -> None:
    compare(zoo_file(name, exporter, shape), name, shape, module(name))


@pytest.mark.parametrize("name", ["resnet18_small", "bert_base_small"])
def test_call(name: str, zoo_file: ZooFile, module: GetModule) -> None:
    """m(x) gives an array, or a tuple when there are several outputs."""
    feeds = zoo.feeds(name, 2)
    want = zoo.expected(module(name), name, feeds)
    got = engine.load(zoo_file(name, "dynamo", "dynamic"))(*feeds.values())
    if len(want) == 1:
        assert isinstance(got, np.ndarray)
        got = (got,)
    assert isinstance(got, tuple) and len(got) == len(want)
    assert max(map(engine.error, got, want.values())) <= LIMIT


def test_answers_are_the_callers(zoo_file: ZooFile) -> None:
    """A later run does not write into the arrays of an earlier one, nor into its inputs."""
    model = engine.load(zoo_file("mobilenet_v2_small", "dynamo", "dynamic"))
    first, second = (zoo.feeds("mobilenet_v2_small", seed=seed)["x"] for seed in (1, 2))
    kept = first.copy()
    one = model(first)
    copy = one.copy()
    two = model(second)
    assert np.array_equal(one, copy) and np.array_equal(first, kept)
    assert not np.shares_memory(one, two) and not np.array_equal(one, two)
    again = model.run({"x": first})["logits"]
    assert np.array_equal(again, copy), "the same input, another answer"


def test_threads(zoo_file: ZooFile, module: GetModule) -> None:
    path = zoo_file("convnext_t_small", "dynamo", "dynamic")
    feeds = zoo.feeds("convnext_t_small", 3)
    want = zoo.expected(module("convnext_t_small"), "convnext_t_small", feeds)
    for threads in (1, 2, 3):
        got = engine.load(path, threads).run(feeds)
        assert max(engine.error(got[key], want[key]) for key in want) <= LIMIT


def test_the_measure_finds_mistakes() -> None:
    one = np.ones(3, np.float32)
    assert engine.error(one, one) == 0
    assert engine.error(one + np.float32(2e-4), one) > LIMIT
    assert engine.error(one[:2], one) == engine.error(one.astype(np.float64), one) == float("inf")
    assert engine.error(np.array([1, 1, np.nan], np.float32), one) == float("inf")
