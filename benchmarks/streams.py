# SPDX-License-Identifier: Apache-2.0
"""Two Python threads, each with its own requests on one loaded model, which computes with one thread for each.

    python benchmarks/streams.py                       # resnet50, mobilenet_v2, minilm
    python benchmarks/streams.py bert_base --seconds 20 --json out.json

Throughput of one thread and of two, and what a process that only holds a loaded model uses of the CPU afterwards.
See README.md for the method.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import bars
import engines
import hardware
import networks
import numpy as np

DEFAULT = ("resnet50", "mobilenet_v2", "minilm")
STREAMS = 2
TURN = 0.5  # seconds

IDLE = """
import sys, time; sys.path.insert(0, sys.argv[2])
from pathlib import Path
import engines, numpy as np
feeds = dict(np.load(sys.argv[5]).items())
run = engines.LOADERS[sys.argv[3]](Path(sys.argv[4]), int(sys.argv[6]))
for _ in range(5): run(feeds)
start = time.process_time()
time.sleep(1)
print(time.process_time() - start)
"""


def throughput(runs: list[engines.Run], feeds: engines.Feeds, seconds: float) -> float:
    """Runs a second of all threads together, each counted until it is done with the one that `seconds` ended."""
    rates = [0.0] * len(runs)
    together = threading.Barrier(len(runs))

    def work(i: int) -> None:
        mine = {name: x.copy() for name, x in feeds.items()}
        runs[i](mine)
        together.wait()
        start = now = time.perf_counter()
        count = 0
        while now < start + seconds:
            runs[i](mine)
            now = time.perf_counter()
            count += 1
        rates[i] = count / (now - start)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(runs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(rates)


def idle_seconds(engine: str, path: Path, feeds: engines.Feeds, threads: int) -> float:
    """CPU time of a new process in the second after its fifth run on all threads."""
    with tempfile.TemporaryDirectory() as work:
        inputs = Path(work) / "input.npz"
        np.savez(inputs, **feeds)
        here = str(Path(__file__).resolve().parent)
        command = [sys.executable, "-c", IDLE, "--child", here, engine, str(path), str(inputs), str(threads)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout.splitlines()[-1])


def measure(name: str, args: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """A row an engine."""
    path, feeds = networks.files(name, folder)
    runs = {(e, n): engines.ready(name, e, path, 1, feeds, n) for e in args.engines for n in (1, STREAMS)}
    runs = {(e, n): loaded for (e, n), loaded in runs.items() if runs[e, 1] and runs[e, STREAMS]}
    rates: dict[tuple[str, int], list[float]] = {key: [] for key in runs}
    for key in engines.turns(list(runs), args.seconds, 5):
        time.sleep(engines.PAUSE)
        rates[key].append(throughput(runs[key], feeds, TURN))
    rows = []
    for engine in dict.fromkeys(e for e, _ in runs):
        one, two = (statistics.median(rates[engine, n]) for n in (1, STREAMS))
        gain = statistics.median(b / a for a, b in zip(rates[engine, 1], rates[engine, STREAMS], strict=True))
        idle = idle_seconds(engine, path, feeds, hardware.usable_cpus())
        rows.append({"model": name, "engine": engine, "one": one, "two": two, "gain": gain, "idle_s": idle,
                     "turns": len(rates[engine, STREAMS])})  # fmt: skip
    best = max((row["two"] for row in rows if row["engine"] in engines.PEERS), default=None)
    for row in rows:
        if row["engine"] == "pyinfer" and best:
            row["ratio"], row["bar"] = best / row["two"], bars.latency(name, 1, 1)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    networks.add_arguments(parser, 40)
    args = parser.parse_args()
    args.engines = engines.drop_missing(args.engines)
    rows: list[dict[str, Any]] = []
    with networks.kept(args.zoo) as folder:
        for name in args.models or DEFAULT:
            rows += measure(name, args, folder)
    versions = {engine: engines.version(engine) for engine in args.engines}
    print(f"{hardware.cpu_name()}, batch 1, float32, one thread a request, medians of interleaved turns of {TURN} s, "
          + ", ".join(f"{e} {v}" for e, v in versions.items()) + "\n")  # fmt: skip
    print(f"| model | engine | one, runs/s | two, runs/s | two / one (bar {bars.STREAMS}) | better peer / pyinfer | bar "
          f"| CPU s when idle (bar {bars.IDLE}) |\n|---|---" + "|---:" * 6 + "|")  # fmt: skip
    for r in rows:
        shares = (f"{r[k]:.2f}" if r.get(k) else "–" for k in ("ratio", "bar"))
        print(f"| {r['model']} | {r['engine']} | {r['one']:.1f} | {r['two']:.1f} | {r['gain']:.2f} | {' | '.join(shares)} "
              f"| {r['idle_s']:.3f} |")  # fmt: skip
    if args.json:
        report = {"cpu": hardware.cpu_name(), "versions": versions, "rows": rows}
        args.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
