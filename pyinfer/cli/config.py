# SPDX-License-Identifier: Apache-2.0
"""Prints what was found on this machine (CPU features, oneDNN, OpenMP, threads and why), and the
options that `pyinfer.load` takes. `pyinfer doctor` says what to do about it."""

from __future__ import annotations

import argparse

from ._shared import Parser, print_json

EXAMPLES = """\
  pyinfer config
  PYINFER_ISA=avx2 pyinfer config                what an older CPU would use
"""


def arguments(parser: Parser) -> None:
    parser.add_json()


def run(args: argparse.Namespace) -> int:
    import pyinfer

    from .. import _core

    if args.json:
        options = {n: {"default": d, "meaning": doc} for n, _, d, doc in _core.options()}
        return print_json({**pyinfer.config(), "options": options})
    pyinfer.show_config()
    print("options of load, and PYINFER_<NAME> in the environment:")
    for name, _, standard, doc in _core.options():
        print(f"  {name} = {standard}: {doc}")
    return 0
