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


FLOATS = {
    0: 0.0,
    -1: math.nan,
    3: 1.5,
    2**62: 1e38,
}  # what a number of `fills` is in a tensor of floats


def dtype_of(name: str) -> np.dtype | None:
    if name in ("str", "string", "object"):
        return np.dtype(object)
    if name in np.sctypeDict:
        return np.dtype(name)
    try:
        import ml_dtypes
    except ImportError:
        return None
    return np.dtype(getattr(ml_dtypes, name)) if hasattr(ml_dtypes, name) else None


def array(shape: tuple[int, ...], dtype: np.dtype, fill: int) -> np.ndarray:
    if dtype.hasobject:
        return np.full(shape, "" if fill == 0 else str(fill), object)
    if dtype.kind in "iu":
        return np.full(shape, fill, np.int64).astype(dtype)
    with np.errstate(all="ignore"):
        return np.full(shape, FLOATS[fill]).astype(dtype)


def feeds(model: pyinfer.Model, fill: int) -> dict[str, np.ndarray] | None:
    """The number for each input, two for each free dimension; None if an input is too large, or of a type that NumPy lacks."""
    made = {}
    for row in model.inputs:
        shape = tuple(d if isinstance(d, int) and d >= 0 else 2 for d in row.shape or ())
        dtype = dtype_of(str(row.dtype))
        if dtype is None or math.prod(shape) > SMALL:
            return None
        made[row.name] = array(shape, dtype, fill)
    return made


def attempt(source: bytes | str, fills: list[int], limit: int) -> str:
    try:
        model = pyinfer.load(source, memory_limit=limit)
        for fill in fills:
            inputs = feeds(model, fill)
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


def node(case: tuple[bytes, dict[str, np.ndarray]], limit: int) -> str:
    """A model with its own inputs."""
    data, inputs = case
    try:
        pyinfer.load(data, level=0, memory_limit=limit).run(inputs)
    except ALLOWED as error:
        assert type(error) is MemoryError or str(error), "an error without text"
        return f"{type(error).__name__}: {error}".replace("\n", " ")
    except ValueError as error:
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
            if isinstance(source, tuple):
                print(node(source, options["limit"]), flush=True)
            else:
                print(attempt(source, options["fills"], options["limit"]), flush=True)
            lines += 1

    if options["stack"]:
        threading.stack_size(options["stack"])
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return 0 if lines == len(sources) else 1


if __name__ == "__main__":
    sys.exit(main())
