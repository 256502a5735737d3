# SPDX-License-Identifier: Apache-2.0
"""The table that `.ci/coverage` prints: lines of C that ran, by folder, and of the kernels by instruction set.

    python tests/support/coverage.py BUILD            a CMake build with PYINFER_COVERAGE=ON whose tests have run
    python tests/support/coverage.py BUILD --missed   the lines that did not run too

The status is 1 if a folder of BARS is below its bar. gcovr reads what the compiler's gcov counted.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BARS = {"csrc/ops": 90.0, "csrc/kernels": 90.0}  # percent of lines
INSTRUCTIONS = {"any": "_ref", "avx2": "_avx2", "avx512": "_avx512", "avx512_vnni": "_vnni"}


def lines_of(build: Path, objects: list[Path]) -> dict[str, dict[int, bool]]:
    """File -> line -> did it run, in any of the objects that it was compiled into."""
    command = [sys.executable, "-m", "gcovr", "--root", str(ROOT), "--object-directory", str(build)]
    command += ["--filter", "csrc/", "--merge-mode-functions", "separate", "-j2", "--json", "-"]
    command += ["--gcov-suspicious-hits-threshold", "0"]  # the loops that measure the peak do run so often
    report = subprocess.run(
        [*command, *map(str, objects)], check=True, stdout=subprocess.PIPE
    ).stdout
    files: dict[str, dict[int, bool]] = {}
    for file in json.loads(report)["files"]:
        lines: dict[int, bool] = defaultdict(bool)
        for line in file["lines"]:
            if not line.get("gcovr/noncode"):
                lines[line["line_number"]] |= line["count"] > 0
        files[file["file"]] = dict(lines)
    return files


def row(title: str, files: dict[str, dict[int, bool]]) -> float:
    ran = sum(sum(lines.values()) for lines in files.values())
    lines = sum(map(len, files.values()))
    percent = 100 * ran / max(lines, 1)
    print(f"| {title} | {lines} | {lines - ran} | {percent:.1f} |")
    return percent


def ranges(numbers: list[int]) -> str:
    """[3, 4, 5, 9] -> "3-5 9"."""
    spans: list[list[int]] = []
    for n in numbers:
        if spans and n == spans[-1][1] + 1:
            spans[-1][1] = n
        else:
            spans.append([n, n])
    return " ".join(f"{a}-{b}" if b > a else str(a) for a, b in spans)


def main(arguments: list[str]) -> int:
    build = Path(arguments[0]).resolve()
    files = lines_of(build, [build])
    folders: dict[str, dict[str, Any]] = defaultdict(dict)
    for name, lines in files.items():
        folders["/".join(name.split("/")[:2])][name] = lines
    print("| folder | lines | not run | % |\n|---|---|---|---|")
    below = [f for f, of_it in sorted(folders.items()) if row(f, of_it) < BARS.get(f, 0)]
    print("\n| kernels for | lines | not run | % |\n|---|---|---|---|")
    for isa, ending in INSTRUCTIONS.items():
        objects = sorted(build.glob(f"CMakeFiles/pyinfer_objects.dir/kernels/*/*{ending}.c.gcno"))
        data = [o.with_suffix(".gcda") for o in objects]
        ours = lines_of(build, [d if d.exists() else o for d, o in zip(data, objects, strict=True)])
        row(isa, {f: lines for f, lines in ours.items() if f.startswith("csrc/kernels/")})
    if "--missed" in arguments:
        print()
        for name, lines in sorted(files.items()):
            missed = sorted(n for n, ran in lines.items() if not ran)
            if missed:
                print(f"{name}: {len(missed)} of {len(lines)}: {ranges(missed)}")
    for folder in below:
        print(f"{folder} is below {BARS[folder]:.0f} %")
    return bool(below or not BARS.keys() <= folders.keys())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
