"""What the tests of both adapters share: inputs, padded rows, and what padding must not change."""

import chex
import jax
import jax.numpy as jnp
import numpy as np

SHAPE = (6, 6, 1)


def padded(x):
    garbage = np.full((2, *x.shape[1:]), np.nan, np.float32)
    return np.concatenate([x, garbage]), np.arange(len(x) + 2) < len(x)


def assert_padding_changes_nothing(model, x, key=None):
    variables = model.init(jax.random.key(1), x[:1])
    wide, mask = padded(x)

    @jax.jit
    def step(x, mask):
        def loss(params):
            logits, _, stats = model.apply(
                variables._replace(params=params), x, train=True, mask=mask, key=key
            )
            return jnp.where(mask[:, None], logits**2, 0).sum(), stats

        return jax.value_and_grad(loss, has_aux=True)(variables.params)

    expected, actual = step(x, jnp.ones(len(x), bool)), step(wide, mask)
    chex.assert_trees_all_close(actual, expected, rtol=1e-4, atol=1e-4)
    return variables, actual[0][1]
