# SPDX-License-Identifier: Apache-2.0
"""The examples in the documentation of pyinfer run, and each public name has a text."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import pyinfer

MODULES = sorted(m.name for m in pkgutil.walk_packages(pyinfer.__path__, "pyinfer.") if "__main__" not in m.name)


@pytest.mark.parametrize("name", ["pyinfer", *(m for m in MODULES if not m.endswith("_core"))])
def test_examples(name: str) -> None:
    if ".widgets" in name:
        pytest.importorskip("_tkinter", reason="this Python has no Tk")
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.failed == 0


def test_there_are_examples() -> None:
    finder = doctest.DocTestFinder()
    assert sum(len(test.examples) for test in finder.find(pyinfer)) >= 4


def test_public_names_are_documented() -> None:
    for name in pyinfer.__all__:
        thing = getattr(pyinfer, name)
        if not name.startswith("__") and not inspect.isclass(thing):
            assert inspect.getdoc(thing), name
