# SPDX-License-Identifier: Apache-2.0
"""Latency of whole models: pyinfer beside ONNX Runtime, OpenVINO and PyTorch, interleaved.

    python benchmarks/models.py                         # every model of bars.py, batch 1
    python benchmarks/models.py --batch 8               # those with a bar for batch 8
    python benchmarks/models.py resnet50 bert_base --threads 2 --batch 4 --seconds 20
    python benchmarks/models.py --engines pyinfer onnxruntime openvino torch --json out.json

See README.md for the method.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import statistics
import sys
from pathlib import Path
from typing import Any

import bars
import engines
import hardware
import networks
import numpy as np
from engines import PEERS
from networks import zoo

LOOSE = 1e-3  # of the largest output: more than this means that an engine computes something else


def load(name: str, args: argparse.Namespace, folder: Path) -> tuple[dict[str, Any], dict[str, Any], Path]:
    """({engine: run}, input, path); engines that refuse are named on stderr and left out."""
    module = zoo.module(name) if "torch" in args.engines and name in zoo.MODELS else None
    path, feeds = networks.files(name, folder, args.batch, args.exporter, args.shape, module)
    runs: dict[str, engines.Run] = {}
    for engine in args.engines:
        if engine != "torch":
            for run in engines.ready(name, engine, path, args.threads, feeds):
                runs[engine] = run
        elif module is not None:
            runs[engine] = engines.wrap_torch(module, zoo.MODELS[name].outputs, args.threads)
    return runs, feeds, path


def check(name: str, runs: dict[str, engines.Run], feeds: engines.Feeds) -> dict[str, float]:
    """The error of each engine against the first peer, as a share of the largest output."""
    reference = next((e for e in (*PEERS, "torch") if e in runs), None)
    if reference is None:
        return {}
    want = {k: v.copy() for k, v in runs[reference](feeds).items()}
    errors = {}
    for engine, run in runs.items():
        got = run(feeds)
        errors[engine] = max(float(np.abs(got[k] - v).max() / (np.abs(v).max() + 1e-30)) for k, v in want.items())
        if not errors[engine] <= LOOSE:
            print(f"{name}: {engine} differs from {reference} by {errors[engine]:.2g}", file=sys.stderr)
    return errors


def measure(name: str, args: argparse.Namespace, folder: Path) -> dict[str, Any] | None:
    runs, feeds, path = load(name, args, folder)
    if not runs:
        return None
    errors = check(name, runs, feeds)
    times = engines.race(runs, feeds, args.seconds, pause=engines.PAUSE, warm=0, share=0.02, least=5)
    flops = hardware.model_flops(path, feeds)
    row: dict[str, Any] = {"model": name, "batch": args.batch, "flops": flops, "errors": errors}
    row["ms"] = {engine: statistics.median(t) * 1e3 for engine, t in times.items()}
    row["p90_ms"] = {engine: float(np.quantile(t, 0.9)) * 1e3 for engine, t in times.items()}
    row["min_ms"] = {engine: min(t) * 1e3 for engine, t in times.items()}
    row["runs"] = {engine: len(t) for engine, t in times.items()}
    best = min((row["ms"][e] for e in PEERS if e in row["ms"]), default=None)
    mine = row["ms"].get("pyinfer")
    row["ratio"] = mine / best if best and mine else None
    row["bar"] = bars.latency(name, args.batch, args.threads)
    shown = ("pyinfer",) if mine else PEERS
    fastest = min((row["min_ms"][e] for e in shown if e in row["min_ms"]), default=None)
    row["gflops"] = flops / fastest / 1e6 if flops and fastest else None
    return row


def table(rows: list[dict[str, Any]], columns: list[str], peak: float) -> str:
    number = lambda x, f: "–" if x is None else format(x, f)  # noqa: E731
    head = ["model", "GFLOP", *(f"{c} ms" for c in columns), "pyinfer / better peer", "bar", "share of peak"]
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    for row in rows:
        flops = None if row["flops"] is None else row["flops"] / 1e9
        cells = [row["model"], number(flops, ".2f"), *(number(row["ms"].get(c), ".2f") for c in columns)]
        share = 100 * row["gflops"] / peak if row["gflops"] and peak else None
        cells += [number(row["ratio"], ".2f"), number(row["bar"], ".2f"), "–" if share is None else f"{share:.0f} %"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    networks.add_arguments(parser, 10)
    parser.add_argument("--threads", type=int, default=hardware.usable_cpus())
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--exporter", choices=zoo.EXPORTERS, default="dynamo")
    parser.add_argument("--shape", choices=zoo.SHAPES, default="static")
    args = parser.parse_args()
    args.models = args.models or bars.models(args.batch)
    args.engines = engines.drop_missing(args.engines)
    return args


def main() -> None:
    args = arguments()
    peak = hardware.peak_gflops(args.threads)
    versions = {engine: engines.version(engine) for engine in args.engines}
    print(f"{hardware.cpu_name()}, {args.threads} threads, batch {args.batch}, float32, "
          f"exporter {args.exporter}, medians of interleaved runs")  # fmt: skip
    print(", ".join(f"{e} {v}" for e, v in versions.items()))
    rows = []
    with networks.kept(args.zoo) as folder:
        for name in args.models:
            row = measure(name, args, folder)
            gc.collect()
            peak = max(peak, hardware.peak_gflops(args.threads))
            if row is None:
                continue
            rows.append(row)
            print(f"  {name}: " + ", ".join(f"{e} {t:.2f}" for e, t in row["ms"].items()), file=sys.stderr, flush=True)
            if not args.zoo:
                for path in folder.glob("*.onnx"):
                    path.unlink()
    print(f"peak: {peak:.0f} GFLOP/s, f32 multiply-adds on registers alone\n")
    print(table(rows, args.engines, peak))
    ratios = [row["ratio"] for row in rows if row["ratio"]]
    mean = math.exp(statistics.fmean(map(math.log, ratios))) if ratios else None
    if mean:
        whole = args.models == bars.models(1) and args.batch == 1
        print(f"\nGeometric mean of pyinfer / better peer over {len(ratios)} models: {mean:.3f} (below 1: pyinfer is faster"
              + (f"; bar {bars.MEAN})" if whole else ")"))  # fmt: skip
    if args.json:
        report = {"cpu": hardware.cpu_name(), "threads": args.threads, "batch": args.batch, "exporter": args.exporter,
                  "versions": versions, "peak_gflops": peak, "geometric_mean": mean, "rows": rows}  # fmt: skip
        args.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
