# SPDX-License-Identifier: Apache-2.0
"""GridSample against PyTorch, far places and exact borders included.

Cubic taps beyond a border are bounded one by one, as PyTorch and ONNX Runtime do; the reference
evaluator of ONNX moves the place inside first, which gives other answers there.
"""

import itertools

import numpy as np
import pytest
import torch

from support.one_node import run

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
