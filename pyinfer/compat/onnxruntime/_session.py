# SPDX-License-Identifier: Apache-2.0
"""InferenceSession: a pyinfer.Model behind ONNX Runtime's calls."""

from __future__ import annotations

import mmap
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..._core import PyinferError
from ...model import Model, Port, _load
from ._binding import IOBinding
from ._devices import CPU, get_available_providers
from ._errors import Fail, InvalidArgument, translated, translating, warn
from ._nodes import ELEMENTS, ModelMetadata, NodeArg, element_name, graph_texts, type_text
from ._options import RunOptions, SessionOptions
from ._trace import Trace
from ._values import OrtValue, dtype_name, numpy_type

_Providers = Sequence[str | tuple[str, Mapping[Any, Any]]]
_FOLDER = "session.model_external_initializers_file_folder_path"


def _provider_names(providers: _Providers | None, options: Sequence[Any] | None) -> list[str]:
    """The names; ValueError for what ONNX Runtime would refuse."""
    if isinstance(providers, str):
        providers = [providers]
    if options is not None and len(options) != len(providers or ()):
        raise ValueError("'providers' and 'provider_options' should be of the same length")
    names = []
    for one in providers or ():
        pair = isinstance(one, tuple) and len(one) == 2 and isinstance(one[1], Mapping)
        name = one[0] if pair else one
        if not isinstance(name, str) or (pair and options is not None):
            raise ValueError(f"provider {one!r}: expected a name, or a name and its options")
        names.append(name)
    return names


class Session:
    """What :class:`InferenceSession` can do."""

    _model: Model
    _options: SessionOptions
    _source: Any
    _trace: Trace | None = None

    # ---- what the model is ----

    def get_inputs(self) -> list[NodeArg]:
        """The inputs; those with a default value in the model are not among them."""
        return [NodeArg(p, self._options._fixed) for p in self._inputs]

    def get_outputs(self) -> list[NodeArg]:
        """The outputs, with the shapes that the file declares."""
        return [NodeArg(p, self._options._fixed) for p in self._outputs]

    def get_overridable_initializers(self) -> list[NodeArg]:
        """None: pyinfer takes weights from the model only."""
        return []

    def get_modelmeta(self) -> ModelMetadata:
        """What the model's file says of itself."""
        found = self._model.metadata
        custom = {k[5:]: v for k, v in found.items() if k.startswith("meta.")}
        name, text = self._graph_texts()
        return ModelMetadata(
            producer_name=found.get("producer_name", ""),
            graph_name=name,
            graph_description=text,
            domain=found.get("domain", ""),
            description=found.get("doc", ""),
            version=int(found.get("model_version", 0)),
            custom_metadata_map=custom,
        )

    def _graph_texts(self) -> tuple[str, str]:
        if self._model.plan_state != "none":
            return "", ""
        if isinstance(self._source, bytes):
            return graph_texts(self._source)
        try:
            with open(self._source, "rb") as file:
                with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                    return graph_texts(data)
        except (OSError, ValueError):  # it was removed after loading
            return "", ""

    # ---- where and how it runs ----

    def get_session_options(self) -> SessionOptions:
        """A copy of the options, as they were when the session was made."""
        return self._options

    def get_providers(self) -> list[str]:
        """["CPUExecutionProvider"]"""
        return [CPU]

    def get_provider_options(self) -> dict[str, dict[str, str]]:
        """The CPU has none."""
        return {CPU: {}}

    def set_providers(
        self, providers: _Providers | None = None, provider_options: Sequence[Any] | None = None
    ) -> None:
        """Warns of those that are not the CPU's."""
        self._warn_providers(_provider_names(providers, provider_options), 1)

    def _warn_providers(self, names: list[str], level: int) -> None:
        for name in names:
            if name not in get_available_providers():
                warn(f"there is no {name}: pyinfer runs on the CPU", level + 1)

    def enable_fallback(self) -> None:
        """Without effect: the CPU is what others fall back to."""

    def disable_fallback(self) -> None:
        """Without effect: the CPU is what others fall back to."""

    def set_ep_dynamic_options(self, options: Mapping[str, str]) -> None:
        """Says that they have no effect."""
        warn(f"options of providers have no effect: {', '.join(options)}", 1)

    # ---- running ----

    def run(
        self,
        output_names: Sequence[str] | None,
        input_feed: Mapping[str, Any],
        run_options: RunOptions | None = None,
    ) -> list[Any]:
        """Runs on arrays, lists or OrtValues by input name; gives arrays, or lists of arrays, in
        the order of the names, or of the model's outputs.

        Types have to be the model's. ValueError if an input is missing, InvalidArgument if
        something does not fit, Fail if the run fails."""
        places = self._places(output_names)
        results = self._run(self._feeds(input_feed), None, run_options)
        return [results[i] for i in places]

    def run_with_ort_values(
        self,
        output_names: Sequence[str] | None,
        input_dict_ort_values: Mapping[str, OrtValue],
        run_options: RunOptions | None = None,
    ) -> list[OrtValue]:
        """As run, from OrtValues to OrtValues."""
        places = self._places(output_names)
        results = self._run(self._feeds(input_dict_ort_values), None, run_options)
        return [OrtValue(results[i], self._outputs[i].dtype) for i in places]

    def run_async(
        self,
        output_names: Sequence[str] | None,
        input_feed: Mapping[str, Any],
        callback: Callable[[list[Any], Any, str], None],
        user_data: Any,
        run_options: RunOptions | None = None,
    ) -> None:
        """As run, in a thread of its own, which calls callback(results, user_data, error): either
        the results, or [] and a text."""
        self._check_missing(input_feed)

        def work() -> None:
            error = ""
            try:
                results = self.run(output_names, input_feed, run_options)
            except Exception as caught:
                results, error = [], str(caught) or type(caught).__name__
            callback(results, user_data, error)

        threading.Thread(target=work, name="pyinfer run_async", daemon=True).start()

    def io_binding(self) -> IOBinding:
        """A new one for this session."""
        return IOBinding(self)

    def run_with_iobinding(
        self, iobinding: IOBinding, run_options: RunOptions | None = None
    ) -> None:
        """Runs on what is bound; RuntimeError if something does not fit."""
        if iobinding._session is not self:
            raise ValueError("the IOBinding is another session's")
        iobinding._run(run_options)

    def create_ortvalue_from_shape_and_type(
        self,
        shape: Sequence[int],
        element_type: Any,
        device_type: str,
        device_id: int = 0,
        vendor_id: int = -1,
    ) -> OrtValue:
        """Memory for so many elements."""
        return OrtValue.ortvalue_from_shape_and_type(shape, element_type, device_type, device_id)

    # ---- profiling ----

    def end_profiling(self) -> str:
        """Writes the trace and gives the name of its file; "" without enable_profiling, or if it
        ended before."""
        trace, self._trace = self._trace, None
        return trace.write() if trace else ""

    def get_profiling_start_time_ns(self) -> int:
        """Of time.monotonic_ns; 0 without enable_profiling."""
        return self._started

    # ---- inside ----

    _started = 0
    _inputs: tuple[Port, ...]
    _outputs: tuple[Port, ...]
    _places_of: dict[str, int]

    def _places(self, names: Sequence[str] | None) -> Sequence[int]:
        if not names:
            return range(len(self._outputs))
        try:
            return [self._places_of[n] for n in names]
        except KeyError as missing:
            have = ", ".join(self._places_of)
            raise InvalidArgument(f"there is no output {missing}; the outputs are {have}") from None

    def _check_missing(self, given: Mapping[str, Any]) -> None:
        missing = [
            p.name
            for p in self._inputs
            if p.name not in given and not p.dtype.startswith("optional")
        ]
        if missing:
            have = ", ".join(map(str, given)) or "none"
            raise ValueError(f"required inputs are missing: {', '.join(missing)}; given: {have}")

    def _feeds(self, given: Mapping[str, Any]) -> tuple[Any, ...]:
        """The values in the model's order, of the model's types."""
        if self._plain and given.keys() == self._plain.keys():
            values = tuple(given[n] for n in self._plain)
            wanted = zip(values, self._plain.values(), strict=True)
            if all(type(v) is np.ndarray and v.dtype is d for v, d in wanted):
                return values
        self._check_missing(given)
        if len(given) > len(self._inputs) or not given.keys() <= self._types.keys():
            odd = [n for n in given if n not in self._types]
            have = ", ".join(self._types)
            raise InvalidArgument(
                f"{', '.join(map(str, odd))}: not an input that can be fed; the inputs are {have}"
            )
        return tuple(self._fit(p, given.get(p.name)) for p in self._inputs)

    _types: dict[str, str]
    _plain: dict[str, np.dtype[Any]]  # empty if some input wants more than a look at its type

    def _fit(self, port: Port, value: Any) -> Any:
        if isinstance(value, OrtValue):
            value = value._value
        if value is None and port.dtype.startswith("optional"):
            return None
        if "sequence" in port.dtype:
            if not isinstance(value, list | tuple):
                raise InvalidArgument(
                    f"input {port.name!r}: expected a list of arrays, got {type(value).__name__}"
                )
            return [self._fit_array(port, v) for v in value]
        return self._fit_array(port, value)

    def _fit_array(self, port: Port, value: Any) -> np.ndarray:
        want = element_name(port.dtype)
        if isinstance(value, list):
            value = np.array(value, numpy_type(ELEMENTS[want][0]))
        if not isinstance(value, np.ndarray):
            raise RuntimeError(
                f"input {port.name!r}: expected an array, got {type(value).__name__}"
            )
        if dtype_name(value.dtype) != want:
            raise InvalidArgument(
                f"input {port.name!r}: its type is {type_text(dtype_name(value.dtype))}, "
                f"expected {type_text(want)}"
            )
        if self._options._fixed and port.shape is not None:
            self._options._check_shape(port.name, port.shape, value.shape)
        return np.asarray(value, order="C")

    def _run(
        self, values: tuple[Any, ...], out: tuple[Any, ...] | None, options: RunOptions | None
    ) -> tuple[Any, ...]:
        if options is not None and options.terminate:
            raise Fail("the run was told to terminate before it started")
        trace = self._trace
        start = time.monotonic_ns()
        try:
            results = self._model.run_tuple(values, out)
        except PyinferError as error:
            raise translated(error) from error
        if trace:
            trace.add(self._model, values, start)
        return results


class InferenceSession(Session):
    """A model, loaded to be run.

    >>> from pyinfer import example
    >>> session = InferenceSession(example.model_path())
    >>> [y.shape for y in session.run(["probabilities"], {"x": example.pictures()[0]})]
    [(6, 10)]
    """

    def __init__(
        self,
        path_or_bytes: str | bytes | os.PathLike[str],
        sess_options: SessionOptions | None = None,
        providers: _Providers | None = None,
        provider_options: Sequence[Mapping[Any, Any]] | None = None,
        **kwargs: Any,
    ) -> None:
        """kwargs: those of ONNX Runtime, without effect.

        Raises NoSuchFile, InvalidProtobuf, InvalidGraph, NotImplemented (it lists all operators
        that are not supported)."""
        if isinstance(path_or_bytes, str | os.PathLike):
            self._source = os.path.abspath(os.fspath(path_or_bytes))
        elif isinstance(path_or_bytes, bytes):
            self._source = path_or_bytes
        else:
            raise TypeError(f"expected a path or bytes, got {type(path_or_bytes).__name__}")
        if sess_options is not None and not isinstance(sess_options, SessionOptions):
            raise TypeError(
                f"sess_options: expected SessionOptions, got {type(sess_options).__name__}"
            )
        names = _provider_names(providers, provider_options)
        options = self._options = sess_options._copy() if sess_options else SessionOptions()
        options._warn(1)
        self._warn_providers(names, 1)
        others = [n for n in (*names, *options._providers) if n != CPU]
        if others and options._entries.get("session.disable_cpu_ep_fallback") == "1":
            raise Fail(
                f"there is no {others[0]}, and the CPU is ruled out by disable_cpu_ep_fallback"
            )
        folder = options._entries.get(_FOLDER) if isinstance(self._source, bytes) else None
        self._model_path = None if isinstance(self._source, bytes) else self._source
        with translating():
            self._model = _load(self._source, options._load_options(), folder)
        self._inputs, self._outputs = self._model.inputs, self._model.outputs
        self._places_of = {p.name: i for i, p in enumerate(self._outputs)}
        self._types = {p.name: p.dtype for p in self._inputs}
        plain = not options._fixed and all(t in np.sctypeDict for t in self._types.values())
        self._plain = {n: np.dtype(t) for n, t in self._types.items()} if plain else {}
        if options.optimized_model_filepath:
            self._save(options.optimized_model_filepath)
        if options.enable_profiling:
            self._trace = Trace(options.profile_file_prefix)
            self._started = self._trace.start

    def _save(self, path: str) -> None:
        warn(f"{path} is written as a plan of pyinfer's: no other program reads it", 2)
        with translating():
            self._model.save(path)
