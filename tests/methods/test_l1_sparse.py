"""l1-sparse: a step recomputed in numpy, its schedule, its limits, and the zeros of the proximal step."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from junlearn.engine.run import run
from junlearn.errors import ConfigError
from junlearn.methods import build, finetune, l1_sparse
from junlearn.parts import l1
from tests import linear_net
from tests.golden_nets import drive


def unlearned(problem, method="l1_sparse", **fields):
    module = {"l1_sparse": l1_sparse, "finetune": finetune}[method]
    config = module.Config(**({"epochs": 2, "batch_size": 16, "learning_rate": 0.05} | fields))
    given = (problem.model, problem.variables, problem.sources, problem.split)
    return run(build(method, config, problem.model), *given, key=jax.random.key(0)).variables


@pytest.mark.parametrize("proximal", [False, True])
def test_the_first_step(proximal):
    variables, sources, split = linear_net.problem(2, 4)
    config = l1_sparse.Config(
        learning_rate=0.5, l1=0.3, weight_decay=0.1, batch_size=4, epochs=1, proximal=proximal
    )
    method = l1_sparse.make(config, linear_net.MODEL)
    state = method.init(jax.random.key(0), variables, sources, split)
    (stage,) = method.plan(split)
    after, _ = drive(stage, state, sources)
    x, y = (a[split.retain] for a in (sources["train"].x, sources["train"].y))
    gradients = linear_net.gradient(variables, x, linear_net.one_hot(y))
    found = linear_net.arrays(after.variables)
    for p, g, done in zip(linear_net.arrays(variables), gradients, found, strict=True):
        if proximal:
            moved = p - 0.5 * (g + 0.1 * p)
            expected = np.sign(moved) * np.maximum(np.abs(moved) - 0.5 * 0.3, 0)
            np.testing.assert_array_equal(done == 0, expected == 0)
        else:
            expected = p - 0.5 * (g + 0.1 * p + 0.3 * np.sign(p))
        np.testing.assert_allclose(done, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("free", "expected"),
    [
        (0, [1, 1, 0.75, 0.75, 0.5, 0.5, 0.25, 0.25]),
        (2, [1, 1, 0.5, 0.5, 0, 0, 0, 0]),
        (4, [1] * 8),
    ],
)
def test_schedule(free, expected):
    weight = l1.coefficient(2.0, 4, free, 2)
    found = [float(weight(jnp.int32(t))) for t in range(8)]
    np.testing.assert_allclose(found, 2 * np.array(expected), rtol=1e-6)


def test_more_free_epochs_than_epochs(mlp):
    with pytest.raises(ConfigError, match="free_epochs is 3, and there are 2"):
        unlearned(mlp, free_epochs=3)
    with pytest.raises(ValueError, match="of 2 epochs 3"):
        l1.coefficient(1.0, 2, 3, 1)


def test_epochs_are_those_that_the_steps_begin(mlp):
    """Four steps of three an epoch are two epochs, and the weight of the second one is a half."""
    config = l1_sparse.Config(steps=4, batch_size=16, learning_rate=1.0, momentum=0.0, l1=0.5)
    method = l1_sparse.make(config, mlp.model)
    stages = method.plan(mlp.split)
    assert [len(s.feed(np.random.default_rng(0), None).index) for s in stages] == [3, 1]
    with pytest.raises(ConfigError, match="there are 2 epochs"):
        unlearned(mlp, steps=4, free_epochs=3)


@pytest.mark.parametrize("proximal", [False, True])
def test_without_a_penalty_it_is_fine_tuning(proximal, mlp):
    done = unlearned(mlp, l1=0.0, proximal=proximal)
    plain = unlearned(mlp, "finetune")
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7),
        *(done.params, plain.params),
    )


def test_zeros(mlp):
    """The subgradient makes none, the proximal step does, and both make the weights smaller."""
    done = {rule: unlearned(mlp, l1=0.02, proximal=rule).params for rule in (False, True)}
    plain = unlearned(mlp, l1=0.0).params

    def norm(tree):
        return float(optax.tree.norm(tree, ord=1))

    def zeros(tree):
        return sum(int((leaf == 0).sum()) for leaf in jax.tree.leaves(tree))

    assert zeros(plain) == zeros(done[False]) == 0 < zeros(done[True])
    assert max(norm(tree) for tree in done.values()) < norm(plain)


def test_nothing_pulls_at_zero():
    tree = {"a": jnp.array([0.0, -2.0, 3.0])}
    tx = l1.subgradient(optax.sgd(1.0), lambda count: jnp.float32(0.5))
    change, _ = tx.update(jax.tree.map(jnp.zeros_like, tree), tx.init(tree), tree)
    np.testing.assert_array_equal(change["a"], [0.0, 0.5, -0.5])
