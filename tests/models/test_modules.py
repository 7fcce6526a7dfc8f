"""The layers that models are made of: initial values, BatchNorm and masks."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.errors import ScopeParamShapeError

from junlearn.models.modules import BatchNorm, Conv, Dense, he_normal_fan_out


def test_default_initial_values_are_uniform_on_one_over_root_fan_in(key):
    for layer, shape, fan_in in [
        (Dense(400), (1, 25), 25),
        (Conv(400, (3, 3)), (1, 4, 4, 4), 36),
    ]:
        params = layer.init(key, jnp.zeros(shape))["params"]
        for values in params.values():
            bound = fan_in**-0.5
            assert jnp.abs(values).max() <= bound
            assert jnp.abs(values).max() > 0.98 * bound
            np.testing.assert_allclose(values.std(), bound / 3**0.5, rtol=0.1)


def test_imagenet_convolutions_start_he_normal_in_fan_out(key):
    kernel = he_normal_fan_out(key, (3, 3, 16, 64))
    np.testing.assert_allclose(kernel.std(), (2 / (9 * 64)) ** 0.5, rtol=0.05)
    assert jnp.abs(kernel).max() > 3 * kernel.std()


@pytest.mark.parametrize("layer", [Dense, partial(Conv, kernel_size=(3, 3))])
def test_a_layer_with_values_does_not_draw_them_again(key, layer):
    """Not to learn their shape either, as Flax does: it takes a sixth of the time that tracing a network takes."""
    drawn = []

    def drawing(key, shape):
        drawn.append(shape)
        return jnp.ones(shape)

    x = jnp.ones((2, 5, 5, 3))
    made = layer(4, kernel_init=drawing, bias_init=drawing)
    variables = made.init(key, x)
    assert len(drawn) == 2
    made.apply(variables, x)
    assert len(drawn) == 2
    with pytest.raises(ScopeParamShapeError, match=r'"kernel".*\(.*3, 4\)'):
        made.apply(variables, x[..., :2])


def batch_norm(x, **arguments):
    layer = BatchNorm()
    variables = layer.init(jax.random.key(0), x)
    out, updated = layer.apply(variables, x, train=True, mutable=["batch_stats"], **arguments)
    return out, updated["batch_stats"]


def test_batch_norm_against_numpy(key):
    x = np.asarray(jax.random.normal(key, (4, 2, 3, 5)) * 3 + 1, np.float64)
    out, stats = batch_norm(jnp.asarray(x, jnp.float32))
    mean, var, count = x.mean((0, 1, 2)), x.var((0, 1, 2)), 4 * 2 * 3
    np.testing.assert_allclose(out, (x - mean) / np.sqrt(var + 1e-5), atol=1e-5)
    np.testing.assert_allclose(stats["mean"], 0.1 * mean, rtol=1e-5)
    np.testing.assert_allclose(stats["var"], 0.9 + 0.1 * var * count / (count - 1), rtol=1e-5)


@pytest.mark.parametrize("masked", [False, True])
def test_derivatives_of_batch_norm_are_those_of_its_formula(key, masked):
    mask = jnp.array([True, False, True, True]) if masked else None
    params = {"scale": jnp.array([1.5, -0.5]), "bias": jnp.array([0.3, 2.0])}
    x, dx = jax.random.normal(key, (2, 4, 3, 5, 2)) + 1

    def layer(params, x):
        stats = {"mean": jnp.zeros(2), "var": jnp.ones(2)}
        variables = {"params": params, "batch_stats": stats}
        out, new = BatchNorm().apply(variables, x, train=True, mask=mask, mutable=["batch_stats"])
        return out, new["batch_stats"]["mean"], new["batch_stats"]["var"]

    def formula(params, x):
        kept = x[mask] if masked else x
        mean, var = (f(kept, (0, 1, 2), keepdims=True) for f in (jnp.mean, jnp.var))
        scale, bias = (params[name][None, None, None] for name in ("scale", "bias"))
        count = kept.size / 2
        out = (x - mean) / jnp.sqrt(var + 1e-5) * scale + bias
        return out, 0.1 * mean.ravel(), 0.9 + 0.1 * var.ravel() * count / (count - 1)

    def everything(layer):
        def loss(params, x):
            out, mean, var = layer(params, x)
            kept = out[mask] if masked else out
            return (jnp.sin(kept) ** 2).sum() + jnp.cos(mean).sum() + (var**2).sum()

        gradient = jax.grad(loss, (0, 1))
        return gradient(params, x), jax.jvp(gradient, (params, x), (params, dx))[1]

    chex.assert_trees_all_close(everything(layer), everything(formula), rtol=1e-4, atol=1e-4)


def test_batch_norm_of_values_far_from_zero_keeps_their_variance(key):
    x = 1000 + np.asarray(jax.random.normal(key, (8, 6, 6, 3)), np.float64).astype(np.float32)
    out, stats = batch_norm(jnp.asarray(x))
    var = x.astype(np.float64).var((0, 1, 2))
    np.testing.assert_allclose(stats["var"], 0.9 + 0.1 * var * 288 / 287, rtol=1e-5)
    np.testing.assert_allclose(out.var((0, 1, 2)), var / (var + 1e-5), rtol=1e-3)


def test_batch_norm_in_eval_mode_uses_the_running_statistics(key):
    x = jax.random.normal(key, (4, 5))
    stats = {"mean": jnp.arange(5.0), "var": jnp.arange(1.0, 6.0)}
    params = {"scale": jnp.full(5, 2.0), "bias": jnp.full(5, 3.0)}
    out = BatchNorm().apply({"params": params, "batch_stats": stats}, x)
    expected = (x - stats["mean"][None]) / jnp.sqrt(stats["var"] + 1e-5)[None] * 2 + 3
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-5)


def test_batch_norm_ignores_masked_rows_even_in_its_gradient(key):
    x = jax.random.normal(key, (3, 4, 4, 2))
    padded = jnp.concatenate([x, jnp.full((1, 4, 4, 2), jnp.inf)])
    mask = jnp.array([True, True, True, False])
    out, stats = batch_norm(x)
    masked_out, masked_stats = batch_norm(padded, mask=mask)
    chex.assert_trees_all_close((masked_out[:3], masked_stats), (out, stats), atol=1e-5)
    grads, masked_grads = (
        jax.jit(jax.grad(lambda x, m=m: (batch_norm(x, mask=m)[0][:3] ** 3).sum()))(v)
        for v, m in [(x, None), (padded, mask)]
    )
    np.testing.assert_allclose(masked_grads[:3], grads, atol=1e-4)

    def product(x, mask):
        def gradient(x):
            return jax.grad(lambda x: (batch_norm(x, mask=mask)[0][:3] ** 3).sum())(x)

        return jax.jit(lambda x: jax.jvp(gradient, (x,), (jnp.ones_like(x).at[0].set(2),))[1])(x)

    np.testing.assert_allclose(product(padded, mask)[:3], product(x, None), atol=1e-3)
    moved = jax.jvp(lambda x: batch_norm(x, mask=mask)[0], (padded,), (jnp.ones_like(padded),))[1]
    assert np.all(moved[3] == 0)


def test_batch_norm_of_one_value_a_channel_and_of_none_stays_finite():
    x = jnp.full((2, 3), 5.0)
    out, stats = batch_norm(x, mask=jnp.array([True, False]))
    chex.assert_tree_all_finite((out, stats))
    np.testing.assert_array_equal(stats["mean"], 0)
    np.testing.assert_array_equal(stats["var"], 1)
    out, stats = batch_norm(x, mask=jnp.zeros(2, bool))
    chex.assert_tree_all_finite(out)
    np.testing.assert_array_equal(stats["mean"], 0)
    np.testing.assert_array_equal(stats["var"], 1)
