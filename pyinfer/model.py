# SPDX-License-Identifier: Apache-2.0
"""Loading and running models."""

from __future__ import annotations

import io
import os
import warnings
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from . import _core

if TYPE_CHECKING:
    import numpy as np

    from .drawing.graph import GraphPicture
    from .explanation import Explanation
    from .memory import Memory
    from .profile import Profile


class InputWarning(UserWarning):
    """An input had to be cast or copied before the model could read it."""


class Port(NamedTuple):
    """An input or output of a model: its name, its shape (ints; names of symbolic dimensions;
    None for a dimension, or a shape, of which nothing is known), and its element type.

    A list of arrays has the type "sequence(float32)", what may be None "optional(float32)" or
    "optional(sequence(float32))"; the shape is then that of each array."""

    name: str
    shape: tuple[int | str | None, ...] | None
    dtype: str

    def __str__(self) -> str:
        dims = (
            "..."
            if self.shape is None
            else ", ".join("?" if d is None else str(d) for d in self.shape)
        )
        inner, closing = self.dtype.rstrip(")"), ")" * self.dtype.count(")")
        return f"{self.name}: {inner}[{dims}]{closing}"


class Model(_core.Model):
    """A loaded model, made by :func:`load`.

    Call it with arrays in the order of its inputs, or by name. One output comes back as an array,
    several as a named tuple. It may be called from many threads at once, be pickled, and used in a
    with statement. A call raises InputError for arrays that do not fit, LimitError, NumberError
    (with check_numbers), MemoryError; KeyboardInterrupt ends it between two steps.

    >>> from pyinfer import example
    >>> m = load(example.model_path(), threads=1)
    >>> m.inputs
    (Port(name='x', shape=('batch', 1, 8, 8), dtype='float32'),)
    >>> m(example.pictures()[0][:1]).shape
    (1, 10)
    """

    _recipe: tuple[Any, dict[str, int], str | None, bool]
    _pack: Callable[..., Any] | None
    _warned: bool
    _variants: dict[tuple[str, ...], Model]

    @property
    def inputs(self) -> tuple[Port, ...]:
        """The inputs, in the order of a call."""
        return tuple(Port(name, shape, dtype) for name, dtype, shape in self.input_rows)

    @property
    def outputs(self) -> tuple[Port, ...]:
        """The outputs, in the order of the results."""
        return tuple(Port(name, shape, dtype) for name, dtype, shape in self.output_rows)

    @property
    def metadata(self) -> dict[str, str]:
        """What the file says about itself, as text: "opset", "producer_name", "ir_version" and so
        on, and "meta.KEY" for its own entries."""
        return self.read_metadata()

    @property
    def memory(self) -> Memory:
        """Bytes in use, and the most so far. ``m.memory(x)``, with arrays or shapes: what a run on
        them will need, value by value."""
        from .memory import Memory

        return Memory(self, *self.memory_bytes())

    def run(
        self,
        feeds: Any,
        outputs: Sequence[str] | None = None,
        out: Mapping[str, np.ndarray] | None = None,
        fetch: Sequence[str] = (),
    ) -> dict[str, Any]:
        """Runs on arrays by input name; gives arrays by output name, in the model's order. A
        sequence is a list of arrays, an optional that is absent is None.

        feeds: a mapping; or a tuple with an array for each input; or the array of the only input.
        outputs: names of those that are wanted. out: arrays to write into, by output name; of the
        type and shape of the output, and C-contiguous.

        fetch: intermediate values that are wanted as well, behind the outputs: names in the file,
        names of nodes (for their first output), or patterns of such (``"*attention*"``, cases
        are alike). Operators are not fused across them, so rounding may differ from that of a plain
        call, and they come in the axes of the file. The first run with new names loads and packs
        the model again; the last four variants are kept. Weights come by their names in full;
        values within If, Loop and Scan cannot be fetched. Raises InputError, with names that are
        near, for what the model does not have.

        >>> from pyinfer import example
        >>> m = load(example.model_path())
        >>> list(m.run({"x": example.pictures()[0]}))
        ['probabilities']
        >>> [y.shape for y in m.run(example.pictures()[0], fetch=["*mean*"]).values()]
        [(6, 10), (6, 64)]
        """
        if type(feeds) is not dict and not isinstance(feeds, Mapping):
            given_arrays = feeds if isinstance(feeds, tuple) else (feeds,)
            if len(given_arrays) != len(self.input_names):
                self._refuse_arguments(given_arrays, None, feeds)
            feeds = dict(zip(self.input_names, given_arrays, strict=True))
        if fetch:
            return self._run_fetch(feeds, outputs, out, fetch)
        names = [row[0] for row in self.output_rows]
        self._check_names(feeds, outputs, out, names)
        given = tuple(out.get(n) for n in names) if out else None
        result = self.run_tuple(tuple([feeds[n] for n in self.input_names]), given)
        self._warn_copies(3)
        by_name = dict(zip(names, result, strict=True))
        return by_name if outputs is None else {n: by_name[n] for n in outputs}

    def _run_fetch(
        self,
        feeds: Mapping[str, Any],
        outputs: Sequence[str] | None,
        out: Mapping[str, np.ndarray] | None,
        fetch: Sequence[str],
    ) -> dict[str, Any]:
        from .fetch import resolve, variant

        names = [row[0] for row in self.output_rows]
        self._check_names(feeds, outputs, out, names)
        wanted = resolve(self, fetch)
        more = [name for name in dict.fromkeys(wanted.values()) if name not in names]
        model = variant(self, more) if more else self
        result = model.run(feeds, None, out)
        self._warned |= model._warned
        shown = {n: result[n] for n in (names if outputs is None else outputs)}
        return shown | {key: result[name] for key, name in wanted.items()}

    def close(self) -> None:
        """Frees the model, once a run that is going on in another thread has ended."""
        for made in list(self._variants.values()):
            made.close()
        self._variants.clear()
        super().close()

    def _check_names(
        self,
        feeds: Mapping[str, Any],
        outputs: Sequence[str] | None,
        out: Mapping[str, np.ndarray] | None,
        names: list[str],
    ) -> None:
        expected = self.input_names
        if len(feeds) != len(expected) or not all(map(feeds.__contains__, expected)):
            from . import _mistakes

            raise _mistakes.input_names(self, feeds)
        if outputs is None and out is None:
            return
        if isinstance(outputs, str):
            raise TypeError(f"outputs is a list of names: give [{outputs!r}]")
        if out is not None and not isinstance(out, Mapping):
            raise TypeError(
                f"out is a dictionary of arrays by output name: give {{{names[0]!r}: x}}, "
                f"not {type(out).__name__}"
            )
        odd = [n for n in [*(outputs or ()), *(out or ())] if n not in names]
        if odd:
            from . import _mistakes

            raise _mistakes.output_name(odd[0], names)

    def _refuse_arguments(
        self, args: tuple[Any, ...], names: tuple[str, ...] | None, feeds: Any = None
    ) -> NoReturn:
        from . import _mistakes

        raise _mistakes.arguments(self, args, names, isinstance(feeds, list))

    def _warn_copies(self, level: int = 2) -> None:
        copied = self.take_copies()
        if copied and not self._warned:
            self._warned = True
            name, given, dtype = copied
            warnings.warn(
                f"input {name!r} was given as {given} and copied to fit; to avoid that, give a "
                f"C-contiguous array of {dtype}",
                InputWarning,
                stacklevel=level,
            )

    def profile(self, *arrays: Any, repeat: int = 10) -> Profile:
        """Measures each step: medians of `repeat` runs on these arrays (or on zeros, if none are
        given and each symbolic dimension may be 1; a tuple of integers is a shape of zeros; masks
        are ones). The first profile on so many threads also measures, in some 5 ms, what the
        machine can do."""
        from .profile import Profile

        steps, arena, packed = self.steps(self._given(arrays), max(repeat, 1))
        return Profile(steps, arena, packed, self.threads)

    def explain(self, *arrays: Any) -> Explanation:
        """The plan for inputs of these shapes, a step a line: what runs, on which implementation,
        with which instructions and layout, the nodes of the file that it came from, why earlier
        candidates were refused, and what was measured (the option tune).

        arrays: one for each input; a tuple of integers stands for an array of that shape; one
        dictionary has them by name. None: shapes of the file, 1 for what is symbolic. It is a
        text, with ``.steps``, and a table in notebooks."""
        from .explanation import explain

        return explain(self, self.plan_rows(self._given(arrays)))

    def graph(
        self, *arrays: Any, passes: bool = True, profile: Profile | None = None
    ) -> GraphPicture:
        """A picture of the graph after the passes, as it runs on inputs of these shapes (as in
        :meth:`explain`), or, with passes=False, before them: the nodes of the file (loaded once
        more for it, with level=0).

        Blocks are coloured by kind of operator, or by their time in `profile`, which must be one
        of the same shapes. Shown in notebooks; ``.save("graph.svg")``, ``.svg``; as a text a node
        a line.

        >>> from pyinfer import example
        >>> m = load(example.model_path())
        >>> print(str(m.graph()).splitlines()[2])
        pyinfer.Conv node_Conv_49: f32[1, 8, 8, 1] -> relu f32[1, 8, 8, 16]
        """
        from .drawing.graph import file_picture, plan_picture

        given = self._given(arrays)
        return plan_picture(self, given, profile) if passes else file_picture(self, given, profile)

    def save(self, path: str | os.PathLike[str], *arrays: Any) -> None:
        """Writes a plan: the model with its external data, its weights as they are packed for
        this machine, and what the option tune chose. load(path) then starts much faster, and all
        processes that load the same file share the memory of the packed weights.

        arrays: inputs of shapes to be ready for, besides those that ran already; not needed where
        the model fixes its shapes. On another CPU, or with another version, load(path) warns, and
        packs the model inside anew. The file takes its place when all of it is written; never
        overwrite in place or cut off a plan that is in use. Raises FileError if it cannot be
        written, InputError for arrays that do not fit.

        >>> import os, tempfile
        >>> from pyinfer import example
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "digits.plan")
        ...     load(example.model_path()).save(path, example.pictures()[0])
        ...     load(path)(example.pictures()[0]).shape
        (6, 10)
        """
        fixed = all(
            p.shape is not None and all(isinstance(d, int) for d in p.shape) for p in self.inputs
        )
        if arrays or fixed:
            self.steps(self._given(arrays), 0)
        try:
            self.save_plan(os.fspath(path))
        except _core.FileError as error:
            folder = os.path.dirname(os.path.abspath(os.fsdecode(path)))
            if os.path.isdir(folder):
                raise
            raise _core.FileError(f"{error}; there is no folder {folder}") from None

    def _given(self, arrays: tuple[Any, ...]) -> tuple[Any, ...]:
        """Arrays for the inputs out of what a method like explain was given."""

        if not arrays:
            return self._zeros()
        if len(arrays) == 1 and isinstance(arrays[0], Mapping):
            self._check_names(arrays[0], None, None, [])
            arrays = tuple(arrays[0][name] for name in self.input_names)
        made = list(arrays)
        for i, (port, array) in enumerate(zip(self.inputs, arrays, strict=False)):
            if isinstance(array, tuple) and all(hasattr(d, "__index__") for d in array):
                if "(" in port.dtype:
                    raise _core.InputError(f"input {port.name!r} is {port.dtype}, no array")
                made[i] = _blank(port, array)
        return tuple(made)

    def _zeros(self) -> tuple[np.ndarray | None, ...]:

        arrays: list[np.ndarray | None] = []
        for port in self.inputs:
            if port.dtype.startswith("sequence"):
                raise _core.InputError(
                    f"input {port.name!r} is {port.dtype}: give a list of arrays"
                )
            if port.dtype.startswith("optional"):
                arrays.append(None)
                continue
            if port.shape is None:
                raise _core.InputError(f"input {port.name!r} has any rank: give an array")
            dims = [d if isinstance(d, int) else 1 for d in port.shape]
            arrays.append(_blank(port, dims))
        return tuple(arrays)

    def _named(self, result: Any) -> Any:
        """A tuple of all outputs as a named one."""
        if self._pack is None:
            fields = [row[0] for row in self.output_rows]
            outputs = namedtuple("Outputs", fields, rename=True)  # type: ignore[misc]
            self._pack = outputs._make
        return self._pack(result)

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return _load, self._recipe

    def __repr__(self) -> str:
        if self.closed:
            return "<pyinfer.Model, closed>"
        ins, outs = ", ".join(map(str, self.inputs)), ", ".join(map(str, self.outputs))
        return f"<pyinfer.Model ({ins}) -> ({outs})>"

    def _repr_html_(self) -> str:
        from html import escape

        rows = [("input", p) for p in self.inputs] + [("output", p) for p in self.outputs]
        cells = "".join(
            f"<tr><td>{kind}</td><td>{escape(p.name)}</td><td>{escape(p.dtype)}</td>"
            f"<td>{escape(str(p).partition('[')[2].rstrip(']'))}</td></tr>"
            for kind, p in rows
        )
        return (
            "<table><tr><th></th><th>name</th><th>type</th><th>shape</th></tr>" + cells + "</table>"
        )


def _blank(port: Port, dims: Sequence[int]) -> np.ndarray:
    """Zeros; ones for a mask: a batch of nothing but padding would not be computed."""
    import numpy as np

    from ._tensors import is_mask

    if is_mask(port):
        return np.ones(dims, port.dtype)
    return np.zeros(dims, object if port.dtype == "str" else port.dtype)


class _ManyOutputs(Model):
    """A model with more than one output: a call gives a named tuple."""

    def __call__(self, *arrays: Any, **named: Any) -> Any:
        return self._named(super().__call__(*arrays, **named))


class CacheWarning(UserWarning):
    """The cache cannot be used; the model works without it."""


class PlanWarning(UserWarning):
    """A saved plan was made on another CPU or by another version: its packed weights are of no use
    here, the model in it is packed anew."""


def _use_cache(model: Model, source: Any) -> None:
    from . import _cache

    if not isinstance(source, str):
        raise _core.InputError("cache=True needs the path of a model, not its bytes")
    try:
        model.set_cache(_cache.place_for(source), _cache.size_limit())
    except OSError as error:
        if isinstance(error, _core.PyinferError):
            raise
        warnings.warn(f"no cache: {error}", CacheWarning, stacklevel=4)


def _load(
    source: Any,
    options: dict[str, int],
    folder: str | None,
    cache: bool = False,
    fetch: tuple[str, ...] = (),
) -> Model:
    try:
        model: Model = Model(source, options, folder, fetch)
    except _core.FileError as error:
        if not isinstance(source, str) or os.path.isfile(source):
            raise
        from . import _mistakes

        raise _core.FileError(f"{error}{_mistakes.path_hint(source)}") from None
    if len(model.output_rows) != 1:
        model.__class__ = _ManyOutputs
    model._recipe = (source, options, folder, cache)
    model._pack = None
    model._warned = False
    model._variants = {}
    if model.plan_state == "stale" and not fetch:
        warnings.warn(
            f"{source} was saved on another CPU or by another version: the model in it is loaded, "
            "and packed anew; save it again here",
            PlanWarning,
            stacklevel=3,
        )
    if cache:
        _use_cache(model, source)
    return model


def _check_options(options: Mapping[str, Any]) -> dict[str, int]:
    rows = _core.options()
    known = {row[0] for row in rows}
    for name in options:
        if name not in known:
            from . import _mistakes

            raise _mistakes.option_name(name, [row[0] for row in rows])
        if options[name] is not None and not hasattr(options[name], "__index__"):
            raise TypeError(f"option {name} is {options[name]!r}, expected an integer or a bool")
        if abs(options[name] or 0) >= 1 << 63:
            raise _core.InputError(f"option {name} is {options[name]}: give a number below 2**63")
    return {name: int(value) for name, value in options.items() if value is not None}


def _read_source(source: Any) -> tuple[Any, str | None]:
    """The source as a path or bytes, and the folder of its external data if that is known."""
    if isinstance(source, str | os.PathLike):
        path = os.fspath(source)
        if (b"\0" if isinstance(path, bytes) else "\0") in path:
            raise _core.InputError(
                "the path has a NUL character: give the bytes of a model as bytes, not as str"
            )
        return (path.decode() if isinstance(path, bytes) else os.path.abspath(path)), None
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source), None
    if isinstance(source, io.IOBase) or hasattr(source, "read"):
        data = source.read()
        if isinstance(data, str):
            raise TypeError("the file object gives text: open it as bytes, with open(path, 'rb')")
        return data, None
    if hasattr(source, "model_proto"):  # torch.onnx.ONNXProgram
        return source.model_proto.SerializeToString(), None
    if hasattr(source, "SerializeToString"):  # onnx.ModelProto
        return source.SerializeToString(), None
    from . import _mistakes

    raise _mistakes.source_type(source)


def load(source: Any, *, cache: bool = False, **options: int | bool | None) -> Model:
    """Loads an ONNX model, or a plan that :meth:`Model.save` wrote.

    source: a path, bytes, a file object, an onnx.ModelProto or a torch.onnx.ONNXProgram. External
    data is read from beneath the folder of a path only.

    cache: keep the packed weights in the user's cache folder, and take them from there the next
    time. A file there counts only if it was made by this version, for such a CPU, from the same
    files: their inode, size, and times of modification and change. The first run of new shapes
    writes it. See ``pyinfer cache``.

    options: threads (of one run; default: as many as this process may use), strict,
    memory_limit (bytes), exact (no Winograd, no Strassen, no fast inner product), skip_padding
    (of batches of texts), tune, onednn, level, check_numbers (a run ends with a
    NumberError, which names the node and its line in PyTorch, at the first step that makes a NaN
    or an infinity; slower, and fused steps are looked at as a whole). An option that is not given
    is read from the environment (PYINFER_THREADS ...), then has its default; ``pyinfer config``
    prints them all.

    tune: seconds, True being one. The first call with new input shapes measures the candidates of
    each step that long at most, and takes the fastest; all such calls together take up to sixteen
    times as long. Other calls wait meanwhile, and so does Ctrl-C. :meth:`Model.explain` says what
    was found, :meth:`Model.save` and the cache keep it.

    Arrays of another type than the model's are cast if that keeps their kind, with one InputWarning
    a model: float64 to float32, int32 to int64, integers to floats; so are arrays that are not
    C-contiguous. A float never becomes an integer. With strict=True nothing is cast or copied.

    Raises ModelError, UnsupportedError (it lists all operators that are not supported at once),
    FileError, LimitError; InputError for an option out of range, TypeError for an unknown one or a
    source that is none.
    """
    checked = _check_options(options)
    data, folder = _read_source(source)
    return _load(data, checked, folder, cache)
