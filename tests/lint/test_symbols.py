# SPDX-License-Identifier: Apache-2.0
"""The built library: what it exports, what it needs, and what it does not touch."""

import subprocess
from pathlib import Path

import pytest

from lint import binary
from lint.clex import CSRC

LIBRARY = r"pyinfer_\w+"
CORE = r"PyInit__core"
ADDED_BY_SANITIZERS = r"|__(?:asan|ubsan|tsan|odr_asan)\w*"


def libraries() -> list[tuple[Path, str]]:
    folder = binary.package()
    cores = sorted(folder.glob("_core.*.so"))
    assert cores, f"no _core in {folder}"
    return [(folder / "lib/libpyinfer.so", LIBRARY), *((core, CORE) for core in cores)]


def test_the_libraries_are_clean() -> None:
    found = []
    for library, exports in libraries():
        faults = binary.faults(library, exports + ADDED_BY_SANITIZERS)
        # _core takes SIGINT during a long run and puts Python's handler back: python/py_interrupt.c
        allowed = {"uses sigaction"} if exports == CORE else set()
        found += [f"{library.name} {fault}" for fault in faults if fault not in allowed]
    assert not found, "\n".join(["", *found])


def test_the_public_header_is_what_is_exported() -> None:
    header = (CSRC / "capi/pyinfer.h").read_text()
    names = binary.exported(binary.package() / "lib/libpyinfer.so")
    assert names, "nothing is exported"
    assert not sorted(name for name in names if name.startswith("pyinfer_") and name not in header)


def test_they_find_each_other() -> None:
    (library, _), *cores = libraries()
    assert binary.dynamic(library, "SONAME") == ["libpyinfer.so"]
    assert not binary.dynamic(library, "R.*PATH")
    for core, _ in cores:
        assert "libpyinfer.so" in binary.dynamic(core, "NEEDED")
        assert binary.dynamic(core, "RUNPATH") == ["$ORIGIN/lib"]


def test_they_need_what_every_machine_has() -> None:
    for library, _ in libraries():
        needed = set(binary.dynamic(library, "NEEDED")) - {"libpyinfer.so"}
        strange = {n for n in needed - binary.NEEDED if not binary.SANITIZERS.fullmatch(n)}
        assert not strange, f"{library.name} needs {sorted(strange)}"


def test_no_links_in_the_package() -> None:
    folder = binary.package()
    assert not [path for path in folder.rglob("*") if path.is_symlink()]


BAD = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
extern char a[], b[];
void strange_name(void);
void strange_name(void) { strcpy(a, b); sprintf(a, "%d", 3); }
void pyinfer_die(int code);
void pyinfer_die(int code) {
    printf("%d", code);
    fputs(a, stderr);
    if (code) abort();
    if (system(a)) exit(code);
}
"""


def test_the_checker_finds(tmp_path: Path) -> None:
    source, library = tmp_path / "bad.c", tmp_path / "bad.so"
    source.write_text(BAD)
    # no optimisation, or gcc turns printf into putchar
    subprocess.run(["gcc", "-w", "-O0", "-fPIC", "-shared", "-o", library, source], check=True)
    found = set(binary.faults(library, LIBRARY))
    functions = ("abort", "exit", "printf", "fputs", "strcpy", "sprintf", "system", "stderr")
    assert found >= {"exports strange_name", "is not bound at load (-z now)", *(f"uses {f}" for f in functions)}
    assert "exports pyinfer_die" not in found


@pytest.mark.parametrize(
    ("version", "new"),
    [("GOMP_4.0", 0), ("GOMP_5.0", 0), ("OMP_5.0", 0), ("GOMP_5.0.1", 1), ("OMP_5.1", 1), ("GOMP_6", 1)],
)
def test_openmp_is_not_too_new(version: str, new: int) -> None:
    assert len(binary.too_new_for_openmp({version, "GLIBC_2.34"})) == new


def test_versions_are_read() -> None:
    found = binary.versions(binary.package() / "lib/libpyinfer.so")
    assert any(v.startswith("GLIBC_") for v in found), found
    assert any(v.startswith(("GOMP_", "OMP_")) for v in found), found
