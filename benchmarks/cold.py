# SPDX-License-Identifier: Apache-2.0
"""Cold start: a new process that imports an engine, loads a model, and gives one answer.

    python benchmarks/cold.py                              # resnet50, mobilenet_v2, bert_base
    python benchmarks/cold.py --file model.onnx --rounds 9

Time runs from before the process is made until the answer is there; memory is the peak resident
set (VmHWM) at that moment. Engines take turns; the median of all rounds counts. The files are in the
page cache, as they are after a download. "numpy" is Python with NumPy and no engine: the floor.
"saved plan" is pyinfer on what Model.save wrote; "ratio" and "memory ratio" are to ONNX Runtime, bars are those of bars.py.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or sys.argv[1:2] != ["--child"]:  # a child imports no more than it needs
    import argparse
    import os
    import statistics
    import subprocess
    import tempfile

    import bars

HERE = Path(__file__).resolve().parent
PLAN = "saved plan"
PACKAGE = {PLAN: "pyinfer"}
OURS = ("pyinfer", PLAN)
DEFAULT = ("resnet50", "mobilenet_v2", "bert_base", "minilm")


def child(engine: str, model: str, inputs: str, threads: str) -> None:
    """Prints {"end", "import_s", "load_s", "run_s", "peak_mb"}; runs in a process of its own."""
    start = time.monotonic()
    import numpy as np

    feeds = dict(np.load(inputs).items())
    times = [time.monotonic()]
    if engine != "numpy":
        import engines

        __import__(PACKAGE.get(engine, engine))
        times.append(time.monotonic())
        run = engines.LOADERS[PACKAGE.get(engine, engine)](Path(model), int(threads))
        times.append(time.monotonic())
        run(feeds)
    end = time.monotonic()
    times += [end] * (4 - len(times))
    status = Path("/proc/self/status").read_text()
    peak = next(int(row.split()[1]) for row in status.splitlines() if row.startswith("VmHWM"))
    print(json.dumps({"end": end, "import_s": times[1] - start, "load_s": times[2] - times[1],
                      "run_s": times[3] - times[2], "peak_mb": peak / 1024}))  # fmt: skip


def start(engine: str, model: Path, inputs: Path, threads: int) -> dict[str, float] | str:
    """One cold start, or what the engine said when it refused."""
    command = [sys.executable, __file__, "--child", engine, str(model), str(inputs), str(threads)]
    begin = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1][:200]
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    result["total_s"] = result["end"] - begin
    return result


PREPARE = """
import sys; sys.path.insert(0, sys.argv[1])
import numpy as np
from models import zoo
zoo.export(sys.argv[2], "dynamo", "static", sys.argv[3])
np.savez(sys.argv[4], **zoo.feeds(sys.argv[2]))
"""
PREPARE_FILE = """
import sys, numpy as np, onnx
from onnx import helper
feeds = {}
graph = onnx.load(sys.argv[1], load_external_data=False).graph
for value in graph.input:
    if value.name not in {t.name for t in graph.initializer}:
        shape = [d.dim_value if d.dim_value > 0 else 1 for d in value.type.tensor_type.shape.dim]
        feeds[value.name] = np.ones(shape, helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type))
np.savez(sys.argv[2], **feeds)
"""


def prepare(name: str, folder: Path, work: Path) -> tuple[Path, Path]:
    """Path of the model and of its input; made in another process, so that this one stays small."""
    inputs = work / "input.npz"
    if Path(name).suffix == ".onnx":
        subprocess.run([sys.executable, "-c", PREPARE_FILE, name, str(inputs)], check=True)
        return Path(name), inputs
    tests = str(HERE.parent / "tests")
    subprocess.run([sys.executable, "-c", PREPARE, tests, name, str(folder), str(inputs)], check=True,
                   capture_output=True)  # fmt: skip
    return folder / f"{name}.dynamo.static.onnx", inputs


PREPARE_PLAN = """
import sys; sys.path.insert(0, sys.argv[1])
import engines, numpy as np, pyinfer
m = pyinfer.load(sys.argv[2], threads=int(sys.argv[5]))
m.run(dict(np.load(sys.argv[3]).items()))
m.save(sys.argv[4])
"""


def save_plan(model: Path, inputs: Path, work: Path, threads: int) -> Path:
    plan = work / "saved.plan"
    command = [sys.executable, "-c", PREPARE_PLAN, str(HERE), str(model), str(inputs), str(plan), str(threads)]
    subprocess.run(command, check=True)
    return plan


def measure(name: str, args: argparse.Namespace, folder: Path, work: Path) -> list[dict[str, Any]]:
    model, inputs = prepare(name, folder, work)
    plan = save_plan(model, inputs, work, args.threads) if PLAN in args.engines else model
    samples: dict[str, list[dict[str, float]]] = {engine: [] for engine in args.engines}
    for turn in range(args.rounds + 1):  # the first fills the page cache and the .pyc files
        for engine in list(samples):
            result = start(engine, plan if engine == PLAN else model, inputs, args.threads)
            if isinstance(result, str):
                print(f"{name}: {engine}: {result}", file=sys.stderr)
                del samples[engine]
            elif turn:
                samples[engine].append(result)
    keys = ("total_s", "import_s", "load_s", "run_s", "peak_mb")
    found: list[dict[str, Any]] = [
        {"model": Path(name).stem, "size_mb": model.stat().st_size / 1e6, "engine": engine,
         **{k: statistics.median(s[k] for s in rows) for k in keys}}
        for engine, rows in samples.items() if rows]  # fmt: skip
    for base in [row for row in found if row["engine"] == "onnxruntime"]:
        for row in found:
            row["ratio"] = row["total_s"] / base["total_s"]
            row["memory_ratio"] = row["peak_mb"] / base["peak_mb"]
    for row in found:
        if row["engine"] in OURS and row["model"] in bars.COLD:
            row["bar"] = bars.COLD[row["model"]][OURS.index(row["engine"])]
            row["memory_bar"] = bars.COLD[row["model"]][2]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="*", default=DEFAULT, help="names of tests/models/zoo.py or .onnx files")
    parser.add_argument("--engines", nargs="*", default=["numpy", "pyinfer", PLAN, "onnxruntime", "openvino"])
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--zoo", type=Path, default=os.environ.get("PYINFER_ZOO"), help="keep and reuse exports here")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as work:
        folder = args.zoo or Path(work)
        for name in args.models:
            rows += measure(name, args, folder, Path(work))
            if not args.zoo:
                for path in Path(work).glob("*.onnx"):
                    path.unlink()
    print("| model | file MB | engine | whole ms | import | load | first run | peak MB | ratio | bar | memory ratio | bar |")
    print("|---|---:|---" + "|---:" * 9 + "|")
    for r in rows:
        shares = (f"{r[k]:.2f}" if k in r else "–" for k in ("ratio", "bar", "memory_ratio", "memory_bar"))
        print(f"| {r['model']} | {r['size_mb']:.0f} | {r['engine']} | {r['total_s'] * 1e3:.0f} | {r['import_s'] * 1e3:.0f} "
              f"| {r['load_s'] * 1e3:.0f} | {r['run_s'] * 1e3:.0f} | {r['peak_mb']:.0f} | {' | '.join(shares)} |")  # fmt: skip
    if args.json:
        args.json.write_text(json.dumps({"threads": args.threads, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
    else:
        main()
