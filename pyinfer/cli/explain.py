# SPDX-License-Identifier: Apache-2.0
"""Prints the plan of a model: each step, the implementation that it takes, why earlier candidates
were refused, what was measured, and the line of PyTorch that it comes from."""

from __future__ import annotations

import argparse

from ._inputs import arrays_of, make_feeds
from ._progress import busy
from ._shared import FEEDING, LOADING, Parser, load, print_json

EXAMPLES = """\
  pyinfer explain model.onnx --size 8            for a batch of 8
  pyinfer explain model.onnx --tune 2            what measuring would choose
"""
KEYS = (
    *("domain", "op", "parts", "name", "impl", "isa", "layout"),
    *("tuned", "refused", "shapes", "source"),
)


def arguments(parser: Parser) -> None:
    parser.add_model()
    parser.add(*FEEDING, *LOADING, "--json")


def run(args: argparse.Namespace) -> int:
    model = load(args)
    arrays = arrays_of(model, make_feeds(model, args))
    with busy("planning"):
        lists, arena, packed = model.steps(arrays, 0)
    if args.json:
        steps = [{key: step[key] for key in KEYS} for step in lists[0]]
        return print_json({"steps": steps, "arena": arena, "packed": packed})
    print(model.explain(*arrays))
    return 0
