# SPDX-License-Identifier: Apache-2.0
"""What one call costs when there is next to nothing to compute: a Relu of 16 floats.

    python benchmarks/overhead.py [--seconds 3]

Ways of calling take turns in blocks of 1,000 calls. The median block counts; the fastest block is
what the call costs when no neighbour disturbs it. The ratio is that of medians, to ONNX Runtime's.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bars
import engines
import numpy as np

CALLS = 1000
PEER = "onnxruntime: session.run(None, {...})"


def write_model(path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    x, y = (helper.make_tensor_value_info(k, TensorProto.FLOAT, [16]) for k in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", [x], [y])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def ways(path: Path, x: np.ndarray) -> dict[str, Callable[[], Any]]:
    """Every way of calling, with one thread."""
    found: dict[str, Callable[[], Any]] = {"numpy: np.maximum(x, 0)": lambda: np.maximum(x, 0)}
    feeds = {"x": x}
    if engines.installed("pyinfer"):
        import pyinfer

        model = pyinfer.load(str(path), threads=1)
        found["pyinfer: m(x)"] = lambda: model(x)
        found["pyinfer: m.run({...})"] = lambda: model.run(feeds)
    if engines.installed("onnxruntime"):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
        found[PEER] = lambda: session.run(None, feeds)
    if engines.installed("openvino"):
        import openvino

        config = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY"}
        request = openvino.Core().compile_model(str(path), "CPU", config).create_infer_request()
        found["openvino: request.infer({...})"] = lambda: request.infer(feeds, share_inputs=True, share_outputs=True)
    if engines.installed("torch"):
        import torch

        tensor = torch.from_numpy(x)

        def by_torch() -> Any:
            with torch.inference_mode():
                return torch.relu(tensor).numpy()

        found["torch: relu(x).numpy()"] = by_torch
    return found


def block(call: Callable[[], Any]) -> float:
    """Microseconds of one call."""
    start = time.perf_counter()
    for _ in range(CALLS):
        call()
    return (time.perf_counter() - start) / CALLS * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5, help="for all ways together")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    x = np.linspace(-1, 1, 16, dtype=np.float32)
    with tempfile.TemporaryDirectory() as work:
        path = Path(work) / "relu.onnx"
        write_model(path)
        calls = ways(path, x)
    for call in calls.values():
        block(call)
    times: dict[str, list[float]] = {name: [] for name in calls}
    for name in engines.turns(list(calls), args.seconds, 3):
        times[name].append(block(calls[name]))
    print("| call | median µs | fastest block µs | ratio | bar |\n|---|---:|---:|---:|---:|")
    rows = {name: {"median_us": statistics.median(t), "fastest_us": min(t)} for name, t in times.items()}
    for name, row in rows.items():
        if PEER in rows:
            row["ratio"] = row["median_us"] / rows[PEER]["median_us"]
        ratio, bar = f"{row['ratio']:.2f}" if "ratio" in row else "–", bars.RELU if name.startswith("pyinfer") else "–"
        print(f"| {name} | {row['median_us']:.2f} | {row['fastest_us']:.2f} | {ratio} | {bar} |")
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
