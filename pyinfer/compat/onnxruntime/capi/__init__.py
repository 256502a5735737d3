# SPDX-License-Identifier: Apache-2.0
"""``onnxruntime.capi``: where ONNX Runtime keeps its exceptions."""

from . import _pybind_state as _pybind_state
from . import onnxruntime_inference_collection as onnxruntime_inference_collection
from . import onnxruntime_pybind11_state as onnxruntime_pybind11_state
