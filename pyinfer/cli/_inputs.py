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


def _numbers(flag: str, text: str | None, usual: float, channels: int) -> tuple[float, ...]:
    """Of --mean and --std: one for each channel."""
    try:
        found = tuple(map(float, text.split(","))) if text else (usual,)
    except ValueError:
        raise Usage(f"{flag} is a number, or R,G,B, not {text!r}") from None
    if len(found) not in (1, channels):
        raise Usage(f"{flag} has {len(found)} numbers, the picture {channels} channels")
    return found


def _picture(path: str, port: Port, args: argparse.Namespace) -> np.ndarray:
    """A picture as the input has it: grey or RGB, channels before or behind the pixels, its middle
    in the size of the input; 0..1 or by --mean and --std for floats, 0..255 for whole numbers
    without sign."""
    from .._tensors import made_up
    from ..demo.pictures import SCALINGS, fitted, of_port

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
    try:
        image = Image.open(path)
        image.load()
    except OSError:
        raise Problem(f"input {port.name}: {path} is neither a .npy file nor a picture") from None
    wanted = of_port(port, (image.height, image.width))
    if wanted is None:
        raise Problem(f"a picture needs an input of 1 or 3 channels, {port} is none")
    if dtype.kind == "u":
        if args.mean or args.std:
            raise Usage(f"--mean and --std are for inputs of floats, {port} takes 0..255")
        return fitted(image, wanted, *SCALINGS["0..255"])
    mean = _numbers("--mean", args.mean, 0.0, wanted.channels)
    std = _numbers("--std", args.std, 1.0, wanted.channels)
    if 0 in std:
        raise Usage("--std has a 0: pixels are divided by it")
    return fitted(image, wanted, mean, std)


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
    pictures = False
    later = {name: given.get(name, "random") for name in ports}
    for name, value in given.items():
        is_text = ports[name].dtype == "str"
        if value.endswith(".npy"):
            feeds[name] = _file(value, ports[name])
        elif not is_text and value not in MADE_UP and _number(value) is None:
            feeds[name] = _picture(value, ports[name], args)
            pictures = True
        later = {n: v for n, v in later.items() if n not in feeds}
    if (args.mean or args.std) and not pictures:
        raise Usage("--mean and --std are for pictures: give one, --input NAME=FILE.png")
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
