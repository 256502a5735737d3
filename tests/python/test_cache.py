# SPDX-License-Identifier: Apache-2.0
"""Saved plans and the cache: fresh, stale, damaged, hostile; other shapes; several processes."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import stat
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import pyinfer
from pyinfer import _cache, _core, cli


def weights(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32) / 10


def network(seed: int = 0) -> onnx.ModelProto:
    """Conv, BatchNormalization (factors of the weights), 3x3 Conv (Winograd), MatMul, Gather of a
    large table; batch and image size are symbolic."""
    tensors = {
        "w1": weights(seed, 32, 3, 3, 3), "scale": weights(seed + 1, 32) + 1, "b": weights(seed + 2, 32),
        "mean": weights(seed + 3, 32), "var": np.abs(weights(seed + 4, 32)) + 1,
        "w2": weights(seed + 5, 64, 32, 3, 3), "w3": weights(seed + 6, 64, 256),
    }  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["c1"], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c1", "scale", "b", "mean", "var"], ["n1"]),
        helper.make_node("Relu", ["n1"], ["r1"]),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], pads=[1, 1, 1, 1]),
        helper.make_node("GlobalAveragePool", ["c2"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("MatMul", ["f", "w3"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, "h", "w"])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 256])
    values = [numpy_helper.from_array(v, k) for k, v in tensors.items()]
    graph = helper.make_graph(nodes, "g", [x], [y], values)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


X = weights(99, 1, 3, 32, 32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    onnx.save(network(), tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("PYINFER_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("PYINFER_CACHE_SIZE", raising=False)
    yield tmp_path / "cache"


@pytest.fixture(autouse=True)
def nothing_leaks() -> Iterator[None]:
    before = _core._alive_blocks()
    yield
    assert _core._alive_blocks() <= before


def files(cache: Path) -> list[Path]:
    return sorted(cache.iterdir()) if cache.exists() else []


def run_cached(path: Path, x: np.ndarray = X, **options: int) -> tuple[str, np.ndarray]:
    with pyinfer.load(path, cache=True, **options) as m:
        return m.plan_state, m(x)


# ---- the cache ----


def test_fresh(path: Path, cache: Path) -> None:
    want = pyinfer.load(path)(X)
    state, y = run_cached(path)
    assert state == "new" and np.array_equal(y, want)
    (file,) = files(cache)
    before = file.stat()
    assert stat.S_IMODE(before.st_mode) == 0o600 and stat.S_IMODE(cache.stat().st_mode) == 0o700
    for _ in range(2):
        state, y = run_cached(path)
        assert state == "used" and np.array_equal(y, want)
    assert file.stat().st_ino == before.st_ino  # nothing had to be packed, so nothing was written


def test_packed_weights_take_no_memory_of_ours(path: Path) -> None:
    run_cached(path)
    with pyinfer.load(path) as m, pyinfer.load(path, cache=True) as n:
        m(X), n(X)
        assert n.memory.used < m.memory.used - 200_000


def test_another_model_in_its_place(path: Path) -> None:
    run_cached(path)
    onnx.save(network(7), path)
    want = pyinfer.load(path)(X)
    for state in ("new", "used"):
        assert run_cached(path)[0] == state
    assert np.array_equal(run_cached(path)[1], want)


def test_written_in_place(path: Path) -> None:
    """Same inode, same size, and the time of modification put back: the time of change tells."""
    run_cached(path)
    seen = path.stat()
    other = network(7).SerializeToString()
    assert len(other) == seen.st_size
    time.sleep(0.02)
    with open(path, "r+b") as f:
        f.write(other)
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    want = pyinfer.load(path)(X)
    state, y = run_cached(path)
    assert state == "new" and np.array_equal(y, want)


def test_external_data(path: Path, cache: Path) -> None:
    def save(seed: int) -> None:
        onnx.save(
            network(seed), path, save_as_external_data=True, location="w.bin", size_threshold=1
        )

    save(0)
    assert [run_cached(path)[0] for _ in range(2)] == ["new", "used"]
    kept = path.read_bytes()
    (path.parent / "w.bin").unlink()
    save(7)
    path.write_bytes(kept)  # the model is as before, the data beside it are not
    want = pyinfer.load(path)(X)
    state, y = run_cached(path)
    assert state == "new" and np.array_equal(y, want)
    moved = (path.parent / "w.bin").rename(path.parent / "away")
    with pytest.raises(pyinfer.FileError, match="no such file"):
        pyinfer.load(path, cache=True)
    assert moved.exists() and len(files(cache)) == 1


def test_other_machine_or_version(path: Path, cache: Path) -> None:
    want = run_cached(path)[1]
    (file,) = files(cache)
    code = "import sys, pyinfer; m = pyinfer.load(sys.argv[1]); m.set_cache(sys.argv[2], 0); print(m.plan_state)"
    for isa in ("any", ""):
        env = {**os.environ, "PYINFER_ISA": isa} if isa else dict(os.environ)
        done = subprocess.run(
            [sys.executable, "-c", code, str(path), str(file)],
            env=env,
            capture_output=True,
            text=True,
            cwd="/",  # not in the source tree, which python -c would put first
        )
        assert done.stdout.strip() == ("new" if isa else "used"), done.stderr
    assert np.array_equal(run_cached(path)[1], want)


def test_shapes(path: Path, cache: Path) -> None:
    """Blocks for other shapes are added, and none is lost to a process that does not need it."""
    shapes = [(1, 3, 32, 32), (2, 3, 8, 8), (1, 3, 64, 48), (3, 3, 33, 31), (1, 3, 3, 3)]
    plain = pyinfer.load(path)
    for _ in range(2):
        for shape in shapes:
            x = weights(5, *shape)
            assert np.array_equal(run_cached(path, x)[1], plain(x))
    (file,) = files(cache)
    inode = file.stat().st_ino
    with pyinfer.load(path, cache=True) as m:
        for shape in shapes:
            m(weights(5, *shape))
    assert file.stat().st_ino == inode


def test_options(path: Path) -> None:
    for options in (
        {"exact": 1},
        {"skip_padding": 0},
        {"onednn": 0},
        {"level": 0},
        {"level": 1},
        {"threads": 1},
        {"threads": 3},
        {},
    ):
        want = pyinfer.load(path, **options)(X)
        for _ in range(2):
            assert np.array_equal(run_cached(path, **options)[1], want), options


def test_threads_at_once(path: Path, cache: Path) -> None:
    from threading import Thread

    want = pyinfer.load(path)(X)
    wrong: list[int] = []
    with pyinfer.load(path, cache=True) as m:

        def work(k: int) -> None:
            for n in range(5):
                x = weights(k * 10 + n, 1, 3, 32, 32 + (k + n) % 4)
                m(x)
            if not np.array_equal(m(X), want):
                wrong.append(k)

        threads = [Thread(target=work, args=(k,)) for k in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    assert not wrong and np.array_equal(run_cached(path)[1], want)


def test_processes_at_once(path: Path, cache: Path) -> None:
    want = pyinfer.load(path)(X)
    np.save(path.parent / "x.npy", X)
    code = (
        "import sys, numpy as np, pyinfer\n"
        "for _ in range(10):\n"
        "    with pyinfer.load(sys.argv[1], cache=True, threads=1) as m: y = m(np.load(sys.argv[2]))\n"
        "    if _ % 3 == 1: pyinfer._cache.clear()\n"
        "np.save(sys.argv[3], y)"
    ).replace("pyinfer._cache.clear()", "__import__('pyinfer._cache')._cache.clear()")
    runs = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                code,
                str(path),
                str(path.parent / "x.npy"),
                str(path.parent / f"{k}.npy"),
            ],
            cwd="/",
        )
        for k in range(3)
    ]
    assert [p.wait(120) for p in runs] == [0, 0, 0]
    for k in range(3):
        assert np.allclose(np.load(path.parent / f"{k}.npy"), want, atol=1e-5)
    assert not list(cache.glob("*.part"))
    run_cached(path)
    assert run_cached(path)[0] == "used"


def test_damage_to_the_cache_is_not_seen(path: Path, cache: Path) -> None:
    want = run_cached(path)[1]
    (file,) = files(cache)
    good = file.read_bytes()
    rng = random.Random(1)
    for k in range(120):
        bad = bytearray(good)
        if k % 4 == 0:
            bad = bad[: rng.choice([0, 1, 7, 8, 100, 1100, 4096, rng.randrange(len(bad))])]
        elif k % 4 == 1:
            bad[rng.randrange(1100)] ^= 1 << rng.randrange(8)  # the header
        elif k % 4 == 2:
            bad[len(bad) - 1 - rng.randrange(3000)] ^= 1 << rng.randrange(8)  # the index
        else:
            bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
        replace(file, bytes(bad))
        assert np.array_equal(run_cached(path)[1], want), k
    assert [run_cached(path)[0] for _ in range(2)][1] == "used"


def replace(file: Path, data: bytes) -> None:
    """As the engine writes it: in place of the old one, which somebody may have mapped."""
    part = file.with_name("new")
    part.write_bytes(data)
    part.chmod(0o600)
    part.replace(file)


def test_folder_of_others(path: Path, cache: Path) -> None:
    cache.mkdir()
    cache.chmod(0o777)
    with pytest.warns(pyinfer.CacheWarning, match="others may write"):
        state, _ = run_cached(path)
    assert state == "none" and not files(cache)


def test_file_that_others_may_write(path: Path, cache: Path) -> None:
    run_cached(path)
    (file,) = files(cache)
    file.chmod(0o666)
    assert run_cached(path)[0] == "new"  # and it is replaced
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert run_cached(path)[0] == "used"


@pytest.mark.parametrize("kind", ["file", "absent", "link", "fifo"])
def test_no_place(kind: str, path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    want = pyinfer.load(path)(X)
    if kind == "file":
        cache.write_text("no folder")
    elif kind == "absent":
        monkeypatch.setenv("PYINFER_CACHE_DIR", "/proc/nobody/can/make/this")
    else:
        cache.mkdir(mode=0o700)
        place = cache / _cache.file_name(str(path))
        if kind == "link":
            place.symlink_to("/dev/zero")
        else:
            os.mkfifo(place)
    if kind in ("file", "absent"):
        with pytest.warns(pyinfer.CacheWarning):
            assert np.array_equal(run_cached(path)[1], want)
    else:
        assert np.array_equal(run_cached(path)[1], want)
        assert run_cached(path)[0] == "used"  # a file took its place


def test_no_room(path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYINFER_CACHE_SIZE", "1000")
    want = pyinfer.load(path)(X)
    for _ in range(2):
        assert np.array_equal(run_cached(path)[1], want)
    assert not files(cache)


def test_least_recently_used_go(path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = []
    for k in range(4):
        copy = path.with_name(f"m{k}.onnx")
        shutil.copy(path, copy)
        run_cached(copy)
        names.append(_cache.file_name(str(copy)))
        os.utime(cache / names[k], (1000 + k, 1000 + k))
    size = (cache / names[0]).stat().st_size
    (cache / "x.packs.1-1.part").write_text("a crash left this")
    os.utime(cache / "x.packs.1-1.part", (1000, 1000))
    os.utime(cache / names[0])  # used now
    monkeypatch.setenv("PYINFER_CACHE_SIZE", str(2 * size))
    assert run_cached(path.with_name("m3.onnx"))[0] == "used"
    assert {f.name for f in files(cache)} == {names[0], names[3]}


def test_bytes_have_no_cache(path: Path) -> None:
    with pytest.raises(pyinfer.InputError, match="needs the path"):
        pyinfer.load(path.read_bytes(), cache=True)


def test_pickle(path: Path) -> None:
    import pickle

    run_cached(path)
    with pyinfer.load(path, cache=True) as m:
        again = pickle.loads(pickle.dumps(m))
        assert again.plan_state == "used" and np.array_equal(again(X), m(X))
        again.close()


def test_command(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_cached(path)
    assert cli.main(["cache"]) == 0
    assert re.search(
        r"MB .* m-[0-9a-f]{16}\.packs\n.* in 1 files in .*, at most 4295 MB",
        capsys.readouterr().out,
    )
    assert cli.main(["cache", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["bytes"] == told["files"][0]["bytes"] > 0 and told["folder"] == _cache.folder()
    assert cli.main(["cache", "--clear", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["removed"]) == 1
    assert cli.main(["cache"]) == 0 and "in 0 files" in capsys.readouterr().out


def test_where(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PYINFER_CACHE_DIR")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert _cache.folder() == str(tmp_path / ".cache" / "pyinfer")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert _cache.folder() == str(tmp_path / "x" / "pyinfer")
    assert _cache.entries() == []


def test_failing_allocations(path: Path, cache: Path) -> None:
    """Each allocation of a load from the cache and its run fails once; the answer is an error, or right."""
    want = run_cached(path)[1]
    for n in range(1, 400, 3):
        _core._fail_alloc(n)
        try:
            y = run_cached(path, threads=1)[1]
        except (MemoryError, pyinfer.PyinferError):
            y = want
        finally:
            _core._fail_alloc(0)
        assert np.allclose(y, want, atol=1e-5)
    assert np.array_equal(run_cached(path)[1], want)


# ---- saved plans ----


@pytest.fixture
def plan(path: Path, tmp_path: Path) -> Path:
    with pyinfer.load(path) as m:
        m.save(tmp_path / "m.plan", X)
    return tmp_path / "m.plan"


def test_plan(plan: Path, path: Path) -> None:
    want = pyinfer.load(path)(X)
    path.unlink()
    assert stat.S_IMODE(plan.stat().st_mode) == 0o600
    with pyinfer.load(plan) as m:
        assert m.plan_state == "used" and np.array_equal(m(X), want)
        assert m.inputs[0].shape == ("batch", 3, "h", "w") and m.metadata["opset"] == "20"
        used = m.memory.used
        other = weights(3, 2, 3, 9, 9)
        assert np.array_equal(
            m(other), pyinfer.load(network())(other)
        )  # packed from the model inside
    with pyinfer.load(network()) as m:
        m(X)
        assert used < m.memory.used - 200_000


def test_plan_of_a_plan_of_bytes(path: Path, tmp_path: Path) -> None:
    want = pyinfer.load(path)(X)
    with pyinfer.load(path.read_bytes()) as m:
        m.save(tmp_path / "a.plan", X)
    with pyinfer.load(tmp_path / "a.plan") as m:
        assert np.array_equal(m(X), want)
        m.save(tmp_path / "b.plan")
        m.save(tmp_path / "a.plan")  # in place of the one that is in use
        assert np.array_equal(m(X), want)
    for name in ("a.plan", "b.plan"):
        with pyinfer.load(tmp_path / name) as m:
            assert m.plan_state == "used" and np.array_equal(m(X), want)


def test_plan_with_external_data(path: Path, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    outside = {"save_as_external_data": True, "location": "sub/w.bin", "size_threshold": 1}
    onnx.save(network(), path, **outside)
    want = pyinfer.load(path)(X)
    with pyinfer.load(path) as m:
        m.save(tmp_path / "m.plan", X)
    shutil.rmtree(tmp_path / "sub")
    with pyinfer.load(tmp_path / "m.plan") as m:
        assert np.array_equal(m(X), want)
        other = weights(3, 2, 3, 9, 9)
        assert np.array_equal(m(other), pyinfer.load(network())(other))


def test_plan_of_another_machine(plan: Path) -> None:
    code = (
        "import sys, warnings, numpy as np, pyinfer\n"
        "with warnings.catch_warnings(record=True) as w:\n"
        "    warnings.simplefilter('always')\n"
        "    m = pyinfer.load(sys.argv[1])\n"
        "print(m.plan_state, [x.category.__name__ for x in w], m(np.ones((1, 3, 32, 32), 'f')).shape)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(plan)], env={**os.environ, "PYINFER_ISA": "any"},
                          capture_output=True, text=True, cwd="/")  # fmt: skip
    assert done.stdout.strip() == "stale ['PlanWarning'] (1, 256)", done.stderr


def test_file_of_the_cache_is_no_plan(path: Path, cache: Path) -> None:
    run_cached(path)
    with pytest.raises(pyinfer.FileError, match="no model in it"):
        pyinfer.load(files(cache)[0])


def test_damaged_plan(plan: Path, tmp_path: Path) -> None:
    """Flips and cuts everywhere: an error that says so, or the right answer; never another one."""
    want = pyinfer.load(plan)(X)
    good = plan.read_bytes()
    bad_plan = tmp_path / "bad.plan"
    rng = random.Random(2)
    seen = {"error": 0, "right": 0}
    for k in range(400):
        bad = bytearray(good)
        at = rng.randrange(len(bad))
        if k % 5 == 0:
            bad = bad[:at]
        elif k % 5 == 1:
            bad[rng.randrange(1100)] = rng.randrange(256)
        elif k % 5 == 2:
            bad[len(bad) - 1 - rng.randrange(4000)] ^= 1 << rng.randrange(8)
        else:
            n = rng.choice([1, 8, 4096])
            bad[at : at + n] = rng.randbytes(n)[: len(bad) - at]
        replace(bad_plan, bytes(bad))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with pyinfer.load(bad_plan) as m:
                    y = m(X)
            assert np.array_equal(y, want), k
            seen["right"] += 1
        except pyinfer.PyinferError as error:
            assert bytes(bad) != good
            assert isinstance(error, (pyinfer.FileError, pyinfer.ModelError)), error
            seen["error"] += 1
    assert seen["error"] > 200


def test_refused_text(plan: Path) -> None:
    data = bytearray(plan.read_bytes())
    replace(plan, bytes(data[:-1]))
    with pytest.raises(pyinfer.FileError, match="saved plan is damaged: it is cut off"):
        pyinfer.load(plan)
    data[8] ^= 0xFF
    replace(plan, bytes(data))
    with pytest.raises(pyinfer.FileError, match="this version reads format"):
        pyinfer.load(plan)


def test_saving_where_one_may_not(path: Path, tmp_path: Path) -> None:
    with pyinfer.load(path) as m:
        with pytest.raises(pyinfer.FileError, match="No such file"):
            m.save(tmp_path / "no" / "m.plan")
        (tmp_path / "dir.plan").mkdir()
        with pytest.raises(pyinfer.FileError, match="directory"):
            m.save(tmp_path / "dir.plan")
    assert not list(tmp_path.glob("*.part"))
    with pytest.raises(pyinfer.InputError, match="closed"):
        m.save(tmp_path / "m.plan", X)


SHARED = """
import sys, numpy as np, pyinfer
m = pyinfer.load(sys.argv[1])
m(np.ones((1, 3, 32, 32), np.float32))
print("ready", flush=True)
sys.stdin.readline()
"""


def test_pages_are_shared(plan: Path) -> None:
    """Two processes run the same plan: both read it through one shared mapping, without a copy."""
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", SHARED, str(plan)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd="/",
        )
        for _ in range(2)
    ]
    for p in runs:
        assert p.stdout and p.stdout.readline() == "ready\n"
    text = Path(f"/proc/{runs[1].pid}/smaps").read_text()
    for p in runs:
        p.communicate("\n")
    (block,) = re.findall(
        rf"r--s .*{re.escape(str(plan))}\n((?:[A-Z].*kB\n|[A-Z]\w+: .*\n)+)", text
    )
    kb = {k: int(v) for k, v in re.findall(r"(\w+): +(\d+) kB", block)}
    # What a process maps "r--s" is the page cache itself, unless it were written to. How many processes have each
    # page mapped just now (Shared_*, Pss) is up to the kernel, which maps neighbours of a page that is read.
    assert kb["Rss"] > 300 and kb["Anonymous"] == 0
    assert kb["Shared_Clean"] + kb["Shared_Dirty"] > 0


def test_the_model_changed_before_saving(path: Path, tmp_path: Path) -> None:
    with pyinfer.load(path) as m:
        m(X)
        onnx.save(network(7), path)
        with pytest.raises(pyinfer.FileError, match="was changed since the model was loaded"):
            m.save(tmp_path / "m.plan")
    assert not (tmp_path / "m.plan").exists()
