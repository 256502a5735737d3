# SPDX-License-Identifier: Apache-2.0
"""What the tabs have in common."""

from __future__ import annotations

from tkinter import ttk
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .window import Window


class Tab(ttk.Frame):
    """A page of the window. `key`: its title in texts.py."""

    key = ""

    def __init__(self, window: Window) -> None:
        super().__init__(window.notebook, padding=16)
        self.window = window

    def label(self, parent: Any, key: str, style: str = "TLabel") -> ttk.Label:
        """A label that follows the language."""
        made = ttk.Label(parent, style=style)
        self.window.follow(made, key)
        return made

    def button(self, parent: Any, key: str, command: Any) -> ttk.Button:
        """A button that follows the language; Return and Space press it."""
        made = ttk.Button(parent, command=command)
        made.bind("<Return>", lambda _: made.invoke())
        self.window.follow(made, key)
        return made

    def entered(self) -> None:
        """The tab came to the front."""

    def changed(self) -> None:
        """Another model, or another number of threads."""

    def spoke(self) -> None:
        """Another language or size of type."""

    def leave(self) -> None:
        """The window closes."""
