# SPDX-License-Identifier: Apache-2.0
"""Small models for the hostile tests, and a child process in which loading them may go wrong."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import pyinfer
from pyinfer.model import _load as model_loader

CHILD = Path(__file__).with_name("child.py")


def port(
    name: str, shape: Sequence[int | str | None] | None = None, dtype: int = TensorProto.FLOAT
) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)


def model(
    nodes: Iterable[onnx.NodeProto],
    inputs: Iterable[onnx.ValueInfoProto] = (),
    outputs: Iterable[onnx.ValueInfoProto] = (),
    constants: Iterable[onnx.TensorProto] = (),
    sparse: Iterable[onnx.SparseTensorProto] = (),
    functions: Iterable[onnx.FunctionProto] = (),
    opset: int = 20,
    ir: int = 10,
) -> onnx.ModelProto:
    graph = helper.make_graph(list(nodes), "g", list(inputs), list(outputs), list(constants))
    graph.sparse_initializer.extend(sparse)
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("f", 1)]
    return helper.make_model(graph, opset_imports=imports, functions=list(functions), ir_version=ir)


def constant(name: str, values: Any, dtype: Any = np.float32) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(values, dtype), name)


def mlp() -> onnx.ModelProto:
    """Two operators, constants raw and not, names, metadata, a stack trace: every message that a plain model has."""
    b = helper.make_tensor("b", TensorProto.FLOAT, [2], [1.0, 2.0])
    nodes = [
        helper.make_node("Gemm", ["x", "W", "b"], ["t"], name="fc", alpha=1.0, transB=0),
        helper.make_node("Transpose", ["t"], ["y"], name="turn", perm=[1, 0]),
    ]
    made = model(
        nodes,
        [port("x", ["N", 3])],
        [port("y", [2, "N"])],
        [constant("W", np.arange(6).reshape(3, 2)), b],
    )
    made.metadata_props.add(key="author", value="somebody")
    trace = 'File "net.py", line 3, in forward\n    y = self.fc(x)'
    made.graph.node[0].metadata_props.add(key="pkg.torch.onnx.stack_trace", value=trace)
    return made


def function(
    name: str,
    inputs: Sequence[str],
    outputs: Sequence[str],
    nodes: Sequence[onnx.NodeProto],
    attributes: Sequence[str] = (),
    defaults: Sequence[onnx.AttributeProto] = (),
) -> onnx.FunctionProto:
    imports = [helper.make_opsetid("", 20), helper.make_opsetid("f", 1)]
    made = helper.make_function("f", name, inputs, outputs, list(nodes), imports, list(attributes))
    made.attribute_proto.extend(defaults)
    return made


def call(
    name: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any
) -> onnx.NodeProto:
    return helper.make_node(name, inputs, outputs, domain="f", **attributes)


def refer(node: onnx.NodeProto, name: str, to: str, kind: int) -> onnx.NodeProto:
    """Adds an attribute that has the value of the function's attribute `to`."""
    attribute = node.attribute.add()
    attribute.name, attribute.ref_attr_name, attribute.type = name, to, kind
    return node


def field(number: int, payload: bytes) -> bytes:
    """A field of a protobuf message, by hand: what the protobuf package would refuse to write."""
    head, n = bytes([number << 3 | 2]), len(payload)
    while n >= 0x80:
        head, n = head + bytes([n & 0x7F | 0x80]), n >> 7
    return head + bytes([n]) + payload


def load(source: Any, external_dir: str | None = None) -> Any:
    if external_dir is not None:
        return model_loader(source, {}, external_dir)  # no public way yet to give bytes a folder
    return pyinfer.load(source)


def environment() -> dict[str, str]:
    """Of a child: the same pyinfer, from any folder; and CHILD_LD_PRELOAD=libasan.so as LD_PRELOAD: for sanitizers, which
    onnx in this process does not bear. CHILD_PYTHONPATH names the pyinfer that was built with them."""
    own = {
        name.removeprefix("CHILD_"): value
        for name, value in os.environ.items()
        if name.startswith("CHILD_")
    }
    return os.environ | {"PYTHONPATH": str(Path(pyinfer.__file__).parents[1])} | own


def survive(
    sources: Sequence[bytes | str | tuple[bytes, dict[str, np.ndarray]]],
    *,
    fills: Sequence[int] = (0,),
    stack: int = 0,
    memory: int = 0,
    seconds: int = 500,
    names: Sequence[str] = (),
) -> list[str]:
    """Loads each model (bytes, or a path) in one child, and runs what loads on inputs of each number (see child.py); a pair
    of bytes and inputs runs on those. `names` is what to call them.
    A line for each: "ok", or the class of the error and its text. Fails if the child dies, naming the model that killed it,
    or if an error is of no class of ours."""
    limit = 1 << 30 if names else 0
    if {"CHILD_LD_PRELOAD", "LD_PRELOAD"} & set(
        os.environ
    ):  # the address sanitizer takes all addresses
        memory, limit = 0, 1 << 30
    options = {"fills": list(fills), "stack": stack, "memory": memory, "limit": limit}
    done = subprocess.run(
        [sys.executable, str(CHILD)],
        input=pickle.dumps((list(sources), options)),
        capture_output=True,
        env=environment(),
        timeout=seconds,
    )
    lines = done.stdout.decode(errors="replace").splitlines()
    problem = done.stderr.decode(errors="replace")[-3000:]
    last = [*names, "?"][min(len(lines), len(names))]
    assert done.returncode == 0, (
        f"model {len(lines)} of {len(sources)} ({last}) killed the child ({done.returncode}): {problem}"
    )
    assert len(lines) == len(sources), problem
    assert "runtime error:" not in problem, problem  # of the sanitizer of undefined behaviour
    return lines
