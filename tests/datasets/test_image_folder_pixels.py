"""How photographs become pixels: orientation, transparency, depth, frames, damage."""

import io

import numpy as np
import pytest
from PIL import Image

from junlearn.datasets import DATASETS
from junlearn.datasets.pixels import picture
from junlearn.errors import DataError

RGB = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)
WHITE, RED = (255, 255, 255), (255, 0, 0)

UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize("suffix", ["png", "tiff", "webp"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_a_photograph_is_shown_as_it_was_held(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(RGB).save(path, exif=exif, lossless=True)
    seen = picture(path, None)
    np.testing.assert_array_equal(seen.pixels, UPRIGHT[orientation](RGB))
    assert not seen.lost


@pytest.mark.parametrize(
    "exif", [b"junk", b"Exif\0\0MM\0*\0\0", b"II*\0\xff\xff\xff\x7f", b"\0" * 9]
)
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_broken_exif_data_do_not_hide_a_photograph(tmp_path, exif, suffix):
    Image.fromarray(RGB).save(tmp_path / f"a.{suffix}", exif=exif)
    assert picture(tmp_path / f"a.{suffix}", None).pixels.shape == (6, 9, 3)


def palette(**options):
    image = Image.new("P", (2, 1))
    image.putpalette([*RED, 0, 255, 0])
    image.putdata([0, 1])
    return image, options


def rgba():
    return Image.fromarray(np.uint8([[[255, 0, 0, 0], [0, 255, 0, 255]]])), {}


@pytest.mark.parametrize(
    ("image", "suffix", "expected"),
    [
        (rgba(), "png", [WHITE, (0, 255, 0)]),
        (rgba(), "tiff", [WHITE, (0, 255, 0)]),
        (palette(transparency=0), "png", [WHITE, (0, 255, 0)]),
        (palette(transparency=bytes([255, 0])), "png", [RED, WHITE]),
        (palette(transparency=1), "gif", [RED, WHITE]),
        ((Image.fromarray(np.uint8([[RED, (1, 2, 3)]])), {"transparency": RED}), "png", [WHITE, (1, 2, 3)]),
        ((Image.fromarray(np.uint8([[7, 8]])), {"transparency": 7}), "png", [255, 8]),
        ((Image.fromarray(np.uint8([[[9, 0], [9, 255]]])), {}), "png", [255, 9]),
        ((Image.fromarray(np.uint8([[[0, 0, 0, 128], (*RED, 255)]])), {}), "png", [(127,) * 3, RED]),
    ],
)  # fmt: skip
def test_transparent_pixels_are_white(tmp_path, image, suffix, expected):
    path = tmp_path / f"a.{suffix}"
    image[0].save(path, **image[1])
    seen = picture(path, None)
    np.testing.assert_allclose(seen.pixels[0], expected, atol=1)
    assert seen.transparent


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"])
def test_opaque_images_keep_their_colours(tmp_path, mode):
    image = Image.fromarray(RGB).convert(mode)
    image.save(tmp_path / "a.tiff")
    seen = picture(tmp_path / "a.tiff", None)
    grey = mode in ("1", "L", "LA")
    np.testing.assert_array_equal(seen.pixels, np.asarray(image.convert("L" if grey else "RGB")))
    assert not (seen.transparent or seen.frames or seen.lost)


DEEP = ["I;16 png", "I;16 tiff", "I;16B tiff", "I tiff", "F tiff", "I;16 pgm", "F ppm"]


@pytest.mark.parametrize(("mode", "suffix"), [case.split() for case in DEEP])
def test_deep_images_are_refused_with_the_way_out(tmp_path, mode, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(RGB).convert("L").convert(mode).save(path)
    with pytest.raises(DataError, match=r"a\.\w+ has .*save it with 8 bits, such as Image"):
        picture(path, None)


def test_the_way_out_of_16_bits_is_one(tmp_path):
    deep = np.arange(54, dtype=np.uint16).reshape(6, 9) * 1000
    image = Image.fromarray(deep)
    image.save(tmp_path / "a.png")
    with pytest.raises(DataError) as error:
        picture(tmp_path / "a.png", None)
    command = str(error.value).split("such as ")[1]
    eval(command, {"Image": Image, "np": np, "image": image}).save(tmp_path / "b.png")
    np.testing.assert_allclose(picture(tmp_path / "b.png", None).pixels, deep / 257, atol=1)


def whole(suffix="png", **options):
    content = io.BytesIO()
    Image.fromarray(RGB).save(content, suffix.upper(), **options)
    return content.getvalue()


BOMB = whole()[:16] + (30000).to_bytes(4) * 2 + whole()[24:]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.png", b"", "it is empty"),
        ("a.jpg", b"<html>404</html>", "none of the formats"),
        ("a.png", whole()[:-30], "cannot be read"),
        ("a.jpg", whole("jpeg")[:-30], "truncated"),
        ("a.gif", whole("gif")[:20], "cannot be read"),
        ("a.webp", whole("webp")[:40], "cannot be read"),
        ("a.jpeg", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "none of the formats"),
        ("a.png", BOMB, "cannot be read"),
        ("a.tif", b"II*\0" + b"\xff" * 40, "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, name, content, reason):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=f"{name} cannot be read as an image: .*") as error:
        picture(tmp_path / name, None)
    assert reason in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tiff"])
def test_of_several_frames_the_first_is_taken(tmp_path, suffix):
    frames = [Image.new("RGB", (3, 2), colour) for colour in ("red", "blue", "white")]
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:], lossless=True)
    seen = picture(tmp_path / f"a.{suffix}", None)
    assert seen.frames and (seen.pixels == RED).all()


def folder(tmp_path, images, **config):
    for number, image in enumerate(images):
        for label in "ab":
            path = tmp_path / "set" / label / f"{number:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            image.save(path)
    component = DATASETS["image_folder"]
    section = component.Config(path=str(tmp_path / "set"), test_fraction=0.0, **config)
    return component.make(section, cache_dir=str(tmp_path / "cache"))


GREY = Image.fromarray(RGB[..., 0])
PALETTE_GREY = GREY.convert("P")
COLOUR = Image.fromarray(RGB)
SPOTTED_SAID = (
    "2 of 4 images have transparent pixels, which are shown on white (a/00.png and others)"
)
COLOURS_SAID = "2 of 6 images have colours (a/02.png and others): all are read as RGB"
SPOTTED = Image.fromarray(np.uint8(np.dstack([RGB, RGB[..., :1]])))


@pytest.mark.parametrize(
    ("images", "channels", "remarks"),
    [
        ([GREY] * 3, 1, ()),
        ([GREY, PALETTE_GREY, GREY.convert("1")], 1, ()),
        ([COLOUR, COLOUR], 3, ()),
        ([GREY, GREY, COLOUR], 3, (COLOURS_SAID,)),
        ([GREY, GREY, COLOUR.convert("P")], 3, (COLOURS_SAID,)),
        ([COLOUR, COLOUR, GREY], 3, ("2 of 6 images are grey: all are read as RGB",)),
        ([SPOTTED, COLOUR], 3, (SPOTTED_SAID,)),
    ],
)  # fmt: skip
def test_what_was_changed_is_said_also_out_of_the_cache(tmp_path, images, channels, remarks):
    for _ in range(2):
        dataset = folder(tmp_path, images)
        assert dataset.sources["train"].x.shape[1:] == (6, 9, channels)
        assert dataset.remarks == remarks
    expected = np.asarray(images[0].convert("L" if channels == 1 else "RGB"))
    if not images[0].has_transparency_data:
        shown = dataset.sources["train"].x[0].reshape(expected.shape)
        np.testing.assert_array_equal(shown, expected)


def test_a_size_is_that_of_the_upright_photograph(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    folder(tmp_path, [COLOUR])
    COLOUR.rotate(90, expand=True).save(tmp_path / "set" / "a" / "x.png", exif=exif)
    assert folder(tmp_path, []).sources["train"].x.shape == (3, 6, 9, 3)
