# SPDX-License-Identifier: Apache-2.0
"""Times and sizes as people read them."""

from __future__ import annotations


def time_text(ms: float) -> str:
    """Milliseconds.

    >>> time_text(0.0004), time_text(0.0314), time_text(12.345)
    ('0.4 µs', '31.4 µs', '12.35 ms')
    """
    return f"{ms:.2f} ms" if ms >= 0.1 else f"{ms * 1e3:.1f} µs"


def bytes_text(count: float) -> str:
    """Bytes.

    >>> bytes_text(512), bytes_text(20480), bytes_text(3.2e6)
    ('512 B', '20.5 kB', '3.2 MB')
    """
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:.0f} B"
