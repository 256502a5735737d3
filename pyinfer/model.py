# SPDX-License-Identifier: Apache-2.0
"""Loading and running models."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from . import _core


class InputWarning(UserWarning):
    """An input had to be cast or copied before the model could read it."""


class Port(NamedTuple):
    """An input or output of a model: its name, its shape (ints, or names of symbolic dimensions,
    or None where nothing is known), and the name of its element type."""

    name: str
    shape: tuple[int | str | None, ...] | None
    dtype: str


class Model(_core.Model):
    """A loaded model; made by :func:`load`."""

    @property
    def inputs(self) -> tuple[Port, ...]:
        return tuple(Port(name, shape, dtype) for name, dtype, shape in self.input_rows)

    @property
    def outputs(self) -> tuple[Port, ...]:
        return tuple(Port(name, shape, dtype) for name, dtype, shape in self.output_rows)

    def run(self, feeds: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Runs on a dict of arrays by input name; gives a dict by output name."""
        missing = [n for n in self.input_names if n not in feeds]
        extra = [n for n in feeds if n not in self.input_names]
        if missing or extra:
            raise _core.InputError(
                f"the inputs are {list(self.input_names)}; missing: {missing}, unknown: {extra}"
            )
        result = self.run_tuple(tuple(feeds[n] for n in self.input_names))
        if self.take_copies():
            warnings.warn("an input was cast or copied", InputWarning, stacklevel=2)
        return {row[0]: array for row, array in zip(self.output_rows, result, strict=True)}


def load(source: Any, **options: int | bool | None) -> Model:
    """Loads a model from a path, bytes, or a file object."""
    if isinstance(source, str | os.PathLike):
        source = os.fspath(source)
    elif hasattr(source, "read"):
        source = source.read()
    elif hasattr(source, "SerializeToString"):
        source = source.SerializeToString()
    return Model(source, {k: int(v) for k, v in options.items() if v is not None})
