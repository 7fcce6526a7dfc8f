"""Fresh weights: their ranges, and which arrays they are for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.errors import ConfigError
from junlearn.parts.layers import convolutions
from junlearn.parts.reinitialise import (
    fan_ins,
    normal_fan_out,
    redrawn,
    refreshed,
    uniform_fan_in,
    unit_normal,
    unit_uniform,
)

NETWORK = {
    "stem": {
        "conv": {"kernel": jnp.ones((3, 3, 4, 500)), "bias": jnp.ones(500)},
        "norm": {"scale": jnp.ones(500), "bias": jnp.ones(500)},
    },
    "w": jnp.ones((20, 3)),
    "head": {"kernel": jnp.ones((500, 7)), "bias": jnp.ones(7)},
}


def test_fan_ins():
    stem = {"conv": {"kernel": 36, "bias": 36}, "norm": {"scale": 0, "bias": 0}}
    assert fan_ins(NETWORK) == {"stem": stem, "w": 20, "head": {"kernel": 500, "bias": 500}}


def test_refreshed_layers_have_new_kernels_and_biases():
    unit = unit_uniform(jax.random.key(0), NETWORK)
    new = refreshed(NETWORK, unit, ("stem",))
    assert new["head"] is NETWORK["head"] and new["w"] is NETWORK["w"]
    assert all((leaf == 1).all() for leaf in new["stem"]["norm"].values())
    for leaf in new["stem"]["conv"].values():
        assert leaf.min() < 0 and 0.98 / 6 < jnp.abs(leaf).max() <= 1 / 6
    assert not np.array_equal(unit["stem"]["conv"]["bias"], unit["stem"]["norm"]["bias"])


def test_ends_of_the_uniform_draws(float64):
    np.testing.assert_allclose(uniform_fan_in(jnp.array([0.0, 0.5, 1.0]), 16), [-0.25, 0, 0.25])


def test_normal_draws_have_the_variance_of_the_fan_out():
    unit = unit_normal(jax.random.key(0), NETWORK)["stem"]["conv"]["kernel"]
    np.testing.assert_allclose(normal_fan_out(unit).std(), np.sqrt(2 / (9 * 500)), rtol=2e-2)


def test_redrawn_weights_are_within_their_fan_in():
    new = redrawn(jax.random.key(0), NETWORK)["stem"]["conv"]
    assert not new["bias"].any()
    np.testing.assert_allclose(jnp.abs(new["kernel"]).max(), 1 / 6, rtol=1e-2)
    np.testing.assert_allclose(new["kernel"].std(), 1 / 6 / np.sqrt(3), rtol=2e-2)


def test_convolutions_are_the_arrays_of_four_axes():
    found = convolutions(NETWORK, "msg")
    assert [path[-1].key for path, leaf in jax.tree.leaves_with_path(found) if leaf] == ["kernel"]
    assert found["stem"]["conv"]["kernel"]
    with pytest.raises(ConfigError, match="msg changes the kernels"):
        convolutions({"head": NETWORK["head"]}, "msg")
