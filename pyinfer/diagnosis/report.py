# SPDX-License-Identifier: Apache-2.0
"""What the doctor says."""

from __future__ import annotations

import textwrap
from typing import Any, NamedTuple

from .._units import count_text

SEVERITIES = ("ok", "note", "slow", "problem")
FEW = 8  # details that are printed; all are in the report


class Finding(NamedTuple):
    """about: "machine" or "model". severity: "ok"; "note", worth knowing; "slow", it costs time;
    "problem", the model does not run. text: what was found, details: where, a line
    each. advice: what to do about it, or ""."""

    about: str
    severity: str
    text: str
    advice: str = ""
    details: tuple[str, ...] = ()


class Report:
    """What :func:`pyinfer.doctor` found; ``print`` it, notebooks show a table.

    findings: in the order in which they were made. facts: the numbers behind them, by "machine" and
    "model". ok: nothing stops the model. model: what was looked at, None for the machine alone."""

    def __init__(self, model: str | None) -> None:
        self.model = model
        self.findings: list[Finding] = []
        self.facts: dict[str, dict[str, Any]] = {"machine": {}}
        if model is not None:
            self.facts["model"] = {}

    def add(
        self, about: str, severity: str, text: str, advice: str = "", details: tuple[str, ...] = ()
    ) -> None:
        self.findings.append(Finding(about, severity, text, advice, details))

    def of(self, *severities: str) -> list[Finding]:
        """The findings of these severities."""
        return [f for f in self.findings if f.severity in severities]

    @property
    def ok(self) -> bool:
        return not self.of("problem")

    def verdict(self) -> str:
        """The findings in one line."""
        problems, slow, notes = (len(self.of(s)) for s in ("problem", "slow", "note"))
        parts = [count_text(problems, "problem")] if problems else []
        parts += [f"{slow} that cost{'s' * (slow == 1)} time"] if slow else []
        parts += [count_text(notes, "note")] if notes else []
        said = ", ".join(parts) or "nothing found"
        if self.model is None:
            return said
        return f"{'it runs' if self.ok else 'it does not run as it is'}: {said}"

    def as_dict(self) -> dict[str, Any]:
        """All of it in plain types, for JSON."""
        findings = [{**f._asdict(), "details": list(f.details)} for f in self.findings]
        return {
            "ok": self.ok,
            "verdict": self.verdict(),
            "model": self.model,
            "findings": findings,
            "facts": self.facts,
        }

    def __str__(self) -> str:
        lines: list[str] = []
        for about in self.facts:
            lines.append(about if about == "machine" else f"model {self.model}")
            for f in self.findings:
                if f.about == about:
                    lines += _lines(f)
            lines.append("")
        return "\n".join([*lines, self.verdict()])

    def __repr__(self) -> str:
        return f"<pyinfer.diagnosis.Report of {self.model or 'this machine'}: {self.verdict()}>"

    def _repr_html_(self) -> str:
        from html import escape

        colours = {"ok": "inherit", "note": "inherit", "slow": "#b06000", "problem": "#b00020"}
        rows = []
        for f in self.findings:
            where = "".join(f"<br><small>{escape(line)}</small>" for line in f.details[:FEW])
            cells = (
                f"<td>{f.about}</td><td style='color:{colours[f.severity]}'>{f.severity}</td>"
                f"<td style='text-align:left'>{escape(f.text)}{where}</td>"
                f"<td style='text-align:left'>{escape(f.advice)}</td>"
            )
            rows.append(f"<tr>{cells}</tr>")
        head = "<tr><th></th><th></th><th>found</th><th>what to do</th></tr>"
        return f"<p>{escape(self.verdict())}</p><table>{head}{''.join(rows)}</table>"


def _lines(f: Finding) -> list[str]:
    """For a terminal: the severity in a column, text and advice behind it, 100 columns wide."""
    wrap = textwrap.TextWrapper(
        100, subsequent_indent=" " * 11, break_long_words=False, break_on_hyphens=False
    )
    lines = wrap.wrap(f"  {f.severity:9}{f.text}")
    wrap.initial_indent, wrap.subsequent_indent = " " * 13, " " * 17
    lines += [line for detail in f.details[:FEW] for line in wrap.wrap(detail)]
    if len(f.details) > FEW:
        lines.append(f"             and {len(f.details) - FEW} more")
    wrap.initial_indent, wrap.subsequent_indent = " " * 11 + "-> ", " " * 14
    return lines + (wrap.wrap(f.advice) if f.advice else [])
