# SPDX-License-Identifier: Apache-2.0
"""Memory that the system refuses: allocation n fails, for every n that loading and running have."""

import gc

import numpy as np

import pyinfer
from pyinfer import _core
from support import tiny

X = np.float32([[1, 2, 3]])


def test_each_allocation_may_fail() -> None:
    data = tiny.linear()
    expected = pyinfer.load(data, threads=1)(X).tobytes()
    gc.collect()
    alive = _core._alive_blocks()
    failures = 0
    for nth in range(1, 5000):
        model = None
        _core._fail_alloc(nth)
        try:
            model = pyinfer.load(data, threads=1)
            result = model(X).tobytes()
        except MemoryError:  # LimitError is one too
            failures += 1
            result = None
        finally:
            _core._fail_alloc(0)
        if model is not None:  # a model whose run failed is as good as before
            assert model(X).tobytes() == expected
            model.close()
        del model
        assert _core._alive_blocks() == alive, f"a leak after failure {nth}"
        if result is not None:
            assert result == expected
            break
    else:
        raise AssertionError("still failing after 5000 allocations")
    assert failures > 20
