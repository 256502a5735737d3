# SPDX-License-Identifier: Apache-2.0
"""What a row of the architecture tables says, and how it is exported and compared.

Arch(make, feeds)            make() -> nn.Module called with the tensors of feeds(batch), in that order
export(row, module, exporter, shape, path)
answers(module, inputs)      what PyTorch says, a flat list of arrays
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

Feeds = dict[str, np.ndarray]
WAYS = tuple(f"{exporter} {shape}" for exporter in ("dynamo", "script") for shape in ("static", "dynamic"))
"""dynamo: torch.export, opset 20 · script: TorchScript, opset 17 · static: batch 1 · dynamic: a symbolic batch."""


@dataclass(frozen=True)
class Arch:
    make: Callable[[], nn.Module]
    feeds: Callable[[int], Feeds]
    free: Mapping[str, int | None] = field(default_factory=dict)  # axis of the batch where it is not 0; None: has none
    fails: Mapping[str, str] = field(default_factory=dict)  # way -> words of the exporter's own failure
    batches: tuple[int, ...] = (1, 3)  # a dynamic model is run at
    wrong: Mapping[str, str] = field(default_factory=dict)  # way -> what the exporter wrote that no engine can run rightly
    scripted: bool = False  # by torch.jit.script and not by tracing, for the script exporter
    limit: float = 1e-4


CUSTOM: dict[Any, Any] = {}
"""Operators of our own -> their translations, for the exporter dynamo."""


def flat(y: Any) -> list[Tensor]:
    """The tensors of nested tuples, lists, dicts and transformers' outputs, in order."""
    if isinstance(y, Tensor):
        return [y]
    parts = y.values() if isinstance(y, Mapping) else y if isinstance(y, (tuple, list)) else ()
    return [t for part in parts for t in flat(part)]


class Flat(nn.Module):
    """Takes tensors in a row and gives a tuple of tensors, as exporters want it."""

    def __init__(self, inner: nn.Module, call: Callable[..., Any] | None = None) -> None:
        super().__init__()
        self.inner, self.call = inner, call

    def forward(self, *xs: Tensor) -> Any:
        y = self.call(self.inner, *xs) if self.call else self.inner(*xs)
        out = tuple(flat(y))
        return out if len(out) > 1 else out[0]


@contextmanager
def quiet() -> Iterator[None]:
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def randomise(model: nn.Module) -> None:
    """Moves all weights and statistics away from the values at which mistakes do not show (0, 1, tiny)."""
    with torch.no_grad():
        for p in model.parameters():
            if not p.is_floating_point() or p.numel() == 0:
                continue
            if p.ndim > 1:
                p += 0.6 * torch.randn_like(p) * (p.shape[0] / p.numel()) ** 0.5
            else:
                p += 0.1 * torch.randn_like(p)
        for m in model.modules():
            if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.running_mean is not None:
                m.running_mean += 0.2 * torch.randn_like(m.running_mean)
                m.running_var *= torch.empty_like(m.running_var).uniform_(0.7, 1.4)


def build(row: Arch) -> nn.Module:
    """The PyTorch model in eval mode, the same weights at each call."""
    torch.manual_seed(20240229)
    with quiet():
        model = row.make()
    randomise(model)
    for p in model.parameters():
        p.requires_grad_(False)
    return model.eval()


def answers(model: nn.Module, inputs: Feeds) -> list[np.ndarray]:
    with torch.no_grad(), quiet():
        return [t.numpy() for t in flat(model(*(torch.from_numpy(a) for a in inputs.values())))]


def export(row: Arch, model: nn.Module, way: str, path: Path) -> None:
    exporter, shape = way.split()
    inputs = row.feeds(2 if shape == "dynamic" else 1)  # exporters specialise sizes of 0 and 1
    args = tuple(torch.from_numpy(a) for a in inputs.values())
    axes = {k: row.free.get(k, 0) for k in inputs} if shape == "dynamic" else {}
    common: dict[str, Any] = {"input_names": list(inputs)}
    with quiet():
        if exporter == "dynamo":
            if axes:
                dims = tuple({} if a is None else {a: torch.export.Dim.DYNAMIC} for a in axes.values())
                common["dynamic_shapes"] = (dims,) if isinstance(model, Flat) else dims
            program = torch.onnx.export(model, args, dynamo=True, verbose=False, custom_translation_table=CUSTOM, **common)
            assert program is not None
            program.save(path, external_data=False)
        else:
            if axes:
                common["dynamic_axes"] = {k: {a: "batch"} for k, a in axes.items() if a is not None}
            traced = torch.jit.script(model) if row.scripted else model
            torch.onnx.export(traced, args, str(path), dynamo=False, opset_version=17, **common)
