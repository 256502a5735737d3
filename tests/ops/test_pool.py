# SPDX-License-Identifier: Apache-2.0
"""Pooling with rounded-up sizes against PyTorch: last windows that lie only in part on the input."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from support.one_node import check


@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
def test_pool_sizes(size: int, ceil: bool) -> None:
    x = np.random.default_rng(size).standard_normal((2, 9, size, 5)).astype(np.float32)
    tx = torch.from_numpy(x)
    for kernel, stride, pad in itertools.product((1, 2, 3, 7), (1, 2, 3, 7), (0, 1)):
        if pad > kernel // 2:
            continue
        how = {"kernel_shape": [kernel, 2], "strides": [stride, 2], "pads": [pad, 0, pad, 0], "ceil_mode": int(ceil)}
        over = {"kernel_size": (kernel, 2), "stride": (stride, 2), "padding": (pad, 0), "ceil_mode": ceil}
        try:
            want = F.max_pool2d(tx, **over).numpy()
        except RuntimeError:
            continue  # no window fits
        check("MaxPool", [x], [want], opset=22, **how)
        for count in (False, True):
            want = F.avg_pool2d(tx, count_include_pad=count, **over).numpy()
            check("AveragePool", [x], [want], 1e-6, opset=22, count_include_pad=int(count), **how)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_windows(n: int) -> None:
    """Bands of rows, rows that are stacked in several goes, windows between edges, NaN."""
    rng = np.random.default_rng(n)
    largest, average = (getattr(F, f"{kind}_pool{n}d") for kind in ("max", "avg"))
    rows = [
        ((20, 20), (5, 5), (1, 1), (2, 2), (1, 1)),
        ((9, 150), (3, 3), (2, 2), (1, 1), (1, 1)),
        ((70, 3), (2, 2), (1, 1), (1, 0), (1, 1)),
        ((7, 33), (7, 3), (1, 2), (3, 1), (1, 3)),
        ((6, 40), (2, 4), (2, 3), (1, 2), (4, 2)),
        ((5, 1100), (3, 4), (3, 2), (0, 2), (2, 5)),
        ((40, 17), (11, 2), (4, 5), (5, 1), (2, 1)),
        ((3, 5), (3, 5), (1, 1), (1, 2), (1, 1)),
    ]
    for row in rows:
        size, kernel, stride, pad, dilation = ((*values[:1], *values)[-n:] for values in row)
        x = rng.standard_normal((2, 3, *size)).astype(np.float32)
        tx = torch.from_numpy(x)
        how = {"kernel_shape": kernel, "strides": stride, "pads": pad * 2, "opset": 22}
        over = {"kernel_size": kernel, "stride": stride, "padding": pad}
        check("MaxPool", [x], [largest(tx, dilation=dilation, **over).numpy()], dilations=dilation, **how)
        for count in (False, True):
            want = average(tx, count_include_pad=count, **over).numpy()
            check("AveragePool", [x], [want], 1e-6, count_include_pad=int(count), **how)
        x.reshape(-1)[rng.integers(0, x.size, 5)] = np.nan
        check("MaxPool", [x], [largest(tx, dilation=dilation, **over).numpy()], dilations=dilation, **how)
