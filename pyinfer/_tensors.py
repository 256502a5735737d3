# SPDX-License-Identifier: Apache-2.0
"""NumPy arrays and torch tensors that share their memory, and arrays that are made up for inputs;
torch is imported when first needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _core

if TYPE_CHECKING:
    import torch

    from .model import Port


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


def _type_of(port: Port) -> Any:
    try:
        return np.dtype("object" if port.dtype == "str" else port.dtype)
    except TypeError:
        pass
    try:
        import ml_dtypes

        return np.dtype(getattr(ml_dtypes, port.dtype))
    except (ImportError, AttributeError):
        raise _core.InputError(f"input {port} needs ml_dtypes: pip install ml_dtypes") from None


def is_mask(port: Port) -> bool:
    """Whether the input says which tokens are padding, by its name and type."""
    return "mask" in port.name.lower() and port.dtype in ("bool", "int32", "int64")


def made_up(port: Port, size: int = 1, value: str = "random") -> Any:
    """An array that fits an input; size: of dimensions that the model leaves open. value: "random"
    (always the same: a normal distribution, or 0 and 1 for other types than floats; ones for masks,
    as a text of nothing but padding has no meaning), "zeros" or "ones". Raises InputError for
    sequences, optionals and inputs of any rank."""
    if "(" in port.dtype:
        raise _core.InputError(f"input {port} is more than one array: run this model from Python")
    if port.shape is None:
        raise _core.InputError(f"input {port.name} may have any rank: give it as a .npy file")
    dims = [d if isinstance(d, int) else size for d in port.shape]
    dtype = _type_of(port)
    if dtype.kind == "O":
        return np.full(dims, "text", object)
    if value != "random" or is_mask(port):
        return np.full(dims, value != "zeros").astype(dtype)
    rng = np.random.default_rng(0)
    if "float" in port.dtype:
        return rng.standard_normal(dims).astype(dtype)
    return rng.integers(0, 2, dims).astype(dtype)
