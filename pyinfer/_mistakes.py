# SPDX-License-Identifier: Apache-2.0
"""Words for usual mistakes; imported when one is made."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from . import _core

if TYPE_CHECKING:
    from .model import Model


def near(name: object, names: Iterable[str]) -> str:
    """A question if one of the names is like it, else nothing.

    >>> near("imgae", ["image", "mask"])
    ", did you mean 'image'?"
    """
    found = difflib.get_close_matches(str(name), list(names), 1, 0.6)
    return f", did you mean {found[0]!r}?" if found else ""


def _sentences(first: str, second: str) -> str:
    return f"{first}{'' if first.endswith('?') else '.'} {second}"


def _inputs(model: Model) -> str:
    what = "inputs are" if len(model.inputs) != 1 else "input is"
    return f"The {what} {'; '.join(map(str, model.inputs))}"


def input_names(model: Model, given: Iterable[Any]) -> _core.InputError:
    """For names that are not those of the inputs."""
    given = list(given)
    unknown = [n for n in given if n not in model.input_names]
    missing = [n for n in model.input_names if n not in given]
    if unknown:
        hint = near(unknown[0], missing) or ("" if missing else ": leave it out")
        said = f"there is no input {unknown[0]!r}{hint}"
    else:
        listed = ", ".join(map(repr, missing))
        said = f"input {listed} is missing: give it too"
        if len(missing) > 1:
            said = f"inputs {listed} are missing: give them too"
    return _core.InputError(_sentences(said, _inputs(model)))


def arguments(
    model: Model, args: Sequence[Any], names: Sequence[str] | None, a_list: bool = False
) -> _core.InputError:
    """For arguments that do not fit: positional ones, and names of the others. a_list: the only
    one is a list."""
    if len(args) == 1 and isinstance(args[0], Mapping) and not names:
        said = f"a {type(args[0]).__name__} is given as one array: call m(**x) or m.run(x)"
        return _core.InputError(_sentences(said, _inputs(model)))
    if a_list:
        said = "a list counts as one array: give a tuple of arrays, or a dictionary by name"
        return _core.InputError(_sentences(said, _inputs(model)))
    taken = model.input_names[: len(args)]
    twice = [n for n in names or () if n in taken]
    if twice:
        return _core.InputError(f"input {twice[0]!r} is given twice: by its place, and by name")
    if names and len(args) <= len(model.input_names):
        return input_names(model, [*taken, *names])
    count, needed = len(args), len(model.inputs)
    return _core.InputError(
        f"{count} array{' is' if count == 1 else 's are'} given, but {needed} "
        f"{'is' if needed == 1 else 'are'} needed: {'; '.join(map(str, model.inputs))}"
    )


def output_name(name: object, names: Sequence[str]) -> _core.InputError:
    """For an output that the model does not have."""
    said = f"there is no output {name!r}{near(name, names)}"
    what = "outputs are" if len(names) != 1 else "only output is"
    return _core.InputError(_sentences(said, f"The {what} {', '.join(names)}"))


_CPU = ": models run on the CPU, leave it out"
_KEYWORDS = ": options are keywords, such as threads=4"
_THREADS = ", did you mean 'threads'?"
ELSEWHERE = {  # what others call options
    "device": _CPU,
    "providers": _CPU,
    "provider_options": _CPU,
    "sess_options": _KEYWORDS,
    "session_options": _KEYWORDS,
    "num_threads": _THREADS,
    "n_threads": _THREADS,
    "intra_op_num_threads": _THREADS,
}


def option_name(name: str, names: Sequence[str]) -> TypeError:
    """For an option that load() does not have."""
    hint = ELSEWHERE.get(name) or near(name, names)
    options = f"The options are {', '.join(names)} ('pyinfer config' explains them)"
    return TypeError(_sentences(f"load() has no option {name!r}{hint}", options))


def _models(folder: str) -> str:
    """The first few in a folder: "a.onnx, b.onnx"."""
    try:
        found = sorted(n for n in os.listdir(folder) if n.lower().endswith((".onnx", ".plan")))
    except OSError:
        return ""
    return ", ".join(found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")


def path_hint(path: str) -> str:
    """What to do about an absolute path that is no file, from a semicolon on."""
    folder, name = os.path.split(path)
    if os.path.isdir(path):
        models = _models(path)
        if os.path.exists(os.path.join(path, "saved_model.pb")):
            return (
                "; it is a TensorFlow SavedModel: convert it with tf2onnx: python -m "
                f"tf2onnx.convert --saved-model {path} --output model.onnx"
            )
        return f"; give a file in it: {models}" if models else "; there is no .onnx file in it"
    if os.path.exists(path):
        return ""
    if re.search(r"/[a-z0-9]+:/", path):  # of //, os.path.abspath leaves one
        return "; it is an address: download the file first, and give its path"
    if "/~" in path:
        return "; '~' is not looked up: give os.path.expanduser(path)"
    if not os.path.isdir(folder):
        return f"; there is no folder {folder}"
    try:
        alike = difflib.get_close_matches(name, os.listdir(folder), 1, 0.6)
    except OSError:
        return ""
    if alike:
        return f"; did you mean {alike[0]}?"
    models = _models(folder)
    return f"; the models there are {models}" if models else "; there is no .onnx file there"


def source_type(source: Any) -> TypeError:
    """For what load() cannot load."""
    module = hasattr(source, "state_dict") or hasattr(source, "graph_module")
    return TypeError(
        "load() takes a path, bytes, a file object, an onnx.ModelProto or a "
        f"torch.onnx.ONNXProgram, not {type(source).__name__}"
        + ("; for a PyTorch module use pyinfer.from_torch(module, example_inputs)" * module)
    )
