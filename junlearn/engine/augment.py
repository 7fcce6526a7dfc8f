"""Image augmentation on the device: pure functions of one image and one key, made for `jax.vmap`.

Each random function takes the key of one example, so what an example looks like depends on its key
alone and never on the batch that it is in. Each is a draw followed by a deterministic function
(`crop_at`, `rotate_by`, `crop_and_resize`) that can be called by itself.

Sampling follows Pillow and torchvision: pixel centres lie at half integers, bilinear resizing
widens its triangle when it shrinks (antialias; no difference when it enlarges), nothing outside a
crop is read. Computed in float32 without the rounding to 8 bits between two operations that Pillow
does.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import jax
import jax.numpy as jnp

from junlearn.errors import unknown
from junlearn.memo import remembered
from junlearn.types import Array, Data, Key, View

__all__ = [
    "AUGMENTATIONS",
    "CROP_PADDING",
    "centre",
    "crop_and_resize",
    "crop_at",
    "flip",
    "make_views",
    "normalise",
    "pad_and_crop",
    "random_resized_crop",
    "resize",
    "resize_shorter",
    "rotate",
    "rotate_by",
    "sample_crop",
]

CROP_PADDING = 4
ROTATION_DEGREES = 15.0
CROP_TRIES = 10


def normalise(x: Array, mean: Sequence[float], std: Sequence[float]) -> Array:
    """`(x - mean) / std` per channel, float32[..., C].

    uint8 is first divided by 255; a float array is taken as already scaled. One mean and std serve
    all channels, or there is one for each.
    """
    scaled = x.astype(jnp.float32) / 255.0 if x.dtype == jnp.uint8 else x.astype(jnp.float32)
    per_channel = (1,) * (x.ndim - 1) + (-1,)
    shift = jnp.asarray(mean, jnp.float32).reshape(per_channel)
    scale = jnp.asarray(std, jnp.float32).reshape(per_channel)
    return (scaled - shift) / scale


def crop_at(image: Array, top: Array, left: Array, padding: int) -> Array:
    """The H x W window at (top, left) of `image` [H,W,C] with `padding` zeros on each side."""
    padded = jnp.pad(image, ((padding, padding), (padding, padding), (0, 0)))
    return jax.lax.dynamic_slice(padded, (top, left, 0), image.shape)


def pad_and_crop(key: Key, image: Array, padding: int) -> Array:
    """Shift `image` [H,W,C] by up to `padding` pixels each way, uniformly; zeros come in."""
    top, left = jax.random.randint(key, (2,), 0, 2 * padding + 1)
    return crop_at(image, top, left, padding)


def flip(key: Key, image: Array) -> Array:
    """Mirror `image` [H,W,C] left to right with probability one half."""
    return jnp.where(jax.random.bernoulli(key), image[:, ::-1, :], image)


def rotate_by(image: Array, degrees: Array | float) -> Array:
    """Rotate `image` [H,W,C] counter-clockwise about its centre: nearest pixel, fill 0, same
    size.
    """
    height, width, _ = image.shape
    angle = jnp.deg2rad(jnp.asarray(degrees, jnp.float32))
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    y = (jnp.arange(height, dtype=jnp.float32) + 0.5 - height / 2)[:, None]
    x = (jnp.arange(width, dtype=jnp.float32) + 0.5 - width / 2)[None, :]
    row = jnp.floor(sin * x + cos * y + height / 2).astype(jnp.int32)
    column = jnp.floor(cos * x - sin * y + width / 2).astype(jnp.int32)
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    source = image[jnp.clip(row, 0, height - 1), jnp.clip(column, 0, width - 1)]
    return jnp.where(inside[:, :, None], source, jnp.zeros_like(source))


def rotate(key: Key, image: Array, degrees: float) -> Array:
    """Rotate `image` [H,W,C] by an angle uniform in [-degrees, degrees]; see `rotate_by`."""
    return rotate_by(image, jax.random.uniform(key, minval=-degrees, maxval=degrees))


def _triangle_weights(full: int, start: Array, length: Array, size: int) -> Array:
    """Weights [size, full] that resample `length` of `full` pixels from `start` on to `size`."""
    step = length / size
    centre = (start + (jnp.arange(size, dtype=jnp.float32) + 0.5) * step)[:, None]
    pixel = jnp.arange(full, dtype=jnp.float32)[None, :]
    weight = jnp.maximum(0.0, 1.0 - jnp.abs(pixel + 0.5 - centre) / jnp.maximum(step, 1.0))
    weight = jnp.where((pixel >= start) & (pixel < start + length), weight, 0.0)
    return weight / jnp.sum(weight, axis=1, keepdims=True)


def _height_width(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


def crop_and_resize(
    image: Array,
    top: Array | int,
    left: Array | int,
    height: Array | int,
    width: Array | int,
    size: int | tuple[int, int],
) -> Array:
    """Cut a window out of `image` [..., H,W,C] and resize it to `size`, bilinear with antialias.

    The window may be traced: two small matrices of weights do cut and resize at once, with one
    compiled shape. `jax.image.scale_and_translate` would mix in pixels just outside the window.
    """
    rows, columns = _height_width(size)
    as_float = [jnp.asarray(v, jnp.float32) for v in (top, left, height, width)]
    down = _triangle_weights(image.shape[-3], as_float[0], as_float[2], rows)
    across = _triangle_weights(image.shape[-2], as_float[1], as_float[3], columns)
    # Full precision: a GPU's TF32 would round pixels to 10 bits.
    return jnp.einsum(
        "rh,...hwc,sw->...rsc",
        down,
        image.astype(jnp.float32),
        across,
        precision=jax.lax.Precision.HIGHEST,
    )


def resize(x: Array, size: int | tuple[int, int]) -> Array:
    """Resize [..., H,W,C] to float32[..., size,size,C], bilinear; the aspect ratio is not kept.

    Pillow's and torchvision's bilinear with antialias, which matters only for shrinking. At the
    same size the values are unchanged.
    """
    height, width = x.shape[-3:-1]
    if (height, width) == _height_width(size):
        return x.astype(jnp.float32)
    return crop_and_resize(x, 0, 0, height, width, size)


def resize_shorter(x: Array, side: int) -> Array:
    """Resize [..., H,W,C] as `resize` does, so that the shorter side is `side` and the proportions stay."""
    height, width = x.shape[-3:-1]
    shorter = min(height, width)
    return resize(x, (height * side // shorter, width * side // shorter))


def centre(x: Array, side: int) -> Array:
    """The central `side`×`side` of [..., H,W,C]: torchvision's CenterCrop."""
    top, left = (round((length - side) / 2) for length in x.shape[-3:-1])
    return x[..., top : top + side, left : left + side, :]


def sample_crop(
    key: Key,
    height: int,
    width: int,
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> tuple[Array, Array, Array, Array]:
    """Draw the window (top, left, height, width), int32, of `random_resized_crop`.

    Area `A = H W U(scale)`, aspect `r = exp U(log ratio)`, `w = round(sqrt(A r))` and
    `h = round(sqrt(A / r))`; the first of ten draws that fits is placed uniformly. If none fits:
    the largest central window whose aspect is within `ratio`.
    """
    uniform = jax.random.uniform(key, (2 * CROP_TRIES + 2,))
    low, high = scale
    area = height * width * (low + (high - low) * uniform[:CROP_TRIES])
    low, high = math.log(ratio[0]), math.log(ratio[1])
    aspect = jnp.exp(low + (high - low) * uniform[CROP_TRIES:-2])
    w = jnp.round(jnp.sqrt(area * aspect)).astype(jnp.int32)
    h = jnp.round(jnp.sqrt(area / aspect)).astype(jnp.int32)
    fits = (w > 0) & (w <= width) & (h > 0) & (h <= height)
    first = jnp.argmax(fits)
    w, h = w[first], h[first]
    # A uniform float32 is at most 1 - 2^-23, so its product with n stays below n.
    top = jnp.floor(uniform[-2] * (height - h + 1)).astype(jnp.int32)
    left = jnp.floor(uniform[-1] * (width - w + 1)).astype(jnp.int32)

    central_w = min(width, round(height * ratio[1]))
    central_h = min(height, round(width / ratio[0]))
    central = ((height - central_h) // 2, (width - central_w) // 2, central_h, central_w)
    found = jnp.any(fits)
    drawn = (top, left, h, w)
    top, left, h, w = (jnp.where(found, a, b) for a, b in zip(drawn, central, strict=True))
    return top, left, h, w


def random_resized_crop(
    key: Key,
    image: Array,
    size: int | tuple[int, int],
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> Array:
    """A random window of `image` [H,W,C] resized to `size`, float32; see `sample_crop`."""
    window = sample_crop(key, image.shape[0], image.shape[1], scale, ratio)
    return crop_and_resize(image, *window, size)


def _crop_flip(key: Key, image: Array, padding: int) -> Array:
    crop_key, flip_key = jax.random.split(key)
    return flip(flip_key, pad_and_crop(crop_key, image, padding))


def _crop_flip_rotate(key: Key, image: Array, padding: int) -> Array:
    crop_flip_key, rotate_key = jax.random.split(key)
    return rotate(rotate_key, _crop_flip(crop_flip_key, image, padding), ROTATION_DEGREES)


def _resized_crop_flip(key: Key, image: Array) -> Array:
    crop_key, flip_key = jax.random.split(key)
    return flip(flip_key, random_resized_crop(crop_key, image, (image.shape[0], image.shape[1])))


BEFORE: Mapping[str, Callable[[Key, Array, int], Array]] = {
    "crop": pad_and_crop,
    "crop_flip": _crop_flip,
    "crop_flip_rotate": _crop_flip_rotate,
}
"""Done on the stored pixels, before normalisation, given how many pixels are padded: what comes in is black."""

AFTER: Mapping[str, Callable[[Key, Array], Array]] = {"resized_crop_flip": _resized_crop_flip}
"""Done at the network's image size. Averaging commutes with normalisation, so the order of those
two makes no difference but for rounding."""

AUGMENTATIONS = ("none", *BEFORE, *AFTER)
"""What training does to an image.

`none`; `crop`: pad (by 4) and crop; `crop_flip`: and mirror; `crop_flip_rotate`: and rotate by up to
15 degrees (pre-training of SSD and JiT); `resized_crop_flip`: random resized crop and mirror (LAF,
CaMU).
"""


def make_views(
    mean: Sequence[float],
    std: Sequence[float],
    image_size: int | None,
    augmentation: str,
    padding: int = CROP_PADDING,
    crop: int | None = None,
) -> Mapping[str, View]:
    """The views `"eval"`, and `"augment"`: the same around the named augmentation, whose crops pad by `padding` pixels.

    Images are normalised, then resized if `image_size` is given, in this order as in the published
    pre-processing. Normalising is affine and resizing averages with weights that sum to one, so the
    order makes no difference but for rounding. With `crop` the shorter side becomes `image_size`, and the network gets
    the central square of that side. Equal arguments give the same views. Raises ConfigError for an unknown
    augmentation.
    """
    if augmentation not in AUGMENTATIONS:
        raise unknown("augmentation", augmentation, AUGMENTATIONS)
    return _views(tuple(mean), tuple(std), image_size, augmentation, padding, crop)


@remembered
def _views(
    mean: tuple[float, ...],
    std: tuple[float, ...],
    image_size: int | None,
    augmentation: str,
    padding: int,
    crop: int | None,
) -> Mapping[str, View]:

    def finish(x: Array) -> Array:
        x = normalise(x, mean, std)
        if crop is None:
            return x if image_size is None else resize(x, image_size)
        return centre(x if image_size is None else resize_shorter(x, image_size), crop)

    def evaluate(rows: Data, keys: Key) -> Array:
        del keys
        return finish(rows.x)

    def augment(rows: Data, keys: Key) -> Array:
        x = rows.x
        if augmentation in BEFORE:
            x = jax.vmap(BEFORE[augmentation], in_axes=(0, 0, None))(keys, x, padding)
        x = finish(x)
        return jax.vmap(AFTER[augmentation])(keys, x) if augmentation in AFTER else x

    views = {"eval": evaluate, "augment": evaluate if augmentation == "none" else augment}
    return MappingProxyType(views)
