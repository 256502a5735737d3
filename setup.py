# SPDX-License-Identifier: Apache-2.0
"""Calls the one build description, csrc/CMakeLists.txt; everything else stands in pyproject.toml.

Environment:
  PYINFER_ONEDNN=0         leave oneDNN out: the engine then runs on its own kernels
  PYINFER_SANITIZE=LIST    e.g. address,undefined
  PYINFER_PARANOID=1       slow self-checks
  PYINFER_COVERAGE=1       count the lines of C that run
  CMAKE_ARGS               more arguments for cmake
"""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent


class CMakeBuild(build_ext):
    """Builds libpyinfer and pyinfer._core, and installs them into the package."""

    def run(self) -> None:
        package = (ROOT if self.inplace else Path(self.build_lib).resolve()) / "pyinfer"
        sanitize = os.environ.get("PYINFER_SANITIZE", "")
        paranoid = os.environ.get("PYINFER_PARANOID", "0") not in ("", "0")
        coverage = os.environ.get("PYINFER_COVERAGE", "0") not in ("", "0")
        flavour = (sanitize.replace(",", "-"), "paranoid" * paranoid, "coverage" * coverage)
        build = ROOT / "build" / "-".join(filter(None, (sys.implementation.cache_tag, *flavour)))
        onednn = {"": "AUTO", "0": "OFF", "1": "ON"}[os.environ.get("PYINFER_ONEDNN", "")]
        cmake, ninja = shutil.which("cmake"), shutil.which("ninja")
        if not cmake or not ninja:
            raise SystemExit("pyinfer is built with cmake and ninja: pip install cmake ninja")

        for stale in ("lib", "include"):  # of another build: with oneDNN, or without
            shutil.rmtree(package / stale, ignore_errors=True)
        configure = [
            *(cmake, "-S", str(ROOT / "csrc"), "-B", str(build), "-G", "Ninja"),
            *("-U", "Python3_*", "-U", "_Python3_*"),  # an isolated build's folders live once
            f"-DCMAKE_MAKE_PROGRAM={ninja}",
            f"-DPython3_EXECUTABLE={sys.executable}",
            f"-DPYINFER_SANITIZE={sanitize}",
            f"-DPYINFER_PARANOID={'ON' if paranoid else 'OFF'}",
            f"-DPYINFER_COVERAGE={'ON' if coverage else 'OFF'}",
            f"-DPYINFER_ONEDNN={onednn}",
            "-DPYINFER_PYTHON=ON",
            *shlex.split(os.environ.get("CMAKE_ARGS", "")),
        ]
        subprocess.run(configure, check=True)
        parallel = [f"-j{self.parallel}"] if self.parallel else []
        subprocess.run([cmake, "--build", str(build), *parallel], check=True)
        strip = [] if self.inplace or sanitize else ["--strip"]
        install = [cmake, "--install", str(build), "--prefix", str(package), *strip]
        subprocess.run(install, check=True)


setup(
    ext_modules=[Extension("pyinfer._core", sources=[])],
    cmdclass={"build_ext": CMakeBuild},
)
