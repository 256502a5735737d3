# SPDX-License-Identifier: Apache-2.0
"""The engine under test.

With PYINFER_TEST_ENGINE=onnxruntime the same tests run on ONNX Runtime: what fails there is a
mistake of the test.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np


class OnnxRuntime:
    """ONNX Runtime with the calls of a pyinfer model that the tests use."""

    def __init__(self, path: str | Path, threads: int = 2) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        names = [o.name for o in self.session.get_outputs()]
        return dict(zip(names, self.session.run(None, feeds), strict=True))

    def __call__(self, *xs: np.ndarray) -> Any:
        names = [i.name for i in self.session.get_inputs()]
        ys = tuple(self.run(dict(zip(names, xs, strict=True))).values())
        return ys if len(ys) > 1 else ys[0]


def load(path: str | Path, threads: int = 2) -> Any:
    if os.environ.get("PYINFER_TEST_ENGINE") == "onnxruntime":
        return OnnxRuntime(path, threads)
    import pyinfer

    return pyinfer.load(path, threads=threads)


def error(got: np.ndarray, want: np.ndarray) -> float:
    """The largest difference as a share of the largest wanted value; infinite for other shapes or NaN."""
    if got.shape != want.shape or got.dtype != want.dtype:
        return float("inf")
    if want.size == 0:
        return 0.0
    difference = float(np.abs(got.astype(np.float64) - want).max())
    return difference / max(float(np.abs(want).max()), 1e-30) if np.isfinite(difference) else float("inf")
