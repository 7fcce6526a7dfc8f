"""Pictures and images as parts of a page."""

import base64
import io
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from junlearn.reports.style import drawn

__all__ = ["Picture", "drawings", "thumbnail"]

SIDE = 64
"""Pixels of a thumbnail; smaller images are shown as they are."""
MARGIN = 2_000
"""Bytes that a picture needs besides itself, for what stands around it."""
DOTS = 90
"""In an inch, of what is dots inside a picture: a page stays small."""


class Picture(NamedTuple):
    """A picture of a page."""

    name: str
    """Of its file, without the ending."""
    title: str
    text: str
    """What it shows, in plain words."""
    figure: Figure


def drawings(
    pictures: Iterable[Picture], room: int
) -> tuple[dict[str, tuple[Picture, Markup]], list[str]]:
    """Pictures by name with the address that holds each, while there is `room` (bytes), and titles of the others."""
    placed: dict[str, tuple[Picture, Markup]] = {}
    left_out = []
    for picture in pictures:
        address = _address(drawn(picture.figure, "svg", DOTS), "svg+xml")
        if len(address) + MARGIN > room:
            left_out.append(picture.title)
            continue
        room -= len(address) + MARGIN
        placed[picture.name] = picture, address
    return placed, left_out


def thumbnail(image: NDArray[np.uint8]) -> Markup:
    """An image of shape [H, W, C] as an address of a page; one that is large is made smaller."""
    shown = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    shown.thumbnail((SIDE, SIDE))
    with io.BytesIO() as file:
        shown.save(file, "png")
        return _address(file.getvalue(), "png")


def _address(content: bytes, kind: str) -> Markup:
    return Markup(f"data:image/{kind};base64,{base64.b64encode(content).decode()}")
