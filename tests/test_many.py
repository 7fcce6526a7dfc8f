"""Many models at once are the models that are trained one after the other."""

import os
from concurrent.futures import CancelledError
from dataclasses import replace

import jax
import numpy as np
import pytest

import junlearn
from junlearn.engine import memory, side_by_side
from junlearn.engine.augment import make_views
from junlearn.engine.batches import PLAIN_VIEWS
from junlearn.engine.predict import logits, logits_many
from junlearn.engine.side_by_side import LOOPS
from junlearn.errors import ConfigError, DivergedError
from junlearn.many import pick, train_each, train_many
from junlearn.methods import retrain
from junlearn.train import train
from junlearn.types import Split

AUGMENTED = make_views((0.3,), (1.2,), None, "crop_flip", 1)
# 6, 3, 4 and 5 batches of 8 an epoch: no two models make equally many steps, and the last batches are ragged.
SETS = [np.arange(46), np.arange(0, 36, 2), np.arange(5, 37), np.arange(3, 40)]
SEEDS = [3, 1, 4, 1]
KEYS = jax.random.split(jax.random.key(5), 4)
CONFIGS = {
    "mlp": retrain.Config(epochs=3, batch_size=8, augment=False),
    "convnet": retrain.Config(
        optimizer="sgd", learning_rate=0.05, weight_decay=1e-3, steps=7, batch_size=8
    ),
    "schedule": retrain.Config(
        optimizer="sgd", epochs=2, batch_size=8, schedule="cosine", warmup_epochs=1, augment=False
    ),
}


@pytest.fixture(params=CONFIGS)
def case(request, mlp, convnet):
    return request.param, convnet if request.param == "convnet" else mlp


_alone = {}


def one_by_one(name, problem):
    """Each model by itself; kept, as several tests compare with them."""
    if name not in _alone:
        none = np.zeros(0, int)
        _alone[name] = [
            train(
                CONFIGS[name],
                problem.model,
                problem.sources,
                Split(none, rows, none, none),
                key=key,
                seed=seed,
                views=AUGMENTED,
            )
            for rows, key, seed in zip(SETS, KEYS, SEEDS, strict=True)
        ]
    return _alone[name]


def together(name, problem, **options):
    options = {"keys": KEYS, "seeds": SEEDS, "views": AUGMENTED} | options
    return train_many(CONFIGS[name], problem.model, problem.sources, SETS, **options)


def assert_same(result, singles):
    assert len(result.history) == len(singles)
    for i, single in enumerate(singles):
        actual, expected = pick(result, i), single.variables
        assert jax.tree.structure(actual) == jax.tree.structure(expected)
        for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
        for entry, wanted in zip(result.history[i], single.history, strict=True):
            assert entry.keys() == wanted.keys()
            assert all(entry[k] == wanted[k] for k in ("stage", "epoch", "steps"))
            for metric in ("loss", "accuracy"):
                assert entry[metric] == pytest.approx(wanted[metric], rel=1e-5, abs=1e-6)


WAYS = [(name, how) for name in ("mlp", "convnet") for how in ("vmap", "patches", "map", "loop")]


# A schedule makes groups, each of them trained in any of the ways.
@pytest.mark.parametrize(("case", "how"), [*WAYS, ("schedule", "vmap")], indirect=["case"])
def test_equal_to_one_after_the_other(case, how):
    result = together(*case, how=how)
    assert_same(result, one_by_one(*case))
    assert result.how == how and result.measured == {}
    assert set(result.seconds) == {"compile", "measure", "run", "total"}
    # With a schedule each length is a group of its own.
    alone = min(LOOPS, os.cpu_count())
    assert result.chunk == (1 if case[0] == "schedule" else alone if how == "loop" else 4)


def test_equal_in_a_scan_and_in_chunks(mlp, monkeypatch):
    """Windows of 6 steps, the last one longer than what is left; two chunks of two models, one of them a stand-in."""
    monkeypatch.setattr("junlearn.engine.side_by_side.WINDOW", 6)
    three = {"keys": KEYS[:3], "seeds": SEEDS[:3], "views": AUGMENTED}
    told = []
    result = train_many(
        CONFIGS["mlp"],
        mlp.model,
        mlp.sources,
        SETS[:3],
        **three,
        how="vmap",
        loop="scan",
        memory=300_000,
        progress=lambda *counts: told.append(counts),
    )
    assert result.chunk == 2
    assert_same(result, one_by_one("mlp", mlp)[:3])
    assert told == [(18 + 12, 18 + 12 + 9), (18 + 12 + 9, 18 + 12 + 9)]


def test_a_model_that_waits_does_not_change(mlp):
    """Not by a bit: beside a model that goes on for longer, the result is the same as beside its equal."""
    config = CONFIGS["mlp"]

    def fit(sets):
        return train_many(config, mlp.model, mlp.sources, sets, keys=KEYS[:2], how="map")

    long, short = fit([SETS[0], SETS[1]]), fit([SETS[1], SETS[1]])
    for a, b in zip(*(jax.tree.leaves(pick(m, 1)) for m in (long, short)), strict=True):
        np.testing.assert_array_equal(a, b)
    assert len(long.history[1]) == 3 and long.history[1][0]["steps"] == 3


def test_networks_with_kernels_have_one_candidate_more(convnet, monkeypatch):
    monkeypatch.setattr("junlearn.engine.fastest._measured", {})
    monkeypatch.setattr("junlearn.engine.fastest.TIMED_SECONDS", 0.01)
    config = retrain.Config(epochs=1, batch_size=16, augment=False)
    result = train_many(config, convnet.model, convnet.sources, SETS[:2])
    assert set(result.measured) == {"vmap", "patches", "loop"}
    assert result.how == min(result.measured, key=result.measured.get)


def test_auto_takes_the_faster_and_says_what_it_measured(mlp, monkeypatch):
    monkeypatch.setattr("junlearn.engine.fastest._measured", {})
    monkeypatch.setattr("junlearn.engine.fastest.TIMED_SECONDS", 0.01)
    result = together("mlp", mlp)
    assert set(result.measured) == {"vmap", "loop"}
    assert result.how == min(result.measured, key=result.measured.get)
    assert min(result.measured.values()) > 0 and result.seconds["measure"] > 0
    assert_same(result, one_by_one("mlp", mlp))
    again = together("mlp", mlp)
    assert again.measured == result.measured and again.seconds["measure"] == 0
    # One model alone leaves nothing to choose.
    one = train_many(CONFIGS["mlp"], mlp.model, mlp.sources, SETS[:1])
    assert (one.how, one.chunk, one.measured) == ("loop", 1, {})


def test_keys_alone_train_on_everything(mlp):
    config = CONFIGS["mlp"]
    result = train_many(config, mlp.model, mlp.sources, keys=KEYS[:2], seeds=7, how="vmap")
    assert result.history[0] != result.history[1]
    assert_same(
        result,
        [train(config, mlp.model, mlp.sources, key=key, seed=7) for key in KEYS[:2]],
    )


def test_a_model_that_diverges_is_named(mlp):
    x = mlp.sources["train"].x.copy()
    x[45] = np.nan
    sources = {"train": mlp.sources["train"]._replace(x=x)}
    with pytest.raises(
        DivergedError, match=r"model 2, stage 'train', epoch 0, step \d: loss is nan"
    ):
        train_many(
            CONFIGS["mlp"], mlp.model, sources, [SETS[1], SETS[3], SETS[0], SETS[2]], how="map"
        )


@pytest.mark.parametrize(
    ("sets", "options", "message"),
    [
        ([], {}, "at least one set"),
        (None, {}, "give sets to train on, or one key a model"),
        (SETS, {"keys": KEYS[:3]}, "4 models, but 3 keys"),
        (SETS, {"seeds": [0, 1]}, "4 models, but 2 seeds"),
        ([SETS[0], []], {}, "set 1 is not a list"),
        ([SETS[0] > 3], {}, "set 0 is not a list"),
        ([SETS[0] + 1], {}, "set 0 holds an index outside of 0 to 45"),
        (SETS, {"how": "vmpa"}, "unknown how 'vmpa'; did you mean 'vmap'"),
        (
            SETS,
            {"memory": 50_000, "how": "vmap"},
            "one model takes 0.[01]. MiB .* memory is 0.05 MiB",
        ),
    ],
)
def test_what_is_refused(mlp, sets, options, message):
    with pytest.raises(ConfigError, match=message):
        train_many(CONFIGS["mlp"], mlp.model, mlp.sources, sets, **options)


def test_chunks_are_as_large_as_memory_allows_and_even():
    class Program:
        """100 bytes for all, 30 more a model, of which 10 are its state."""

        def __init__(self, size):
            self.size = size

        def memory_analysis(self):
            wanted = {"argument": 1000 + 10 * self.size, "output": 10 * self.size, "alias": 0}
            wanted["temp"] = 100 + 10 * self.size
            return type("", (), {f"{k}_size_in_bytes": v for k, v in wanted.items()})

    for limit, expected in ((10_000, 8), (340, 8), (339, 4), (219, 3), (160, 2), (130, 1)):
        size, program = memory.largest_chunk(Program, 8, 10, 1000, limit)
        assert size == program.size == expected
    with pytest.raises(ConfigError, match="one model takes"):
        memory.largest_chunk(Program, 8, 10, 1000, 129)


@pytest.mark.parametrize("how", ["auto", "vmap", "loop"])
def test_logits_of_many_are_those_of_each(mlp, how):
    stacked = jax.vmap(mlp.model.init, in_axes=(0, None))(KEYS[:3], mlp.model.example(mlp.sources))
    view, test = PLAIN_VIEWS["eval"], mlp.sources["test"]
    options = {"view": view, "batch_size": 4}
    rows = np.array([13, 2, 5, 7, 1])
    outputs = logits_many(mlp.model, stacked, test, rows, how=how, memory=60_000, **options)
    assert outputs.shape == (3, 5, 4) and outputs.dtype == np.float32
    for i in range(3):
        single = logits(mlp.model, pick(stacked, i), test, rows, **options)
        np.testing.assert_allclose(outputs[i], single, rtol=1e-5, atol=1e-6)
    assert logits_many(mlp.model, stacked, test, **options).shape == (3, 14, 4)
    assert logits_many(mlp.model, stacked, test, [], **options).shape == (3, 0, 0)


def test_from_the_library(mlp):
    data = mlp.sources["train"]
    recipe = {"epochs": 2, "batch_size": 16, "augment": False}
    forgets = [[0, 1, 2], range(10)]
    result = junlearn.train_many(
        mlp.model, data, forgets=forgets, keys=list(KEYS[:2]), how="vmap", **recipe
    )
    assert isinstance(result, junlearn.Many)
    kept = junlearn.Data(data.x[10:], data.y[10:])
    single = junlearn.train(mlp.model, kept, key=KEYS[1], **recipe)
    for a, b in zip(
        jax.tree.leaves(junlearn.pick(result, 1)), jax.tree.leaves(single.variables), strict=True
    ):
        assert isinstance(a, jax.Array)
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
    with pytest.raises(ConfigError, match="retains or forgets"):
        junlearn.train_many(mlp.model, data, [[1]], forgets=[[2]])
    with pytest.raises(ConfigError, match="epoch"):
        junlearn.train_many(mlp.model, data, [[1]], epoch=3)


@pytest.mark.parametrize(("flops", "chunk"), [(3e7, 2), (4e7, 1)])
def test_two_loops_at_a_time_where_a_step_is_small(mlp, monkeypatch, flops, chunk):
    """The seconds of steps are counted once."""
    monkeypatch.setattr("junlearn.engine.side_by_side.program_flops", lambda program: flops)
    monkeypatch.setattr("junlearn.engine.side_by_side.os.cpu_count", lambda: 2)
    result = together("mlp", mlp, how="loop")
    assert result.chunk == chunk
    assert_same(result, one_by_one("mlp", mlp))
    assert 0 < result.seconds["run"] < result.seconds["total"]


def test_whoever_stops_asking_stops_what_is_in_training(mlp, monkeypatch):
    """The second loop, which has begun and would make six times as many steps, ends between two of them."""
    advance, ended = side_by_side.advance, []

    def watched(*arguments):
        try:
            return advance(*arguments)
        except CancelledError:
            ended.append(arguments[7])
            raise

    monkeypatch.setattr(side_by_side.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(side_by_side, "advance", watched)
    config = replace(CONFIGS["mlp"], epochs=100)
    ones = train_each(
        config, mlp.model, mlp.sources, [range(8), SETS[0]], chunks=[[0], [1]], how="loop"
    )
    assert next(ones).number == 0
    ones.close()
    assert ended == ["the training of model 1"]
