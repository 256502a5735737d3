# SPDX-License-Identifier: Apache-2.0
"""Every header compiles alone, in the dialect that its reader has."""

import re
import subprocess
import sysconfig
from pathlib import Path

import pytest

from lint.clex import CSRC, c_files, name

WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wundef", "-Wwrite-strings", "-Werror", "-O1", "-fsyntax-only"]
INSIDE = ["gcc", "-std=gnu11", "-Wmissing-prototypes", "-Wstrict-prototypes", "-Wvla", *WARNINGS]
PUBLIC = {
    "C11": ["gcc", "-std=c11", "-pedantic-errors", "-Wstrict-prototypes", "-Wmissing-prototypes", *WARNINGS],
    "C99": ["gcc", "-std=c99", "-pedantic-errors", *WARNINGS],
    "C++11": ["g++", "-std=c++11", "-pedantic-errors", "-Wold-style-cast", *WARNINGS],
    "C++20": ["g++", "-std=c++20", "-pedantic-errors", "-Wold-style-cast", *WARNINGS],
}
HEADERS = [path for path in c_files(".h") if "onednn" not in path.parts or "dnnl" not in path.read_text()]


def complaint(compiler: list[str], source: Path, *includes: str) -> str:
    """What the compiler says about a file that includes nothing else; empty: fine."""
    flags = [f"-I{CSRC}", *(f"-isystem{folder}" for folder in includes)]
    run = subprocess.run([*compiler, *flags, str(source)], capture_output=True, text=True)
    return run.stderr if run.returncode else ""


@pytest.mark.parametrize("header", HEADERS, ids=name)
def test_a_header_compiles_alone(header: Path, tmp_path: Path) -> None:
    includes = []
    if header.relative_to(CSRC).parts[0] == "python":
        import numpy

        includes = [sysconfig.get_path("include"), numpy.get_include()]
    source = tmp_path / "alone.c"
    # twice: it must have an include guard
    target = '#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,fma,f16c")\n' if "avx512" in header.name else ""
    target = target or ('#pragma GCC target("avx2,fma,f16c")\n' if "avx2" in header.name else "")
    if re.fullmatch("vec_(?!ref|avx).*", header.stem):  # written in the names that another vec header gives
        target = '#include "kernels/simd/vec_ref.h"\n'
    source.write_text(f'{target}#include "{name(header)}"\n#include "{name(header)}"\n')
    assert complaint(INSIDE, source, *includes) == ""


@pytest.mark.parametrize("language", PUBLIC)
def test_the_public_header(language: str, tmp_path: Path) -> None:
    source = tmp_path / ("alone.cc" if "++" in language else "alone.c")
    source.write_text('#include "capi/pyinfer.h"\n#include "capi/pyinfer.h"\n')
    assert complaint(PUBLIC[language], source) == ""


def test_the_checker_finds(tmp_path: Path) -> None:
    for text in ("size_t n;", "int f();", "int f(void) { char c = 3000; return c; }", "#if UNKNOWN\n#endif"):
        source = tmp_path / "bad.c"
        source.write_text(text + "\n")
        assert complaint(INSIDE, source), text
    assert "new" in complaint(PUBLIC["C++11"], _write(tmp_path / "bad.cc", "int new;\n"))


def _write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path
