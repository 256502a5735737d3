# SPDX-License-Identifier: Apache-2.0
"""What all tests share: which pyinfer is tested, Hypothesis, and data files out of packages."""

import gc
import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from support.packages import package_file as find_package_file

ROOT = Path(__file__).resolve().parents[1]

# `python -m pytest` puts the source tree first: without a built module in it, the installed package is meant.
if not list((ROOT / "pyinfer").glob("_core*.so")):
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]

settings.register_profile(
    "pyinfer",
    deadline=None,  # shared machines: no assertion on time
    derandomize=bool(os.environ.get("CI")),
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("pyinfer")


def pytest_report_header() -> str:
    spec = importlib.util.find_spec("pyinfer")
    where = list(spec.submodule_search_locations or []) if spec else "not installed"
    return f"pyinfer: {where}"


def pytest_collection_finish() -> None:
    """Tests and the suite's cases are 700,000 objects, which gc.collect() in a test need not walk."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def package_file() -> Callable[[str, str], Path]:
    """package_file("rapidocr==3.10.0", "rapidocr/models/*det*.onnx"): a data file out of a PyPI package."""
    return find_package_file
