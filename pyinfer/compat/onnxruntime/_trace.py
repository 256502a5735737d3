# SPDX-License-Identifier: Apache-2.0
"""What enable_profiling writes: a trace for chrome://tracing, as ONNX Runtime's."""

from __future__ import annotations

import json
import os
import threading
import time
from typing import Any

from ...model import Model


class Trace:
    """Events of one session. Nodes are measured in one more run for each new set of shapes."""

    def __init__(self, prefix: str) -> None:
        self.start = time.monotonic_ns()
        self._path = (
            f"{prefix}_{time.strftime('%Y-%m-%d_%H-%M-%S')}_{self.start // 10**6 % 1000:03}.json"
        )
        self._events: list[dict[str, Any]] = []
        self._seen: set[Any] = set()
        self._lock = threading.Lock()

    def _event(self, kind: str, name: str, start: float, ns: float, args: dict[str, Any]) -> None:
        row = {"cat": kind, "pid": os.getpid(), "tid": threading.get_native_id(), "ph": "X"}
        at = (start - self.start) / 1e3
        self._events.append({**row, "name": name, "ts": at, "dur": ns / 1e3, "args": args})

    def add(self, model: Model, values: tuple[Any, ...], start: int) -> None:
        """A run that began at `start` and has just ended."""
        end = time.monotonic_ns()
        shapes = tuple(getattr(v, "shape", None) for v in values)
        with self._lock:
            self._event("Session", "model_run", start, end - start, {})
            if shapes in self._seen:
                return
            self._seen.add(shapes)
            for row in model.steps(values, 1)[0][0]:
                args = {
                    "op_name": row["op"],
                    "provider": "CPUExecutionProvider",
                    **{k: row[k] for k in ("impl", "shapes")},
                }
                name = f"{row['name'] or row['op']}_kernel_time"
                self._event("Node", name, end + row["start_ns"], row["ns"], args)

    def write(self) -> str:
        """The name of the file."""
        with self._lock, open(self._path, "w", encoding="utf-8") as file:
            json.dump(self._events, file)
        return self._path
