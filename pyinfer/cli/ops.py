# SPDX-License-Identifier: Apache-2.0
"""Lists the operators that are supported, with the opsets that introduced or changed them, and the
types of their inputs."""

from __future__ import annotations

import argparse

from . import Problem
from ._shared import Parser, print_json

EXAMPLES = """\
  pyinfer ops conv                               operators with conv in their name
  pyinfer ops 'Reduce*'                          by a pattern
  pyinfer ops --json                             each version, with its signature
"""
KEYS = ("domain", "name", "since", "signature", "types")


def arguments(parser: Parser) -> None:
    parser.add(
        "pattern", nargs="?", metavar="PATTERN", help="part of a name, or a name with * and ?"
    )
    parser.add("--markdown", action="store_true", help="print docs/operators.md")
    parser.add_json()


def run(args: argparse.Namespace) -> int:
    from .. import _ops

    rows = _ops.matching(args.pattern)
    if not rows:
        raise Problem(f"no operator is called like {args.pattern!r}{_near(args.pattern)}")
    if args.json:
        return print_json([dict(zip(KEYS, row, strict=True)) for row in rows])
    print(_ops.markdown(rows) if args.markdown else _ops.text(rows))
    return 0


def _near(pattern: str) -> str:
    from .. import _ops
    from ._shared import nearest

    names = {name.lower(): name for _, name, *_ in _ops.matching()}
    near = nearest(pattern.lower(), names)
    return next((near.replace(low, name) for low, name in names.items() if f"'{low}'" in near), "")
