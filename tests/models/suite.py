# SPDX-License-Identifier: Apache-2.0
"""The conformance suite of the package onnx, on pyinfer.backend.

`python -m models.suite [PATTERN]` in tests/ runs it, prints what passed of each kind, and each failure in a line.
"""

from __future__ import annotations

import collections
import fnmatch
import functools
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from onnx.backend.test.runner import Runner

from models.left_out import LEFT_OUT, RANDOM
from pyinfer.backend import PyinferBackend

# The nine real models stand inside the package without their weights, beside the outputs that the weights they then
# generate must give. The runner writes inputs and outputs to this folder before it compares.
MODELS = tempfile.TemporaryDirectory(prefix="pyinfer-onnx-models-")

KINDS = {
    "OnnxBackendNodeModelTest": "node",
    "OnnxBackendSimpleModelTest": "simple",
    "OnnxBackendPyTorchOperatorModelTest": "pytorch-operator",
    "OnnxBackendPyTorchConvertedModelTest": "pytorch-converted",
    "OnnxBackendRealModelTest": "real",
}


class TwoThreads(PyinferBackend):
    """Nothing is skipped for not being supported: it fails."""

    @classmethod
    def is_compatible(cls, model: Any, device: str = "CPU", **kwargs: Any) -> bool:
        return True

    @classmethod
    def prepare(cls, model: Any, device: str = "CPU", **kwargs: Any) -> Any:
        kwargs.pop("rtol", None)
        kwargs.pop("atol", None)
        return super().prepare(model, device, threads=2, **kwargs)


class StrictRunner(Runner):
    """The suite's runner; it also compares the lengths of sequences, and absent optionals."""

    @classmethod
    def assert_similar_outputs(
        cls,
        ref_outputs: Sequence[Any],
        outputs: Sequence[Any],
        rtol: float,
        atol: float,
        model_dir: str | None = None,
    ) -> None:
        assert len(outputs) == len(ref_outputs)
        for got, want in zip(outputs, ref_outputs, strict=True):
            if want is None:
                assert got is None
            elif isinstance(want, list):
                assert isinstance(got, list)
                cls.assert_similar_outputs(want, got, rtol, atol, model_dir)
            else:
                want = np.asarray(want)
                if (
                    want.dtype.kind in "US"
                ):  # a string is a Python object here, at most an array of them
                    want = want.astype(object)
                super().assert_similar_outputs([want], [got], rtol, atol, model_dir)


def cases() -> dict[str, tuple[str, Callable[..., None]]]:
    """By name: the kind of a case, and a function that runs it and raises what is wrong; rtol and atol, where
    given, are taken instead of the suite's."""
    os.environ["ONNX_MODELS"] = MODELS.name
    found = {}
    for category, tests in StrictRunner(TwoThreads, __name__).test_cases.items():
        for name, function in vars(tests).items():
            if name.startswith("test_") and name.endswith("_cpu"):
                found[name.removesuffix("_cpu")] = (
                    KINDS[category],
                    functools.partial(function, None),
                )
    return found


def left_out(name: str) -> str | None:
    """Why a case is left out, or None."""
    for reason, patterns in LEFT_OUT.items():
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
            return reason
    return None


def main(pattern: str = "*") -> None:
    total: collections.Counter[str] = collections.Counter()
    passed: collections.Counter[str] = collections.Counter()
    for name, (kind, run) in cases().items():
        if not fnmatch.fnmatchcase(name, pattern):
            continue
        total[kind] += 1
        try:
            run()
            passed[kind] += 1
            if left_out(name) not in (None, RANDOM):
                print(f"{name}: passes, take it out of models/left_out.py")
        except Exception as error:
            listed = "left out" if left_out(name) else "NOT LISTED"
            print(f"{name}: {listed}: {' '.join(str(error).split())[:200]}")
    for kind in total:
        print(f"{kind}: {passed[kind]} of {total[kind]}")
    print(f"{sum(passed.values())} of {sum(total.values())}")


if __name__ == "__main__":
    main(*sys.argv[1:])
