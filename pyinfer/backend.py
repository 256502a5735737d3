# SPDX-License-Identifier: Apache-2.0
"""``onnx.backend``, the interface of the ONNX project to engines; it needs the package onnx.

>>> import onnx.parser
>>> import pyinfer.backend
>>> model = onnx.parser.parse_model('''
...     <ir_version: 10, opset_import: ["": 21]>
...     double (float[n] x) => (float[n] y) { y = Add(x, x) }''')
>>> pyinfer.backend.run_model(model, [[1.0, 2.0]])
Outputs(y=array([2., 4.], dtype=float32))
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import onnx
from onnx import AttributeProto, ModelProto, NodeProto, ValueInfoProto, helper
from onnx.backend import base

from ._core import PyinferError
from .model import Model, load


class PyinferBackendRep(base.BackendRep):
    """A loaded model, as :meth:`PyinferBackend.prepare` gives it; `model` is the pyinfer.Model."""

    def __init__(self, model: Model) -> None:
        self.model = model
        names = [row[0] for row in model.output_rows]
        self._pack = base.namedtupledict("Outputs", names)

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Runs on inputs in the model's order, or by name, or on the only one. The outputs come as
        a tuple that may also be asked by name.

        A sequence is a list of arrays, an absent optional is None, strings are arrays of objects;
        elements that NumPy lacks are those of ml_dtypes.
        """
        names = self.model.input_names
        if isinstance(inputs, Mapping):
            return self._pack(*self.model.run(inputs).values())
        if isinstance(inputs, np.ndarray) and len(names) == 1:
            inputs = [inputs]
        return self._pack(*self.model.run_tuple(tuple(inputs)))


class PyinferBackend(base.Backend):
    """pyinfer as an ONNX backend. Other keyword arguments of `prepare`, `run_model` and `run_node`
    are the options of :func:`pyinfer.load`."""

    devices: ClassVar[tuple[str, ...]] = ("CPU",)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether models can run there: on "CPU" only."""
        return device.partition(":")[0] in cls.devices

    @classmethod
    def is_compatible(cls, model: ModelProto, device: str = "CPU", **kwargs: Any) -> bool:
        """Whether the model loads: all its operators are supported."""
        try:
            cls.prepare(model, device, **kwargs).model.close()
        except PyinferError:
            return False
        return True

    @classmethod
    def prepare(cls, model: Any, device: str = "CPU", **kwargs: Any) -> PyinferBackendRep:
        """Loads a ModelProto, or whatever else :func:`pyinfer.load` takes."""
        if not cls.supports_device(device):
            raise ValueError(f"pyinfer runs on the device CPU, not on {device!r}")
        return PyinferBackendRep(load(model, **kwargs))

    @classmethod
    def run_model(
        cls, model: Any, inputs: Any, device: str = "CPU", **kwargs: Any
    ) -> tuple[Any, ...]:
        """Loads a model and runs it once."""
        return cls.prepare(model, device, **kwargs).run(inputs)

    @classmethod
    def run_node(
        cls,
        node: NodeProto,
        inputs: Any,
        device: str = "CPU",
        outputs_info: Sequence[tuple[Any, tuple[int, ...]]] | None = None,
        **kwargs: Any,
    ) -> tuple[Any, ...]:
        """Runs one node on its inputs: those that it names, in their order, or by name.

        outputs_info: element type and shape of each output; not needed. opset_version: of the
        node's domain, by default the newest that onnx knows.

        >>> import onnx.helper
        >>> node = onnx.helper.make_node("Neg", ["x"], ["y"])
        >>> run_node(node, [[3.0]])
        Outputs(y=array([-3.], dtype=float32))
        """
        version = kwargs.pop("opset_version", None)
        names = list(dict.fromkeys(name for name in node.input if name))
        if isinstance(inputs, Mapping):
            names = [name for name in names if name in inputs]
            inputs = [inputs[name] for name in names]
        elif isinstance(inputs, np.ndarray) and len(names) == 1:
            inputs = [inputs]
        inputs = [_as_value(value) for value in inputs]
        if len(inputs) != len(names):
            raise ValueError(f"{len(inputs)} inputs are given, {node.op_type} names {len(names)}")
        outputs = [name for name in node.output if name]
        infos = [ValueInfoProto(name=name) for name in outputs]
        if outputs_info is not None:
            kept = [i for name, i in zip(node.output, outputs_info, strict=True) if name]
            infos = [
                helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(np.dtype(t)), s)
                for n, (t, s) in zip(outputs, kept, strict=True)
            ]
        graph = helper.make_graph(
            [node], "node", [_info(n, v) for n, v in zip(names, inputs, strict=True)], infos
        )
        opsets = [helper.make_opsetid(d, v) for d, v in _opsets(node, version).items()]
        model = helper.make_model(graph, opset_imports=opsets)
        return cls.run_model(model, inputs, device, **kwargs)


def _as_value(value: Any) -> Any:
    """An input as a value of ONNX: an array, a list of arrays, or None."""
    if value is None or isinstance(value, np.ndarray):
        return value
    if isinstance(value, list | tuple) and value and isinstance(value[0], np.ndarray):
        return list(value)
    array = np.asarray(value)
    return (
        array.astype(np.float32)
        if isinstance(value, list | float) and array.dtype == float
        else array
    )


def _info(name: str, value: Any) -> ValueInfoProto:
    if isinstance(value, list):
        element = _info(name, value[0]).type
        element.tensor_type.ClearField("shape")
        return helper.make_value_info(name, helper.make_sequence_type_proto(element))
    if value is None:
        any_tensor = helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, None)
        return helper.make_value_info(name, helper.make_optional_type_proto(any_tensor))
    if value.dtype.kind in "OUS":
        return helper.make_tensor_value_info(name, onnx.TensorProto.STRING, value.shape)
    dtype = helper.np_dtype_to_tensor_dtype(value.dtype)
    return helper.make_tensor_value_info(name, dtype, value.shape)


def _opsets(node: NodeProto, version: int | None) -> dict[str, int]:
    """Versions of the domains that a node and its subgraphs use."""
    domains = {node.domain if node.domain != "ai.onnx" else "": None}
    nodes = [node]
    while nodes:
        for attribute in nodes.pop().attribute:
            graphs = [attribute.g] if attribute.type == AttributeProto.GRAPH else attribute.graphs
            for inner in (n for g in graphs for n in g.node):
                domains.setdefault(inner.domain)
                nodes.append(inner)
    newest: dict[str, int] = {}
    for schema in onnx.defs.get_all_schemas():
        newest[schema.domain] = max(newest.get(schema.domain, 1), schema.since_version)
    newest[""] = onnx.defs.onnx_opset_version()
    found = {domain: newest.get(domain, 1) for domain in domains}
    if version is not None:
        found[next(iter(domains))] = version
    return found


is_compatible = PyinferBackend.is_compatible
prepare = PyinferBackend.prepare
run_model = PyinferBackend.run_model
run_node = PyinferBackend.run_node
supports_device = PyinferBackend.supports_device
