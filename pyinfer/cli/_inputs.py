# SPDX-License-Identifier: Apache-2.0
"""Arrays for the inputs of a model, from --input and --size."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from . import Problem, Usage
from ._shared import nearest

if TYPE_CHECKING:
    import numpy as np

    from ..model import Model, Port

MADE_UP = ("random", "zeros", "ones")


def _file(path: str, port: Port) -> np.ndarray:
    import numpy as np

    try:
        array: np.ndarray = np.load(path, allow_pickle=False)
        return array
    except ValueError as error:
        text = str(error)
        if "allow_pickle" in text:
            text = "no array of numbers or texts; save texts with dtype=str, not object"
        raise Problem(f"input {port.name}: {path}: {text}") from None


def _picture(path: str, port: Port) -> np.ndarray:
    """A picture as the input has it: grey or RGB, channels before or behind the pixels, scaled to
    its size; 0..1 for floats, 0..255 for whole numbers without sign."""
    import numpy as np

    from .._tensors import made_up

    try:
        from PIL import Image
    except ImportError:
        raise Problem("reading pictures needs Pillow: pip install Pillow") from None
    if not os.path.exists(path):
        raise Problem(f"input {port.name}: {path}: No such file or directory")
    if port.shape is None or len(port.shape) != 4:
        raise Problem(f"a picture needs an input of 4 dimensions, {port} is none")
    dtype = made_up(port, 1, "zeros").dtype
    if dtype.kind in "ibO":
        raise Problem(f"a picture needs an input of floats or of uint8, {port} is none")
    last = port.shape[3] in (1, 3) and port.shape[1] not in (1, 3)
    channels, height, width = port.shape[1:] if not last else (port.shape[3], *port.shape[1:3])
    try:
        image = Image.open(path).convert("L" if channels == 1 else "RGB")
    except OSError:
        raise Problem(f"input {port.name}: {path} is neither a .npy file nor a picture") from None
    if isinstance(height, int) and isinstance(width, int):
        image = image.resize((width, height))
    pixels = np.asarray(image)[None]
    pixels = pixels[..., None] if channels == 1 else pixels
    pixels = pixels if last else pixels.transpose(0, 3, 1, 2)
    scaled = pixels if dtype.kind == "u" else np.float32(pixels) / np.float32(255)
    return np.ascontiguousarray(scaled, dtype)


def _number(text: str) -> int | float | None:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return None


def _filled(port: Port, size: int, value: Any) -> np.ndarray:
    import numpy as np

    from .._tensors import made_up

    array: np.ndarray = made_up(port, size, "zeros")
    if array.dtype.kind in "iu" and not isinstance(value, int):
        raise Problem(f"input {port} takes whole numbers, not {value}")
    try:
        return np.full_like(array, value)
    except OverflowError:
        raise Problem(f"input {port} cannot hold {value}") from None


def _known_sizes(ports: Mapping[str, Port], feeds: Mapping[str, np.ndarray]) -> dict[str, int]:
    """Of symbols of the model: as the arrays have them that were given."""
    return {
        symbol: n
        for name, array in feeds.items()
        for symbol, n in zip(ports[name].shape or (), array.shape, strict=False)
        if isinstance(symbol, str)
    }


def make_feeds(model: Model, args: argparse.Namespace) -> dict[str, np.ndarray]:
    """An array for each input, from the flags of FEEDING."""
    from .._tensors import made_up

    given = {}
    for pair in args.input:
        name, equals, value = pair.partition("=")
        if not equals:
            raise Usage(f"--input is NAME=FILE.npy, NAME=FILE.png or NAME=random, not {pair!r}")
        given[name] = value
    ports = {port.name: port for port in model.inputs}
    for name in given:
        if name not in ports:
            have = ", ".join(map(str, ports.values()))
            near = nearest(name, ports)
            raise Problem(f"there is no input {name!r}{near}; the inputs are {have}")
    feeds = {}
    later = {name: given.get(name, "random") for name in ports}
    for name, value in given.items():
        is_text = ports[name].dtype == "str"
        if value.endswith(".npy"):
            feeds[name] = _file(value, ports[name])
        elif not is_text and value not in MADE_UP and _number(value) is None:
            feeds[name] = _picture(value, ports[name])
        later = {n: v for n, v in later.items() if n not in feeds}
    sizes = _known_sizes(ports, feeds)
    for name, value in later.items():
        shape = ports[name].shape
        port = ports[name]._replace(
            shape=shape and tuple(sizes.get(d, d) if isinstance(d, str) else d for d in shape)
        )
        if value in MADE_UP:
            feeds[name] = made_up(port, args.size, value)
        else:
            number = value if port.dtype == "str" else _number(value)
            feeds[name] = _filled(port, args.size, number)
    return feeds


def arrays_of(model: Model, feeds: Mapping[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    return tuple(feeds[name] for name in model.input_names)
