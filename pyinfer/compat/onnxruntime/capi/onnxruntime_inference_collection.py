# SPDX-License-Identifier: Apache-2.0
"""Where ONNX Runtime defines its Python classes."""

from .._binding import IOBinding
from .._devices import OrtDevice
from .._session import InferenceSession, Session
from .._values import OrtValue

__all__ = ["IOBinding", "InferenceSession", "OrtDevice", "OrtValue", "Session"]
