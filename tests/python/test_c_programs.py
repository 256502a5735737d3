# SPDX-License-Identifier: Apache-2.0
"""Programs in C and C++ find the library of the installed package, with pkg-config and with CMake."""

import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from lint import binary

EXAMPLES = Path(__file__).resolve().parents[1] / "c" / "examples"
STRICT = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-O1"]


def run(*command: str | Path, **more: object) -> str:
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **more)  # type: ignore[call-overload]
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return str(done.stdout)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """y = x @ w + b for x of [n, 3]."""
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
    onnx.checker.check_model(proto)
    path.write_bytes(proto.SerializeToString())
    return path


def with_pkg_config(folder: Path) -> None:
    """The .pc is found through the package's entry point, as its users would (PyPI's pkgconf)."""
    flags = run(sys.executable, "-m", "pkgconf", "--cflags", "--libs", "pyinfer", cwd=folder).split()
    library = binary.package() / "lib"
    run("gcc", "-std=c11", *STRICT, EXAMPLES / "ones.c", *flags, f"-Wl,-rpath,{library}", "-o", folder / "ones")
    run("g++", "-std=c++11", *STRICT, EXAMPLES / "classify.cc", *flags, f"-Wl,-rpath,{library}", "-o", folder / "classify")


def with_cmake(folder: Path) -> None:
    run("cmake", "-S", EXAMPLES, "-B", folder, "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={binary.package()}")
    run("cmake", "--build", folder)


@pytest.mark.parametrize("build", [with_pkg_config, with_cmake], ids=["pkg-config", "cmake"])
def test_programs(build: object, model: Path, tmp_path: Path) -> None:
    assert callable(build)
    build(tmp_path)
    assert run(tmp_path / "ones", model) == "y f32[1, 2]: 6.5 -5.75\n"
    assert run(tmp_path / "classify", model, "1", "2", "3") == "0\n"
    assert run(tmp_path / "classify", model, "-1", "-2", "-3") == "1\n"
    bad = subprocess.run([tmp_path / "ones", EXAMPLES / "ones.c"], capture_output=True, text=True)
    assert bad.returncode == 1 and bad.stderr.startswith("ModelError: ") and bad.stderr.count("\n") == 1
    missing = subprocess.run([tmp_path / "classify", "no/such/file", "1"], capture_output=True, text=True)
    assert missing.returncode == 1 and "no/such/file" in missing.stderr


def test_the_pc_file_is_relocatable(tmp_path: Path) -> None:
    text = (binary.package() / "lib/pkgconfig/pyinfer.pc").read_text()
    assert "prefix=${pcfiledir}/../..\n" in text
    assert "=/" not in text and "-I/" not in text and "-L/" not in text
    version = run(sys.executable, "-m", "pkgconf", "--modversion", "pyinfer", cwd=tmp_path).strip()
    assert f"Version: {version}\n" in text
