"""Unrolling: the sum recomputed by autodiff example by example, its limits, and where the initial weights come from."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import junlearn
from junlearn.engine.run import run
from junlearn.errors import ConfigError
from junlearn.methods import unrolling
from junlearn.types import Data, Variables
from tests.conftest import make_problem


def unlearned(problem, initial=None, **fields):
    method = unrolling.make(unrolling.Config(**fields), problem.model)
    return run(
        *(method, problem.model, problem.variables, problem.sources, problem.split),
        key=jax.random.key(0),
        initial=initial,
    ).variables


def gradients(problem, at):
    """[Nf, ...]: the gradient of each forget example's cross entropy in eval mode."""
    train = problem.sources["train"]

    def loss(params, x, y):
        logits = problem.model.apply(Variables(params, at.stats), x[None])[0]
        return -jax.nn.log_softmax(logits[0])[y]

    one = jax.jit(jax.grad(loss))
    return [one(at.params, jnp.asarray(train.x[i]), int(train.y[i])) for i in problem.split.forget]


@pytest.mark.parametrize("anchor", ["initial", "original"])
def test_the_sum(anchor, mlp):
    """Two batches, the last ragged: theta_T + (eta m / b) times the sum over the examples."""
    began = mlp.model.init(jax.random.key(8), mlp.model.example(mlp.sources))
    at = began if anchor == "initial" else mlp.variables
    done = unlearned(mlp, began, anchor=anchor, learning_rate=0.02, epochs_seen=3, batch_size=8)
    total = jax.tree.map(lambda *g: sum(g), *gradients(mlp, at))
    expected = jax.tree.map(lambda t, g: t + 0.02 * 3 / 8 * g, mlp.variables.params, total)
    chex.assert_trees_all_close(done.params, expected, rtol=1e-4, atol=1e-6)


def test_undoes_one_epoch_of_sgd_to_first_order(mlp):
    """One step on all data from theta_0, unlearned, is the step on the retain data alone, exactly: m = 1, one batch."""
    train, split = mlp.sources["train"], mlp.split
    everything = np.arange(46)

    def loss(params, rows):
        logits = mlp.model.apply(Variables(params, {}), jnp.asarray(train.x[rows]))[0]
        labels = jnp.asarray(train.y[rows])
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).sum() / 46

    began = mlp.variables
    eta = 0.5
    trained, without = (
        Variables(
            jax.tree.map(
                lambda p, g: p - eta * g, began.params, jax.grad(loss)(began.params, rows)
            ),
            {},
        )
        for rows in (everything, split.retain)
    )
    options = {"learning_rate": eta, "epochs_seen": 1, "batch_size": 46}
    done = unlearned(mlp._replace(variables=trained), began, **options)
    chex.assert_trees_all_close(done.params, without.params, rtol=1e-4, atol=1e-6)
    assert optax.tree.norm(jax.tree.map(jnp.subtract, trained.params, without.params)) > 1e-2


def test_batches_normalise_themselves():
    """At theta_0, whose running statistics have seen nothing: two batches, the last ragged, each by its own moments."""
    convnet = make_problem("small_cnn", size=4, channels=(4,), embedding=8)
    model, train = convnet.model, convnet.sources["train"]
    began = jax.jit(model.init)(jax.random.key(8), model.example(convnet.sources))
    done = unlearned(convnet, began, learning_rate=0.5, epochs_seen=1, batch_size=8)

    def loss(params):
        parts = np.split(convnet.split.forget, [8])
        assert 0 < len(parts[1]) < 8
        total = 0.0
        for rows in parts:
            x, y = jnp.asarray(train.x[rows]), train.y[rows]
            logits, _, _ = model.apply(Variables(params, began.stats), x, train=True)
            total -= jax.nn.log_softmax(logits)[np.arange(len(rows)), y].sum() / 8
        return total

    expected = jax.tree.map(
        lambda t, g: t + 0.5 * g, convnet.variables.params, jax.jit(jax.grad(loss))(began.params)
    )
    chex.assert_trees_all_close(done.params, expected, rtol=1e-4, atol=1e-5)


def test_statistics_stay_those_of_the_original(convnet):
    began = convnet.model.init(jax.random.key(8), convnet.model.example(convnet.sources))
    moved = jax.tree.map(lambda leaf: leaf + 1.0, convnet.variables.stats)
    done = unlearned(convnet._replace(variables=convnet.variables._replace(stats=moved)), began)
    chex.assert_trees_all_equal(done.stats, moved)


def test_initial_weights_are_asked_for(mlp):
    with pytest.raises(ConfigError, match="pass initial"):
        unlearned(mlp)


def test_initial_weights_of_a_training_run(mlp):
    """Training that moves nothing ends where `initial` says it began; `unlearn` takes that on."""
    data = Data(mlp.sources["train"].x, mlp.sources["train"].y)
    key = jax.random.key(5)
    still = {"optimizer": "sgd", "learning_rate": 1e-30, "epochs": 1, "momentum": 0.0}
    trained = junlearn.train(mlp.model, data, key=key, **still)
    began = junlearn.initial(mlp.model, data, key=key)
    chex.assert_trees_all_equal(trained.variables, began)
    options = {"method": "unrolling", "key": key}
    one = junlearn.unlearn(mlp.model, mlp.variables, data, mlp.split, initial=began, **options)
    chex.assert_trees_all_equal(one.variables, unlearned(mlp, began))
