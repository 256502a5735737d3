# SPDX-License-Identifier: Apache-2.0
"""What there is to run on: the CPU."""

from __future__ import annotations

import enum

from ... import _core
from ._errors import InvalidArgument, warn

CPU = "CPUExecutionProvider"


class OrtAllocatorType(enum.IntEnum):
    """Kept, and without effect: pyinfer has one allocator."""

    INVALID = -1
    ORT_DEVICE_ALLOCATOR = 0
    ORT_ARENA_ALLOCATOR = 1


class OrtMemType(enum.IntEnum):
    """Kept, and without effect: all memory is the CPU's."""

    CPU_INPUT = -2
    CPU_OUTPUT = -1
    CPU = -1
    DEFAULT = 0


class OrtMemoryInfo:
    """Names an allocator."""

    def __init__(
        self, name: str, allocator_type: OrtAllocatorType, device_id: int, mem_type: OrtMemType
    ) -> None:
        self.name = name
        self.allocator_type = allocator_type
        self.device_id = device_id
        self.mem_type = mem_type


class OrtArenaCfg:
    """Kept, and without effect: plans know their memory."""

    def __init__(self, *values: int | dict[str, int]) -> None:
        self.values = values


class OrtDevice:
    """The CPU; made by :meth:`make`.

    >>> OrtDevice.make("cpu", 0).device_id()
    0
    """

    def __init__(self, device_id: int) -> None:
        self._id = device_id

    @staticmethod
    def make(ort_device_name: str, device_id: int, vendor_id: int = -1) -> OrtDevice:
        """RuntimeError for anything but "cpu"."""
        require_cpu(ort_device_name)
        return OrtDevice(device_id)

    @staticmethod
    def cpu() -> int:
        """The number of this type of device."""
        return 0

    def device_id(self) -> int:
        """As given."""
        return self._id

    def device_type(self) -> int:
        """0: the CPU."""
        return 0

    def device_vendor_id(self) -> int:
        """0: none."""
        return 0

    def device_mem_type(self) -> int:
        """0: the default."""
        return 0


def require_cpu(device: str) -> None:
    """RuntimeError, as from an ONNX Runtime built for CPUs, if the device is another one."""
    if device.lower() != "cpu":
        raise RuntimeError(f"pyinfer has no memory on the device {device!r}: it runs on the CPU")


def get_available_providers() -> list[str]:
    """["CPUExecutionProvider"]"""
    return [CPU]


def get_all_providers() -> list[str]:
    """["CPUExecutionProvider"]"""
    return [CPU]


def get_device() -> str:
    """ "CPU" """
    return "CPU"


def get_version_string() -> str:
    """The version of ONNX Runtime whose calls these are."""
    return "1.32.0"


def get_build_info() -> str:
    """pyinfer and its version."""
    return f"pyinfer {_core.version}"


def has_collective_ops() -> bool:
    """False."""
    return False


def set_default_logger_severity(severity: int) -> None:
    """Checked, and without effect: pyinfer writes no log."""
    if not 0 <= severity <= 4:
        raise RuntimeError(f"severity is {severity}, expected 0 (verbose) to 4 (fatal)")


def set_default_logger_verbosity(verbosity: int) -> None:
    """Without effect: pyinfer writes no log."""


def enable_telemetry_events() -> None:
    """Without effect: there is no telemetry."""


def disable_telemetry_events() -> None:
    """Without effect: there is no telemetry."""


def preload_dlls(cuda: bool = True, cudnn: bool = True, directory: object = None) -> None:
    """Without effect: there are no libraries of GPUs to load."""


def set_seed(seed: int) -> None:
    """Says that random operators without the attribute seed stay unpredictable."""
    warn("set_seed: random operators draw by their own attribute seed only", 1)


def create_and_register_allocator(info: OrtMemoryInfo, config: OrtArenaCfg | None) -> None:
    """Without effect on the CPU; InvalidArgument for other memory."""
    if info.name.lower() != "cpu":
        raise InvalidArgument(f"there is no memory named {info.name!r}: pyinfer runs on the CPU")
