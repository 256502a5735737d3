# SPDX-License-Identifier: Apache-2.0
"""The ways to install: sdist to wheel, --target, a fresh environment, -e, without oneDNN, other Pythons.

Every build here is isolated, as `pip install .` does it. Sizes and times are printed, sizes are bounded.
"""

import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from lint import binary

pytestmark = pytest.mark.full

ROOT = Path(__file__).resolve().parents[2]
MB = 1e6
SMOKE = """
import sys, pathlib
import numpy, pyinfer
model = pyinfer.load(sys.argv[1])
y = model(numpy.array([[1, 2, 3], [0, 0, 1]], numpy.float32))
assert numpy.allclose(y, [[14.5, -13.75], [3.5, -2.75]]), y
pyinfer.show_config()
print("from", pathlib.Path(pyinfer.__file__).resolve().parent)
print("version", pyinfer.__version__)
"""


def run(*command: str | Path, env: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYINFER_SANITIZE", "LD_PRELOAD")}
    done = subprocess.run(
        [str(c) for c in command], capture_output=True, text=True, env={**clean, **(env or {})}, cwd=cwd
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def pip_wheel(source: Path, to: Path, env: dict[str, str] | None = None, python: Path | str = sys.executable) -> Path:
    start = time.monotonic()
    run(python, "-m", "pip", "wheel", "--no-deps", "--no-cache-dir", "-w", to, source, env=env)
    (wheel,) = to.glob("*.whl")
    print(f"\n{wheel.name}: {wheel.stat().st_size / MB:.1f} MB, built in {time.monotonic() - start:.0f} s", end="")
    return wheel


def names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        print(f", {sum(info.file_size for info in archive.infolist()) / MB:.1f} MB installed")
        return archive.namelist()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["xw"]), helper.make_node("Add", ["xw", "b"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        [
            helper.make_tensor("w", TensorProto.FLOAT, [3, 2], [1, -1, 2, -2, 3, -3]),
            helper.make_tensor("b", TensorProto.FLOAT, [2], [0.5, 0.25]),
        ],
    )
    path = tmp_path_factory.mktemp("model") / "linear.onnx"
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(proto, path)
    return path


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    to = tmp_path_factory.mktemp("sdist")
    run(sys.executable, "-m", "build", "--sdist", "--outdir", to, ROOT)
    (archive,) = to.glob("*.tar.gz")
    print(f"\n{archive.name}: {archive.stat().st_size / MB:.2f} MB")
    assert archive.stat().st_size < 5 * MB
    return archive


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With oneDNN, from the sdist: the way of a user without a ready wheel."""
    return pip_wheel(sdist, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def tree(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources, unpacked: builds in it do not touch the work tree."""
    to = tmp_path_factory.mktemp("tree")
    run("tar", "-xf", sdist, "-C", to)
    (folder,) = to.iterdir()
    return folder


def environment(folder: Path, python: str | Path = sys.executable) -> Path:
    run(python, "-m", "venv", folder)
    return folder / "bin" / "python"


def smoke(python: Path | str, model: Path, env: dict[str, str] | None = None) -> str:
    text = run(python, "-c", SMOKE, model, env=env, cwd=model.parent)
    print(text)
    return text


def test_the_wheel_is_complete_and_small(wheel: Path) -> None:
    found = names(wheel)
    assert wheel.stat().st_size < 20 * MB
    with zipfile.ZipFile(wheel) as archive:
        assert sum(info.file_size for info in archive.infolist()) < 60 * MB
    inside = {n.removeprefix("pyinfer/") for n in found if n.startswith("pyinfer/")}
    assert inside >= {
        *("__init__.py", "py.typed", "_core.pyi", "lib/libpyinfer.so", "lib/libdnnl.so.3", "include/pyinfer.h"),
        *("lib/pkgconfig/pyinfer.pc", "lib/cmake/pyinfer/pyinferConfig.cmake"),
        *("lib/onednn-licence/LICENSE", "lib/onednn-licence/THIRD-PARTY-PROGRAMS"),
    }
    assert [n for n in inside if n.startswith("_core.") and n.endswith(".so")]
    assert len([n for n in inside if "dnnl" in n and ".so" in n]) == 1
    assert any(n.endswith("dist-info/licenses/LICENSE") for n in found)
    outside = [n for n in found if not n.startswith("pyinfer")]
    assert not outside, "files beside the package"


def test_target(wheel: Path, model: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "pip", "install", "--no-deps", "--target", tmp_path, wheel)
    text = smoke(sys.executable, model, {"PYTHONPATH": str(tmp_path)})
    assert f"from {tmp_path.resolve()}/pyinfer\n" in text
    for library in ("libpyinfer.so", "libdnnl.so.3"):
        assert not (tmp_path / "pyinfer/lib" / library).is_symlink()
    # the big library was stripped
    assert ".symtab" not in binary.tool("readelf", "-SW", tmp_path / "pyinfer/lib/libdnnl.so.3")


def test_fresh_environment(wheel: Path, model: Path, tmp_path: Path) -> None:
    python = environment(tmp_path / "fresh")
    run(python, "-m", "pip", "install", wheel)
    assert f"from {tmp_path.resolve()}" in smoke(python, model)
    assert run(python.with_name("pyinfer"), "--help")
    assert run(python, "-m", "pyinfer", "--help", cwd=tmp_path)  # not the source tree, which -m puts first
    run(python, "-m", "pip", "uninstall", "-y", "pyinfer")
    assert not list(tmp_path.glob("fresh/lib/python*/site-packages/pyinfer*"))


def test_editable(tree: Path, model: Path, tmp_path: Path) -> None:
    python = environment(tmp_path / "edit")
    run(python, "-m", "pip", "install", "-e", tree)
    assert f"from {tree.resolve()}/pyinfer\n" in smoke(python, model)


def test_without_onednn(tree: Path, model: Path, tmp_path: Path) -> None:
    wheel = pip_wheel(tree, tmp_path / "wheel", {"PYINFER_ONEDNN": "0"})
    assert not [n for n in names(wheel) if "dnnl" in n or "onednn" in n]
    assert wheel.stat().st_size < 5 * MB
    run(sys.executable, "-m", "pip", "install", "--no-deps", "--target", tmp_path / "to", wheel)
    smoke(sys.executable, model, {"PYTHONPATH": str(tmp_path / "to")})


def other_pythons() -> list[Path]:
    """Supported Pythons that are installed here, of other versions than this one."""
    found = {}
    folders = [Path(p) for p in os.environ.get("PATH", "").split(os.pathsep) if p]
    folders += sorted(Path.home().glob(".pyenv/versions/*/bin"))
    for minor in range(10, 14):
        for folder in folders:
            python = folder / f"python3.{minor}"
            if minor != sys.version_info.minor and python.is_file() and "shims" not in python.parts:
                found.setdefault(minor, python)
    return list(found.values())


def test_other_pythons(tree: Path, model: Path, tmp_path: Path) -> None:
    for python in other_pythons():
        inside = environment(tmp_path / python.name, python)
        wheel = pip_wheel(tree, tmp_path / f"wheel-{python.name}", python=inside)
        run(inside, "-m", "pip", "install", wheel)
        smoke(inside, model)


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="NumPy 1.26 knows no Python 3.13")
def test_old_numpy(wheel: Path, model: Path, tmp_path: Path) -> None:
    """Built with NumPy 2, run with 1.26."""
    inside = environment(tmp_path / "old")
    run(inside, "-m", "pip", "install", "numpy==1.26.*", wheel)
    smoke(inside, model)
