"""SISA: exactness of forgetting, the vote and its ties, and what a request costs."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import junlearn
from junlearn.engine.run import run
from junlearn.errors import ConfigError
from junlearn.methods import retrain, sisa
from junlearn.types import Data, Split
from tests.golden_nets import drive

NONE = np.zeros(0, int)
LAYOUT = {"shards": 3, "slices": 2, "epochs": 1, "batch_size": 4, "augment": False}


def without(forget):
    return Split(np.asarray(forget, int), np.setdiff1d(np.arange(46), forget), NONE, NONE)


def initial(method, problem, split):
    sources = jax.tree.map(jnp.asarray, problem.sources)
    return method.init(jax.random.key(0), problem.variables, sources, split), sources


def test_one_shard_of_one_slice_is_retraining(mlp):
    """From the same weights on the same batches, to rounding; before the request there is nothing to do."""
    recipe = {"learning_rate": 0.01, "epochs": 1, "batch_size": 7, "augment": False}
    method = sisa.make(sisa.Config(shards=1, slices=1, **recipe), mlp.model)
    plain = retrain.make(retrain.Config(**recipe), mlp.model)
    state, sources = initial(method, mlp, mlp.split)
    other = plain.init(jax.random.key(1), mlp.variables, sources, mlp.split)
    other = other._replace(variables=jax.tree.map(lambda leaf: leaf[0], state.variables))
    before, after = method.plan(mlp.split)
    idle, _ = drive(before, state, sources)
    chex.assert_trees_all_equal(idle, state)
    feed = after.feed(np.random.default_rng(3), state)
    np.testing.assert_array_equal(np.sort(feed.index[feed.mask]), mlp.split.retain)
    (stage,) = plain.plan(mlp.split)
    ours, metrics = drive(after, state, sources, feed)
    theirs, expected = drive(stage, other, sources, feed)
    first = jax.tree.map(lambda leaf: leaf[0], ours.variables)
    chex.assert_trees_all_close(first, theirs.variables, rtol=1e-5, atol=1e-6)
    losses, expected = ([float(m["loss"]) for m in each] for each in (metrics, expected))
    assert losses == pytest.approx(expected, rel=1e-5)
    model, variables = method.finish(ours)
    x = sources["test"].x
    logits, _, _ = mlp.model.apply(theirs.variables, x)
    found, _, _ = model.apply(variables, x)
    np.testing.assert_array_equal(found.argmax(-1), logits.argmax(-1))


def test_a_batch_of_padding_leaves_everything(convnet):
    """Parameters, running statistics, moments and step counts."""
    method = sisa.make(sisa.Config(**LAYOUT), convnet.model)
    state, sources = initial(method, convnet, convnet.split)
    stage = method.plan(convnet.split)[2]
    feed = stage.feed(np.random.default_rng(0), state)
    state, _ = drive(stage, state, sources, feed._replace(index=feed.index[:1], mask=feed.mask[:1]))
    assert sorted(np.asarray(state.step)) == [0, 0, 1]
    after, _ = drive(stage, state, sources, feed._replace(mask=np.zeros_like(feed.mask)))
    chex.assert_trees_all_equal(after, state)


def test_other_shards_are_untouched(mlp):
    """Two requests in one shard: every other shard ends with the same bits, that one with others."""
    made = sisa.make(sisa.Config(**LAYOUT), mlp.model)
    state, _ = initial(made, mlp, without([0]))
    here = np.flatnonzero((np.asarray(state.shard) == 1) & (np.asarray(state.slice) == 1))
    # The run splits its key; the layout of the state above is what it must get.
    method = made._replace(init=lambda key, *rest: made.init(jax.random.key(0), *rest))

    def done(forget):
        problem = (mlp.model, mlp.variables, mlp.sources, without(forget))
        return run(method, *problem, key=jax.random.key(7))

    one, two = done(here[:1]), done(here[1:4])
    for leaf, other in zip(
        jax.tree.leaves(one.variables), jax.tree.leaves(two.variables), strict=True
    ):
        np.testing.assert_array_equal(leaf[::2], other[::2])
        assert (leaf[1] != other[1]).any()
    # Of shard 1 stage 2 of 2 is repeated: 2 of the 3 slice-epochs of one shard in three.
    assert one.reported == {"sisa/repeated": pytest.approx(2 / 9)}
    stages = [f"{when} the request, slice {r}" for when in ("before", "after") for r in (1, 2)]
    assert [entry["stage"] for entry in one.history] == list(one.stages) == stages


def test_who_learns_what_and_when(mlp):
    """Every stage by hand: slices 0..r of the shards whose turn it is, the forget examples nowhere."""
    method = sisa.make(sisa.Config(**LAYOUT), mlp.model)
    state, _ = initial(method, mlp, without([0]))
    shard, slice = np.asarray(state.shard), np.asarray(state.slice)
    np.testing.assert_array_equal(np.bincount(shard * 2 + slice), [8, 8, 7, 8, 8, 7])
    # Shard 0 restarts from its second slice, shard 1 from its first, shard 2 not at all.
    forget = [np.flatnonzero((shard == s) & (slice == r))[0] for s, r in [(0, 1), (1, 0), (1, 1)]]
    split = without(forget)
    np.testing.assert_array_equal(
        sisa.restarts(shard, slice, split.forget, sisa.Config(**LAYOUT)), [1, 0, 2]
    )
    state, _ = initial(method, mlp, split)
    expected = [(0, (0, 2)), (1, (2,)), (0, (1,)), (1, (0, 1))]
    for stage, (last, shards) in zip(method.plan(split), expected, strict=True):
        feed = stage.feed(np.random.default_rng(0), state)
        rows = np.isin(shard, shards) & (slice <= last)
        rows[forget] = False
        np.testing.assert_array_equal(np.sort(feed.index[feed.mask]), np.flatnonzero(rows))
        assert not np.isin(feed.index, forget).any()
        assert all(len(set(shard[row])) == 1 for row in feed.index)
    # Shard 0 repeats 2, shard 1 repeats 1 + 2 slice-epochs of 3 x 3.
    np.testing.assert_allclose(state.repeated, 5 / 9, rtol=1e-6)


def test_cost():
    assert sisa.cost(np.array([3, 3]), 3) == 0
    assert sisa.cost(np.array([0, 0]), 3) == 1
    assert sisa.cost(np.array([2, 3]), 3) == 3 / 12


def log(*rows):
    """[S,1,K] of one example from the probabilities that each shard gives."""
    return jnp.log(jnp.asarray(rows))[:, None]


def test_vote():
    """Two votes for class 1 against one for class 0, although the mean softmax prefers class 0."""
    logits = log([0.96, 0.02, 0.02], [0.4, 0.5, 0.1], [0.4, 0.5, 0.1])
    average = np.array([1.76, 1.02, 0.22]) / 3
    np.testing.assert_allclose(np.exp(sisa.mean(logits)[0]), average, rtol=1e-5)
    shares = (np.array([1, 2, 0]) + average / 2) / 3.5
    np.testing.assert_allclose(np.exp(sisa.vote(logits)[0]), shares, rtol=1e-5)
    assert sisa.mean(logits).argmax() == 0 and sisa.vote(logits).argmax() == 1


def test_ties():
    """Of the classes with one vote each the one with the largest mean softmax, then the first."""
    logits = log([0.6, 0.3, 0.1], [0.1, 0.7, 0.2])
    assert sisa.vote(logits).argmax() == 1
    # Class 2 has the largest mean softmax and no vote.
    logits = log([0.55, 0.0, 0.45], [0.0, 0.52, 0.48])
    assert sisa.mean(logits).argmax() == 2 and sisa.vote(logits).argmax() == 0
    assert sisa.vote(log([0.6, 0.2, 0.2], [0.2, 0.6, 0.2])).argmax() == 0
    # The means differ by less than what is left of them beside ten votes.
    rows = jnp.array([[5.0, 0.0, -1.0], [0.0, 5.0001, -1.0]])
    close = jnp.repeat(rows, 10, axis=0)[:, None]
    assert sisa.mean(close).argmax() == 1 and sisa.vote(close).argmax() == 1


@pytest.mark.parametrize("aggregate", [sisa.vote, sisa.mean])
def test_aggregates_are_finite_distributions(aggregate, key):
    logits = 300 * jax.random.normal(key, (5 * 40 * 4,)).reshape(5, 40, 4)
    out = aggregate(logits)
    chex.assert_tree_all_finite(out)
    np.testing.assert_allclose(np.exp(out).sum(-1), 1, rtol=1e-5)


def test_from_the_library(mlp):
    """A network of another kind is judged beside references of the old kind."""
    data = Data(mlp.sources["train"].x, mlp.sources["train"].y)
    options = {**LAYOUT, "epochs": 30, "learning_rate": 0.01}
    done = junlearn.unlearn(
        *(mlp.model, mlp.variables, data, [3, 8]), method="sisa", key=jax.random.key(0), **options
    )
    values = junlearn.evaluate(
        *(done.model, done.variables, data, [3, 8]),
        original=mlp.variables,
        retrain=mlp.variables,
        reference_model=mlp.model,
    )
    assert values["accuracy/retain_train"] > 0.6
    assert np.isfinite(list(values.values())).all()


def test_too_many_parts(mlp):
    method = sisa.make(sisa.Config(shards=10, slices=5), mlp.model)
    with pytest.raises(ConfigError, match="46 examples, 34 of them retained"):
        method.init(jax.random.key(0), mlp.variables, mlp.sources, mlp.split)
