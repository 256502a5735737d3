# SPDX-License-Identifier: Apache-2.0
"""Charts of profiles and memory, with matplotlib."""

from __future__ import annotations

import functools
import io
import os
from typing import TYPE_CHECKING, Any

from .._units import bytes_text, time_text
from .kinds import COLOURS, ink, kind_of
from .svg import short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..memory import MemoryPlan
    from ..profile import Profile

MOST_BARS = 18
NUMBERED = 8  # points of the roofline
GREY = "#777777"
PAPER = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}  # behind a text


def figure(width: float, height: float) -> Figure:
    """A figure that pyplot does not keep: notebooks show it once, savefig writes it."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "plot() needs matplotlib, which is not installed: pip install matplotlib, or "
            '"pyinfer[plot]"'
        ) from error
    chart: Any = Figure(figsize=(width, height), layout="constrained")
    chart._repr_png_ = functools.partial(_png, chart)  # of notebooks that have not used pyplot yet
    made: Figure = chart
    return made


def _png(chart: Figure) -> bytes:
    file = io.BytesIO()
    chart.savefig(file, format="png")
    return file.getvalue()


def _finish(chart: Figure, path: str | os.PathLike[str] | None) -> Figure:
    if path is not None:
        chart.savefig(path, dpi=150)
    return chart


def _plain(axes: Axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _literal(text: str) -> str:
    """Not to be read as mathematics."""
    return text.replace("$", r"\$")


def _legend(axes: Axes, kinds: set[str], *more: Any, **how: Any) -> None:
    from matplotlib.patches import Patch

    shown = [Patch(color=c, label=kind) for kind, c in COLOURS.items() if kind in kinds]
    axes.legend(handles=[*shown, *more], frameon=False, fontsize=8, **how)


def profile_chart(profile: Profile, path: str | os.PathLike[str] | None) -> Figure:
    """Operators and steps by time, and the roofline."""
    steps = sorted(profile.steps, key=lambda s: -s.ms)
    groups = profile.by_operator()
    bars, rows = min(len(steps), MOST_BARS), min(len(groups), 8)
    chart = figure(13, max(6.0, 2.4 + 0.25 * (bars + rows)))
    halves: Any = chart.subfigures(1, 2, width_ratios=(1.15, 1))
    left, right = halves
    upper, lower = left.subplots(2, 1, height_ratios=(rows + 1, bars + 1))
    total = profile.ms or 1.0

    shown = [(g.op, g.ms, f"{g.number} steps" if g.number > 1 else "1 step", g.op) for g in groups]
    _bars(upper, shown[:rows], total, f"By operator: {time_text(profile.ms)} in all")
    shown = [(f"{s.name or s.op}  {i}", s.ms, s.impl, s.op) for i, s in enumerate(steps[:bars], 1)]
    rest = f", the slowest {bars} of {len(steps)}" if len(steps) > bars else ""
    _bars(lower, shown, total, f"By step{rest}")
    lower.set_xlabel("milliseconds")
    _roofline(right.subplots(), profile)
    _legend(lower, {kind_of(s.op) for s in profile.steps}, loc="lower right")
    return _finish(chart, path)


def _bars(axes: Axes, rows: list[tuple[str, float, str, str]], total: float, title: str) -> None:
    """rows: (name, ms, note, operator)."""
    _plain(axes)
    axes.set_title(title, loc="left", fontsize=11)
    colours = [COLOURS[kind_of(op)] for *_, op in rows]
    axes.barh(range(len(rows)), [ms for _, ms, _, _ in rows], color=colours)
    names = [_literal(short(name, 190, 9)) for name, *_ in rows]
    axes.set_yticks(range(len(rows)), names, fontsize=8)
    axes.invert_yaxis()
    axes.margins(y=0.01)
    most = max((ms for _, ms, _, _ in rows), default=0.0) or 1.0
    axes.set_xlim(0, most * 1.3)
    axes.tick_params(axis="y", length=0)
    for i, (_, ms, note, _) in enumerate(rows):
        text = f" {100 * ms / total:.1f} %, {note}"
        axes.text(ms, i, text, va="center", fontsize=7.5, color="#333333")


def _roofline(axes: Axes, profile: Profile) -> None:
    """GFLOP/s over operations a byte, beneath what the machine can do."""
    _plain(axes)
    known = [s for s in profile.steps if s.flops and s.bytes]
    peak, memory = profile.peak_gflops, profile.peak_gbytes
    axes.set_title("Roofline: what limits each step", loc="left", fontsize=11)
    axes.set_xlabel("operations for each byte that is moved at least once")
    axes.set_ylabel("GFLOP/s")
    intensity = [s.flops / s.bytes for s in known]
    ridge = peak / memory if memory else 1.0
    low = min([*intensity, ridge / 8]) / 2
    high = max([*intensity, ridge]) * 4
    least = min([s.gflops for s in known] + [peak / 30]) / 3
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.xaxis.set_minor_formatter("")
    axes.yaxis.set_minor_formatter("")
    axes.set_xlim(low, high)
    axes.set_ylim(least, max([s.gflops for s in known] + [peak]) * 2.5)
    threads = f"{profile.threads} thread" + "s" * (profile.threads != 1)
    if memory:
        axes.plot([low, ridge], [low * memory, peak], color="black", linewidth=1.5)
        axes.axvline(ridge, color=GREY, linewidth=0.8, linestyle=":")
        axes.annotate(
            f"memory: {memory:.1f} GB/s", (ridge / 2, peak / 2), (-8, 4), fontsize=8,
            textcoords="offset points", ha="right", bbox=PAPER)  # fmt: skip
        axes.axhline(peak, color=GREY, linewidth=0.8, linestyle=":")
    axes.plot([ridge, high], [peak, peak], color="black", linewidth=1.5)
    axes.annotate(  # on the left, where hardly a step is
        f"multiply-adds: {peak:.0f} GFLOP/s on {threads}", (low, peak), (6, 6),
        textcoords="offset points", fontsize=8, bbox=PAPER)  # fmt: skip
    total = profile.ms or 1.0
    axes.scatter(
        intensity,
        [s.gflops for s in known],
        s=[35 + 1200 * s.ms / total for s in known],
        c=[COLOURS[kind_of(s.op)] for s in known],
        alpha=0.75,
        edgecolors="black",
        linewidths=0.5,
    )
    numbered = sorted(profile.steps, key=lambda s: -s.ms)[:NUMBERED]
    for i, step in enumerate(numbered, 1):
        if step.flops and step.bytes:
            axes.annotate(
                str(i), (step.flops / step.bytes, step.gflops), ha="center", va="center",
                fontsize=7, color=ink(COLOURS[kind_of(step.op)]))  # fmt: skip
    axes.text(
        0.99, 0.01, "area of a point: its time; numbers as on the left", ha="right",
        transform=axes.transAxes, fontsize=8, color=GREY)  # fmt: skip
    if any(s.gflops > peak for s in known):
        axes.text(
            0.99, 0.045, "above the roof: fewer operations than direct sums, or of bytes",
            ha="right", transform=axes.transAxes, fontsize=8, color=GREY)  # fmt: skip


def memory_chart(plan: MemoryPlan, path: str | os.PathLike[str] | None) -> Figure:
    """The arena over the steps of a run."""
    chart = figure(13, 7.5)
    from matplotlib.patches import Patch, Rectangle

    upper, lower = chart.subplots(2, 1, height_ratios=(4, 1), sharex=True)
    unit, name = next(
        (u, n) for u, n in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1, "bytes")) if
        plan.arena >= u or u == 1
    )  # fmt: skip
    count = len(plan.steps)
    inside = [p for p in plan.places if p.kind == "arena"]
    for place in inside:
        colour = COLOURS[kind_of(place.op)]
        wide, tall = place.last - place.first + 1, place.bytes
        at = (place.first - 0.5, place.offset / unit)
        upper.add_patch(
            Rectangle(at, wide, tall / unit, facecolor=colour, edgecolor="white", linewidth=0.6)
        )
        across, along = 870 * wide / max(count + 1, 1), 350 * tall / max(plan.arena, 1)
        turned = across < 40 and along > across
        if min(across, along) > 10 and max(across, along) > 30:
            text = _literal(short(place.label, along if turned else across, 8))
            upper.text(
                at[0] + wide / 2, at[1] + tall / unit / 2, text, ha="center", va="center",
                fontsize=7.5, color=ink(colour), clip_on=True, rotation=90 * turned)  # fmt: skip
    for k, (offset, size) in enumerate(plan.step_scratch):
        if size:
            upper.add_patch(
                Rectangle((k - 0.5, offset / unit), 1, size / unit, facecolor="#CCCCCC",
                          edgecolor="white", linewidth=0.4, hatch="////"))  # fmt: skip
    after = any(p.last == count for p in inside)  # read when the run is over
    upper.set_xlim(-0.5, max(count + after, 1) - 0.5)
    upper.set_ylim(0, plan.arena / unit * 1.12 or 1)
    upper.axhline(plan.arena / unit, color="black", linewidth=1.2)
    upper.axhline(plan.lower_bound / unit, color="black", linewidth=1.2, linestyle="--")
    above = plan.arena / plan.lower_bound - 1 if plan.lower_bound else 0
    upper.text(
        0.995, plan.arena / unit, f"arena {bytes_text(plan.arena)} ({100 * above:.1f} % above the "
        f"lower bound, {bytes_text(plan.lower_bound)}, dashed)", ha="right", va="bottom",
        fontsize=8.5, transform=upper.get_yaxis_transform())  # fmt: skip
    upper.set_title(
        "Where each value lies in the arena, and how long it is kept", loc="left", fontsize=11
    )
    upper.set_ylabel(f"offset, {name}")
    kinds = {kind_of(p.op) for p in inside}
    own = Patch(facecolor="#CCCCCC", edgecolor="white", hatch="////", label="scratch of a step")
    _legend(upper, kinds, own, loc="upper left", ncols=5)
    lower.bar(range(count + 1), [a / unit for a in plan.alive], width=1.0, color="#B0B0B0")
    lower.axhline(plan.lower_bound / unit, color="black", linewidth=1.2, linestyle="--")
    lower.set_ylabel(f"needed, {name}")
    lower.set_xlabel("steps of the run")
    lower.xaxis.get_major_locator().set_params(integer=True)
    for axes in (upper, lower):
        _plain(axes)
    return _finish(chart, path)
