# SPDX-License-Identifier: Apache-2.0
"""What a model is compared with: another model, ONNX Runtime, OpenVINO, a PyTorch module."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from . import _core, _mistakes
from ._quantised import quantised
from ._tensors import to_array, to_tensor
from .fetch import values, weights
from .model import Model, _load, load

Shapes = Mapping[str, tuple[int, ...] | None]  # of the model's values, None: of what is no array


class Reference:
    """outputs and values by name; values gives those that it has, of the names that are asked.
    coarse: whether it is quantised. sources: lines of PyTorch of its values."""

    name = ""
    coarse = False
    sources: Mapping[str | None, str | None] = {}

    def outputs(self, names: list[str], notes: list[str]) -> dict[str, Any]:
        raise NotImplementedError

    def values(self, shapes: Shapes, notes: list[str]) -> dict[str, Any]:
        raise NotImplementedError


def _named(names: list[str], found: dict[str, Any]) -> dict[str, Any]:
    """By the names asked for, or in their order if the names are others."""
    if set(found) == set(names) or len(found) != len(names):
        return found
    return dict(zip(names, found.values(), strict=True))


def _leaves(inputs: Any) -> list[Any]:
    """The arrays and tensors in the arguments of a call, in order; lists that are sequences of
    arrays to a model stay whole."""
    args = inputs if isinstance(inputs, tuple) else (inputs,)
    if all(hasattr(a, "shape") or isinstance(a, list) for a in args):
        return list(args)
    from torch.utils._pytree import tree_leaves

    return [leaf for leaf in tree_leaves(args) if hasattr(leaf, "shape")]


def arrays_of(model: Model, inputs: Any) -> dict[str, Any]:
    """The inputs as arrays by name, of the model's types where that casts no float to an integer.
    Raises InputError if their number is not the model's."""
    if isinstance(inputs, Mapping):
        given = dict(inputs)
    else:
        leaves = _leaves(inputs)
        if len(leaves) != len(model.input_names):
            raise _mistakes.arguments(model, leaves, None)
        given = dict(zip(model.input_names, leaves, strict=True))
    for port in model.inputs:
        value = given.get(port.name)
        if value is None or isinstance(value, list):
            continue
        array = to_array(value) if hasattr(value, "detach") else np.asarray(value)
        with contextlib.suppress(TypeError):  # types of ml_dtypes
            if np.can_cast(array.dtype, port.dtype, "same_kind"):
                array = array.astype(port.dtype, copy=False)
        given[port.name] = np.ascontiguousarray(array) if array.ndim else array
    return given


class ModelReference(Reference):
    def __init__(self, model: Model, feeds: dict[str, Any], name: str) -> None:
        self.model, self.name = model, name
        self.quantised = quantised(model)
        self.coarse = bool(self.quantised.coarse)
        names = model.input_names
        self.feeds = (
            feeds if set(feeds) == set(names) else dict(zip(names, feeds.values(), strict=False))
        )

    def outputs(self, names: list[str], notes: list[str]) -> dict[str, Any]:
        return _named(names, self.model.run(self.feeds))

    def values(self, shapes: Shapes, notes: list[str]) -> dict[str, Any]:
        self.sources = {row.name: row.source for row in values(self.model)}
        stored = self.quantised.stored
        stands = {alias: n for n, how in stored.items() for alias in how.floats}
        have = self.sources.keys() | weights(self.model)
        wanted = {n: stands.get(n, n) for n in shapes if n in have or n in stands}
        if not wanted:
            return {}
        parameters = {p for n in {*wanted.values()} & stored.keys() for p in stored[n].parameters}
        fetched = [*wanted.values(), *(parameters - self.feeds.keys())]
        got = self.feeds | self.model.run(self.feeds, None, None, fetched)
        return {n: stored[w].numbers(got[w], got) if n != w else got[w] for n, w in wanted.items()}


def unfused(
    model: Model, feeds: dict[str, Any], name: str = "the model at level=0", **more: int
) -> ModelReference:
    source, options, folder, _ = model._recipe
    return ModelReference(_load(source, {**options, "level": 0, **more}, folder), feeds, name)


class OnnxRuntime(Reference):
    """The model's file in ONNX Runtime, with none of its optimisations."""

    name = "ONNX Runtime"

    def __init__(self, model: Model, feeds: dict[str, Any]) -> None:
        try:
            import onnx
            import onnxruntime
        except ImportError as error:
            raise ImportError(
                f"comparing with ONNX Runtime needs {error.name}: pip install onnxruntime onnx"
            ) from error
        self.source, self.feeds = model._recipe[0], feeds
        self.coarse = bool(quantised(model).coarse)
        self.threads = model.threads
        self.onnx, self.runtime = onnx, onnxruntime

    def _run(self, more: list[str]) -> dict[str, Any]:
        try:
            proto = (
                self.onnx.load(self.source, load_external_data=False)
                if isinstance(self.source, str)
                else self.onnx.load_from_string(self.source)
            )
        except Exception as error:
            raise _core.InputError(
                "it needs an ONNX file, and a saved plan is none: compare the model that the plan "
                "was made of"
            ) from error
        made = {name for node in proto.graph.node for name in node.output}
        names = [n for n in more if n in made]
        proto.graph.output.extend(self.onnx.ValueInfoProto(name=n) for n in names)
        options = self.runtime.SessionOptions()
        options.graph_optimization_level = self.runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = self.threads
        options.log_severity_level = 3
        if isinstance(self.source, str):
            options.add_session_config_entry(
                "session.model_external_initializers_file_folder_path",
                os.path.dirname(self.source),
            )
        try:
            session = self.runtime.InferenceSession(
                proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
            wanted = [out.name for out in session.get_outputs()]
            feeds = {i.name: self.feeds[i.name] for i in session.get_inputs()}
            return dict(zip(wanted, session.run(wanted, feeds), strict=True))
        except Exception as error:
            raise _core.UnsupportedError(
                f"ONNX Runtime cannot run the model: {str(error).splitlines()[0]}"
            ) from error

    def outputs(self, names: list[str], notes: list[str]) -> dict[str, Any]:
        return self._run([])

    def values(self, shapes: Shapes, notes: list[str]) -> dict[str, Any]:
        return self._run(list(shapes))


class OpenVino(Reference):
    """The model's file in OpenVINO, in float32; of values within, those that it keeps names of."""

    name = "OpenVINO"

    def __init__(self, model: Model, feeds: dict[str, Any]) -> None:
        try:
            import openvino
        except ImportError as error:
            raise ImportError(
                "comparing with OpenVINO needs openvino: pip install openvino"
            ) from error
        self.openvino, self.feeds, self.source = openvino, feeds, model._recipe[0]
        self.coarse = bool(quantised(model).coarse)
        self.config = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": model.threads,
        }

    def _run(self, names: list[str], more: list[str]) -> dict[str, Any]:
        try:
            source = self.source if isinstance(self.source, str) else io.BytesIO(self.source)
            read = self.openvino.Core().read_model(source)
            ops = [op for op in read.get_ops() if op.get_type_name() != "Constant"]
            known = {n for op in ops for out in op.outputs() for n in out.get_names()}
            more = [n for n in more if n in known]
            if more:
                read.add_outputs(more)
            found = self.openvino.compile_model(read, "CPU", self.config)(self.feeds)
        except Exception as error:
            raise _core.UnsupportedError(
                f"OpenVINO cannot run the model: {str(error).strip().splitlines()[0]}"
            ) from error
        by_name = {n: array for port, array in found.items() for n in port.get_names()}
        return {n: by_name[n] for n in [*names, *more] if n in by_name}

    def outputs(self, names: list[str], notes: list[str]) -> dict[str, Any]:
        return self._run(names, [])

    def values(self, shapes: Shapes, notes: list[str]) -> dict[str, Any]:
        return self._run([], list(shapes))


class TorchModule(Reference):
    def __init__(self, model: Model, module: Any, inputs: Any, feeds: dict[str, Any]) -> None:
        from torch.utils._pytree import tree_map

        self.model, self.module, self.feeds = model, module, feeds
        self.name = f"the PyTorch module {type(module).__name__}"
        self.args: tuple[Any, ...] = ()
        self.named: dict[str, Any] = {}
        if isinstance(inputs, Mapping):
            self.named = {k: to_tensor(np.asarray(v)) for k, v in inputs.items()}
        else:
            args = inputs if isinstance(inputs, tuple) else (inputs,)
            self.args = tree_map(lambda x: to_tensor(x) if isinstance(x, np.ndarray) else x, args)

    def outputs(self, names: list[str], notes: list[str]) -> dict[str, Any]:
        import torch
        from torch.utils._pytree import tree_leaves

        from .torch_export import inference

        if any(m.training for m in self.module.modules()):
            notes.append("the module is in training mode: it was run as in eval()")
        with inference(self.module), torch.no_grad():
            found = tree_leaves(self.module(*self.args, **self.named))
        tensors = [to_array(t) for t in found if isinstance(t, torch.Tensor)]
        extra = range(len(names), len(tensors))
        return dict(zip([*names, *map(str, extra)], tensors, strict=False))

    def values(self, shapes: Shapes, notes: list[str]) -> dict[str, Any]:
        found = self._exported(set(shapes))
        mapped = {n: v for n, v in found.items() if shapes[n] == v.shape}
        if 2 * len(mapped) >= len(shapes) or quantised(self.model).coarse:
            return mapped
        notes.append("values within are held against the model without fusion (level=0)")
        return unfused(self.model, self.feeds).values(shapes, notes)

    def _as_exported(self) -> tuple[Any, Any]:
        """Arguments and dynamic shapes for an export whose names are those of the model's: names
        are numbered, and sizes that are free take numbers too. A size of 1 would not stay free."""
        from torch.export import Dim
        from torch.utils._pytree import tree_map

        ports = [[isinstance(n, str) for n in port.shape or ()] for port in self.model.inputs]
        of_args, of_shapes = iter(ports), iter(ports)

        def larger(x: Any) -> Any:
            if not hasattr(x, "shape"):
                return x
            free = zip(x.shape, next(of_args), strict=True)
            return x.repeat([2 if is_free and n == 1 else 1 for n, is_free in free])

        def sizes(x: Any) -> Any:
            if not hasattr(x, "shape"):
                return None
            return {d: Dim.AUTO for d, is_free in enumerate(next(of_shapes)) if is_free}

        return tree_map(larger, self.args), tree_map(sizes, self.args)

    def _exported(self, names: set[str]) -> dict[str, Any]:
        """The module's values by the names that torch.export gives, which are those in the file."""
        import torch

        from .diagnosis.onnx_file import TRACE, own_line
        from .torch_export import export, inference

        found: dict[str, Any] = {}

        class Keep(torch.fx.Interpreter):  # type: ignore[misc]
            def run_node(self, n: Any) -> Any:
                result = super().run_node(n)
                if n.name in names and isinstance(result, torch.Tensor):
                    found[n.name] = to_array(result).copy()
                return result

        if self.named:
            return found
        try:
            made = export(self.module, *self._as_exported())
            traces = [(node, node.metadata_props.get(TRACE, "")) for node in made.model.graph]
            self.sources = {out.name: own_line(t) for node, t in traces for out in node.outputs}
            with warnings.catch_warnings(), inference(self.module), torch.no_grad():
                warnings.simplefilter("ignore")
                Keep(made.exported_program.module()).run(*self.args)
        except Exception as error:  # of a part of PyTorch that may change: level=0 does it then
            warnings.warn(f"values of the module cannot be had: {error}", stacklevel=6)
        return found


def reference(model: Model, other: Any, inputs: Any, feeds: dict[str, Any]) -> Reference:
    """What `other` stands for; TypeError if that is nothing to compare with."""
    if isinstance(other, Model):
        return ModelReference(other, feeds, "the other model")
    if isinstance(other, str) and other == "onnxruntime":
        return OnnxRuntime(model, feeds)
    if isinstance(other, str) and other == "openvino":
        return OpenVino(model, feeds)
    if isinstance(other, str) and other == "reference":
        return unfused(model, feeds, "the model, not optimised", onednn=0, exact=1, tune=0)
    if hasattr(other, "named_modules"):
        return TorchModule(model, other, inputs, feeds)
    if isinstance(other, str | os.PathLike):
        if isinstance(other, str) and os.sep not in other and not os.path.exists(other):
            raise _core.InputError(
                f"compare() knows no engine {other!r}, and there is no such file: give a path, a "
                "Model, a torch.nn.Module, 'onnxruntime', 'openvino' or 'reference'"
            )
        return ModelReference(load(other), feeds, os.fspath(other))
    raise TypeError(
        "compare() takes a torch.nn.Module, a Model, a path, 'onnxruntime', 'openvino' or "
        f"'reference', not {type(other).__name__}"
    )
