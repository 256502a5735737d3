# SPDX-License-Identifier: Apache-2.0
"""Parts of pages that are made when they are built, so that they say what the code says.

A line `<!-- made: NAME -->` of a page is replaced by what PARTS[NAME] gives: MyST text. The
functions need no Sphinx.
"""

from __future__ import annotations

import builtins
import contextlib
import importlib
import io
import os
import pkgutil
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HEADER = ROOT / "csrc" / "capi" / "pyinfer.h"

# ---- the C interface: declarations of pyinfer.h and their comments, as Sphinx's C domain ----


@dataclass
class Item:
    """Declarations that share a comment (none: text of its own), or the title of a section."""

    comment: str = ""
    declarations: list[str] = field(default_factory=list)
    title: str = ""


def comment_text(comment: str) -> str:
    """A comment without its marks; indented lines keep their indentation."""
    lines = re.sub(r"^/\*+ ?|\s*\*/$", "", comment).splitlines()
    return "\n".join(re.sub(r"^\s*\* ?", "", line).rstrip() for line in lines).strip("\n")


def declaration_end(text: str, at: int) -> int:
    """Behind the semicolon that ends the declaration at `at`."""
    depth = 0
    for match in re.compile(r"/\*.*?\*/|[{};]", re.DOTALL).finditer(text, at):
        depth += (match[0] == "{") - (match[0] == "}")
        if match[0] == ";" and depth == 0:
            return match.end()
    raise ValueError(f"a declaration without an end: {text[at : at + 60]!r}")


def read_header(text: str) -> tuple[str, list[Item]]:
    """The comment at the head of the file, and what follows it."""
    text = re.sub(r"^#ifdef __cplusplus\n.*?^#endif\n", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)
    items: list[Item] = []
    at, fresh = 0, True  # fresh: what comes belongs to no item that is open
    while match := re.compile(r"\s*").match(text, at):
        blank, same_line = match[0].count("\n") > 1, "\n" not in match[0]
        at = match.end()
        fresh |= blank
        if at >= len(text):
            break
        if text.startswith("/*", at):
            end = text.index("*/", at) + 2
            words = comment_text(text[at:end])
            if same_line and items and items[-1].declarations:  # behind a declaration
                if len(items[-1].declarations) > 1:
                    items.append(Item("", [items[-1].declarations.pop()]))
                items[-1].comment = f"{items[-1].comment}\n\n{words}".strip()
                fresh = True
            elif title := re.fullmatch(r"-+ (.*?) -+", words):
                items.append(Item(title=title[1]))
                fresh = True
            else:
                items.append(Item(words))
                fresh = False
        else:
            end = declaration_end(text, at)
            if fresh or not items or items[-1].title:
                items.append(Item())
            items[-1].declarations.append(text[at:end])
            fresh = False
        at = end
    head = next(i for i, item in enumerate(items) if not item.comment.startswith("SPDX"))
    return items[head].comment, items[head + 1 :]


def reference(match: re.Match[str]) -> str:
    functions = re.findall(r"\b(pyinfer_\w+)\(", HEADER.read_text(encoding="utf-8"))
    return f":c:{'func' if match[0] in functions else 'type'}:`{match[0]}`"


def rst(words: str) -> str:
    """A comment as reStructuredText: paragraphs, and indented lines as C."""
    out: list[str] = []
    code = False
    for line in words.splitlines():
        if line.startswith("    "):
            out += ([] if code else ["", ".. code-block:: c", ""]) + [line]
            code = True
            continue
        out += [""] if code else []
        code = False
        line = re.sub(r"([\\*|])", r"\\\1", line.lstrip())
        line = re.sub(r"(\w)_(?=\W|$)", r"\1\\_", line)
        line = re.sub(r"`(\w+)`", r"``\1``", line)
        out.append(re.sub(r"\bpyinfer_\w+\b(?!\.\w)", reference, line))
    return "\n".join(out).strip("\n")


def indented(text: str) -> str:
    return "\n".join(f"   {line}" if line else "" for line in text.splitlines())


def one_line(text: str) -> str:
    return " ".join(re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL).split())


def members(body: str, kind: str) -> Iterator[str]:
    """Members of a struct, or enumerators, with the comment behind or above them."""
    end = ";" if kind == "member" else ","
    pending = ""
    for match in re.finditer(
        rf"(?P<comment>/\*.*?\*/)|(?P<what>[^/{end}]+)(?P<end>{end}|$)[ \t]*(?P<behind>/\*.*?\*/)?",
        body,
        re.DOTALL,
    ):
        if match["comment"]:
            pending = comment_text(match["comment"])
        elif match["what"].strip():
            words = comment_text(match["behind"]) if match["behind"] else pending
            pending = ""
            first, *more = one_line(match["what"]).split(", ")  # "int a, *b"
            base = re.match(r"[\w ]+?(?=[\s*]*\w+[\w\[\]]*$)", first)
            lines = [first, *(f"{base[0] if base else ''} {name}" for name in more)]
            head = ("\n" + " " * (len(kind) + 8)).join(lines)
            yield f".. c:{kind}:: {head}\n\n{indented(rst(words))}".rstrip()


def declare(item: Item) -> str:
    """A group of declarations in the C domain."""
    text = rst(item.comment)
    parts = []
    calls = [d for d in item.declarations if "PYINFER_API" in d]
    for declaration in item.declarations:
        if declaration in calls:
            continue
        if opaque := re.fullmatch(r"typedef struct (\w+) \1;", declaration):
            parts.append(f".. c:type:: {opaque[1]}\n\n{indented(text)}")
            text = ""
            continue
        if function := re.fullmatch(r"typedef ([^{]*);", declaration, re.DOTALL):
            parts.append(f".. c:type:: {one_line(function[1])}\n\n{indented(text)}")
            continue
        shape = re.fullmatch(
            r"(?:typedef )?(struct|enum)\s*\w*\s*\{(.*)\}\s*(\w*);", declaration, re.DOTALL
        )
        if not shape:
            raise ValueError(f"what is this declaration? {declaration!r}")
        kind, body, name = shape.groups()
        inner = members(body, "member" if kind == "struct" else "enumerator")
        if name:
            head = f".. c:{kind}:: {name}"
            parts.append("\n\n".join([head, indented(text), *map(indented, inner)]))
        else:
            parts.append("\n\n".join([text, *inner]))
        text = ""
    if calls:
        lines = [one_line(d).removeprefix("PYINFER_API ").rstrip(";") for d in calls]
        lines = [re.sub(r"\(void\)$", "()", line) for line in lines]
        parts.append(f".. c:function:: {(chr(10) + ' ' * 16).join(lines)}\n\n{indented(text)}")
    return "\n\n".join(parts)


def c_api(text: str | None = None) -> str:
    """The whole of pyinfer.h."""
    head, items = read_header(HEADER.read_text(encoding="utf-8") if text is None else text)
    rest = head.partition("\n")[2]  # behind "pyinfer: run ONNX models on a CPU. ..."
    out = [f"```{{eval-rst}}\n{rst(rest)}\n```"]
    for item in items:
        if item.title:
            out.append(f"## {item.title[0].upper()}{item.title[1:]}")
        elif item.declarations:
            out.append(f"```{{eval-rst}}\n{declare(item)}\n```")
        else:
            out.append(f"```{{eval-rst}}\n{rst(item.comment)}\n```")
    return "\n\n".join(out)


# ---- the command line: what --help of each command prints ----


def helped(*arguments: str) -> str:
    from pyinfer.cli import main

    printed = io.StringIO()
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "92"
    try:
        with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
            main([*arguments, "--help"])
    finally:
        os.environ.pop("COLUMNS") if before is None else os.environ.update(COLUMNS=before)
    return printed.getvalue()


def command_names() -> list[str]:
    """In the order of `pyinfer --help`."""
    return re.findall(r"^ {4}([a-z][\w-]*)(?: |$)", helped(), re.MULTILINE)


def commands() -> str:
    out = [f"```text\n{helped()}```"]
    for name in command_names():
        out.append(f"(command-{name})=\n## pyinfer {name}\n\n```text\n{helped(name)}```")
    return "\n\n".join(out)


# ---- Python: what autodoc is to document ----

INSIDE = set(  # of Model, for the modules of pyinfer
    "input_rows inner_edges inner_rows memory_bytes output_rows plan_rows read_metadata run_tuple "
    "save_plan set_cache steps take_copies".split()
)


def own_members(kind: type) -> list[str]:
    """Public methods and properties with a docstring, in the order of the source."""
    fields = getattr(kind, "_fields", ())
    return [n for n, v in vars(kind).items() if n[0] != "_" and n not in fields and v.__doc__]


def auto(what: str, members: Iterable[str] = ()) -> str:
    return "\n".join([f".. auto{what}", *(f"   :members: {', '.join(m)}" for m in [members] if m)])


def eval_rst(directives: Iterable[str]) -> str:
    return "\n".join(["```{eval-rst}", ".. currentmodule:: pyinfer", *directives, "```"])


def model() -> str:
    """The class Model, with what it has from the extension module."""
    import pyinfer

    inherited = {n for n in dir(pyinfer.Model) if n[0] != "_"} - set(vars(pyinfer.Model)) - INSIDE
    members = [n for n in own_members(pyinfer.Model) if n not in INSIDE]
    return eval_rst([auto("class:: Model()", [*members, *sorted(inherited)])])


def returned(name: str, value: Any) -> set[str]:
    """Names of classes in what a method or property of Model gives."""
    function = value.fget if isinstance(value, property) else value
    annotation = str(getattr(function, "__annotations__", {}).get("return", ""))
    return set() if name[0] == "_" else set(re.findall(r"\b[A-Z]\w+", annotation))


def results() -> str:
    """Classes that methods of Model give, and those beside them in their modules."""
    import pyinfer

    wanted = set().union(*(returned(n, v) for n, v in vars(pyinfer.Model).items()))
    skip = re.compile(r"pyinfer\.(_|backend|cli|compat|demo|example|torch|comparison|__main__)")
    found = []
    for info in pkgutil.walk_packages(pyinfer.__path__, "pyinfer."):
        if skip.match(info.name) or "._" in info.name:
            continue
        module = importlib.import_module(info.name)
        classes = [
            (n, v) for n, v in vars(module).items()
            if n[0] != "_" and isinstance(v, type) and v.__module__ == info.name
        ]  # fmt: skip
        if wanted & {n for n, _ in classes} - {"Model"}:
            found += [
                auto(f"class:: {info.name}.{n}()", own_members(v))
                for n, v in classes
                if n not in pyinfer.__all__ and v.__doc__
            ]
    return eval_rst(found)


def others() -> str:
    """Public names of pyinfer that no page of the reference names."""
    import pyinfer

    pages = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "docs/reference").glob("*.md"))
    named = {n.rsplit(".", 1)[-1] for n in re.findall(r"^\.\. \w+:: ([\w.]+)", pages, re.MULTILINE)}
    found = []
    for name in sorted(set(pyinfer.__all__) - named - {"Model"}):
        value = getattr(pyinfer, name)
        is_class = isinstance(value, type)
        kind = "exception" if is_class and issubclass(value, Exception) else "class"
        members = own_members(value) if is_class else ()
        found.append(auto(f"{kind if is_class else 'function'}:: {name}", members))
    return eval_rst(found) if found else ""


# ---- tables ----


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in lines)


def options() -> str:
    from pyinfer import _core

    head = ("option", "type", "default", "environment", "meaning")
    return table(
        head,
        [
            (f"`{name}`", f"`{kind}`", str(default), f"`PYINFER_{name.upper()}`", doc)
            for name, kind, default, doc in _core.options()
        ],
    )


def statuses() -> list[tuple[str, str, str]]:
    """Rows of csrc/base/status.inc: code, Python exception, meaning."""
    text = (ROOT / "csrc" / "base" / "status.inc").read_text(encoding="utf-8")
    return re.findall(r'^X\((\w+), (\S+), "(.*)"\)', text, re.MULTILINE)


def errors() -> str:
    import pyinfer

    rows = []
    for code, name, meaning in statuses():
        if code == "OK":
            continue
        kind = getattr(pyinfer, name, None) or getattr(builtins, name)
        also = [b.__name__ for b in kind.__bases__ if b.__module__ == "builtins"]
        also = [] if kind.__module__ == "builtins" or also == ["Exception"] else also
        c_name = f"`PYINFER_E_{code}`"
        rows.append((f"`{name}`", " ".join(f"`{a}`" for a in also), c_name, meaning))
    return table(("Python", "also a", "C", "meaning"), rows)


def passes() -> str:
    text = (ROOT / "csrc" / "passes" / "pipeline.inc").read_text(encoding="utf-8")
    rows = re.findall(r'^X\((\w+), (\d), (\w+), "(.*)"\)', text, re.MULTILINE)
    return table(
        ("pass", "level", "stage", "purpose"), [(f"`{a}`", b, c, d) for a, b, c, d in rows]
    )


def limits() -> str:
    text = (ROOT / "csrc" / "base" / "limits.h").read_text(encoding="utf-8")
    rows = re.findall(r"^ +(PI_\w+) = (.*?), +/\* (.*) \*/", text, re.MULTILINE)
    return table(
        ("limit", "value", "of"), [(f"`{name}`", f"`{n}`", what) for name, n, what in rows]
    )


PARTS: dict[str, Callable[[], str]] = {
    "c-api": c_api,
    "commands": commands,
    "model": model,
    "others": others,
    "results": results,
    "options": options,
    "errors": errors,
    "limits": limits,
    "passes": passes,
}


def fill(text: str) -> str:
    return re.sub(r"^<!-- made: ([\w-]+) -->$", lambda m: PARTS[m[1]](), text, flags=re.MULTILINE)


def setup(app: Any) -> dict[str, bool]:
    def read(app: Any, page: str, source: list[str]) -> None:
        source[0] = fill(source[0])

    app.connect("source-read", read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
