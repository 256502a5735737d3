# SPDX-License-Identifier: Apache-2.0
"""NumPy arrays and torch tensors that share their memory; torch is imported when first needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch


def to_array(tensor: torch.Tensor) -> Any:
    """The tensor as an array around the same memory if it is a dense one on the CPU, else a copy.

    >>> import torch
    >>> t = torch.zeros(2, requires_grad=True)
    >>> a = to_array(t)
    >>> a[0] = 3
    >>> t.tolist()
    [3.0, 0.0]
    """
    import torch

    tensor = tensor.detach().cpu().resolve_conj().resolve_neg()
    if tensor.layout != torch.strided:
        tensor = tensor.to_dense()
    if tensor.dtype == torch.bfloat16:
        import ml_dtypes

        return tensor.contiguous().view(torch.uint16).numpy().view(ml_dtypes.bfloat16)
    return tensor.numpy()


def to_tensor(value: Any) -> Any:
    """An array as a tensor around the same memory; lists of arrays element by element, None and
    arrays of strings as they are.

    >>> to_tensor(np.zeros((2, 3), np.float32)).shape
    torch.Size([2, 3])
    """
    import torch

    if isinstance(value, list):
        return [to_tensor(v) for v in value]
    if not isinstance(value, np.ndarray) or value.dtype.kind in "OSU":
        return value
    if value.dtype.name == "bfloat16":
        return torch.from_numpy(value.view(np.uint16)).view(torch.bfloat16)
    return torch.from_numpy(value)
