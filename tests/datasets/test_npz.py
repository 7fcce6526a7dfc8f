"""Arrays in a file as a dataset."""

import numpy as np
import pytest

from junlearn.errors import ConfigError, DataError, JunlearnError
from tests.datasets.made import make

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (12, 5, 4, 3), dtype=np.uint8)
Y = np.arange(12) % 3
WHOLE = {"x_train": X[:9], "y_train": Y[:9], "x_test": X[9:], "y_test": Y[9:]}
TEXTS = np.array([f"case {i}" for i in range(9)])


def write(path, **arrays):
    np.savez(path, **arrays)
    return str(path)


def load(tmp_path, config=None, **arrays):
    return make("npz", file=write(tmp_path / "mine.npz", **arrays), **config or {})


def test_what_is_in_the_file_is_what_comes_out(tmp_path):
    dataset = load(tmp_path, **WHOLE)
    assert (dataset.name, dataset.classes, dataset.input_shape) == (
        "mine",
        ("0", "1", "2"),
        (5, 4, 3),
    )
    train, test = dataset.sources["train"], dataset.sources["test"]
    np.testing.assert_array_equal(train.x, X[:9])
    np.testing.assert_array_equal(test.x, X[9:])
    assert train.y.dtype == np.int32 and train.y.tolist() == Y[:9].tolist()
    assert train.id.tolist() == list(range(9)) and test.id is None
    assert dataset.preprocessing["mean"] == [0.485, 0.456, 0.406]
    assert dataset.remarks == dataset.names == ()
    assert load(tmp_path, {"image_size": 8}, **WHOLE).input_shape == (8, 8, 3)


def test_a_part_of_the_training_images_becomes_the_test_set(tmp_path):
    x, y = RNG.integers(0, 256, (200, 2, 2), dtype=np.uint8), np.arange(200) % 2
    config = {"test_fraction": 0.3}
    dataset = load(tmp_path, config, x_train=x, y_train=y)
    train, test = dataset.sources["train"], dataset.sources["test"]
    assert 40 <= len(test.y) <= 80 and len(test.y) + len(train.y) == 200
    np.testing.assert_array_equal(test.x[..., 0], x[test.id])
    np.testing.assert_array_equal(train.x[..., 0], x[train.id])
    assert dataset.apart == {"test": "a test image (test_fraction = 0.3)"}
    # Ids decide, wherever the examples stand.
    order = RNG.permutation(200)
    moved = load(tmp_path, config, x_train=x[order], y_train=y[order], ids=order)
    assert set(moved.sources["test"].id) == set(test.id)


@pytest.mark.parametrize(
    ("ids", "ids_test", "numbers", "names"),
    [
        (np.arange(9) + 20, None, list(range(20, 29)), ()),
        (np.arange(9) + 20, [3, 2, 1], list(range(20, 29)), ()),
        (np.arange(9) + 2**40, None, list(range(9)), tuple(str(i + 2**40) for i in range(9))),
        (TEXTS, None, list(range(9)), tuple(TEXTS)),
        (TEXTS.astype("S"), ["7", "8", "9"], list(range(9)), (*TEXTS, "7", "8", "9")),
        (np.char.add("0", np.arange(9).astype(str)), None, list(range(9)), tuple(f"0{i}" for i in range(9))),
    ],
)  # fmt: skip
def test_ids(tmp_path, ids, ids_test, numbers, names):
    given = {"ids": ids} if ids_test is None else {"ids": ids, "ids_test": ids_test}
    dataset = load(tmp_path, **WHOLE, **given)
    assert dataset.sources["train"].id.tolist() == numbers
    assert dataset.names == names
    test = dataset.sources["test"].id
    assert (test is None) == (ids_test is None) == (dataset.apart == {})
    if names and ids_test is not None:
        assert [names[i] for i in test] == ids_test


@pytest.mark.parametrize(
    ("labels", "classes", "names", "numbers"),
    [
        (["cat", "dog", "ant"], None, ("ant", "cat", "dog"), [1, 2, 0]),
        (["cat", "dog", "ant"], ["dog", "cat", "ant"], ("dog", "cat", "ant"), [1, 0, 2]),
        ([b"cat", b"dog", b"ant"], None, ("ant", "cat", "dog"), [1, 2, 0]),
        ([0, 1, 2], ["cat", "dog", "ant"], ("cat", "dog", "ant"), [0, 1, 2]),
        ([0.0, 1.0, 2.0], None, ("0", "1", "2"), [0, 1, 2]),
    ],
)
def test_labels_and_names_of_classes(tmp_path, labels, classes, names, numbers):
    given = {} if classes is None else {"classes": classes}
    y = np.array(labels)[Y]
    dataset = load(tmp_path, **WHOLE | {"y_train": y[:9], "y_test": y[9:]}, **given)
    assert dataset.classes == names
    assert dataset.sources["train"].y[:3].tolist() == numbers


@pytest.mark.parametrize(
    "form",
    [
        lambda x: x.astype(np.float32) / 255,
        lambda x: x * (1 / 255),
        lambda x: x.astype(np.int64),
        lambda x: x.astype(np.float64),
    ],
)
def test_numbers_that_are_pixels_are_taken_as_such(tmp_path, form):
    plain, other = (load(tmp_path, **WHOLE | {"x_train": x}) for x in (X[:9], form(X[:9])))
    assert other.sources["train"].x.dtype == np.uint8
    assert other.fingerprint == plain.fingerprint


def without(*names):
    return {name: value for name, value in WHOLE.items() if name not in names}


OBJECTS = np.array([np.zeros((2, 2)), np.zeros((3, 3))], object)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (without("x_train"), "has no x_train, only y_train, x_test, y_test: np.savez"),
        (without("y_test"), "there is x_test and no y_test"),
        (without("x_test"), "there is y_test and no x_test"),
        (WHOLE | {"x_train": OBJECTS}, "x_train holds Python objects, which are not loaded"),
        (WHOLE | {"x_train": X[:9].transpose(0, 3, 1, 2).repeat(3, 2).repeat(3, 3)},
         r"channels in front: rows, columns, channels are wanted, x_train.transpose\(0, 2, 3, 1\)"),
        (WHOLE | {"x_train": X[:9].reshape(9, -1)}, r"x_train has shape \[9, 60\], and images"),
        (WHOLE | {"x_train": X[:9, :3]}, r"differ in shape: x_train of \[3, 4, 3\] and x_test"),
        (WHOLE | {"x_train": X[:8]}, "x_train has 8 images and y_train 9 labels"),
        (WHOLE | {"x_train": X[:9] / 255 - 0.5}, r"x_train is float64 from -0.5 to 0.\d+, and uint8"),
        (WHOLE | {"x_train": np.sqrt(X[:9] / 255)}, r"finer .* np.rint\(255 \* x_train\).astype"),
        (WHOLE | {"x_train": X[:9] + 0.5}, r"from 0.5 to 255.5, and uint8 is wanted"),
        (WHOLE | {"x_train": X[:9].astype(int) % 2}, "x_train .* and it is not said whether white is 1"),
        (WHOLE | {"x_train": np.full((9, 5, 4, 3), np.nan)}, "x_train holds NaN or infinite"),
        (WHOLE | {"x_train": X[:9].astype("S")}, "x_train is .*, and uint8 is wanted"),
        (WHOLE | {"y_train": Y[:9] - 1}, "y_train: labels run from -1 to 1"),
        (WHOLE | {"y_train": Y[:9] + 1, "y_test": Y[9:] + 1}, "no example of class 0.*so subtract 1"),
        (WHOLE | {"y_train": Y[:9] * 2}, r"no example of class 1, and labels reach 4.*np.unique"),
        (WHOLE | {"y_test": Y[9:] + 1}, "y_train has no example of class 3, and labels reach 3"),
        (WHOLE | {"y_train": Y[:9] + 0.5}, "y_train holds 0.5 in row 0, and whole numbers"),
        (WHOLE | {"y_train": Y[:9, None]}, r"y_train has shape \[9, 1\].*y\[:, 0\]"),
        (WHOLE | {"y_train": np.eye(3)[Y[:9]]}, r"y_train has shape \[9, 3\].*y.argmax\(1\)"),
        (WHOLE | {"y_train": Y[:9].astype(str)}, "of y_train and y_test one has names"),
        (WHOLE | {"classes": ["a", "b"]}, "y_train has the label 2 in row 2, and classes has 2 names"),
        (WHOLE | {"classes": ["a", "b", "c", "d"]}, "no training images of d"),
        (WHOLE | {"classes": ["a", "b", "a"]}, "classes has the same name twice"),
        (WHOLE | {"classes": [1, 2, 3]}, r"classes is int64\[3\], and a list of names"),
        (WHOLE | {"y_train": np.array(["cat", "dg", "dog"])[Y[:9]], "y_test": ["cat"] * 3,
                  "classes": ["cat", "dog"]}, "y_train, row 1: unknown class 'dg'; did you mean 'dog'"),
        (WHOLE | {"ids": np.arange(8)}, "ids has 8 ids for 9 images"),
        (WHOLE | {"ids": np.arange(9) % 8}, r"the id '0' is there twice: ids\[0\] and ids\[8\]"),
        (WHOLE | {"ids": np.arange(9), "ids_test": [9, 3, 10]}, r"'3' .* ids\[3\] and ids_test\[1\]"),
        (WHOLE | {"ids_test": np.arange(3)}, "there is ids_test and no ids"),
        (without("x_test", "y_test") | {"ids": np.arange(9), "ids_test": [1]}, "ids_test and no x_test"),
        (WHOLE | {"ids": np.where(np.arange(9) == 4, "", TEXTS)}, "ids is empty in row 4"),
        (WHOLE | {"ids": np.arange(9) + 0.5}, "ids holds 0.5 in row 0"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(tmp_path, arrays, message):
    with pytest.raises(DataError, match=message) as caught:
        load(tmp_path, **arrays)
    assert str(caught.value).startswith(f"{tmp_path / 'mine.npz'}") and "\n" not in str(
        caught.value
    )


def test_a_small_part_that_empties_a_class_is_said(tmp_path):
    with pytest.raises(DataError, match=r"no training images of 0, 2 \(test_fraction = 0.9\)"):
        load(tmp_path, {"test_fraction": 0.9}, x_train=X[:9], y_train=Y[:9])


def spoilt(change):
    def content(path):
        path.write_bytes(change(path.read_bytes()))

    return content


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.unlink(), "cannot read the arrays in .*: No such file"),
        (lambda path: (path.unlink(), path.mkdir()), "cannot read the arrays in .*: Is a directory"),
        (spoilt(lambda content: content[: len(content) // 2]), "is damaged"),
        (spoilt(lambda content: content.replace(X[3].tobytes(), bytes(60))), r"is damaged \(Bad CRC-32"),
        (spoilt(lambda content: b"\x93NUMPY and so on"), "is no .npz file: np.savez"),
        (spoilt(lambda content: b""), "is no .npz file: np.savez"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read(tmp_path, spoil, message):
    write(tmp_path / "mine.npz", **WHOLE)
    spoil(tmp_path / "mine.npz")
    with pytest.raises(DataError, match=message):
        make("npz", file=str(tmp_path / "mine.npz"))


def test_other_arrays_are_not_even_read(tmp_path):
    path = tmp_path / "mine.npz"
    dataset = load(tmp_path, **WHOLE, weights=OBJECTS, notes=np.arange(3))
    assert dataset.remarks == (f"left out of {path.name}: weights, notes",)


def test_no_file_and_no_fraction(tmp_path):
    with pytest.raises(ConfigError, match=r"dataset\.file is empty; npz needs"):
        make("npz")
    with pytest.raises(JunlearnError, match=r"test_fraction must be in \[0, 1\)"):
        load(tmp_path, {"test_fraction": 1.0}, **WHOLE)
