# SPDX-License-Identifier: Apache-2.0
"""Opens a window for the classroom: draw a digit, classify a picture or what a camera sees, look
inside the network, compare with other engines. It needs Tk and `pip install "pyinfer[demo]"`."""

from __future__ import annotations

import argparse

from . import Problem
from ._shared import Parser

EXAMPLES = """\
  pyinfer demo                                   digits
  pyinfer demo model.onnx --labels names.txt     any classifier
"""


def arguments(parser: Parser) -> None:
    parser.add_model(nargs="?")
    parser.add("--labels", metavar="FILE", help="names of the classes, a line each")
    parser.add("--language", choices=("en", "zh"), default="en", help="of the window")
    parser.add("--threads")


def run(args: argparse.Namespace) -> int:
    from .. import demo

    problem = demo.missing()
    if problem:
        raise Problem(problem)
    demo.show(args.model, labels=args.labels, threads=args.threads or 0, language=args.language)
    return 0
