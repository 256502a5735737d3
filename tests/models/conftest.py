# SPDX-License-Identifier: Apache-2.0
"""Exported models, made once in a run and removed after use; PyTorch modules, the last one kept."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from torch import nn

ZooFile = Callable[[str, str, str], Path]


@functools.lru_cache(maxsize=1)
def torch_module(name: str) -> nn.Module:
    """The PyTorch model; tests are ordered by name, so that one at a time is in memory."""
    from models import zoo  # here, not above: the conformance suite runs without torch

    return zoo.module(name)


@pytest.fixture(scope="session")
def module() -> Callable[[str], nn.Module]:
    return torch_module


@pytest.fixture
def zoo_file(tmp_path: Path) -> Iterator[ZooFile]:
    """zoo_file(name, exporter, shape): the path of an .onnx file that lives as long as the test.

    PYINFER_ZOO names a folder where files are kept and reused instead (8 GB for all).
    """
    from models import zoo

    keep = os.environ.get("PYINFER_ZOO")
    made: list[Path] = []

    def get(name: str, exporter: str, shape: str) -> Path:
        if keep:
            Path(keep).mkdir(parents=True, exist_ok=True)
            return zoo.export(name, exporter, shape, Path(keep), torch_module(name))
        made.append(zoo.export(name, exporter, shape, tmp_path, torch_module(name)))
        return made[-1]

    yield get
    for path in made:
        path.unlink()
