"""Pictures and images as parts of a page."""

import base64
import io
import warnings
from collections.abc import Iterable
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

__all__ = ["Picture", "drawings", "thumbnail"]

SIDE = 64
"""Pixels of a thumbnail; smaller images are shown as they are."""
MARGIN = 2_000
"""Bytes that a picture needs besides itself, for what stands around it."""
SETTINGS: Any = {"svg.hashsalt": "junlearn", "svg.fonttype": "path"}
"""The same figure gives the same bytes, and looks alike whatever letters the reader's machine has."""


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
    drawn: dict[str, tuple[Picture, Markup]] = {}
    left_out = []
    for picture in pictures:
        address = _address(_svg(picture.figure), "svg+xml")
        if len(address) + MARGIN > room:
            left_out.append(picture.title)
            continue
        room -= len(address) + MARGIN
        drawn[picture.name] = picture, address
    return drawn, left_out


def thumbnail(image: NDArray[np.uint8]) -> Markup:
    """An image of shape [H, W, C] as an address of a page; one that is large is made smaller."""
    shown = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    shown.thumbnail((SIDE, SIDE))
    with io.BytesIO() as file:
        shown.save(file, "png")
        return _address(file.getvalue(), "png")


def _svg(figure: Figure) -> bytes:
    with io.BytesIO() as file, warnings.catch_warnings(), matplotlib.rc_context(SETTINGS):
        # A letter that the font lacks is drawn as a box.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(file, format="svg", dpi=90, bbox_inches="tight", metadata={"Date": None})
        return file.getvalue()


def _address(content: bytes, kind: str) -> Markup:
    return Markup(f"data:image/{kind};base64,{base64.b64encode(content).decode()}")
