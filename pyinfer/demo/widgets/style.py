# SPDX-License-Identifier: Apache-2.0
"""Fonts and the theme: large type, dark on light."""

from __future__ import annotations

import tkinter as tk
from tkinter import font as tkfont
from tkinter import ttk

from ...drawing import palette

FAMILIES = ("Noto Sans", "Open Sans", "Ubuntu", "DejaVu Sans", "Liberation Sans")
SIZES = {"demo.body": 19, "demo.strong": 20, "demo.large": 30, "demo.small": 16}  # pixels
WIDTH = 1120  # of a screen that has room for them


class Style:
    """Names of fonts that all widgets share: a change of size changes them all."""

    def __init__(self, root: tk.Tk) -> None:
        self.root = root
        self.factor = 1.0
        try:
            import sv_ttk

            sv_ttk.set_theme("light", root)
        except (ImportError, tk.TclError):
            plain = ttk.Style(root)
            plain.theme_use("clam")
            plain.configure(".", background=palette.BACK)
            plain.configure("TButton", width=0, padding=(12, 5))
            plain.configure("TNotebook.Tab", padding=(14, 5))
            root.configure(background=palette.BACK)
        known = set(tkfont.families(root))
        self.family = next(
            (f for f in FAMILIES if f in known), tkfont.nametofont("TkDefaultFont").actual("family")
        )
        self.fonts = {
            name: tkfont.Font(root, family=self.family, name=name, size=-size,
                              weight="bold" if name in ("demo.strong", "demo.large") else "normal")
            for name, size in SIZES.items()
        }  # fmt: skip
        self.set_size(min(1.0, root.winfo_screenwidth() / WIDTH))

    def set_size(self, factor: float) -> None:
        """1 is the usual size."""
        self.factor = min(max(factor, 0.6), 2.5)
        body = -round(SIZES["demo.body"] * self.factor)
        for name, font in self.fonts.items():
            font.configure(size=-round(SIZES[name] * self.factor))
        for name in tkfont.names(self.root):
            if name.startswith(("SunValley", "Tk")):
                tkfont.nametofont(name, self.root).configure(family=self.family, size=body)
        style = ttk.Style(self.root)
        style.configure(".", font="demo.body")
        for kind in (
            "TLabel",
            "TButton",
            "TCheckbutton",
            "TRadiobutton",
            "TNotebook.Tab",
            "Toggle.TButton",
        ):
            style.configure(kind, font="demo.body")
        style.configure("Strong.TLabel", font="demo.strong")
        style.configure("Quiet.TLabel", font="demo.small", foreground=palette.QUIET)
        style.configure("Large.TLabel", font="demo.large")
        style.configure("Treeview", font="demo.body", rowheight=-round(body * 1.9))
        style.configure("Treeview.Heading", font="demo.body")
        self.root.option_add("*TCombobox*Listbox.font", "demo.body")
