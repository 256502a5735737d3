# SPDX-License-Identifier: Apache-2.0
"""Times a model, and other engines on the same input with as many threads. The engines take turns,
so that what else the machine does falls on all of them; the medians are compared."""

from __future__ import annotations

import argparse
import functools
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .._units import count_text
from . import Problem, Usage
from ._inputs import make_feeds
from ._progress import busy, counted
from ._shared import FEEDING, LOADING, Parser, load, print_json

if TYPE_CHECKING:
    import numpy as np

EXAMPLES = """\
  pyinfer bench model.onnx
  pyinfer bench model.onnx --vs onnxruntime,openvino --threads 1
  pyinfer bench model.onnx --tune 2 --repeat 100
"""


def arguments(parser: Parser) -> None:
    parser.add_model()
    parser.add(
        "--vs",
        default="",
        metavar="ENGINES",
        help="other engines: onnxruntime,openvino",
        complete="onnxruntime openvino onnxruntime,openvino",
    )
    parser.add("--repeat", default=30)
    parser.add(*FEEDING, *LOADING, "--json")


def _peer(name: str, path: str, threads: int) -> Callable[[dict[str, np.ndarray]], Any]:
    """Another engine as a function of the feeds."""
    if name == "onnxruntime":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        return lambda feeds: session.run(None, feeds)
    if name == "openvino":
        import openvino

        config = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
        compiled = openvino.compile_model(path, "CPU", config)
        request = compiled.create_infer_request()
        return lambda feeds: request.infer(feeds)
    if name == "torch":
        raise Problem("torch cannot run an ONNX file: see benchmarks/models.py for modules")
    raise Usage(f"--vs knows onnxruntime and openvino, not {name!r}")


def _not_there(name: str, error: Exception) -> Problem:
    """What another engine says of the model, in one line."""
    lines = (line for line in str(error).splitlines() if line.strip())
    said = next((s for s in lines if not s.startswith("Exception from")), type(error).__name__)
    return Problem(f"{name} cannot run this model: {said}")


def run(args: argparse.Namespace) -> int:
    if args.repeat < 1:
        raise Usage(f"--repeat is 1 or more, not {args.repeat}")
    model = load(args)
    if args.vs and model.plan_state != "none":
        raise Problem("other engines do not read plans: give the .onnx file that it was made of")
    feeds = make_feeds(model, args)
    runs: dict[str, Callable[[], Any]] = {"pyinfer": lambda: model.run(feeds)}
    for name in filter(None, args.vs.split(",")):
        try:
            with busy(f"loading into {name}"):
                peer = _peer(name, args.model, model.threads)
        except ImportError:
            raise Problem(f"{name} is not installed: pip install {name}") from None
        except Problem:
            raise
        except Exception as error:  # each engine has classes of its own
            raise _not_there(name, error) from None
        runs[name] = functools.partial(peer, feeds)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for name, call in runs.items():
        with busy(f"first run of {name}"):
            try:
                call()
            except Exception as error:
                if name == "pyinfer":
                    raise
                raise _not_there(name, error) from None
    for _ in counted("timing", args.repeat):
        for name, call in runs.items():
            start = time.perf_counter()
            call()
            times[name].append((time.perf_counter() - start) * 1e3)
    medians = {name: sorted(t)[len(t) // 2] for name, t in times.items()}
    ours = medians["pyinfer"]
    rows = [
        {"engine": n, "ms": medians[n], "fastest_ms": min(times[n]), "ratio": ours / medians[n]}
        for n in runs
    ]
    if args.json:
        return print_json({"threads": model.threads, "repeat": args.repeat, "engines": rows})
    print(f"{count_text(model.threads, 'thread')}, median of {args.repeat} interleaved runs")
    for row in rows:
        beside = f"  pyinfer takes {row['ratio']:.2f} times as long"
        ratio = "" if row["engine"] == "pyinfer" else beside
        print(f"  {row['engine']:12} {row['ms']:9.3f} ms (fastest {row['fastest_ms']:.3f}){ratio}")
    return 0
