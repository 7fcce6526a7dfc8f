"""Losses, optimisers and the descent step, against numbers worked out by hand."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from junlearn.engine.run import run
from junlearn.methods import METHODS, fisher, neggrad, neggrad_plus, retrain, ssd
from junlearn.parts import descent, losses
from junlearn.parts.descent import descend, supervised, updater
from junlearn.parts.optimizers import Optimizer, cycled_momentum, only, schedule, transformation
from junlearn.parts.relabelling import relabel
from junlearn.types import Batch, Model, Split, Variables


def test_cross_entropy_by_hand():
    logits = jnp.array([[0.0, 0.0], [2.0, 0.0], [9.0, -9.0]])
    labels = jnp.array([0, 1, 1])
    mask = jnp.array([True, True, False])
    expected = (np.log(2) + np.log(1 + np.exp(2))) / 2
    assert losses.cross_entropy(logits, labels, mask) == pytest.approx(expected, rel=1e-6)
    assert losses.accuracy(logits, labels, mask) == 0.5


def test_an_empty_batch_has_loss_zero():
    none = jnp.zeros(2, bool)
    assert losses.cross_entropy(jnp.ones((2, 3)), jnp.zeros(2, jnp.int32), none) == 0


def linear_model():
    """f(x) = x w: one pixel, two classes."""

    def init(key, x):
        return Variables({"w": jnp.zeros((1, 2))}, {})

    def apply(variables, x, *, train=False, key=None, mask=None):
        flat = x.reshape(len(x), -1)
        return flat @ variables.params["w"], {"embedding": flat}, variables.stats

    return Model(init, apply, ("w",))


def one_batch(x, y):
    x = jnp.asarray(x, jnp.float32).reshape(-1, 1, 1, 1)
    return Batch(x, jnp.asarray(y), jnp.arange(len(y)), jnp.ones(len(y), bool))


def updates(config, gradients, theta=1.0):
    """Values of one weight under given gradients."""
    tx = transformation(config)
    params = jnp.array(theta)
    state, values = tx.init(params), []
    for g in gradients:
        change, state = tx.update(jnp.array(g), state, params)
        params = optax.apply_updates(params, change)
        values.append(float(params))
    return values


def test_sgd_with_momentum_and_coupled_decay():
    config = Optimizer(learning_rate=0.1, momentum=0.5, weight_decay=0.2)
    # d = g + wd w; buf = mu buf + d; w -= lr buf
    first = 1 - 0.1 * (2 + 0.2)
    second = first - 0.1 * (0.5 * 2.2 + 3 + 0.2 * first)
    assert updates(config, [2.0, 3.0]) == pytest.approx([first, second], rel=1e-6)


def test_adam_couples_decay_and_adamw_does_not():
    adam = Optimizer(optimizer="adam", learning_rate=0.1, weight_decay=0.5)
    # The first step of adam has the size of the rate, whatever the gradient: its sign decides.
    assert updates(adam, [-0.4]) == pytest.approx([0.9], rel=1e-5)
    adamw = Optimizer(optimizer="adamw", learning_rate=0.1, weight_decay=0.5)
    assert updates(adamw, [-0.4]) == pytest.approx([1 + 0.1 - 0.1 * 0.5], rel=1e-5)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("constant", [0, 0.5, 1, 1, 1, 1, 1, 1]),
        ("linear", [0, 0.5, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]),
        ("cosine", [0, 0.5, *(0.5 * (1 + np.cos(np.pi * np.arange(6) / 6)))]),
        ("epoch_cosine", [0, 0.5, 1, 1, 0.75, 0.75, 0.25, 0.25]),
        ("multistep", [0, 0.5, 1, 1, 0.2, 0.2, 0.04, 0.04]),
    ],
)
def test_schedules(kind, expected):
    rate = schedule(kind, 1.0, steps_per_epoch=2, total=8, warmup_epochs=1, milestones=(2, 3))
    np.testing.assert_allclose([rate(t) for t in range(8)], expected, atol=1e-6)
    assert schedule(kind, 3.0, steps_per_epoch=2, total=8)(0) == 3


def test_one_step_by_hand():
    model = linear_model()
    tx = transformation(Optimizer(learning_rate=0.5, momentum=0.0))
    state = descent.init(jax.random.key(0), model.init(None, None), tx)
    batch = one_batch([1.0, 3.0], [0, 1])
    after, metrics = jax.jit(descend(supervised(model), tx))(state, batch)
    # Both classes have probability 1/2: d CE / d w = x (p - e_y), averaged.
    gradient = (1.0 * np.array([-0.5, 0.5]) + 3.0 * np.array([0.5, -0.5])) / 2
    np.testing.assert_allclose(after.variables.params["w"], [-0.5 * gradient], rtol=1e-6)
    assert metrics["loss"] == pytest.approx(np.log(2))
    assert after.step == 1


def test_the_key_of_a_step_is_folded_from_its_number():
    seen = []

    def loss(params, state, batch, key):
        seen.append(key)
        return (params["w"] ** 2).sum(), (state.variables.stats, {})

    tx = transformation(Optimizer())
    state = descent.init(jax.random.key(9), Variables({"w": jnp.ones(2)}, {}), tx)
    state, _ = descend(loss, tx)(state, None)
    descend(loss, tx)(state, None)
    for number, key in enumerate(seen):
        chex.assert_trees_all_equal(
            jax.random.key_data(key),
            jax.random.key_data(jax.random.fold_in(jax.random.key(9), number)),
        )
    updater(loss, tx)(state, None, jax.random.key(77))
    chex.assert_trees_all_equal(*(jax.random.key_data(k) for k in (seen[-1], jax.random.key(77))))


def neggrad_step(module, config, batch, theta):
    model = linear_model()
    tx = transformation(config)
    state = descent.init(jax.random.key(0), Variables({"w": jnp.asarray(theta)}, {}), tx)
    rows = np.arange(2)
    stage = module.make(config, model).plan(Split(rows[:1], rows[1:], rows[:0], rows[:0]))[0]
    return stage.step(state._replace(extra=jnp.float32(0.5)), batch)


def test_neggrad_ascends_by_hand():
    config = neggrad.Config(learning_rate=0.5, momentum=0.0)
    after, metrics = neggrad_step(neggrad, config, one_batch([2.0], [0]), [[0.0, 0.0]])
    np.testing.assert_allclose(after.variables.params["w"], [[-0.5, 0.5]], rtol=1e-6)
    assert metrics["loss"] == pytest.approx(-np.log(2))


def test_neggrad_plus_by_hand():
    config = neggrad_plus.Config(beta=0.75, learning_rate=1.0, momentum=0.0)
    batch = {"retain": one_batch([1.0], [0]), "forget": one_batch([2.0], [0])}
    after, metrics = neggrad_step(neggrad_plus, config, batch, [[0.0, 0.0]])
    # 0.75 x (-1/2) of the retain row, -0.25 x (-2/2) of the forget row.
    np.testing.assert_allclose(after.variables.params["w"], [[0.125, -0.125]], rtol=1e-6)
    assert metrics["loss"] == pytest.approx(0.5 * np.log(2), rel=1e-6)


def test_relabelling_never_keeps_a_label_and_is_uniform():
    labels = jnp.arange(4).repeat(3)
    draws = jnp.tile(jnp.arange(3), 4)
    new = relabel(labels, draws)
    for label in range(4):
        assert sorted(new[labels == label].tolist()) == [k for k in range(4) if k != label]


def go(name, problem, **fields):
    module = METHODS[name]
    method = module.make(module.Config(**fields), problem.model)
    return run(method, *problem, key=jax.random.key(2)).variables


def test_ssd_limits(mlp):
    """A threshold above |D| / |D_f| selects nothing; with alpha and lambda 0 all that D_f moves becomes 0."""
    above = len(mlp.sources["train"].y) / len(mlp.split.forget) * 1.001
    chex.assert_trees_all_equal(go("ssd", mlp, alpha=above), mlp.variables)
    dead = go("ssd", mlp, alpha=0.0, dampening=0.0)
    assert (dead.params[mlp.model.layers[-1]]["bias"] == 0).all()


def test_ssd_importance_of_one_row_batches_is_that_of_examples(mlp):
    example = go("ssd", mlp, alpha=1.0, importance="example")
    batch = go("ssd", mlp, alpha=1.0, importance="batch", batch_size=1)
    chex.assert_trees_all_close(example, batch, rtol=1e-5, atol=1e-7)


def test_ssd_order_matters_for_batches_only(mlp):
    fields = {"alpha": 1.0, "batch_size": 4}
    for importance, same in (("example", True), ("batch", False)):
        one, two = (
            go("ssd", mlp, importance=importance, order=order, **fields).params
            for order in ("class_sorted", "shuffled")
        )
        equal = all(
            np.allclose(a, b, atol=1e-6)
            for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True)
        )
        assert equal is same


def test_dampen_at_zero_importance_keeps_the_weight():
    params, zero, one = {"w": jnp.array([3.0])}, {"w": jnp.zeros(1)}, {"w": jnp.ones(1)}
    assert ssd.dampen(params, zero, one, 0.0, 1.0)["w"] == 3
    assert ssd.dampen(params, zero, zero, 0.0, 1.0)["w"] == 3
    assert ssd.dampen(params, one, zero, 1.0, 1.0)["w"] == 0


def test_fisher_with_little_noise_only_resets_the_class(mlp):
    after = go("fisher", mlp, alpha=1e-30).params
    head = mlp.model.layers[-1]
    for layer, leaves in mlp.variables.params.items():
        for name, before in leaves.items():
            if layer == head:
                assert np.abs(after[layer][name][..., 1]).max() < 0.2
                keep = [0, 2, 3]
                np.testing.assert_allclose(
                    after[layer][name][..., jnp.array(keep)],
                    before[..., jnp.array(keep)],
                    atol=1e-6,
                )
            else:
                np.testing.assert_allclose(after[layer][name], before, atol=1e-6)


def test_fisher_needs_to_know_the_head(mlp):
    with pytest.raises(ValueError, match="layers"):
        fisher.make(fisher.Config(), mlp.model._replace(layers=()))


def test_neggrad_plus_with_weight_one_ignores_the_forget_set(mlp):
    poisoned = mlp.sources["train"]._replace(y=mlp.sources["train"].y.copy())
    poisoned.y[mlp.split.forget] = 0
    other = mlp._replace(sources={**mlp.sources, "train": poisoned})
    fields = {"beta": 1.0, "epochs": 1, "batch_size": 8}
    chex.assert_trees_all_close(
        go("neggrad_plus", mlp, **fields), go("neggrad_plus", other, **fields), rtol=1e-6
    )


def test_retraining_does_not_look_at_the_original(mlp):
    other = mlp._replace(variables=jax.tree.map(lambda leaf: leaf + 1, mlp.variables))
    fields = {"epochs": 1, "batch_size": 16}
    chex.assert_trees_all_equal(go("retrain", mlp, **fields), go("retrain", other, **fields))


def test_a_recipe_learns(digits):
    from junlearn.models import MODELS
    from junlearn.train import train

    model = MODELS["mlp"].make(MODELS["mlp"].Config(), 10, (8, 8, 1))
    config = retrain.Config(epochs=6, schedule="cosine", warmup_epochs=1, learning_rate=1e-2)
    done = train(config, model, digits.sources, views=digits.views)
    assert done.history[-1]["accuracy"] > 0.9
    assert done.history[-1]["loss"] < done.history[0]["loss"]


def test_one_cycle_is_pytorchs_with_the_leftover_warm_up():
    """Rates as torch's OneCycleLR gives them for 20 steps, peak 0.1, and the momentum beside them."""
    rate = schedule("one_cycle", 0.1, steps_per_epoch=4, total=20)
    rates = np.array([rate(t) for t in range(20)])
    up = 0.004 + (0.1 - 0.004) * 0.5 * (1 - np.cos(np.pi * np.arange(6) / 5))
    down = 4e-7 + (0.1 - 4e-7) * 0.5 * (1 + np.cos(np.pi * np.arange(1, 15) / 14))
    np.testing.assert_allclose(rates, np.concatenate([up, down]), rtol=1e-5, atol=1e-8)
    momentum = np.array([cycled_momentum(20)(t) for t in range(20)])
    np.testing.assert_allclose(momentum[[0, 5, 19]], [0.95, 0.85, 0.95], rtol=1e-6)
    warm = schedule("one_cycle", 0.1, steps_per_epoch=4, total=20, warmup_epochs=1)
    np.testing.assert_allclose([warm(t) for t in range(5)], 0.004 * np.arange(5) / 4, rtol=1e-6)
    np.testing.assert_allclose(warm(5), rates[5], rtol=1e-6)


def test_cycled_momentum_steps():
    """Two steps by hand: the buffer decays by the momentum of the step at hand."""
    momentum = cycled_momentum(5, 0.9, 0.5)
    tx = transformation(Optimizer(), lambda count: 0.1, momentum)
    params = {"w": jnp.array([1.0])}
    state = tx.init(params)
    buffer = 0.0
    expected = 1.0
    for t, gradient in enumerate([1.0, 2.0, -1.0]):
        change, state = tx.update({"w": jnp.array([gradient])}, state, params)
        params = optax.apply_updates(params, change)
        buffer = float(momentum(t)) * buffer + gradient
        expected -= 0.1 * buffer
        np.testing.assert_allclose(params["w"], [expected], rtol=1e-6)


def test_only_some_layers_move():
    """A frozen layer has neither a step nor decay, also under Adam with a zero gradient."""
    config = Optimizer(optimizer="adam", learning_rate=0.01, weight_decay=1e-4)
    tx = only(transformation(config), ("body",))
    params = {"body": {"w": jnp.array([0.5])}, "head": {"w": jnp.array([0.5, -0.2])}}
    zero = jax.tree.map(jnp.zeros_like, params)
    change, _ = tx.update(zero, tx.init(params), params)
    after = optax.apply_updates(params, change)
    np.testing.assert_array_equal(after["head"]["w"], params["head"]["w"])
    np.testing.assert_allclose(after["body"]["w"], [0.49], rtol=1e-4)
