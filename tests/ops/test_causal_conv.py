# SPDX-License-Identifier: Apache-2.0
"""CausalConvWithState: chunks of a signal with their state handed on give what the whole gives; faults are named."""

from __future__ import annotations

import numpy as np
import pytest

import pyinfer
from ops.node import run

RNG = np.random.default_rng(3)


@pytest.mark.parametrize("activation", ["none", "silu"])
@pytest.mark.parametrize("taps", [1, 2, 4, 300])
def test_chunks(taps: int, activation: str) -> None:
    x = RNG.standard_normal((2, 5, 700)).astype(np.float32)
    w = RNG.standard_normal((5, 1, taps)).astype(np.float32)
    b = RNG.standard_normal(5).astype(np.float32)
    more = {"opset": 27, "outputs": 2, "activation": activation}
    padded = np.concatenate([np.zeros((2, 5, taps - 1)), x], 2)
    windows = np.lib.stride_tricks.sliding_window_view(padded, taps, axis=2)
    want = (windows * w[None].astype(np.float64)).sum(-1) + b[:, None]
    if activation == "silu":
        want = want / (1 + np.exp(-want))
    state = np.zeros((2, 5, taps - 1), np.float32)
    parts = []
    for begin, end in ((0, 1), (1, 3), (3, 260), (260, 700)):
        y, state = run("CausalConvWithState", [x[:, :, begin:end], w, b, state], **more)
        parts.append(y)
    np.testing.assert_allclose(np.concatenate(parts, 2), want, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(state, padded[:, :, 700:].astype(np.float32))


@pytest.mark.parametrize(
    ("shapes", "activation", "text"),
    [
        (((2, 5), (5, 1, 3)), "none", "input is"),
        (((2, 5, 4), (4, 1, 3)), "none", "weight is"),
        (((2, 5, 4), (5, 1, 0)), "none", "weight is"),
        (((2, 5, 4), (5, 1, 3), (4,)), "none", "bias is"),
        (((2, 5, 4), (5, 1, 3), (5,), (2, 5, 3)), "none", "past_state is"),
        (((2, 5, 4), (5, 1, 3)), "relu", "activation"),
    ],
)
def test_faults(shapes: tuple[tuple[int, ...], ...], activation: str, text: str) -> None:
    with pytest.raises(pyinfer.ModelError, match=text):
        run(
            "CausalConvWithState",
            [np.zeros(s, np.float32) for s in shapes],
            opset=27,
            outputs=2,
            activation=activation,
        )
