"""RNI: which arrays an epoch trains and which get noise, and what it leaves alone."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.errors import ConfigError
from junlearn.methods import rni
from junlearn.parts.layers import normalising
from tests.methods.linear_pairs import LINEAR, batch


def begun(problem, draws, **fields):
    """The states after the draw of each epoch, of a run that trains nothing in between."""
    method = rni.make(rni.Config(**fields), problem.model)
    sources = jax.tree.map(jnp.asarray, problem.sources)
    state = method.init(jax.random.key(0), problem.variables, sources, problem.split)
    begin = jax.jit(method.plan(problem.split)[0].step)
    states = [state]
    for _ in range(draws):
        states.append(begin(states[-1], None)[0])
    return states


def moved(one, two):
    """Which arrays differ."""
    leaves = zip(*(jax.tree.leaves(s.variables.params) for s in (one, two)), strict=True)
    return np.array([not np.array_equal(a, b) for a, b in leaves])


def test_the_draws_of_a_run(convnet):
    """Noise reaches arrays that are drawn and were never trained: not in the first epoch, not in fine ones."""
    fields = {"arrays": 4, "noise_share": 0.5, "epochs": 4, "fine_rates": (0.5, 0.25)}
    states = begun(convnet, 6, **fields, learning_rate=0.125)
    norm = np.array(jax.tree.leaves(normalising(convnet.variables.params)))
    assert 0 < norm.sum() < len(norm) - 4
    trained, noised = np.zeros(len(norm), bool), 0
    for epoch, (before, after) in enumerate(pairwise(states)):
        active, noisy = np.asarray(after.extra.active), moved(before, after)
        assert active[norm].all()
        assert active[~norm].sum() == (4 if epoch < 4 else (~norm).sum())
        assert not (noisy & (trained | ~active | norm)).any()
        assert noisy.sum() <= (2 if 0 < epoch < 4 else 0)
        trained |= active
        noised += noisy.sum()
        np.testing.assert_array_equal(after.extra.trained, trained)
        assert after.extra.noised == noised
    assert [float(s.optimizer.rate) for s in states[1:]] == [0.125] * 4 + [0.5, 0.25]
    assert noised > 0
    draws = [tuple(np.asarray(s.extra.active)) for s in states[1:5]]
    assert len(set(draws)) > 1


def test_noise_has_its_size(mlp):
    params = {"w": jnp.ones((50, 60)), "b": jnp.zeros(3)}
    unit = {"w": jax.random.normal(jax.random.key(0), (50, 60)), "b": jnp.ones(3)}
    new = rni.disturbed(params, unit, jnp.array([False, True]), 0.04)
    assert not new["b"].any()
    np.testing.assert_allclose((new["w"] - 1).std(), 0.04, rtol=0.05)


def test_only_active_arrays_move(mlp):
    """The others keep their bits, under decay and momentum too; the momentum of an epoch begins at 0."""
    method = rni.make(rni.Config(arrays=2, weight_decay=0.5, learning_rate=0.1), mlp.model)
    sources = jax.tree.map(jnp.asarray, mlp.sources)
    state = method.init(jax.random.key(0), mlp.variables, sources, mlp.split)
    begin, train = (jax.jit(stage.step) for stage in method.plan(mlp.split)[:2])
    state, _ = begin(state, None)
    data = sources["train"]
    after, _ = train(state, batch(data.x[:8], data.y[:8]))
    after, _ = train(after, batch(data.x[8:16], data.y[8:16]))
    assert moved(state, after).tolist() == np.asarray(state.extra.active).tolist()
    again, _ = begin(after, None)
    assert not any(leaf.any() for leaf in jax.tree.leaves(again.optimizer.inner))


def test_the_head_is_new(mlp):
    (state,) = begun(mlp, 0)
    for name, old in mlp.variables.params.items():
        same = [
            np.array_equal(a, b)
            for a, b in zip(*map(jax.tree.leaves, (state.variables.params[name], old)), strict=True)
        ]
        assert same == [name != mlp.model.layers[-1]] * len(same), name
    with pytest.raises(ConfigError, match="rni must know the head"):
        rni.make(rni.Config(), LINEAR._replace(layers=()))
