# SPDX-License-Identifier: Apache-2.0
"""What the machine can do, and what a model asks of it."""

from __future__ import annotations

import math
import os
import platform
from pathlib import Path
from typing import Any

import numpy as np


def cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def usable_cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def peak_gflops(threads: int) -> float:
    """The f32 multiply-adds on registers of pyinfer's widest instructions here, just measured (some 5 ms); 0 without pyinfer.
    What no engine can exceed; on a shared machine a bound only if a few ms were left alone: ask often, take the best."""
    try:
        from pyinfer import _core
    except ImportError:
        return 0.0
    return _core.peak_gflops(threads)


def model_flops(path: Path, feeds: dict[str, np.ndarray]) -> float | None:
    """Floating-point operations of convolutions, matrix products and LSTMs (a multiply-add counts 2).

    Counted directly at the shapes of `feeds`: from ONNX's shape inference, and where that does not
    find a shape, from a run of ONNX Runtime; None without either.
    """
    import onnx

    model = onnx.load(path)
    for value in model.graph.input:
        if value.name in feeds:
            for dim, size in zip(value.type.tensor_type.shape.dim, feeds[value.name].shape, strict=True):
                dim.dim_value = size
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {t.name: tuple(t.dims) for t in inferred.initializer}
    for value in (*inferred.value_info, *inferred.input, *inferred.output):
        shape = value.type.tensor_type.shape
        shapes[value.name] = tuple(d.dim_value if d.HasField("dim_value") else None for d in shape.dim)
    for run_it in (False, True):
        try:
            if run_it:
                shapes |= observed_shapes(model, feeds)
            return sum(node_flops(node, shapes) for node in model.graph.node)
        except (KeyError, TypeError, IndexError, ImportError):
            pass
    return None


def observed_shapes(model: Any, feeds: dict[str, np.ndarray]) -> dict[str, tuple[int | None, ...]]:
    """Shapes of what goes in and out of products, by running the model with these as outputs."""
    import onnx
    import onnxruntime

    known = {t.name for t in model.graph.initializer} | set(feeds)
    nodes = [n for n in model.graph.node if n.op_type in ("Conv", "ConvTranspose", "MatMul", "Gemm", "Attention")]
    names = {name for n in nodes for name in (*n.input, *n.output) if name and name not in known}
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    del shown.graph.output[:]
    shown.graph.output.extend(onnx.ValueInfoProto(name=name) for name in sorted(names))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(shown.SerializeToString(), options, ["CPUExecutionProvider"])
    return {name: y.shape for name, y in zip(sorted(names), session.run(None, feeds), strict=True)}


def node_flops(node: Any, shapes: dict[str, tuple[int | None, ...]]) -> float:
    attributes = {a.name: a for a in node.attribute}
    if node.op_type == "Conv":
        return 2.0 * math.prod(shapes[node.output[0]]) * math.prod(shapes[node.input[1]][1:])
    if node.op_type == "ConvTranspose":
        return 2.0 * math.prod(shapes[node.input[0]]) * math.prod(shapes[node.input[1]][1:])
    if node.op_type == "MatMul":
        return 2.0 * math.prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]
    if node.op_type == "Gemm":
        flipped = "transA" in attributes and attributes["transA"].i
        return 2.0 * math.prod(shapes[node.output[0]]) * shapes[node.input[0]][0 if flipped else 1]
    if node.op_type == "LSTM":  # x [steps, batch, inputs], weights [directions, 4 hidden, inputs] and [.., 4 hidden, hidden]
        steps, batch, _ = shapes[node.input[0]]
        return 2.0 * steps * batch * sum(math.prod(shapes[w]) for w in node.input[1:3])
    if node.op_type == "Attention":
        q, k = shapes[node.input[0]], shapes[node.input[1]]
        return 4.0 * math.prod(q) * k[-2]  # scores, and the values weighted by them
    return 0.0
