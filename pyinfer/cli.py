# SPDX-License-Identifier: Apache-2.0
"""The command ``pyinfer``. Exit codes: 0 done, 1 an error (one line on stderr), 2 wrong usage."""

from __future__ import annotations

import argparse
import functools
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from .model import Model, Port

EPILOG = """examples:
  pyinfer run --example                        classify the pictures that come with pyinfer
  pyinfer run model.onnx --input x=random      run once on random numbers
  pyinfer run model.onnx --input x=photo.png   run on a picture, print the largest outputs
  pyinfer info model.onnx                      inputs, outputs, operators
  pyinfer bench model.onnx --vs onnxruntime    interleaved with another engine, medians and ratio
  pyinfer demo                                 a window: draw a digit, see inside the network
  pyinfer ops conv                             operators with conv in their name, versions, types
"""


class Problem(Exception):
    """Something that the user can mend; its text is all that is printed."""


# ---- inputs ----


def _picture(path: str, port: Port) -> np.ndarray:
    """A picture as float32 0..1, [1, channels, height, width] as the input says."""
    import numpy as np

    try:
        from PIL import Image
    except ImportError:
        raise Problem("reading pictures needs Pillow: pip install Pillow") from None
    if port.shape is None or len(port.shape) != 4:
        raise Problem(f"a picture needs an input of 4 dimensions, {port} is none")
    channels, height, width = port.shape[1:]
    image = Image.open(path).convert("L" if channels == 1 else "RGB")
    if isinstance(height, int) and isinstance(width, int):
        image = image.resize((width, height))
    pixels = np.asarray(image, np.float32) / 255
    pixels = pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)
    return np.ascontiguousarray(pixels[None])


def _random(port: Port, size: int) -> np.ndarray:
    import numpy as np

    rng = np.random.default_rng(0)
    if "(" in port.dtype:
        raise Problem(f"input {port} is more than one array: run this model from Python")
    if port.shape is None:
        raise Problem(f"input {port.name} may have any rank: give it as a .npy file")
    dims = [d if isinstance(d, int) else size for d in port.shape]
    if port.dtype.startswith(("float", "bfloat")):
        return rng.standard_normal(dims).astype(port.dtype)
    if port.dtype == "str":
        return np.full(dims, "text", object)
    return rng.integers(0, 2, dims).astype(port.dtype)


def _feeds(model: Model, pairs: Sequence[str], size: int) -> dict[str, np.ndarray]:
    import numpy as np

    given = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise Problem(f"--input is NAME=FILE.npy, NAME=FILE.png or NAME=random, not {pair!r}")
        given[name] = value
    ports = {port.name: port for port in model.inputs}
    for name in given:
        if name not in ports:
            raise Problem(
                f"there is no input {name!r}; the inputs are {', '.join(map(str, ports.values()))}"
            )
    feeds = {}
    for name, port in ports.items():
        value = given.get(name, "random")
        if value == "random":
            feeds[name] = _random(port, size)
        elif value.endswith(".npy"):
            try:
                feeds[name] = np.load(value, allow_pickle=False)
            except ValueError as error:
                raise Problem(f"{value}: {error}") from None
        else:
            feeds[name] = _picture(value, port)
    return feeds


# ---- commands ----


def _bars(values: np.ndarray, labels: Sequence[str], top: int) -> list[str]:
    order = values.argsort()[::-1][:top]
    most = max(float(abs(values[order]).max()), 1e-30)
    lines = []
    for i in order:
        bar = "█" * round(30 * max(float(values[i]), 0.0) / most)
        lines.append(f"  {labels[i] if i < len(labels) else i:>6}  {values[i]:8.4f}  {bar}")
    return lines


def _run_example(args: argparse.Namespace) -> int:
    import pyinfer
    from pyinfer import example

    model = pyinfer.load(example.model_path(), threads=args.threads, tune=args.tune)
    x, labels = example.pictures()
    model(x[:1])
    rows = []
    for picture, label in zip(x, labels, strict=True):
        start = time.perf_counter()
        scores = model(picture[None])[0]
        rows.append((int(label), scores, (time.perf_counter() - start) * 1e6))
    if args.json:
        out = [{"label": n, "scores": s.tolist(), "microseconds": t} for n, s, t in rows]
        print(json.dumps(out, indent=1))
        return 0
    for picture, (label, scores, us) in zip(x, rows, strict=True):
        print(f"a picture of {label}, classified in {us:.0f} µs")
        shades = " ░▒▓█"
        art = ["".join(2 * shades[min(int(v * 5), 4)] for v in line) for line in picture[0]]
        bars = _bars(scores, [str(d) for d in range(10)], args.top)
        for i, line in enumerate(art):
            print(f"  {line} {bars[i - 1] if 0 < i <= len(bars) else ''}")
        print()
    right = sum(int(s.argmax()) == n for n, s, _ in rows)
    print(f"{right} of {len(rows)} right; pyinfer {pyinfer.__version__}, {model.threads} threads")
    return 0


def _summary(array: np.ndarray) -> str:
    shape = "x".join(map(str, array.shape)) or "scalar"
    if not array.size or array.dtype.kind not in "fiu":
        return f"{array.dtype} {shape}"
    wide = array.astype("float64")
    return (
        f"{array.dtype} {shape}, min {wide.min():.6g}, mean {wide.mean():.6g}, max {wide.max():.6g}"
    )


def _arrays(outputs: dict[str, Any]) -> dict[str, np.ndarray]:
    """Each array by itself, those of a sequence as "name[0]" and so on; no absent ones."""
    flat = {}
    for name, value in outputs.items():
        if isinstance(value, list):
            flat.update({f"{name}[{i}]": array for i, array in enumerate(value)})
        elif value is not None:
            flat[name] = value
    return flat


def cmd_run(args: argparse.Namespace) -> int:
    """run a model once"""
    if args.example:
        return _run_example(args)
    if not args.model:
        raise Problem("name a model, or use --example")
    import pyinfer

    model = pyinfer.load(args.model, threads=args.threads, tune=args.tune)
    feeds = _feeds(model, args.input, args.size)
    start = time.perf_counter()
    first = model.run(feeds)
    first_ms = (time.perf_counter() - start) * 1e3
    start = time.perf_counter()
    outputs = _arrays(model.run(feeds))
    ms = (time.perf_counter() - start) * 1e3
    del first
    if args.json:
        rows = {n: {"shape": list(a.shape), "dtype": str(a.dtype)} for n, a in outputs.items()}
        print(
            json.dumps(
                {"milliseconds": ms, "first_milliseconds": first_ms, "outputs": rows}, indent=1
            )
        )
        return 0
    for name, array in outputs.items():
        print(f"{name}: {_summary(array)}")
        if array.dtype.kind == "f" and array.ndim == 2 and array.shape[0] == 1:
            print("\n".join(_bars(array[0], [], args.top)))
    print(f"{ms:.3f} ms ({first_ms:.1f} ms the first time)")
    return 0


def cmd_info(args: argparse.Namespace) -> int:
    """inputs, outputs, metadata and operators of a model"""
    import pyinfer

    model = pyinfer.load(args.model, threads=args.threads)
    nodes: dict[str, int] = {}
    for line in model.graph_text().splitlines():
        op = line.partition(" = ")[2].split("(")[0].split(" ")[0]
        nodes[op] = nodes.get(op, 0) + 1
    ports = {"inputs": model.inputs, "outputs": model.outputs}
    if args.json:
        as_rows = {k: [p._asdict() for p in v] for k, v in ports.items()}
        print(json.dumps({**as_rows, "metadata": model.metadata, "nodes": nodes}, indent=1))
        return 0
    for kind, rows in ports.items():
        print(kind)
        for port in rows:
            print(f"  {port}")
    print("metadata")
    for key, value in model.metadata.items():
        if value:
            print(f"  {key}: {value if len(value) < 100 else value[:97] + '...'}")
    print(f"operators after loading: {sum(nodes.values())}")
    for op, count in sorted(nodes.items(), key=lambda row: -row[1]):
        print(f"  {count:5} {op}")
    return 0


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
    raise Problem(f"--vs knows onnxruntime and openvino, not {name!r}")


def cmd_bench(args: argparse.Namespace) -> int:
    """time a model, interleaved with other engines"""
    import pyinfer

    model = pyinfer.load(args.model, threads=args.threads, tune=args.tune)
    feeds = _feeds(model, args.input, args.size)
    runs: dict[str, Callable[[], Any]] = {"pyinfer": lambda: model.run(feeds)}
    for name in filter(None, args.vs.split(",")):
        try:
            peer = _peer(name, args.model, model.threads)
        except ImportError:
            raise Problem(f"{name} is not installed: pip install {name}") from None
        runs[name] = functools.partial(peer, feeds)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    for _ in range(args.repeat):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append((time.perf_counter() - start) * 1e3)
    medians = {name: sorted(t)[len(t) // 2] for name, t in times.items()}
    ours = medians["pyinfer"]
    rows = [
        {"engine": n, "ms": medians[n], "fastest_ms": min(times[n]), "ratio": ours / medians[n]}
        for n in runs
    ]
    if args.json:
        print(
            json.dumps({"threads": model.threads, "repeat": args.repeat, "engines": rows}, indent=1)
        )
        return 0
    print(f"{model.threads} threads, median of {args.repeat} interleaved runs")
    for row in rows:
        ratio = "" if row["engine"] == "pyinfer" else f"  pyinfer takes {row['ratio']:.2f} of that"
        print(f"  {row['engine']:12} {row['ms']:9.3f} ms (fastest {row['fastest_ms']:.3f}){ratio}")
    return 0


def cmd_profile(args: argparse.Namespace) -> int:
    """time each step of a model"""
    import pyinfer

    model = pyinfer.load(args.model, threads=args.threads, tune=args.tune)
    feeds = _feeds(model, args.input, args.size)
    profile = model.profile(*(feeds[p.name] for p in model.inputs), repeat=args.repeat)
    if args.trace:
        profile.chrome_trace(args.trace)
    if args.json:
        print(json.dumps([step._asdict() for step in profile.steps], indent=1))
    else:
        print(profile.table(args.top or None))
    return 0


def cmd_explain(args: argparse.Namespace) -> int:
    """which implementation each step takes, and why"""
    import pyinfer

    model = pyinfer.load(args.model, threads=args.threads, tune=args.tune)
    feeds = _feeds(model, args.input, args.size)
    arrays = tuple(feeds[p.name] for p in model.inputs)
    if args.json:
        keys = ("domain", "op", "parts", "name", "impl", "tuned", "refused", "shapes", "source")
        lists, arena, packed = model.steps(arrays, 0)
        steps = [{key: step[key] for key in keys} for step in lists[0]]
        print(json.dumps({"steps": steps, "arena": arena, "packed": packed}, indent=1))
    else:
        print(model.explain(*arrays))
    return 0


def cmd_ops(args: argparse.Namespace) -> int:
    """operators that are supported: versions and element types"""
    from . import _ops

    rows = _ops.matching(args.pattern)
    if not rows:
        raise Problem(f"no operator is called like {args.pattern!r}")
    if args.json:
        keys = ("domain", "name", "since", "signature", "types")
        print(json.dumps([dict(zip(keys, row, strict=True)) for row in rows], indent=1))
    else:
        print(_ops.markdown(rows) if args.markdown else _ops.text(rows))
    return 0


def cmd_config(args: argparse.Namespace) -> int:
    """what was found on this machine, and the options of load"""
    import pyinfer

    from . import _core

    if args.json:
        print(json.dumps(pyinfer.config(), indent=1))
        return 0
    pyinfer.show_config()
    print("options of load, and PYINFER_<NAME> in the environment:")
    for name, _, standard, doc in _core.options():
        print(f"  {name} = {standard}: {doc}")
    return 0


def cmd_cache(args: argparse.Namespace) -> int:
    """the packed weights that load(..., cache=True) keeps"""
    from . import _cache

    rows = _cache.clear() if args.clear else _cache.entries()
    total = sum(e.size for e in rows)
    if args.json:
        listed = [{"path": e.path, "bytes": e.size, "used": e.used} for e in rows]
        report = {"folder": _cache.folder(), "limit": _cache.size_limit(), "bytes": total}
        print(json.dumps({**report, "removed" if args.clear else "files": listed}, indent=1))
        return 0
    for e in rows:
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(e.used))
        print(f"{e.size / 1e6:10.1f} MB  {used}  {os.path.basename(e.path)}")
    what = "removed from" if args.clear else "in"
    print(f"{total / 1e6:.1f} MB in {len(rows)} files {what} {_cache.folder()}, at most "
          f"{_cache.size_limit() / 1e6:.0f} MB")  # fmt: skip
    return 0


def cmd_demo(args: argparse.Namespace) -> int:
    """a window for the classroom: draw, pictures, the network, other engines"""
    from . import demo

    problem = demo.missing()
    if problem:
        raise Problem(problem)
    demo.show(args.model, labels=args.labels, threads=args.threads or 0, language=args.language)
    return 0


# ---- arguments ----


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pyinfer",
        description="Runs ONNX models on the CPU.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    table: list[tuple[str, Callable[[argparse.Namespace], int], bool]] = [
        ("run", cmd_run, True),
        ("info", cmd_info, True),
        ("bench", cmd_bench, True),
        ("profile", cmd_profile, True),
        ("explain", cmd_explain, True),
        ("ops", cmd_ops, False),
        ("config", cmd_config, False),
        ("cache", cmd_cache, False),
        ("demo", cmd_demo, False),
    ]
    for name, function, with_model in table:
        sub = commands.add_parser(name, help=function.__doc__, description=function.__doc__)
        sub.set_defaults(function=function)
        if name == "demo":
            sub.add_argument("model", nargs="?", help="an ONNX file; else digits")
            sub.add_argument("--labels", metavar="FILE", help="names of the classes, a line each")
            sub.add_argument("--threads", type=int, help="threads of one run")
            sub.add_argument("--language", choices=("en", "zh"), default="en")
            continue
        sub.add_argument("--json", action="store_true", help="print JSON")
        if name == "ops":
            sub.add_argument("pattern", nargs="?", help="part of a name, or a name with * and ?")
            sub.add_argument("--markdown", action="store_true", help="print docs/operators.md")
        if name == "cache":
            sub.add_argument("--clear", action="store_true", help="remove all files")
        if not with_model:
            continue
        if name == "run":
            sub.add_argument("model", nargs="?", help="an ONNX file")
            sub.add_argument(
                "--example", action="store_true", help="the model and pictures inside the package"
            )
        else:
            sub.add_argument("model", help="an ONNX file")
        sub.add_argument("--threads", type=int, help="threads of one run")
        if name != "info":
            sub.add_argument(
                "--tune", type=int, metavar="SECONDS", help="measure the candidates of each step"
            )
            sub.add_argument(
                "--input",
                action="append",
                default=[],
                metavar="NAME=VALUE",
                help="FILE.npy, a picture, or random; inputs not named are random",
            )
            sub.add_argument(
                "--size", type=int, default=1, help="value of symbolic dimensions of random inputs"
            )
        if name in ("run", "profile"):
            sub.add_argument(
                "--top", type=int, default=3 if name == "run" else 0, help="how many rows to print"
            )
        if name in ("bench", "profile"):
            sub.add_argument("--repeat", type=int, default=30, help="runs to take the median of")
        if name == "bench":
            sub.add_argument("--vs", default="", help="other engines: onnxruntime,openvino")
        if name == "profile":
            sub.add_argument("--trace", help="write a Chrome trace to this file")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; gives its exit code."""
    args = _parser().parse_args(argv)
    from ._core import PyinferError

    try:
        code: int = args.function(args)
        return code
    except BrokenPipeError:  # `pyinfer ops | head`: print no more, not even at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (PyinferError, Problem, OSError) as error:
        print(f"pyinfer: {error}", file=sys.stderr)
        return 1
