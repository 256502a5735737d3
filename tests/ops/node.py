# SPDX-License-Identifier: Apache-2.0
"""One operator as a model: run("Add", [a, b]) gives the outputs; impl="ref" takes the plain reference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import pyinfer
from pyinfer import _core


def dtype_of(array: np.ndarray) -> int:
    if array.dtype == object or array.dtype.kind in "US":
        return TensorProto.STRING
    return helper.np_dtype_to_tensor_dtype(array.dtype)


@contextmanager
def forced(impl: str | None) -> Iterator[None]:
    _core._force_impl(impl)
    try:
        yield
    finally:
        _core._force_impl(None)


def model_of(
    op: str,
    inputs: Sequence[np.ndarray | None],
    *,
    opset: int = 23,
    outputs: int = 1,
    constant: Sequence[int] = (),
    domain: str = "",
    **attrs: Any,
) -> bytes:
    """A model of one node; inputs whose place is in `constant` are initializers."""
    names = [f"x{i}" if x is not None else "" for i, x in enumerate(inputs)]
    ports, initializers = [], []
    for i, x in enumerate(inputs):
        if x is None:
            continue
        if i in constant:
            initializers.append(numpy_helper.from_array(np.asarray(x), names[i]))
        else:
            ports.append(
                helper.make_tensor_value_info(names[i], dtype_of(np.asarray(x)), np.shape(x))
            )
    results = [onnx.ValueInfoProto(name=f"y{i}") for i in range(outputs)]
    node = helper.make_node(
        op, names, [r.name for r in results], name="node", domain=domain, **attrs
    )
    graph = helper.make_graph([node], "one", ports, results, initializers)
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid(domain, opset)], ir_version=10
    ).SerializeToString()


def run(
    op: str,
    inputs: Sequence[np.ndarray | None],
    *,
    impl: str | None = None,
    level: int = 0,
    constant: Sequence[int] = (),
    threads: int = 2,
    **more: Any,
) -> list[np.ndarray]:
    inputs = [None if x is None else np.asarray(x) for x in inputs]
    data = model_of(op, inputs, constant=constant, **more)
    feeds = {f"x{i}": x for i, x in enumerate(inputs) if x is not None and i not in constant}
    with forced(impl):
        return list(pyinfer.load(data, level=level, threads=threads).run(feeds).values())
