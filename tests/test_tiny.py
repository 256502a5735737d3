# SPDX-License-Identifier: Apache-2.0
"""The first thing to run after a change: half a minute, and it says whether pyinfer works at all."""

import subprocess
import sys
from pathlib import Path

import numpy as np

import pyinfer
from pyinfer import example
from support import tiny


def test_the_packaged_pictures() -> None:
    model = pyinfer.load(example.model_path())
    x, labels = example.pictures()
    assert (model(x).argmax(axis=1) == labels).all()
    for one in range(len(x)):
        np.testing.assert_allclose(model(x[one : one + 1]), model(x)[one : one + 1], rtol=1e-5, atol=1e-6)


def test_every_level_gives_the_same() -> None:
    x, _ = example.pictures()
    results = [
        pyinfer.load(example.model_path(), level=level, onednn=onednn, threads=threads)(x)
        for level in (0, 1, 2)
        for onednn in (False, True)
        for threads in (1, 2)
    ]
    for result in results[1:]:
        np.testing.assert_allclose(result, results[0], rtol=1e-4, atol=1e-5)


def test_a_model_of_bytes() -> None:
    model = pyinfer.load(tiny.linear())
    np.testing.assert_allclose(model(np.ones((5, 3), np.float32)), [[6.5, -5.75]] * 5)


def test_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pyinfer", "run", "--example"],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=Path(__file__).parent,  # python -m would take the source tree where it stands in it
    )
    assert done.returncode == 0, done.stderr
    assert f"{len(example.pictures()[0])} of {len(example.pictures()[0])} right" in done.stdout
