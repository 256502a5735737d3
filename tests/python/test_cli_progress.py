# SPDX-License-Identifier: Apache-2.0
"""What goes on is told on a terminal alone, on stderr, and is gone at the end."""

import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from pyinfer import example
from pyinfer.cli import _progress

ELSEWHERE = Path(__file__).parent
IN_CHILD = """
import sys
from pyinfer import cli
from pyinfer.cli import _progress
_progress.DELAY = _progress.PAUSE = 0.0
sys.exit(cli.main(sys.argv[1:]))
"""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@contextmanager
def drawn(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, rich: bool) -> Iterator[io.StringIO]:
    """stderr; what takes any time at all is told."""
    with monkeypatch.context() as m:
        m.setattr(_progress, "DELAY", 0.0)
        m.setattr(_progress, "PAUSE", 0.0)
        m.setattr(sys, "stderr", stream)
        if rich:
            pytest.importorskip("rich")
        else:
            m.setitem(sys.modules, "rich", None)
        yield stream


@pytest.mark.parametrize("rich", [False, True], ids=["plain", "rich"])
def test_on_a_terminal(rich: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    with drawn(monkeypatch, Terminal(), rich) as err:
        done = list(_progress.counted("timing", 5))
    assert done == [0, 1, 2, 3, 4]
    assert "timing" in err.getvalue() and ("3 of 5" in err.getvalue() or "3/5" in err.getvalue())
    with drawn(monkeypatch, Terminal(), rich) as err, _progress.busy("loading [x]"):
        while "loading [x]" not in err.getvalue():  # faulthandler_timeout ends a test that hangs
            pass
    assert rich or err.getvalue().endswith("\r\x1b[K")


def test_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    with drawn(monkeypatch, io.StringIO(), False) as err:
        with _progress.busy("loading"):
            pass
        assert list(_progress.counted("timing", 3)) == [0, 1, 2]
    assert err.getvalue() == ""


def test_what_is_quick_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(_progress, "DELAY", 1e9)
    with _progress.busy("loading"):
        assert list(_progress.counted("timing", 3)) == [0, 1, 2]
    assert sys.stderr.getvalue() == ""  # type: ignore[attr-defined]


def test_an_error_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with drawn(monkeypatch, Terminal(), False) as err:
        with pytest.raises(ZeroDivisionError), _progress.busy("loading"):
            while "loading" not in err.getvalue():
                pass
            raise ZeroDivisionError
    assert err.getvalue().endswith("\r\x1b[K")


def test_json_stays_json_on_a_terminal() -> None:
    main, side = pty.openpty()
    try:
        line = [sys.executable, "-c", IN_CHILD, "bench", str(example.model_path()), "--repeat", "20", "--json"]
        with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=side, cwd=ELSEWHERE) as child:
            os.close(side)
            told = b""
            with suppress(OSError):  # the child has ended. A terminal holds 4 KB: on a busy machine more is drawn
                while part := os.read(main, 1 << 16):
                    told += part
            out, _ = child.communicate()
    finally:
        os.close(main)
    assert child.returncode == 0 and json.loads(out)["repeat"] == 20
    assert b"timing" in told
