# SPDX-License-Identifier: Apache-2.0
"""Starting: nothing is imported too early, and what is missing is said."""

import builtins
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pyinfer import cli, demo

ELSEWHERE = Path(__file__).parent


def test_the_command_imports_lazily() -> None:
    code = (
        "import sys; from pyinfer import cli\ntry: cli.main(['demo', '--help'])\nexcept SystemExit: pass\n"
        "print(*sys.modules, sep='\\n')"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ELSEWHERE).stdout
    assert "--labels" in out
    assert not {"tkinter", "PIL", "pyinfer.demo", "sv_ttk"} & set(out.split())


def test_no_tk(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    imported = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "_tkinter":
            raise ImportError(name)
        return imported(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    assert cli.main(["demo"]) == 1
    err = capsys.readouterr().err
    assert "python3-tk" in err and len(err.splitlines()) == 1
    with pytest.raises(ImportError, match="Tk"):
        demo.show()


def test_no_pillow_no_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("_tkinter", reason="this Python has no Tk (Debian: apt install python3-tk)")
    monkeypatch.setenv("DISPLAY", ":0")
    assert demo.missing() is None
    monkeypatch.delenv("DISPLAY")
    assert demo.missing() == demo.SCREEN
    monkeypatch.setattr(demo.importlib.util, "find_spec", lambda name: None)
    assert demo.missing() == demo.PILLOW
