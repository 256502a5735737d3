# SPDX-License-Identifier: Apache-2.0
"""Pictures as a model's input, and arrays as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..drawing.palette import BACK
from ..model import Port

SCALINGS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {  # mean and width in 0..1
    "ImageNet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "0..1": ((0.0,), (1.0,)),
    "-1..1": ((0.5,), (0.5,)),
    "0..255": ((0.0,), (1 / 255,)),
}
USUAL = 224  # pixels a side where a model leaves them open


class PictureInput(NamedTuple):
    """How a model wants a picture."""

    name: str
    channels: int
    height: int
    width: int
    last: bool  # channels come last
    dtype: str

    @property
    def scaling(self) -> str:
        """The key of SCALINGS that such a model mostly has."""
        if not self.dtype.startswith("float"):
            return "0..255"
        return "ImageNet" if self.channels == 3 else "0..1"


def picture_input(ports: tuple[Port, ...]) -> PictureInput | None:
    """What the inputs say, or None if they are not one picture.

    >>> picture_input((Port("x", (1, 3, 224, None), "float32"),))
    PictureInput(name='x', channels=3, height=224, width=224, last=False, dtype='float32')
    """
    return of_port(ports[0]) if len(ports) == 1 else None


def of_port(port: Port, open_size: tuple[int, int] = (USUAL, USUAL)) -> PictureInput | None:
    """The same of one input. open_size: height and width where the model leaves them open."""
    if port.shape is None or len(port.shape) != 4 or port.dtype == "str" or "(" in port.dtype:
        return None
    last = port.shape[3] in (1, 3) and port.shape[1] not in (1, 3)
    channels, height, width = (port.shape[i] for i in ((3, 1, 2) if last else (1, 2, 3)))
    if channels not in (1, 3) or port.shape[0] not in (1, None) and isinstance(port.shape[0], int):
        return None
    high, wide = (
        n if isinstance(n, int) else usual
        for n, usual in zip((height, width), open_size, strict=True)
    )
    return PictureInput(port.name, int(channels), high, wide, last, port.dtype)


def _square_of_ink(grey: NDArray[Any]) -> NDArray[Any]:
    """White on black in 0..1; of a large picture the square around what is written."""
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    if np.median(border) > 0.5:
        grey = 1 - grey
    low, high = float(np.median(grey)), float(grey.max())
    if min(grey.shape) < 64 or high - low < 0.1:
        return grey
    grey = np.clip((grey - low) / (high - low), 0, 1)
    rows, columns = (np.flatnonzero((grey > 0.4).any(axis)) for axis in (1, 0))
    ink = grey[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    side = max(ink.shape)
    top, left = (side - ink.shape[0]) // 2, (side - ink.shape[1]) // 2
    square = np.zeros((side, side), np.float32)
    square[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    return square


def tensor(image: Any, wanted: PictureInput, scaling: str | None = None) -> NDArray[Any]:
    """A PIL picture as the model's input: the middle, enlarged or reduced to its size. For models
    of grey pictures: white on black, cut to what is written."""
    from PIL import Image

    if wanted.channels != 1:
        return fitted(image, wanted, *SCALINGS[scaling or wanted.scaling])
    grey = _square_of_ink(np.asarray(image.convert("L"), np.float32) / 255)
    small = Image.fromarray(grey).resize((wanted.width, wanted.height), Image.Resampling.BOX)
    return _scaled(
        np.asarray(small, np.float32)[..., None], wanted, *SCALINGS[scaling or wanted.scaling]
    )


def fitted(
    image: Any, wanted: PictureInput, mean: Sequence[float], width: Sequence[float]
) -> NDArray[Any]:
    """The middle of a PIL picture, enlarged or reduced to the model's size, grey or RGB."""
    from PIL import ImageOps
    from PIL.Image import Resampling

    image = image.convert("L" if wanted.channels == 1 else "RGB")
    middle = ImageOps.fit(image, (wanted.width, wanted.height), Resampling.BILINEAR)
    x = np.asarray(middle, np.float32).reshape(wanted.height, wanted.width, wanted.channels)
    return _scaled(x / np.float32(255), wanted, mean, width)


def _scaled(
    x: NDArray[Any], wanted: PictureInput, mean: Sequence[float], width: Sequence[float]
) -> NDArray[Any]:
    least, unit = (np.array(v[: wanted.channels], np.float32) for v in (mean, width))
    x = (x - least) / unit
    x = x if wanted.last else x.transpose(2, 0, 1)
    if not wanted.dtype.startswith("float"):
        x = x.round()
    return np.ascontiguousarray(x[None].astype(wanted.dtype))


def _planes(array: NDArray[Any], most: int) -> NDArray[np.float32]:
    """[n, h, w]: an activation as at most so many planes."""
    a = np.nan_to_num(np.asarray(array).astype(np.float32))
    a = a[0] if a.ndim > 1 else a
    if a.ndim == 0 or a.size == 0:
        return np.zeros((1, 1, 1), np.float32)
    if a.ndim == 1:
        columns = int(np.ceil(np.sqrt(a.size * 2))) if a.size > 64 else a.size
        padded = np.zeros(-(-a.size // columns) * columns, np.float32)
        padded[: a.size] = a
        return padded.reshape(1, -1, columns)
    return a.reshape(-1, *a.shape[-2:])[:most]


# Seven points of the map "cividis": even in lightness, the same for eyes that miss a colour.
CIVIDIS = np.array(
    [[0, 34, 78], [48, 59, 107], [87, 93, 109], [124, 123, 120], [165, 156, 116], [211, 193, 100],
     [254, 232, 56]], np.float32)  # fmt: skip


def thumbnails(array: NDArray[Any], room: tuple[int, int] = (480, 480), most: int = 64) -> Any:
    """The planes of an activation side by side as one PIL picture, each from its own least to its
    most. room: width and height in pixels."""
    from PIL import Image

    planes = _planes(array, most)
    step = max(1, -(-max(planes.shape[1:]) // 512))
    planes = planes[:, ::step, ::step]
    count, height, width = planes.shape

    def scale_with(columns: int) -> float:
        rows = -(-count // columns)
        return float(min((room[0] / columns - 2) / width, (room[1] / rows - 2) / height))

    columns = max(range(1, count + 1), key=scale_with)
    rows = -(-count // columns)
    scale = min(scale_with(columns), max(room) / 8)
    cell = (max(1, int(width * scale)), max(1, int(height * scale)))
    low = planes.min((1, 2), keepdims=True)
    span = planes.max((1, 2), keepdims=True) - low
    at = (planes - low) / np.where(span > 0, span, 1)
    steps = np.linspace(0, 1, len(CIVIDIS))
    rgb = np.stack([np.interp(at, steps, CIVIDIS[:, c]) for c in range(3)], -1).astype(np.uint8)
    out = Image.new("RGB", (columns * (cell[0] + 2), rows * (cell[1] + 2)), BACK)
    for i in range(count):
        place = (i % columns * (cell[0] + 2) + 1, i // columns * (cell[1] + 2) + 1)
        how = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BOX
        out.paste(Image.fromarray(rgb[i]).resize(cell, how), place)
    return out
