# SPDX-License-Identifier: Apache-2.0
"""Latency of whole models: pyinfer beside ONNX Runtime, OpenVINO and PyTorch, interleaved.

    python benchmarks/models.py                         # every model, batch 1
    python benchmarks/models.py resnet50 bert_base --threads 2 --batch 4 --seconds 20
    python benchmarks/models.py --engines pyinfer onnxruntime openvino torch --json out.json

See README.md for the method.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
import engines  # noqa: E402
import hardware  # noqa: E402
import recurrent  # noqa: E402

from models import zoo  # noqa: E402

REAL = {"ocr_det": ("det", (3, 320, 320)), "ocr_rec": ("rec", (3, 48, 320)), "ocr_cls": ("cls", (3, 48, 192))}
RECURRENT = {"lstm_2x256": (2, 256, 50)}  # layers, hidden, steps
DEFAULT = [*zoo.FULL, *REAL, *RECURRENT]
PEERS = ("onnxruntime", "openvino")  # torch eager is shown, not raced
LOOSE = 1e-3  # of the largest output: more than this means that an engine computes something else
PAUSE = 0.03  # seconds: worker threads of the engine before stop spinning


def files(name: str, args: argparse.Namespace, folder: Path) -> tuple[Path, dict[str, np.ndarray], Any]:
    """Path of the model, its input, and the PyTorch module if it is wanted."""
    if name in REAL:
        kind, shape = REAL[name]
        x = np.random.default_rng(1).random((args.batch, *shape), np.float32) * 2 - 1
        return zoo.rapidocr_models()[kind], {"x": x}, None
    if name in RECURRENT:
        path = folder / f"{name}.b{args.batch}.onnx"
        return path, recurrent.lstm(path, *RECURRENT[name], args.batch), None
    shape = "dynamic" if args.batch > 1 else args.shape
    module = zoo.module(name) if "torch" in args.engines else None
    path = folder / f"{name}.{args.exporter}.{shape}.onnx"
    if not path.exists():
        zoo.export(name, args.exporter, shape, folder, module)
    return path, zoo.feeds(name, args.batch), module


def load(name: str, args: argparse.Namespace, folder: Path) -> tuple[dict[str, Any], dict[str, Any], Path]:
    """({engine: run}, input, path); engines that refuse are named on stderr and left out."""
    path, feeds, module = files(name, args, folder)
    runs: dict[str, engines.Run] = {}
    for engine in args.engines:
        if engine == "torch":
            if module is not None:
                runs[engine] = engines.wrap_torch(module, zoo.MODELS[name].outputs, args.threads)
            continue
        try:
            runs[engine] = engines.LOADERS[engine](path, args.threads)
            runs[engine](feeds)
        except Exception as problem:
            runs.pop(engine, None)
            print(f"{name}: {engine} refuses: {str(problem).strip()[:300]}", file=sys.stderr)
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
    times = engines.race(runs, feeds, args.seconds, pause=PAUSE, warm=0, share=0.02, least=5)
    flops = hardware.model_flops(path, feeds)
    row: dict[str, Any] = {"model": name, "batch": args.batch, "flops": flops, "errors": errors}
    row["ms"] = {engine: statistics.median(t) * 1e3 for engine, t in times.items()}
    row["p90_ms"] = {engine: float(np.quantile(t, 0.9)) * 1e3 for engine, t in times.items()}
    row["min_ms"] = {engine: min(t) * 1e3 for engine, t in times.items()}
    row["runs"] = {engine: len(t) for engine, t in times.items()}
    best = min((row["ms"][e] for e in PEERS if e in row["ms"]), default=None)
    mine = row["ms"].get("pyinfer")
    row["ratio"] = best / mine if best and mine else None
    shown = ("pyinfer",) if mine else PEERS
    fastest = min((row["min_ms"][e] for e in shown if e in row["min_ms"]), default=None)
    row["gflops"] = flops / fastest / 1e6 if flops and fastest else None
    return row


def table(rows: list[dict[str, Any]], columns: list[str], peak: float) -> str:
    number = lambda x, f: "–" if x is None else format(x, f)  # noqa: E731
    head = ["model", "GFLOP", *(f"{c} ms" for c in columns), "better peer / pyinfer", "share of peak"]
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    for row in rows:
        flops = None if row["flops"] is None else row["flops"] / 1e9
        cells = [row["model"], number(flops, ".2f"), *(number(row["ms"].get(c), ".2f") for c in columns)]
        share = 100 * row["gflops"] / peak if row["gflops"] and peak else None
        cells += [number(row["ratio"], ".2f"), "–" if share is None else f"{share:.0f} %"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="*", default=DEFAULT, help=f"default: {' '.join(DEFAULT)}")
    parser.add_argument("--threads", type=int, default=hardware.usable_cpus())
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=10, help="for each model, at least five rounds")
    parser.add_argument("--engines", nargs="*", default=["pyinfer", *PEERS], help="also: torch")
    parser.add_argument("--exporter", choices=zoo.EXPORTERS, default="dynamo")
    parser.add_argument("--shape", choices=zoo.SHAPES, default="static", help="dynamic if the batch is above 1")
    parser.add_argument("--zoo", type=Path, default=os.environ.get("PYINFER_ZOO"), help="keep and reuse exports here")
    parser.add_argument("--json", type=Path, help="write every figure here")
    args = parser.parse_args()
    unknown = set(args.models) - set(zoo.MODELS) - set(REAL) - set(RECURRENT)
    if unknown:
        parser.error(f"no model called {', '.join(sorted(unknown))}")
    for engine in [e for e in args.engines if not engines.installed(e)]:
        print(f"{engine} is not installed", file=sys.stderr)
        args.engines.remove(engine)
    return args


def main() -> None:
    args = arguments()
    peak, by = hardware.peak_gflops(args.threads)
    versions = {engine: engines.version(engine) for engine in args.engines}
    print(f"{hardware.cpu_name()}, {args.threads} threads, batch {args.batch}, float32, "
          f"exporter {args.exporter}, medians of interleaved runs")  # fmt: skip
    print(", ".join(f"{e} {v}" for e, v in versions.items()))
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.zoo or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for name in args.models:
            row = measure(name, args, folder)
            gc.collect()
            peak, by = max((peak, by), hardware.peak_gflops(args.threads, 0.5))
            if row is None:
                continue
            rows.append(row)
            print(f"  {name}: " + ", ".join(f"{e} {t:.2f}" for e, t in row["ms"].items()), file=sys.stderr, flush=True)
            if not args.zoo:
                for path in folder.glob("*.onnx"):
                    path.unlink()
    print(f"peak: {peak:.0f} GFLOP/s, the best seen in multiplying 1024 x 1024 matrices (by {by})\n")
    print(table(rows, args.engines, peak))
    ratios = [row["ratio"] for row in rows if row["ratio"]]
    mean = math.exp(statistics.fmean(map(math.log, ratios))) if ratios else None
    if mean:
        print(f"\nGeometric mean of better peer / pyinfer over {len(ratios)} models: {mean:.3f} (above 1: pyinfer is faster)")
    if args.json:
        report = {"cpu": hardware.cpu_name(), "threads": args.threads, "batch": args.batch, "exporter": args.exporter,
                  "versions": versions, "peak_gflops": peak, "peak_by": by, "geometric_mean": mean, "rows": rows}  # fmt: skip
        args.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
