# SPDX-License-Identifier: Apache-2.0
"""Where do the numbers part? ``pyinfer.compare`` holds a model against PyTorch, ONNX Runtime or
another model: the outputs, and, if they differ or have NaN, the values at the ends of its steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, NamedTuple

import numpy as np

from . import _core
from ._reference import Reference, arrays_of, reference
from .model import Model, load


class Difference(NamedTuple):
    """A value of the model beside that of the reference.

    kind is "output" or "value"; step what makes it ("pyinfer.Conv [winograd]"), node and source
    where that comes from. error is the largest absolute difference (infinite for a NaN on one side
    only, or another shape), scale the largest finite absolute value of the reference, nan the index
    of the model's first NaN, or None. note says what a number cannot."""

    name: str
    kind: str
    step: str
    node: str
    source: str | None
    shape: tuple[int, ...]
    dtype: str
    error: float
    scale: float
    ok: bool
    nan: tuple[int, ...] | None
    note: str

    @property
    def relative(self) -> float:
        """The error as a share of the scale."""
        return self.error / self.scale if self.scale else (float("inf") if self.error else 0.0)


class Comparison:
    """What :func:`compare` found: true if all outputs agree. ``print`` it; notebooks show a table.

    rows: differences in the order of the graph: outputs, and values if these were looked at.
    outputs: those of the outputs. first: the first that is too large, or None. largest: the one
    with the largest share of its scale. nan: the first row of the model that has a NaN, or None.
    notes: what else there is to say."""

    def __init__(self, rows: list[Difference], against: str, limit: str, notes: list[str]) -> None:
        self.rows, self.against, self.limit, self.notes = rows, against, limit, notes
        self.outputs = [row for row in rows if row.kind == "output"]

    @property
    def ok(self) -> bool:
        """Whether all outputs agree, within what is allowed."""
        return all(row.ok for row in self.outputs)

    def __bool__(self) -> bool:
        return self.ok

    @property
    def first(self) -> Difference | None:
        """The first row in the order of the graph that differs by more than is allowed, or None."""
        return next((row for row in self.rows if not row.ok), None)

    @property
    def nan(self) -> Difference | None:
        """The first row in which the model has a NaN, or None."""
        return next((row for row in self.rows if row.nan is not None), None)

    @property
    def largest(self) -> Difference:
        """The row with the largest error as a share of its scale."""
        return max(self.rows, key=lambda row: row.relative)

    def verdict(self) -> list[str]:
        """The findings in words, a line each."""
        worst = max(self.outputs, key=lambda row: row.relative)
        verb = "agrees with" if self.ok else "differs from"
        lines = [
            f"{verb} {self.against}: largest error of an output {worst.error:.3g}, "
            f"{worst.relative:.2g} of its largest value ({worst.name}); allowed: {self.limit}"
        ]
        for what, row in (("the first difference is", self.first), ("NaN begins", self.nan)):
            if row:
                node = f" '{row.node}'" if row.node else ""
                made = f", made by {row.step}{node}" if row.step else ""
                place = (
                    f", index {list(row.nan)}" if row.nan is not None and row is self.nan else ""
                )
                source = f", from {row.source}" if row.source else ""
                lines.append(f"{what} in {row.kind} '{row.name}'{place}{made}{source}")
        return lines + self.notes

    def _cells(self, rows: list[Difference]) -> Iterator[tuple[str, ...]]:
        yield "", "name", "made by", "shape", "error", "relative", "from"
        for row in rows:
            shape = f"{row.dtype}{list(row.shape)}"
            mark = "" if row.ok else "!"
            where = "; ".join(filter(None, (row.note, row.source)))
            error, share = f"{row.error:.2e}", f"{row.relative:.1e}"
            yield mark, row.name, row.step, shape, error, share, where

    def _near(self) -> list[Difference]:
        """Outputs, and the values around the first difference and the first NaN."""
        shown = {i for i, row in enumerate(self.rows) if row.kind == "output"}
        for row in (self.first, self.nan):
            if row:
                at = self.rows.index(row)
                shown |= set(range(max(at - 3, 0), min(at + 4, len(self.rows))))
        return [self.rows[i] for i in sorted(shown)]

    def __str__(self) -> str:
        table = list(self._cells(self._near()))
        width = [max(len(cells[i]) for cells in table) for i in range(7)]
        lines = [
            "  ".join(
                cell.rjust(w) if i in (4, 5) else cell.ljust(w)
                for i, (cell, w) in enumerate(zip(cells, width, strict=True))
            ).rstrip()
            for cells in table
        ]
        return "\n".join([*self.verdict(), *lines])

    def __repr__(self) -> str:
        return f"<pyinfer.Comparison: {self.verdict()[0]}>"

    def _repr_html_(self) -> str:
        head, *rows = self._cells(self.rows)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
            for cells in rows
        )
        titles = "".join(f"<th>{escape(cell)}</th>" for cell in head)
        words = "<br>".join(map(escape, self.verdict()))
        return f"<p>{words}</p><table><tr>{titles}</tr>{body}</table>"


class _Limit(NamedTuple):
    """What is allowed: rtol and atol as in NumPy, or a share of the largest value."""

    tolerance: float | None
    rtol: float | None
    atol: float | None

    def __str__(self) -> str:
        if self.rtol is not None or self.atol is not None:
            return f"{self.atol or 0:g} + {self.rtol or 0:g} of each value"
        if self.tolerance is None:
            return "1e-04 of the largest value (1e-02 for 16-bit floats)"
        return f"{self.tolerance:g} of the largest value"

    def of(self, want: Any, scale: float, dtype: Any) -> Any:
        if self.rtol is not None or self.atol is not None:
            return (self.atol or 0) + (self.rtol or 0) * np.abs(want)
        usual = 1e-2 if dtype.name in ("float16", "bfloat16") else 1e-4
        return (usual if self.tolerance is None else self.tolerance) * scale


def _numbers(array: Any) -> Any:
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def _measure(got: Any, want: Any, limit: _Limit) -> tuple[float, float, bool, Any, str]:
    """error, scale, ok, index of the first NaN of got, note."""
    got, want = np.asarray(got), np.asarray(want)
    if got.shape != want.shape:
        return float("inf"), 0.0, False, None, f"shape {list(got.shape)}, not {list(want.shape)}"
    if got.dtype.kind in "OSU" or want.dtype.kind in "OSU":
        odd = int(np.count_nonzero(got.astype(object) != want.astype(object)))
        return float(odd), float(got.size), odd == 0, None, f"{odd} texts differ" if odd else ""
    with np.errstate(all="ignore"):
        a, b = _numbers(got), _numbers(want)
        absent, expected = np.isnan(a), np.isnan(b)
        error = np.abs(a - b)
        error[(a == b) | (absent & expected)] = 0
        error[np.isnan(error)] = np.inf
        finite = np.abs(b[np.isfinite(b)])
        scale = float(finite.max()) if finite.size else 0.0
        bound = limit.of(b, scale, got.dtype)
        ok = bool(np.all((error == 0) | (error <= np.where(np.isfinite(bound), bound, 0))))
    note, nan = "", None
    if absent.any():
        nan = tuple(int(i) for i in np.unravel_index(int(absent.argmax()), absent.shape))
        note = f"{int(absent.sum())} NaN, {int(expected.sum())} in the reference"
    elif expected.any():
        note = f"no NaN, {int(expected.sum())} in the reference"
    return float(error.max()) if error.size else 0.0, scale, ok, nan, note


def _rows(
    kind: str, name: str, got: Any, want: Any, made: Mapping[str, Any], limit: _Limit
) -> Iterator[Difference]:
    """One row, or one for each element of a sequence."""
    if isinstance(got, list) or isinstance(want, list):
        got, want = list(got or ()), list(want or ())
        for i in range(max(len(got), len(want))):
            a, b = (side[i] if i < len(side) else None for side in (got, want))
            yield from _rows(kind, f"{name}[{i}]", a, b, made, limit)
        return
    if got is None or want is None:
        ok = got is want
        found = (0.0 if ok else float("inf"), 0.0, ok, None, "" if ok else "absent on one side")
        got = np.empty(0)
    else:
        found = _measure(got, want, limit)
    got = np.asarray(got)
    step = f"{made['domain']}.{made['op']}".lstrip(".") if "op" in made else ""
    step += f" [{made['impl']}]" if "impl" in made else ""
    yield Difference(
        name, kind, step, made.get("name", ""), made.get("source"),
        got.shape, got.dtype.name, *found,
    )  # fmt: skip


def _inside(
    model: Model, feeds: dict[str, Any], ref: Reference, made: Mapping[str, Any], notes: list[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The values at the ends of the model's steps, and those of the reference, by name."""
    outputs = [row[0] for row in model.output_rows]
    order = [row[0] for row in model.inner_rows() if row[0] in made and row[0] not in outputs]
    if not order:
        return {}, {}
    wanted = ref.values(order, notes)
    shared = [name for name in order if name in wanted]
    if not shared:
        notes.append("no value within has the same name there")
        return {}, {}
    return model.run(feeds, None, None, shared), wanted


def compare(
    model: Any,
    other: Any,
    inputs: Any,
    *,
    tolerance: float | None = None,
    rtol: float | None = None,
    atol: float | None = None,
) -> Comparison:
    """Compares a model's outputs with a reference's on these inputs; where they differ, or have a
    NaN, finds the first value within that does, on the graph as it runs: at the ends of its fused
    steps, with the line of PyTorch that they come from.

    model: a Model, or what :func:`pyinfer.load` takes. other: a torch.nn.Module (run as in eval()),
    a Model, a path, "onnxruntime" (the same file there, not optimised), "openvino" (in float32), or
    "reference" (the model here with no passes, oneDNN or Winograd). inputs: arrays or tensors: a
    mapping by name, a tuple of positional ones, or the only one.

    tolerance: allowed error as a share of the reference's largest value; 1e-4 by default, 1e-2 for
    16-bit floats. rtol, atol: as in numpy.testing.assert_allclose, instead. NaN equals NaN.

    The values of a torch module are those of its export again, where the names are the same, else
    those of the model without any fusion (level=0). All values are held in memory at once.

    Raises InputError if the inputs do not fit, or the number of outputs differs; ImportError.

    >>> import pyinfer
    >>> from pyinfer import example
    >>> path = example.model_path()
    >>> found = compare(path, pyinfer.load(path, level=0), example.pictures()[0])
    >>> found.ok, found.first
    (True, None)
    """
    if not isinstance(model, Model):
        if isinstance(other, Model) and hasattr(model, "forward"):
            raise TypeError("the model comes first: compare(model, module, inputs)")
        model = load(model)
    limit, notes = _Limit(tolerance, rtol, atol), list[str]()
    feeds = arrays_of(model, inputs)
    ref = reference(model, other, inputs, feeds)
    got = model.run(feeds)
    try:
        want = ref.outputs(list(got), notes)
    except _core.InputError as error:
        raise _core.InputError(f"{ref.name}: {error}") from error
    if len(want) != len(got):
        raise _core.InputError(
            f"the model has {len(got)} outputs ({', '.join(got)}), {ref.name} has {len(want)}"
        )
    steps = model.steps(tuple(feeds[n] for n in model.input_names), 0)[0][0]
    made = {step["value"]: step for step in reversed(steps) if step["value"]}
    rows = [r for n in got for r in _rows("output", n, got[n], want[n], made.get(n, {}), limit)]
    if any(not row.ok or row.nan is not None or row.note for row in rows):
        values, there = _inside(model, feeds, ref, made, notes)
        within = [name for name in values if name not in got]
        place = {row[0]: i for i, row in enumerate(model.inner_rows())}
        for n in within:
            rows += _rows("value", n, values[n], there[n], made[n], limit)
        rows.sort(key=lambda row: place.get(row.name.partition("[")[0], len(place)))
        differs = any(not row.ok for row in rows)
        if differs and within and all(row.ok for row in rows if row.kind == "value"):
            notes.append(
                "all values within agree: look at the last step, or at how it was exported"
            )
        if any(
            np.asarray(values[n]).tobytes() != np.asarray(got[n]).tobytes()
            for n in got
            if n in values and isinstance(values[n], np.ndarray)
        ):
            notes.append(
                "with values fetched, the outputs have other bits: it was planned otherwise"
            )
    return Comparison(rows, ref.name, str(limit), notes)
