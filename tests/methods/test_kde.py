"""KDE: its losses by hand, what is drawn anew, and the images that it asks for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.errors import ConfigError
from junlearn.methods import kde
from junlearn.parts.layers import normalising
from junlearn.testing.problems import validated
from tests.methods.linear_pairs import LINEAR, batch, gradient, weights

PLAIN = {"momentum": 0.0, "weight_decay": 0.0, "temperature": 2.0}


def soft(z):
    p = np.exp(z)
    return p / p.sum(1, keepdims=True)


def test_steps_by_hand(mlp, float64):
    """In the warm-up alone KL counts; later it counts twice beside the cross entropy, at half the rate at half time."""
    rng = np.random.default_rng(0)
    teacher, student = rng.normal(size=(2, 4, 3))
    part = batch(rng.normal(size=(6, 4)), rng.integers(0, 3, 6))
    x = np.asarray(part.x)
    towards = x.T @ (soft(x @ student / 2) - soft(x @ teacher / 2)) / 2 / len(x)
    # 34 retain rows in batches of 8 are 5 steps an epoch.
    fields = {"learning_rate": 0.1, "warmup_learning_rate": 0.3, "batch_size": 8, "epochs": 2}
    method = kde.make(kde.Config(**PLAIN, **fields), LINEAR)
    state = method.init(jax.random.key(0), weights(teacher), validated(mlp).sources, mlp.split)
    state = state._replace(variables=weights(student))
    warm, retain = method.plan(mlp.split)
    after, _ = jax.jit(warm.step)(state, part)
    np.testing.assert_allclose(after.variables.params["w"], student - 0.3 * towards, rtol=1e-12)
    pull = gradient(student, part) + 2 * towards
    step, rates = jax.jit(retain.step), []
    for _ in range(6):
        after, _ = step(state, part)
        moved = (student - np.asarray(after.variables.params["w"])) / pull
        np.testing.assert_allclose(moved, moved[0, 0], rtol=1e-9)
        rates.append(moved[0, 0])
        state = after._replace(variables=weights(student))
    np.testing.assert_allclose(rates, [0.1] * 5 + [0.05], rtol=1e-9)


def test_the_stem_and_the_head_are_new(convnet):
    method = kde.make(kde.Config(), convnet.model)
    sources = jax.tree.map(jnp.asarray, validated(convnet).sources)
    state = method.init(jax.random.key(0), convnet.variables, sources, convnet.split)
    new, ends = state.variables.params, (convnet.model.layers[0], convnet.model.layers[-1])
    for name, group in convnet.variables.params.items():
        trees = (new[name], group, normalising(convnet.variables.params)[name])
        for now, old, norm in zip(*map(jax.tree.leaves, trees), strict=True):
            assert np.array_equal(now, old) == (norm or name not in ends), name
    np.testing.assert_array_equal(
        *(jax.tree.leaves(v)[0] for v in (state.extra.teacher, convnet.variables))
    )


def test_unseen_images_are_asked_for(mlp):
    sources = validated(mlp).sources
    method = kde.make(kde.Config(), mlp.model)
    for missing in (mlp.sources, sources | {"validation": sources["validation"].take(slice(0))}):
        with pytest.raises(ConfigError, match=r"validation.*set validation = "):
            method.init(jax.random.key(0), mlp.variables, missing, mlp.split)
    feed = method.plan(mlp.split)[0].feed(
        np.random.default_rng(0),
        method.init(jax.random.key(0), mlp.variables, sources, mlp.split),
    )
    assert feed.source == "validation"
    assert sorted(feed.index[feed.mask]) == list(range(len(sources["validation"].x)))


def test_the_layers_must_be_known():
    with pytest.raises(ConfigError, match="kde must know the stem"):
        kde.make(kde.Config(), LINEAR._replace(layers=()))
