"""DELETE: a step recomputed in numpy, the masks of its targets, and BatchNorm's two modes."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.engine.run import run
from junlearn.errors import ConfigError
from junlearn.methods import build, delete
from tests import linear_net
from tests.golden_nets import drive


def unlearned(problem, split=None, **fields):
    config = delete.Config(**({"epochs": 1, "batch_size": 8, "learning_rate": 0.05} | fields))
    given = (problem.model, problem.variables, problem.sources, split or problem.split)
    return run(build("delete", config, problem.model), *given, key=jax.random.key(0)).variables


def test_the_first_step():
    variables, sources, split = linear_net.problem(4, 2)
    method = delete.make(delete.Config(learning_rate=0.5, batch_size=3), linear_net.MODEL)
    state = method.init(jax.random.key(0), variables, sources, split)
    moved = jax.tree.map(lambda p: p * 0.7 + 0.1, variables)
    state = state._replace(variables=moved)
    (stage,) = method.plan(split)
    feed = stage.feed(np.random.default_rng(0), state)
    one = feed._replace(index=feed.index[:1], mask=feed.mask[:1])
    after, metrics = drive(stage, state, sources, one)

    x, y = (np.asarray(a)[one.index[0]] for a in (sources["train"].x, sources["train"].y))
    t = linear_net.softmax(linear_net.logits(variables, x)) * (1 - linear_net.one_hot(y))
    t /= t.sum(1, keepdims=True)
    expected = [
        p - 0.5 * g
        for p, g in zip(linear_net.arrays(moved), linear_net.gradient(moved, x, t), strict=True)
    ]
    for a, b in zip(linear_net.arrays(after.variables), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    p = linear_net.softmax(linear_net.logits(moved, x))
    kl = np.where(t > 0, t * np.log(np.where(t > 0, t, 1) / p), 0).sum(1).mean()
    np.testing.assert_allclose(metrics[0]["loss"], kl, rtol=1e-5)


def test_targets():
    logits = jnp.log(jnp.array([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]]))
    labels = jnp.array([0, 2])
    none = jnp.zeros(3, bool)
    found = np.exp(delete.log_target(logits, labels, none))
    np.testing.assert_allclose(found, [[0, 0.6, 0.4], [0.5, 0.5, 0]], rtol=1e-6)
    found = np.exp(delete.log_target(logits, labels, none.at[1].set(True)))
    np.testing.assert_allclose(found, [[0, 0, 1], [1, 0, 0]], rtol=1e-6)


def test_both_masks_are_one_for_one_class(mlp):
    chex.assert_trees_all_equal(unlearned(mlp), unlearned(mlp, mask="request"))
    two = mlp.split._replace(classes=(1, 2))
    chex.assert_trees_all_equal(unlearned(mlp), unlearned(mlp, two))
    different = unlearned(mlp, two, mask="request").params
    with pytest.raises(AssertionError):
        chex.assert_trees_all_close(different, unlearned(mlp).params)


def test_a_request_for_all_classes_has_no_targets(mlp):
    every = mlp.split._replace(classes=(0, 1, 2, 3))
    with pytest.raises(ConfigError, match="none of 4 classes"):
        unlearned(mlp, every, mask="request")


def test_batchnorm_in_eval_mode_keeps_its_statistics(convnet):
    kept, moved = (unlearned(convnet, batchnorm=mode) for mode in ("eval", "train"))
    chex.assert_trees_all_equal(kept.stats, convnet.variables.stats)
    for a, b in zip(*map(jax.tree.leaves, (moved.stats, kept.stats)), strict=True):
        assert np.any(a != b)
    scales = [
        jax.tree_util.tree_leaves_with_path(tree.params) for tree in (kept, convnet.variables)
    ]
    norm = [
        bool(np.any(a != b))
        for (path, a), (_, b) in zip(*scales, strict=True)
        if "scale" in jax.tree_util.keystr(path)
    ]
    assert norm and all(norm)


def test_the_own_class_is_left(mlp):
    """The probability of the forgotten class goes down on its examples, to less than a tenth of what it was."""
    x = jnp.asarray(mlp.sources["train"].x[mlp.split.forget])
    done = unlearned(mlp, epochs=60, learning_rate=0.1)
    before, after = (
        float(jax.nn.softmax(mlp.model.apply(v, x)[0])[:, 1].mean()) for v in (mlp.variables, done)
    )
    assert after < before / 10
