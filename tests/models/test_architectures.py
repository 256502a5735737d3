# SPDX-License-Identifier: Apache-2.0
"""Many small architectures, exported by both of PyTorch's exporters, against PyTorch: at most 1e-4 of the largest output.

What an exporter cannot do is in the tables, and must fail as it is written there: if it begins to work, the test says so.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

import pytest
from torch import nn

from models import arch, engine
from models.architectures import ARCHITECTURES, FULL, figures, reason


@functools.lru_cache(maxsize=1)
def module(name: str) -> nn.Module:
    return arch.build(ARCHITECTURES[name])


def compare(name: str, way: str, path: Path) -> None:
    row = ARCHITECTURES[name]
    model = engine.load(path)
    for batch in (*row.batches, 1) if way.endswith("dynamic") else (1,):
        feeds = row.feeds(batch)
        want = arch.answers(module(name), feeds)
        if hasattr(model, "inputs"):  # an exporter leaves out what the answer does not depend on
            feeds = {i.name: feeds[i.name] for i in model.inputs}
        got = list(model.run(feeds).values())
        assert len(got) == len(want)
        errors = [engine.error(g, w) for g, w in zip(got, want, strict=True)]
        assert max(errors) <= row.limit, f"batch {batch}: errors {errors}"


ROWS = [
    pytest.param(name, way, marks=pytest.mark.full if name in FULL else pytest.mark.deep) for name in ARCHITECTURES for way in arch.WAYS
]


@pytest.mark.parametrize(("name", "way"), ROWS)
def test_architecture(name: str, way: str, tmp_path: Path) -> None:
    row, path = ARCHITECTURES[name], tmp_path / "model.onnx"
    fails, wrong = reason(row.fails, way), reason(row.wrong, way)
    if fails:
        with pytest.raises(Exception, match=re.escape(fails)):
            arch.export(row, module(name), way, path)
        return
    arch.export(row, module(name), way, path)
    try:
        compare(name, way, path)
    except Exception as error:
        if not wrong:
            raise
        assert not isinstance(error, AssertionError) or "errors" in str(error)
    else:
        assert not wrong, f"works now: {wrong}"


@pytest.mark.full
def test_figures_in_readme() -> None:
    text = (Path(__file__).parent / "README.md").read_text()
    for line in figures():
        assert line in text, f"tests/models/README.md wants the line\n{line}"
