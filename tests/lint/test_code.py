# SPDX-License-Identifier: Apache-2.0
"""Rules for C that are more than one pattern: assertions, globals, recursion of includes."""

import re

from lint.clex import c_files, code_only, line_of, name

# Files that may own state of the whole process, and what it is.
GLOBALS = {
    "base/alloc.c": "counters of the tests",
    "base/cpu.c": "the CPU's features, found once",
    "base/file_store.c": "numbers in the names of files in the making",
    "base/threads.c": "the thread pool's state",
    "base/threads_apart.c": "is this thread one of those apart",
    "base/threads_exit.c": "runs at work, and that the process ends",
    "base/threads_place.c": "which threads work for this one",
    "ops/registry.c": "the index of the rows, made once",
    "capi/capi.c": "the implementation that a test forces",
    "onednn/dnnl_load.c": "the table of functions of the open library",
    "python/py_array.c": "NumPy's descriptors, looked up once",
    "python/py_interrupt.c": "the thread that runs while the main one looks for signals",
    "python/py_module.c": "the module's exceptions and types",
}

# Python's own structures, which its interface does not take as const.
TABLES_OF_PYTHON = re.compile(r"static (?:struct )?Py\w*(?:Def|Slot|Spec)\b|static char \*keywords\[")


def arguments(text: str, at: int) -> str:
    """The text between the parenthesis at `at` and the one that closes it."""
    depth = 0
    for i in range(at, len(text)):
        depth += (text[i] == "(") - (text[i] == ")")
        if depth == 0:
            return text[at + 1 : i]
    return text[at + 1 :]


def assertions_with_effects(path: str, text: str) -> list[str]:
    text = code_only(text)
    found = []
    for match in re.finditer(r"(?<!\w)assert\s*\(", text):
        inside = arguments(text, match.end() - 1)
        if re.search(r"\+\+|--|(?<![=!<>])=(?!=)|\b\w*(?:alloc|free|add|set|next|push|pop|init)\w*\s*\(", inside):
            found.append(f"{path}:{line_of(text, match.start())}: assert({inside.strip()})")
    return found


def mutable_globals(path: str, text: str) -> list[str]:
    """Variables at file level or static in a function that are not const."""
    if path in GLOBALS:
        return []
    text = code_only(text)
    found = []
    pattern = r"^[ \t]*(?:static|_Thread_local|extern)\b[^;{}()=]*(?:=|;|\[)"
    for match in re.finditer(pattern, text, re.MULTILINE):
        declaration = match[0]
        if path.startswith("python/") and TABLES_OF_PYTHON.search(declaration):
            continue
        if re.search(r"\b(?:const|_Static_assert|inline|typedef)\b", declaration):
            if "*" not in declaration or re.search(r"\*\s*const\b|\bconst\b[^*]*\[$", declaration):
                continue
            if re.search(r"\bconst\b", declaration) and declaration.rstrip().endswith("["):
                continue
            if re.search(r"^\s*extern\b", declaration) and "const" in declaration:
                continue
        found.append(f"{path}:{line_of(text, match.start())}: {' '.join(declaration.split())}")
    return found


def test_assertions_have_no_effects() -> None:
    found = [row for f in c_files() for row in assertions_with_effects(name(f), f.read_text())]
    assert not found, "\n".join(["", *found])


def test_no_mutable_globals() -> None:
    found = [row for f in c_files() for row in mutable_globals(name(f), f.read_text())]
    assert not found, "\n".join(["", *found])


def test_the_checkers_find() -> None:
    for bad in ("assert(i++ < 3);", "assert((x = y));", "assert(n-- > f(1));", "assert(pi_alloc(1))"):
        assert assertions_with_effects("x.c", f"\n{bad}"), bad
    for good in ("assert(a == b && c <= d);", "static_assert(x = 1)", "assert(f(x) != 3);"):
        assert not assertions_with_effects("x.c", good), good
    for bad in ("static int count;", "static int x = 3;", "  static char buffer[3];", "static const char *last = 0;"):
        assert mutable_globals("ops/x.c", bad), bad
    for good in (
        "static const int x = 3;",
        "static const pi_op rows[] = {",
        "static const char *const names[] = {",
        "static pi_status f(int x) {",
        "static inline int g(void)\n{ int x = 3; }",
        "const pi_op_family pi_ops = {1};",
    ):
        assert not mutable_globals("ops/x.c", good), good
