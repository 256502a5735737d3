# SPDX-License-Identifier: Apache-2.0
"""LSTM, GRU, RNN: against PyTorch, and the fast implementation against the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import pyinfer
from ops.node import forced, model_of, run

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
ORDER = {"LSTM": [0, 3, 1, 2], "GRU": [1, 0, 2], "RNN": [0]}  # of ONNX in that of PyTorch
DIRECTIONS = ["forward", "reverse", "bidirectional"]


def case(op: str, hidden: int, batch: int, direction: str, layout: int, seed: int = 0) -> list[Any]:
    """X W R B lengths h c P, all present where the operator has them."""
    rng = np.random.default_rng(seed)
    d, steps, size = 1 + (direction == "bidirectional"), 5, hidden + 2

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32) * np.float32(0.5)

    rows = GATES[op] * hidden
    lengths = rng.integers(0, steps + 1, batch).astype(np.int32)
    state = (batch, d, hidden) if layout else (d, batch, hidden)
    x = normal(batch, steps, size) if layout else normal(steps, batch, size)
    inputs = [x, normal(d, rows, size), normal(d, rows, hidden), normal(d, 2 * rows)]
    inputs += [lengths, normal(*state)]
    return [*inputs, normal(*state), normal(d, 3 * hidden)] if op == "LSTM" else inputs


def same(op: str, inputs: list[Any], threads: tuple[int, ...] = (1, 2), **more: Any) -> None:
    constant = more.pop("constant", (1, 2, 3))
    more = {"outputs": 3 if op == "LSTM" else 2, "opset": 22, **more}
    want = run(op, inputs, impl="ref", constant=constant, **more)
    data = model_of(op, inputs, constant=constant, **more)
    feeds = [x for i, x in enumerate(inputs) if x is not None and i not in constant]
    for n in threads:
        for impl in ["fast", "fip"] if inputs[0].shape[2] >= 6 else ["fast"]:
            with forced(impl):
                model = pyinfer.load(data, threads=n)
                assert f"{op} [{impl}]" in str(model.explain(*feeds))
                for _ in range(2):
                    got = model(*feeds)
                    for g, w in zip(got, want, strict=True):
                        assert g.dtype == w.dtype and g.shape == w.shape
                        np.testing.assert_allclose(g, w, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("layout", [0, 1])
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("op", GATES)
def test_fast_is_the_reference(op: str, direction: str, layout: int) -> None:
    for hidden in (1, 7, 16, 33):
        for batch in (1, 3):
            full = case(op, hidden, batch, direction, layout, seed=hidden + batch)
            more: dict[str, Any] = {"hidden_size": hidden, "direction": direction, "layout": layout}
            for keep in (3, 4, 5, 6, 7, 8):
                if keep <= len(full):
                    same(op, full[:keep], **more)
            same(op, [*full[:4], None, *full[5:]], **more)
            if op == "GRU":
                same(op, full, linear_before_reset=1, **more)
                same(op, full[:3], linear_before_reset=1, **more)
                same(op, full, constant=(1, 2), linear_before_reset=1, **more)
            if op == "LSTM":
                same(op, full, input_forget=1, **more)
            if op == "RNN":
                d = 1 + (direction == "bidirectional")
                same(op, full, activations=["Relu", "Tanh"][:d], **more)
                same(op, full, activations=["Tanh", "Relu"][-d:], **more)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("op", GATES)
def test_large_steps(op: str, direction: str) -> None:
    """A step's product is shared by the threads."""
    inputs = case(op, 160, 130 if op == "RNN" else 64, direction, 0)
    for x in inputs[1:3]:
        x *= np.float32(0.2)
    same(op, inputs, (1, 2, 4), hidden_size=160, direction=direction)


@pytest.mark.parametrize("impl", ["fast", "fip"])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("op", GATES)
def test_pytorch(op: str, bidirectional: bool, impl: str) -> None:
    torch.manual_seed(1)
    hidden, size, d = 19, 6, 1 + bidirectional
    layer = getattr(torch.nn, op)(size, hidden, bidirectional=bidirectional)
    x, h, c = torch.randn(8, 3, size), torch.randn(d, 3, hidden), torch.randn(d, 3, hidden)

    def weights(name: str) -> np.ndarray:
        parts = []
        for end in ["", "_reverse"][:d]:
            w = getattr(layer, f"{name}_l0{end}").detach().numpy()
            parts.append(np.concatenate([np.split(w, GATES[op])[i] for i in ORDER[op]]))
        return np.stack(parts)

    bias = np.concatenate([weights("bias_ih"), weights("bias_hh")], 1)
    inputs = [x.numpy(), weights("weight_ih"), weights("weight_hh"), bias, None, h.numpy()]
    more: dict[str, Any] = {"linear_before_reset": 1} if op == "GRU" else {}
    with torch.no_grad():
        y, last = layer(x, (h, c) if op == "LSTM" else h)
    want = [y.reshape(8, 3, d, hidden).transpose(1, 2), *(last if op == "LSTM" else [last])]
    got = run(
        op,
        [*inputs, c.numpy()] if op == "LSTM" else inputs,
        impl=impl,
        constant=(1, 2, 3),
        opset=14,
        outputs=len(want),
        hidden_size=hidden,
        direction="bidirectional" if bidirectional else "forward",
        **more,
    )
    for g, w in zip(got, want, strict=True):
        np.testing.assert_allclose(g, w.numpy(), rtol=1e-5, atol=1e-5)


def chosen(op: str, constant: tuple[int, ...] = (1, 2, 3), **more: Any) -> str:
    inputs = case(op, 7, 1, "forward", 0)[:4]
    model = pyinfer.load(model_of(op, inputs, constant=constant, hidden_size=7, opset=14, **more))
    return str(model.explain(*[x for i, x in enumerate(inputs) if i not in constant]))


@pytest.mark.parametrize("op", GATES)
def test_the_fast_one_is_chosen(op: str) -> None:
    assert "[fast]" in chosen(op)
    assert "[fast]" in chosen(op, (1, 2))
    others: list[dict[str, Any]] = [
        {"clip": 1.0},
        {"constant": (2, 3)},
        {"constant": (1, 3)},
        {"activations": ["Softsign"] * {"LSTM": 3, "GRU": 2, "RNN": 1}[op]},
    ]
    for more in others:
        lines = [line for line in chosen(op, **more).splitlines() if op in line]
        assert lines and all("[ref]" in line for line in lines)
    with forced("ref"):
        assert "[ref]" in chosen(op)


def test_exact() -> None:
    """The fast inner product, where it is taken, is turned off."""
    inputs = [np.zeros((50, 1, 256), np.float32), np.ones((1, 1024, 256), np.float32), np.ones((1, 1024, 256), np.float32)]
    data = model_of("LSTM", inputs, constant=(1, 2), hidden_size=256, opset=14)
    assert "LSTM [fast]" in str(pyinfer.load(data, exact=True).explain(inputs[0]))
