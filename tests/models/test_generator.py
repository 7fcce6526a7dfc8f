"""GKT's generator: its transposed convolution by hand, its widths, the sizes that it makes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.errors import ConfigError
from junlearn.models.generator import make_generator, transposed_conv


def test_transposed_convolution_by_hand():
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(2, 3, 2, 4)), rng.normal(size=(4, 4, 4, 5))
    expected = np.zeros((2, 2 * 3 + 2, 2 * 2 + 2, 5))  # a rim of one on each side
    for i in range(3):
        for j in range(2):
            patch = np.einsum("bc,klcd->bkld", x[:, i, j], kernel)
            expected[:, 2 * i : 2 * i + 4, 2 * j : 2 * j + 4] += patch
    ours = transposed_conv(jnp.asarray(x, jnp.float32), jnp.asarray(kernel, jnp.float32))
    np.testing.assert_allclose(ours, expected[:, 1:-1, 1:-1], rtol=0, atol=1e-5)


def test_generator_of_28_by_28_has_the_published_widths():
    generator = make_generator((28, 28, 1), 128)
    params = jax.eval_shape(generator.init, jax.random.key(0)).params
    shapes = jax.tree.map(lambda leaf: leaf.shape, params)
    assert shapes["dense"]["kernel"] == (128, 64 * 49)
    assert shapes["up1"]["kernel"] == (4, 4, 64, 64) and shapes["up2"]["kernel"] == (4, 4, 64, 32)
    assert shapes["conv"]["kernel"] == (3, 3, 32, 1) and shapes["norm3"]["scale"] == (1,)


def test_generator_refuses_a_size_that_is_no_multiple_of_four():
    with pytest.raises(ConfigError, match="must divide by 4, not 30×28"):
        make_generator((30, 28, 1), 8)
