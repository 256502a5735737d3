# SPDX-License-Identifier: Apache-2.0
"""What nm and readelf say about a shared library, and what may not be in it."""

import importlib.util
import re
import subprocess
from pathlib import Path

# Nothing in the library may end the process, print, run a program, or write without a length.
FORBIDDEN = re.compile(
    r"_{0,2}(?:(?:abort|exit|_exit|_Exit|quick_exit|assert_fail|assert_perror_fail|"
    r"v?printf|v?fprintf|puts|putchar|putc|fputs|fputc|fwrite|perror|psignal|syslog|"
    r"strcpy|stpcpy|strcat|v?sprintf|gets|strtok|atoi|atol|atof|"
    r"system|popen|fork|vfork|exec[vl][ep]*|posix_spawnp?|"
    r"setenv|putenv|unsetenv|setlocale|signal|sigaction|socket|connect|bind|listen|"
    r"setjmp|_setjmp|sigsetjmp|longjmp|rand|srand|mktemp|tmpnam|stdout|stderr)(?:_chk)?)"
)
# Of the C library alone, OpenMP and oneDNN's loader: nothing that a fresh machine lacks.
NEEDED = {"libc.so.6", "libm.so.6", "libgomp.so.1", "libpthread.so.0", "libdl.so.2", "ld-linux-x86-64.so.2"}
SANITIZERS = re.compile(r"lib(?:asan|ubsan|tsan)\.so\.\d+")


def package() -> Path:
    """The folder of the pyinfer that `import pyinfer` would take."""
    spec = importlib.util.find_spec("pyinfer")
    assert spec is not None, "pyinfer is not installed"
    for folder in spec.submodule_search_locations or []:
        if Path(folder, "lib", "libpyinfer.so").is_file():
            return Path(folder)
    raise AssertionError(f"no lib/libpyinfer.so in {spec.submodule_search_locations}: pip install . first")


def tool(*command: str | Path) -> str:
    return subprocess.run([str(c) for c in command], check=True, capture_output=True, text=True).stdout


def exported(library: Path) -> set[str]:
    lines = tool("nm", "-D", "--defined-only", library).splitlines()
    return {line.split()[-1].split("@")[0] for line in lines}


def undefined(library: Path) -> set[str]:
    lines = tool("nm", "-D", "--undefined-only", library).splitlines()
    return {line.split()[-1].split("@")[0] for line in lines}


def dynamic(library: Path, tag: str) -> list[str]:
    """The values of NEEDED, SONAME, RUNPATH … in the dynamic section."""
    return re.findall(rf"\({tag}\)[^\[\n]*\[([^\]]*)\]", tool("readelf", "-dW", library))


def versions(library: Path) -> set[str]:
    """The symbol versions that the library needs, e.g. GLIBC_2.34, GOMP_4.0."""
    wanted = tool("readelf", "-VW", library).partition(".gnu.version_r")[2]
    return set(re.findall(r"Name: (\S+)", wanted))


def too_new_for_openmp(found: set[str]) -> list[str]:
    """A libgomp that came with another package may be old: it stops at GOMP_5.0 and OMP_5.0."""
    new = []
    for version in sorted(found):
        match = re.fullmatch(r"(?:GOMP|OMP)_(\d+)(?:\.(\d+))?(?:\.(\d+))?", version)
        if match and tuple(int(part or 0) for part in match.groups()) > (5, 0, 0):
            new.append(version)
    return new


def faults(library: Path, exports: str) -> list[str]:
    """All that is wrong with a shared library of ours; `exports`: a pattern for the names it may export."""
    found = [f"exports {name}" for name in sorted(exported(library)) if not re.fullmatch(exports, name)]
    found += [f"uses {name}" for name in sorted(undefined(library)) if FORBIDDEN.fullmatch(name)]
    found += [f"needs the version {name}" for name in too_new_for_openmp(versions(library))]
    sections = tool("readelf", "-dW", library)
    if "(TEXTREL)" in sections:
        found.append("has text relocations")
    if "NOW" not in sections:
        found.append("is not bound at load (-z now)")
    stack = re.search(r"GNU_STACK.*", tool("readelf", "-lW", library))
    if stack and "RWE" in stack[0]:
        found.append("has an executable stack")
    return found
