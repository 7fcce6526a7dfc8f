"""The library as a person with arrays and a module of their own uses it."""

import json
import warnings

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax.core import freeze

import junlearn
from junlearn.engine.batches import PLAIN_VIEWS
from junlearn.errors import ConfigError
from junlearn.experiment import records
from junlearn.reports import tables
from junlearn.scenarios import SCENARIOS
from tests.recorded import printed, record


class Mine(nn.Module):
    """A module that knows nothing of junlearn."""

    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Dense(32)(x.reshape(len(x), -1)))
        return nn.Dense(10)(x)


@pytest.fixture(scope="module")
def trained(digits):
    train = digits.sources["train"]
    data = junlearn.Data(train.x[:600], train.y[:600])
    model = junlearn.Model.from_linen(Mine(), input_shape=(8, 8, 1))
    done = junlearn.train(model, data, key=jax.random.key(0), epochs=8, batch_size=32)
    return model, data, done.variables


def test_forgetting_ten_examples(trained):
    model, data, variables = trained
    forget = np.arange(0, 100, 10)
    done = junlearn.unlearn(
        model,
        variables,
        data,
        forget,
        method="random_labels",
        key=jax.random.key(1),
        epochs=15,
        learning_rate=1e-2,
    )
    assert len(done.history) == 15 and {"loss", "accuracy", "stage"} <= set(done.history[0])
    before = junlearn.evaluate(model, variables, data, forget)
    after = junlearn.evaluate(model, done.variables, data, forget, original=variables)
    assert after["accuracy/forget_train"] < before["accuracy/forget_train"]
    assert after["accuracy/retain_train"] > 0.9
    assert "tow" not in after and "accuracy/test" not in after


def test_a_flax_dict_is_as_good_as_variables(trained):
    """Also of a network with BatchNorm, and for every network that is asked for."""
    model, data, variables = trained
    rows, plain = [1, 2], {"params": variables.params}
    one, two = (
        junlearn.unlearn(model, v, data, rows, method="naive", key=jax.random.key(0))
        for v in (variables, plain)
    )
    chex.assert_trees_all_equal(one.variables, two.variables)
    roles, metrics = ("original", "retrain", "random"), ("accuracy", "zrf", "tow", "distance")
    values = [
        junlearn.evaluate(model, v, data, rows, metrics=metrics, **dict.fromkeys(roles, v))
        for v in (variables, freeze(plain))
    ]
    assert values[0] == values[1] and len(values[0]) > 4


@pytest.mark.parametrize("role", ["variables", "original", "initial"])
def test_what_are_no_variables_is_refused(trained, role):
    model, data, variables = trained
    networks = {"variables": variables} | {role: variables.params}
    with pytest.raises(ConfigError, match="a dict with 'Dense_0', 'Dense_1' in it"):
        if role == "initial":
            junlearn.unlearn(model, data=data, split=[1], key=jax.random.key(0), **networks)
        else:
            junlearn.evaluate(model, data=data, split=[1], metrics=["accuracy"], **networks)


def test_references_bring_their_metrics(trained, digits):
    model, data, variables = trained
    test = digits.sources["test"]
    sources = {"train": data, "test": junlearn.Data(test.x, test.y)}
    values = junlearn.evaluate(
        model,
        variables,
        sources,
        np.arange(50),
        original=variables,
        retrain=variables,
        random=model.init(jax.random.key(5), model.example(sources)),
    )
    assert values["tow"] == 1 and values["js/forget_train"] == pytest.approx(0, abs=1e-12)
    assert 0.3 < values["zrf/forget_train"] < 1
    assert values["accuracy/test"] > 0.8


def test_own_loop_gives_what_the_driver_gives(trained):
    """init, plan, step, finish are enough for those who own their loop."""
    from junlearn.engine import batches
    from junlearn.methods import finetune

    model, data, variables = trained
    split = junlearn.split_off(data, np.arange(20))
    method = finetune.make(finetune.Config(epochs=1, batch_size=100), model)
    key = jax.random.key(3)
    sources = {"train": jax.tree.map(jnp.asarray, data)}
    state = method.init(jax.random.split(key)[0], variables, sources, split)
    (stage,) = method.plan(split)
    spec, rows = batches.specify(stage.feed(np.random.default_rng((0, 0, 0)), state))
    step = jax.jit(stage.step)
    for t in range(len(rows[0][0])):
        batch = batches.gather(
            spec, [(i[t], m[t]) for i, m in rows], sources, batches.PLAIN_VIEWS, key
        )
        state, _ = step(state, batch)
    driven = junlearn.unlearn(
        model, variables, data, split, method="finetune", key=key, epochs=1, batch_size=100
    )
    chex.assert_trees_all_close(method.finish(state), driven.variables, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "finetun"}, "did you mean 'finetune'"),
        ({"method": "ssd", "alfa": 1.0}, "did you mean 'ssd.alpha'"),
        ({"method": "finetune", "epochs": 0}, "finetune.epochs: Expected `int` >= 1"),
    ],
)
def test_mistakes(trained, options, message):
    model, data, variables = trained
    with pytest.raises(ConfigError, match=message):
        junlearn.unlearn(model, variables, data, [1, 2], key=jax.random.key(0), **options)


@pytest.mark.parametrize(
    ("forget", "message"),
    [
        ([], "forget set is empty"),
        ([1, 1], "only once"),
        ([600], "outside of 0 to 599"),
        ([-1], "outside"),
        (range(600), "retain set is empty"),
        ([True] * 599, r"a mask of shape \(599,\), and there are 600 rows"),
        ([False] * 600, "forget set is empty"),
        ([1.0], r"row numbers or a mask, not float64\[1\]"),
        ([[1]], r"row numbers or a mask, not int64\[1, 1\]"),
        (None, "one of the two"),
    ],
)
def test_split_off_mistakes(trained, forget, message):
    with pytest.raises(ConfigError, match=message):
        junlearn.split_off(trained[1], forget if forget is None else list(forget))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": [10]}, "class 10 does not exist: the dataset has 10"),
        ({"classes": ()}, "forget set is empty"),
        ({"classes": range(10)}, "retain set is empty"),
        ({"classes": [1], "forget": [1]}, "one of the two"),
    ],
)
def test_split_off_classes_mistakes(trained, options, message):
    with pytest.raises(ConfigError, match=message):
        junlearn.split_off(trained[1], **options)


def test_split_off(trained):
    split = junlearn.split_off(trained[1], [5, 3])
    np.testing.assert_array_equal(split.forget, [3, 5])
    assert len(split.retain) == 598 and not {3, 5} & set(split.retain)
    chex.assert_trees_all_equal(
        junlearn.split_off(trained[1], np.isin(np.arange(600), [3, 5])), split
    )


def test_split_off_is_the_class_scenario(digits):
    scenario = SCENARIOS["class"]
    wanted = scenario.make(scenario.Config(classes=(2, 7)), digits, jax.random.key(0))
    assert len(wanted.forget_test) and wanted.classes == (2, 7)
    chex.assert_trees_all_equal(junlearn.split_off(digits.sources, classes=[7, 2]), wanted)
    alone = junlearn.split_off(digits.sources["train"], classes=2)
    assert alone.classes == (2,) and alone.forget_test.size == alone.retain_test.size == 0


def test_a_removed_class_is_scored_as_one(trained, digits):
    model, data, variables = trained
    sources = {"train": data, "test": digits.sources["test"]}
    aus = [
        junlearn.evaluate(model, variables, sources, split, original=variables, metrics=["aus"])
        for split in (junlearn.split_off(sources, classes=(2,)), np.flatnonzero(data.y == 2))
    ]
    right = aus[0]["aus"]
    after = junlearn.evaluate(
        model, variables, sources, junlearn.split_off(sources, classes=(2,)), metrics=["accuracy"]
    )
    assert right == pytest.approx(1 / (1 + after["accuracy/forget_test"]))
    assert aus[1]["aus"] != right


def test_training_examples_are_judged_through_the_view_asked_for(trained, digits):
    """Augmented by blanking, every one of them is answered alike, and no other example is touched."""
    model, data, variables = trained
    sources = {"train": data, "test": digits.sources["test"]}
    blank = {**PLAIN_VIEWS, "augment": lambda rows, keys: jnp.zeros(rows.x.shape, jnp.float32)}
    plain, augmented = (
        junlearn.evaluate(
            model,
            variables,
            sources,
            np.flatnonzero(data.y == 2),
            original=variables,
            views=blank,
            metrics=["accuracy", "aus"],
            **options,
        )
        for options in ({}, {"train_view": "augment"})
    )
    assert augmented["accuracy/forget_train"] in (0, 1)
    assert augmented["accuracy/retain_train"] < 0.2 < plain["accuracy/retain_train"]
    assert augmented["accuracy/test"] == plain["accuracy/test"]
    with pytest.raises(ConfigError, match="did you mean 'augment'"):
        junlearn.evaluate(model, variables, data, [1], train_view="augmented")


def test_a_few_forgotten_examples_are_warned_of_once(trained, recwarn):
    model, data, variables = trained
    warnings.simplefilter("always")
    for rows, said in (([1, 2, 3], ["evaluate: the forget set has 3 examples"]), (range(30), [])):
        recwarn.clear()
        junlearn.evaluate(model, variables, data, list(rows), metrics=["accuracy"])
        assert [str(w.message).partition(":")[2].partition(":")[0] for w in recwarn] == [
            line.partition(":")[2] for line in said
        ]


def test_a_record_of_ones_own(trained, tmp_path):
    """In the form of the command line's, and known by what determines it."""
    model, data, variables = trained
    rows, path = [3, 5], tmp_path / "runs" / "records.jsonl"
    options = {"key": jax.random.key(1), "epochs": 1, "seed": 4}
    done = junlearn.unlearn(model, variables, data, rows, "neggrad", **options)
    values = junlearn.evaluate(model, done.variables, data, rows, metrics=["accuracy"])
    names = {"dataset": "mine", "model": "Net"}

    def write(rows, method, result, **more):
        return junlearn.write_record(path, values, data, rows, method, result, **names, **more)

    before = write(rows, "original", None)
    after = write(rows, "neggrad", done, **options)
    assert records.read(path) == json.loads(json.dumps([before, after]))
    assert set(after) == set(record()) | {"intervals"} and after["metrics"] == values
    assert (before["role"], before["config"]["train"], before["seconds"]["run"]) == (
        "original",
        None,
        0,
    )
    assert (after["role"], after["method"], after["seed"]) == ("unlearn", "neggrad", 4)
    assert after["history"] == done.history and after["seconds"] == done.seconds
    assert after["config"]["method"]["neggrad"]["epochs"] == 1
    assert after["config"]["method"]["neggrad"]["learning_rate"] > 0
    scenario = {"name": "rows", "classes": [], "forget": 2, "retain": 598}
    assert scenario.items() <= after["config"]["scenario"].items()
    same, other = (write(r, "neggrad", done, **options) for r in ([5, 3], [3, 6]))
    reference = write(junlearn.split_off(data, classes=[2]), "retrain", done, **options)
    assert same["config_hash"] == after["config_hash"] != other["config_hash"]
    assert reference["role"] == "retrain" and reference["config"]["train"]["epochs"] == 1
    assert reference["scenario"] == "class"
    assert "neggrad" in printed(120, before, after)
    # The same twice is one network.
    assert [r["config_hash"] for r in records.read(path)].count(same["config_hash"]) == 1
    assert len(tables.rows(records.read(path))) == 4
    with pytest.raises(ConfigError, match="did you mean 'original'"):
        write(rows, "orginal", None)
