"""What else comes in at the Python door: splits, keys, options and records."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import junlearn
from junlearn import Data, Variables
from junlearn.engine.batches import PLAIN_VIEWS
from junlearn.engine.inputs.options import key_of, keys_of
from junlearn.engine.inputs.splits import check_split
from junlearn.engine.predict import logits_many
from tests.door import BOTH, DATA, KEY, MODEL, NONE, NORMED, SPLIT, Linear, X, Y, refused, several


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"forget": [4000]}, "split.forget holds an index outside of 0 to 23"),
        ({"forget": [-1]}, "outside of 0 to 23"),
        ({"forget": [1.0]}, "list of row numbers or a mask, not float64"),
        ({"forget": [[1]]}, r"not int64\[1, 1\]"),
        ({"forget": "abc"}, "split.forget must be a list"),
        ({"forget": [0, 0]}, "only once"),
        ({"forget": [True] * 3}, r"a mask of shape \(3,\), and there are 24 rows"),
        ({"forget": [None]}, "objects such as 'None'"),
        ({"forget": {1}}, "split.forget is a set"),
        ({"retain": np.arange(24)}, "split.forget and split.retain share 3 examples, first 0"),
        ({"retain": [24]}, "split.retain holds an index outside"),
        ({"forget_test": [24]}, "split.forget_test holds an index outside"),
        ({"retain_test": [1]}, "split.forget_test and split.retain_test share 1"),
        ({"manipulated": [99]}, "split.manipulated holds an index"),
        ({"classes": (3,)}, "no class 3; classes are 0 to 2"),
        ({"classes": ("a",)}, "split.classes must be numbers"),
        ({"target": -1}, "no class -1"),
        ({"seed": 1.5}, "split.seed is 1.5"),
    ],
)
@pytest.mark.usefixtures("unrun")
def test_wrong_splits(changes, message, network):
    split = SPLIT._replace(**changes)
    refused(message, junlearn.unlearn, MODEL, network, BOTH, split, "neggrad", key=0)
    refused(message, junlearn.evaluate, MODEL, network, BOTH, split)


@pytest.mark.parametrize(
    ("changes", "method", "message"),
    [
        ({"forget": NONE}, "neggrad", "split.forget is empty, and neggrad reads"),
        ({"retain": NONE}, "finetune", "split.retain is empty, and finetune reads"),
        ({"retain": []}, "retrain", "split.retain is empty"),
    ],
)
@pytest.mark.usefixtures("unrun")
def test_parts_that_a_method_reads_are_not_empty(changes, method, message, network):
    split = SPLIT._replace(**changes)
    refused(message, junlearn.unlearn, MODEL, network, DATA, split, method, key=0)


def test_usual_splits():
    """Lists, masks, arrays of the device; test rows count only where there is a test set."""
    wanted = check_split(BOTH, SPLIT)
    mask = np.isin(np.arange(24), SPLIT.forget)
    for changes in (
        {"forget": mask, "retain": ~mask},
        {"forget": jnp.arange(3), "retain": list(range(3, 24))},
        {"forget": np.arange(3, dtype=np.uint8), "forget_test": (0, 1)},
    ):
        chex.assert_trees_all_equal(check_split(BOTH, SPLIT._replace(**changes)), wanted)
    check_split({"train": DATA}, SPLIT._replace(forget_test=[99], retain_test=None))
    check_split(BOTH, SPLIT._replace(forget=NONE))


@pytest.mark.parametrize(
    "split",
    [None, 3, "rows", ["a"], {"forget": [1]}, (np.arange(1), np.arange(1, 9)), [24], [10**30]],
)
@pytest.mark.usefixtures("unrun")
def test_what_is_no_split(split, network):
    refused("split|forget", junlearn.unlearn, MODEL, network, DATA, split, key=0)


@pytest.mark.parametrize("classes", [[1.5], "a", [True], [[1]], [3], -1])
def test_what_are_no_classes(classes):
    refused("class", junlearn.split_off, DATA, classes=classes)


@pytest.mark.parametrize(
    "key",
    [
        *(True, 0.5, "0", None, -1, 2**32, [0, 1], object(), {}, np.float32(0)),
        *(np.zeros(3, np.uint32), jax.random.split(KEY)),
    ],
)
@pytest.mark.usefixtures("unrun")
def test_what_is_no_key(key):
    refused("key ", junlearn.train, MODEL, DATA, key=key)
    refused("key ", junlearn.initial, MODEL, DATA, key=key)


@pytest.mark.parametrize(
    "key", [7, np.int64(7), jnp.int32(7), jax.random.PRNGKey(7), np.asarray(jax.random.PRNGKey(7))]
)
def test_usual_keys(key):
    chex.assert_trees_all_equal(key_of(key), jax.random.key(7))
    assert key_of(jax.random.key(7)) == jax.random.key(7)


def test_keys_of_many():
    three = [jax.random.key(i) for i in range(3)]
    raw = np.stack([jax.random.key_data(key) for key in three])
    for keys in (range(3), [0, 1, 2], np.arange(3), jnp.stack(three), three, raw):
        assert [bool(a == b) for a, b in zip(keys_of(keys), three, strict=True)] == [True] * 3
    assert keys_of(None) is None and keys_of(2) == three[2] == keys_of(raw[2])
    refused(r"keys\[1\] is 'a'", keys_of, [0, "a"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": -1}, "seed is -1"),
        ({"seed": 1.0}, "seed is 1.0"),
        ({"seed": True}, "seed is True"),
        ({"seed": [1]}, "seed is a list"),
        ({"loop": "jit"}, "unknown loop 'jit'"),
        ({"loop": None}, "unknown loop"),
        ({"mesh": 4}, "mesh is an int, not a jax.sharding.Mesh"),
        ({"mesh": jax.make_mesh((1,), ("batch",))}, "mesh has the axes"),
        ({"mesh": jax.make_mesh((1,), ("data",))}, "not AxisType.Auto"),
        ({"store": "runs"}, "store is a str: a junlearn.engine.checkpoint.Store"),
        ({"save_seconds": "1"}, "save_seconds is '1'"),
        ({"save_seconds": float("nan")}, "save_seconds is nan"),
        ({"progress": 3}, 'progress is 3: .*"auto"'),
        ({"initial": 3}, "initial: a network's numbers are needed"),
        ({"views": [1]}, "views is a list"),
        ({"views": {"eval": 3}}, r"views\['eval'\] is an int"),
        ({"views": {"augment": PLAIN_VIEWS["augment"]}}, "unknown view 'eval'"),
        ({"views": {"eval": lambda rows, keys: rows.x.foo}}, "the view of 'train' fails .*foo"),
        ({"views": {"eval": lambda rows, keys: rows.x}}, r"makes uint8\[1, 4, 4, 1\] of one image"),
        ({"views": {"eval": lambda rows, keys: 1.0 * rows.x[:, :2]}}, r"images of \[2, 4, 1\]"),
    ],
)
@pytest.mark.usefixtures("unrun")
def test_wrong_options(options, message, network):
    refused(message, junlearn.train, MODEL, DATA, key=0, **options)
    refused(message, junlearn.unlearn, MODEL, network, DATA, [1], key=0, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metrics": 3}, "metrics is 3"),
        ({"metrics": [["mia"]]}, "unknown metric"),
        ({"metrics": "acuracy"}, "did you mean 'accuracy'"),
        ({"views": None}, "views is None"),
        ({"train_view": 3}, "unknown view 3"),
        ({"relearning": {"epochs": 1}}, "relearning must be"),
        ({"reference_model": Linear()}, "reference_model is a Linear, not a junlearn.Model"),
    ],
)
@pytest.mark.usefixtures("unrun")
def test_wrong_options_of_evaluate(options, message, network):
    refused(message, junlearn.evaluate, MODEL, network, DATA, [1], **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"retains": 3}, "retains is an int"),
        ({"retains": "rows"}, "retains is a str"),
        ({"retains": [["a"]]}, "set 0 is not a list of at least one index"),
        ({"retains": [[1], [24]]}, "set 1 holds an index outside of 0 to 23"),
        ({"forgets": 3}, "forgets is an int"),
        ({"forgets": [[24]]}, "forget holds an index outside"),
        ({"retains": [[1]], "seeds": "0"}, r"seeds\[0\] is '0'"),
        ({"retains": [[1]], "seeds": [0.5]}, r"seeds\[0\] is 0.5"),
        ({"retains": [[1]], "keys": ["a"]}, r"keys\[0\] is 'a'"),
        ({"retains": [[1]], "keys": True}, "keys is True"),
        ({"retains": [[1]], "memory": "1G"}, "memory is '1G'"),
        ({"retains": [[1]], "progress": "bars"}, "progress is 'bars'"),
        ({"retains": [[1]], "loop": 1}, "unknown loop"),
    ],
)
def test_wrong_options_of_many(options, message):
    refused(message, junlearn.train_many, MODEL, DATA, **options)


def test_what_else_is_refused(network, tmp_path):
    view, stack = PLAIN_VIEWS["eval"], several(network)
    for message, arguments, options in (
        ("not a stack of networks", (MODEL, network, DATA), {}),
        ("pass its .variables", (MODEL, junlearn.Many(stack, [], {}, "", 1, {}), DATA), {}),
        ("indices holds an index", (MODEL, stack, DATA, [24]), {}),
        ("another network", (NORMED, stack, DATA), {}),
        ("unknown how", (MODEL, stack, DATA), {"how": "map"}),
        ("24 images and 3 labels", (MODEL, stack, Data(X, Y[:3])), {}),
        ("batch_size is 0", (MODEL, stack, DATA), {"batch_size": 0}),
        ("view is a str", (MODEL, stack, DATA), {"view": "eval"}),
    ):
        refused(message, logits_many, *arguments, **{"view": view, **options})
    load = junlearn.load_variables
    refused("path is an int", load, 3, MODEL)
    refused("from_linen", load, tmp_path, Linear(), DATA)
    refused("no 'train'", load, tmp_path, MODEL, {"test": DATA})
    refused("resize", load, tmp_path, MODEL, Data(X[:, :2], Y))
    method = junlearn.methods.build("naive", junlearn.methods.METHODS["naive"].Config(), MODEL)
    run = junlearn.run
    refused("junlearn.unlearn takes names", run, "naive", MODEL, network, BOTH, SPLIT, key=0)
    refused("split is a list", run, method, MODEL, network, BOTH, [1], key=0)
    refused("outside of 0", run, method, MODEL, network, BOTH, SPLIT._replace(forget=[99]), key=0)
    refused("key is True", run, method, MODEL, network, BOTH, SPLIT, key=True)
    assert run(method, MODEL, network.to_linen(), BOTH, SPLIT, key=0).variables is not None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metrics": [1]}, "metrics is a list"),
        ({"metrics": {"a": "b"}}, r"metrics\['a'\] is 'b'"),
        ({"metrics": {"a": np.nan}}, r"metrics\['a'\] is nan"),
        ({"model": MODEL}, "model is a Model: a name"),
        ({"result": Variables({}, {})}, "result is a Variables"),
        ({"key": "x"}, "key is 'x'"),
        ({"split": [24]}, "outside of 0 to 23"),
        ({"method": ["ssd"]}, "unknown method"),
    ],
)
def test_wrong_records(changes, message, tmp_path):
    record = {"metrics": {"a": np.float32(1)}, "data": DATA, "split": [1], "method": "original"}
    names = {"dataset": "mine", "model": "Net"}
    path = tmp_path / "records.jsonl"
    refused(message, junlearn.write_record, path, **{**record, **names, **changes})
    assert not path.exists()
    assert junlearn.write_record(path, **record, **names, key=3)["metrics"] == {"a": 1.0}
