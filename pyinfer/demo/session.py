# SPDX-License-Identifier: Apache-2.0
"""What the window shows, without the window: models, their labels, the last input."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import Model, Port, example, load
from .._tensors import made_up
from ..model import _load
from . import classify, network
from .pictures import PictureInput, picture_input

DIGITS = [str(d) for d in range(10)]
MOST_BYTES = 512_000_000  # of activations kept at once


def _some(port: Port) -> NDArray[Any]:
    """Numbers of the input's type; of sides that are open, the first is 1, others 64."""
    sizes = enumerate(port.shape or ())
    dims = tuple(d if isinstance(d, int) else 64 if i else 1 for i, d in sizes)
    numbers: NDArray[Any] = made_up(port if port.shape is None else port._replace(shape=dims))
    return numbers


@dataclass
class Opened:
    """A model with what the window needs to know of it. `source`: a path or bytes."""

    model: Model
    source: str | bytes
    name: str
    labels: list[str]
    wanted: PictureInput | None
    planned: set[tuple[int, ...]] = field(default_factory=set)  # shapes of what was classified

    def feeds(self, x: NDArray[Any] | None = None) -> dict[str, Any]:
        """These numbers for its one input, or some for all inputs."""
        if x is not None and self.wanted is not None:
            return {self.wanted.name: x}
        return {port.name: _some(port) for port in self.model.inputs}

    def classify(self, x: NDArray[Any], most: int) -> tuple[list[classify.Guess], float]:
        """The best classes of a picture's tensor, and the run's milliseconds: of a second run if
        the first one had to plan."""
        if x.shape not in self.planned:
            self.model.run_tuple((x,))
            self.planned.add(x.shape)
        start = time.perf_counter()
        outputs = self.model.run_tuple((x,))
        ms = (time.perf_counter() - start) * 1e3
        for scores in outputs:
            if isinstance(scores, np.ndarray) and scores.dtype.kind == "f":
                one = scores[0].squeeze() if scores.ndim else scores
                if one.ndim == 1 and one.size > 1:
                    return classify.top(one, self.labels, most), ms
        outs = ", ".join(map(str, self.model.outputs))
        raise ValueError(f"{self.name} is no classifier, its outputs are {outs}")

    def blocks(self, feeds: Mapping[str, Any], runs: int = 3) -> list[network.Block]:
        """The steps with their times, as a graph."""
        arrays = tuple(feeds[n] for n in self.model.input_names)
        return network.blocks(self.model, arrays, runs)

    def activations(
        self, feeds: Mapping[str, Any], blocks: Sequence[network.Block], one: int
    ) -> dict[str, NDArray[Any]]:
        """Values inside the model by name: of all blocks, or of one where all are too much; what
        was merged inside a block stays merged."""
        if not blocks[one].value:
            return {}
        few = network.activation_bytes(blocks) <= MOST_BYTES
        chosen = blocks if few else [blocks[one]]
        names = tuple(dict.fromkeys(b.value for b in chosen if b.value))
        found = self.model.run(feeds, fetch=names)
        return {n: a for n, a in found.items() if isinstance(a, np.ndarray)}


def open_model(
    source: Any = None,
    labels: Sequence[str] | str | os.PathLike[str] | None = None,
    threads: int = 0,
    exact: bool | None = None,
) -> Opened:
    """A model from whatever `pyinfer.load` takes, or a loaded model; None is the packaged digits.

    labels: names of the classes or a file of them; else those in the model's metadata. exact: the
    option of load; None: as the loaded model has it.

    >>> open_model(threads=1).labels[:3]
    ['0', '1', '2']
    """
    digits = source is None
    if digits:
        source = example.model_path()
    if isinstance(source, Model):
        source, options, folder, _ = source._recipe
        chosen = {"threads": threads or None, "exact": exact}
        options = {**options, **{k: int(v) for k, v in chosen.items() if v is not None}}
        model = _load(source, options, folder)
    else:
        model = load(source, threads=threads or None, exact=exact)
        source = model._recipe[0]
    if isinstance(labels, str | os.PathLike):
        names = classify.read_labels(labels)
    elif labels is not None:
        names = [str(label) for label in labels]
    else:
        names = DIGITS if digits else classify.labels_of(model.metadata)
    name = Path(source).name if isinstance(source, str) else f"{len(source) / 1e6:.1f} MB"
    wanted = picture_input(model.inputs)
    return Opened(model, source, name, names, wanted)


class Session:
    """The models of a window: the one that was opened, and the packaged digits to draw for."""

    def __init__(self, source: Any = None, labels: Any = None, threads: int = 0) -> None:
        self.opened = open_model(source, labels, threads)
        self.digits = self.opened if source is None else open_model(None, threads=threads)
        self.last: dict[str | bytes, NDArray[Any]] = {}  # the last input of each model, by source

    @property
    def threads(self) -> int:
        return self.opened.model.threads

    @property
    def exact(self) -> bool:
        return bool(self.opened.model._recipe[1].get("exact"))

    @property
    def drawn(self) -> Opened:
        """The model for drawings: the opened one if it takes small grey pictures."""
        wanted = self.opened.wanted
        small = wanted is not None and wanted.channels == 1 and wanted.height <= 64
        return self.opened if small else self.digits

    def input_of(self, opened: Opened) -> dict[str, Any]:
        """The last input that the window gave to this model, or some numbers."""
        if opened is self.digits and opened.source not in self.last:
            self.last[opened.source] = example.pictures()[0][4:5]
        return opened.feeds(self.last.get(opened.source))

    def with_model(
        self, source: Any, labels: Any, threads: int, exact: bool | None = None
    ) -> Session:
        """A session like this with another model, number of threads, or precision (None: as now);
        slow, for a worker."""
        other = Session.__new__(Session)
        other.last = dict(self.last)
        exact = self.exact if exact is None else exact
        other.opened = open_model(source, labels, threads, exact)
        if source is None:
            other.digits = other.opened
        else:
            same = threads == self.threads and exact == self.exact
            other.digits = self.digits if same else open_model(None, None, threads, exact)
        return other
