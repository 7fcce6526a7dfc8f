"""MUNBa: a step recomputed by hand, what the loss scales do not change, and its two limits."""

import chex
import jax
import numpy as np
import pytest

from junlearn.methods import munba
from junlearn.parts import descent
from junlearn.parts.optimizers import transformation
from tests.methods.linear_pairs import LINEAR, PLAIN, batch, drawn, gradient, weights


def stepped(w, pair, labels=lambda key, batch, classes: batch.y, epoch=1, steps=1, **fields):
    config = munba.Config(**(PLAIN | fields))
    state = descent.init(jax.random.key(0), weights(w), transformation(config))
    step = jax.jit(munba.bargain(config, LINEAR, epoch, labels))
    for _ in range(steps):
        state, _ = step(state, pair)
    return np.asarray(state.variables.params["w"])


def test_a_step_by_hand(float64):
    w, pair = drawn()
    units = [
        g / np.linalg.norm(g) for g in (gradient(w, pair["retain"]), gradient(w, pair["forget"]))
    ]
    bisector = sum(units) / np.linalg.norm(sum(units))
    np.testing.assert_allclose(stepped(w, pair), w - 0.1 * bisector, rtol=1e-6)
    unclipped = w - 0.1 * np.sqrt(2) * bisector
    np.testing.assert_allclose(stepped(w, pair, clip=None), unclipped, rtol=1e-12)


def test_steps_without_forget_rows_are_plain(float64):
    w, pair = drawn(forget=False)
    after = w - 0.1 * gradient(w, pair["retain"])
    np.testing.assert_allclose(stepped(w, pair), after, rtol=1e-12)


def test_the_sparse_term_falls_from_epoch_to_epoch(float64):
    w, pair = drawn(forget=False)
    after = w
    for share in (1, 1, 0.5, 0.5):
        after = after - 0.1 * (gradient(after, pair["retain"]) + 0.2 * share * np.sign(after))
    found = stepped(w, pair, l1=0.2, epochs=2, epoch=2, steps=4)
    np.testing.assert_allclose(found, after, rtol=1e-12)


def test_labels_are_drawn_from_all_classes_whatever_the_own_one_is():
    _, pair = drawn()
    rows = 3000
    part = batch(np.zeros((rows, 4)), np.ones(rows, int))
    first, second = (munba.uniform(jax.random.key(seed), part, 3) for seed in range(2))
    assert (np.bincount(first) > 0.3 * rows).all() and (first != second).mean() > 0.5
    w, pair = drawn()
    other = {**pair, "forget": pair["forget"]._replace(y=pair["forget"].y * 0)}
    chex.assert_trees_all_equal(*(stepped(w, p, labels=munba.uniform) for p in (pair, other)))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_steps_are_as_long_as_the_rate_whatever_the_gradients_are(scale, float64):
    """Small weights on large images, and large ones on small images: the outputs are the same."""
    w, pair = drawn()
    pair = {name: part._replace(x=part.x / scale) for name, part in pair.items()}
    moved = np.linalg.norm(stepped(w * scale, pair) - w * scale)
    np.testing.assert_allclose(moved, 0.1, rtol=1e-5)


def test_the_preset_falls_back_on_a_network_that_fits_its_batches(float64):
    w, pair = drawn()
    pair = {name: part._replace(y=(part.x @ w).argmax(1)) for name, part in pair.items()}
    w = 8 * w
    retain, forget = (gradient(w, pair[name]) for name in ("retain", "forget"))
    fields = munba.PRESETS["munba_released"].fields
    step = 0.1 * (retain + 0.1 * forget)
    np.testing.assert_allclose(w - stepped(w, pair, **fields), step, rtol=1e-6, atol=1e-12)
    assert np.linalg.norm(step) < 1e-2 < np.linalg.norm(w - stepped(w, pair))
