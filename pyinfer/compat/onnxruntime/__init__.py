# SPDX-License-Identifier: Apache-2.0
"""The common calls of ONNX Runtime's Python package, run by pyinfer.

What cannot be honoured is said by a :class:`CompatWarning`, or is an error; docs/onnxruntime.md
lists what is covered and what differs.

>>> from pyinfer.compat import onnxruntime as ort
>>> from pyinfer import example
>>> session = ort.InferenceSession(example.model_path(), providers=["CPUExecutionProvider"])
>>> print(session.get_inputs()[0])
NodeArg(name='x', type='tensor(float)', shape=['batch', 1, 8, 8])
>>> session.run(None, {"x": example.pictures()[0]})[0].argmax(axis=1).tolist()
[0, 2, 3, 5, 7, 8]

Packages that import onnxruntime themselves run on pyinfer after :func:`install`.
"""

from __future__ import annotations

from . import capi
from ._binding import IOBinding
from ._devices import (
    OrtAllocatorType,
    OrtArenaCfg,
    OrtDevice,
    OrtMemoryInfo,
    OrtMemType,
    create_and_register_allocator,
    disable_telemetry_events,
    enable_telemetry_events,
    get_all_providers,
    get_available_providers,
    get_build_info,
    get_device,
    get_version_string,
    has_collective_ops,
    preload_dlls,
    set_default_logger_severity,
    set_default_logger_verbosity,
    set_seed,
)
from ._errors import CompatWarning
from ._install import install, uninstall
from ._nodes import ModelMetadata, NodeArg
from ._options import (
    ExecutionMode,
    ExecutionOrder,
    GraphOptimizationLevel,
    RunOptions,
    SessionOptions,
    set_global_thread_pool_sizes,
)
from ._session import InferenceSession
from ._values import OrtValue, copy_tensors

#: The version of ONNX Runtime whose calls these are; :func:`get_build_info` names pyinfer's.
__version__ = get_version_string()

__all__ = [
    "CompatWarning",
    "ExecutionMode",
    "ExecutionOrder",
    "GraphOptimizationLevel",
    "IOBinding",
    "InferenceSession",
    "ModelMetadata",
    "NodeArg",
    "OrtAllocatorType",
    "OrtArenaCfg",
    "OrtDevice",
    "OrtMemType",
    "OrtMemoryInfo",
    "OrtValue",
    "RunOptions",
    "SessionOptions",
    "__version__",
    "capi",
    "copy_tensors",
    "create_and_register_allocator",
    "disable_telemetry_events",
    "enable_telemetry_events",
    "get_all_providers",
    "get_available_providers",
    "get_build_info",
    "get_device",
    "get_version_string",
    "has_collective_ops",
    "install",
    "preload_dlls",
    "set_default_logger_severity",
    "set_default_logger_verbosity",
    "set_global_thread_pool_sizes",
    "set_seed",
    "uninstall",
]


def __getattr__(name: str) -> object:
    raise AttributeError(
        f"pyinfer.compat.onnxruntime has no {name!r}; docs/onnxruntime.md lists what is covered"
    )
