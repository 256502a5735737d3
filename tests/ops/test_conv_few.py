# SPDX-License-Identifier: Apache-2.0
"""Convolutions of so few output channels that vectors go along the window's rows, not over channels."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
import pytest
import torch

import pyinfer

# channels in, out, size, kernel, stride, pad: rows of whole registers and others, padding, several images in a block
CASES: list[tuple[int, int, tuple[int, ...], tuple[int, ...], int, tuple[int, ...]]] = [
    (32, 1, (17, 23), (7, 3), 1, (3, 1)),
    (8, 1, (30, 41), (5, 5), 1, (2, 2)),
    (33, 2, (11, 9), (3, 3), 2, (1, 1)),
    (64, 3, (13, 7), (1, 1), 1, (0, 0)),
    (12, 4, (8, 9), (2, 4), 3, (2, 5)),
    (1, 1, (4001,), (256,), 2, (17,)),
    (1, 2, (900,), (40,), 1, (0,)),
    (16, 1, (5, 6, 7), (3, 2, 3), 1, (1, 0, 2)),
    (3, 1, (20, 20), (9, 9), 1, (8, 8)),
]


class Ended(torch.nn.Module):
    def __init__(self, conv: torch.nn.Module, end: Any) -> None:
        super().__init__()
        self.conv, self.end = conv, end

    def forward(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return self.end(self.conv(x) + z)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_few_channels(case: tuple) -> None:
    channels, out, size, kernel, stride, pad = case
    torch.manual_seed(len(str(case)))
    names = {1: torch.nn.Conv1d, 2: torch.nn.Conv2d, 3: torch.nn.Conv3d}
    conv = names[len(size)](channels, out, kernel, stride, pad)
    x = torch.randn(2, channels, *size)
    want = conv.double()(x.double()).detach()
    conv.float()

    z = torch.randn(want.shape)
    for end in (torch.nn.ReLU6(), torch.nn.Sigmoid()):
        file = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(Ended(conv, end), (x, z), file, dynamo=False)
        for threads in (1, 2):
            m = pyinfer.load(file.getvalue(), threads=threads)
            steps = m.steps((x.numpy(), z.numpy()), 0)[0][0]
            assert [s["impl"] for s in steps if s["op"] == "Conv"] == ["own"], m.explain(x, z)
            np.testing.assert_allclose(m(x, z), end(want + z), rtol=1e-4, atol=1e-4)


# of 4 to 8 channels out, two to four pixels side by side are one with more channels
SIDE_BY_SIDE: list[tuple[int, int, tuple[int, ...], tuple[int, ...], int, tuple[int, ...]]] = [
    (8, 8, (17, 24), (3, 9), 1, (1, 4)),
    (8, 5, (9, 30), (5, 5), 1, (2, 2)),
    (3, 7, (21, 21), (7, 7), 2, (2, 2)),
    (2, 4, (12, 24), (1, 9), 1, (0, 4)),
    (4, 8, (200,), (15,), 1, (7,)),
    (8, 6, (4, 6, 8), (3, 1, 7), 1, (1, 0, 3)),
]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("case", SIDE_BY_SIDE, ids=str)
def test_pixels_side_by_side(case: tuple, bias: bool) -> None:
    channels, out, size, kernel, stride, pad = case
    cpu = pyinfer.config()["cpu"]
    torch.manual_seed(len(str(case)))
    names = {1: torch.nn.Conv1d, 2: torch.nn.Conv2d, 3: torch.nn.Conv3d}
    conv = names[len(size)](channels, out, kernel, stride, pad, bias=bias)
    x = torch.randn(2, channels, *size)
    z = torch.randn(conv(x).shape)
    for end in (torch.relu, torch.nn.functional.silu):
        file = io.BytesIO()

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(Ended(conv, end), (x, z), file, dynamo=False)
        want = end(conv.double()(x.double()).detach() + z)
        conv.float()
        for threads in (1, 2):
            m = pyinfer.load(file.getvalue(), threads=threads)
            steps = m.steps((x.numpy(), z.numpy()), 0)[0][0]
            used = [s["impl"] for s in steps if s["op"] == "Conv"]
            if "avx512" in cpu.partition("(")[0] and "limited" not in cpu:
                assert used == ["neighbours"], m.explain(x, z)
            np.testing.assert_allclose(m(x, z), want, rtol=1e-4, atol=1e-4)


def test_not_many_channels() -> None:
    """Of more channels, or of short rows, tiles are quicker."""
    for channels, out, kernel in ((32, 8, 3), (2, 1, 3), (1, 1, 5)):
        file = io.BytesIO()
        x = torch.randn(1, channels, 40, 40)
        torch.onnx.export(torch.nn.Conv2d(channels, out, kernel), (x,), file, dynamo=False)
        text = str(pyinfer.load(file.getvalue()).explain(x))
        assert "vectors go along the window" not in text
