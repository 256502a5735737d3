# SPDX-License-Identifier: Apache-2.0
"""PyTorch modules as models, in one line: ``pyinfer.from_torch``."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import logging
import os
import re
import shutil
import tempfile
import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _core
from ._tensors import to_array, to_tensor
from .model import Model, load

if TYPE_CHECKING:
    import torch

LARGE = 1 << 30  # bytes of weights that go into a file beside the model: protobuf ends at 2 GB
TENSOR = object()  # in the list of what the arguments were: an input of the model


class TorchModel(Model):
    """A model that :func:`from_torch` made. It is called as the module was: positional arguments,
    tensors or arrays, also within tuples, lists and dictionaries; numbers and None must be those
    of the export, which are part of the model. Results are torch tensors that own their memory if
    a tensor was given, else arrays. It can be pickled unless its weights exceed 1 GB."""

    _leaves: list[Any]
    _folder: str

    def __call__(self, *args: Any, **named: Any) -> Any:
        arrays, tensors = self._arrays(args)
        for name, value in named.items():
            if hasattr(value, "detach"):
                named[name], tensors = to_array(value), True
        result = super().__call__(*arrays, **named)
        if len(self.output_rows) == 1:
            return to_tensor(result) if tensors else result
        return self._named(map(to_tensor, result) if tensors else result)

    def _arrays(self, args: tuple[Any, ...]) -> tuple[list[Any], bool]:
        """The arrays among the arguments, and whether there is a tensor."""
        leaves: Sequence[Any] = args
        if any(isinstance(a, list | tuple | dict) or not hasattr(a, "shape") for a in args):
            from torch.utils._pytree import tree_leaves

            leaves = tree_leaves(args)
            given = leaves if len(leaves) != len(self.input_names) else []
            for i, (leaf, was) in enumerate(zip(given, self._leaves, strict=False)):
                if was is not TENSOR and (hasattr(leaf, "shape") or leaf != was):
                    raise _core.InputError(
                        f"argument {i} was {was!r} in the export, which is part of the model; "
                        f"got {type(leaf).__name__ if hasattr(leaf, 'shape') else repr(leaf)}"
                    )
            leaves = [leaf for leaf in leaves if hasattr(leaf, "shape")]
        tensors = [hasattr(leaf, "detach") for leaf in leaves]
        return [
            to_array(leaf) if is_tensor else leaf
            for leaf, is_tensor in zip(leaves, tensors, strict=True)
        ], any(tensors)

    def _warn_copies(self, level: int = 3) -> None:
        super()._warn_copies(level + 1)

    def __reduce__(self) -> tuple[Any, ...]:
        path, options = self._recipe[:2]
        if len(os.listdir(self._folder)) > 1:
            raise TypeError("a model with so large weights cannot be pickled: export it to a file")
        with open(path, "rb") as file:
            return _restore, (file.read(), options, [x is TENSOR or [x] for x in self._leaves])


def _restore(data: bytes, options: dict[str, int], leaves: list[Any]) -> TorchModel:
    folder = tempfile.mkdtemp(prefix="pyinfer-")
    with open(os.path.join(folder, "model.onnx"), "wb") as file:
        file.write(data)
    return _open(folder, [TENSOR if x is True else x[0] for x in leaves], options)


def _remove(folder: str, process: int) -> None:
    if os.getpid() == process:  # not in a child that was forked, which may end first
        shutil.rmtree(folder, ignore_errors=True)


def _open(folder: str, leaves: list[Any], options: dict[str, Any]) -> TorchModel:
    """Weights are read from the file when they are packed, and fetch= and save() read it again: it
    stays as long as the model."""
    try:
        model = load(os.path.join(folder, "model.onnx"), **options)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    model.__class__ = TorchModel
    assert isinstance(model, TorchModel)
    model._leaves, model._folder = leaves, folder
    weakref.finalize(model, _remove, folder, os.getpid())
    return model


def open_program(
    program: torch.onnx.ONNXProgram, weights: int, leaves: list[Any], options: dict[str, Any]
) -> TorchModel:
    """The exported program, with so many bytes of weights, as a model."""
    folder = tempfile.mkdtemp(prefix="pyinfer-")
    try:
        with quiet():
            program.save(os.path.join(folder, "model.onnx"), external_data=weights > LARGE)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return _open(folder, leaves, options)


@contextlib.contextmanager
def inference(module: Any) -> Iterator[None]:
    """The module and what is in it in eval mode, then as they were."""
    was = [m for m in module.modules() if m.training] if hasattr(module, "modules") else []
    for inner in was:
        inner.training = False
    try:
        yield
    finally:
        for inner in was:
            inner.training = True


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without what the exporter says of packages that are not there, and of its own future."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _reason(error: BaseException, trace: Callable[[str], str]) -> str:
    """The first line of the innermost cause, and the line of the module where it arose; trace:
    where the module calls an operator."""
    text = str(error)
    cause = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    first = next(iter(str(cause).strip().splitlines()), type(cause).__name__)
    missing = re.search(r"No ONNX function found for <OpOverload\(op='([\w.]+)'", text)
    if missing:
        first = f"the exporter has no ONNX form of {missing[1]}"
        text = f"{text}\n{cause}{trace(missing[1])}"
    else:
        text = f"{text}\n{cause}"
    places = re.findall(r'File "([^"]+)", line (\d+), in (\w+)\n\s*(\S.*)', text)
    theirs = os.path.dirname(os.path.dirname(importlib.import_module("torch").__file__ or ""))
    mine = [p for p in places if not p[0].startswith(theirs)]
    where = f", at {os.path.basename(mine[-1][0])}:{mine[-1][1]}: {mine[-1][3]}" if mine else ""
    return first + where


def _trace(module: Any, args: tuple[Any, ...], op: str) -> str:
    """The stack trace of the module's call of this operator, or nothing."""
    import torch

    with contextlib.suppress(Exception), quiet(), inference(module):
        for node in torch.export.export(module, args, strict=False).graph.nodes:
            if str(node.target).startswith(op):
                return f"\n{node.meta.get('stack_trace', '')}"
    return ""


def export(
    module: Any, args: tuple[Any, ...], dynamic_shapes: Any = None
) -> torch.onnx.ONNXProgram:
    """torch.onnx.export in eval mode. Raises UnsupportedError with the reason in one line."""
    try:
        import onnxscript  # noqa: F401
        import torch
    except ImportError as error:
        raise ImportError(
            f"exporting from PyTorch needs {error.name}: pip install torch onnxscript"
        ) from error
    if isinstance(module, type) and issubclass(module, torch.nn.Module):
        name = module.__name__
        raise TypeError(f"{name} is a class: give a module of it, such as {name}()")
    if isinstance(module, torch.jit.ScriptModule) or not isinstance(
        module, torch.nn.Module | torch.export.ExportedProgram
    ):
        raise TypeError(
            "expected a torch.nn.Module (no TorchScript) or torch.export.ExportedProgram, got "
            f"{type(module).__name__}"
        )
    try:
        with quiet(), inference(module), torch.no_grad():
            program = torch.onnx.export(
                module,
                (*args, {}),  # a dictionary at the end would be taken for keywords
                dynamo=True,
                dynamic_shapes=dynamic_shapes,
                verbose=False,
            )
    except Exception as error:
        reason = _reason(error, lambda op: _trace(module, args, op))
        raise _core.UnsupportedError(
            f"PyTorch cannot export {type(module).__name__} to ONNX: {reason}"
        ) from error
    assert program is not None
    return program


def weight_bytes(module: Any) -> int:
    """Bytes of the parameters and buffers of a module or exported program."""
    tensors = [*module.state_dict().values()]
    return sum(t.numel() * t.element_size() for t in tensors if hasattr(t, "numel"))


def _check_arguments(module: Any, args: tuple[Any, ...]) -> None:
    if isinstance(module, type):
        return  # will be refused
    try:
        signature = inspect.signature(module.forward)
    except (AttributeError, TypeError, ValueError):
        return  # an exported program, or something that will be refused
    try:
        signature.bind(*args)
    except TypeError as error:
        name, takes = type(module).__name__, ", ".join(signature.parameters)
        raise _core.InputError(
            f"example_inputs has {len(args)} value{'s' * (len(args) != 1)} for "
            f"{name}.forward({takes}): {error}; give a tuple of its arguments"
        ) from None


def from_torch(
    module: Any,
    example_inputs: Any,
    dynamic_shapes: Any = None,
    **options: int | bool | None,
) -> TorchModel:
    """A PyTorch module as a model: exported with torch.onnx.export(dynamo=True), and loaded.

    module: a torch.nn.Module, exported as in eval(), or a torch.export.ExportedProgram.
    example_inputs: a tuple of the positional arguments, or the only one; tensors, or NumPy arrays
    in their place. Their shapes are those of the model, unless dynamic_shapes says otherwise, in
    the form that torch.export takes: ``({0: "batch"},)``, or ``{0: "batch"}`` of a single argument;
    the size in the example should then be at least 2. options: as for :func:`pyinfer.load`.

    The model is called as the module is. It lives in a temporary file that goes with it.

    Raises ImportError without torch and onnxscript, TypeError for what is no module, InputError for
    example inputs that its forward() does not take,
    UnsupportedError, with the line of the module, for what cannot be exported or run.

    >>> import torch
    >>> net = torch.nn.Linear(3, 2)
    >>> m = from_torch(net, (torch.ones(4, 3),), ({0: "batch"},))
    >>> m(torch.ones(7, 3)).shape
    torch.Size([7, 2])
    """
    args = example_inputs if isinstance(example_inputs, tuple) else (example_inputs,)
    args = tuple(to_tensor(arg) if isinstance(arg, np.ndarray) else arg for arg in args)
    if isinstance(dynamic_shapes, dict) and {type(key) for key in dynamic_shapes} == {int}:
        dynamic_shapes = (dynamic_shapes,)
    _check_arguments(module, args)
    program = export(module, args, dynamic_shapes)
    from torch.utils._pytree import tree_leaves

    leaves = [TENSOR if hasattr(x, "shape") else x for x in tree_leaves(args)]
    return open_program(program, weight_bytes(module), leaves, options)
