# SPDX-License-Identifier: Apache-2.0
"""Intermediate values by name: what ``Model.run(..., fetch=...)`` does.

The model is loaded once more with these values as further outputs, so that no fusion swallows them
and every pass keeps them; that variant stays beside the model for the next call.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from . import _core

if TYPE_CHECKING:
    from .model import Model

KEPT = 4  # variants of a model, least recently used out


class Value(NamedTuple):
    """A value within a model: its name in the file, the node that makes it, that node's operator,
    and the PyTorch line it came from (None if the exporter wrote none)."""

    name: str
    node: str
    op: str
    source: str | None


def values(model: Model) -> tuple[Value, ...]:
    """All values that the nodes of the file make, in topological order, functions expanded. Those
    in the bodies of If, Loop and Scan are not among them.

    >>> import pyinfer
    >>> from pyinfer import example
    >>> values(pyinfer.load(example.model_path()))[-1].name
    'probabilities'
    """
    return tuple(Value(*row) for row in model.inner_rows())


def weights(model: Model) -> set[str]:
    """Names of the constants that the nodes read.

    >>> import pyinfer
    >>> from pyinfer import example
    >>> "classify.bias" in weights(pyinfer.load(example.model_path()))
    True
    """
    edges = model.inner_edges()
    read = {name for _, _, inputs in edges for name in inputs}
    return read - {value for value, _, _ in edges} - {*model.input_names, ""}


def _near(pattern: str, names: Sequence[str]) -> str:
    plain = pattern.strip("*?")
    near = [n for n in names if plain and plain.lower() in n.lower()][:5]
    near = near or difflib.get_close_matches(plain, names, 5, 0.4)
    return f"near it: {', '.join(near)}" if near else f"{len(names)} names, such as {names[:5]}"


def resolve(model: Model, patterns: Sequence[str]) -> dict[str, str]:
    """Value names by the keys of the result: a name is its own key, also that of a weight, and of
    a node, which stands for its first output; what a glob pattern matches (cases are alike, and it
    matches no weight) is keyed by the value's name.

    Raises InputError for a name that is none and a pattern that matches nothing.

    >>> import pyinfer
    >>> from pyinfer import example
    >>> resolve(pyinfer.load(example.model_path()), ["prob*"])
    {'probabilities': 'probabilities'}
    """
    if isinstance(patterns, str):
        raise TypeError(f"fetch is a list of names or patterns: give [{patterns!r}]")
    rows = values(model)
    known = {row.name: row.name for row in rows} | {row[0]: row[0] for row in model.output_rows}
    first: dict[str, str] = {}
    for row in rows:
        first.setdefault(row.node, row.name)
    first.pop("", None)
    constants = weights(model)
    found: dict[str, str] = {}
    for pattern in patterns:
        name = known.get(pattern) or first.get(pattern)
        if name or pattern in constants:
            found[pattern] = name or pattern
            continue
        low = pattern.lower() if set(pattern) & set("*?[") else ""
        by_node = {first[n] for n in first if fnmatchcase(n.lower(), low)}
        matches = [n for n in known if n in by_node or fnmatchcase(n.lower(), low)]
        if not matches:
            if pattern in model.input_names:
                raise _core.InputError(f"fetch: {pattern!r} is an input: you have it already")
            names = list(dict.fromkeys([*known, *first]))
            raise _core.InputError(
                f"fetch: {pattern!r} is no value or node of the model; {_near(pattern, names)}"
                ". Values within If, Loop and Scan cannot be fetched, weights by their names only"
            )
        found.update(zip(matches, matches, strict=True))
    return found


def variant(model: Model, names: Sequence[str]) -> Model:
    """The model with these values (names of :func:`values`, none of an output) as further outputs,
    behind its own. It shares nothing with the model but the file: it packs its weights again.

    Raises FileError if the file was changed since the model was loaded.
    """
    from .model import _load

    key = tuple(names)
    kept = model._variants
    made = kept.pop(key, None)
    if made is None or made.closed:
        source, options, folder, _ = model._recipe
        rows = model.inner_rows()
        changed = _core.FileError(f"{source} was changed since the model was loaded: load it again")
        try:
            made = _load(source, options, folder, False, key)
        except _core.InputError as error:
            if set(key) <= {row[0] for row in rows}:
                raise changed from error
            raise
        if made.inner_rows() != rows:
            raise changed
        made._warned = model._warned
    kept[key] = made  # now the last one
    while len(kept) > KEPT:
        kept.pop(next(iter(kept)), None)
    return made
