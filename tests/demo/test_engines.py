# SPDX-License-Identifier: Apache-2.0
"""Other engines in their own processes."""

from typing import Any

import numpy as np
import pytest
import torch

from demo.test_network import residual
from pyinfer.demo import engines
from pyinfer.demo.session import Session, open_model
from support import tiny

PEERS = ["ONNX Runtime", "PyTorch"]


def test_all_agree() -> None:
    session = Session(threads=1)
    compared = engines.Comparison(session.opened)
    try:
        for name in engines.installed():
            compared.start(name)
        for _ in range(4):
            rows = compared.round(session.input_of(session.opened), list(engines.installed()))
        assert [row.engine for row in rows] == ["pyinfer", *PEERS]
        assert [row.problem for row in rows] == [""] * 3
        assert rows[0].difference is None and all(row.difference < 1e-5 for row in rows[1:])
        assert all(row.answer.outputs[0].argmax() == 7 for row in rows)
        assert all(len(times) == 4 and compared.median(name) > 0 for name, times in compared.times.items())
    finally:
        compared.close()


@pytest.mark.parametrize("engine", PEERS)
def test_a_model_from_memory(engine: str) -> None:
    opened = open_model(residual(), threads=1)
    peer = engines.Peer(engine, opened.source, 1)
    try:
        answer = peer.run(opened.feeds())
        assert np.allclose(answer.outputs[0], opened.model.run(opened.feeds())["y"], atol=1e-4)
        with pytest.raises(RuntimeError):
            peer.run({"x": np.zeros((1, 2), np.float32)})
        assert peer.run(opened.feeds()).ms > 0, "it goes on after an error"
    finally:
        peer.close()


def test_what_cannot_start_is_a_problem_of_that_row() -> None:
    opened = open_model(tiny.linear(), threads=1)
    compared = engines.Comparison(opened)
    opened.source = b"broken"
    compared.start("ONNX Runtime")
    rows = compared.round(opened.feeds(), ["pyinfer", "ONNX Runtime"])
    assert rows[0].answer and not rows[1].answer and rows[1].problem
    compared.close()


def test_a_module_of_the_caller() -> None:
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    threads = torch.get_num_threads()
    engine = engines.ModuleEngine(module, 1)
    x = np.ones((1, 1, 8, 8), np.float32)
    assert np.allclose(engine.run({"x": x}).outputs[0], module(torch.from_numpy(x)).detach())
    assert torch.get_num_threads() == threads


def test_differences() -> None:
    a: list[Any] = [np.zeros(3, np.float32), np.array(["text"])]
    assert engines.difference(a, a) == 0
    assert engines.difference(a, a[:1]) is None
    assert engines.difference(a[:1], [np.zeros(4, np.float32)]) is None
