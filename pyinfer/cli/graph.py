# SPDX-License-Identifier: Apache-2.0
"""Draws the graph of a model as an SVG file, to be opened in a browser: after the passes, the steps
that run on inputs of some shapes, or before them, the nodes of the file. A block shows its nodes,
kernel and line of PyTorch under the mouse. Without a file to write, a node a line is printed."""

from __future__ import annotations

import argparse

from . import Usage
from ._inputs import arrays_of, make_feeds
from ._progress import busy
from ._shared import FEEDING, LOADING, Parser, load, print_json

EXAMPLES = """\
  pyinfer graph model.onnx --output after.svg           after the passes, as it runs
  pyinfer graph model.onnx --output before.svg --file   before the passes, as in the file
  pyinfer graph model.onnx --output times.svg --time    coloured by time
"""


def arguments(parser: Parser) -> None:
    parser.add_model()
    parser.add("--output", metavar="FILE", help="write the picture here")
    parser.add(
        "--file",
        action="store_true",
        help="before the passes: the nodes of the file",
    )
    parser.add("--time", action="store_true", help="run it, and colour the steps by time")
    parser.add(*FEEDING, *LOADING, "--json")


def run(args: argparse.Namespace) -> int:
    if args.file and args.time:
        raise Usage("--time is of the steps that run: leave out --file")
    model = load(args)
    arrays = arrays_of(model, make_feeds(model, args))
    with busy("drawing"):
        profile = model.profile(*arrays) if args.time else None
        picture = model.graph(*arrays, passes=not args.file, profile=profile)
    if args.output:
        picture.save(args.output)
    if args.json:
        keys = ("title", "note", "tip", "parents", "label")
        blocks = [{key: getattr(block, key) for key in keys} for block in picture.blocks]
        return print_json({"title": picture.title, "about": picture.about, "blocks": blocks})
    print(f"{picture.title}: {picture.about}; see {args.output}" if args.output else picture)
    return 0
