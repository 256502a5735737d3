# SPDX-License-Identifier: Apache-2.0
"""Plans the memory of a run on inputs of some shapes, without running: weights, the arena of all
values within the run, and the most that is needed at one time, which no arena can be smaller
than."""

from __future__ import annotations

import argparse

from ._inputs import arrays_of, make_feeds
from ._progress import busy
from ._shared import FEEDING, LOADING, Parser, draw, load, print_json

EXAMPLES = """\
  pyinfer memory model.onnx --size 8             for a batch of 8
  pyinfer memory model.onnx --plot arena.png     where each value lies, and how long
"""


def arguments(parser: Parser) -> None:
    parser.add_model()
    parser.add("--plot", metavar="FILE", help="draw the arena over the run (needs matplotlib)")
    parser.add("--top", default=10, help="how many values to print, the largest first; 0: all")
    parser.add(*FEEDING, *LOADING, "--json")


def run(args: argparse.Namespace) -> int:
    model = load(args)
    arrays = arrays_of(model, make_feeds(model, args))
    with busy("planning"):
        plan = model.memory(*arrays)
    if args.plot:
        draw(plan, args.plot)
    if args.json:
        sums = ("weights", "packed", "arena", "lower_bound", "inputs", "outputs", "total")
        places = [place._asdict() for place in plan.places]
        return print_json({**{name: getattr(plan, name) for name in sums}, "places": places})
    print(plan.table(args.top or None))
    return 0
