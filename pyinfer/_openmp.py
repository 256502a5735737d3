# SPDX-License-Identifier: Apache-2.0
"""Sets how long OpenMP's threads spin, while the extension module is loaded.

libgomp reads the environment once, when it is loaded, and by default lets a thread that waits spin
for several milliseconds: heat after each run, and on a busy machine time that the thread waited for
would have needed. Waking a thread that sleeps costs 50 microseconds or more, so a worker should not
sleep between the steps of a model. 30,000 turns, somewhat under a millisecond, are longer than most
steps that run on one thread. What the user sets has precedence; the environment is as before
afterwards; if libgomp is there already (PyTorch was imported first), nothing changes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

SPIN = "30000"


@contextmanager
def short_spin() -> Iterator[None]:
    """While this is open, GOMP_SPINCOUNT is set, unless the user said how threads shall wait."""
    ours = "GOMP_SPINCOUNT" not in os.environ and "OMP_WAIT_POLICY" not in os.environ
    if ours:
        os.environ["GOMP_SPINCOUNT"] = SPIN
    try:
        yield
    finally:
        if ours:
            os.environ.pop("GOMP_SPINCOUNT", None)
