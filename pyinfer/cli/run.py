# SPDX-License-Identifier: Apache-2.0
"""Runs a model once and prints what came out: shape, least, mean and largest value of each output,
and the largest values in each row of one that looks like scores. With --json, outputs of up to 1000
numbers are there whole."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .._units import count_text
from . import Usage
from ._inputs import make_feeds
from ._progress import busy
from ._shared import FEEDING, LOADING, Parser, load, print_json

if TYPE_CHECKING:
    import numpy as np

EXAMPLES = """\
  pyinfer run --example                        classify the pictures that come with pyinfer
  pyinfer run model.onnx                       on random numbers
  pyinfer run model.onnx --size 8              with 8 for each symbolic dimension
  pyinfer run model.onnx --input x=photo.png   on a picture; also x=array.npy, x=zeros
  pyinfer run model.onnx --input x=photo.png --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225
  pyinfer run model.onnx --json | jq .outputs  the numbers
"""


MOST_VALUES = 1000  # of an output, in JSON
MOST_ROWS = 20  # of scores that are printed


def arguments(parser: Parser) -> None:
    parser.add_model(nargs="?")
    parser.add("--example", action="store_true", help="the model and pictures inside the package")
    parser.add("--top", default=3)
    parser.add(*FEEDING, *LOADING, "--json")


def _bars(values: np.ndarray, labels: Sequence[str], top: int) -> list[str]:
    order = values.argsort()[::-1][:top]
    most = max(float(abs(values[order]).max()), 1e-30)
    lines = []
    for i in order:
        bar = "█" * round(30 * max(float(values[i]), 0.0) / most)
        lines.append(f"  {labels[i] if i < len(labels) else i:>6}  {values[i]:8.4f}  {bar}")
    return lines


def _rows(scores: np.ndarray, top: int) -> list[str]:
    """The largest of each row, a line a row."""
    lines = []
    for i, row in enumerate(scores[:MOST_ROWS]):
        order = row.argsort()[::-1][:top]
        lines.append(f"  row {i}:  " + ",  ".join(f"{n}  {row[n]:.4f}" for n in order))
    more = len(scores) - MOST_ROWS
    return lines + ([f"  ... {more} more rows"] if more > 0 else [])


def _run_example(args: argparse.Namespace) -> int:
    import pyinfer
    from pyinfer import example

    model = load(args, str(example.model_path()))
    x, labels = example.pictures()
    model(x[:1])
    rows = []
    for picture, label in zip(x, labels, strict=True):
        start = time.perf_counter()
        scores = model(picture[None])[0]
        rows.append((int(label), scores, (time.perf_counter() - start) * 1e6))
    if args.json:
        return print_json(
            [{"label": n, "scores": s.tolist(), "microseconds": t} for n, s, t in rows]
        )
    for picture, (label, scores, us) in zip(x, rows, strict=True):
        print(f"a picture of {label}, classified in {us:.0f} µs")
        shades = " ░▒▓█"
        art = ["".join(2 * shades[min(int(v * 5), 4)] for v in line) for line in picture[0]]
        bars = _bars(scores, [str(d) for d in range(10)], args.top)
        for i, line in enumerate(art):
            print(f"  {line} {bars[i - 1] if 0 < i <= len(bars) else ''}")
        print()
    right = sum(int(s.argmax()) == n for n, s, _ in rows)
    threads = count_text(model.threads, "thread")
    print(f"{right} of {len(rows)} right; pyinfer {pyinfer.__version__}, {threads}")
    return 0


def _facts(array: np.ndarray) -> dict[str, Any]:
    """What there is to say of an output: its type and shape, least, mean and largest number."""
    kind = array.dtype.kind
    dtype = "text" if kind in "OSU" else str(array.dtype)
    facts: dict[str, Any] = {"shape": list(array.shape), "dtype": dtype}
    if array.size and kind in "fiuV":  # V: types of ml_dtypes
        wide = array.astype("float64")
        facts |= {"min": float(wide.min()), "mean": float(wide.mean()), "max": float(wide.max())}
    return facts


def _summary(array: np.ndarray, top: int) -> str:
    facts = _facts(array)
    shape = "x".join(map(str, array.shape)) or "scalar"
    numbers = [f", {name} {facts[name]:.6g}" for name in ("min", "mean", "max") if name in facts]
    texts = ""
    if array.size and not numbers:  # texts, truth values
        more = " ..." if array.size > top else ""
        texts = f": {' '.join(map(repr, array.ravel()[:top].tolist()))}{more}"
    return f"{facts['dtype']} {shape}{''.join(numbers)}{texts}"


def _arrays(outputs: dict[str, Any]) -> dict[str, np.ndarray]:
    """Each array by itself, those of a sequence as "name[0]" and so on; no absent ones."""
    flat = {}
    for name, value in outputs.items():
        if isinstance(value, list):
            flat.update({f"{name}[{i}]": array for i, array in enumerate(value)})
        elif value is not None:
            flat[name] = value
    return flat


def run(args: argparse.Namespace) -> int:
    if args.example:
        return _run_example(args)
    if not args.model:
        raise Usage("name a model, or use --example")
    model = load(args)
    feeds = make_feeds(model, args)
    with busy("first run: planning and packing weights"):
        start = time.perf_counter()
        first = model.run(feeds)
        first_ms = (time.perf_counter() - start) * 1e3
    with busy("running"):
        start = time.perf_counter()
        outputs = _arrays(model.run(feeds))
        ms = (time.perf_counter() - start) * 1e3
    del first
    if args.json:
        rows = {name: _facts(array) for name, array in outputs.items()}
        for name, array in outputs.items():
            if array.size <= MOST_VALUES and array.dtype.kind != "c":
                plain = array.astype("float64") if array.dtype.kind == "V" else array
                rows[name]["values"] = plain.tolist()
        return print_json({"milliseconds": ms, "first_milliseconds": first_ms, "outputs": rows})
    for name, array in outputs.items():
        print(f"{name}: {_summary(array, args.top)}")
        if array.dtype.kind == "f" and array.ndim == 2 and array.size:
            single = len(array) == 1
            print("\n".join(_bars(array[0], [], args.top) if single else _rows(array, args.top)))
    print(f"{ms:.3f} ms ({first_ms:.1f} ms the first time)")
    return 0
