# SPDX-License-Identifier: Apache-2.0
"""Other engines beside pyinfer, each in a process of its own: neither their start nor their threads
hold up the window, and what they import cannot disturb this process."""

from __future__ import annotations

import importlib.util
import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

OURS = "pyinfer"
PACKAGES = {"ONNX Runtime": ("onnxruntime",), "PyTorch": ("torch", "onnx")}
KEPT = 120  # times a curve
PAUSE = (
    0.03  # seconds: worker threads of the engine before stop spinning, ONNX Runtime's after 20 ms
)
SHORT = 20.0  # milliseconds


class Answer(NamedTuple):
    """What an engine gave, and its milliseconds."""

    outputs: list[NDArray[Any]]
    ms: float


def installed() -> dict[str, bool]:
    """The engines, and whether their packages are here."""
    found = {
        name: all(importlib.util.find_spec(p) is not None for p in packages)
        for name, packages in PACKAGES.items()
    }
    return {OURS: True, **found}


class Peer:
    """An engine in a child process; the conversation is pickles over its pipes (peer.py)."""

    def __init__(self, engine: str, source: str | bytes, threads: int) -> None:
        self._file = None
        if isinstance(source, bytes):
            self._file = tempfile.NamedTemporaryFile(suffix=".onnx")  # noqa: SIM115
            self._file.write(source)
            self._file.flush()
            source = self._file.name
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "peer.py")
        self._child = subprocess.Popen(
            [sys.executable, script, engine, source, str(threads)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)  # fmt: skip
        try:
            self._ask(None)
        except BaseException:
            self.close()
            raise

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> Answer:
        """Raises RuntimeError with what the engine says if it cannot."""
        outputs, ms = self._ask(dict(feeds))
        return Answer(outputs, ms)

    def _ask(self, message: Any) -> Any:
        assert self._child.stdin and self._child.stdout
        try:
            pickle.dump(message, self._child.stdin)
            self._child.stdin.flush()
            worked, reply = pickle.load(self._child.stdout)
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            raise RuntimeError(f"its process ended: {error}") from None
        if not worked:
            raise RuntimeError(reply)
        return reply

    def close(self) -> None:
        """Ends the process."""
        self._child.kill()
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            try:
                if pipe:
                    pipe.close()
            except OSError:
                pass
        if self._file:
            self._file.close()


class ModuleEngine:
    """A torch module that the caller gave, in this process."""

    def __init__(self, module: Any, threads: int) -> None:
        import torch

        self._torch, self._module, self._threads = torch, module.eval(), threads

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> Answer:
        torch = self._torch
        before = torch.get_num_threads()
        torch.set_num_threads(self._threads)
        try:
            arguments = [torch.from_numpy(np.ascontiguousarray(a)) for a in feeds.values()]
            with torch.inference_mode():
                start = time.perf_counter()
                result = self._module(*arguments)
                ms = (time.perf_counter() - start) * 1e3
        finally:
            torch.set_num_threads(before)
        results = result if isinstance(result, list | tuple) else [result]
        return Answer([r.numpy() for r in results], ms)

    def close(self) -> None:
        self._module = None


def difference(ours: list[NDArray[Any]], theirs: list[NDArray[Any]]) -> float | None:
    """The largest difference of any number, or None if the outputs are of other shapes.

    >>> difference([np.array([1.0, 2.0])], [np.array([1.0, 2.5])])
    0.5
    """
    if len(ours) != len(theirs) or any(
        a.shape != b.shape for a, b in zip(ours, theirs, strict=True)
    ):
        return None
    gaps = [
        np.abs(a.astype(np.float64) - b.astype(np.float64)).max()
        for a, b in zip(ours, theirs, strict=True)
        if a.size and a.dtype.kind in "fiub" and b.dtype.kind in "fiub"
    ]
    return float(max(gaps, default=0.0))


class Row(NamedTuple):
    """An engine's line of the table: its answer of this round, or why it has none."""

    engine: str
    answer: Answer | None
    difference: float | None
    problem: str


class Comparison:
    """The same input through all engines, one after the other, round by round. `times` keeps each
    engine's milliseconds of the last rounds; the first run of each is not among them."""

    def __init__(self, opened: Any, module: Any = None) -> None:
        self.opened = opened
        self.times: dict[str, deque[float]] = {}
        self._module = module
        self._closed = False
        self._peers: dict[str, Peer | ModuleEngine] = {}
        self._problems: dict[str, str] = {}

    def start(self, engine: str) -> None:
        """Starts an engine; slow. A failure becomes its problem."""
        if engine == OURS or engine in self._peers or engine in self._problems:
            return
        try:
            if engine == "PyTorch" and self._module is not None:
                threads = self.opened.model.threads
                self._peers[engine] = ModuleEngine(self._module, threads)
            else:
                self._peers[engine] = Peer(engine, self.opened.source, self.opened.model.threads)
        except (RuntimeError, OSError, ImportError) as error:
            self._problems[engine] = str(error)
        if self._closed:
            self.close()

    def round(self, feeds: Mapping[str, Any], engines: list[str]) -> list[Row]:
        """One run of each of the engines that were started."""
        rows: list[Row] = []
        ours: list[NDArray[Any]] = []
        for engine in engines:
            answer: Answer | None = None
            time.sleep(PAUSE)
            try:
                answer = self._run(engine, feeds)
                fresh = engine not in self.times
                if answer and (fresh or answer.ms < SHORT):  # that one woke threads and caches
                    answer = self._run(engine, feeds)
            except RuntimeError as error:
                self._problems[engine] = str(error)
            if answer is None:
                rows.append(Row(engine, None, None, self._problems.get(engine, "")))
                continue
            if engine == OURS:
                ours = answer.outputs
            self.times.setdefault(engine, deque(maxlen=KEPT)).append(answer.ms)
            gap = None if engine == OURS else difference(ours, answer.outputs)
            rows.append(Row(engine, answer, gap, ""))
        return rows

    def _run(self, engine: str, feeds: Mapping[str, Any]) -> Answer | None:
        if engine != OURS:
            peer = self._peers.get(engine)
            return None if peer is None or engine in self._problems else peer.run(feeds)
        model = self.opened.model
        arrays = tuple(feeds[n] for n in model.input_names)
        start = time.perf_counter()
        outputs = model.run_tuple(arrays)
        ms = (time.perf_counter() - start) * 1e3
        return Answer([a for a in outputs if isinstance(a, np.ndarray)], ms)

    def median(self, engine: str) -> float | None:
        """Milliseconds, of the rounds that are kept."""
        times = sorted(self.times.get(engine, ()))
        return times[len(times) // 2] if times else None

    def close(self) -> None:
        """Ends all engines that were started, and those that start just now."""
        self._closed = True
        while self._peers:
            self._peers.popitem()[1].close()
