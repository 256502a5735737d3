# SPDX-License-Identifier: Apache-2.0
"""Looks for trouble: in this machine and process (CPU features, threads, OpenMP, oneDNN, limits of
the control group), and in a model, which need not be loadable: operators that are not supported,
missing files, weights never used or denormal, steps on slow code, memory and time. Each finding is
ok, a note, slow or a problem, and says what to do."""

from __future__ import annotations

import argparse

from . import Problem
from ._inputs import make_feeds
from ._progress import busy
from ._shared import FEEDING, LOADING, Parser, options_of, print_json

EXIT = "0 nothing stops the model, 1 there is a problem, or an error, 2 wrong usage"
EXAMPLES = """\
  pyinfer doctor                                 this machine
  pyinfer doctor model.onnx --size 8             with 8 for each symbolic dimension
  pyinfer doctor model.onnx --no-run             plan it, but do not run it
  pyinfer doctor model.onnx --json | jq .findings
"""


def arguments(parser: Parser) -> None:
    parser.add_model(nargs="?")
    parser.add("--no-run", action="store_true", help="do not measure a run on random input")
    parser.add(*FEEDING, *LOADING, "--json")


def run(args: argparse.Namespace) -> int:
    import pyinfer

    try:
        report = pyinfer.doctor(
            args.model,
            lambda model: make_feeds(model, args),
            run=not args.no_run,
            _doing=busy,
            **options_of(args),
        )
    except TypeError as error:  # of an option
        raise Problem(str(error)) from None
    if args.json:
        print_json(report.as_dict())
    else:
        print(report)
    return 0 if report.ok else 1
