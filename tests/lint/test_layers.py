# SPDX-License-Identifier: Apache-2.0
"""Arrows only go down: who may include whom stands in the table of csrc/README.md."""

import re

import pytest

from lint.clex import CSRC, c_files, line_of, name, without_comments

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?P<what>"[^"\n]+"|<[^>\n]+>)', re.MULTILINE)

# Headers from outside that only one place may see: pattern, who, as a prefix of the file's name.
OUTSIDE = [
    (r"<omp\.h>", ("base/threads.c", "base/threads_place.c")),
    (r"<(Python|structmember|frameobject|numpy/.*)(\.h)?>", ("python/",)),
    (r"<(oneapi/)?(dnnl.*)>", ("onednn/",)),
    (r"<dlfcn\.h>", ("onednn/",)),
    (r"<locale\.h>", ("ops/number_text.c",)),  # numbers are read in the C locale whatever the process has
    (r"<signal\.h>", ("python/py_interrupt.c", "base/threads_place.c", "base/threads_apart.c")),
    (r"<(alloca|setjmp)\.h>", ()),
    (r"<(immintrin|x86intrin|cpuid|arm_neon|.*mmintrin)\.h>", ("kernels/", "base/")),
]


def read_table(text: str) -> dict[str, set[str]]:
    rows = re.findall(r"^\| *(\w+) *\| *([\w -]+?) *\|$", text, re.MULTILINE)
    return {layer: set(seen.replace("-", "").split()) for layer, seen in rows if layer != "layer"}


def bad_includes(path: str, text: str, table: dict[str, set[str]]) -> list[str]:
    """What is wrong with the includes of csrc/`path`, one line each."""
    text = without_comments(text)
    layer = path.split("/")[0]
    if layer not in table:
        return [f"{path}: the folder '{layer}' is no row of the table in csrc/README.md"]
    found = []
    for match in INCLUDE.finditer(text):
        where, what = f"{path}:{line_of(text, match.start())}", match["what"]
        if what[0] == "<":
            for pattern, who in OUTSIDE:
                if re.fullmatch(pattern, what) and not path.startswith(who):
                    found.append(f"{where}: {what} is only for {' '.join(who) or 'nobody'}")
            continue
        header = what[1:-1]
        if "/" not in header:
            header = f"{path.rsplit('/', 1)[0]}/{header}"
        to = header.split("/")[0]
        if to not in table or ".." in header:
            found.append(f"{where}: {what} is not of the form \"layer/file.h\"")
        elif to != layer and to not in table[layer]:
            found.append(f"{where}: {layer} may not include {to} ({header})")
        elif layer == "python" and to == "capi" and header != "capi/pyinfer.h":
            found.append(f"{where}: python sees only capi/pyinfer.h")
        elif not (CSRC / header).is_file():
            found.append(f"{where}: csrc/{header} does not exist")
    return found


TABLE = read_table((CSRC / "README.md").read_text())


def test_layers() -> None:
    found = [row for f in c_files() for row in bad_includes(name(f), f.read_text(), TABLE)]
    assert not found, "\n".join(["", *found])


def test_the_table_has_no_cycle() -> None:
    assert {"base", "graph", "ops", "capi"} <= set(TABLE)
    rest = dict(TABLE)
    while rest:
        bottom = [layer for layer, seen in rest.items() if not seen & set(rest)]
        assert bottom, f"a cycle among {sorted(rest)}"
        for layer in bottom:
            del rest[layer]


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("base/error.c", '#include "graph/graph.h"'),
        ("graph/graph.h", '#include "ops/ops.h"'),
        ("graph/graph.h", '  #  include "ops/ops.h"'),
        ("ops/softmax.c", '#include "python/core.h"'),
        ("python/py_module.c", '#include "base/error.h"'),
        ("python/py_module.c", '#include "capi/session.h"'),
        ("base/error.c", '#include "base/nosuch.h"'),
        ("base/error.c", '#include "../base/error.h"'),
        ("extra/error.c", "#include <stdio.h>"),
        ("ops/conv.c", "#include <omp.h>"),
        ("ops/conv.c", "#include <oneapi/dnnl/dnnl.h>"),
        ("ops/conv.c", "#include <dnnl.h>"),
        ("capi/capi.c", "#include <Python.h>"),
        ("capi/capi.c", "#include <numpy/arrayobject.h>"),
        ("ops/conv.c", "#include <dlfcn.h>"),
        ("base/alloc.c", "#include <alloca.h>"),
        ("graph/graph.c", "#include <immintrin.h>"),
    ],
)
def test_the_checker_finds(path: str, line: str) -> None:
    assert len(bad_includes(path, f"// a comment\n{line}\n", TABLE)) == 1
    assert not bad_includes("base/error.c", f"/* {line} */\n// {line}\n", TABLE)


def test_the_checker_lets_pass() -> None:
    assert not bad_includes("ops/x.c", '#include "base/error.h"\n#include "ops.h"\n#include <stdio.h>\n', TABLE)
