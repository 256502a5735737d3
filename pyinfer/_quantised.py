# SPDX-License-Identifier: Apache-2.0
"""What the values of a quantised model stand for, so that they can be held against floats."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from .model import Model

# Of operators that write integers: the input that is their scale; the zero point follows it.
MAKERS = {"QuantizeLinear": 1, "QLinearConv": 6, "QLinearMatMul": 6}
READERS = {"DequantizeLinear": (0,), "QLinearConv": (0,), "QLinearMatMul": (0, 3)}
MOVES = {"Flatten", "MaxPool", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
ROUNDS = {*MAKERS, "DynamicQuantizeLinear"}
GROWTH = 4
SUFFIXES = ("_QuantizeLinear_Output", "_quantized")  # of onnxruntime.quantization


class Stored(NamedTuple):
    """How a value is stored. floats: what the value that it stands for may be called elsewhere;
    scale, zero: the names of these ("" for no zero point)."""

    floats: tuple[str, ...]
    scale: str
    zero: str

    @property
    def parameters(self) -> set[str]:
        return {self.scale, self.zero} - {""}

    def numbers(self, stored: Any, values: Mapping[str, Any]) -> Any:
        """The floats; the integers themselves if there are several scales."""
        scale = np.asarray(values[self.scale], np.float64)
        if scale.size != 1:
            return stored
        zero = np.asarray(values[self.zero], np.float64) if self.zero else 0.0
        floats = (np.asarray(stored).astype(np.float64) - zero) * scale
        return floats.astype(np.float32).reshape(np.shape(stored))

    def misfit(self, stored: Any, values: Mapping[str, Any], floats: Any) -> str:
        """How far the integers reach, beside the floats, where these go further, or not nearly so
        far: a wrong scale."""
        array = np.asarray(stored)
        if array.dtype.kind not in "iu" or not array.size or np.size(values[self.scale]) != 1:
            return ""
        info = np.iinfo(array.dtype)
        least, most = self.numbers(np.array([info.min, info.max]), values)
        low, high, margin = np.min(floats), np.max(floats), (most - least) / 20
        if least - margin <= low and high <= most + margin and high - low >= margin:
            return ""
        return f"integers reach from {least:.3g} to {most:.3g}, floats from {low:.3g} to {high:.3g}"


class Quantised(NamedTuple):
    """stored: of the integers in the graph, how, by name. apart: floats that only QuantizeLinear
    reads; they may lack a Relu, which its rounding does. rounded: names of all values that depend
    on a rounding to integers; coarse: on that, or on weights that are stored as integers. computed:
    of values that only store, or move, another one: that one, as it was computed."""

    stored: dict[str, Stored]
    apart: set[str]
    rounded: set[str]
    coarse: set[str]
    computed: dict[str, str]

    @property
    def parameters(self) -> set[str]:
        """Names of scales and zero points."""
        return {name for how in self.stored.values() for name in how.parameters}


def quantised(model: Model) -> Quantised:
    """What of the model's graph is quantised. Where the readers of integers take another scale than
    what makes them, the readers' counts.

    >>> import pyinfer
    >>> from pyinfer import example
    >>> quantised(pyinfer.load(example.model_path())).stored
    {}
    """
    operators = {row[0]: row[2] for row in model.inner_rows()}
    found, read, names = dict[str, Stored](), dict[str, tuple[str, str]](), dict[str, list[str]]()
    rounded, coarse = set[str](), set[str]()
    to_round, to_others = set[str](), {row[0] for row in model.output_rows}
    dynamic, computed = dict[int, str](), dict[str, str]()
    for value, node, inputs in model.inner_edges():
        op = operators[value]
        (to_round if op == "QuantizeLinear" else to_others).update(inputs)
        if op in ROUNDS or not rounded.isdisjoint(inputs):
            rounded.add(value)
        if op in ROUNDS or op in READERS or not coarse.isdisjoint(inputs):
            coarse.add(value)
        if op in MOVES or op in ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"):
            computed[value] = computed.get(inputs[0], inputs[0])
        plain = [value.removesuffix(end) for end in SUFFIXES if value.endswith(end)]
        if op in MAKERS:
            own = [inputs[0]] if op == "QuantizeLinear" else []
            scale, zero = [*inputs[MAKERS[op] :], ""][:2]
            found[value] = Stored((*own, *plain), scale, zero)
        elif op == "DynamicQuantizeLinear":
            first = dynamic.setdefault(node, value)
            if first == value:
                found[value] = Stored((inputs[0], *plain), "", "")
            else:
                how = found[first]
                found[first] = how._replace(zero=value) if how.scale else how._replace(scale=value)
        elif op in MOVES and inputs[0] in found:
            found[value] = found[inputs[0]]._replace(floats=tuple(plain))
        for i in READERS.get(op, ()):
            if inputs[i] in found:
                scale, zero = [*inputs[i + 1 :], ""][:2]
                read[inputs[i]] = scale, zero
                if op == "DequantizeLinear":
                    names.setdefault(inputs[i], []).append(value)
    for value, (scale, zero) in read.items():
        floats = (*found[value].floats, *names.get(value, ()))
        found[value] = Stored(floats, scale, zero)
    found = {value: how for value, how in found.items() if how.scale}
    return Quantised(found, to_round - to_others, rounded, coarse, computed)


class Noise(NamedTuple):
    """What quantisation explains, of values by name: an rms up to `most` at the outputs, and no
    jump to more than `jump` and GROWTH times that of all before. For it grows from layer to layer,
    by some half at most, where a wrong scale shows at once."""

    names: set[str]
    most: float
    jump: float

    def __str__(self) -> str:
        return f"rms {self.most:g}, as one is quantised, and no jump in it above {self.jump:g}"

    def judged(self, rows: list[Any]) -> list[Any]:
        """The differences, with `ok` by this."""
        before, jumped, found = 0.0, False, []
        for row in rows:
            if row.name.partition("[")[0] in self.names and np.isfinite(row.error):
                jump = row.rms > max(self.jump, GROWTH * before)
                jumped |= jump
                small = row.rms <= self.most or (row.kind == "value" and not jumped)
                row = row._replace(ok=small and not jump)
            before = max(before, row.rms)
            found.append(row)
        return found
