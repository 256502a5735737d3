# SPDX-License-Identifier: Apache-2.0
"""Loads OpenMP before anybody else does, to set how long its threads spin.

libgomp reads the environment once, when it is loaded, and by default lets a thread that waits spin
for several milliseconds: heat after each run, and on a busy machine time that the thread waited for
would have needed. Waking a thread that sleeps costs 50 microseconds or more, so a worker should not
sleep between the steps of a model. 30,000 turns, somewhat under a millisecond, are longer than most
steps that run on one thread. What the user sets has precedence; the environment is as before
afterwards; if libgomp is there already (PyTorch was imported first), nothing changes.

The engine itself is loaded later, when it is first used; PyTorch may be imported in between.
"""

from __future__ import annotations

import os

SPIN = "30000"
LIBRARY = "libgomp.so.1"  # what the engine is linked with


def load_openmp() -> None:
    """Loads libgomp with GOMP_SPINCOUNT set, unless the user said how threads shall wait. If it is
    not found by its name alone, the engine loads it later, and threads spin as they usually do."""
    if "GOMP_SPINCOUNT" in os.environ or "OMP_WAIT_POLICY" in os.environ:
        return
    os.environ["GOMP_SPINCOUNT"] = SPIN
    try:
        from _ctypes import dlopen  # as ctypes.CDLL does; all of ctypes takes 4 ms

        dlopen(LIBRARY, os.RTLD_NOW)
    except (ImportError, OSError):
        pass
    finally:
        os.environ.pop("GOMP_SPINCOUNT", None)
