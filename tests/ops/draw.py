# SPDX-License-Identifier: Apache-2.0
"""What a legal node is drawn from: ugly shapes, arrays of each element type with special values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import ml_dtypes
import numpy as np
from hypothesis import strategies as st

T = TypeVar("T")
Array = np.ndarray
DIMS = [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 0]
CAP = 6000  # elements of a tensor: the evaluator is slow
FLOATS = ("f32", "f16", "f64", "bf16")
SMALL_FLOATS = (
    "f8e4m3fn",
    "f8e4m3fnuz",
    "f8e5m2",
    "f8e5m2fnuz",
    "f8e8m0",
    "f4e2m1",
    "f6e2m3",
    "f6e3m2",
)
COMPLEX = ("c64", "c128")
TYPES: dict[str, Any] = {
    "bool": np.bool_,
    "f32": np.float32,
    "f16": np.float16,
    "f64": np.float64,
    "bf16": ml_dtypes.bfloat16,
    **{
        f"{k[0]}{bits}": getattr(np if bits > 4 else ml_dtypes, f"{k}{bits}")
        for k in ("int", "uint")
        for bits in (2, 4, 8, 16, 32, 64)
    },
    "c64": np.complex64,
    "c128": np.complex128,
    **{k: getattr(ml_dtypes, f"float8_{k[2:]}") for k in SMALL_FLOATS[:4]},
    "f8e8m0": ml_dtypes.float8_e8m0fnu,
    "f4e2m1": ml_dtypes.float4_e2m1fn,
    "f6e2m3": ml_dtypes.float6_e2m3fn,
    "f6e3m2": ml_dtypes.float6_e3m2fn,
    "str": np.object_,
}
WORDS = ["", "a", "word", "Wörter", "\N{SNOWMAN}", "a longer piece of text, with a comma", " "]


@dataclass
class Row:
    """A row of the operator table."""

    name: str
    since: int
    signature: str
    types: list[str]  # of T, those in TYPES
    domain: str = ""
    last: int = 0  # the last version that it serves


@dataclass
class Node:
    inputs: list[Array | None]
    attrs: dict[str, Any] = field(default_factory=dict)
    outputs: int = 1
    terms: int = 1  # summed for one element of the output
    excuse: str = ""  # why ONNX's reference evaluator may be wrong about it
    least: float = 0  # errors of so much, relative to the largest output, are rounding
    opset: int = 0  # one of the row's versions if 0
    like: Node | None = None  # of a later version, with the same meaning: what the evaluator gets
    narrow: bool = False  # 16-bit floats go through the evaluator as they are
    equal: Callable[[int, Array, Array, str], None] | None = (
        None  # compares output i, got with wanted
    )
    # Judges in the evaluator's place, where that is wrong or slow: the outputs for these inputs.
    truth: Callable[[list[Array | None]], list[Array]] | None = None


Maker = Callable[["Draw", Row], Node]


class Draw:
    """The choices of one node, made by Hypothesis."""

    def __init__(self, draw: Callable[[Any], Any]) -> None:
        self.draw = draw

    def of(self, choices: Sequence[T]) -> T:
        return choices[self.int(0, len(choices) - 1)]

    def int(self, low: int, high: int) -> int:
        return int(self.draw(st.integers(low, high)))

    def flag(self) -> bool:
        return bool(self.draw(st.booleans()))

    def type(self, row: Row) -> str:
        return self.of(row.types)

    def dims(self, least: int = 0, most: int = 5, empty: bool = True, cap: int = CAP) -> list[int]:
        shape = [self.of(DIMS if empty else DIMS[:-1]) for _ in range(self.int(least, most))]
        while int(np.prod(shape)) > cap:
            shape[int(np.argmax(shape))] = self.of([1, 2, 3])
        return shape

    def axis(self, rank: int) -> int:
        return self.int(-rank, rank - 1)

    def part(self, shape: Sequence[int]) -> list[int]:
        """A shape that broadcasts to this one."""
        dims = [1 if self.int(0, 3) == 0 else d for d in shape]
        return dims[self.int(0, len(dims)) :] if self.int(0, 2) == 0 else dims

    def array(
        self,
        kind: str,
        shape: Sequence[int],
        special: bool = True,
        low: float = -4,
        high: float = 4,
    ) -> Array:
        rng = np.random.default_rng(self.int(0, 2**20))
        if kind == "str":
            words = [WORDS[i] for i in rng.integers(len(WORDS), size=int(np.prod(shape)))]
            return np.array(words, object).reshape(shape)
        if kind in COMPLEX:
            part = {"c64": "f32", "c128": "f64"}[kind]
            re, im = (self.array(part, shape, special, low, high) for _ in range(2))
            z = np.empty(shape, TYPES[kind])
            z.real, z.imag = re, im
            return z
        dtype = np.dtype(TYPES[kind])
        if kind == "bool":
            return np.asarray(rng.random(shape) < 0.5)
        if kind[0] in "iu":
            info = ml_dtypes.iinfo(dtype)
            first, last = max(int(low), int(info.min)), min(int(high), int(info.max))
            x = np.asarray(rng.integers(first, last + 1, shape)).astype(dtype)
            values: list[Any] = [info.min, info.max, 0]
        elif kind in SMALL_FLOATS:
            x = np.asarray(rng.uniform(low, high, shape))
            x = (np.abs(x) if kind == "f8e8m0" else x).astype(dtype)
            values = [1.0, 0.5, float(ml_dtypes.finfo(dtype).max)]
            if "8" in kind[:2]:
                values += [np.nan]
        else:
            x = np.asarray(rng.uniform(low, high, shape)).astype(dtype)
            # the engine takes denormal f32 and f64 as zeros (base/threads.h), in some kernels: f16 has them
            tiny = float(
                getattr(ml_dtypes.finfo(dtype), "smallest_subnormal" if kind == "f16" else "tiny")
            )
            values = [np.nan, np.inf, -np.inf, 0.0, -0.0, tiny, -tiny, 1.0, 0.5, -2.5]
        if special and x.size and self.flag():
            flat = x.reshape(-1)
            for _ in range(self.int(1, 4)):
                value = values[rng.integers(len(values))]
                flat[rng.integers(flat.size)] = np.array(value).astype(dtype)
        return x

    def whole(self, values: Any, kind: str = "i64") -> Array:
        return np.asarray(values, TYPES[kind])
