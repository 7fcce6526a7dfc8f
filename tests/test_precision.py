"""Mixed precision: what is rounded to bfloat16, and what is not."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.descent import descend, start, supervised
from junlearn.optimizers import Optimizer, transformation
from junlearn.precision import in_precision
from junlearn.types import Batch


@pytest.fixture
def batch(convnet):
    x = jnp.asarray(convnet.sources["train"].x[:12])
    y = jnp.asarray(convnet.sources["train"].y[:12])
    return Batch(x, y, jnp.arange(12), jnp.arange(12) < 11)


def test_float32_is_the_model_itself(convnet):
    assert in_precision(convnet.model, "float32") is convnet.model


def test_outputs_are_near_those_of_float32_and_float32_themselves(convnet, batch):
    low = in_precision(convnet.model, "bfloat16")
    for train in (False, True):
        exact = convnet.model.apply(convnet.variables, batch.x, train=train, mask=batch.mask)
        rounded = low.apply(convnet.variables, batch.x, train=train, mask=batch.mask)
        chex.assert_trees_all_equal_shapes_and_dtypes(exact, rounded)
        chex.assert_trees_all_close(exact[0], rounded[0], atol=0.05)
        assert not np.array_equal(exact[0], rounded[0])
        chex.assert_trees_all_close(exact[2], rounded[2], rtol=0.02, atol=2e-3)


def test_layers_compute_in_bfloat16(convnet, batch):
    low = in_precision(convnet.model, "bfloat16")
    traced = str(jax.make_jaxpr(low.apply)(convnet.variables, batch.x))
    assert "bf16" in traced
    assert "bf16" not in str(jax.make_jaxpr(convnet.model.apply)(convnet.variables, batch.x))


def test_sums_over_a_batch_are_float32_sums():
    """The mean of 4,096 values near 100 is lost in bfloat16, whose steps there are 0.5."""
    from junlearn.models.layers import BatchNorm

    x = jnp.asarray(100 + np.random.default_rng(0).normal(size=(4096, 1)), jnp.bfloat16)
    norm = BatchNorm()
    variables = norm.init(jax.random.key(0), x)
    y, after = norm.apply(variables, x, train=True, mutable=["batch_stats"])
    assert y.dtype == jnp.bfloat16
    exact = np.asarray(x, np.float64)
    np.testing.assert_allclose(after["batch_stats"]["mean"], 0.1 * exact.mean(), rtol=1e-5)
    np.testing.assert_allclose(
        after["batch_stats"]["var"], 0.9 + 0.1 * exact.var(ddof=1), rtol=1e-4
    )


def test_a_step_keeps_float32_weights_that_differ_by_less_than_bfloat16_can_say(convnet, batch):
    low = in_precision(convnet.model, "bfloat16")
    tx = transformation(Optimizer(learning_rate=1e-4))
    state = start(jax.random.key(0), convnet.variables, tx)
    after, metrics = jax.jit(descend(supervised(low), tx))(state, batch)
    chex.assert_trees_all_equal_shapes_and_dtypes(after, state)
    assert np.isfinite(metrics["loss"])
    before, now = (jax.tree.leaves(s.variables.params) for s in (state, after))
    assert any(
        not np.array_equal(a, b) and np.array_equal(a.astype(jnp.bfloat16), b.astype(jnp.bfloat16))
        for a, b in zip(before, now, strict=True)
    )
