# SPDX-License-Identifier: Apache-2.0
"""The engines that are compared, behind one call: load(path, threads) -> run(feeds) -> {name: array}.

Each is imported when it is asked for, so none is needed. All compute in float32 on the CPU with the
same number of threads, tuned for the latency of one request.
"""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
if list((ROOT / "pyinfer").glob("_core*.so")):  # built in place: that one is meant
    sys.path.insert(0, str(ROOT))

if sys.argv[1:2] != ["--child"] and importlib.util.find_spec("pyinfer"):  # a cold start is that of one engine
    import pyinfer  # noqa: F401 - before torch: what pyinfer tells OpenMP counts only if it is loaded by it

Feeds = dict[str, np.ndarray]
Run = Callable[[Feeds], dict[str, np.ndarray]]


def load_pyinfer(path: Path, threads: int) -> Run:
    import pyinfer

    run: Run = pyinfer.load(str(path), threads=threads).run
    return run


def load_onnxruntime(path: Path, threads: int) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]

    def run(feeds: Feeds) -> dict[str, np.ndarray]:
        return dict(zip(names, session.run(None, feeds), strict=True))

    return run


def load_openvino(path: Path, threads: int) -> Run:
    import openvino

    config = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads,
              "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1}  # fmt: skip
    compiled = openvino.Core().compile_model(str(path), "CPU", config)
    request = compiled.create_infer_request()
    ports = [(o.get_any_name(), o) for o in compiled.outputs]

    def run(feeds: Feeds) -> dict[str, np.ndarray]:
        result = request.infer(feeds, share_inputs=True, share_outputs=True)
        return {name: result[port] for name, port in ports}

    return run


def wrap_torch(module: Any, outputs: tuple[str, ...], threads: int) -> Run:
    """PyTorch eager, given the module that was exported."""
    import torch

    def run(feeds: Feeds) -> dict[str, np.ndarray]:
        torch.set_num_threads(threads)
        with torch.inference_mode():
            y = module(*(torch.from_numpy(a) for a in feeds.values()))
        ys = y if isinstance(y, tuple) else (y,)
        return {name: v.numpy() for name, v in zip(outputs, ys, strict=True)}

    return run


LOADERS: dict[str, Callable[[Path, int], Run]] = {
    "pyinfer": load_pyinfer,
    "onnxruntime": load_onnxruntime,
    "openvino": load_openvino,
}


def installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def version(name: str) -> str:
    import importlib.metadata  # slow to import, and a cold start counts that

    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "from source"


def race(
    runs: dict[str, Run], feeds: Feeds, seconds: float, *, pause: float, warm: int, share: float, least: int
) -> dict[str, list[float]]:
    """Seconds of single runs by engine. Rounds go over all engines, beginning with another one each time; an engine's turn:
    `pause` seconds, in which the threads of the one before stop spinning, `warm` runs that bring data and code into the caches,
    one that tells how many fit into `share` seconds, then that many. `least` rounds, or until `seconds` are over."""
    times: dict[str, list[float]] = {engine: [] for engine in runs}
    order = list(runs)
    end = time.perf_counter() + seconds
    rounds = 0
    while order and (rounds < least or time.perf_counter() < end):
        for engine in order[rounds % len(order) :] + order[: rounds % len(order)]:
            run = runs[engine]
            time.sleep(pause)
            for _ in range(warm):
                run(feeds)
            start = time.perf_counter()
            run(feeds)
            once = time.perf_counter() - start
            for _ in range(max(1, min(200, int(share / once)))):
                start = time.perf_counter()
                run(feeds)
                times[engine].append(time.perf_counter() - start)
        rounds += 1
    return times
