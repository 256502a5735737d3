# SPDX-License-Identifier: Apache-2.0
"""Options of sessions and runs: what each means to pyinfer, and what none can mean."""

from __future__ import annotations

import enum
import operator
import os
from collections.abc import Mapping
from typing import Any, NoReturn

from . import _errors
from ._devices import CPU
from ._errors import InvalidArgument, warn


class GraphOptimizationLevel(enum.IntEnum):
    """pyinfer's option level: 0 for ORT_DISABLE_ALL, 1 for ORT_ENABLE_BASIC, 2 for the others."""

    ORT_DISABLE_ALL = 0
    ORT_ENABLE_BASIC = 1
    ORT_ENABLE_EXTENDED = 2
    ORT_ENABLE_LAYOUT = 3
    ORT_ENABLE_ALL = 99

    __str__ = enum.Enum.__str__


class ExecutionMode(enum.IntEnum):
    """pyinfer runs node after node: ORT_PARALLEL is answered by a warning."""

    ORT_SEQUENTIAL = 0
    ORT_PARALLEL = 1

    __str__ = enum.Enum.__str__


class ExecutionOrder(enum.IntEnum):
    """Kept, and without effect: any order gives the same results."""

    DEFAULT = 0
    PRIORITY_BASED = 1
    MEMORY_EFFICIENT = 2

    __str__ = enum.Enum.__str__


_pool = 0  # threads of sessions that share a pool; 0: as many as the process may use


def set_global_thread_pool_sizes(intra_op_num_threads: int, inter_op_num_threads: int) -> None:
    """The threads of sessions whose option use_per_session_threads is False."""
    global _pool
    _pool = intra_op_num_threads


class _Options:
    """Attributes of fixed names and types, and a dictionary of entries."""

    _defaults: dict[str, Any] = {}
    _what = ""

    def __init__(self) -> None:
        for name, value in self._defaults.items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "_entries", {})

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self._defaults:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        kind = type(self._defaults[name])
        if kind is int:
            value = operator.index(value)
        elif kind is bool:
            value = bool(value)
        elif kind is str:
            value = os.fspath(value)
        if not isinstance(value, kind):
            raise TypeError(f"{name} is {value!r}, expected {kind.__name__}")
        object.__setattr__(self, name, value)

    def _add(self, key: str, value: str) -> None:
        if not isinstance(key, str) or not isinstance(value, str):
            raise TypeError(f"the entry {key!r}: {value!r} is not two strings")
        self._entries[key] = value

    def _get(self, key: str) -> str:
        try:
            return self._entries[key]
        except KeyError:
            raise RuntimeError(f"{type(self).__name__} has no entry {key!r}") from None

    _entries: dict[str, str]


class RunOptions(_Options):
    """Options of one run. terminate=True, set before a run starts, makes it raise Fail; all else
    is kept, and without effect."""

    log_severity_level: int
    log_verbosity_level: int
    logid: str
    only_execute_path_to_fetches: bool
    terminate: bool

    _defaults = {
        "log_severity_level": -1,
        "log_verbosity_level": 0,
        "logid": "",
        "only_execute_path_to_fetches": False,
        "terminate": False,
    }

    def add_run_config_entry(self, key: str, value: str) -> None:
        """Keeps it, without effect."""
        self._add(key, value)

    def get_run_config_entry(self, key: str) -> str:
        """RuntimeError if it was not added."""
        return self._get(key)

    def add_active_adapter(self, adapter: object) -> NoReturn:
        """There are no adapters."""
        raise _errors.NotImplemented("pyinfer has no LoRA adapters: merge them into the model")


#: Entries of the session that act on speed, memory or logs only, by their beginning.
_HARMLESS = (
    "session.intra_op",
    "session.inter_op",
    "session.dynamic_block_base",
    "session.force_spinning_stop",
    "session.use_env_allocators",
    "session.use_device_allocator_for_initializers",
    "session.use_memory_efficient_execution_order",
    "session.use_ort_model_bytes",
    "session.disable_prepacking",
    "session.save_prepacked",
    "session.load_model_format",
    "session.save_model_format",
    "session.model_external_initializers_file_folder_path",
    "session.disable_cpu_ep_fallback",
    "session.disable_aot_function_inlining",
    "session.graph_optimizations",
)


class SessionOptions(_Options):
    """Options of a session; docs/onnxruntime.md says what each does.

    >>> options = SessionOptions()
    >>> options.intra_op_num_threads = 1
    >>> options.graph_optimization_level = GraphOptimizationLevel.ORT_ENABLE_ALL
    """

    enable_cpu_mem_arena: bool
    enable_mem_pattern: bool
    enable_mem_reuse: bool
    enable_profiling: bool
    execution_mode: ExecutionMode
    execution_order: ExecutionOrder
    graph_optimization_level: GraphOptimizationLevel
    inter_op_num_threads: int
    intra_op_num_threads: int
    log_severity_level: int
    log_verbosity_level: int
    logid: str
    optimized_model_filepath: str
    profile_file_prefix: str
    use_deterministic_compute: bool
    use_per_session_threads: bool

    _defaults = {
        "enable_cpu_mem_arena": True,
        "enable_mem_pattern": True,
        "enable_mem_reuse": True,
        "enable_profiling": False,
        "execution_mode": ExecutionMode.ORT_SEQUENTIAL,
        "execution_order": ExecutionOrder.DEFAULT,
        "graph_optimization_level": GraphOptimizationLevel.ORT_ENABLE_ALL,
        "inter_op_num_threads": 0,
        "intra_op_num_threads": 0,
        "log_severity_level": -1,
        "log_verbosity_level": 0,
        "logid": "",
        "optimized_model_filepath": "",
        "profile_file_prefix": "onnxruntime_profile_",
        "use_deterministic_compute": False,
        "use_per_session_threads": True,
    }
    _fixed: dict[str, int]
    _providers: list[str]

    def __init__(self) -> None:
        super().__init__()
        object.__setattr__(self, "_fixed", {})
        object.__setattr__(self, "_providers", [])

    def _copy(self) -> SessionOptions:
        twin = SessionOptions()
        for name in self._defaults:
            object.__setattr__(twin, name, getattr(self, name))
        twin._entries.update(self._entries)
        twin._fixed.update(self._fixed)
        twin._providers.extend(self._providers)
        return twin

    def add_session_config_entry(self, key: str, value: str) -> None:
        """Keeps it; warns if it means something that pyinfer does not do."""
        self._add(key, value)
        if not key.startswith(_HARMLESS):
            warn(f"the session's entry {key} has no effect", 1)
        elif key == "session.load_model_format" and value != "ONNX":
            raise _errors.NotImplemented(f"pyinfer reads models of the format ONNX, not {value}")

    def get_session_config_entry(self, key: str) -> str:
        """RuntimeError if it was not added."""
        return self._get(key)

    def add_free_dimension_override_by_name(self, name: str, size: int) -> None:
        """The symbolic dimension has this size: shapes say so, and other inputs are refused."""
        self._fixed[name] = operator.index(size)

    def add_free_dimension_override_by_denotation(self, denotation: str, size: int) -> NoReturn:
        """pyinfer reads no denotations."""
        raise _errors.NotImplemented(
            "give the dimension's name to add_free_dimension_override_by_name"
        )

    def add_provider(self, name: str, options: Mapping[str, str]) -> None:
        """Warns if it is not the CPU's."""
        self._providers.append(name)
        if name != CPU:
            warn(f"there is no {name}: pyinfer runs on the CPU", 1)

    def has_providers(self) -> bool:
        """Whether add_provider was called."""
        return bool(self._providers)

    def add_initializer(self, name: str, value: object) -> NoReturn:
        """Weights come from the model only."""
        raise _errors.NotImplemented(f"pyinfer takes {name!r} from the model only")

    def add_external_initializers(self, names: object, values: object) -> NoReturn:
        """Weights come from the model and its folder only."""
        raise _errors.NotImplemented("pyinfer takes external data from the model's folder only")

    def add_external_initializers_from_files_in_memory(
        self, names: object, buffers: object, sizes: object
    ) -> NoReturn:
        """Weights come from the model and its folder only."""
        raise _errors.NotImplemented("pyinfer takes external data from the model's folder only")

    def register_custom_ops_library(self, path: str) -> NoReturn:
        """Libraries made for ONNX Runtime run in it alone."""
        raise _errors.NotImplemented(
            f"{path}: pyinfer cannot run ONNX Runtime's libraries of operators"
        )

    def _load_options(self) -> dict[str, int]:
        """pyinfer's options."""
        threads = self.intra_op_num_threads if self.use_per_session_threads else _pool
        level = int(self.graph_optimization_level)
        options = {"level": min(level, 2)} if level != GraphOptimizationLevel.ORT_ENABLE_ALL else {}
        if threads > 0:
            options["threads"] = threads
        return options

    def _warn(self, level: int) -> None:
        """Says once a session what cannot be honoured."""
        if self.execution_mode != ExecutionMode.ORT_SEQUENTIAL:
            warn(
                "execution_mode has no effect: nodes run one after the other, each on all threads",
                level + 1,
            )

    def _check_shape(
        self, name: str, symbols: tuple[int | str | None, ...], shape: tuple[int, ...]
    ) -> None:
        """InvalidArgument if a dimension has another size than its override."""
        for axis, symbol in enumerate(symbols[: len(shape)]):
            want = self._fixed.get(symbol) if isinstance(symbol, str) else None
            if want is not None and shape[axis] != want:
                raise InvalidArgument(
                    f"input {name!r}: {symbol!r} is {shape[axis]}, but was set to {want}"
                )
