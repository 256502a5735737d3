# SPDX-License-Identifier: Apache-2.0
"""OrtValue: an array, a list of arrays, or nothing, with its ONNX type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ._devices import OrtMemoryInfo, require_cpu
from ._nodes import ELEMENTS, element_name, type_text

_NAMES = {number: name for name, (number, _) in ELEMENTS.items()}


def dtype_name(dtype: np.dtype[Any]) -> str:
    """pyinfer's name of a NumPy type; all kinds of text are "str"."""
    return "str" if dtype.kind in "OUS" else str(dtype.name)


def numpy_type(element: Any) -> np.dtype[Any]:
    """The NumPy type of a NumPy type or of ONNX's number of one; RuntimeError if there is none."""
    found: np.dtype[Any]
    if not isinstance(element, int):
        found = np.dtype(element)
        return found
    name = _NAMES.get(element)
    if name is None:
        raise RuntimeError(f"{element} is no element type of ONNX")
    if name == "str":
        return np.dtype(object)
    try:
        return np.dtype(name)
    except TypeError:
        pass
    try:
        import ml_dtypes
    except ImportError:
        raise RuntimeError(f"arrays of {name} need the package ml_dtypes") from None
    found = np.dtype(getattr(ml_dtypes, name))
    return found


class OrtValue:
    """A value of a model in the memory of the CPU.

    >>> value = OrtValue.ortvalue_from_numpy(np.zeros((2, 3), np.float32))
    >>> value.shape(), value.data_type(), value.device_name()
    ([2, 3], 'tensor(float)', 'cpu')
    """

    def __init__(self, value: Any, dtype: str) -> None:
        """value: as pyinfer has it, dtype: pyinfer's name of its type; use the class methods."""
        self._value = value
        self._dtype = dtype

    @classmethod
    def ortvalue_from_numpy(
        cls,
        numpy_obj: np.ndarray,
        /,
        device_type: str = "cpu",
        device_id: int = 0,
        vendor_id: int = -1,
    ) -> OrtValue:
        """Shares the array's memory if that is C-contiguous. RuntimeError for other devices."""
        require_cpu(device_type)
        return cls(np.asarray(numpy_obj, order="C"), dtype_name(numpy_obj.dtype))

    @classmethod
    def ortvalue_from_numpy_with_onnx_type(
        cls, data: np.ndarray, /, onnx_element_type: int
    ) -> OrtValue:
        """The array's bytes seen as elements of another type of the same size."""
        want = numpy_type(onnx_element_type)
        if want.itemsize != data.dtype.itemsize or want.hasobject:
            raise RuntimeError(f"elements of {data.dtype} cannot be seen as {want}")
        return cls.ortvalue_from_numpy(np.asarray(data, order="C").view(want))

    @classmethod
    def ortvalue_from_shape_and_type(
        cls,
        shape: Sequence[int],
        element_type: Any,
        device_type: str = "cpu",
        device_id: int = 0,
        vendor_id: int = -1,
        memory_info: OrtMemoryInfo | None = None,
    ) -> OrtValue:
        """Memory for so many elements of a NumPy type, or of ONNX's number of one."""
        return cls.ortvalue_from_numpy(np.zeros(shape, numpy_type(element_type)), device_type)

    @classmethod
    def from_dlpack(cls, data: Any, /) -> OrtValue:
        """Shares the memory of an object that has ``__dlpack__``, such as a tensor of PyTorch."""
        return cls.ortvalue_from_numpy(np.from_dlpack(data))

    def _tensor(self) -> np.ndarray:
        if not isinstance(self._value, np.ndarray):
            raise RuntimeError(f"this value is no tensor, but {self.data_type()}")
        return self._value

    def numpy(self) -> Any:
        """The array itself, not a copy; RuntimeError if this is no tensor."""
        return self._tensor()

    def shape(self) -> list[int]:
        """RuntimeError if this is no tensor."""
        return list(self._tensor().shape)

    def data_type(self) -> str:
        """Such as "tensor(int64)"."""
        return type_text(self._dtype)

    def element_type(self) -> int:
        """ONNX's number of the element type."""
        return ELEMENTS[element_name(self._dtype)][0]

    def tensor_size_in_bytes(self) -> int:
        """RuntimeError if this is no tensor."""
        return self._tensor().nbytes

    def data_ptr(self) -> int:
        """The address of the first element."""
        return self._tensor().ctypes.data

    def device_name(self) -> str:
        """ "cpu" """
        return "cpu"

    def has_value(self) -> bool:
        """Whether this is more than an absent optional."""
        return self._value is not None

    def is_tensor(self) -> bool:
        """Whether this is an array."""
        return isinstance(self._value, np.ndarray)

    def is_tensor_sequence(self) -> bool:
        """Whether this is a list of arrays."""
        return isinstance(self._value, list) and "map(" not in self._dtype

    def is_sparse_tensor(self) -> bool:
        """False."""
        return False

    def update_inplace(self, data: np.ndarray | OrtValue) -> None:
        """Copies elements of the same type and number into this value's memory."""
        array, own = data.numpy() if isinstance(data, OrtValue) else data, self._tensor()
        if not isinstance(array, np.ndarray):
            raise TypeError(f"expected an array or an OrtValue, got {type(array).__name__}")
        if array.dtype != own.dtype or array.size != own.size:
            raise RuntimeError(
                f"expected {own.size} elements of {own.dtype}, got {array.size} of {array.dtype}"
            )
        np.copyto(own, array.reshape(own.shape))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self._tensor() if dtype is None else self._tensor().astype(dtype, copy=False)
        return array.copy() if copy and array is self._value else array

    def __dlpack__(self, **kwargs: Any) -> Any:
        return self._tensor().__dlpack__(**kwargs)

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0


def copy_tensors(src: Sequence[OrtValue], dst: Sequence[OrtValue], stream: None = None) -> None:
    """Copies each value into the one at the same place of `dst`."""
    for one, other in zip(src, dst, strict=True):
        other.update_inplace(one)
