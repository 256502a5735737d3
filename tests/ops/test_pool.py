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
