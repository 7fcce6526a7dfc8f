"""What a line of a request means, and what is written down of a request."""

import codecs
import os
import unicodedata

import jax
import numpy as np
import pytest

from junlearn.datasets.holdout import hold_out, set_aside
from junlearn.errors import ConfigError
from junlearn.experiment import request
from junlearn.scenarios import SCENARIOS
from junlearn.scenarios.naming import finder
from junlearn.scenarios.remarks import twins
from junlearn.types import Data, Dataset

NFC, NFD = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
STRANGE = [
    "cat/a #1.jpg",
    "cat/ spaced .jpg",
    " cat/x.jpg",
    "cat/\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029.jpg",
    "cat/a\rb.jpg",
    "cat/[bold].jpg",
    "cat/back\\slash.jpg",
    'cat/"quoted".jpg',
    "cat/日本語.jpg",
    "#1/x.jpg",
    "cat/\ufeffmark.jpg",
    os.fsdecode(b"cat/latin-\xe9.jpg"),
]
PLAIN = ["cat/IMG_0001.jpg", "cat/IMG_0002.JPG", f"{NFC}/1.jpg", "dog/deep/1.jpg"]
TESTS = ["cat/IMG_0007.jpg", "dog/9.jpg"]
NAMES = STRANGE + PLAIN
ROOT = "/data/photos"


def photos(names=NAMES, tests=TESTS, root=ROOT):
    def data(start, count):
        numbers = np.arange(start, start + count, dtype=np.int32)
        x = np.repeat(np.uint8(numbers)[:, None, None, None], 4, 1)
        return Data(x, numbers % 2, numbers)

    return Dataset(
        "photos",
        "1",
        "f" * 32,
        {"train": data(0, len(names)), "test": data(len(names), len(tests))},
        {},
        ("cat", "dog"),
        names=(*names, *tests),
        root=root,
        apart={"test": "a test image (test_fraction = 0.2)"},
    )


def split(path, data, content=None, **fields):
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    config = SCENARIOS["rows"].Config(file=str(path), **{"by": "id"} | fields)
    return SCENARIOS["rows"].make(config, data, jax.random.key(0))


@pytest.mark.parametrize("name", [*STRANGE[:9], *STRANGE[10:], *PLAIN])
@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_every_name_can_be_named(tmp_path, name, end):
    content = f"# a request{end or chr(10)}{name}{end}".encode("utf-8", "surrogateescape")
    found = split(tmp_path / "r.txt", photos(), content)
    assert [NAMES[row] for row in found.forget] == [name]


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("  cat/IMG_0001.jpg\t", "cat/IMG_0001.jpg"),
        ("./cat/IMG_0001.jpg", "cat/IMG_0001.jpg"),
        ("cat//IMG_0001.jpg", "cat/IMG_0001.jpg"),
        (".\\cat\\IMG_0001.jpg", "cat/IMG_0001.jpg"),
        ("dog\\deep\\1.jpg", "dog/deep/1.jpg"),
        ("'cat/IMG_0002.JPG'", "cat/IMG_0002.JPG"),
        ('"dog/deep/1.jpg"', "dog/deep/1.jpg"),
        (f"{ROOT}/dog/deep/1.jpg", "dog/deep/1.jpg"),
        (f"{NFD}/1.jpg", f"{NFC}/1.jpg"),
        (f"{NFD}\\1.jpg", f"{NFC}/1.jpg"),
        ("\ufeffdog/deep/1.jpg", "dog/deep/1.jpg"),
        ("./#1/x.jpg", "#1/x.jpg"),
    ],
)
def test_spellings_that_mean_one_image(line, name):
    assert finder("id", photos())(line) == NAMES.index(name)


def test_a_path_from_here(tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real").mkdir()
    monkeypatch.chdir(tmp_path)
    for root in ("real", "link"):
        find = finder("id", photos(root=str(tmp_path / root)))
        assert find("real/dog/deep/1.jpg") == NAMES.index("dog/deep/1.jpg")


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
        (b"", "utf-8"),
    ],
)
@pytest.mark.parametrize("first", ["# café\r\n", ""])
def test_marks_of_encodings(tmp_path, mark, encoding, first):
    content = mark + f"{first}{NFC}/1.jpg\r\ncat/IMG_0001.jpg".encode(encoding)
    assert split(tmp_path / "r.txt", photos(), content).forget.tolist() == [12, 14]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("cat/IMG_0007.jpg", r"'cat/IMG_0007.jpg' is a test image \(test_fraction = 0.2\): no network has learned it"),
        ("cat\\IMG_0007.jpg", "is a test image"),
        ("cat/IMG_001.jpg", "the nearest is 'cat/IMG_0001.jpg'"),
        ("dogs/deep/1.jpg", "the nearest is 'dog/deep/1.jpg'"),
        ("deep/1.jpg", "the nearest is 'dog/deep/1.jpg'"),
        ("cat/img_0002.jpg", "did you mean 'cat/IMG_0002.JPG'. The two differ in letter case"),
        ("Dog/deep/1.JPG", "did you mean 'dog/deep/1.jpg'"),
        ("C:\\photos\\dog\\deep\\1.jpg", "the nearest is 'dog/deep/1.jpg'"),
        ("cat/IMG_0001.jpg # theirs", "a comment needs a line of its own"),
        ("cat/IMG_0001.jpg\rcat/IMG_0002.JPG", "a carriage return alone ends none"),
        ("#1/x.jpg", "is a comment, for it begins with #, and the name of an image: write './#1/x.jpg'"),
        ("caf\xe9".encode("latin-1") + b"/1.jpg", "byte 0xe9 is not UTF-8: save the file as UTF-8"),
        ("cat/\x93x\x94".encode("cp1252", "replace") + b"\xff", "byte 0xff is not UTF-8"),
        ("x" * 5000, "has the id 'x+…'; there are 18"),
        ("cat/IMG_0002.JPG", "stands on line 2 already"),
        ("./cat/IMG_0002.JPG", "stands on line 2 already"),
    ],
)  # fmt: skip
def test_lines_that_name_nothing(tmp_path, line, message):
    content = line if isinstance(line, bytes) else line.encode()
    with pytest.raises(ConfigError, match=f"r.txt, line 3: .*{message}") as error:
        split(tmp_path / "r.txt", photos(), b"# one\ncat/IMG_0002.JPG\n" + content)
    assert "\n" not in str(error.value) and len(str(error.value)) < 500


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a\n".encode("utf-16-le"), "one in UTF-16: line 1 has a NUL character"),
        (codecs.BOM_UTF16_LE + b"a", "is not a text file"),
        (b"cat/x.jpg\n\0", "line 2 has a NUL"),
        (b"", "names no example"),
        (codecs.BOM_UTF8, "names no example"),
        (b"\r\n \t\r\n# x\r\n  # y", "names no example"),
    ],
)
def test_files_that_are_no_request(tmp_path, content, message):
    with pytest.raises(ConfigError, match=message):
        split(tmp_path / "r.txt", photos(), content)


@pytest.mark.parametrize("file", ["", "none.txt", ".", "~nobody-of-this-name/x", "a\0b"])
def test_paths_that_are_no_file(tmp_path, file, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = SCENARIOS["rows"].Config(file=file, by="id")
    with pytest.raises(ConfigError, match=r"scenario\.file"):
        SCENARIOS["rows"].make(config, photos(), jax.random.key(0))


NO_ROWS = ["18", "-1", "+1", "01", "1.0", "1e0", "1,2", "1 2", "0x1", "١", "9" * 5000, "1;", "x"]


@pytest.mark.parametrize("text", NO_ROWS)
def test_what_is_no_row(tmp_path, text):
    with pytest.raises(ConfigError, match="line 1: no training example of photos has the row"):
        split(tmp_path / "r.txt", photos(), text, by="row")


def test_names_that_look_the_same_are_ambiguous():
    find = finder("id", photos([f"{NFC}/1.jpg", f"{NFD}/1.jpg", "a/1.jpg"]))
    assert [find(f"{form}/1.jpg") for form in (NFC, NFD)] == [0, 1]
    with pytest.raises(ConfigError, match="can mean any of 2 images"):
        finder("id", photos(["e\u0301\u0323/1", "e\u0323\u0301/1"]))("\u1eb9\u0301/1")


@pytest.mark.parametrize(
    ("change", "source", "what"),
    [(hold_out, "test", r"held out \(held_out = 0.5\)"), (set_aside, "validation", r"set aside \(validation = 0.5\)")],
)  # fmt: skip
def test_examples_that_a_run_keeps_out_of_training(change, source, what):
    for data in (photos(), photos()._replace(names=(), root="")):
        part = change(data, 0.5, 0)
        number = int(part.sources[source].id[0])
        line = NAMES[number] if data.names else str(number)
        line = line.encode("utf-8", "replace").decode() if not data.names else line
        with pytest.raises(ConfigError, match=f"is {what}: no network has learned it"):
            finder("id", part)(line)


def test_a_name_among_many_is_found_fast():
    names = [f"class_{i % 1000:03}/IMG_{i:07}.jpg" for i in range(100_000)]
    with pytest.raises(ConfigError, match=r"the nearest is 'class_042/IMG_0099042\.jpg'"):
        finder("id", photos(names, []))("class_042/IMG_009942.jpg")


def summary(scenario, data, chosen, path):
    request.write(scenario, data, chosen, path)
    return request.summary(scenario, data, chosen, path)


@pytest.mark.parametrize("by", ["id", "row"])
@pytest.mark.parametrize(
    "names", [NAMES, [*NAMES, "cat/two\nlines.jpg"], [*NAMES, "cat/end\r"], ()]
)
def test_the_list_of_a_run_is_a_request(tmp_path, by, names):
    data = photos(names or NAMES)
    data = data if names else data._replace(names=(), root="")
    chosen = split(tmp_path / "r.txt", data, "\n".join(map(str, range(3, 16))), by="row")
    chosen = chosen._replace(forget=np.arange(len(data.sources["train"].y))[2:])
    entry = summary(SCENARIOS["rows"].Config(by=by), data, chosen, tmp_path)
    text = (tmp_path / request.FORGOTTEN).read_bytes()
    written = "id" if b'scenario.by = "id"' in text else "row"
    assert written == (by if names in (NAMES, ()) else "row")
    again = split(tmp_path / request.FORGOTTEN, data, by=written)
    assert again.forget.tolist() == chosen.forget.tolist()
    assert entry == summary(SCENARIOS["rows"].Config(by=by), data, chosen, tmp_path)
    assert entry["forget"] == len(chosen.forget) and entry["data"] == data.fingerprint
    other = chosen._replace(forget=chosen.forget[1:])
    assert summary(SCENARIOS["rows"].Config(by=by), data, other, tmp_path) != entry


@pytest.mark.parametrize("by", ["id", "row"])
def test_a_private_list_can_be_checked_and_not_read(tmp_path, by):
    data, config = photos(), SCENARIOS["rows"].Config(by=by, private=True)
    chosen = split(tmp_path / "r.txt", data, "\n".join(map(str, range(12))), by="row")
    entry = summary(config, data, chosen, tmp_path)
    text = (tmp_path / request.FORGOTTEN).read_text()
    assert not any(name in text for name in NAMES)
    salt = text.split("# salt: ")[1].split("\n")[0]
    every = NAMES if by == "id" else list(map(str, range(len(NAMES))))
    assert [i for i, name in enumerate(every) if request.salted_hash(name, salt) in text] == [
        *range(12)
    ]
    assert set(entry) == {"forget", "retain", "data", "list"}
    assert summary(config, data, chosen, tmp_path) == entry
    assert (tmp_path / request.FORGOTTEN).read_text() == text
    (tmp_path / "other").mkdir()
    assert summary(config, data, chosen, tmp_path / "other") != entry


@pytest.mark.parametrize(
    ("train", "test", "said"),
    [
        ([0, 1, 2, 3], [4], []),
        ([0, 1, 0, 1], [4], ["2 training images to retain are exact copies of images to forget"]),
        ([0, 0, 1, 2], [4], []),
        ([0, 1, 2, 1], [4], ["1 training image to retain is an exact copy of images to forget"]),
        ([0, 1, 2, 3], [1], ["1 test image is an exact copy of images to forget"]),
        ([0, 1, 2, 3], [3, 3, 2], ["3 test images are exact copies of training images to retain"]),
        ([0, 1, 2, 0], [0], [
            "1 training image to retain is an exact copy of images to forget",
            "1 test image is an exact copy of images to forget",
            "1 test image is an exact copy of training images to retain",
        ]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_twins(tmp_path, train, test, said, dtype):
    data = photos(["a/1", "a/2", "b/1", "b/2"], ["a/3"] * len(test))
    for source, values in (("train", train), ("test", test)):
        x = np.asarray(values, dtype)[:, None, None, None] * np.ones((2, 3, 1), dtype)
        data.sources[source] = data.sources[source]._replace(x=x)
    assert list(twins(data, split(tmp_path / "r.txt", data, "a/1\na/2"))) == said
