"""Data of a Hugging Face dataset, for which something stands in that has what is asked of one."""

import io

import numpy as np
import pytest
from PIL import Image as Pillow

import junlearn
from junlearn.errors import ConfigError, DataError

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (6, 4, 5), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (6, 4, 5, 3), dtype=np.uint8)


class Image:
    """A kind of column: as the library calls it."""


class ClassLabel:
    def __init__(self, *names):
        self.names = list(names)


class Value:
    def __init__(self, dtype):
        self.dtype = dtype


class Sequence:
    def __init__(self, feature):
        self.feature = feature


class Table:
    """Columns with their kinds."""

    def __init__(self, kinds, **columns):
        self.features, self.columns, self.form = kinds, columns, "torch"

    def __len__(self):
        return len(next(iter(self.columns.values())))

    def __getitem__(self, name):
        return self.columns[name]

    def __iter__(self):
        for values in zip(*self.columns.values(), strict=True):
            row = dict(zip(self.columns, values, strict=True))
            yield {n: self._shown(n, value) for n, value in row.items()}

    def _shown(self, name, value):
        if self.form == "numpy":
            return np.asarray(value).astype(np.int64)
        return value.T if self.form == "torch" and hasattr(value, "T") else value

    def with_format(self, form):
        other = Table(self.features, **self.columns)
        other.form = form
        return other

    def select_columns(self, names):
        other = self.with_format(self.form)
        other.columns = {name: self.columns[name] for name in names}
        return other


def table(x, y=(0, 1, 2, 0, 1, 2), image="image", label="label", **others):
    kinds = {image: Image(), label: ClassLabel("a", "b", "c"), **dict.fromkeys(others, Value("x"))}
    images = [
        Pillow.fromarray(pixels) if isinstance(pixels, np.ndarray) else pixels for pixels in x
    ]
    return Table(kinds, **{image: images, label: list(y)}, **others)


def read(*arguments, **options):
    return junlearn.Data.from_huggingface(*arguments, **options)


def test_images_and_labels():
    data = read(table(GREY, number=[5, 4, 3, 2, 1, 0], text=list("abcdef")), ids="number")
    np.testing.assert_array_equal(data.x[..., 0], GREY)
    assert (data.x.dtype, data.y.dtype, data.id.dtype) == (np.uint8, np.int32, np.int32)
    assert data.y.tolist() == [0, 1, 2, 0, 1, 2] and data.id.tolist() == [5, 4, 3, 2, 1, 0]
    np.testing.assert_array_equal(read(table(COLOUR)).x, COLOUR)
    mixed = read(table([*GREY[:3], *COLOUR[3:]]))
    assert mixed.id is None
    np.testing.assert_array_equal(mixed.x[:3], np.repeat(GREY[:3, ..., None], 3, -1))


def test_the_only_columns_of_their_kinds_are_meant():
    for names in ({"image": "img", "label": "fine"}, {"image": "img"}, {"label": "y"}, {}):
        found = read(table(GREY, **names, other=list("abcdef")))
        assert found.y.tolist() == [0, 1, 2, 0, 1, 2]
    two = table(GREY, image="left", right=list(GREY))
    two.features["right"] = Image()
    with pytest.raises(
        ConfigError, match=r"no column 'image', and 2 of the kind Image.*image=\"...\""
    ):
        read(two)
    np.testing.assert_array_equal(read(two, image="left").x[..., 0], GREY)


def encoded(pixels):
    stream = io.BytesIO()
    Pillow.fromarray(pixels).save(stream, "PNG")
    return {"bytes": stream.getvalue(), "path": None}


def test_images_that_are_not_decoded_yet():
    np.testing.assert_array_equal(read(table(map(encoded, COLOUR))).x, COLOUR)
    with pytest.raises(DataError, match=r"dataset\['image'\]\[1\] cannot be read as an image"):
        read(table([encoded(GREY[0]), {"bytes": b"none", "path": None}], [0, 1]))


@pytest.mark.parametrize("size", [None, 3])
def test_arrays(size):
    dark = GREY // 128
    rows = Table({"image": Sequence(Sequence(Value("uint8"))), "label": ClassLabel()},
                 image=dark.tolist(), label=[0] * 6)  # fmt: skip
    data = read(rows, size=size)
    if size is None:
        np.testing.assert_array_equal(data.x[..., 0], dark)
    assert data.x.shape == (6, *((4, 5) if size is None else (3, 3)), 1)
    rows.columns["image"] = [*dark.tolist()[:5], [[1, 2]]]
    if size is None:
        with pytest.raises(ConfigError, match=r"differ in shape \(\[1, 2\], \[4, 5\]\): pass size"):
            read(rows)
    else:
        assert read(rows, size=size).x.shape == (6, 3, 3, 1)


def test_several_sizes_need_a_size():
    rows = table([GREY[0], GREY[1, :2]], [0, 1])
    with pytest.raises(ConfigError, match=r"differ in size \(.*\): pass size=32, say"):
        read(rows)
    expected = np.asarray(Pillow.fromarray(GREY[0]).resize((7, 7), Pillow.Resampling.BILINEAR))
    np.testing.assert_array_equal(read(rows, size=7).x[0, ..., 0], expected)


def test_splits_are_sources():
    parts = read({"train": table(GREY), "test": table(COLOUR)})
    assert {name: data.x.shape for name, data in parts.items()} == {
        "train": (6, 4, 5, 3),
        "test": (6, 4, 5, 3),
    }
    other = table(GREY)
    other.features["label"] = ClassLabel("a", "c", "b")
    for split, wrong in (
        (
            {"train": table(GREY), "extra": table(GREY)},
            "has a split 'extra', and known are train, test",
        ),
        ({"test": table(GREY)}, "no 'train', only 'test'"),
        ({"train": table(GREY), "test": other}, r"\['test'\] has other classes"),
    ):
        with pytest.raises(ConfigError, match=wrong):
            read(split)


class Streamed:
    features = {"image": Image()}


@pytest.mark.parametrize(
    ("dataset", "options", "message"),
    [
        ("mnist", {}, r"load_dataset\('mnist'\) returns .*junlearn\[huggingface\]"),
        (np.zeros(3), {}, "is an array of shape .* a datasets.Dataset with known features is wanted"),
        (Streamed(), {}, "is streamed: load it without streaming=True"),
        (table([], []), {}, "dataset is empty"),
        (table(GREY), {"image": "imag"}, "dataset: unknown column 'imag'; did you mean 'image'"),
        (table(GREY), {"ids": "id"}, "unknown column 'id'"),
        (table(GREY, id=[0, 1, 2, 2, 3, 4]), {"ids": "id"}, "has the same number twice"),
        (table(GREY, id=list("abcdef")), {"ids": "id"}, "holds text, and whole numbers"),
        (table(GREY, list("abcabc")), {}, r"numbers of classes are wanted: dataset.class_encode_col"),
        (table(GREY, [0, 1, -1, 0, 1, 2]), {}, "has no label in row 2: leave such rows out"),
        (table([GREY[0], None], [0, 1]), {}, r"dataset\['image'\]\[1\] is nothing, and an image"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(dataset, options, message):
    with pytest.raises(ConfigError, match=message):
        read(dataset, **options)
