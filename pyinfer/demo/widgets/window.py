# SPDX-License-Identifier: Apache-2.0
"""The window: tabs, controls above them, one line of news below."""

from __future__ import annotations

import os
import tkinter as tk
from collections import deque
from collections.abc import Callable
from pathlib import Path
from tkinter import filedialog, ttk
from typing import Any

from ...drawing import palette
from .. import camera, classify, texts
from ..network import time_text
from ..session import Session
from ..worker import Worker
from .compare import Compare
from .draw import Draw
from .inside import Inside
from .live import Live
from .picture import Picture
from .style import Style
from .tab import Tab

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")


def make_root() -> tk.Tk:
    """Tk's root, able to take dropped files where tkinterdnd2 is installed."""
    try:
        import tkinterdnd2

        root = tkinterdnd2.TkinterDnD.Tk(className="pyinfer")
        assert isinstance(root, tk.Tk)
        return root
    except (ImportError, RuntimeError, OSError):
        return tk.Tk(className="pyinfer")


class Window:
    """Made of a session; `run` shows it until it is closed."""

    def __init__(self, session: Session, language: str = "en", module: Any = None) -> None:
        self.session = session
        self.language = language
        self.module = module
        self.root = make_root()
        room = self.root.winfo_screenwidth(), self.root.winfo_screenheight()
        self.root.geometry(f"{min(1280, room[0])}x{min(800, room[1])}")
        self.style = Style(self.root)
        self._texts: dict[Any, str] = {}
        self._times: deque[float] = deque(maxlen=15)
        self._news: tuple[str, dict[str, object]] = ("ready", {})
        self._source: Any = None if session.opened is session.digits else session.opened.model
        self._labels: Any = session.opened.labels
        self.worker = Worker(self._wake)
        self._pipe = os.pipe()
        for end in self._pipe:
            os.set_blocking(end, False)
        self.root.tk.createfilehandler(self._pipe[0], tk.READABLE, self._woken)
        self._header()
        self.news = ttk.Label(self.root, style="Quiet.TLabel", padding=(16, 6))
        self.news.pack(side="bottom", fill="x")
        self.notebook = ttk.Notebook(self.root, padding=(8, 0))
        self.notebook.pack(fill="both", expand=True)
        self.tabs = [make(self) for make in self._kinds()]
        for tab in self.tabs:
            self.notebook.add(tab)
        (self.picture,) = (tab for tab in self.tabs if type(tab) is Picture)
        self.notebook.bind("<<NotebookTabChanged>>", lambda _: self._entered())
        self._keys()
        self._accept_drops()
        self.root.protocol("WM_DELETE_WINDOW", self.close)
        self.speak(language)
        self.tell("ready", name=session.opened.name, threads=session.threads)

    def _kinds(self) -> list[type[Tab]]:
        live: list[type[Tab]] = [Live] if camera.present() else []
        return [Draw, Picture, *live, Inside, Compare]

    @property
    def tab(self) -> Tab:
        """The tab in front."""
        return self.tabs[self.notebook.index("current")]  # type: ignore[no-untyped-call]

    def front(self, tab: Tab) -> None:
        """Brings a tab to the front."""
        self.notebook.select(tab)  # type: ignore[no-untyped-call]

    def _entered(self) -> None:
        self.tell("ready", name=self.session.opened.name, threads=self.session.threads)
        self.tab.entered()

    def tab_of(self, key: str) -> Tab | None:
        """The tab of this kind, if the window has it."""
        return next((tab for tab in self.tabs if tab.key == key), None)

    def run(self) -> None:
        """Shows the window until it is closed."""
        self.root.mainloop()

    def close(self) -> None:
        """Ends all that the window started."""
        for tab in self.tabs:
            tab.leave()
        self.worker.close()
        self.root.tk.deletefilehandler(self._pipe[0])
        self.worker.wake = lambda: None
        self.root.destroy()
        for end in self._pipe:
            os.close(end)

    # -- the worker's results come through a pipe: Tk sleeps until there is one --

    def _wake(self) -> None:
        try:
            os.write(self._pipe[1], b"x")
        except OSError:  # full: Tk will read it anyway; closed: nobody waits
            pass

    def _woken(self, *_: Any) -> None:
        try:
            os.read(self._pipe[0], 4096)
        except BlockingIOError:
            pass
        self.worker.deliver()

    # -- controls --

    def _header(self) -> None:
        self.bar = bar = ttk.Frame(self.root, padding=(16, 12, 16, 8))
        bar.pack(side="top", fill="x")
        for key, command in (
            ("open_model", self.ask_model),
            ("open_labels", self.ask_labels),
            ("save", self.ask_save),
        ):
            button = ttk.Button(bar, command=command)
            button.bind("<Return>", lambda _, b=button: b.invoke())  # type: ignore[misc]
            button.pack(side="left", padx=(0, 8))
            self.follow(button, key)
        self.chosen = tk.StringVar(self.root, texts.LANGUAGES[self.language])
        names = list(texts.LANGUAGES.values())
        speech = ttk.Combobox(
            bar, textvariable=self.chosen, values=names, width=8, state="readonly", font="demo.body"
        )
        speech.pack(side="right")
        codes = {name: code for code, name in texts.LANGUAGES.items()}
        speech.bind("<<ComboboxSelected>>", lambda _: self.speak(codes[self.chosen.get()]))
        self.count = tk.IntVar(self.root, self.session.threads)
        most = max(len(os.sched_getaffinity(0)), self.session.threads)
        threads = ttk.Spinbox(bar, from_=1, to=most, width=3, textvariable=self.count)
        threads.configure(font="demo.body", command=self._threads)
        threads.bind("<Return>", lambda _: self._threads())
        threads.pack(side="right", padx=(8, 16))
        label = ttk.Label(bar)
        label.pack(side="right")
        self.follow(label, "threads")
        self.exact = tk.BooleanVar(self.root, self.session.exact)
        exact = ttk.Checkbutton(bar, variable=self.exact, command=self._set_exact)
        exact.pack(side="right", padx=(0, 16))
        self.follow(exact, "exact")
        keys = ttk.Button(bar, command=self.help)
        keys.pack(side="right", padx=(0, 16))
        self.follow(keys, "help")

    def _keys(self) -> None:
        bind = self.root.bind_all
        bind("<Control-o>", lambda _: self.ask_model())
        bind("<Control-l>", lambda _: self.ask_labels())
        bind("<Control-s>", lambda _: self.ask_save())
        bind("<Control-p>", lambda _: self._pictures(self.picture.ask_picture))
        bind("<Control-v>", lambda _: self._pictures(self.picture.paste))
        bind("<F1>", lambda _: self.help())
        for sign in ("plus", "equal", "KP_Add"):
            bind(f"<Control-{sign}>", lambda _: self.resize(1.1))
        for sign in ("minus", "KP_Subtract"):
            bind(f"<Control-{sign}>", lambda _: self.resize(1 / 1.1))
        for i, tab in enumerate(self.tabs):
            bind(f"<Control-Key-{i + 1}>", lambda _, tab=tab: self.front(tab))  # type: ignore[misc]

    def _pictures(self, get: Callable[[], None]) -> None:
        self.front(self.picture)
        get()

    def _accept_drops(self) -> None:
        root: Any = self.root
        if hasattr(root, "drop_target_register"):
            root.drop_target_register("DND_Files")
            root.dnd_bind("<<Drop>>", lambda event: self._dropped(event.data))

    def _dropped(self, paths: str) -> None:
        for path in self.root.tk.splitlist(paths):
            self.take(path)

    def take(self, path: str) -> None:
        """A file from anywhere: a model, labels, or a picture."""
        ending = Path(path).suffix.lower()
        if ending in (".txt", ".json", ".names"):
            self.open_labels(path)
        elif ending in PICTURES:
            self.front(self.picture)
            self.picture.open(path)
        else:
            self.open_model(path)

    def help(self) -> None:
        """The keys."""
        box = tk.Toplevel(self.root, padx=24, pady=20, background=palette.BACK)
        box.title(self.say("help"))
        box.transient(self.root)
        for i, line in enumerate(self.say("keys").splitlines()):
            keys, _, meaning = line.partition("\t")
            style = "Strong.TLabel" if not meaning else "TLabel"
            ttk.Label(box, text=keys, style=style).grid(row=i, column=0, sticky="w", pady=2)
            ttk.Label(box, text=meaning).grid(row=i, column=1, sticky="w", padx=(28, 0))
        done = ttk.Button(box, text=self.say("close"), command=box.destroy)
        done.grid(row=99, column=1, sticky="e", pady=(16, 0))
        done.focus_set()
        for key in ("<Escape>", "<Return>"):
            box.bind(key, lambda _: box.destroy())
        at = self.root.winfo_rootx() + 160, self.root.winfo_rooty() + 80
        box.geometry(f"+{at[0]}+{at[1]}")

    def resize(self, by: float) -> None:
        """Larger or smaller type."""
        self.style.set_size(self.style.factor * by)
        for tab in self.tabs:
            tab.spoke()
        self._least()

    def _least(self) -> None:
        """The controls stay in sight, if the screen has room for them."""
        self.root.update_idletasks()
        wide = max(self.bar.winfo_reqwidth(), round(1060 * self.style.factor))
        self.root.minsize(min(wide, self.root.winfo_screenwidth()), 560)

    # -- language and news --

    def say(self, key: str, **values: object) -> str:
        """A text in the chosen language."""
        return texts.say(key, self.language, **values)

    def follow(self, widget: Any, key: str) -> None:
        """The widget's text changes with the language."""
        self._texts[widget] = key
        widget.configure(text=self.say(key))

    def speak(self, language: str) -> None:
        """Another language, at once."""
        self.language = language
        self.chosen.set(texts.LANGUAGES[language])
        self.root.title(self.say("title"))
        for widget, key in self._texts.items():
            widget.configure(text=self.say(key))
        for tab in self.tabs:
            self.notebook.tab(tab, text=self.say(tab.key))  # type: ignore[no-untyped-call]
            tab.spoke()
        self._least()
        self.tell(self._news[0], **self._news[1])

    def tell(self, key: str, **values: object) -> None:
        """News, in the line below."""
        self._news = (key, values)
        if values or "{" not in texts.TEXTS[key][0]:
            self.news.configure(text=self.say(key, **values))

    def ran(self, ms: float, threads: int) -> None:
        """The time of a run; the median of the latest is shown."""
        self._times.append(ms)
        times = sorted(self._times)
        self.tell("ran", time=time_text(times[len(times) // 2]), threads=threads)

    def failed(self, error: Exception | None) -> None:
        """An error is news."""
        if error:
            self.news.configure(text=f"{type(error).__name__}: {error}")

    # -- files --

    def ask_model(self) -> None:
        """A dialogue for a model."""
        kinds = [("ONNX", "*.onnx"), ("*", "*")]
        path = filedialog.askopenfilename(parent=self.root, filetypes=kinds)
        if path:
            self.open_model(path)

    def ask_labels(self) -> None:
        """A dialogue for labels."""
        path = filedialog.askopenfilename(
            parent=self.root, filetypes=[("*.txt *.json", "*.txt *.json"), ("*", "*")]
        )
        if path:
            self.open_labels(path)

    def open_model(self, source: Any, labels: Any = None) -> None:
        """Opens it in the worker; the window goes on with the old one until it is there."""
        self._reopen(source, labels, self.session.threads)

    def open_labels(self, path: str) -> None:
        """Names for the classes of the open model."""
        try:
            self._labels = self.session.opened.labels = classify.read_labels(path)
        except (OSError, UnicodeDecodeError) as error:
            self.failed(error)
            return
        self.tell("labels_read", count=len(self._labels))
        self._changed()

    def _threads(self) -> None:
        try:
            count = self.count.get()
        except tk.TclError:
            return
        if 0 < count <= 1024 and count != self.session.threads:
            self._reopen(self._source, self._labels, count)

    def _set_exact(self) -> None:
        self._reopen(self._source, self._labels, self.session.threads)

    def _reopen(self, source: Any, labels: Any, threads: int) -> None:
        session = self.session
        name = Path(source).name if isinstance(source, str) else session.opened.name
        self.tell("loading", name=name)
        exact = self.exact.get()

        def done(other: Session | None, error: Exception | None) -> None:
            if other is None:
                self.count.set(self.session.threads)
                self.exact.set(self.session.exact)
                self.failed(error)
                return
            self._source, self._labels, self.session = source, other.opened.labels, other
            self.tell("ready", name=other.opened.name, threads=other.threads)
            self._changed()

        self.worker.submit("open", lambda: session.with_model(source, labels, threads, exact), done)

    def _changed(self) -> None:
        self._times.clear()
        for tab in self.tabs:
            tab.changed()

    def ask_save(self) -> None:
        """A dialogue for a picture of the window, which is taken before it opens."""
        try:
            image = self.grab()
        except (OSError, ImportError) as error:
            self.tell("no_screen", error=error)
            return
        path = filedialog.asksaveasfilename(
            parent=self.root, defaultextension=".png", filetypes=[("PNG", "*.png")],
            initialfile=f"pyinfer-{self.tab.key}.png")  # fmt: skip
        if path:
            try:
                image.save(path)
            except (OSError, ValueError) as error:
                self.failed(error)
                return
            self.tell("saved", name=Path(path).name)

    def grab(self) -> Any:
        """The window as a PIL picture."""
        from PIL import ImageGrab

        self.root.update()
        left, top = self.root.winfo_rootx(), self.root.winfo_rooty()
        box = (left, top, left + self.root.winfo_width(), top + self.root.winfo_height())
        return ImageGrab.grab(bbox=box, xdisplay=os.environ.get("DISPLAY"))
