"""CT: which axes change places, where the run begins, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.errors import ConfigError
from junlearn.methods import build, ct

KERNEL = jnp.arange(3 * 3 * 2 * 5.0).reshape(3, 3, 2, 5)


def test_rows_and_columns_change_places():
    params = {"conv": {"kernel": KERNEL, "bias": jnp.ones(5)}, "head": {"kernel": jnp.ones((5, 2))}}
    after = ct.transposed(params)
    for i, j in np.ndindex(3, 3):
        np.testing.assert_array_equal(after["conv"]["kernel"][i, j], KERNEL[j, i])
    assert after["conv"]["bias"] is params["conv"]["bias"] and after["head"] == params["head"]


def test_networks_without_convolutions_and_oblong_kernels_are_refused(mlp):
    with pytest.raises(ConfigError, match="ct changes the kernels of convolutions"):
        build("ct", ct.Config(), mlp.model).init(jax.random.key(0), *mlp[1:])
    with pytest.raises(ConfigError, match=r"must be square: stem\.kernel is 1x3"):
        ct.transposed({"stem": {"kernel": jnp.ones((1, 3, 2, 5))}})


def test_the_run_begins_with_them_and_with_the_statistics_of_the_original(convnet):
    state = build("ct", ct.Config(), convnet.model).init(jax.random.key(0), *convnet[1:])
    expected = convnet.variables._replace(params=ct.transposed(convnet.variables.params))
    jax.tree.map(np.testing.assert_array_equal, state.variables, expected)
