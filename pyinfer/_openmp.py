# SPDX-License-Identifier: Apache-2.0
"""Sets how long OpenMP's threads spin, while the extension module is loaded.

libgomp reads the environment once, when it is loaded, and by default lets a thread that waits spin
for milliseconds: on a machine that is shared, that is time which the thread it waits for would
have needed (MobileNetV2 on two busy cores: ten times slower), and heat after each run. 2000 turns
are some 50 microseconds, longer than the way from one step of a model to the next. What the user
sets has precedence; the environment is as before afterwards; if libgomp is there already (PyTorch
was imported first), nothing changes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

SPIN = "2000"


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
