# SPDX-License-Identifier: Apache-2.0
"""The model as it is loaded, planned and run."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from .. import _core
from .._tensors import made_up
from .._units import bytes_text, count_text
from ..model import Model
from ..profile import _peak, full_name
from .machine import available_memory, memory_limit
from .report import Report

Feeds = Callable[[Model], dict[str, Any]]
Doing = Callable[[str], AbstractContextManager[None]]  # tells what goes on

SMALL = 0.02  # a share of the time that is not worth a word
LOW = 0.15  # a share of the peak that calls for a look at the profile
FLOATS = (  # as steps write them
    ("f64", "float64", "at best half as fast as float32"),
    ("f16", "16-bit floats", "computed through float32 here, no faster than that"),
)
ADVICE = {
    "ModelError": "export it again, or look with onnx.checker.check_model at what is wrong",
    "UnsupportedError": "`pyinfer ops` lists what is supported",
    "LimitError": "see the option memory_limit",
    "FileError": "look at the path",
}


@contextlib.contextmanager
def quiet(text: str) -> Iterator[None]:
    """Tells nothing."""
    yield


def made_up_feeds(size: int) -> Feeds:
    return lambda model: {port.name: made_up(port, size) for port in model.inputs}


def load_failed(report: Report, error: Exception | None) -> None:
    """Adds why the model cannot be loaded, unless the file told it already."""
    known = report.facts["model"]
    if known.get("unsupported") and isinstance(error, _core.UnsupportedError):
        return
    if any(f"'{name}'" in str(error) for name in known.get("unreadable", ())):
        return
    advice = ADVICE.get(type(error).__name__, "")
    report.add("model", "problem", f"it cannot be loaded: {error}", advice)


def _dynamic(report: Report, model: Model, feeds: dict[str, Any]) -> None:
    open_dims = []
    for port in model.inputs:
        if port.shape is None or not all(isinstance(d, int) for d in port.shape):
            open_dims.append(str(port))
    ports = [str(port) for port in (*model.inputs, *model.outputs)]
    report.facts["model"].update(
        inputs=[str(p) for p in model.inputs], outputs=[str(p) for p in model.outputs]
    )
    if not open_dims:
        report.add("model", "ok", f"all dimensions are fixed: {ports[0] if ports else 'no inputs'}")
        return
    shapes = ", ".join(
        f"{name} {list(getattr(array, 'shape', []))}" for name, array in feeds.items()
    )
    report.add(
        "model",
        "note",
        f"{count_text(len(open_dims), 'input has', 'inputs have')} dimensions that "
        "the file leaves open: each new combination is planned once, at its first run",
        f"what follows is for {shapes}; for others --size and --input, in Python size and inputs",
        tuple(open_dims),
    )


def _plan(report: Report, steps: list[dict[str, Any]], arena: int, packed: int, used: int) -> None:
    impls = Counter(step["impl"] for step in steps)
    report.facts["model"].update(
        steps=len(steps),
        implementations=dict(impls.most_common()),
        activation_bytes=arena,
        packed_bytes=packed,
        used_bytes=used,
    )
    by = ", ".join(f"{n} by {name}" for name, n in impls.most_common())
    report.add("model", "ok", f"{count_text(len(steps), 'step')}: {by}")
    free, limit = available_memory(), memory_limit()
    said = f"memory: {bytes_text(used)} in use, of which packed weights {bytes_text(packed)}"
    said += f", and activations {bytes_text(arena)} for each run at a time"
    if any(most is not None and used + arena > most for most in (free, limit)):
        report.add(
            "model",
            "slow",
            f"{said}: more than there is",
            "smaller inputs, fewer threads "
            "that run it at a time, or a saved plan, which processes share",
        )
    else:
        report.add("model", "ok", said)


def _slow_steps(report: Report, rows: list[dict[str, Any]], measured: bool) -> None:
    """Steps on plain reference code, those of float64 and of 16-bit floats."""
    total = sum(row["ns"] for row in rows) or 1
    plain = [row for row in rows if row["impl"] == "ref"]
    weigh = [row for row in plain if row["ns"] / total >= SMALL] if measured else []
    if not measured:
        weigh = [row for row in plain if row["refused"]]
    weigh.sort(key=lambda row: -row["ns"])
    details = []
    for row in weigh:
        share = f"{row['ns'] / total:.0%} of the time, " if measured else ""
        why = f" (refused: {row['refused']})" if row["refused"] else ""
        source = f" from {row['source']}" if row["source"] else ""
        name = f" '{row['name']}'" if row["name"] else ""
        details.append(f"{full_name(row)}{name}: {share}{row['shapes']}{why}{source}")
    share = sum(row["ns"] for row in weigh) / total
    report.facts["model"]["slow_steps"] = details
    if weigh:
        took = f", {share:.0%} of the time" if measured else ""
        report.add(
            "model",
            "slow" if share >= 0.1 or not measured else "note",
            f"{count_text(len(weigh), 'step runs', 'steps run')} on plain reference code{took}",
            "another type or attribute may have a fast kernel: see why it was refused",
            tuple(details),
        )
    for short, name, said in FLOATS:
        n = sum(f"{short}[" in row["shapes"].replace(f"b{short}", short) for row in rows)
        if n:
            text = f"{count_text(n, 'step is', 'steps are')} of {name}: {said}"
            report.add("model", "note", text, "export in float32: model.float()")
    used = _core.describe().partition("cpu: ")[2].partition("\n")[0]
    quantised = [
        row
        for row in rows
        if "Quant" in row["op"] or "Integer" in row["op"] or row["op"].startswith("QLinear")
    ]
    if quantised and "vnni" not in used:
        report.add(
            "model",
            "note",
            f"{count_text(len(quantised), 'step is', 'steps are')} quantised, and "
            "this CPU has no VNNI instructions in use: 8 bits are hardly faster than float32",
            "compare with the float model: `pyinfer bench`",
        )


def _estimate(report: Report, rows: list[dict[str, Any]], threads: int) -> float:
    """Adds the least time that the arithmetic takes; gives the operations."""
    flops, peak = sum(row["flops"] for row in rows), _peak(threads)
    unknown = sum(1 for row in rows if not row["flops"])
    report.facts["model"].update(flops=flops, peak_gflops=peak, estimated_ms=flops / peak / 1e6)
    if flops:
        report.add(
            "model",
            "ok",
            f"{flops / 1e9:.3g} GFLOP a run: {flops / peak / 1e6:.3g} ms or more at "
            f"the {peak:.0f} GFLOP/s that {count_text(threads, 'thread')} can reach here "
            f"(estimated without memory traffic and {count_text(unknown, 'step')} of which "
            "nothing is known)",
        )
    return float(flops)


def _nan_outputs(outputs: dict[str, Any]) -> list[str]:
    return [
        name
        for name, y in outputs.items()
        if isinstance(y, np.ndarray) and y.dtype.kind == "f" and np.isnan(y).any()
    ]


def _run(report: Report, model: Model, feeds: dict[str, Any], flops: float) -> None:
    first = time.perf_counter()
    model.run(feeds)
    start = time.perf_counter()
    outputs = model.run(feeds)
    ms, first_ms = (time.perf_counter() - start) * 1e3, (start - first) * 1e3
    rate = flops / ms / 1e6
    share = rate / _peak(model.threads)
    report.facts["model"].update(measured_ms=ms, first_ms=first_ms, gflops=rate, share=share)
    said = f"a run took {ms:.3g} ms"
    if flops:
        said += f": {rate:.3g} GFLOP/s, {share:.0%} of the peak"
    if flops and share < LOW and ms > 1:
        report.add(
            "model",
            "note",
            said,
            "`pyinfer profile MODEL` says where the time goes, "
            "`pyinfer bench MODEL --tune 2` whether other kernels are faster",
        )
    else:
        report.add("model", "ok", said)
    odd = _nan_outputs(outputs)
    if odd:
        report.add(
            "model",
            "note",
            f"on these inputs there is a NaN in {', '.join(odd)}",
            "with real inputs too? load(..., check_numbers=True) names the step that makes it",
        )


def examine(report: Report, model: Model, make_feeds: Feeds, run: bool, doing: Doing) -> None:
    """Adds what the plan and a run tell."""
    try:
        feeds = make_feeds(model)
    except _core.InputError as error:
        report.add("model", "note", f"it was not planned or run: {error}", "give it with inputs=")
        return
    _dynamic(report, model, feeds)
    arrays = tuple(feeds[name] for name in model.input_names)
    try:
        with doing("planning, packing weights"):
            lists, arena, packed = model.steps(arrays, 0)
        _plan(report, lists[0], arena, packed, model.memory.used)
        flops = _estimate(report, lists[0], model.threads)
        if run:
            with doing("running"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                _run(report, model, feeds, flops)
                lists = model.steps(arrays, 1)[0]
        _slow_steps(report, lists[0], run)
    except (_core.PyinferError, MemoryError) as error:
        advice = "other inputs may do: --size, --input; `pyinfer explain` shows the plan"
        report.add("model", "problem", f"it cannot be run on such inputs: {error}", advice)
