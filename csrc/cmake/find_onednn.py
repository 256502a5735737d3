# SPDX-License-Identifier: Apache-2.0
"""Prints the prefix where pip put onednn-devel-cpu-gomp; nothing if it is not installed."""

import importlib.metadata
from pathlib import Path

HEADER = "include/oneapi/dnnl/dnnl_version.h"

try:
    files = importlib.metadata.files("onednn-devel-cpu-gomp") or []
except importlib.metadata.PackageNotFoundError:
    files = []
for file in files:
    if file.as_posix().endswith(HEADER):
        print(Path(file.locate()).resolve().parents[3])
