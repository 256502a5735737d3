# SPDX-License-Identifier: Apache-2.0
"""Loads and runs hostile models; a process of its own, so that its death is seen. See small.survive."""

import math
import pickle
import resource
import sys
import threading
import warnings

import numpy as np

import pyinfer

ALLOWED = (pyinfer.PyinferError, MemoryError)
SMALL = 1 << 16  # elements of an input that is made up


def feeds(model: pyinfer.Model) -> dict[str, np.ndarray] | None:
    """Zeros for each input, two for each free dimension; None if an input is too large, or of a type that NumPy lacks."""
    made = {}
    for row in model.inputs:
        shape = tuple(d if isinstance(d, int) and d >= 0 else 2 for d in row.shape or ())
        name = str(row.dtype)
        if name in ("str", "string", "object"):
            dtype = np.dtype(object)
        elif name in np.sctypeDict:
            dtype = np.dtype(name)
        else:
            return None
        if math.prod(shape) > SMALL:
            return None
        made[row.name] = np.full(shape, "" if dtype.hasobject else 0, dtype)
    return made


def attempt(source: bytes | str, run: bool) -> str:
    try:
        model = pyinfer.load(source)
        inputs = feeds(model) if run else None
        if inputs is not None:
            model.run(inputs)
    except ALLOWED as error:
        assert type(error) is MemoryError or str(error), "an error without text"
        return f"{type(error).__name__}: {error}".replace("\n", " ")
    except (
        ValueError
    ) as error:  # an output without elements may have a shape that NumPy cannot make
        if "array is too big" not in str(error) and "Maximum allowed dimension" not in str(error):
            raise
    return "ok"


def main() -> int:
    sources, options = pickle.loads(sys.stdin.buffer.read())
    warnings.simplefilter("ignore")
    if options["memory"]:
        resource.setrlimit(resource.RLIMIT_AS, (options["memory"], options["memory"]))
    lines = 0

    def work() -> None:
        nonlocal lines
        for source in sources:
            print(attempt(source, options["run"]), flush=True)
            lines += 1

    if options["stack"]:
        threading.stack_size(options["stack"])
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return 0 if lines == len(sources) else 1


if __name__ == "__main__":
    sys.exit(main())
