# SPDX-License-Identifier: Apache-2.0
"""GridSample against PyTorch, far places and exact borders included.

Cubic taps beyond a border are bounded one by one, as PyTorch and ONNX Runtime do; the reference
evaluator of ONNX moves the place inside first, which gives other answers there.
"""

import itertools

import numpy as np
import pytest
import torch
from onnx.reference import ReferenceEvaluator

from support.one_node import model, run

PADDINGS = ("zeros", "border", "reflection")


@pytest.mark.parametrize(("padding", "align"), list(itertools.product(PADDINGS, (False, True))))
@pytest.mark.parametrize("mode", ["linear", "nearest", "cubic"])
@pytest.mark.parametrize("plane", [(7, 6), (1, 5), (3, 4, 5)], ids=str)
def test_grid_sample(plane: tuple[int, ...], mode: str, padding: str, align: bool) -> None:
    if len(plane) == 3 and mode == "cubic":
        plane = plane[:2]  # PyTorch has no cubic in three dimensions
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 3, *plane)).astype(np.float32)
    grid = (rng.standard_normal((2, *(9,) * len(plane), len(plane))) * 1.5).astype(np.float32)
    grid[0, 0], grid[1, 0] = -1, 1
    torch_mode = {"linear": "bilinear", "cubic": "bicubic"}.get(mode, mode)
    want = torch.nn.functional.grid_sample(
        torch.from_numpy(x), torch.from_numpy(grid), torch_mode, padding, align
    ).numpy()
    got = run("GridSample", [x, grid], mode=mode, padding_mode=padding, align_corners=int(align))[0]
    np.testing.assert_allclose(got, want, rtol=0, atol=2e-5)


@pytest.mark.parametrize(("padding", "align"), list(itertools.product(PADDINGS, (False, True))))
def test_cubic_where_all_agree(padding: str, align: bool) -> None:
    """PyTorch and the evaluator agree inside, and with zeros everywhere: so must we, with both."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((1, 2, 9, 8)).astype(np.float32)
    grid = (rng.random((1, 12, 11, 2), np.float32) * 2.8 - 1.4).astype(np.float32)
    how = {"mode": "cubic", "padding_mode": padding, "align_corners": int(align)}
    torch_form = torch.from_numpy(x), torch.from_numpy(grid), "bicubic", padding, align
    first = torch.nn.functional.grid_sample(*torch_form).numpy()
    evaluator = ReferenceEvaluator(model("GridSample", [x, grid], **how))
    second = evaluator.run(None, {"x0": x, "x1": grid})[0]
    agree = np.abs(first - second) < 1e-5
    assert agree.mean() > 0.3
    got = run("GridSample", [x, grid], **how)[0]
    np.testing.assert_allclose(got[agree], first[agree], rtol=0, atol=2e-5)
    np.testing.assert_allclose(got[agree], second[agree], rtol=0, atol=2e-5)
    middle = (np.abs(grid) < 0.5).all(-1)[:, None].repeat(2, 1)
    assert middle.any() and agree[middle].all()
