# SPDX-License-Identifier: Apache-2.0
"""What commands share: flags, loading, JSON. A flag means the same wherever it is."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

from . import CODES, Problem, Usage
from ._progress import busy

if TYPE_CHECKING:
    from ..model import Model

MODELS = ("onnx", "plan")  # endings that completion offers first

# The words of argparse, and `complete`: words that are offered, "FILE" for a file, or
# "FILE:ending,ending" for such files first.
FLAGS: dict[str, dict[str, Any]] = {
    "--json": {"action": "store_true", "help": "print JSON"},
    "--threads": {
        "type": int,
        "metavar": "N",
        "help": "threads of one run; as many as this process may use, if not given",
    },
    "--level": {
        "type": int,
        "metavar": "N",
        "help": "optimisation: 0 none, 1 folding and dead code, 2 all passes",
        "complete": "0 1 2",
    },
    "--tune": {
        "type": int,
        "metavar": "SECONDS",
        "help": "measure the candidates of each step that long at most, take the fastest",
    },
    "--option": {
        "action": "append",
        "default": [],
        "metavar": "NAME=VALUE",
        "help": "another option of load (`pyinfer config` lists them), such as exact=1",
    },
    "--input": {
        "action": "append",
        "default": [],
        "metavar": "NAME=VALUE",
        "help": "FILE.npy, a picture (its middle, 0..1, or 0..255 for uint8), a number or a text "
        "that fills it, random, zeros or ones; inputs not named are random",
        "complete": "FILE",
    },
    "--mean": {
        "metavar": "R,G,B",
        "help": "what is taken from pictures in 0..1, a number or one for each channel; for "
        "ImageNet 0.485,0.456,0.406",
    },
    "--std": {
        "metavar": "R,G,B",
        "help": "what they are then divided by; for ImageNet 0.229,0.224,0.225",
    },
    "--size": {
        "type": int,
        "default": 1,
        "metavar": "N",
        "help": "value of symbolic dimensions of made-up inputs (default: 1)",
    },
    "--repeat": {"type": int, "metavar": "N", "help": "runs to take the median of"},
    "--top": {"type": int, "metavar": "N", "help": "how many rows to print"},
}
LOADING = ("--threads", "--level", "--tune", "--option")
FEEDING = ("--input", "--mean", "--std", "--size")


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Fills the description to the terminal's width, and leaves the examples as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith("examples:"):
            return super()._fill_text(text, width, indent)
        return argparse.HelpFormatter._fill_text(self, text, width, indent)


class Parser(argparse.ArgumentParser):
    """The parser of one command, from its module."""

    def __init__(self, name: str, line: str, command: ModuleType) -> None:
        codes = getattr(command, "EXIT", CODES)
        super().__init__(
            prog=f"pyinfer {name}",
            description=command.__doc__,
            epilog=f"examples:\n{command.EXAMPLES.rstrip()}\n\nexit codes: {codes}",
            formatter_class=_Formatter,
        )
        self.line = line
        self.set_defaults(run=command.run)
        command.arguments(self)

    def add(self, *names: str, **changes: Any) -> None:
        """Adds flags of FLAGS, or new ones; changes: to what FLAGS says."""
        for name in names:
            words = {**FLAGS.get(name, {}), **changes}
            complete = words.pop("complete", "FILE" if words.get("metavar") == "FILE" else "")
            if "default" in changes and "%(default)s" not in words["help"] and changes["default"]:
                words["help"] += " (default: %(default)s)"
            action = self.add_argument(name, **words)
            action.complete = complete  # type: ignore[attr-defined]

    def add_model(self, **changes: Any) -> None:
        what = "an ONNX file, or a plan that Model.save wrote"
        files = f"FILE:{','.join(MODELS)}"
        self.add("model", metavar="MODEL", help=what, complete=files, **changes)

    def add_json(self) -> None:
        self.add("--json")

    @property
    def actions(self) -> list[argparse.Action]:
        return self._actions

    def error(self, message: str) -> NoReturn:
        start = "unrecognized arguments: "
        if message.startswith(start):
            flag = message[len(start) :].split()[0].partition("=")[0]
            known = [s for action in self.actions for s in action.option_strings]
            message = f"there is no {flag!r} here{nearest(flag, known)}"
        self.exit(
            2, f"{self.format_usage()}{self.prog}: error: {message}; see `{self.prog} --help`\n"
        )


def nearest(word: str, known: Iterable[str]) -> str:
    """ ", did you mean ...?" or nothing."""
    from difflib import get_close_matches

    found = get_close_matches(word, list(known), 1, 0.6)
    return f" (did you mean {found[0]!r}?)" if found else ""


# ---- loading ----


def options_of(args: argparse.Namespace) -> dict[str, Any]:
    options = {"threads": args.threads, "level": args.level, "tune": args.tune}
    for pair in args.option:
        name, _, value = pair.partition("=")
        try:
            options[name] = int(value)
        except ValueError:
            raise Usage(f"--option is NAME=NUMBER, not {pair!r}") from None
    return options


def load(args: argparse.Namespace, path: str | None = None) -> Model:
    """The model of the arguments, with the options of LOADING."""
    import pyinfer

    options = options_of(args)
    path = args.model if path is None else path
    with busy(f"loading {os.path.basename(path)}"):
        try:
            return pyinfer.load(path, **options)
        except TypeError as error:  # of an option
            raise Problem(str(error)) from None


# ---- printing ----


def _plain(value: Any) -> Any:
    """JSON has no infinity and no NaN: null stands for them."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(v) for v in value]
    return value


def print_json(value: Any) -> int:
    """Prints, and gives the exit code 0."""
    import json

    print(json.dumps(_plain(value), indent=1))
    return 0


def draw(what: Any, path: str) -> None:
    """what.plot(path); what cannot be drawn is a Problem."""
    try:
        what.plot(path)
    except (ImportError, ValueError) as error:  # no matplotlib; no such kind of picture
        raise Problem(f"--plot {path}: {error}") from None
