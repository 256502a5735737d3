# SPDX-License-Identifier: Apache-2.0
"""The fast inner product of matrices that each run packs, of batches and of transposed matrices, against float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

import pyinfer
from ops.node import forced, model_of

# operator, A, B, is B constant, attributes
CASES: list[tuple[str, tuple[int, ...], tuple[int, ...], bool, dict[str, Any]]] = [
    ("MatMul", (130, 200), (200, 70), False, {}),
    ("MatMul", (70, 2100), (2100, 40), False, {}),  # sums in parts
    ("MatMul", (5, 66, 64), (5, 64, 133), False, {}),
    ("MatMul", (5, 66, 64), (5, 64, 133), True, {}),
    ("MatMul", (2, 3, 20, 30), (3, 30, 50), False, {}),  # a B for three of six products
    ("MatMul", (3, 20, 30), (2, 1, 30, 50), False, {}),
    ("MatMul", (4, 1, 50, 90), (90, 33), False, {}),
    ("Gemm", (80, 96), (50, 96), False, {"transB": 1, "alpha": 0.5}),
    ("Gemm", (96, 83), (96, 50), False, {"transA": 1}),
    ("Gemm", (96, 83), (50, 96), True, {"transA": 1, "transB": 1, "alpha": -2.0}),
]


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("threads", [1, 2])
def test_products(case: tuple[Any, ...], threads: int) -> None:
    op, shape_a, shape_b, constant, attrs = case
    rng = np.random.default_rng(1)
    a, b = (rng.standard_normal(shape).astype(np.float32) for shape in (shape_a, shape_b))
    data = model_of(op, [a, b], constant=(1,) if constant else (), **attrs)
    left = a.astype(np.float64).T if attrs.get("transA") else a.astype(np.float64)
    want = attrs.get("alpha", 1) * (left @ (b.T if attrs.get("transB") else b))
    feeds = (a,) if constant else (a, b)
    with forced("fip"):
        m = pyinfer.load(data, threads=threads)
        for scale in (1, -3):  # another A: nothing is left of the last
            got = m(np.float32(scale) * a, *feeds[1:])
            assert np.abs(got - scale * want).max() <= 3e-6 * np.abs(scale * want).max()
        assert m.steps(feeds, 0)[0][0][-1]["impl"] == "fip"
        assert pyinfer.load(data, exact=True).steps(feeds, 0)[0][0][-1]["impl"] != "fip"


@pytest.mark.parametrize("threads", [1, 2])
def test_permuted(threads: int) -> None:
    """Heads lie between tokens: rows of A and of Y are far apart; an epilogue of each product."""
    rng = np.random.default_rng(2)
    shapes = {"q": (2, 70, 3, 40), "k": (2, 90, 3, 40), "v": (2, 90, 3, 33), "z": (2, 3, 70, 90)}
    feeds = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    nodes = [
        helper.make_node("Transpose", ["q"], ["qt"], perm=(0, 2, 1, 3)),
        helper.make_node("Transpose", ["k"], ["kt"], perm=(0, 2, 3, 1)),
        helper.make_node("Transpose", ["v"], ["vt"], perm=(0, 2, 1, 3)),
        helper.make_node("MatMul", ["qt", "kt"], ["s"]),
        helper.make_node("Add", ["s", "z"], ["t"]),
        helper.make_node("Relu", ["t"], ["u"]),
        helper.make_node("MatMul", ["u", "vt"], ["w"]),
        helper.make_node("Transpose", ["w"], ["y"], perm=(0, 2, 1, 3)),
    ]
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    graph = helper.make_graph(nodes, "g", inputs, [helper.make_tensor_value_info("y", TensorProto.FLOAT, (2, 70, 3, 33))])
    data = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9).SerializeToString()
    q, k, v, z = (x.astype(np.float64) for x in feeds.values())
    want = np.einsum("bhst,bthd->bshd", np.maximum(np.einsum("bshd,bthd->bhst", q, k) + z, 0), v)
    with forced("fip"):
        m = pyinfer.load(data, threads=threads)
        (got,) = m.run(feeds).values()
        assert np.abs(got - want).max() <= 3e-6 * np.abs(want).max()
        steps = m.steps(tuple(feeds.values()), 0)[0][0]
        assert [s["impl"] for s in steps if s["op"] == "MatMul"] == ["fip", "fip"]


def test_where_it_is_taken() -> None:
    """Not where packing takes longer than what is saved."""
    for a, b in (((20, 512), (512, 512)), ((4, 40, 64), (4, 64, 64))):
        feeds = (np.ones(a, np.float32), np.ones(b, np.float32))
        m = pyinfer.load(model_of("MatMul", feeds))
        assert m.steps(feeds, 0)[0][0][0]["impl"] != "fip"


@pytest.mark.parametrize("odd", [np.inf, np.nan, 1e30, -3e38])
@pytest.mark.parametrize("constant", [False, True], ids=["given", "constant"])
def test_one_odd_number_of_b_stays_in_its_column(odd: float, constant: bool) -> None:
    rng = np.random.default_rng(2)
    a, b = (rng.standard_normal(shape).astype(np.float32) for shape in ((40, 90), (90, 70)))
    b[31, 17] = odd
    with forced("fip"):
        got = pyinfer.load(model_of("MatMul", [a, b], constant=(1,) if constant else ()))(*((a,) if constant else (a, b)))
    with np.errstate(invalid="ignore", over="ignore"):
        want = a.astype(np.float64) @ b
        error = np.abs(got - want)
    others = np.delete(np.arange(70), 17)
    assert error[:, others].max() <= 3e-6 * np.abs(want[:, others]).max()
    if odd == 1e30:
        assert error[:, 17].max() <= 3e-6 * np.abs(want[:, 17]).max()
    elif not np.isfinite(odd):
        assert not np.isfinite(got[:, 17]).any()
