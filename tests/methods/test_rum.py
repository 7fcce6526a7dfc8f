"""RUM: its parts one after the other by hand, its groups, what it hands over, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.engine.run import run
from junlearn.errors import ConfigError
from junlearn.methods import build, finetune, neggrad, rum
from junlearn.parts import example_scores
from junlearn.parts.example_scores import ExampleScores
from junlearn.testing import initial_weights, tiny

TINY = tiny("mlp")
TUNE = "finetune epochs=2 batch_size=64 learning_rate=0.05"
ASCEND = "neggrad epochs=2 batch_size=64 learning_rate=0.02"


def ran(method, variables=TINY.variables, split=TINY.split):
    model, sources = TINY.model, TINY.sources
    return run(method, model, variables, sources, split, key=jax.random.key(1), loop="python")


@pytest.fixture
def scored(tmp_path):
    """A file of scores, and the two groups of the request that it makes."""
    scores = np.random.default_rng(0).permutation(len(TINY.sources["train"].y)).astype(float)
    path = str(tmp_path / "scores.npz")
    example_scores.save(path, ExampleScores(scores))
    ranked = TINY.split.forget[np.argsort(scores[TINY.split.forget])]
    half = len(ranked) // 2
    return path, (np.sort(ranked[:half]), np.sort(ranked[half:])), scores


@pytest.mark.parametrize("order", ["rising", "falling"])
@pytest.mark.parametrize("later", ["exclude", "include"])
def test_parts_one_after_the_other(scored, order, later):
    """Batches hold all examples, so that their order is nothing; momentum begins anew with each part."""
    path, own, scores = scored
    config = rum.Config(parts=(TUNE, ASCEND), scores=path, order=order, later_groups=later)
    done = ran(rum.make(config, TINY.model))
    first, second = own if order == "rising" else own[::-1]
    retain = TINY.split.retain
    if later == "include":
        retain = np.sort(np.concatenate([retain, second]))
    plain = {"epochs": 2, "batch_size": 64}
    tuned = build("finetune", finetune.Config(learning_rate=0.05, **plain), TINY.model)
    middle = ran(tuned, split=TINY.split._replace(forget=first, retain=retain, classes=()))
    ascended = build("neggrad", neggrad.Config(learning_rate=0.02, **plain), TINY.model)
    last = ran(ascended, middle.variables, TINY.split._replace(forget=second))
    for ours, other in zip(
        jax.tree.leaves(done.variables), jax.tree.leaves(last.variables), strict=True
    ):
        np.testing.assert_allclose(ours, other, rtol=1e-5, atol=1e-6)
    assert done.reported["rum/score_1"] == pytest.approx(scores[first].mean())
    assert done.reported["rum/score_2"] == pytest.approx(scores[second].mean())


def test_without_a_file_the_originals_confidence_is_the_score():
    method = rum.make(rum.Config(parts=("naive", "naive", "naive"), batch_size=5), TINY.model)
    done = ran(method)
    train, forget = TINY.sources["train"], TINY.split.forget
    logits = np.asarray(TINY.model.apply(TINY.variables, jnp.asarray(train.x[forget]))[0])
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    groups = np.array_split(np.sort(-p[np.arange(len(forget)), train.y[forget]]), 3)
    found = [done.reported[f"rum/score_{k}"] for k in (1, 2, 3)]
    np.testing.assert_allclose(found, [group.mean() for group in groups], rtol=1e-5)
    for ours, other in zip(
        jax.tree.leaves(done.variables), jax.tree.leaves(TINY.variables), strict=True
    ):
        np.testing.assert_array_equal(ours, other)


def test_a_part_gets_what_it_asks_for():
    """Initial weights and the range of pixels reach parts that begin later, too."""
    parts = ("naive", "unrolling", "amun epochs=1")
    method = rum.make(rum.Config(parts=parts), TINY.model)
    initial = initial_weights(TINY)
    sources = jax.tree.map(jnp.asarray, TINY.sources)
    state = method.init(jax.random.key(0), TINY.variables, sources, TINY.split)
    state = method.with_initial(state, initial)
    white = jnp.full((1, 1, 1, 1), 7.0)
    state = method.with_pixel(state, white - 1, white)
    for stage in method.plan(TINY.split):
        state = state if stage.begin is None else stage.begin(state, sources)
    _, unrolling, amun = state.parts
    for ours, other in zip(
        jax.tree.leaves(unrolling.anchor), jax.tree.leaves(initial), strict=True
    ):
        np.testing.assert_array_equal(ours, other)
    assert amun.extra.white == 7 and amun.extra.black == 6


def test_what_it_needs_is_what_its_parts_need():
    def needs(*parts, **fields):
        return rum.needs(rum.Config(parts=parts, **fields))

    assert rum.needs(rum.Config()) == rum.NEEDS
    assert needs("naive") == {"forget.x", "forget.y"}
    tuned = {"retain.x", "retain.y"}
    assert needs("finetune", "naive", scores="s.npz") == tuned
    both = {"forget.x", "forget.y", *tuned}
    assert needs("finetune", "naive", scores="s.npz", later_groups="include") == both
    assert "test.x" in needs("naive", "lotus_released")


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((), "rum: parts: at least one method"),
        (("naive", "rum"), "rum: parts: unknown method 'rum'"),
        (("naive", "finetune epochs=none"), "rum: parts: 'finetune epochs=none': Expected `int`"),
    ],
)
def test_parts_that_there_are_not(parts, message):
    with pytest.raises(ConfigError) as caught:
        rum.make(rum.Config(parts=parts), TINY.model)
    assert str(caught.value).startswith(message)


def test_what_does_not_fit(scored):
    path, _, scores = scored

    def begun(**fields):
        method = rum.make(rum.Config(**fields), TINY.model)
        return method.init(jax.random.key(0), TINY.variables, TINY.sources, TINY.split)

    with pytest.raises(ConfigError, match="sisa makes another network"):
        begun(parts=("naive", "sisa shards=2 slices=2"))
    with pytest.raises(ConfigError, match="100 parts need a forget example each"):
        begun(parts=("naive",) * 100)
    example_scores.save(path, ExampleScores(scores[1:]))
    with pytest.raises(ConfigError, match=r"45 scores, and the training set has 46"):
        begun(parts=("naive",), scores=path)
