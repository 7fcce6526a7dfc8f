"""The mask and the masked optimiser: which entries are kept, and that the others keep their bits."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from junlearn.parts.losses import cross_entropy, margin_entropy
from junlearn.parts.optimizers import Optimizer, move, transformation
from junlearn.parts.saliency import Masking, largest, masked

TREE = {"a": jnp.array([[3.0, -0.0], [-5.0, 1.0]]), "b": jnp.array([0.5, -2.0])}


@pytest.mark.parametrize(
    ("ratio", "kept"),
    [(0.0, ""), (0.17, "-5"), (0.5, "3 -5 -2"), (0.9, "3 -5 -2 1 0.5"), (1.0, "3 -5 -2 1 0.5 0")],
)
def test_largest_over_all_arrays(ratio, kept):
    mask = largest(TREE, ratio)
    found = np.concatenate([np.asarray(TREE[k])[np.asarray(mask[k])] for k in TREE])
    assert sorted(found) == sorted(map(float, kept.split()))


def test_of_equal_ones_the_first():
    tree = {"a": jnp.array([0.0, 1.0, 0.0]), "b": jnp.zeros((2, 2))}
    mask = largest(tree, 4 / 7)
    np.testing.assert_array_equal(mask["a"], [True, True, True])
    np.testing.assert_array_equal(mask["b"], [[True, False], [False, False]])


OPTIMIZERS = [
    Optimizer(weight_decay=0.1),
    Optimizer(optimizer="adam", weight_decay=0.1),
    Optimizer(optimizer="adamw", weight_decay=0.1),
]


def walk(tx, mask, params, steps=3):
    """The params after some steps on a gradient that changes, and the state."""
    state = tx.init(params)
    if mask is not None:
        state = state._replace(mask=mask)
    for step in range(steps):
        gradient = optax.tree.add(TREE, optax.tree.full_like(TREE, step + 1.0))
        params, state = move(tx, gradient, state, params)
    return params, state


@pytest.mark.parametrize("config", OPTIMIZERS, ids=lambda config: config.optimizer)
def test_masked_out_weights_keep_their_bits(config):
    mask = largest(TREE, 0.5)
    plain = transformation(config)
    start = {"a": TREE["a"] * 0.3, "b": TREE["b"] * 1e-30}
    done, state = jax.jit(lambda: walk(masked(plain, Masking(mask_ratio=0.5)), mask, start))()
    free, _ = walk(plain, None, start)
    for name, m in mask.items():
        bits = [np.asarray(tree[name]).view(np.int32) for tree in (done, start)]
        np.testing.assert_array_equal(*(b[~np.asarray(m)] for b in bits))
        np.testing.assert_allclose(done[name][m], free[name][m], rtol=1e-6)
        moments = [leaf for leaf in jax.tree.leaves(state.inner) if jnp.shape(leaf) == jnp.shape(m)]
        assert moments and not any(np.asarray(leaf)[~np.asarray(m)].any() for leaf in moments)


def test_only_the_gradient_is_masked():
    """Decay, and the momentum that it starts, move all weights."""
    mask = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, bool), TREE)
    tx = masked(transformation(OPTIMIZERS[0]), Masking(mask_ratio=0.5, mask="gradient"))
    done, _ = walk(tx, mask, TREE, steps=2)
    rate, factor = OPTIMIZERS[0].learning_rate, 0.1
    once = 1 - rate * factor
    twice = once - rate * (factor * once + 0.9 * factor)
    jax.tree.map(lambda d, p: np.testing.assert_allclose(d, p * twice, rtol=1e-6), done, TREE)


def test_all_weights_in_the_mask():
    plain = transformation(OPTIMIZERS[0])
    for rule in ("hard", "gradient"):
        done, _ = walk(masked(plain, Masking(mask_ratio=1.0, mask=rule)), None, TREE)
        jax.tree.map(np.testing.assert_array_equal, done, walk(plain, None, TREE)[0])
    assert masked(plain, Masking()) is plain


def test_margin_entropy():
    """Equal to the other form; where the label is nearly certain its gradient is still right."""
    z = jax.random.normal(jax.random.key(0), (5, 4)) * 3
    y = jnp.array([0, 1, 2, 3, 0])
    mask = jnp.ones(5, bool)
    np.testing.assert_allclose(margin_entropy(z, y).mean(), cross_entropy(z, y, mask), rtol=1e-6)
    sure = jnp.array([[14.0, 0.0, -1.0]])
    found = jax.grad(lambda z: margin_entropy(z, jnp.array([0]))[0])(sure)
    p = np.exp([0.0, -14.0, -15.0])
    p /= p.sum()
    np.testing.assert_allclose(found[0], [-(p[1] + p[2]), p[1], p[2]], rtol=1e-5)
    plain = jax.grad(
        lambda z: optax.losses.softmax_cross_entropy_with_integer_labels(z, jnp.array([0]))[0]
    )
    assert abs(plain(sure)[0, 0] / -(p[1] + p[2]) - 1) > 1e-3
