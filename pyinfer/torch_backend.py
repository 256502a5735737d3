# SPDX-License-Identifier: Apache-2.0
"""``torch.compile(module, backend="pyinfer")``: graphs that TorchDynamo captures run as models.

Parameters and buffers are frozen into the model, which is made at the first call of a graph, and
made again when one of them was replaced or written to. For inference: what needs gradients, writes
to its inputs or buffers or draws random numbers (modules in training mode), and what cannot be
exported or run, stays in PyTorch, with one warning for each reason. The package's entry point
"torch_dynamo_backends" tells PyTorch of it.
"""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Callable, Mapping
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

from . import _core
from ._tensors import to_array, to_tensor
from .torch_export import TENSOR, TorchModel, export, open_program, weight_bytes

if TYPE_CHECKING:
    import torch


TIMES = 16  # that a model is made of one graph


class TorchWarning(UserWarning):
    """A graph of torch.compile stays in PyTorch; the text says why."""


_warned: set[str] = set()


def _stays(reason: str) -> None:
    if reason not in _warned:
        _warned.add(reason)
        warnings.warn(
            f"a graph, or part of it, stays in PyTorch: {reason}", TorchWarning, stacklevel=4
        )


def _version(tensor: torch.Tensor) -> int:
    """Counts writes to the tensor; those made in inference mode have no counter."""
    return -1 if tensor.is_inference() else tensor._version


class _Graph:
    """A captured graph, and the model that it became."""

    def __init__(self, module: torch.fx.GraphModule, options: Mapping[str, Any]) -> None:
        self.module, self.options = module, dict(options)
        self.model: TorchModel | None = None
        self.stays = False
        self.frozen: list[int] = []  # places among the arguments: parameters and buffers
        self.numbers: list[int] = []  # of numbers that are part of the model
        self.inputs: list[int] = []
        self.results: list[tuple[str, Any]] = []  # ("output", i), ("argument", i), ("constant", it)
        self.single = False  # a result that is in no tuple
        self.versions: list[Any] = []
        self.times = 0

    def __call__(self, *args: Any) -> Any:
        import torch

        if torch.is_grad_enabled() and any(getattr(a, "requires_grad", False) for a in args):
            _stays("it needs gradients: call it under torch.inference_mode() or torch.no_grad()")
            return self.module(*args)
        if self.model and self.versions != self._state(args):
            self.model = None
        if self.model is None and not self.stays:
            try:
                self.model = self._make(args)
            except (_core.PyinferError, ImportError) as error:
                self.stays = True
                _stays(str(error))
                self.module = _split(self.module, str(error), self.options)
        if self.model is None:
            return self.module(*args)
        arrays = tuple(to_array(args[i]) for i in self.inputs)
        try:
            made = self.model.run_tuple(arrays)
        except _core.InputError:  # a size that the exporter took for fixed, PyTorch did not
            self.model = None
            if self.times > 1:
                self.stays = True
                _stays("the exporter fixes sizes that change")
            return self(*args)
        sources: dict[str, Any] = {"output": [to_tensor(value) for value in made], "argument": args}
        results = tuple(
            what if kind == "constant" else sources[kind][what] for kind, what in self.results
        )
        return results[0] if self.single else results

    def _state(self, args: tuple[Any, ...]) -> list[Any]:
        """Of all that is part of the model: when it is another, the model is made again."""
        numbers = [args[i] if isinstance(args[i], int) else args[i].item() for i in self.numbers]
        return [(args[i].data_ptr(), _version(args[i])) for i in self.frozen] + numbers

    def _make(self, args: tuple[Any, ...]) -> TorchModel:
        import torch

        self.times += 1
        if self.times > TIMES:
            raise _core.UnsupportedError("its parameters, or numbers given to it, keep changing")
        module = torch.fx.GraphModule(self.module, copy.deepcopy(self.module.graph))
        shapes = self._rewrite(module, args)
        if not self.inputs or not any(kind == "output" for kind, _ in self.results):
            raise _core.UnsupportedError("it has no input or no result that is a tensor")
        example = tuple(args[i].detach().clone() for i in self.inputs)
        program = export(module, example, tuple(shapes) if any(shapes) else None)
        _check(program)
        leaves = [TENSOR] * len(example)
        model = open_program(program, weight_bytes(module), leaves, self.options)
        if len(model.input_names) != len(example):
            raise _core.UnsupportedError("the exporter left inputs out")
        self.versions = self._state(args)
        return model

    def _rewrite(self, module: Any, args: tuple[Any, ...]) -> list[dict[int, Any]]:
        """Parameters become attributes, sizes are asked of the tensors that have them, other
        numbers become constants, results that are no new tensors go. Gives the dynamic dimensions
        of the inputs that are left."""
        import torch

        graph = module.graph
        places = [n for n in graph.nodes if n.op == "placeholder"]
        self._results(graph, places)
        self.frozen, self.inputs, self.numbers = [], [], []
        symbols: dict[str, tuple[Any, int]] = {}
        shapes: list[dict[int, Any]] = []
        for i, (node, value) in enumerate(zip(places, args, strict=True)):
            told = node.meta.get("tensor_dict") or {}
            if not isinstance(value, torch.Tensor):
                continue
            if value.is_complex():
                raise _core.UnsupportedError("it is given complex numbers")
            if isinstance(value, torch.nn.Parameter) or "_dynamo_static_input_type" in told:
                self.frozen.append(i)
                module.register_buffer(f"frozen_{i}", value.detach())
                with graph.inserting_before(node):
                    node.replace_all_uses_with(graph.get_attr(f"frozen_{i}"))
            elif value.dim() == 0 and node.users and all(u.target == "item" for u in node.users):
                self.numbers.append(i)  # a float that dynamic=True hands over in a tensor
                for item in list(node.users):
                    _put(value.item(), item)
                    graph.erase_node(item)
            else:
                self.inputs.append(i)
                like = node.meta.get("example_value")
                symbolic = {
                    d: size
                    for d, size in enumerate(getattr(like, "shape", ()))
                    if isinstance(size, torch.SymInt)
                }
                for d, size in symbolic.items():
                    symbols.setdefault(str(size), (node, d))
                shapes.append({d: torch.export.Dim.AUTO for d in symbolic})
        for i, node in enumerate(places):
            if i in self.inputs:
                continue
            where = symbols.get(str(node.meta.get("example_value")))
            if node.users and where:
                with graph.inserting_before(places[-1].next):
                    size = graph.call_function(torch.ops.aten.sym_size.int, where)
                node.replace_all_uses_with(size)
            elif node.users and isinstance(args[i], int):
                self.numbers.append(i)
                _put(args[i], node)
            graph.erase_node(node)
        graph.lint()
        module.recompile()
        return shapes

    def _results(self, graph: torch.fx.Graph, places: list[Any]) -> None:
        """Sorts out the results: only new tensors stay those of the graph."""
        import torch

        output = next(n for n in graph.nodes if n.op == "output")
        self.results = []
        kept: list[Any] = []
        results: Any = output.args[0]
        self.single = isinstance(results, torch.fx.Node)
        results = [results] if self.single else results
        for result in results:
            if not isinstance(result, torch.fx.Node):
                self.results.append(("constant", result))
            elif result in places:
                self.results.append(("argument", places.index(result)))
            elif _is_plain(result.meta.get("example_value")):
                self.results.append(("output", len(kept)))
                kept.append(result)
            else:
                raise _core.UnsupportedError(f"its result {result.name} is no tensor, or complex")
        output.args = (tuple(kept),)


def _split(
    module: torch.fx.GraphModule, error: str, options: Mapping[str, Any]
) -> torch.fx.GraphModule:
    """The graph in parts, of which those without the operator that the error names are models; the
    graph as it is where that is not found."""
    import torch
    from torch.fx.passes.split_module import split_module

    missing = re.search(r"no ONNX form of \w+\.(\w+)", error)
    steps = [n for n in module.graph.nodes if n.op not in ("placeholder", "output", "get_attr")]
    odd = [missing is not None and missing[1] in f"{n.name} {n.target}" for n in steps]
    if not any(odd) or all(odd):
        return module
    part = dict(
        zip(steps, accumulate(int(a != b) for a, b in pairwise([odd[0], *odd])), strict=True)
    )
    parts: Any = split_module(module, module, lambda n: part.get(n, 0))
    stays = {part[n] for n, is_odd in zip(steps, odd, strict=True) if is_odd}
    for name, child in parts.named_children():
        if int(name.removeprefix("submod_")) not in stays:
            child.forward = _Graph(torch.fx.GraphModule(child, child.graph), options)
    return parts


def _is_plain(value: Any) -> bool:
    import torch

    return isinstance(value, torch.Tensor) and not value.is_complex()


def _put(number: float, node: Any) -> None:
    """The number in the place of the node, in all that reads it."""
    from torch.fx.node import map_arg

    for user in list(node.users):
        user.args = map_arg(user.args, lambda n: number if n is node else n)
        user.kwargs = map_arg(user.kwargs, lambda n: number if n is node else n)


def _is_still(node: Any) -> bool:
    """What could draw random numbers, for dropout, is told not to."""
    schema = node.target._schema.arguments
    given = {a.name: a.default_value for a in schema if a.has_default_value()}
    given |= dict(zip([a.name for a in schema], node.args, strict=False)) | dict(node.kwargs)
    return given.get("dropout_p", given.get("p")) == 0 or any(
        given.get(name) is False for name in ("train", "training")
    )


def _check(program: torch.onnx.ONNXProgram) -> None:
    """Raises UnsupportedError for programs that are more than a function of their inputs."""
    import torch

    exported = program.exported_program
    assert exported is not None
    signature = exported.graph_signature
    if signature.buffers_to_mutate or signature.user_inputs_to_mutate:
        raise _core.UnsupportedError(
            "it writes to its buffers or inputs; a module in training mode does: call eval()"
        )
    for node in exported.graph.nodes:
        tags = getattr(node.target, "tags", ())
        if torch.Tag.nondeterministic_seeded in tags and not _is_still(node):
            raise _core.UnsupportedError(
                f"it draws random numbers ({node.target}); a module in training mode does: "
                "call eval()"
            )


def backend(
    module: torch.fx.GraphModule,
    example_inputs: list[Any],
    *,
    options: Mapping[str, Any] | None = None,
    mode: str | None = None,
) -> Callable[..., Any]:
    """The backend "pyinfer" of torch.compile. options: those of :func:`pyinfer.load`.

    >>> import torch
    >>> net = torch.compile(torch.nn.Linear(3, 2), backend=backend, options={"threads": 1})
    >>> with torch.inference_mode():
    ...     net(torch.ones(4, 3)).shape
    torch.Size([4, 2])
    """
    return _Graph(module, options or {})
