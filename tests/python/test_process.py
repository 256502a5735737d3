# SPDX-License-Identifier: Apache-2.0
"""A library is a guest in the process: forks, other OpenMP users, signals, and what it leaves as it was."""

import subprocess
import sys
from pathlib import Path

import pytest

from support import tiny

HANG = 120  # seconds: a generous limit for a child that must not hang

START = """
import os, sys, signal, threading, time
import numpy as np
"""


@pytest.fixture(scope="module")
def linear(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "linear.onnx"
    path.write_bytes(tiny.linear())
    return path


def child(script: str, *arguments: object, code: int = 0) -> str:
    command = [sys.executable, "-c", START + script, *map(str, arguments)]
    # not in the source tree, which python -c would put first
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG, cwd="/")
    assert done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


BIG = """
import pyinfer
from multiprocessing import get_context
def run(model):
    x = np.ones((20000, 3), np.float32)
    y = model(x)
    assert np.allclose(y, [6.5, -5.75])
    return os.getpid()
"""


@pytest.mark.parametrize("torch_too", [False, True])
def test_fork_after_use(linear: Path, torch_too: bool) -> None:
    torch = "import torch\nt = torch.ones(1000, 1000); t @ t\n" if torch_too else ""
    script = BIG + torch + """
model = pyinfer.load(sys.argv[1], threads=2)
run(model)
pid = os.fork()
if pid == 0:
    run(model)
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
run(model)
"""
    child(script, linear)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_worker_processes(linear: Path, method: str, tmp_path: Path) -> None:
    script = tmp_path / "workers.py"
    script.write_text(
        START
        + BIG
        + f"""
def load_and_run(path):
    return run(pyinfer.load(path, threads=2))
if __name__ == "__main__":
    model = pyinfer.load(sys.argv[1], threads=2)
    run(model)
    with get_context("{method}").Pool(2) as pool:
        assert os.getpid() not in pool.map(load_and_run, [sys.argv[1]] * 4, chunksize=1)
        assert os.getpid() not in pool.map(run, [model] * 4, chunksize=1)
"""
    )
    done = subprocess.run([sys.executable, script, linear], capture_output=True, text=True, timeout=HANG)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("order", ["import torch, pyinfer", "import pyinfer, torch"])
def test_beside_torch(linear: Path, order: str) -> None:
    script = order + """
model = pyinfer.load(sys.argv[1], threads=2)
x = np.ones((20000, 3), np.float32)
for _ in range(5):
    assert np.allclose(model(x), [6.5, -5.75])
    t = torch.ones(300, 300)
    assert (t @ t)[0, 0] == 300
copies = {line.split()[-1] for line in open("/proc/self/maps") if "libgomp" in line}
assert len(copies) == 1, copies
assert np.allclose(model(torch.ones(2, 3)), [6.5, -5.75])
"""
    child(script, linear)


def test_import_is_light() -> None:
    out = child("import pyinfer; print(*sys.modules)")
    loaded = set(out.split())
    assert not loaded & {"onnx", "torch", "google.protobuf", "PIL", "argparse", "pyinfer.cli", "pyinfer.profile"}


def test_the_process_stays_as_it_was(linear: Path) -> None:
    script = """
import locale, ctypes, json
sub = np.float32(1e-40)
def state():
    return [dict(os.environ), os.getcwd(), locale.setlocale(locale.LC_ALL), [str(signal.getsignal(s)) for s in (2, 15)],
            float(sub * np.float32(1)) != 0.0, sorted(os.sched_getaffinity(0)), ctypes.CDLL("libm.so.6").fegetround(),
            len(os.listdir("/proc/self/fd"))]
before = state()
import pyinfer
model = pyinfer.load(sys.argv[1], threads=2)
for _ in range(3):
    model(np.full((20000, 3), 1e-40, np.float32))
assert state() == before, (before, state())
"""
    assert child(script, linear) == ""


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "long.onnx"
    path.write_bytes(tiny.long())
    return path


def test_interrupt(long: Path) -> None:
    script = """
import pyinfer
model = pyinfer.load(sys.argv[1])
x = np.ones((1, 1024), np.float32)
assert np.array_equal(model(x), x)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background starts without
threading.Timer(1, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
try:
    model(np.ones((8192, 1024), np.float32))
except KeyboardInterrupt:
    print("interrupted")
assert np.array_equal(model(x), x)
"""
    assert child(script, long) == "interrupted\n"


def test_exit_while_running(long: Path) -> None:
    script = """
import pyinfer
model = pyinfer.load(sys.argv[1])
threading.Thread(target=lambda: model(np.ones((8192, 1024), np.float32)), daemon=True).start()
time.sleep(0.5)
"""
    for _ in range(3):
        child(script, long)
