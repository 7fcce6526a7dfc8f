"""SalUn: a step recomputed in numpy, its limits, its labels, and what it leaves alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.engine.run import run
from junlearn.methods import build, salun
from tests import linear_net
from tests.golden_nets import drive

FEW = {"epochs": 2, "batch_size": 8, "learning_rate": 0.05}


def unlearned(problem, **fields):
    method = build("salun", salun.Config(**(FEW | fields)), problem.model)
    given = (problem.model, problem.variables, problem.sources, problem.split)
    return run(method, *given, key=jax.random.key(0)).variables


@pytest.mark.parametrize("weighing", ["batch", "example"])
def test_the_first_step(weighing):
    """The saliency of batches of 3 and 1, the mask of a third, one step of SGD with decay."""
    variables, sources, split = linear_net.problem(4, 3)
    config = salun.Config(
        batch_size=3, epochs=1, mask_ratio=1 / 3, learning_rate=0.5, saliency=weighing
    )
    method = salun.make(config, linear_net.MODEL)
    state = method.init(jax.random.key(0), variables, sources, split)
    *measuring, train = method.plan(split)
    for stage in measuring:
        state, _ = drive(stage, state, sources)

    x, y = sources["train"].x, sources["train"].y
    votes = (3, 1) if weighing == "example" else (1, 1)
    parts = [
        [vote * g for g in linear_net.gradient(variables, x[rows], linear_net.one_hot(y[rows]))]
        for vote, rows in zip(votes, (slice(0, 3), slice(3, 4)), strict=True)
    ]
    kernel, bias = (np.abs(a + b) for a, b in zip(*parts, strict=True))
    least = np.sort(np.concatenate([bias, kernel.ravel()]))[-5]  # floor(15 / 3)
    chosen = state.optimizer.mask["fc"]
    np.testing.assert_array_equal(chosen["kernel"], kernel >= least)
    np.testing.assert_array_equal(chosen["bias"], bias >= least)

    feed = train.feed(np.random.default_rng(1), state)
    rows = feed.index[0]
    labels = salun.Labels(jnp.array([2, 0, 1, 1, 0, 0, 0]), y, jnp.int32(3))
    one = feed._replace(index=feed.index[:1], mask=feed.mask[:1])
    after, _ = drive(train, state._replace(extra=labels), sources, one)
    targets = linear_net.one_hot(labels.targets[rows])
    gradients = linear_net.gradient(variables, x[rows], targets)
    start, found = linear_net.arrays(variables), linear_net.arrays(after.variables)
    for p, g, m, done in zip(start, gradients, (kernel, bias), found, strict=True):
        expected = np.where(m >= least, p - 0.5 * (g + 5e-4 * p), p)
        np.testing.assert_allclose(done, expected, rtol=1e-5, atol=1e-7)


def test_all_weights_are_random_labels(mlp):
    """With the same batches, which a run draws by the stage's place in the plan."""
    done = []
    for ratio in (1.0, None):
        method = salun.make(salun.Config(**FEW, mask_ratio=ratio), mlp.model)
        sources = jax.tree.map(jnp.asarray, mlp.sources)
        state = method.init(jax.random.key(0), mlp.variables, sources, mlp.split)
        for stage in method.plan(mlp.split):
            state, _ = drive(stage, state, sources)
        done.append(method.finish(state).params)
    jax.tree.map(np.testing.assert_array_equal, *done)


def test_no_weight_moves_and_the_statistics_do(convnet):
    done = unlearned(convnet, mask_ratio=0.0)
    jax.tree.map(np.testing.assert_array_equal, done.params, convnet.variables.params)
    for a, b in zip(*map(jax.tree.leaves, (done.stats, convnet.variables.stats)), strict=True):
        assert np.any(a != b)
    method = salun.make(salun.Config(mask_ratio=0.0), convnet.model)
    assert "mask_ratio = 0" in method.idle(convnet.split)
    assert salun.make(salun.Config(), convnet.model).idle(convnet.split) == ""


@pytest.mark.bitwise
def test_the_other_half_keeps_its_bits(mlp):
    """With momentum and decay, over two epochs of both passes."""
    done = unlearned(mlp)
    before, after = (
        np.concatenate([np.asarray(leaf).ravel() for leaf in jax.tree.leaves(tree.params)])
        for tree in (mlp.variables, done)
    )
    same = before.view(np.int32) == after.view(np.int32)
    assert same.sum() >= len(same) // 2 and (~same).sum() > len(same) // 3


def test_labels():
    """Of all classes, or of the others; each example has its own, another in every step."""
    own = jnp.asarray(np.resize(np.arange(4), 400), jnp.int32)
    labels = salun.Labels(jnp.full(400, -1), own, jnp.int32(4))
    rows = jnp.arange(400)
    first, second = (np.asarray(salun.draw(jax.random.key(k), labels, rows, "all")) for k in (0, 1))
    assert np.bincount(first, minlength=4).min() > 60 and (first == np.asarray(own)).any()
    assert 0.5 < (first != second).mean() < 0.95
    other = np.asarray(salun.draw(jax.random.key(0), labels, rows, "other"))
    assert not (other == np.asarray(own)).any()
    assert np.bincount((other - np.asarray(own)) % 4, minlength=4)[1:].min() > 90
    part = salun.draw(jax.random.key(0), labels, rows[50:60], "all")
    np.testing.assert_array_equal(part, first[50:60])


def test_order_of_the_passes(mlp):
    rng = np.random.default_rng(0)
    forget, everything = set(mlp.split.forget), set(range(46))
    for passes in ("separate", "joint"):
        method = salun.make(salun.Config(**(FEW | {"passes": passes})), mlp.model)
        feed = method.plan(mlp.split)[-1].feed(rng, None)
        rows = feed.index[feed.mask]
        assert sorted(rows) == sorted(everything)
        apart = set(rows[: len(forget)]) == forget
        assert apart == (passes == "separate")
        assert len(feed.index) == (2 + 5 if passes == "separate" else 6)
    assert [s.name for s in method.plan(mlp.split)] == ["saliency", "mask", "relabelled"]
    plain = salun.make(salun.Config(mask_ratio=None), mlp.model)
    assert [s.name for s in plain.plan(mlp.split)] == ["relabelled"]
