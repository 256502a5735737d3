# SPDX-License-Identifier: Apache-2.0
"""Nodes about which an implementation was wrong once: what the differential tests found, and what was mended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class Found:
    name: str
    since: int  # the opset
    inputs: list[np.ndarray | None]
    attrs: dict[str, Any] = field(default_factory=dict)
    outputs: int = 1
    why: str = ""


FOUND: list[Found] = []
