# SPDX-License-Identifier: Apache-2.0
"""The command ``pyinfer``: a row of COMMANDS is a command, and a module here of the same name.

Such a module has as its docstring what `--help` says, EXAMPLES, arguments(parser) and run(args),
which gives the exit code; EXIT if that means more than CODES says. Nothing is imported before it is
known to be needed: `pyinfer --help` costs little more than Python itself.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

    from ._shared import Parser

COMMANDS = {
    "run": "run a model once",
    "info": "inputs, outputs, metadata and operators of a model",
    "bench": "time a model, interleaved with other engines",
    "compare": "hold a model's outputs against another engine's",
    "profile": "time each step of a model",
    "explain": "which implementation each step takes, and why",
    "graph": "the graph as a picture, what runs or what is in the file",
    "memory": "the memory that a run will need, value by value",
    "doctor": "look for trouble in this machine and in a model",
    "ops": "operators that are supported: versions and element types",
    "config": "what was found on this machine, and the options of load",
    "cache": "the packed weights that load(..., cache=True) keeps",
    "demo": "a window for the classroom: draw, pictures, the network, other engines",
    "completion": "a script that completes this command in bash, zsh or fish",
}

CODES = "0 done, 1 an error (one line on stderr), 2 wrong usage, 130 stopped by Ctrl-C"

USAGE = "usage: pyinfer COMMAND [...]"

HELP = f"""{USAGE}

Runs ONNX models on the CPU.

commands:
{{commands}}

options:
  -h, --help  print this; `pyinfer COMMAND --help` tells all about a command
  --version   print the version

examples:
  pyinfer run --example                        classify the pictures that come with pyinfer
  pyinfer run model.onnx --input x=photo.png   run on a picture, print the largest outputs
  pyinfer doctor model.onnx                    what is wrong with it, and what would be slow
  pyinfer bench model.onnx --vs onnxruntime    interleaved with another engine, medians and ratio
  pyinfer demo                                 a window: draw a digit, see inside the network

exit codes: {CODES}"""


class Problem(Exception):
    """Something that the user can mend; its text is all that is printed."""


class Usage(Problem):
    """The command line itself is wrong: no file and no model would change that."""


def help_text() -> str:
    rows = "\n".join(f"    {name:12}{line}" for name, line in COMMANDS.items())
    return HELP.format(commands=rows)


def parser_of(name: str) -> Parser:
    """The parser of a command; its module is imported now."""
    from importlib import import_module

    from ._shared import Parser

    return Parser(name, COMMANDS[name], import_module(f".{name}", __name__))


def _end(code: int, *lines: str) -> NoReturn:
    print(*lines, sep="\n", file=sys.stderr if code else sys.stdout)
    raise SystemExit(code)


def _command(words: list[str]) -> int:
    name, rest = (words[0], words[1:]) if words else ("", [])
    if name == "help":
        name, rest = (rest[0], ["--help"]) if rest else ("--help", [])
    if name in ("-h", "--help"):
        _end(0, help_text())
    if name in ("--version", "-V"):
        from .. import __version__

        _end(0, f"pyinfer {__version__}")
    if not name:
        names = " ".join(COMMANDS)
        _end(2, USAGE, f"commands: {names}", "`pyinfer --help` says what they do")
    if name not in COMMANDS:
        from ._shared import nearest

        what = "option" if name.startswith("-") else "command"
        near = nearest(name, [*COMMANDS, "--help", "--version"])
        _end(2, USAGE, f"pyinfer: error: there is no {what} {name!r}{near}; see `pyinfer --help`")
    args = parser_of(name).parse_args(rest)
    code: int = args.run(args)
    return code


def _expected(error: Exception) -> bool:
    """Is it one whose text tells the user all? The engine may not have been loaded."""
    core = sys.modules.get("pyinfer._core")
    return isinstance(error, Problem | OSError) or (
        core is not None and isinstance(error, core.PyinferError)
    )


def _text(error: Exception) -> str:
    """What Python says of a file, without the number of the error and with the file first."""
    if type(error).__module__ == "builtins" and isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; gives its exit code. Wrong usage and --help end with SystemExit."""
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda text, *_: print(f"pyinfer: {text}", file=sys.stderr)
            try:
                return _command(list(sys.argv[1:] if argv is None else argv))
            finally:
                sys.stdout.flush()  # here, where a closed pipe is met quietly
    except BrokenPipeError:  # `pyinfer ops | head`: print no more, not even at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    except MemoryError as error:
        print(f"pyinfer: {str(error) or 'no memory is left'}", file=sys.stderr)
        return 1
    except Exception as error:
        if not _expected(error):
            raise
        print(f"pyinfer: {_text(error)}", file=sys.stderr)
        return 2 if isinstance(error, Usage) else 1
