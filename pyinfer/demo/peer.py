# SPDX-License-Identifier: Apache-2.0
"""The child process of engines.Peer: `python peer.py ENGINE MODEL THREADS`. Run as a file, so
that it does not import pyinfer, whose settings of OpenMP the other engine would meet.

Reads pickles of None (are you ready?) or feeds from standard input, and answers with (True, None),
(True, (outputs, milliseconds)) or (False, text)."""

from __future__ import annotations

import importlib.util
import os
import pickle
import sys
import time
from collections.abc import Callable
from typing import Any

Run = Callable[[dict[str, Any]], list[Any]]


def onnx_runtime(path: str, threads: int) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda feeds: session.run(None, feeds)


def pytorch(path: str, threads: int) -> Run:
    file = os.path.join(os.path.dirname(os.path.abspath(__file__)), "torchnet.py")
    spec = importlib.util.spec_from_file_location("torchnet", file)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    run: Run = module.TorchNet(path, threads).run
    return run


ENGINES = {"ONNX Runtime": onnx_runtime, "PyTorch": pytorch}


def main(engine: str, path: str, threads: str) -> None:
    """The conversation, until standard input ends. What libraries print goes elsewhere."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    run: Run | None = None
    while True:
        try:
            feeds = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        reply: tuple[bool, Any]
        try:
            if run is None:
                run = ENGINES[engine](path, int(threads))
            if feeds is None:
                reply = True, None
            else:
                start = time.perf_counter()
                outputs = run(feeds)
                reply = True, (outputs, (time.perf_counter() - start) * 1e3)
        except Exception as error:  # the window shows it, whatever it is
            reply = False, f"{type(error).__name__}: {error}"
        pickle.dump(reply, out)
        out.flush()


if __name__ == "__main__":
    sys.path.pop(0)  # this folder
    main(*sys.argv[1:4])
