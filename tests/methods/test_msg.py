"""MSG: the difference of gradients, which entries are drawn anew, the rate, and the slower rest."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.errors import ConfigError
from junlearn.methods import build, msg
from junlearn.types import Variables
from tests.golden_nets import drive

PARAMS = {
    "one": {"kernel": jnp.zeros((1, 1, 2, 3)), "bias": jnp.zeros(3)},
    "two": {"kernel": jnp.zeros((1, 2, 1, 5))},
    "head": {"kernel": jnp.zeros((5, 2))},
}


def started(problem, **fields):
    """The method, its stages, and its state before the first of them."""
    method = build("msg", msg.Config(**fields), problem.model)
    return method, method.plan(problem.split), method.init(jax.random.key(0), *problem[1:])


@pytest.mark.parametrize(
    ("share", "taken"), [(0.0, []), (0.3, [1]), (0.5, [1, 3]), (1.0, range(4))]
)
def test_the_smallest_entries_are_taken(share, taken):
    found = msg.smallest(jnp.array([[-3.0, 1.0], [2.0, -1.0]]), share)
    assert np.flatnonzero(found).tolist() == list(taken)


def test_every_kernel_is_drawn_by_itself():
    """All differences of one layer are smaller than those of the other, and both have their share drawn."""
    scale = {"one": 1e-3, "two": 1.0, "head": 0.0}
    g = {
        layer: jax.tree.map(lambda w, s=scale[layer]: s * (1 + jnp.arange(w.size)), group)
        for layer, group in PARAMS.items()
    }
    g = jax.tree.map(lambda a, w: a.reshape(w.shape), g, PARAMS)
    unit = jax.tree.map(jnp.ones_like, PARAMS)
    after, fresh = msg.mixed(PARAMS, g, unit, 0.5)
    for layer, count, fan_out in (("one", 3, 3), ("two", 5, 10)):
        kernel = after[layer]["kernel"].ravel()
        np.testing.assert_allclose(kernel[:count], np.sqrt(2 / fan_out), rtol=1e-6)
        assert not kernel[count:].any()
        assert fresh[layer]["kernel"].sum() == count
    assert not after["head"]["kernel"].any() and not after["one"]["bias"].any()
    assert fresh["head"]["kernel"].all() and fresh["one"]["bias"].all()


def test_only_biases_of_convolutions_are_made_fresh():
    unit = jax.tree.map(jnp.zeros_like, PARAMS)
    after = msg.rebiased(PARAMS, unit)
    np.testing.assert_allclose(after["one"]["bias"], -1 / np.sqrt(2), rtol=1e-6)
    assert not any(group["kernel"].any() for group in after.values())


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [
        (1, [1]),
        (2, [1, 1 / 2]),
        (4, [1 / 2, 1, 2 / 3, 1 / 3]),
        (5, [1 / 3, 2 / 3, 1, 2 / 3, 1 / 3]),
    ],
)
def test_the_rate_rises_and_falls(epochs, expected):
    rate = msg.triangle(3.0, epochs, 2)
    found = [float(rate(jnp.int32(t))) for t in range(2 * epochs)]
    np.testing.assert_allclose(found, 3 * np.repeat(expected, 2), rtol=1e-6)


def test_the_difference_is_one_of_means_whatever_the_batches(convnet, float64):
    """Batches of 5 and 8 leave ragged ones; BatchNorm's statistics stay."""
    _, stages, state = started(convnet, sample_batch_size=5, batch_size=8)
    train, split = convnet.sources["train"], convnet.split
    sample = stages[0].feed(np.random.default_rng(0), state)
    rows = sample.index[sample.mask]
    assert len(set(rows)) == len(split.forget) and set(rows) <= set(split.retain)

    def gap(params):
        variables = Variables(params, state.variables.stats)

        def mean(rows):
            log_p = jax.nn.log_softmax(convnet.model.apply(variables, train.x[rows])[0])
            return -log_p[np.arange(len(rows)), train.y[rows]].mean()

        return mean(rows) - mean(split.forget)

    expected = jax.jit(jax.grad(gap))(state.variables.params)
    sources = jax.tree.map(jnp.asarray, convnet.sources)
    after, _ = drive(stages[0], state, sources, sample)
    after, _ = drive(stages[1], after, sources)
    close = np.testing.assert_allclose
    jax.tree.map(lambda a, b: close(a, b, rtol=1e-4, atol=1e-7), after.extra.total, expected)
    jax.tree.map(np.testing.assert_array_equal, after.variables, state.variables)


def test_the_rest_of_a_kernel_is_slower(convnet):
    """Without momentum and decay a step is the gradient, and a tenth of it where a kernel was not drawn anew."""
    fields = {"momentum": 0.0, "weight_decay": 0.0, "learning_rate": 0.5, "batch_size": 34}
    moved = []
    for kept in (1.0, 0.1):
        _, stages, state = started(convnet, kept=kept, epochs=1, **fields)
        fresh = jax.tree.map(lambda leaf: leaf, state.extra.fresh)
        fresh["block1"]["conv"]["kernel"] = fresh["block1"]["conv"]["kernel"].at[0].set(False)
        state = state._replace(extra=state.extra._replace(fresh=fresh))
        after, _ = drive(stages[3], state, jax.tree.map(jnp.asarray, convnet.sources))
        moved.append(jax.tree.map(jnp.subtract, after.variables.params, state.variables.params))
    factors = jax.tree.map(lambda chosen: jnp.where(chosen, 1, 0.1), fresh)
    jax.tree.map(
        lambda slow, plain, factor: np.testing.assert_allclose(
            slow, factor * plain, rtol=1e-3, atol=1e-6
        ),
        *(moved[1], moved[0], factors),
    )


def test_fewer_retain_than_forget_examples_are_all_taken(convnet):
    split = convnet.split._replace(retain=convnet.split.retain[:3])
    method = build("msg", msg.Config(batch_size=8), convnet.model)
    state = method.init(jax.random.key(0), convnet.variables, convnet.sources, split)
    feed = method.plan(split)[0].feed(np.random.default_rng(0), state)
    assert sorted(feed.index[feed.mask]) == sorted(split.retain)
    np.testing.assert_allclose(state.extra.weights, [1 / 3, -1 / len(split.forget)], rtol=1e-6)


def test_a_network_without_convolutions_is_refused(mlp):
    with pytest.raises(ConfigError, match="msg changes the kernels of convolutions"):
        build("msg", msg.Config(), mlp.model).init(jax.random.key(0), *mlp[1:])
