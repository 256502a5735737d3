# SPDX-License-Identifier: Apache-2.0
"""Time of single operators: pyinfer beside ONNX Runtime, interleaved.

    python benchmarks/ops.py                      # all of op_cases.py, worst ratio first
    python benchmarks/ops.py Conv 'Resize.*up' --threads 2 --seconds 1 --json out.json

See README.md for the method.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import bars
import engines
import hardware
import numpy as np
import onnx
from op_cases import CASES, Case

ENGINES = ("pyinfer", "onnxruntime")
LOOSE = 2e-3  # of the largest output; halves and quantised values differ by their steps


def load(case: Case, threads: int, folder: Path) -> dict[str, engines.Run]:
    """{engine: run}; engines that refuse are named on stderr and left out."""
    path = folder / "one.onnx"
    onnx.save(case.model(), path)
    runs: dict[str, engines.Run] = {}
    for engine in ENGINES:
        for run in engines.ready(case.name, engine, path, threads, case.feeds()):
            runs[engine] = run
    return runs


def difference(case: Case, runs: dict[str, engines.Run]) -> float | None:
    """Share of the elements of the first output that are not the same."""
    if len(runs) < 2:
        return None
    got, want = (next(iter(run(case.feeds()).values())) for run in runs.values())
    if got.shape != want.shape:
        return 1.0
    if want.size == 0:
        return 0.0
    wide = want.astype(np.float64), got.astype(np.float64)
    scale = float(np.abs(wide[0]).max()) + 1e-30
    step = 1.0 if want.dtype.kind in "iu" else 0.0
    return float((np.abs(wide[0] - wide[1]) > LOOSE * scale + step).mean())


def measure(case: Case, args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    runs = load(case, args.threads, folder)
    row: dict[str, Any] = {"case": case.name, "op": case.op, "ratio": None}
    row["different"] = difference(case, runs)
    if row["different"]:
        print(f"{case.name}: {100 * row['different']:.2g} % of the outputs differ", file=sys.stderr)
    times = engines.race(runs, case.feeds(), args.seconds, pause=engines.PAUSE, warm=2, share=0.01, least=6)
    row["us"] = {engine: statistics.median(t) * 1e6 for engine, t in times.items()}
    row["p90_us"] = {engine: float(np.quantile(t, 0.9)) * 1e6 for engine, t in times.items()}
    row["min_us"] = {engine: min(t) * 1e6 for engine, t in times.items()}
    row["runs"] = {engine: len(t) for engine, t in times.items()}
    if len(times) == len(ENGINES):
        row["ratio"] = row["us"]["pyinfer"] / row["us"]["onnxruntime"]
    return row


def table(rows: list[dict[str, Any]]) -> str:
    lines = ["| operator | pyinfer µs | ONNX Runtime µs | ratio |", "|---|---:|---:|---:|"]
    for row in rows:
        cells = [f"{row['us'][e]:.1f}" if e in row["us"] else "refuses" for e in ENGINES]
        ratio = "–" if row["ratio"] is None else f"{row['ratio']:.2f}"
        lines.append(f"| {row['case']} | {' | '.join(cells)} | {ratio} |")
    return "\n".join(lines)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "patterns", nargs="*", help="regular expressions that find cases (default: all)"
    )
    parser.add_argument("--threads", type=int, default=hardware.usable_cpus())
    parser.add_argument(
        "--seconds", type=float, default=0.3, help="for each case, at least six rounds"
    )
    parser.add_argument("--json", type=Path, help="write every figure here")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    cases = [
        c for c in CASES if not args.patterns or any(re.search(p, c.name) for p in args.patterns)
    ]
    versions = {engine: engines.version(engine) for engine in ENGINES}
    print(f"{hardware.cpu_name()}, {args.threads} threads, medians of interleaved runs, "
          + ", ".join(f"{e} {v}" for e, v in versions.items()) + "\n")  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        rows = [measure(case, args, Path(folder)) for case in cases]
    rows.sort(key=lambda row: -(row["ratio"] or 0))
    print(table(rows))
    ratios = [row["ratio"] for row in rows if row["ratio"]]
    mean = math.exp(statistics.fmean(map(math.log, ratios))) if ratios else None
    if mean:
        slow = sum(r > bars.OPERATOR for r in ratios)
        print(f"\n{len(ratios)} cases of {len({r['op'] for r in rows})} operators; geometric mean of pyinfer / ONNX Runtime "
              f"{mean:.3f} (below 1: pyinfer is faster; bar {bars.OPERATORS_MEAN}), {slow} above {bars.OPERATOR}")  # fmt: skip
    if args.json:
        report = {
            "cpu": hardware.cpu_name(),
            "threads": args.threads,
            "versions": versions,
            "geometric_mean": mean,
            "rows": rows,
        }
        args.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
