# SPDX-License-Identifier: Apache-2.0
"""What a model's memory is made of: places that do not overlap, sums that add up, pictures of them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

import pyinfer
from pyinfer import example
from pyinfer.memory import MemoryPlan
from support import tiny

X = example.pictures()[0]
SHAPE = (6, 1, 8, 8)


def branches() -> pyinfer.Model:
    """Eight branches of one input that end in one sum: values that live long, and of other sizes."""
    rng = np.random.default_rng(0)
    weights = {f"w{i}": rng.standard_normal((64, 16 * (i + 1))).astype(np.float32) for i in range(8)}
    back = {f"v{i}": rng.standard_normal((16 * (i + 1), 64)).astype(np.float32) for i in range(8)}
    nodes = []
    for i in range(8):
        nodes.append(helper.make_node("MatMul", ["x", f"w{i}"], [f"a{i}"], f"up<{i}>"))
        nodes.append(helper.make_node("MatMul", [f"a{i}", f"v{i}"], [f"b{i}"], f"down<{i}>"))
    nodes.append(helper.make_node("Max", [f"b{i}" for i in range(8)], ["y"], "<b>"))
    ports = ("x", np.float32, ["n", 64]), ("y", np.float32, ["n", 64])
    return pyinfer.load(tiny.model(nodes, ports[:1], ports[1:], weights | back), threads=1)


@pytest.fixture(scope="module")
def plans() -> list[MemoryPlan]:
    model, digits = branches(), pyinfer.load(example.model_path(), threads=1)
    return [model.memory((32, 64)), model.memory((1, 64)), digits.memory(X), digits.memory()]


def test_places_do_not_overlap(plans: list[MemoryPlan]) -> None:
    for plan in plans:
        inside = [p for p in plan.places if p.kind == "arena"]
        assert inside
        for i, p in enumerate(inside):
            assert 0 <= p.first <= p.last <= len(plan.steps) and p.offset + p.bytes <= plan.arena
            for q in inside[:i]:
                apart = p.offset + p.bytes <= q.offset or q.offset + q.bytes <= p.offset
                assert apart or p.last < q.first or q.last < p.first, (p, q)
            for k, (offset, size) in enumerate(plan.step_scratch):
                assert offset + size <= plan.arena
                apart = p.offset + p.bytes <= offset or offset + size <= p.offset
                assert apart or not size or k < p.first or p.last < k, (p, k)


def test_sums(plans: list[MemoryPlan]) -> None:
    for plan in plans:
        assert plan.scratch == max(size for _, size in plan.step_scratch)
        assert max(plan.values, plan.scratch) <= plan.lower_bound <= plan.values + plan.scratch
        assert plan.total == plan.weights + plan.packed + plan.arena
        assert 0 < plan.lower_bound == max(plan.alive) <= plan.arena
        largest = max(p.bytes for p in plan.places if p.kind == "arena")
        assert largest <= plan.lower_bound and plan.largest(1)[0].bytes == largest
    many, one = plans[:2]
    assert many.inputs == 32 * 64 * 4 == many.outputs and one.inputs == 64 * 4
    kept = [p for p in many.places if p.kind == "arena" and p.names[0].startswith("b")]
    assert {p.bytes for p in kept} == {32 * 64 * 4} and max(p.last for p in kept) == 16
    assert many.lower_bound >= 8 * 32 * 64 * 4, "eight results wait for the last step"


def test_it_is_planned_not_run() -> None:
    """Shapes, arrays, a dictionary and nothing are the same; what the model holds now stays beside it."""
    m = pyinfer.load(example.model_path(), threads=1)
    before = m.memory
    plan = m.memory(SHAPE)
    assert before.used < m.memory.used <= m.memory.peak and f"used={before.used}" in repr(before)
    assert str(m.memory(X)) == str(plan) == str(m.memory({"x": SHAPE})) == str(m.memory({"x": X}))
    assert (plan.arena, plan.packed) == m.steps((X,), 0)[1:]
    assert m.memory().outputs == 40 and plan.outputs == 240
    for wrong in ((6, 1, 8), (6, 2, 8, 8), {"y": SHAPE}, {}):
        with pytest.raises(pyinfer.InputError):
            m.memory(wrong)
    with pytest.raises(pyinfer.InputError):
        m.memory(SHAPE, SHAPE)


def test_it_is_shown(plans: list[MemoryPlan]) -> None:
    plan = plans[0]
    text = str(plan)
    assert "lower bound" in text and "b7" in plan.table(None) and f"at least {plan.lower_bound}" in repr(plan)
    assert len(plan.table(None).splitlines()) - len(plan.table(1).splitlines()) == len(plan.largest(None)) - 1
    html = plan._repr_html_()
    assert html.count("<table") == 2 == html.count("</table>") and "b5" in html


def test_plot(plans: list[MemoryPlan], tmp_path: Path) -> None:
    """A rectangle for each value, where and as long as it is kept; lines for the arena and the lower bound."""
    from matplotlib.patches import Rectangle

    for i, plan in enumerate(plans):
        chart = plan.plot(tmp_path / f"{i}.png")
        assert (tmp_path / f"{i}.png").stat().st_size > 10_000
        upper, lower = chart.axes
        unit = 1e6 if plan.arena >= 1e6 else 1e3
        drawn = [(p.get_x(), p.get_y(), p.get_width(), p.get_height()) for p in upper.patches if isinstance(p, Rectangle)]
        for place in (p for p in plan.places if p.kind == "arena"):
            want = (place.first - 0.5, place.offset / unit, place.last - place.first + 1, place.bytes / unit)
            assert any(np.allclose(want, d) for d in drawn), place
        heights = sorted(line.get_ydata()[0] for line in upper.lines)
        np.testing.assert_allclose(heights, sorted([plan.lower_bound / unit, plan.arena / unit]))
        np.testing.assert_allclose([bar.get_height() for bar in lower.patches], np.array(plan.alive) / unit)


def test_without_matplotlib(plans: list[MemoryPlan], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"matplotlib.*pip install"):
        plans[0].plot()


def test_dynamic() -> None:
    """What is made while running has no bytes before it, and is no part of the arena."""
    nodes = [helper.make_node("NonZero", ["x"], ["z"]), helper.make_node("Cast", ["z"], ["y"], to=1)]
    m = pyinfer.load(tiny.model(nodes, [("x", np.float32, [9])], [("y", np.float32, [1, "n"])]), threads=1)
    heap = [p for p in m.memory().places if p.kind == "heap"]
    assert [p.names for p in heap] == [("z",), ("y",)] and not any(p.bytes for p in heap)
    assert m.memory().lower_bound <= m.memory().arena
