# SPDX-License-Identifier: Apache-2.0
"""Tables for notebooks: every text is escaped, nothing is fetched."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from .kinds import COLOURS, kind_of

TABLE = '<table style="text-align:left;white-space:nowrap">'


class Raw(str):
    """HTML that is made already."""


def bar(share: float, op: str) -> Raw:
    """A bar of so much of the cell (0 to 1), in the colour of the operator's kind."""
    width = min(max(100 * share, 0), 100)
    return Raw(
        '<div style="width:8em;background:#eeeeee"><div style="height:0.9em;'
        f'width:{width:.1f}%;background:{COLOURS[kind_of(op)]}"></div></div>'
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "") -> str:
    """A table; texts are escaped unless they are Raw. Its rows stand on the left."""
    titles = "".join(f"<th>{escape(h)}</th>" for h in head)
    body = "".join(
        f"<tr>{''.join(f'<td>{c if isinstance(c, Raw) else escape(c)}</td>' for c in row)}</tr>"
        for row in rows
    )
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f'<div style="overflow-x:auto">{TABLE}{title}<tr>{titles}</tr>{body}</table></div>'


def page(title: str, body: str) -> str:
    """A whole file around a body of HTML."""
    style = "body{font-family:Helvetica,Arial,sans-serif;font-size:13px}td,th{padding:2px 8px}"
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}'
        f"</title><style>{style}</style></head><body>\n{body}\n</body></html>\n"
    )
