# SPDX-License-Identifier: Apache-2.0
"""Prints a script with which the shell completes commands, flags, their values and files. It is
made from the commands' own flags: print it again after an update."""

from __future__ import annotations

import argparse

from ._shared import Parser

EXAMPLES = """\
  eval "$(pyinfer completion bash)"              in ~/.bashrc
  eval "$(pyinfer completion zsh)"               in ~/.zshrc, behind compinit
  pyinfer completion fish > ~/.config/fish/completions/pyinfer.fish
"""


def arguments(parser: Parser) -> None:
    parser.add("shell", choices=("bash", "zsh", "fish"), metavar="SHELL", help="bash, zsh or fish")


def run(args: argparse.Namespace) -> int:
    from ._complete import script

    print(script(args.shell))
    return 0
