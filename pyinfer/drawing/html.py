# SPDX-License-Identifier: Apache-2.0
"""Tables for notebooks: every text is escaped, nothing is fetched."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from .kinds import COLOURS, kind_of


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
    return f'<table style="text-align:left">{title}<tr>{titles}</tr>{body}</table>'
