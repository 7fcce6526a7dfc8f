"""A table of image files as a dataset."""

import codecs
import os

import numpy as np
import pytest
from PIL import Image

from junlearn.errors import ConfigError, DataError
from tests.datasets.made import make, the_cache, write_images

LINES = [
    "path,label,split,id",
    "pool/000.png,dog,train,a",
    "pool/001.png,cat,train,b",
    "pool/002.png,dog,test,c",
    "pool/003.png,cat,train,d",
]


@pytest.fixture
def table(tmp_path):
    """Writes lines, and loads them: of four images in the folder `pool`."""
    write_images(tmp_path / "pool", 4)

    def load(lines=LINES, end="\n", encode=str.encode, **config):
        (tmp_path / "photos.csv").write_bytes(encode(end.join(lines) + end))
        return make("csv", tmp_path / "cache", file=str(tmp_path / "photos.csv"), **config)

    return load


def replaced(number, line):
    return [line if place == number else old for place, old in enumerate(LINES, start=1)]


def test_images_are_those_of_the_table_in_its_order(table, tmp_path):
    dataset = table()
    assert (dataset.name, dataset.classes) == ("photos", ("cat", "dog"))
    train, test = dataset.sources["train"], dataset.sources["test"]
    assert [dataset.names[i] for i in [*train.id, *test.id]] == ["a", "b", "d", "c"]
    assert (train.y.tolist(), test.y.tolist()) == ([1, 0, 0], [1])
    seen = np.asarray(Image.open(tmp_path / "pool" / "003.png"))
    np.testing.assert_array_equal(train.x[2], seen)
    assert dataset.apart == {"test": "a test image (split = test)"}
    assert table(image_size=8).sources["train"].x.shape == (3, 8, 8, 3)


@pytest.mark.parametrize(
    "change",
    [
        {"end": "\r\n"},
        {"encode": lambda text: codecs.BOM_UTF8 + text.encode()},
        {"encode": lambda text: text.encode("utf-16")},
        {"lines": [line.replace(",", " , ") for line in LINES]},
        {"lines": ["", *(f'"{line.replace(",", chr(34) + "," + chr(34))}"' for line in LINES), ""]},
        {"lines": [line.replace("/", "\\") for line in LINES]},
        {"lines": [line.replace("pool/", "./pool//") for line in LINES]},
        {"lines": [",".join(reversed(line.split(","))) for line in LINES]},
        {"lines": [LINES[0].upper(), *LINES[1:]]},
        {"lines": [line.replace("train", "Training").replace("test", "VAL") for line in LINES]},
    ],
)
def test_tables_as_other_programs_write_them(table, change):
    plain = table()
    other = table(**change)
    assert (other.fingerprint, other.names) == (plain.fingerprint, plain.names)
    assert other.remarks == plain.remarks == ()


def test_without_ids_a_path_is_the_id(table, tmp_path):
    lines = [line.rpartition(",")[0] for line in LINES]
    dataset = table([*lines[:-1], f"{tmp_path}/pool/003.png,cat,train"])
    assert dataset.names == ("pool/000.png", "pool/001.png", "pool/003.png", "pool/002.png")
    assert dataset.root == str(tmp_path)


def test_whole_numbers_as_ids_are_numbers(table):
    numbers = [*(f"{line[:-1]}{40 - place}" for place, line in enumerate(LINES[1:]))]
    dataset = table([LINES[0], *numbers])
    assert dataset.names == ()
    assert dataset.sources["train"].id.tolist() == [40, 39, 37]
    padded = table([LINES[0], *numbers[:3], "pool/003.png,cat,train,037"])
    assert padded.names == ("40", "39", "037", "38")


def test_without_a_split_a_hash_of_the_id_decides(tmp_path):
    write_images(tmp_path / "pool", 60, mode="L")
    lines = [f"pool/{i:03d}.png,{'ab'[i % 2]},case {i}" for i in range(60)]

    def load(order):
        content = "\n".join(["path,label,id", *(lines[i] for i in order)])
        (tmp_path / "t.csv").write_text(content)
        return make("csv", tmp_path / "cache", file=str(tmp_path / "t.csv"), test_fraction=0.4)

    def tests(dataset):
        return {dataset.names[i] for i in dataset.sources["test"].id}

    dataset = load(range(60))
    assert 12 <= len(tests(dataset)) <= 36
    assert dataset.apart == {"test": "a test image (test_fraction = 0.4)"}
    assert tests(load(reversed(range(60)))) == tests(dataset)


def test_the_cache_is_that_of_the_table_as_it_is(table, tmp_path):
    first = table()
    path, state = the_cache(tmp_path / "cache"), the_cache(tmp_path / "cache").stat().st_mtime_ns
    assert path.name.startswith("photos-table-")
    assert table().fingerprint == first.fingerprint
    assert the_cache(tmp_path / "cache").stat().st_mtime_ns == state
    relabelled = table(replaced(3, "pool/001.png,dog,train,b"))
    assert relabelled.sources["train"].y.tolist() == [1, 1, 0]
    Image.fromarray(np.zeros((4, 5, 3), np.uint8)).save(tmp_path / "pool" / "000.png")
    assert table().sources["train"].x[0].max() == 0


def test_other_columns_and_a_third_split_are_left_out(table):
    lines = [f"{line},{'note' if place == 0 else place}" for place, line in enumerate(LINES)]
    lines[2] = lines[2].replace("train", "val")
    assert table(lines).remarks == (
        "left out of photos.csv: note",
        "left out: 1 image of the split val, for there is a test split (validation = 0.1 sets a part of the training "
        "images aside)",
    )


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "line 1: there is no column 'path', only nothing; a header path,label,split,id is wanted"),
        (LINES[1:], "line 1: there is no column 'path', only 'pool/000.png', 'dog', 'train', 'a'; a h"),
        (["label,split,id"], "line 1: there is no column 'path', only 'label', 'split', 'id'"),
        (LINES[:1], "has no images: a line with path, label each"),
        (["path,label,splt,id", *LINES[1:]], "line 1: unknown column 'splt'; did you mean 'split'"),
        (["filename,label,split,id"], "line 1: unknown column 'filename'; did you mean 'path'"),
        (["path,class,split,id"], "line 1: unknown column 'class'; did you mean 'label'"),
        (["path,label,split,split"], "line 1: the column 'split' is there twice"),
        ([line.replace(",", ";") for line in LINES], "line 1: commas are wanted between the columns"),
        ([line.replace(",", "\t") for line in LINES], "line 1: commas are wanted between the columns"),
        (["", *replaced(3, "pool/001.png,cat,train")], "line 4 has 3 values and the header 4"),
        (replaced(3, "pool/001.png,cat, big,train,b"), "line 3 has 5 values .* needs quotes"),
        (replaced(3, "pool/001.png,,train,b"), "line 3: the label is empty"),
        (replaced(3, "pool/001.png,cat,train,"), "line 3: the id is empty"),
        (replaced(3, " ,cat,train,b"), "line 3: the path is empty"),
        (replaced(3, "pool/001.png,cat,,b"), "line 3: the split is empty"),
        (replaced(3, "pool/001.png,cat,tran,b"), "line 3: unknown split 'tran'; did you mean 'train'"),
        (replaced(3, "pool/009.png,cat,train,b"), "line 3: there is no file .*/pool/009.png"),
        (replaced(3, "pool,cat,train,b"), "line 3: there is no file .*/pool"),
        (replaced(3, f"{'a' * 400}.png,cat,train,b"), "line 3: there is no file"),
        (replaced(5, "pool/003.png,cat,train,b"), "line 5: the id 'b' stands on line 3 already"),
        (replaced(5, "pool/../pool/001.png,cat,train,d"), "line 5: the file 'pool/001.png' stands on line 3"),
        (replaced(3, '"pool/001.png,cat,train,b'), "line 3: a quote is not closed"),
        (replaced(3, 'pool/001.png,"cat" dog,train,b'), "line 3: a quote is not closed"),
        ([*LINES[:3], "a\rb,cat,train,b"], "line 4: a carriage return alone ends no line"),
        (replaced(4, "pool/002.png,owl,test,c"), "no training images of owl"),
        ([line.replace("train", "test") for line in LINES], "has no training images"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line_with_its_number(table, lines, message):
    with pytest.raises(DataError, match=message) as caught:
        table(lines)
    assert "\n" not in str(caught.value)


def test_what_is_no_text_and_no_file(table, tmp_path):
    with pytest.raises(DataError, match=r"photos\.csv, line 2: byte 0xe9 is not UTF-8"):
        table(replaced(2, "pool/000.png,café,train,a"), encode=lambda text: text.encode("latin-1"))
    with pytest.raises(DataError, match=r"cannot read the table .*none\.csv: No such file"):
        make("csv", file=str(tmp_path / "none.csv"))
    with pytest.raises(DataError, match="is not a text file"):
        table(encode=lambda text: b"PK\0\0" + text.encode())
    with pytest.raises(ConfigError, match=r"dataset\.file is empty; csv needs"):
        make("csv")


def test_what_is_wrong_with_an_image_is_what_a_folder_says(table, tmp_path):
    write_images(tmp_path / "large", 1, size=(9, 9))
    with pytest.raises(
        ConfigError, match=r"differ in size \(pool/000.png .*set dataset\.image_size"
    ):
        table(replaced(3, "large/000.png,cat,train,b"))
    (tmp_path / "pool" / "001.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"001\.png cannot be read as an image"):
        table()


def test_images_elsewhere_are_called_as_they_lie(table, tmp_path):
    folder = tmp_path / "deep" / "er"
    folder.mkdir(parents=True)
    (folder / "t.csv").write_text("path,label\n../../pool/000.png,a\n../../pool/001.png,b\n")
    dataset = make("csv", tmp_path / "cache", file=str(folder / "t.csv"), test_fraction=0.0)
    assert dataset.names == tuple(os.fspath(tmp_path / "pool" / f"00{i}.png") for i in (0, 1))
