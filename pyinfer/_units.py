# SPDX-License-Identifier: Apache-2.0
"""Times, sizes and numbers of things as people read them."""

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


def count_text(n: int, what: str, many: str = "") -> str:
    """Things.

    >>> count_text(1, "step"), count_text(2000, "step"), count_text(2, "step is", "steps are")
    ('1 step', '2,000 steps', '2 steps are')
    """
    return f"{n:,} {what if n == 1 else many or what + 's'}"
