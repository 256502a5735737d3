# SPDX-License-Identifier: Apache-2.0
"""Files cut off anywhere, and with any byte changed: an error of ours or a model, never the end of the process."""

import random

import numpy as np
import pytest
from onnx import TensorProto, helper

from hostile.small import call, constant, function, mlp, model, port, refer, survive


def seeds() -> dict[str, bytes]:
    leaky = refer(helper.make_node("LeakyRelu", ["a"], ["t"]), "alpha", "slope", 1)
    inner = function(
        "Inner", ["a"], ["b"], [leaky, helper.make_node("Relu", ["t"], ["b"])], ["slope"]
    )
    outer = function("Outer", ["a"], ["b"], [call("Inner", ["a"], ["b"], slope=0.5)])
    with_functions = model(
        [call("Outer", ["x"], ["y"])], [port("x", [2])], [port("y")], functions=[inner, outer]
    )
    sparse = helper.make_sparse_tensor(
        constant("s", [1.0, 2.0]), constant("i", [0, 3], np.int64), [2, 2]
    )
    typed = [
        helper.make_tensor("h", TensorProto.FLOAT16, [2], [1, 2]),
        helper.make_tensor("q", TensorProto.INT4, [3], [1, -2, 3]),
        helper.make_tensor("t", TensorProto.STRING, [2], [b"ab", b""]),
        helper.make_tensor("d", TensorProto.DOUBLE, [1], [1.5]),
    ]
    nodes = [
        helper.make_node("Constant", [], ["k"], value_floats=[1.0, 2.0]),
        helper.make_node("Add", ["s", "k"], ["y"]),
        helper.make_node("Identity", ["t"], ["z"]),
    ]
    tensors = model(nodes, [], [port("y"), port("z", None, TensorProto.STRING)], typed, [sparse])
    return {
        name: made.SerializeToString()
        for name, made in (("mlp", mlp()), ("functions", with_functions), ("tensors", tensors))
    }


@pytest.mark.parametrize("name", seeds())
def test_cut_off_anywhere(name: str) -> None:
    seed = seeds()[name]
    lines = survive([seed[:n] for n in range(len(seed) + 1)])
    assert lines[-1] == "ok" and lines[0].startswith("ModelError: not an ONNX model")
    assert sum(line == "ok" for line in lines) < 12  # only at the end, between optional fields


@pytest.mark.parametrize("name", seeds())
def test_each_byte_changed(name: str) -> None:
    seed = seeds()[name]
    assert survive([seed]) == ["ok"]
    changed = []
    for i in range(len(seed)):
        for value in {seed[i] ^ 1, seed[i] ^ 0x80, 0, 0xFF, seed[i] + 1 & 0xFF}:
            changed.append(seed[:i] + bytes([value]) + seed[i + 1 :])
    survive(changed)


@pytest.mark.full
@pytest.mark.parametrize("name", seeds())
def test_bytes_changed_at_random(name: str) -> None:
    draw = random.Random(1)
    changed = []
    for _ in range(20_000):
        data = bytearray(seeds()[name])
        for _ in range(draw.randint(1, 5)):
            at = draw.randrange(len(data))
            match draw.randrange(4):
                case 0:
                    data[at] = draw.randrange(256)
                case 1:
                    del data[at : at + draw.randint(1, 8)]
                case 2:
                    data[at:at] = data[draw.randrange(len(data)) :][: draw.randint(1, 30)]
                case _:
                    data[at] ^= 1 << draw.randrange(8)
            if not data:
                break
        changed.append(bytes(data))
    survive(changed)
