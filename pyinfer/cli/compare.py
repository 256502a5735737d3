# SPDX-License-Identifier: Apache-2.0
"""Holds the outputs of a model against those of another engine or model on the same input; where
they differ, or have a NaN, looks for the first value within that does, which step made it, and from
which line of PyTorch that comes. The model runs here as it always does, with all its fusions."""

from __future__ import annotations

import argparse
import os

from . import Problem, Usage
from ._inputs import arrays_of, make_feeds
from ._progress import busy
from ._shared import FEEDING, LOADING, MODELS, Parser, load, print_json

ENGINES = ("onnxruntime", "openvino", "reference")
EXIT = "0 they agree, 1 they differ, or an error (one line on stderr), 2 wrong usage"
EXAMPLES = """\
  pyinfer compare model.onnx                          with ONNX Runtime, on random numbers
  pyinfer compare model.onnx --with reference         with this engine, not optimised
  pyinfer compare old.onnx --with new.onnx --input x=photo.npy
  pyinfer compare int8.onnx --with float.onnx --input x=photo.png
  pyinfer compare model.onnx --rtol 1e-3 --atol 1e-5 --json
"""


def arguments(parser: Parser) -> None:
    parser.add_model()
    parser.add(
        "--with",
        dest="other",
        default="onnxruntime",
        metavar="OTHER",
        help="onnxruntime, openvino, another model's file, or reference: this engine without its "
        "passes, oneDNN, Winograd and Strassen",
        complete=f"{' '.join(ENGINES)} FILE:{','.join(MODELS)}",
    )
    parser.add(
        "--tolerance",
        type=float,
        metavar="SHARE",
        help="what is allowed, as a share of an output's largest value (1e-4; 1e-2 for 16-bit "
        "floats; of quantised models what rounding explains)",
    )
    parser.add("--rtol", type=float, metavar="X", help="instead: a share of each value")
    parser.add("--atol", type=float, metavar="X", help="instead, or with --rtol: an absolute error")
    parser.add(*FEEDING, *LOADING, "--json")


def run(args: argparse.Namespace) -> int:
    import pyinfer

    if args.other not in ENGINES and not os.path.exists(args.other):
        if os.path.splitext(args.other)[1] or os.sep in args.other:
            raise Problem(f"{args.other}: No such file or directory")
        raise Usage(f"--with is {', '.join(ENGINES)} or a file, not {args.other!r}")
    model = load(args)
    inputs = arrays_of(model, make_feeds(model, args))
    allowed = {name: getattr(args, name) for name in ("tolerance", "rtol", "atol")}
    try:
        with busy(f"comparing with {args.other}"):
            found = pyinfer.compare(model, args.other, inputs, **allowed)
    except ImportError as error:
        raise Problem(str(error)) from None
    if args.json:
        rows = [{**row._asdict(), "relative": row.relative} for row in found.rows]
        print_json(
            {
                "ok": found.ok,
                "against": found.against,
                "allowed": found.limit,
                "rows": rows,
                "notes": found.notes,
            }
        )
    else:
        print(found)
    return 0 if found.ok else 1
