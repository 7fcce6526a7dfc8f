"""From a photograph, as a camera or a program wrote it, to pixels as a person sees it.

An image is turned as its EXIF orientation says. Where it is transparent it is laid on white. Of several frames the
first is taken. Profiles (ICC) are not applied: numbers are taken as sRGB. An image counts as grey if its file has one
channel, or a palette of which it uses grey values alone.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from junlearn.errors import DataError

__all__ = ["DECODING", "Picture", "picture", "shown"]

DECODING = 2
"""Number of this way to decode; caches of another one are not believed."""

FORMATS = ["AVIF", "BMP", "DIB", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP"]
"""What is read, whatever the suffix; Pillow would start other programs for some of the others."""

GREY_MODES = frozenset({"1", "L", "LA", "La"})
PALETTES = frozenset({"P", "PA"})
EIGHT_BITS = "np.uint8(np.asarray(image) / 257)"
SCALED = "np.uint8(255 * (a - a.min()) / (a.max() - a.min())) of a = np.float32(image)"


class Picture(NamedTuple):
    """An image and what happened to it on the way."""

    pixels: np.ndarray
    """uint8[H,W] of a grey image, uint8[H,W,3] of another one."""
    transparent: bool
    """It was transparent somewhere, and lies on white now."""
    frames: bool
    """It is the first of several."""
    lost: bool
    """Its EXIF data cannot be read: it is shown as it is stored."""


def picture(path: Path, side: int | None, crop: int | None = None) -> Picture:
    """Read an image, resized to `side`×`side` (bilinear with antialias) unless that is None.

    With `crop` the shorter side becomes `side`, and the central `crop`×`crop` is kept.

    Raises DataError, naming the file, where it cannot be read or has more than 8 bits a channel.
    """
    with _readable(path), Image.open(path, formats=_formats()) as file:
        return shown(file, str(path), side, crop)


def shown(file: Image.Image, where: str, side: int | None, crop: int | None = None) -> Picture:
    """The same of an image that Pillow has opened; messages call it `where`."""
    _check_depth(where, file)
    file.load()
    lost = False
    try:
        image = ImageOps.exif_transpose(file)
    except Exception:  # what cameras and editors wrote there can fail in any layer
        image, lost = file.copy(), True
    image, transparent = _on_white(image)
    image = image if image.mode in GREY_MODES else image.convert("RGB")
    if file.mode in PALETTES and _is_grey(image):
        image = image.getchannel(0)
    image = image.convert("L" if len(image.getbands()) == 1 else "RGB")
    image = _sized(where, image, side, crop)
    return Picture(np.asarray(image), transparent, _has_more(file), lost)


def _sized(where: str, image: Image.Image, side: int | None, crop: int | None) -> Image.Image:
    """The image resized and cropped. Raises DataError where it is smaller than the crop."""
    if side is not None:
        width, height = image.size
        shorter = min(width, height)
        size = (side, side)
        if crop is not None:
            size = (width * side // shorter, height * side // shorter)
        if image.size != size:
            image = image.resize(size, Image.Resampling.BILINEAR)
    if crop is None:
        return image
    width, height = image.size
    if min(width, height) < crop:
        raise DataError(
            f"{where} is {width}×{height}, and dataset.crop {crop} is more: set image_size"
        )
    left, top = round((width - crop) / 2), round((height - crop) / 2)
    return image.crop((left, top, left + crop, top + crop))


@cache
def _formats() -> tuple[str, ...]:
    """Those of `FORMATS` that the installed Pillow has."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _check_depth(where: str, image: Image.Image) -> None:
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):
        fits, how = "has 16 bits a channel", EIGHT_BITS
    elif image.mode in ("I", "F"):
        fits, how = f"has more than 8 bits a channel (mode {image.mode})", SCALED
    else:
        return
    raise DataError(f"{where} {fits}: save it with 8 bits, such as Image.fromarray({how})")


def _on_white(image: Image.Image) -> tuple[Image.Image, bool]:
    """The image without transparency, and whether it had any."""
    if not image.has_transparency_data:
        return image, False
    grey = image.mode in GREY_MODES
    # Premultiplied values have no direct way to RGBA.
    image = image.convert({"La": "LA", "RGBa": "RGBA"}.get(image.mode, image.mode)).convert("RGBA")
    transparent = image.getchannel("A").getextrema()[0] != 255
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    shown = Image.alpha_composite(white, image)
    return (shown.getchannel(0) if grey else shown.convert("RGB")), transparent


def _is_grey(image: Image.Image) -> bool:
    red, green, blue = np.moveaxis(np.asarray(image), -1, 0)
    return np.array_equal(red, green) and np.array_equal(red, blue)


def _has_more(file: Image.Image) -> bool:
    """Whether there is a frame after the first."""
    try:
        file.seek(1)
    except EOFError:
        return False
    except Exception:  # a second frame that is damaged is one that is not needed
        return True
    return True


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Name the file in whatever Pillow stumbles over; what it only warns of is no matter."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except DataError:
        raise
    except Exception as error:
        reason = str(error) or type(error).__name__
        if isinstance(error, UnidentifiedImageError):
            empty = path.stat().st_size == 0
            reason = (
                "it is empty" if empty else "it is of none of the formats " + ", ".join(_formats())
            )
        raise DataError(f"{path} cannot be read as an image: {reason}") from error
