# SPDX-License-Identifier: Apache-2.0
"""A row of tests/python/test_mistakes*.py: a function that must raise this error, with this text."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable
from typing import Any

import pytest
from onnx import helper


def says(error: type[BaseException], text: str, numbers: bool = True) -> Callable[[Callable[..., Any]], Callable[..., None]]:
    """The function must raise just this error with just this text, in which FOLDER is the current folder. numbers=False: a
    number is N in it: bytes that depend on the CPU, the threads and the build."""

    def decorate(act: Callable[..., Any]) -> Callable[..., None]:
        @functools.wraps(act)
        def test(**fixtures: Any) -> None:
            with pytest.raises(error) as info:
                act(**fixtures)
            said = str(info.value).replace(os.getcwd(), "FOLDER")
            assert (said if numbers else re.sub(r"\b\d+\b", "N", said)) == text
            assert info.type is error

        return test

    return decorate


def node(op: str, ins: str, outs: str, name: str = "", line: str = "", **more: Any) -> Any:
    """A node that came from this line of PyTorch, line 7 of net.py."""
    made = helper.make_node(op, ins.split(), outs.split(), name, **more)
    if line:
        trace = f'File "/src/net.py", line 7, in forward\n    {line}'
        made.metadata_props.add(key="pkg.torch.onnx.stack_trace", value=trace)
    return made
