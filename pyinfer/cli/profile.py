# SPDX-License-Identifier: Apache-2.0
"""Times each step of a model: medians, GFLOP/s and their share of this machine's peak, bytes."""

from __future__ import annotations

import argparse

from ._inputs import arrays_of, make_feeds
from ._progress import busy
from ._shared import FEEDING, LOADING, Parser, draw, load, print_json

EXAMPLES = """\
  pyinfer profile model.onnx --top 10
  pyinfer profile model.onnx --plot time.png     bars, and a roofline
  pyinfer profile model.onnx --trace run.json    open it in chrome://tracing or ui.perfetto.dev
"""


def arguments(parser: Parser) -> None:
    parser.add_model()
    parser.add("--trace", metavar="FILE", help="write a Chrome trace to this file")
    parser.add("--plot", metavar="FILE", help="draw bars and a roofline (needs matplotlib)")
    parser.add("--html", metavar="FILE", help="write the table with bars as a web page")
    parser.add("--top", default=0, help="how many steps to print, the slowest first")
    parser.add("--repeat", default=30)
    parser.add(*FEEDING, *LOADING, "--json")


def run(args: argparse.Namespace) -> int:
    model = load(args)
    arrays = arrays_of(model, make_feeds(model, args))
    with busy("profiling"):
        profile = model.profile(*arrays, repeat=args.repeat)
    if args.trace:
        profile.chrome_trace(args.trace)
    if args.html:
        profile.html(args.html)
    if args.plot:
        draw(profile, args.plot)
    if args.json:
        return print_json([step._asdict() for step in profile.steps])
    print(profile.table(args.top or None))
    return 0
