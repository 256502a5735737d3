# SPDX-License-Identifier: Apache-2.0
"""Where do the numbers part? ``pyinfer.compare`` holds a model against PyTorch, ONNX Runtime or
another model: the outputs, and, if they differ or have NaN, the values at the ends of its steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, NamedTuple

import numpy as np

from . import _core
from ._quantised import GROWTH, Noise, Quantised, quantised
from ._reference import Reference, arrays_of, reference
from .model import Model, load


class Difference(NamedTuple):
    """A value of the model beside that of the reference.

    kind is "output" or "value"; step what makes it ("pyinfer.Conv [winograd]"), node and source
    where that comes from. error is the largest absolute difference (infinite for a NaN on one side
    only, or another shape), scale the largest finite absolute value of the reference, rms the root
    mean square of the differences as a share of that of the reference; of integers that stand for
    floats (quantised), these floats are meant. nan is the index of the model's first NaN, or None.
    note says what a number cannot."""

    name: str
    kind: str
    step: str
    node: str
    source: str | None
    shape: tuple[int, ...]
    dtype: str
    error: float
    scale: float
    rms: float
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
            f"{worst.relative:.2g} of its largest value, rms {worst.rms:.2g} ({worst.name}); "
            f"allowed: {self.limit}"
        ]
        for what, row in (("the first difference is", self.first), ("NaN begins", self.nan)):
            if row:
                node = f" of node '{row.node}'" if row.node else ""
                made = f", made by {row.step}{node}" if row.step else ""
                place = (
                    f", index {list(row.nan)}" if row.nan is not None and row is self.nan else ""
                )
                source = f", from {row.source}" if row.source else ""
                note = f"; {row.note}" if row.note else ""
                lines.append(f"{what} in {row.kind} '{row.name}'{place}{made}{source}{note}")
        return lines + self.notes

    def _cells(self, rows: list[Difference]) -> Iterator[tuple[str, ...]]:
        yield "", "name", "made by", "shape", "error", "relative", "rms", "from"
        for row in rows:
            shape = f"{row.dtype}{list(row.shape)}"
            mark = "" if row.ok else "!"
            where = "; ".join(filter(None, (row.note, row.source)))
            numbers = f"{row.error:.2e}", f"{row.relative:.1e}", f"{row.rms:.1e}"
            yield mark, row.name, row.step, shape, *numbers, where

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
        width = [max(len(cells[i]) for cells in table) for i in range(len(table[0]))]
        lines = [
            "  ".join(
                cell.rjust(w) if i in (4, 5, 6) else cell.ljust(w)
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
    noise: Noise | None = None

    def __str__(self) -> str:
        if self.noise:
            return str(self.noise)
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


def _measure(got: Any, want: Any, limit: _Limit) -> tuple[float, float, float, bool, Any, str]:
    """error, scale, rms, ok, index of the first NaN of got, note."""
    got, want = np.asarray(got), np.asarray(want)
    inf = float("inf")
    if got.shape != want.shape:
        return inf, 0.0, inf, False, None, f"shape {list(got.shape)}, not {list(want.shape)}"
    if got.dtype.kind in "OSU" or want.dtype.kind in "OSU":
        odd = int(np.count_nonzero(got.astype(object) != want.astype(object)))
        note = f"{odd} texts differ" if odd else ""
        return float(odd), float(got.size), odd / max(got.size, 1), odd == 0, None, note
    with np.errstate(all="ignore"):
        a, b = _numbers(got), _numbers(want)
        absent, expected = np.isnan(a), np.isnan(b)
        error = np.abs(a - b, out=np.empty(a.shape))
        error[(a == b) | (absent & expected)] = 0
        error[np.isnan(error)] = np.inf
        finite = np.abs(b[np.isfinite(b)])
        scale = float(finite.max()) if finite.size else 0.0
        bound = limit.of(b, scale, got.dtype)
        ok = bool(np.all((error == 0) | (error <= np.where(np.isfinite(bound), bound, 0))))
        square, power = (float(np.sum(part * part)) for part in (error, finite))
        rms = (square / power) ** 0.5 if power else (inf if square else 0.0)
    note, nan = "", None
    if absent.any():
        nan = tuple(int(i) for i in np.unravel_index(int(absent.argmax()), absent.shape))
        note = f"{int(absent.sum())} NaN, {int(expected.sum())} in the reference"
    elif expected.any():
        note = f"no NaN, {int(expected.sum())} in the reference"
    return float(error.max()) if error.size else 0.0, scale, rms, ok, nan, note


def _rows(
    kind: str, name: str, got: Any, want: Any, made: Mapping[str, Any], limit: _Limit
) -> Iterator[Difference]:
    """One row, or one for each element of a sequence. made: what is known of the step."""
    if isinstance(got, list) or isinstance(want, list):
        got, want = list(got or ()), list(want or ())
        for i in range(max(len(got), len(want))):
            a, b = (side[i] if i < len(side) else None for side in (got, want))
            yield from _rows(kind, f"{name}[{i}]", a, b, made, limit)
        return
    if got is None or want is None:
        ok = got is want
        far = 0.0 if ok else float("inf")
        found = (far, 0.0, far, ok, None, "" if ok else "absent on one side")
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


class _Inside(NamedTuple):
    """Of the values at the ends of the model's steps, in the order of the graph: name, the model's,
    the reference's (floats where they stand for some), a note; and the model's outputs."""

    pairs: list[tuple[str, Any, Any, str]]
    outputs: dict[str, Any]


def _inside(
    model: Model,
    feeds: dict[str, Any],
    ref: Reference,
    made: Mapping[str, Any],
    quant: Quantised,
    notes: list[str],
) -> _Inside:
    outputs = [row[0] for row in model.output_rows]
    order = [row[0] for row in model.inner_rows() if row[0] in made and row[0] not in outputs]
    order = [name for name in order if name not in quant.parameters | quant.apart]
    if not order:
        return _Inside([], {})
    stored = {name: quant.stored[name] for name in order if name in quant.stored}
    parameters = {name for how in stored.values() for name in how.parameters} - feeds.keys()
    found = model.run(feeds, None, None, [*order, *parameters])
    shapes = {name: getattr(value, "shape", None) for name, value in found.items()}
    got = feeds | found
    for name, how in stored.items():
        shapes |= dict.fromkeys(how.floats, shapes[name])
    for name in outputs:
        shapes.pop(name, None)
    there = {**feeds, **ref.values(shapes, notes)}
    pairs = []
    for name in order:
        stands = stored.get(name)
        other = next((n for n in (name, *(stands.floats if stands else ())) if n in there), None)
        if other is None:
            continue
        mine, theirs, note = got[name], there[other], ""
        if stands:
            theirs = stands.numbers(theirs, got | there) if other == name else theirs
            note = stands.misfit(mine, got, theirs)
            mine = stands.numbers(mine, got)
        pairs.append((name, mine, theirs, note))
    if 2 * len(pairs) < len(order):
        few = f"only {len(pairs)} of {len(order)} values" if pairs else "no value"
        other = "; compare with the ONNX file from before quantisation" if quant.coarse else ""
        notes.append(f"{few} within {'have' if pairs else 'has'} the same name there{other}")
    return _Inside(pairs, {name: got[name] for name in outputs})


def _origins(
    model: Model, made: Mapping[str, Any], ref: Reference, quant: Quantised
) -> dict[str, dict[str, Any]]:
    """The steps by the values that they make. Node and source of one that only stores a value in
    another way are those of what computes it; lines that the file has lost are the reference's."""
    nodes = {row[0]: {"name": row[1], "source": row[3]} for row in model.inner_rows()}
    found = {}
    for name, step in made.items():
        what = quant.computed.get(name, name) if quant.coarse else name
        origin = nodes.get(what, {}) if what != name else {}
        names = [name, what, *(quant.stored[name].floats if name in quant.stored else ())]
        found[name] = step = {**step, **origin}
        step["source"] = step["source"] or next(
            (ref.sources[n] for n in names if ref.sources.get(n)), None
        )
    return found


def _noise(model: Model, quant: Quantised, ref: Reference) -> Noise | None:
    """What is allowed where the model, the reference, or both are quantised."""
    if quant.coarse and ref.coarse:
        return Noise(quant.rounded, 0.05, 0.01) if quant.rounded else None
    if quant.coarse or ref.coarse:
        return Noise(quant.coarse or {row[0] for row in model.inner_rows()}, 0.1, 0.03)
    return None


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
    "reference" (the model here with no passes, no oneDNN, and exact). inputs: arrays or
    tensors: a mapping by name, a tuple of positional ones, or the only one.

    tolerance: allowed error as a share of the reference's largest value; 1e-4 by default, 1e-2 for
    16-bit floats. rtol, atol: as in numpy.testing.assert_allclose, instead. NaN equals NaN.

    Integers of a quantised model are held against floats as the numbers that they stand for. If no
    limit is given, what quantisation explains is allowed: an rms of the error of 10 % of that of
    the output (5 % if both are quantised), unless it jumps on the way, to four times what it was
    before and above 3 % (1 %). Where it jumps is the first difference.

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
    notes, quant, noise = list[str](), quantised(model), None
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
    if tolerance is rtol is atol is None:
        noise = _noise(model, quant, ref)
    limit = _Limit(tolerance, rtol, atol, noise)
    steps = model.steps(tuple(feeds[n] for n in model.input_names), 0)[0][0]
    made = {step["value"]: step for step in reversed(steps) if step["value"]}
    rows = [r for n in got for r in _rows("output", n, got[n], want[n], made.get(n, {}), limit)]
    if noise:
        rows = noise.judged(rows)
    if any(not row.ok or row.nan is not None or row.note for row in rows):
        inside = _inside(model, feeds, ref, made, quant, notes)
        made = _origins(model, made, ref, quant)
        rows = [r for n in got for r in _rows("output", n, got[n], want[n], made.get(n, {}), limit)]
        for name, mine, theirs, _ in inside.pairs:
            rows += _rows("value", name, mine, theirs, made[name], limit)
        place = {row[0]: i for i, row in enumerate(model.inner_rows())}
        rows.sort(key=lambda row: place.get(row.name.partition("[")[0], len(place)))
        if noise:
            said = {name: note for name, *_, note in inside.pairs}
            rows = [
                row if row.ok or row.note else row._replace(note=said.get(row.name, ""))
                for row in noise.judged(rows)
            ]
        _conclude(rows, bool(noise), notes)
        if any(
            np.asarray(inside.outputs[n]).tobytes() != np.asarray(got[n]).tobytes()
            for n in inside.outputs
            if isinstance(inside.outputs[n], np.ndarray)
        ):
            notes.append(
                "with values fetched, the outputs have other bits: it was planned otherwise"
            )
    return Comparison(rows, ref.name, str(limit), notes)


def _conclude(rows: list[Difference], noisy: bool, notes: list[str]) -> None:
    """What can be said if only outputs differ."""
    values = [row for row in rows if row.kind == "value"]
    if not values or all(row.ok for row in rows) or not all(row.ok for row in values):
        return
    worst = max(row.rms for row in values)
    if not noisy:
        notes.append("all values within agree: look at the last step, or at how it was exported")
    elif max(row.rms for row in rows) <= GROWTH * worst:
        notes.append(
            f"no value within stands out: the rms grows up to {worst:.2g} on the way, as rounding "
            "makes it; quantise less, per channel, or calibrate with other inputs"
        )
