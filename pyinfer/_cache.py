# SPDX-License-Identifier: Apache-2.0
"""The folder where load(..., cache=True) keeps packed weights.

One file a model, machine and version: PYINFER_CACHE_DIR, or pyinfer beneath XDG_CACHE_HOME, or
~/.cache/pyinfer. The files least recently used go when all are larger than PYINFER_CACHE_SIZE
(bytes; 4 GB if it is not set). Any file may be removed at any time.
"""

from __future__ import annotations

import os
import re
import stat
import time
from typing import NamedTuple

STANDARD_SIZE = 4 << 30
SUFFIX = ".packs"


class Entry(NamedTuple):
    """A file of the cache: its path, its size in bytes, when it was last used (seconds since
    1970)."""

    path: str
    size: int
    used: float


def folder() -> str:
    """Where the cache is; it may not exist yet."""
    named = os.environ.get("PYINFER_CACHE_DIR")
    if named:
        return os.path.abspath(named)
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):  # the rule of the XDG specification
        base = os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "pyinfer")


def size_limit() -> int:
    """Bytes that all files may have together."""
    text = os.environ.get("PYINFER_CACHE_SIZE", "")
    return int(text) if text.isascii() and text.isdigit() else STANDARD_SIZE


def open_folder() -> str:
    """The folder, made if need be; OSError if there is none that only this user may write to."""
    path = folder()
    os.makedirs(path, mode=0o700, exist_ok=True)
    found = os.stat(path)
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o022:
        raise PermissionError(f"{path} belongs to another user, or others may write to it")
    return path


def file_name(model: str) -> str:
    """The name of the file for a model's path, on this machine, with this version."""
    from . import config

    found = config()
    text = "\n".join([os.path.realpath(model), found["version"], found["cpu"], found["onednn"]])
    number = 0xCBF29CE484222325
    for byte in text.encode(errors="surrogateescape"):  # FNV-1a; the file says what it is for
        number = (number ^ byte) * 0x100000001B3 % 2**64
    stem = re.sub(r"[^\w.-]", "_", os.path.splitext(os.path.basename(model))[0])[:60]
    return f"{stem}-{number:016x}{SUFFIX}"


def entries() -> list[Entry]:
    """The files, most recently used first."""
    found = []
    try:
        with os.scandir(folder()) as rows:
            for row in rows:
                if row.name.endswith(SUFFIX) and row.is_file(follow_symlinks=False):
                    s = row.stat(follow_symlinks=False)
                    found.append(Entry(row.path, s.st_size, s.st_mtime))
    except FileNotFoundError:
        pass
    return sorted(found, key=lambda e: -e.used)


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:  # another process was quicker
        pass


def shrink(keep: str = "") -> None:
    """Removes what is too much, and what a crash left half-written an hour ago."""
    limit, total = size_limit(), 0
    for entry in entries():
        total += entry.size
        if total > limit and entry.path != keep:
            _remove(entry.path)
            total -= entry.size
    with os.scandir(folder()) as rows:
        for row in rows:
            if (
                row.name.endswith(".part")
                and row.stat(follow_symlinks=False).st_mtime < time.time() - 3600
            ):
                _remove(row.path)


def clear() -> list[Entry]:
    """Removes all files; gives what was removed."""
    gone = entries()
    for entry in gone:
        _remove(entry.path)
    return gone


def place_for(model: str) -> str:
    """The path of the file for a model, marked as used now; OSError as of open_folder."""
    path = os.path.join(open_folder(), file_name(model))
    try:
        os.utime(path, follow_symlinks=False)
    except FileNotFoundError:
        pass
    shrink(keep=path)
    return path
