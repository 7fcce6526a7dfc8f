"""Networks one by one as their chunks are done: the same numbers, and the same bits whatever else is trained."""

import signal
from dataclasses import replace

import jax
import numpy as np
import pytest

from junlearn.engine import interrupts
from junlearn.errors import ConfigError, DivergedError
from junlearn.many import train_each
from junlearn.methods import retrain
from tests.engine.test_retracing import lowered
from tests.test_many import AUGMENTED, CONFIGS, KEYS, SEEDS, SETS, one_by_one

CONFIG = CONFIGS["mlp"]


def each(problem, config=CONFIG, sets=SETS, **options):
    options = {"keys": KEYS, "seeds": SEEDS, "views": AUGMENTED, "how": "vmap"} | options
    return train_each(config, problem.model, problem.sources, sets, **options)


def bits(ones):
    """The arrays of every network by its number."""
    return {one.number: jax.tree.leaves(one.variables) for one in ones}


def assert_same_bits(one, other):
    assert one.keys() == other.keys()
    for number, leaves in one.items():
        for a, b in zip(leaves, other[number], strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("how", "options"),
    [
        ("vmap", {"chunks": [[2, 0, 3], [1]]}),
        ("vmap", {"chunks": [[1, 2], [0]], "places": 4, "loop": "scan"}),
        ("loop", {"chunks": [[3, 1], [2]]}),
        ("map", {}),
    ],
)
def test_equal_to_one_after_the_other(mlp, how, options):
    ones = list(each(mlp, how=how, **options))
    wanted = [i for chunk in options.get("chunks", [[0, 2, 3, 1]]) for i in chunk]
    # Without chunks those that make most steps come first.
    assert sorted(one.number for one in ones) == sorted(wanted)
    if "chunks" in options:
        assert [one.number for one in ones] == wanted
    singles = one_by_one("mlp", mlp)
    for one in ones:
        single = singles[one.number]
        assert one.how == how and one.diverged is None and one.seconds > 0
        for a, b in zip(
            jax.tree.leaves(one.variables), jax.tree.leaves(single.variables), strict=True
        ):
            assert isinstance(a, np.ndarray)
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
        assert [(e["epoch"], e["steps"]) for e in one.history] == [
            (e["epoch"], e["steps"]) for e in single.history
        ]
        np.testing.assert_allclose(
            [e["loss"] for e in one.history], [e["loss"] for e in single.history], rtol=1e-5
        )


@pytest.mark.parametrize(
    ("how", "loop"), [("vmap", "python"), ("vmap", "scan"), ("map", "python"), ("loop", "python")]
)
def test_what_else_is_trained_changes_no_bit_and_compiles_nothing(mlp, how, loop):
    """Though the sets of the first chunk are of other sizes than those of the second one."""
    options = {"how": how, "loop": loop, "places": 2, "keys": list(KEYS)}
    fewer = options | {"keys": options["keys"][:1], "seeds": SEEDS[:1]}
    whole = bits(each(mlp, chunks=[[0, 1], [2, 3]], **options))
    with lowered() as anew:
        last = bits(each(mlp, chunks=[[2, 3]], **options))
        alone = bits(each(mlp, sets=SETS[:1], chunks=[[0]], **fewer))
    assert anew == []
    assert_same_bits(last, {2: whole[2], 3: whole[3]})
    # The rest of a chunk comes with a larger bank: a place that stands in for it gives way.
    assert_same_bits(alone, {0: whole[0]})


def test_nothing_is_asked_for(mlp):
    assert list(each(mlp, how="auto", chunks=[])) == []


def test_given_as_soon_as_the_chunk_is_done(mlp):
    told = []
    ones = each(mlp, chunks=[[1], [3, 0]], progress=lambda *counts: told.append(counts))
    assert told == []
    next(ones)
    assert told == [(9, 9 + 15 + 18)]
    assert [one.number for one in ones] == [3, 0] and told[1:] == [(42, 42)]


def broken(problem, value):
    """Example 45, which set 0 alone holds, has `value` for an image."""
    x = problem.sources["train"].x.copy()
    x[45] = value
    return problem._replace(sources={"train": problem.sources["train"]._replace(x=x)})


@pytest.mark.parametrize("how", ["vmap", "loop"])
def test_a_model_that_diverges_can_be_kept(mlp, how):
    options = {"how": how, "chunks": [[1, 0, 2]], "views": None}
    with pytest.raises(DivergedError, match=r"model 0, stage 'train', epoch 0, step \d: ") as error:
        list(each(broken(mlp, np.nan), **options))
    one, bad, two = each(broken(mlp, np.nan), diverging="kept", **options)
    assert bad.diverged == str(error.value)
    assert (bad.variables, bad.history, bad.how) == (None, [], how)
    whole = each(mlp, **options)
    kept = bits([one, two])
    assert_same_bits(kept, {i: leaves for i, leaves in bits(whole).items() if i})
    assert len(one.history) == len(two.history) == 3


def test_weights_that_diverge_at_the_last_step_are_told(mlp):
    """Of a loss that is still a number."""
    config = retrain.Config(
        optimizer="sgd", learning_rate=1e25, steps=1, batch_size=46, augment=False
    )
    options = {"chunks": [[0, 1]], "diverging": "kept", "views": None}
    bad, good = each(broken(mlp, 1e20), config, **options)
    assert "model 0: " in bad.diverged and "are not finite" in bad.diverged
    assert good.diverged is None


def test_a_signal_ends_it_between_two_steps(mlp, monkeypatch):
    ones = each(mlp, chunks=[[0, 1], [2, 3]])
    first = [next(ones), next(ones)]
    asked = []
    # Each of the first steps asks once.
    monkeypatch.setattr(interrupts._State, "number", 0)

    def pending():
        asked.append(0)
        return signal.SIGTERM if len(asked) > 3 else 0

    monkeypatch.setattr(interrupts, "pending", pending)
    with pytest.raises(
        interrupts.Interrupted, match="interrupted in the training of models 2 to 3"
    ):
        next(ones)
    assert len(asked) == 5
    assert [one.number for one in first] == [0, 1]


def test_what_has_no_room_is_no_candidate(mlp, monkeypatch):
    """A chunk of four takes more than is allowed, a model alone does not."""
    monkeypatch.setattr("junlearn.engine.fastest._measured", {})
    monkeypatch.setattr("junlearn.engine.fastest.TIMED_SECONDS", 0.01)
    options = {"chunks": [range(4)], "memory": 300_000}
    assert {one.how for one in each(mlp, how="auto", **options)} == {"loop"}
    with pytest.raises(ConfigError, match="a chunk has 4 places, and memory is enough for 2"):
        list(each(mlp, **options))


def test_kernels_are_not_timed_on_a_cpu(convnet, monkeypatch):
    monkeypatch.setattr("junlearn.engine.trainings.fastest", None)
    config = retrain.Config(steps=1, batch_size=8, augment=False)
    ones = each(convnet, config, how="auto", chunks=[[0, 1]])
    assert [one.how for one in ones] == ["loop", "loop"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"chunks": [[0], []]}, "a chunk holds at least one model"),
        ({"chunks": [[0, 1], [1]]}, "each model is in one"),
        ({"chunks": [[0, 4]]}, "chunks hold 4, and models are 0 to 3"),
        ({"chunks": [[0, 1]], "places": 1}, "a chunk of 2 models has more than 1 places"),
        ({"places": 2}, "give chunks, too"),
        ({"diverging": "keep"}, "unknown diverging 'keep'; did you mean 'kept'"),
        ({"seeds": [1]}, "train_each: 4 models, but 1 seeds"),
        ({"config": CONFIGS["schedule"], "chunks": [[0, 1]]}, "train them in different chunks"),
        (
            {"config": replace(CONFIG, keep="best_validation")},
            'measures on the source "validation"',
        ),
        (
            {"config": replace(CONFIG, keep="best_test"), "chunks": [[0, 1]]},
            "and its `keep` that reads it",
        ),
    ],
)
def test_what_is_refused_at_once(mlp, options, message):
    with pytest.raises(ConfigError, match=message):
        each(mlp, **options)


def test_a_schedule_has_a_program_for_each_length(mlp):
    ones = list(each(mlp, CONFIGS["schedule"], chunks=[[1], [0], [3]]))
    singles = one_by_one("schedule", mlp)
    for one in ones:
        for a, b in zip(
            jax.tree.leaves(one.variables),
            jax.tree.leaves(singles[one.number].variables),
            strict=True,
        ):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
