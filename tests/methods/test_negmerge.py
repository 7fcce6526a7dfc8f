"""NegMerge: the merge by its definition, steps and the choice of s worked out in numpy, and its limits."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from junlearn.engine.run import run
from junlearn.errors import ConfigError, DivergedError
from junlearn.methods import negmerge
from junlearn.parts import task_vectors
from junlearn.parts.descent import descend, init, supervised
from junlearn.parts.optimizers import Optimizer, Rated, rated, transformation
from junlearn.types import Data, Model, Split, Variables
from tests.golden_nets import drive

NONE = np.zeros(0, int)
RATE = 0.3
PLAIN = {"learning_rate": RATE, "momentum": 0.0, "batch_size": 8}


def linear():
    """f(x) = x W + b; 40 training examples, the first 6 to be forgotten; 30 of validation. Most labels are its own."""

    def apply(variables, x, *, train=False, key=None, mask=None):
        flat = x.reshape(len(x), -1)
        head = variables.params["head"]
        return flat @ head["kernel"] + head["bias"][None], {"embedding": flat}, variables.stats

    rng = np.random.default_rng(1)
    head = {"kernel": rng.normal(size=(4, 3)), "bias": rng.normal(size=3)}
    head = jax.tree.map(lambda a: a.astype(np.float32), head)

    def data(count):
        x = rng.normal(size=(count, 2, 2, 1)).astype(np.float32)
        y = (x.reshape(count, 4) @ head["kernel"] + head["bias"]).argmax(-1).astype(np.int32)
        y[::5] = 0
        return Data(x, y)

    sources = {"train": data(40), "validation": data(30)}
    split = Split(np.arange(6), np.arange(6, 40), NONE, NONE)
    return (
        Model(lambda key, x: None, apply, ("head",)),
        Variables({"head": head}, {}),
        sources,
        split,
    )


def gradient(params, x, y):
    """Of the mean cross entropy, by hand."""
    z = x @ params["head"]["kernel"] + params["head"]["bias"]
    error = np.exp(z - z.max(-1, keepdims=True))
    error = (error / error.sum(-1, keepdims=True) - np.eye(3)[y]) / len(x)
    return {"head": {"kernel": x.T @ error, "bias": error.sum(0)}}


def forgotten(sources):
    return sources["train"].x[:6].reshape(6, 4), sources["train"].y[:6]


def unlearn(config, model, variables, sources, split):
    return run(
        negmerge.make(config, model), model, variables, sources, split, key=jax.random.key(0)
    )


def test_two_rates_by_hand():
    """One step from theta0 each, along one gradient: the mean of the two is taken off."""
    model, variables, sources, split = linear()
    config = negmerge.Config(rates=(1.0, 3.0), seeds=1, choose=False, scale=0.5, **PLAIN)
    done = unlearn(config, model, variables, sources, split)
    g = gradient(variables.params, *forgotten(sources))
    expected = jax.tree.map(lambda w, d: w + 0.5 * 2 * RATE * d, variables.params, g)
    chex.assert_trees_all_close(done.variables.params, expected, rtol=1e-5)
    assert done.reported == {"negmerge/scale": 0.5, "negmerge/kept": 1.0}


def test_one_candidate_is_task_negation():
    """theta0 - s (theta1 - theta0), theta1 trained on the forget set: two epochs of two batches, with momentum."""
    model, variables, sources, split = linear()
    config = negmerge.Config(
        learning_rate=RATE, rates=(1.0,), seeds=1, epochs=2, batch_size=4, scale=0.7, choose=False
    )
    method = negmerge.make(config, model)
    done = unlearn(config, model, variables, sources, split)
    tx = transformation(config)
    state = init(jax.random.key(1), variables, tx)
    step = jax.jit(descend(supervised(model), tx))
    train = method.plan(split)[0]
    for epoch in range(2):
        feed = train.feed(np.random.default_rng((0, 0, epoch)), None)
        stage = train._replace(step=step)
        state, _ = drive(stage, state, jax.tree.map(jnp.asarray, sources), feed)
    tuned = state.variables.params
    expected = jax.tree.map(lambda w, t: w - 0.7 * (t - w), variables.params, tuned)
    chex.assert_trees_all_close(done.variables.params, expected, rtol=1e-5, atol=1e-6)


def test_scale_zero_is_the_original():
    model, variables, sources, split = linear()
    config = negmerge.Config(choose=False, scale=0.0, seeds=2, **PLAIN)
    done = unlearn(config, model, variables, sources, split)
    chex.assert_trees_all_equal(done.variables.params, variables.params)


def test_merge_by_its_definition():
    """Every pattern of three signs, zeros among them."""
    signs = np.stack(np.meshgrid(*[[-1.0, 0.0, 1.0]] * 3), -1).reshape(-1, 3).T
    vectors = (signs * np.arange(1, 4)[:, None]).astype(np.float32)
    start = {"w": jnp.linspace(0, 1, 27)}
    found = task_vectors.empty(start)
    for vector in vectors:
        found = task_vectors.observe(found, start, {"w": start["w"] + 64 * vector})
    agreed = (vectors > 0).all(0) | (vectors < 0).all(0)
    expected = np.where(agreed, 64 * vectors.mean(0), 0)
    np.testing.assert_allclose(task_vectors.merged(found)["w"], expected, rtol=1e-6)
    assert agreed.sum() == 2
    after = task_vectors.negate(start, {"w": jnp.asarray(expected)}, 0.25)["w"]
    np.testing.assert_allclose(after, start["w"] - 0.25 * expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("forget", "control", "least", "scale"),
    [
        ([0.9, 0.2, 0.2, 0.0], [1.0, 1.0, 1.0, 0.5], 0.9, 0.1),  # the first of equal ones
        ([0.9, 0.5, 0.4, 0.0], [1.0, 0.95, 0.95, 0.95], 0.95, 0.3),  # the bound itself fits
        ([0.9, 0.5, 0.4, 0.0], [0.1, 0.1, 0.1, 0.1], 0.5, 0.0),  # none fits
        ([1.0, 1.0, 1.0, 1.0], [0.2, 1.0, 1.0, 1.0], 0.5, 0.0),  # nothing is forgotten
    ],
)
def test_the_choice_of_a_point(forget, control, least, scale):
    grid = np.array([0.0, 0.1, 0.2, 0.3])
    assert negmerge.choose(grid, np.array(forget), np.array(control), least) == scale


@pytest.mark.parametrize(("whole", "factor"), [(False, 4.0), (True, 20.0)])
def test_s_is_chosen_on_validation(whole, factor):
    """By hand over the grid; a class that is forgotten whole is no part of the control accuracy."""
    model, variables, sources, split = linear()
    if whole:
        rows = sources["train"].y == 0
        split = Split(np.flatnonzero(rows), np.flatnonzero(~rows), NONE, NONE, (0,))
    config = negmerge.Config(
        rates=(factor,), seeds=1, grid=9, floor=0.9, **{**PLAIN, "batch_size": 32}
    )
    done = unlearn(config, model, variables, sources, split)
    validation = sources["validation"]
    control = validation.y != 0 if whole else np.ones(30, bool)
    x, y = sources["train"].x[split.forget], sources["train"].y[split.forget]
    g = gradient(variables.params, x.reshape(len(x), 4), y)

    def accuracy(s, x, y):
        moved = jax.tree.map(lambda w, d: w + s * factor * RATE * d, variables.params, g)["head"]
        return float(
            ((x.reshape(len(x), 4) @ moved["kernel"] + moved["bias"]).argmax(-1) == y).mean()
        )

    grid = np.linspace(0, 1, 9)
    on_forget = [accuracy(s, x, y) for s in grid]
    on_control = [accuracy(s, validation.x[control], validation.y[control]) for s in grid]
    fits = [
        f if c >= 0.9 * on_control[0] else 2 for f, c in zip(on_forget, on_control, strict=True)
    ]
    best = grid[int(np.argmin(fits))]
    assert 0 < best < 1
    assert (min(on_control) < 0.9 * on_control[0]) != whole
    assert done.reported["negmerge/scale"] == best
    expected = jax.tree.map(lambda w, d: w + best * factor * RATE * d, variables.params, g)
    chex.assert_trees_all_close(done.variables.params, expected, rtol=1e-4, atol=1e-5)
    del sources["validation"]
    assert unlearn(config, model, variables, sources, split).reported["negmerge/scale"] == 1


def test_a_sub_class_that_is_forgotten_whole_is_no_control():
    y, fine = np.zeros(6, np.int32), np.array([0, 0, 1, 1, 2, 2], np.int32)
    data = Data(np.zeros((6, 1)), y, fine=fine)
    split = Split(np.array([0, 1, 2]), np.array([3, 4, 5]), NONE, NONE)
    marks = negmerge.control_marks({"train": data, "validation": data}, split)
    np.testing.assert_array_equal(marks, fine != 0)
    assert not negmerge.control_marks({"train": data}, split).any()


@pytest.mark.parametrize("merge", [False, True])
def test_running_statistics(merge, convnet):
    """They stay, or are merged as the weights are; a variance below 0 is told."""
    config = negmerge.Config(
        rates=(1.0,), seeds=2, epochs=2, batch_size=4, scale=1e-3, merge_statistics=merge
    )
    method, kept = negmerge.make(config, convnet.model), []
    watched = method._replace(finish=lambda state: kept.append(state) or method.finish(state))
    start = jax.tree.map(lambda leaf: 0.01 * leaf, convnet.variables.stats)  # They will grow.
    variables = convnet.variables._replace(stats=start)
    done = run(
        watched, convnet.model, variables, convnet.sources, convnet.split, key=jax.random.key(0)
    )
    before = jax.tree.leaves(start)
    after = jax.tree.leaves(done.variables.stats)
    same = [np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
    assert not any(same) if merge else all(same)
    far = negmerge.make(dataclasses.replace(config, scale=1e6), convnet.model)
    if merge:
        with pytest.raises(DivergedError, match=r"s = 1e\+06 the running variance .* below 0"):
            far.finish(kept[0])
    else:
        chex.assert_trees_all_equal(far.finish(kept[0]).stats, start)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_a_rate_in_the_state_of_the_optimizer(name):
    config = Optimizer(optimizer=name, learning_rate=0.2, weight_decay=0.1)
    own = transformation(dataclasses.replace(config, learning_rate=0.05))
    params = {"w": jnp.array([1.0, -2.0])}
    theirs, ours = (params, own.init(params)), (params, rated(config).init(params))
    assert ours[1].rate == np.float32(0.2)
    ours = (params, Rated(ours[1].inner, jnp.float32(0.05)))
    for step in range(3):
        moved = []
        for tx, (weights, state) in ((own, theirs), (rated(config), ours)):
            change, state = tx.update({"w": jnp.array([0.3, step - 1.0])}, state, weights)
            moved.append((optax.apply_updates(weights, change), state))
        theirs, ours = moved
    np.testing.assert_allclose(ours[0]["w"], theirs[0]["w"], rtol=1e-6)


@pytest.mark.parametrize("field", ["rates", "lengths"])
def test_no_candidates(field, mlp):
    with pytest.raises(ConfigError, match="rates and lengths need an entry each"):
        negmerge.make(negmerge.Config(**{field: ()}), mlp.model)


def test_candidates_are_products(mlp):
    """Rate by rate, length by length, seed by seed; each starts from theta0 with its own rate."""
    config = negmerge.Config(rates=(1.0, 2.0), lengths=(1, 3), seeds=2, epochs=2, choose=False)
    method = negmerge.make(config, mlp.model)
    stages = method.plan(mlp.split)
    assert [s.epochs for s in stages if s.name.startswith("candidate")] == [2, 2, 6, 6] * 2
    state = method.init(jax.random.key(0), mlp.variables, mlp.sources, mlp.split)
    np.testing.assert_allclose(state.rates, 1e-4 * np.repeat([1, 2], 4), rtol=1e-6)
    for count in range(1, 5):
        state, _ = drive(stages[1], state, jax.tree.map(jnp.asarray, mlp.sources))
        assert state.candidate.optimizer.rate == state.rates[count]
        chex.assert_trees_all_equal(state.candidate.variables, mlp.variables)
