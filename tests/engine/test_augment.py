"""Augmentation against hand-computed, numpy and Pillow values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from junlearn.engine import augment
from junlearn.engine.augment import AUGMENTATIONS, make_views
from junlearn.errors import ConfigError
from junlearn.types import Data

CIFAR_MEAN = (0.5070751592371323, 0.48654887331495095, 0.4409178433670343)
CIFAR_STD = (0.2673342858792401, 0.2564384629170883, 0.27615047132568404)


def images(count, height, width, channels, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, height, width, channels), dtype=np.uint8)


def pillow_resize(channel, size, box=None):
    picture = Image.fromarray(channel.astype(np.float32))
    return np.asarray(picture.resize(size, Image.Resampling.BILINEAR, box=box))


def test_normalise_gives_the_published_range_of_cifar():
    black_and_white = jnp.array([0, 255], jnp.uint8)[:, None, None, None]
    x = jnp.broadcast_to(black_and_white, (2, 1, 1, 3))
    low, high = np.asarray(augment.normalise(x, CIFAR_MEAN, CIFAR_STD))[:, 0, 0]
    np.testing.assert_allclose(low, [-1.897, -1.897, -1.597], atol=5e-4)
    np.testing.assert_allclose(high, [1.844, 2.002, 2.025], atol=5e-4)


def test_normalise_takes_floats_as_already_scaled():
    x = jnp.array([[[0.25, 0.5]]])
    got = augment.normalise(x, (0.25, 0.0), (0.5, 2.0))
    np.testing.assert_allclose(got, [[[0.0, 0.25]]])
    assert got.dtype == jnp.float32


@pytest.mark.parametrize(("top", "left"), [(0, 0), (2, 1), (4, 4)])
def test_crop_at_is_a_window_of_the_padded_image(top, left):
    image = images(1, 5, 6, 3)[0]
    padded = np.pad(image, ((2, 2), (2, 2), (0, 0)))
    got = augment.crop_at(jnp.asarray(image), top, left, 2)
    np.testing.assert_array_equal(got, padded[top : top + 5, left : left + 6])
    assert got.dtype == jnp.uint8


def test_pad_and_crop_reaches_every_offset(key):
    image = jnp.zeros((9, 9, 1), jnp.uint8).at[4, 4, 0].set(255)
    move = jax.jit(jax.vmap(lambda k: augment.pad_and_crop(k, image, 1)))
    _, rows, columns, _ = np.nonzero(np.asarray(move(jax.random.split(key, 200))))
    places = set(zip(rows.tolist(), columns.tolist(), strict=True))
    assert places == {(i, j) for i in (3, 4, 5) for j in (3, 4, 5)}


def test_flip_mirrors_about_half_of_the_images(key):
    image = jnp.asarray(images(1, 3, 4, 2)[0])
    out = np.asarray(
        jax.jit(jax.vmap(lambda k: augment.flip(k, image)))(jax.random.split(key, 400))
    )
    mirrored = (out == np.asarray(image)[:, ::-1]).all(axis=(1, 2, 3))
    same = (out == np.asarray(image)).all(axis=(1, 2, 3))
    assert (mirrored ^ same).all()
    assert 150 < mirrored.sum() < 250


@pytest.mark.parametrize("degrees", [-15.0, -7.3, 0.0, 4.1, 12.9, 60.0])
@pytest.mark.parametrize("shape", [(32, 32), (9, 14)])
def test_rotate_by_is_pillows_nearest_rotation(degrees, shape):
    image = images(1, *shape, 3)[0]
    expected = np.asarray(Image.fromarray(image).rotate(degrees))
    got = np.asarray(augment.rotate_by(jnp.asarray(image), degrees))
    # A sample within float32's rounding of a pixel's edge may fall on either side.
    assert (got != expected).any(axis=-1).mean() <= 0.01
    assert got.dtype == np.uint8


def test_rotate_by_a_quarter_turn_is_rot90():
    image = images(1, 8, 8, 1)[0]
    np.testing.assert_array_equal(augment.rotate_by(jnp.asarray(image), 90.0), np.rot90(image))


def test_rotate_stays_within_its_degrees(key):
    # A dot at radius 10 on the x axis: its height after the turn tells the angle.
    image = jnp.zeros((41, 41, 1), jnp.uint8).at[20, 30, 0].set(255)
    turn = jax.jit(jax.vmap(lambda k: augment.rotate(k, image, 15.0)))
    _, rows, _, _ = np.nonzero(np.asarray(turn(jax.random.split(key, 100))))
    assert rows.min() in (17, 18)
    assert rows.max() in (22, 23)


@pytest.mark.parametrize("size", [4, 8, 13, 24])
def test_resize_is_pillows_bilinear(size):
    image = images(1, 8, 10, 2)[0]
    got = np.asarray(augment.resize(jnp.asarray(image), size))
    assert got.shape == (size, size, 2)
    for channel in range(2):
        expected = pillow_resize(image[..., channel], (size, size))
        np.testing.assert_allclose(got[..., channel], expected, atol=1e-3)


def test_resize_by_hand():
    got = augment.resize(jnp.array([0.0, 4.0])[None, :, None] * jnp.ones((2, 1, 1)), 4)
    np.testing.assert_allclose(got[0, :, 0], [0.0, 1.0, 3.0, 4.0])


def test_resize_to_the_same_size_changes_nothing():
    image = jnp.asarray(images(2, 6, 6, 3))
    np.testing.assert_array_equal(augment.resize(image, 6), image.astype(jnp.float32))


@pytest.mark.parametrize("window", [(0, 0, 8, 10), (2, 3, 4, 5), (1, 0, 7, 3), (5, 9, 1, 1)])
def test_crop_and_resize_is_pillows_crop_then_resize(window):
    image = images(1, 8, 10, 1)[0]
    top, left, height, width = window
    cut = image[top : top + height, left : left + width, 0]
    expected = pillow_resize(cut, (6, 6))
    traced = jax.jit(lambda image, *window: augment.crop_and_resize(image, *window, 6))
    np.testing.assert_allclose(traced(image, *window)[..., 0], expected, atol=1e-3)


def test_sample_crop_keeps_to_scale_ratio_and_image(key):
    keys = jax.random.split(key, 2000)
    draw = jax.jit(jax.vmap(lambda k: augment.sample_crop(k, 224, 224)))
    top, left, height, width = (np.asarray(v) for v in draw(keys))
    area = height * width / 224**2
    ratio = width / height
    assert area.min() > 0.07
    assert area.max() <= 1.0
    assert ratio.min() > 0.73
    assert ratio.max() < 1.36
    assert (top >= 0).all() and (top + height <= 224).all()
    assert (left >= 0).all() and (left + width <= 224).all()
    # Small areas are uniform: of those asked for in [0.1, 0.5], a half lies in [0.1, 0.3].
    middle = area[(area > 0.1) & (area < 0.5)]
    assert 0.45 < (middle < 0.3).mean() < 0.55
    assert 0.45 < (ratio < 1).mean() < 0.55


def test_sample_crop_falls_back_to_the_centre(key):
    # A full area with an aspect of at least 2 never fits a square.
    window = augment.sample_crop(key, 20, 20, scale=(1.0, 1.0), ratio=(2.0, 3.0))
    assert [int(v) for v in window] == [5, 0, 10, 20]
    window = augment.sample_crop(key, 20, 20, scale=(1.0, 1.0), ratio=(0.25, 0.5))
    assert [int(v) for v in window] == [0, 5, 20, 10]
    # An aspect of exactly 1 with a scale over 1 does not fit either: the whole image.
    window = augment.sample_crop(key, 20, 20, scale=(2.0, 2.0), ratio=(0.9, 1.1))
    assert [int(v) for v in window] == [0, 0, 20, 20]


def test_random_resized_crop_of_the_whole_image_is_the_image(key):
    image = jnp.asarray(images(1, 7, 7, 3)[0])
    got = augment.random_resized_crop(key, image, 7, scale=(1.0, 1.0), ratio=(1.0, 1.0))
    np.testing.assert_allclose(got, image.astype(jnp.float32), atol=1e-4)


@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
def test_views_do_not_depend_on_the_layout_of_the_batch(key, augmentation):
    rows = Data(x=jnp.asarray(images(6, 8, 8, 3)), y=jnp.zeros(6, jnp.int32))
    keys = jax.random.split(key, 6)
    view = jax.jit(make_views(CIFAR_MEAN, CIFAR_STD, 12, augmentation)["augment"])
    whole = view(rows, keys)
    assert whole.shape == (6, 12, 12, 3)
    assert whole.dtype == jnp.float32
    assert bool(jnp.isfinite(whole).all())
    order = np.array([4, 1, 5])
    part = view(Data(x=rows.x[order], y=rows.y[order]), keys[order])
    np.testing.assert_allclose(part, whole[order], atol=1e-5)


@pytest.mark.parametrize("augmentation", AUGMENTATIONS[1:])
def test_augmentation_changes_images_and_eval_does_not(key, augmentation):
    rows = Data(x=jnp.asarray(images(20, 8, 8, 1)), y=jnp.zeros(20, jnp.int32))
    keys = jax.random.split(key, 20)
    views = make_views((0.0,), (1.0,), None, augmentation)
    plain = views["eval"](rows, keys)
    np.testing.assert_allclose(plain, np.asarray(rows.x) / np.float32(255), rtol=1e-6)
    augmented = jax.jit(views["augment"])(rows, keys)
    changed = np.abs(augmented - plain).max(axis=(1, 2, 3)) > 0.01
    assert changed.mean() > 0.8  # a draw may leave an image as it is


def test_without_augmentation_the_views_are_the_same():
    views = make_views((0.0,), (1.0,), None, "none")
    assert views["augment"] is views["eval"]


def test_the_eval_view_normalises_and_then_resizes():
    rows = Data(x=jnp.asarray(images(2, 8, 8, 3)), y=jnp.zeros(2, jnp.int32))
    keys = jax.random.split(jax.random.key(0), 2)
    got = make_views(CIFAR_MEAN, CIFAR_STD, 16, "none")["eval"](rows, keys)
    scaled = (np.asarray(rows.x) / 255 - np.array(CIFAR_MEAN)) / np.array(CIFAR_STD)
    for channel in range(3):
        expected = pillow_resize(scaled[0, ..., channel], (16, 16))
        np.testing.assert_allclose(got[0, ..., channel], expected, atol=1e-5)


def test_padding_is_black_before_normalisation(key):
    rows = Data(x=jnp.full((20, 8, 8, 1), 255, jnp.uint8), y=jnp.zeros(20, jnp.int32))
    view = make_views((0.5,), (0.5,), None, "crop")["augment"]
    values = np.unique(view(rows, jax.random.split(key, 20)))
    np.testing.assert_allclose(values, [-1.0, 1.0])


def test_an_unknown_augmentation_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'crop_flip'"):
        make_views((0.0,), (1.0,), None, "crop_flp")


@pytest.mark.parametrize("augmentation", ["crop", "crop_flip"])
def test_the_padding_of_crops_can_be_set(augmentation, key):
    rows = Data(x=jnp.full((40, 12, 12, 1), 255, jnp.uint8), y=jnp.zeros(40, jnp.int32))
    keys = jax.random.split(key, 40)

    def most_black(padding):
        view = make_views((0.0,), (1.0,), None, augmentation, padding)["augment"]
        black = np.asarray(view(rows, keys))[..., 0] == 0
        # Of a line in the middle, which no other padding reaches.
        return max(black[:, 6].sum(1).max(), black[:, :, 6].sum(1).max())

    assert most_black(0) == 0
    assert most_black(2) == 2 and most_black(5) == 5
