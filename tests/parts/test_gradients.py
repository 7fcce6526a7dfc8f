"""Sums of powers of per-example gradients: one backward pass over the batch against a pass for every example."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx

from junlearn.models import MODELS
from junlearn.parts import gradients
from junlearn.parts.gradients import sum_of_powers
from junlearn.types import Model, Variables


def problem(model, shape, rows=5):
    """Variables of random values, images, labels and a mask without the second row."""
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(rows, *shape)), jnp.float32)
    variables = jax.jit(model.init)(jax.random.key(0), x[:1])
    variables = jax.tree.map(
        lambda leaf: leaf + jnp.asarray(rng.uniform(0, 0.1, leaf.shape), leaf.dtype), variables
    )
    y = jnp.asarray(rng.integers(0, 3, rows))
    return variables, x, y, jnp.arange(rows) != 1


def cross_entropy(y):
    return lambda logits: -jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], 1).T


def loop(model, variables, x, y, mask, power):
    """The sum by hand: the gradient of one example after the other."""

    @jax.jit
    def gradient(x, y):
        def loss(params):
            return cross_entropy(y[None])(
                model.apply(Variables(params, variables.stats), x[None])[0]
            )

        return jax.grad(lambda params: loss(params)[0, 0])(variables.params)

    rows = [gradient(x[i], y[i]) for i in np.flatnonzero(mask)]
    return jax.tree.map(lambda *leaves: sum(abs(leaf) ** power for leaf in leaves), *rows)


def close(ours, reference):
    # Some gradients are zero but for rounding: that of a key's bias in attention, which moves all scores alike.
    noise = 1e-6 * max(float(leaf.max()) for leaf in jax.tree.leaves(reference))

    def leaf(a, b):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=max(1e-5 * float(b.max()), noise))

    jax.tree.map(leaf, ours, reference)


class Flaxes(nn.Module):
    """Flax's own layers: plain, strided, grouped and dilated convolutions, norms, several positions, attention."""

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.Conv(4, (3, 3), strides=2)(x)
        x = nn.relu(nn.BatchNorm(use_running_average=not train)(x))
        x = nn.Conv(4, (3, 3), padding=[(1, 0), (0, 1)], use_bias=False)(x)
        x = nn.Conv(4, (2, 2), padding="CIRCULAR")(x) + nn.Conv(4, (3, 3), kernel_dilation=2)(x)
        x = nn.Conv(4, (3, 3), feature_group_count=2)(x)
        x = nn.LayerNorm()(x.reshape(len(x), -1, 4))
        x = nn.tanh(nn.Dense(6)(x))
        x = nn.MultiHeadDotProductAttention(num_heads=2)(x)
        return nn.Dense(3, use_bias=False)(x.mean(1))


class Twice(nn.Module):
    @nn.compact
    def __call__(self, x):
        layer = nn.Dense(4)
        return nn.Dense(3)(layer(nn.tanh(layer(x.reshape(len(x), -1)))))


class OwnParameter(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.Dense(4)(x.reshape(len(x), -1))
        return nn.Dense(3)(x * self.param("scale", nn.initializers.ones, (1, 4)))


class Tied(nn.Module):
    """One layer's kernel read from outside of it."""

    @nn.compact
    def __call__(self, x):
        layer = nn.Dense(4)
        x = nn.tanh(layer(x.reshape(len(x), -1)))
        x = x @ layer.variables["params"]["kernel"].T
        return nn.Dense(3)(x)


class OtherRows(nn.Module):
    """A layer whose rows are the pixels of all images."""

    @nn.compact
    def __call__(self, x):
        y = nn.Dense(4)(x.reshape(-1, x.shape[-1]))
        return nn.Dense(3)(y.reshape(len(x), -1))


def registered(name):
    component = MODELS[name]
    return lambda shape: component.make(component.Config(), 3, shape)


def linen(module):
    return lambda shape: Model.from_linen(module, input_shape=shape)


class Small(nn.Module):
    """A convolution, a layer on several positions, a norm and a layer on vectors."""

    @nn.compact
    def __call__(self, x):
        x = nn.tanh(nn.Conv(2, (2, 2))(x))
        x = nn.LayerNorm()(nn.Dense(3)(x))
        return nn.Dense(3)(x.mean((1, 2)))


KNOWN = {
    "mlp": (registered("mlp"), (3, 3, 1)),
    "small_cnn": (registered("small_cnn"), (4, 4, 2)),
    "flax": (linen(Flaxes()), (6, 6, 2)),
    "small": (linen(Small()), (3, 3, 1)),
}
UNKNOWN = {
    "a layer called twice": Twice(),
    "a parameter of no layer": OwnParameter(),
    "a parameter read from outside": Tied(),
    "rows that are not the examples": OtherRows(),
}


@pytest.mark.parametrize(
    ("name", "power"), [("mlp", 1), ("small_cnn", 2), ("flax", 2), ("small", 1)]
)
def test_one_backward_pass_gives_the_sum_over_the_examples(name, power):
    make, shape = KNOWN[name]
    model = make(shape)
    variables, x, y, mask = problem(model, shape)
    assert model.examplewise(variables, x, power) is not None
    ours = jax.jit(lambda v, x: sum_of_powers(model, v, x, mask, cross_entropy(y), power))
    close(ours(variables, x.at[1].set(jnp.nan)), loop(model, variables, x, y, mask, power))


@pytest.mark.parametrize("name", UNKNOWN)
def test_other_networks_take_a_pass_for_every_example(name):
    model = Model.from_linen(UNKNOWN[name])
    variables, x, y, mask = problem(model, (2, 2, 1))
    if name == "a parameter read from outside":
        assert variables.params["Dense_0"]["kernel"].shape == (4, 4)
    assert model.examplewise(variables, x, 2) is None
    ours = sum_of_powers(model, variables, x, mask, cross_entropy(y))
    close(ours, loop(model, variables, x, y, mask, 2))


def test_nnx_takes_a_pass_for_every_example():
    class Net(nnx.Module):
        def __init__(self, rngs):
            self.head = nnx.Linear(4, 3, rngs=rngs)

        def __call__(self, x):
            return self.head(x.reshape(len(x), -1))

    model = Model.from_nnx(Net)
    variables, x, y, mask = problem(model, (2, 2, 1))
    assert model.examplewise is None
    ours = sum_of_powers(model, variables, x, mask, cross_entropy(y))
    close(ours, loop(model, variables, x, y, mask, 2))


@pytest.mark.parametrize("known", [True, False])
def test_several_losses_an_example_add_up(known):
    make, shape = KNOWN["mlp"]
    model = make(shape)
    variables, x, y, mask = problem(model, shape)
    if not known:
        model = model._replace(examplewise=None)

    def both(logits):
        return jnp.concatenate([cross_entropy(y)(logits), jnp.square(logits).sum(1)[None]])

    total = jax.jit(lambda v: sum_of_powers(model, v, x, mask, both))(variables)
    parts = [
        sum_of_powers(model, variables, x, mask, lambda logits, m=m: both(logits)[m : m + 1])
        for m in range(2)
    ]
    close(total, jax.tree.map(jnp.add, *parts))


@pytest.mark.parametrize("limit", [1, 300, 10**9])
def test_chunks_of_any_size_give_the_same_sum(limit, monkeypatch):
    """What runs on an accelerator: one row at a time, chunks that do not divide the batch, all rows at once."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(gradients, "CHUNK_BYTES", limit)
    make, shape = KNOWN["small"]
    model = make(shape)
    variables, x, y, mask = problem(model, shape)
    ours = jax.jit(lambda v: sum_of_powers(model, v, x, mask, cross_entropy(y)))(variables)
    close(ours, loop(model, variables, x, y, mask, 2))


def test_masked_rows_of_any_value_change_no_bit():
    make, shape = KNOWN["mlp"]
    model = make(shape)
    variables, x, y, mask = problem(model, shape)
    run = jax.jit(lambda x: sum_of_powers(model, variables, x, mask, cross_entropy(y)))
    chex.assert_trees_all_equal(run(x), run(x.at[1].set(jnp.inf)))
