# SPDX-License-Identifier: Apache-2.0
"""ONNX image classifiers in PyTorch, operator by operator: enough for ResNets, VGG and the like."""

from __future__ import annotations

from typing import Any


class TorchNet:
    """A model of the operators in `_OPERATORS`; raises NotImplementedError for others."""

    def __init__(self, path: str, threads: int) -> None:
        import onnx
        import torch
        from onnx import numpy_helper

        torch.set_num_threads(threads)
        self._torch = torch
        graph = onnx.load(path).graph
        self._constants = {
            t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in graph.initializer
        }
        self._outputs = [value.name for value in graph.output]
        self._nodes = []
        for node in graph.node:
            attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            if node.op_type == "Constant" and "value" in attributes:
                value = torch.from_numpy(numpy_helper.to_array(attributes["value"]).copy())
                self._constants[node.output[0]] = value
                continue
            if node.op_type not in _OPERATORS or len(node.output) != 1:
                raise NotImplementedError(
                    f"the operator {node.op_type} is not translated to PyTorch"
                )
            self._nodes.append(
                (_OPERATORS[node.op_type], attributes, list(node.input), node.output[0])
            )

    def run(self, feeds: dict[str, Any]) -> list[Any]:
        """Arrays by name in; the outputs as a list of arrays."""
        torch = self._torch
        values = dict(self._constants)
        values.update({name: torch.from_numpy(array) for name, array in feeds.items()})
        with torch.inference_mode():
            for function, attributes, inputs, output in self._nodes:
                arguments = [values[name] if name else None for name in inputs]
                values[output] = function(torch, attributes, *arguments)
        return [values[name].numpy() for name in self._outputs]


def _window(t: Any, a: dict[str, Any], x: Any, value: float) -> tuple[Any, Any]:
    """x and its padding: what PyTorch cannot pad evenly is padded before."""
    if a.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID") or a.get("ceil_mode"):
        raise NotImplementedError("auto_pad and ceil_mode are not translated to PyTorch")
    rank = x.dim() - 2
    pads = list(a.get("pads", [0] * (2 * rank)))
    if pads[:rank] == pads[rank:]:
        return x, pads[:rank]
    sides = [pads[i + k * rank] for i in reversed(range(rank)) for k in (0, 1)]
    return t.nn.functional.pad(x, sides, value=value), [0] * rank


def _conv(t: Any, a: dict[str, Any], x: Any, w: Any, b: Any = None) -> Any:
    x, pads = _window(t, a, x, 0.0)
    rank = x.dim() - 2
    strides, dilations = a.get("strides", [1] * rank), a.get("dilations", [1] * rank)
    conv = getattr(t.nn.functional, f"conv{rank}d")
    return conv(x, w, b, strides, pads, dilations, a.get("group", 1))


def _max_pool(t: Any, a: dict[str, Any], x: Any) -> Any:
    x, pads = _window(t, a, x, float("-inf"))
    return t.nn.functional.max_pool2d(x, a["kernel_shape"], a.get("strides", [1, 1]), pads)


def _average_pool(t: Any, a: dict[str, Any], x: Any) -> Any:
    x, pads = _window(t, a, x, 0.0)
    counted = bool(a.get("count_include_pad", 0))
    pool = t.nn.functional.avg_pool2d
    return pool(x, a["kernel_shape"], a.get("strides", [1, 1]), pads, False, counted)


def _batch_norm(t: Any, a: dict[str, Any], x: Any, s: Any, b: Any, mean: Any, var: Any) -> Any:
    return t.nn.functional.batch_norm(x, mean, var, s, b, eps=a.get("epsilon", 1e-5))


def _gemm(t: Any, a: dict[str, Any], x: Any, w: Any, b: Any = None) -> Any:
    x, w = (x.T if a.get("transA") else x), (w.T if a.get("transB") else w)
    y = a.get("alpha", 1.0) * (x @ w) if a.get("alpha", 1.0) != 1.0 else x @ w
    return y if b is None else y + a.get("beta", 1.0) * b


def _reduce_mean(t: Any, a: dict[str, Any], x: Any, axes: Any = None) -> Any:
    dims = a.get("axes", [] if axes is None else axes.tolist()) or list(range(x.dim()))
    return x.mean(dims, keepdim=bool(a.get("keepdims", 1)))


def _clip(t: Any, a: dict[str, Any], x: Any, low: Any = None, high: Any = None) -> Any:
    return t.clamp(x, a.get("min", low), a.get("max", high))


def _reshape(t: Any, a: dict[str, Any], x: Any, shape: Any) -> Any:
    sides = [x.shape[i] if n == 0 else n for i, n in enumerate(shape.tolist())]
    return x.reshape(sides)


_OPERATORS: dict[str, Any] = {
    "Add": lambda t, a, x, y: x + y,
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_norm,
    "Clip": _clip,
    "Concat": lambda t, a, *xs: t.cat(xs, a["axis"]),
    "Conv": _conv,
    "Dropout": lambda t, a, x, *_: x,
    "Flatten": lambda t, a, x: x.flatten(a.get("axis", 1)) if a.get("axis", 1) == 1 else None,
    "Gemm": _gemm,
    "GlobalAveragePool": lambda t, a, x: x.mean(list(range(2, x.dim())), keepdim=True),
    "Identity": lambda t, a, x: x,
    "MatMul": lambda t, a, x, y: x @ y,
    "MaxPool": _max_pool,
    "Mul": lambda t, a, x, y: x * y,
    "ReduceMean": _reduce_mean,
    "Relu": lambda t, a, x: t.relu(x),
    "Reshape": _reshape,
    "Sigmoid": lambda t, a, x: t.sigmoid(x),
    "Softmax": lambda t, a, x: t.softmax(x, a.get("axis", -1)),
    "Sub": lambda t, a, x, y: x - y,
}
