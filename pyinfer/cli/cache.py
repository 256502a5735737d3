# SPDX-License-Identifier: Apache-2.0
"""Lists the packed weights that `pyinfer.load(..., cache=True)` keeps, the last used first, or
removes them. Any of the files may be removed at any time."""

from __future__ import annotations

import argparse
import os
import time

from ._shared import Parser, print_json

EXAMPLES = """\
  pyinfer cache
  pyinfer cache --clear
"""


def arguments(parser: Parser) -> None:
    parser.add("--clear", action="store_true", help="remove all files")
    parser.add_json()


def run(args: argparse.Namespace) -> int:
    from .. import _cache

    rows = _cache.clear() if args.clear else _cache.entries()
    total = sum(e.size for e in rows)
    if args.json:
        listed = [{"path": e.path, "bytes": e.size, "used": e.used} for e in rows]
        report = {"folder": _cache.folder(), "limit": _cache.size_limit(), "bytes": total}
        return print_json({**report, "removed" if args.clear else "files": listed})
    for e in rows:
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(e.used))
        print(f"{e.size / 1e6:10.1f} MB  {used}  {os.path.basename(e.path)}")
    what = "removed from" if args.clear else "in"
    print(f"{total / 1e6:.1f} MB in {len(rows)} files {what} {_cache.folder()}, at most "
          f"{_cache.size_limit() / 1e6:.0f} MB")  # fmt: skip
    return 0
