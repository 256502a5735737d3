# SPDX-License-Identifier: Apache-2.0
"""A picture: what is on it, or what is written on it."""

from __future__ import annotations

import io
import tkinter as tk
from collections.abc import Sequence
from tkinter import filedialog, ttk
from typing import TYPE_CHECKING, Any

from ...drawing import palette
from .. import reading
from ..network import time_text
from ..pictures import SCALINGS, tensor
from .bars import Bars, shortened
from .tab import Tab

if TYPE_CHECKING:
    from .window import Window

SIDE = 1600  # pixels of a picture that is kept, either way


class Picture(Tab):
    key = "picture"

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self.image: Any = None
        self.lines: Sequence[reading.Line] = ()
        self._reader: reading.Reader | None = None
        self._photo: Any = None
        self.columnconfigure(0, weight=3, uniform="half")
        self.columnconfigure(1, weight=2, uniform="half")
        self.rowconfigure(0, weight=1)
        self.canvas = tk.Canvas(
            self, background=palette.PAPER, highlightthickness=3, takefocus=True,
            highlightbackground=palette.FAINT, highlightcolor=palette.BLUE)  # fmt: skip
        self.canvas.grid(row=0, column=0, sticky="nsew", padx=(0, 20))
        self.canvas.bind("<Configure>", lambda _: self._redraw())
        self.canvas.bind("<Button-1>", lambda _: self.canvas.focus_set())
        self.side = ttk.Frame(self)
        self.side.grid(row=0, column=1, sticky="nsew")
        self.side.columnconfigure(0, weight=1)
        self.side.rowconfigure(1, weight=1)
        self.heading = self.label(self.side, "guesses", "Strong.TLabel")
        self.heading.grid(row=0, sticky="w", pady=(0, 8))
        self.bars = Bars(self.side, 8, "demo.body")
        self.bars.grid(row=1, sticky="nsew")
        self.found = tk.Listbox(
            self.side, font="demo.body", relief="flat", highlightthickness=0, borderwidth=0,
            background=palette.BACK, foreground=palette.BLACK, selectbackground=palette.BLUE,
            selectforeground=palette.PAPER, activestyle="none", exportselection=False)  # fmt: skip
        self.found.bind("<<ListboxSelect>>", lambda _: self._redraw())
        self._controls(ttk.Frame(self.side))
        self._choose()

    def _controls(self, box: ttk.Frame) -> None:
        box.grid(row=2, sticky="ew", pady=(12, 0))
        box.columnconfigure(2, weight=1)
        self.what = tk.StringVar(self, "classify")
        for i, key in enumerate(("classify", "read")):
            radio = ttk.Radiobutton(box, value=key, variable=self.what, command=self._choose)
            radio.grid(row=0, column=i, sticky="w", padx=(0, 16))
            self.window.follow(radio, key)
        self.scaling = tk.StringVar(self)
        row = ttk.Frame(box)
        row.grid(row=1, column=0, columnspan=3, sticky="ew", pady=(10, 0))
        self.label(row, "scaling").pack(side="left", padx=(0, 8))
        choice = ttk.Combobox(row, textvariable=self.scaling, values=list(SCALINGS), width=10,
                              state="readonly", font="demo.body")  # fmt: skip
        choice.pack(side="left")
        choice.bind("<<ComboboxSelected>>", lambda _: self.ask())
        self.sources(ttk.Frame(box))
        self.changed()

    def sources(self, row: ttk.Frame) -> None:
        """Buttons that bring a picture."""
        row.grid(row=2, column=0, columnspan=3, sticky="ew", pady=(10, 0))
        self.button(row, "open_picture", self.ask_picture).pack(side="left", padx=(0, 8))
        self.button(row, "paste", self.paste).pack(side="left")

    # -- pictures come --

    def entered(self) -> None:
        self.canvas.focus_set()
        opened = self.window.session.opened
        if opened.wanted is None and self.what.get() == "classify":
            self.window.tell("no_classifier", name=opened.name)

    def ask_picture(self) -> None:
        """A dialogue for a picture."""
        names = "*.png *.jpg *.jpeg *.bmp *.gif *.webp *.tif *.tiff"
        path = filedialog.askopenfilename(parent=self, filetypes=[(names, names), ("*", "*")])
        if path:
            self.open(path)

    def open(self, source: Any) -> None:
        """A picture from a path or a file object, decoded by the worker."""

        def work() -> Any:
            from PIL import Image, ImageOps

            try:
                image = ImageOps.exif_transpose(Image.open(source)).convert("RGB")
            except Image.DecompressionBombError as error:
                raise ValueError(str(error)) from None
            image.thumbnail((SIDE, SIDE))
            return image

        def done(image: Any, error: Exception | None) -> None:
            self.window.failed(error)
            if image is not None:
                self.show(image)

        self.window.worker.submit("picture file", work, done)

    def paste(self) -> None:
        """The picture in the clipboard, or the file that is named there."""
        for kind in ("image/png", "image/jpeg", "image/bmp"):
            try:  # Tk gives bytes that are no text as numbers
                numbers = str(self.clipboard_get(type=kind)).split()
                self.open(io.BytesIO(bytes(int(n, 16) & 255 for n in numbers)))
                return
            except (tk.TclError, ValueError):
                continue
        try:
            text = self.clipboard_get().strip()
        except tk.TclError:
            text = ""
        if text.startswith(("/", "file://")) and "\n" not in text:
            from urllib.parse import unquote, urlparse

            self.open(unquote(urlparse(text).path) if text.startswith("file") else text)
        else:
            self.window.tell("no_picture")

    def show(self, image: Any, lines: Sequence[reading.Line] = ()) -> None:
        """An RGB picture of PIL, of at most SIDE pixels either way; lines that may be on it."""
        self.image, self.lines = image, lines
        self._redraw()
        self.ask()

    # -- the model's turn --

    def _choose(self) -> None:
        reads = self.what.get() == "read"
        self.window.follow(self.heading, "lines" if reads else "guesses")
        if reads:
            self.bars.grid_remove()
            self.found.grid(row=1, sticky="nsew")
        else:
            self.found.grid_remove()
            self.bars.grid()
        self.lines = ()
        self._redraw()
        self.ask()

    def changed(self) -> None:
        wanted = self.window.session.opened.wanted
        self.scaling.set(wanted.scaling if wanted else "ImageNet")
        self._reader = None
        self.ask()

    def ask(self) -> None:
        """Hands the picture to the worker."""
        if self.image is None:
            return
        opened, image, threads = self.window.session.opened, self.image, self.window.session.threads
        if self.what.get() == "read":
            if not reading.model_paths():
                self.window.tell("no_reader")
                return
            self.window.worker.submit(self.key, lambda: self._read(image, threads), self._was_read)
        elif opened.wanted is None:
            self.bars.clear()
            self.window.tell("no_classifier", name=opened.name)
        else:
            wanted, scaling, rows = opened.wanted, self.scaling.get(), self.bars.rows
            last = self.window.session.last

            def work() -> Any:
                x = last[opened.source] = tensor(image, wanted, scaling)
                return opened.classify(x, rows)

            self.window.worker.submit(self.key, work, lambda r, e: self._classified(opened, r, e))

    def _read(self, image: Any, threads: int) -> Any:
        import time

        if self._reader is None:
            self._reader = reading.Reader(threads)
        start = time.perf_counter()
        return self._reader.read(image), (time.perf_counter() - start) * 1e3

    def _classified(self, opened: Any, result: Any, error: Exception | None) -> None:
        if error:
            self.bars.clear()
            self.window.failed(error)
            return
        guesses, ms = result
        self.bars.show(guesses)
        self.window.ran(ms, opened.model.threads)

    def _was_read(self, result: Any, error: Exception | None) -> None:
        if error:
            self.window.failed(error)
            return
        self.lines, ms = result
        self.found.delete(0, "end")
        for line in self.lines:
            self.found.insert("end", line.text)
        self._redraw()
        if self.lines:
            self.window.tell("ran", time=time_text(ms), threads=self.window.session.threads)
        else:
            self.window.tell("no_text")

    # -- what is seen --

    def spoke(self) -> None:
        self._redraw()
        self.bars.show(self.bars.shown)

    def _redraw(self) -> None:
        c = self.canvas
        c.delete("all")
        width, height = c.winfo_width(), c.winfo_height()
        if self.image is None:
            drops = hasattr(self.window.root, "drop_target_register")
            c.create_text(width / 2, height / 2, text=self.hint(drops), font="demo.large",
                          fill=palette.QUIET, width=width * 0.8, justify="center")  # fmt: skip
            return
        if min(width, height) < 16:
            return
        from PIL import Image, ImageTk

        scale = min((width - 12) / self.image.width, (height - 12) / self.image.height)
        size = [max(1, round(n * scale)) for n in self.image.size]
        left, top = (width - size[0]) / 2, (height - size[1]) / 2
        how = Image.Resampling.NEAREST if scale > 4 else Image.Resampling.BILINEAR
        self._photo = ImageTk.PhotoImage(self.image.resize(size, how), master=self)
        c.create_image(left, top, image=self._photo, anchor="nw")
        picked = self.found.curselection()  # type: ignore[no-untyped-call]
        for i, line in enumerate(self.lines):
            self._box(line, left, top, scale, i in picked)

    def _box(self, line: reading.Line, left: float, top: float, scale: float, picked: bool) -> None:
        x0, y0, x1, y1 = (v * scale + (left, top)[i % 2] for i, v in enumerate(line.box))
        colour = palette.VERMILLION if picked else palette.BLUE
        self.canvas.create_rectangle(x0, y0, x1, y1, outline=colour, width=3)
        font = self.window.style.fonts["demo.small"]
        room = int(self.canvas.winfo_width() - x0 - 8)
        text = shortened(line.text, font, max(room, 40))
        item = self.canvas.create_text(
            x0 + 4, y0 - 1, text=text, font="demo.small", anchor="sw", fill=palette.PAPER
        )
        box = self.canvas.bbox(item)
        if box[1] < 0:
            self.canvas.move(item, 0, y1 - y0 + box[3] - box[1])
            box = self.canvas.bbox(item)
        back = self.canvas.create_rectangle(
            box[0] - 4, box[1], box[2] + 4, box[3], fill=colour, width=0
        )
        self.canvas.tag_lower(back, item)

    def hint(self, drops: bool) -> str:
        """What stands where no picture is."""
        return self.window.say("drop_hint" if drops else "paste_hint")
