# SPDX-License-Identifier: Apache-2.0
"""The engines that are compared, behind one call: load(path, threads) -> run(feeds) -> {name: array}.

Each is imported when it is asked for, so none is needed. All compute in float32 on the CPU with the
same number of threads, tuned for the latency of one request.
"""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
if list((ROOT / "pyinfer").glob("_core*.so")):  # built in place: that one is meant
    sys.path.insert(0, str(ROOT))

if sys.argv[1:2] != ["--child"] and importlib.util.find_spec("pyinfer"):  # a cold start is that of one engine
    import pyinfer  # noqa: F401 - before torch: what pyinfer tells OpenMP counts only if it is loaded by it

PEERS = ("onnxruntime", "openvino")  # torch eager is shown, not raced
PAUSE = 0.03  # seconds: worker threads of the engine before stop spinning

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
    return openvino_requests(path, threads, 1)[0]


def openvino_requests(path: Path, threads: int, streams: int) -> list[Run]:
    """One model and a request for each of `streams` streams, which have `threads` threads together."""
    import openvino

    config = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads,
              "PERFORMANCE_HINT": "LATENCY" if streams == 1 else "THROUGHPUT", "NUM_STREAMS": streams}  # fmt: skip
    compiled = openvino.Core().compile_model(str(path), "CPU", config)
    ports = [(o.get_any_name(), o) for o in compiled.outputs]

    def new_request() -> Run:
        request = compiled.create_infer_request()

        def run(feeds: Feeds) -> dict[str, np.ndarray]:
            result = request.infer(feeds, share_inputs=True, share_outputs=True)
            return {name: result[port] for name, port in ports}

        return run

    return [new_request() for _ in range(streams)]


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


def ready(what: str, engine: str, path: Path, threads: int, feeds: Feeds, streams: int = 1) -> list[Run]:
    """One loaded model: for each of `streams` Python threads a Run, which computes with `threads` threads and was run once.
    None if the engine refuses, which is said on stderr."""
    try:
        if engine == "openvino":
            runs = openvino_requests(path, threads * streams, streams)
        else:
            runs = [LOADERS[engine](path, threads)] * streams
        for run in runs:
            run(feeds)
        return runs
    except Exception as problem:
        print(f"{what}: {engine} refuses: {str(problem).strip()[:300]}", file=sys.stderr)
        return []


def installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def version(name: str) -> str:
    import importlib.metadata  # slow to import, and a cold start counts that

    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "from source"


def drop_missing(names: list[str]) -> list[str]:
    """Those that are installed; the others are named on stderr."""
    for name in names:
        if not installed(name):
            print(f"{name} is not installed", file=sys.stderr)
    return [name for name in names if installed(name)]


def turns(names: Sequence[str], seconds: float, least: int) -> Iterator[str]:
    """Whose turn it is: rounds over all names, beginning with another one each time; `least` rounds, or until `seconds` are
    over."""
    end = time.perf_counter() + seconds
    rounds = 0
    while names and (rounds < least or time.perf_counter() < end):
        first = rounds % len(names)
        yield from (*names[first:], *names[:first])
        rounds += 1


def race(
    runs: dict[str, Run], feeds: Feeds, seconds: float, *, pause: float, warm: int, share: float, least: int
) -> dict[str, list[float]]:
    """Seconds of single runs by engine. An engine's turn (see turns): `pause` seconds, in which the threads of the one before
    stop spinning, `warm` runs that bring data and code into the caches, one that tells how many fit into `share` seconds,
    then that many."""
    times: dict[str, list[float]] = {engine: [] for engine in runs}
    for engine in turns(list(runs), seconds, least):
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
    return times
