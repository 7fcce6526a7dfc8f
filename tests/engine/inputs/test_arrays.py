"""Arrays at the Python door: wrong ones end in one line that says what to do, usual ones are converted."""

import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import junlearn
from junlearn import Data
from junlearn.engine.inputs import arrays, sources
from tests.door import DATA, KEY, MODEL, Linear, X, Y, refused

F = X.astype(np.float32) / 255


class Tensor:
    """Of another library: numpy can read it, and that is all."""

    def __init__(self, array, reason=None):
        self.array, self.reason = array, reason

    def __array__(self, dtype=None, copy=None):
        if self.reason:
            raise RuntimeError(self.reason)
        return self.array


def put(array, place, value):
    changed = array.copy()
    changed[place] = value
    return changed


WRONG = {
    "fewer labels": (Data(X, Y[:20]), "data has 24 images and 20 labels"),
    "fewer images": (Data(X[:20], Y), "data has 20 images and 24 labels"),
    "no label": (Data(X, put(Y, 3, -1)), r"from -1 to 2 \(row 3: -1\).*leave examples without"),
    "one class too many": (Data(X, put(Y, 5, 3)), r"to 3 \(row 5: 3\), and the network has 3 outp"),
    "from one": (Data(X, Y + 1), "labels run from 1 to 3 .*subtract 1$"),
    "from minus one": (Data(X, Y % 2 - 1), "from -1 to 0 .*add 1 if -1 is a class"),
    "signs": (Data(X, np.where(Y == 0, 1, -1)), r"\(y \+ 1\) // 2"),
    "gaps": (Data(X, Y * 10), "from 0 to 20 .*without a gap, or give the network 21 outputs"),
    "one-hot": (Data(X, np.eye(3)[Y]), r"y has shape \[24, 3\].*y.argmax\(1\)"),
    "several labels": (Data(X, np.ones((24, 3))), "several labels of one image"),
    "a column": (Data(X, Y[:, None]), r"\[24, 1\], .*y\[:, 0\]"),
    "text": (Data(X, np.array(["a", "b", "c"])[Y]), "y holds text.*np.unique.*return_inverse=True"),
    "text objects": (Data(X, np.array(["a", "b", "c"], object)[Y]), "text.*np.unique"),
    "bytes": (Data(X, np.array([b"a", b"b", b"c"])[Y]), "text.*np.unique"),
    "None for labels": (Data(X, [None] * 24), "y holds objects such as 'None'"),
    "no labels": (Data(X, None), "data.y is missing"),
    "a half": (Data(X, Y + 0.5), "y holds 0.5 in row 0, and whole numbers"),
    "NaN label": (Data(X, put(Y.astype(float), 4, np.nan)), "y holds nan in row 4"),
    "complex labels": (Data(X, Y + 0j), "y is complex128"),
    "wide labels": (Data(X, Y.astype(np.int64) + 2**40), "whole numbers of 32 bits"),
    "masked labels": (Data(X, np.ma.masked_equal(Y, 1)), "y has masked elements"),
    "a set": (Data(X, set(Y.tolist())), "y is a set, not an array"),
    "dates": (Data(X, np.zeros(24, "M8[s]")), r"y is datetime64\[s\]"),
    "random keys": (Data(X, jax.random.split(KEY, 24)), "y holds key<fry>"),
    "swapped": (Data(Y, X), "x and y in each other's place"),
    "no channels": (Data(X[..., 0], Y), r"\[24, 4, 4\], and \[N,H,W,C\] is wanted.*x\[..., None\]"),
    "flat": (Data(X.reshape(24, -1), Y), r"\[24, 16\], .*x.reshape\(-1, 4, 4, 1\)"),
    "one image": (Data(X[0], Y[:1]), r"one image alone is x\[None\]"),
    "five axes": (Data(X[None], Y), "the axes are examples, rows, columns and channels"),
    "NCHW": (
        Data(X.transpose(0, 3, 1, 2), Y),
        r"\[1, 4, 4\], .*takes \[4, 4, 1\].*transpose\(0, 2",
    ),
    "other size": (Data(X[:, :3], Y), r"\[3, 4, 1\], and the model takes \[4, 4, 1\].*resize"),
    "colour": (Data(np.repeat(X, 3, -1), Y), "grey images are their mean"),
    "no pixels": (Data(X[:, :0], Y), "no pixels"),
    "empty": (Data(X[:0], Y[:0]), "data is empty"),
    "NaN pixel": (
        Data(put(F, (17, 0, 0, 0), np.nan), Y),
        "x holds NaN .*in 1 of 24.*first in row 17",
    ),
    "infinite pixel": (Data(put(F, 5, -np.inf), Y), "x holds NaN or infinite .*first in row 5"),
    "NaN on the device": (Data(jnp.asarray(put(F, 2, np.nan)), Y), "first in row 2"),
    "beyond float32": (Data(F.astype(float) * 1e300, Y), "infinite"),
    "uint16": (Data(X.astype(np.uint16) * 257, Y), r"uint16, from 0 to 65\d+;.*/ 65535"),
    "uint16 to 255": (Data(X.astype(np.uint16), Y), r"x.astype\(np.uint8\)$"),
    "int64": (Data(X.astype(np.int64), Y), r"int64, from 0 to 2\d\d; .*x.astype\(np.uint8\)$"),
    "negative": (Data(X.astype(np.int32) - 128, Y), r"int32, from -1\d\d to 1\d\d; .*scale them"),
    "zeros and ones": (Data((X > 99).astype(int), Y), "np.float32.* if 1 is white"),
    "complex": (Data(F + 0j, Y), "x is complex64"),
    "objects": (Data(np.full(X.shape, None), Y), "x holds objects such as 'None'"),
    "ragged": (Data([X[0], X[1, :3]], [0, 1]), "its rows are of different shapes"),
    "masked": (Data(np.ma.masked_greater(X, 200), Y), "x has masked elements"),
    "a tensor with a gradient": (
        Data(Tensor(X, "requires grad"), Y),
        "x cannot be read.*requires grad",
    ),
    "no images": (Data(None, Y), "data.x is missing"),
    "bare images": (
        X,
        r"data is an array of shape \[24, 4, 4, 1\] without labels: pass junlearn.Data",
    ),
    "nothing": (None, "data is None: pass junlearn.Data"),
    "a name": ("mnist", "data is a str"),
    "a list": ([X, Y], "data is a list"),
    "three": ((X, Y, Y), "data is a tuple"),
    "two sets": (((X, Y), (X, Y)), "pass {'train': "),
    "columns by name": ({"image": X, "label": Y}, "dict of columns"),
    "no training set": ({"test": DATA}, "data has no 'train', only 'test'"),
    "no source": ({}, "only nothing"),
    "a slip": ({"train": DATA, "tset": DATA}, "unknown source in data 'tset'; did you mean 'test'"),
    "an array by name": ({"train": X}, r"data\['train'\] is an array of shape"),
    "labels of test": ({"train": DATA, "test": Data(X, Y + 1)}, r"data\['test'\].y: .*subtract 1"),
    "fewer in test": ({"train": DATA, "test": Data(X, Y[:3])}, r"\['test'\] has 24 images and 3"),
    "size in test": (
        {"train": DATA, "test": Data(X[:, :2], Y)},
        r"\['test'\].x has images of \[2, 4",
    ),
    "empty test": ({"train": DATA, "test": Data(X[:0], Y[:0])}, r"\['test'\] is empty"),
    "NaN in validation": (
        {"train": DATA, "validation": Data(put(F, 1, np.nan), Y)},
        r"\['validation'\].x holds NaN",
    ),
    "NaN in surrogate": (
        {"train": DATA, "surrogate": (put(F, 1, np.nan), Y)},
        r"\['surrogate'\].x holds NaN",
    ),
    "true labels": (DATA._replace(clean=Y + 1), "data.clean: labels run from 1 to 3"),
    "fewer true labels": (DATA._replace(clean=Y[:3]), "24 images and 3 entries in .clean"),
    "ids in words": (DATA._replace(id=np.array(["a", "b", "c"])[Y]), "data.id holds text"),
    "fewer marks": (DATA._replace(triggered=np.zeros(3, bool)), "3 entries in .triggered"),
    "marks": (DATA._replace(triggered=Y), "triggered is int32, and one True or False"),
    "fine labels": (DATA._replace(fine=Y - 1), "data.fine: labels run from -1"),
}


@pytest.fixture(autouse=True)
def nothing_runs(request):
    """Where an error is expected, it comes before a network is trained or asked."""
    if request.node.originalname.startswith("test_wrong"):
        request.getfixturevalue("unrun")


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arrays(name, network):
    """By every door; the same line from each."""
    data, message = WRONG[name]
    refused(message, junlearn.train, MODEL, data, key=KEY)
    refused(message, junlearn.train_many, MODEL, data, [[1]], keys=0)
    refused(message, junlearn.unlearn, MODEL, network, data, [1], key=0)
    refused(message, junlearn.evaluate, MODEL, network, data, [1])


@pytest.mark.parametrize(
    "name",
    ["fewer labels", "no label", "one-hot", "NaN pixel", "NaN in surrogate", "a slip", "flat"],
)
def test_wrong_arrays_without_a_network(name, tmp_path):
    data, message = WRONG[name]
    message = "labels run from -1" if name == "no label" else message
    names = {"dataset": "mine", "model": "Net"}
    refused(message, junlearn.split_off, data, [1])
    refused(message, junlearn.write_record, tmp_path / "r", {}, data, [1], "original", **names)
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    "name", ["fewer labels", "one-hot", "flat", "NCHW", "uint16", "ragged", "a half"]
)
def test_wrong_arrays_for_run(name, network):
    """What the driver can see without reading pixels."""
    method = junlearn.methods.build("naive", junlearn.methods.METHODS["naive"].Config(), MODEL)
    split = junlearn.Split(np.arange(3), np.arange(3, 20), [], [])
    message = WRONG[name][1].replace("data ", "sources.*").replace("data.", "sources.*")
    refused(
        message, junlearn.run, method, MODEL, network, {"train": WRONG[name][0]}, split, key=KEY
    )
    # Unread pixels and labels may be anything.
    blank = Data(np.full_like(F, np.nan), Y - 99)
    junlearn.run(method, MODEL, network, {"train": blank, "mine": DATA}, split, key=KEY)


@pytest.mark.parametrize(
    ("shape", "accepted"),
    [
        *(((3, 8, 8), False), ((1, 28, 28), False), ((3, 8, 12), False), ((8, 8, 3), True)),
        *(((1, 1, 64), True), ((4, 4, 64), True), ((1, 64, 6), True), ((6, 8, 8), True)),
    ],
)
def test_channels_in_front_of_a_network_of_any_shape(shape, accepted):
    model = junlearn.Model.from_linen(Linear())
    data = Data(np.zeros((3, *shape), np.float32), [0, 1, 2])
    if accepted:
        junlearn.initial(model, data, key=0)
        return
    refused(r"x.transpose\(0, 2, 3, 1\); if they are so", junlearn.initial, model, data, key=0)
    meant = model._replace(input_shape=shape)
    junlearn.initial(meant, data, key=0)


USUAL = {
    "a pair": (X, Y),
    "lists": Data(X.tolist(), Y.tolist()),
    "tuples": Data(tuple(X), tuple(Y)),
    "int64 labels": Data(X, Y.astype(np.int64)),
    "uint8 labels": Data(X, Y.astype(np.uint8)),
    "float labels": Data(X, Y.astype(float)),
    "labels on the device": Data(X, jnp.asarray(Y, jnp.float32)),
    "labels as objects": Data(X, Y.astype(object)),
    "big endian": Data(X, Y.astype(">i8")),
    "on the device": Data(jnp.asarray(X), jnp.asarray(Y)),
    "arrays of the device in a list": Data([jnp.asarray(x) for x in X[:24]], Y),
    "tensors": Data(Tensor(X), Tensor(Y)),
    "masks without effect": Data(np.ma.array(X), np.ma.array(Y)),
    "another order": Data(np.asfortranarray(X), Y),
    "a view": Data(X[::-1][::-1], Y[::-1][::-1]),
    "a dict of pairs": {"train": (X, Y.tolist())},
    "float64": Data(F.astype(np.float64), Y),
    "float64 in lists": Data(F.tolist(), Y),
    "floats on the device": Data(jnp.asarray(F), Y),
    "floats, big endian": Data(F.astype(">f4"), Y),
}


@pytest.fixture(scope="module")
def trained():
    return {
        kind: junlearn.train(MODEL, Data(x, Y), key=KEY, epochs=1, batch_size=8).variables
        for kind, x in (("uint8", X), ("float", F))
    }


@pytest.mark.parametrize("name", USUAL)
def test_usual_arrays_train_the_same_network(name, trained):
    """Bit for bit, and with the seed in the place of the key."""
    done = junlearn.train(MODEL, USUAL[name], key=0, epochs=1, batch_size=8)
    chex.assert_trees_all_equal(
        done.variables, trained["float" if "float" in name and "labels" not in name else "uint8"]
    )


@pytest.mark.parametrize(
    ("x", "dtype"),
    [
        *((F.astype(np.float16), np.float16), (jnp.asarray(F, jnp.bfloat16), jnp.bfloat16)),
        *((X > 9, np.float32), (jnp.asarray(X > 9), np.float32), ((X > 9).tolist(), np.float32)),
    ],
)
def test_images_of_other_types(x, dtype):
    found = sources.sources_of(Data(x, Y == 1))["train"]
    assert found.x.dtype == dtype and found.y.dtype == np.int32
    np.testing.assert_array_equal(np.asarray(found.x), np.asarray(x))


def test_what_has_the_right_form_is_not_copied():
    for x in (X, F, jnp.asarray(X), jnp.asarray(F)):
        given = Data(x, jnp.asarray(Y), triggered=np.zeros(24, bool))
        found = sources.sources_of(given)["train"]
        assert found.x is x and found.y is given.y and found.triggered is given.triggered


def test_labels_that_nothing_reads_may_be_anything(network):
    """Those of surrogate images."""
    data = {"train": DATA, "surrogate": (X, np.full(24, -(10**6)))}
    values = junlearn.evaluate(MODEL, network, data, [1], metrics="accuracy")
    assert values == junlearn.evaluate(MODEL, network, DATA, [1], metrics=["accuracy"])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, jnp.bfloat16])
def test_finite(dtype):
    for value, sound in ((1, True), (np.nan, False), (np.inf, False), (-np.inf, False)):
        host = put(np.zeros((3, 2), dtype), (1, 1), value)
        assert arrays.finite(host) == sound
        if dtype != np.float64:
            assert arrays.finite(jnp.asarray(host)) == sound
    assert arrays.finite(np.zeros((0, 2), dtype)) and arrays.finite(np.ones(3, int))


def test_each_message_names_its_argument():
    for _, message in WRONG.values():
        assert re.compile(message)
    assert len(WRONG) >= 40 and len(USUAL) >= 15
