# SPDX-License-Identifier: Apache-2.0
"""IOBinding: inputs and outputs that stay from run to run."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ._devices import require_cpu
from ._errors import Fail, InvalidArgument, NotImplemented, RuntimeException
from ._values import OrtValue, numpy_type

if TYPE_CHECKING:
    from ._options import RunOptions
    from ._session import Session


def _array_at(address: int, element: Any, shape: Sequence[int]) -> np.ndarray:
    """The memory of the caller as an array; nothing keeps it alive."""
    dtype = numpy_type(element)
    if dtype.hasobject:
        raise RuntimeError("text cannot be bound by its address")
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if size == 0:
        return np.empty(shape, dtype)
    memory = memoryview((ctypes.c_char * size).from_address(address)).cast("B")
    return np.frombuffer(memory, np.uint8).view(dtype).reshape(shape)


def _shares(array: np.ndarray | None, values: tuple[Any, ...]) -> bool:
    """Whether an output's memory is an input's too, so that a run must not write there early."""
    arrays = [a for v in values for a in (v if isinstance(v, list) else [v])]
    return array is not None and any(
        a is not None and np.may_share_memory(array, a) for a in arrays
    )


def _write(array: np.ndarray, result: np.ndarray) -> None:
    if array.shape != result.shape or array.dtype != result.dtype:
        raise RuntimeError(
            f"the output is {result.dtype} {result.shape}, bound was {array.dtype} {array.shape}"
        )
    np.copyto(array, result)


class IOBinding:
    """Made by ``session.io_binding()``.

    >>> from pyinfer import example
    >>> from pyinfer.compat import onnxruntime as ort
    >>> session = ort.InferenceSession(example.model_path())
    >>> binding = session.io_binding()
    >>> binding.bind_cpu_input("x", example.pictures()[0])
    >>> binding.bind_output("probabilities")
    >>> session.run_with_iobinding(binding)
    >>> binding.copy_outputs_to_cpu()[0].shape
    (6, 10)
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._inputs: dict[str, Any] = {}
        self._outputs: dict[str, np.ndarray | None] = {}
        self._results: list[OrtValue] = []

    def bind_cpu_input(self, name: str, arr_on_cpu: np.ndarray) -> None:
        """The array is read in each run: what is written into it later counts."""
        if name not in self._session._types:
            raise RuntimeError(f"there is no input {name!r}")
        self._inputs[name] = arr_on_cpu

    def bind_input(
        self,
        name: str,
        device_type: str,
        device_id: int,
        element_type: Any,
        shape: Sequence[int],
        buffer_ptr: int,
    ) -> None:
        """Memory by its address; it has to stay."""
        require_cpu(device_type)
        self.bind_cpu_input(name, _array_at(buffer_ptr, element_type, shape))

    def bind_ortvalue_input(self, name: str, ortvalue: OrtValue) -> None:
        """The value is read in each run."""
        self.bind_cpu_input(name, ortvalue._value)

    def bind_output(
        self,
        name: str,
        device_type: str = "cpu",
        device_id: int = 0,
        element_type: Any = None,
        shape: Sequence[int] | None = None,
        buffer_ptr: int | None = None,
    ) -> None:
        """Memory by its address, which each run writes into; without one, each run makes it."""
        require_cpu(device_type)
        if buffer_ptr is None:
            self._bind(name, None)
        elif element_type is None or shape is None:
            raise ValueError("buffer_ptr needs element_type and shape")
        else:
            self._bind(name, _array_at(buffer_ptr, element_type, shape))

    def bind_ortvalue_output(self, name: str, ortvalue: OrtValue) -> None:
        """Each run writes into the value."""
        self._bind(name, ortvalue.numpy())

    def _bind(self, name: str, array: np.ndarray | None) -> None:
        if name not in self._session._places_of:
            raise RuntimeError(f"there is no output {name!r}")
        self._outputs[name] = array

    def synchronize_inputs(self) -> None:
        """Without effect: the CPU's memory is ready."""

    def synchronize_outputs(self) -> None:
        """Without effect: the CPU's memory is ready."""

    def get_outputs(self) -> list[OrtValue]:
        """The outputs of the last run, in the order in which they were bound."""
        return list(self._results)

    def copy_outputs_to_cpu(self) -> list[Any]:
        """Copies of the outputs of the last run, as arrays or lists of arrays."""
        values = [r._value for r in self._results]
        return [v.copy() if isinstance(v, np.ndarray) else v for v in values]

    def clear_binding_inputs(self) -> None:
        """No input is bound."""
        self._inputs.clear()

    def clear_binding_outputs(self) -> None:
        """No output is bound."""
        self._outputs.clear()
        self._results.clear()

    def _run(self, options: RunOptions | None) -> None:
        session = self._session
        if not self._outputs:
            raise RuntimeError("no output is bound")
        places = [session._places_of[n] for n in self._outputs]
        bound = [self._outputs.get(p.name) for p in session._outputs]
        try:
            values = session._feeds(self._inputs)
            shared = [_shares(array, values) for array in bound]
            out = tuple(None if s else a for a, s in zip(bound, shared, strict=True))
            results = session._run(values, out, options)
        except (Fail, InvalidArgument, NotImplemented, RuntimeException, ValueError) as error:
            raise RuntimeError(f"run_with_iobinding: {error}") from error
        for array, result, later in zip(bound, results, shared, strict=True):
            if later and array is not None:
                _write(array, result)
        results = tuple(r if a is None else a for a, r in zip(bound, results, strict=True))
        self._results = [OrtValue(results[i], session._outputs[i].dtype) for i in places]
