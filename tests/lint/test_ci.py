# SPDX-License-Identifier: Apache-2.0
"""`.ci/run` never succeeds without having run tests."""

import re
import subprocess
from pathlib import Path

import pytest

from lint.clex import ROOT

SCRIPT = ROOT / ".ci" / "run"


@pytest.mark.parametrize(
    ("closing", "ran"),
    [
        ("======== 12 passed, 3 deselected in 1.02s ========", True),
        ("3 passed, 1 warning in 0.5s", True),
        ("100% tests passed, 0 tests failed out of 7", True),
        ("100% tests passed out of 7", True),
        ("======== no tests ran in 0.01s ========", False),
        ("======== 5 deselected in 0.01s ========", False),
        ("======== 4 skipped in 0.01s ========", False),
        ("======== 0 passed in 0.01s ========", False),
        ("100% tests passed, 0 tests failed out of 0", False),
        ("No tests were found!!!", False),
        ("", False),
    ],
)
def test_a_part_without_tests_fails(closing: str, ran: bool, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(f"collected\n{closing}\n")
    function = re.search(r"^ran_tests\(\).*?^}", SCRIPT.read_text(), re.MULTILINE | re.DOTALL)
    assert function
    done = subprocess.run(["bash", "-c", f'{function[0]}\nran_tests "$1"', "-", log], capture_output=True)
    assert (done.returncode == 0) == ran


def test_each_run_of_tests_is_checked(tmp_path: Path) -> None:
    text = SCRIPT.read_text()
    subprocess.run(["bash", "-n", SCRIPT], check=True)
    runs = re.findall(r"^(?!#|part |at_once ).*\b(?:pytest|ctest)[ ;].*", text.replace("\\\n", ""), re.MULTILINE)
    assert len(runs) == 9 and all(re.search(r"\btests (?:env .*)?(?:pytest|ctest)[ ;]", run) for run in runs), runs
    head = text[: text.index("tools()")].replace('cd "$(dirname', 'true "$(dirname')
    script = tmp_path / "script"
    for parts, good in (("good", True), ("good bad good", False), ("none", False), ("good good good", True), ("bad", False)):
        for how in ("part", "at_once"):
            script.write_text(
                f"{head}\ngood() {{ tests echo 3 passed; }}\nbad() {{ false; echo 3 passed; }}\nnone() {{ tests echo; }}\n"
                f'for p in {parts}; do {how} "$p" "$p"; done\nall_done\n[ ${{#failed[@]}} = 0 ]\n'
            )
            done = subprocess.run(["bash", script], capture_output=True, text=True)
            assert (done.returncode == 0) == good, done.stdout + done.stderr
            count = parts.count("good")
            assert done.stdout.count(": ok") == count
            assert done.stdout.count(": FAILED") == len(parts.split()) - count
