"""CaMU: the counterfactual table, the targets of the original network, the fixed noise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.errors import ConfigError
from junlearn.methods import camu
from junlearn.parts import losses, relabelling
from junlearn.types import Batch, Split, Variables

NONE = np.zeros(0, int)


def test_shared_candidates_by_hand():
    """Pairs 1 and 3 have their own number as forget label; there is no pair 5."""
    shared = relabelling.shared_candidates(jnp.array([2, 1, 0, 3, 0]), 6)
    np.testing.assert_array_equal(shared, [True, False, True, False, True, True])
    labels = relabelling.separate(jnp.array([4, 4]), jnp.array([4, 1]), jnp.array([2, 2]), shared)
    np.testing.assert_array_equal(labels, [4, 1])


def test_divergence_by_hand():
    p, q = (jax.nn.log_softmax(jnp.array([v])) for v in ([1.0, 2.0, 3.0], [3.0, 2.0, 1.0]))
    mask = jnp.ones(1, bool)
    assert float(losses.divergence(p, q, mask)) == pytest.approx(1.1504207, rel=1e-6)


def test_no_representation_loss_where_nothing_differs(mlp):
    """The student is the teacher, and the treatment images are the forget images without noise."""
    config = camu.Config(noise=0.0)
    part = Batch(
        jnp.asarray(mlp.sources["train"].x[:5]),
        jnp.zeros(5, jnp.int32),
        jnp.arange(5),
        jnp.ones(5, bool),
        jnp.arange(5),
    )
    method = camu.make(config, mlp.model)
    sources = jax.tree.map(jnp.asarray, mlp.sources)
    state = method.init(jax.random.key(0), mlp.variables, sources, mlp.split)
    embed, step = (jax.jit(stage.step) for stage in method.plan(mlp.split))
    state, _ = embed(state, part)
    _, metrics = step(state, {"forget": part, "retain": part})
    assert abs(float(metrics["representation_loss"])) < 1e-6
    assert float(metrics["output_loss"]) > 0


@pytest.mark.parametrize("rule", ["other", "released"])
def test_table_pairs_by_position_and_avoids_the_forget_label(mlp, rule):
    """A random request, every forget example in two pairs, with clashes to resolve."""
    forget = np.arange(20, dtype=np.int32)
    split = Split(forget[:12], np.arange(12, 46), NONE, NONE, (), seed=3)
    sources = jax.tree.map(jnp.asarray, mlp.sources)
    y = mlp.sources["train"].y
    method = camu.make(camu.Config(repeat=2, relabel=rule, batch_size=7), mlp.model)
    state = method.init(jax.random.key(2), mlp.variables, sources, split)
    table = jax.tree.map(np.asarray, state.table)
    np.testing.assert_array_equal(np.sort(table.forget), np.repeat(np.arange(12), 2))
    np.testing.assert_array_equal(np.sort(table.treatment), np.sort(split.sample(24)))
    clash = y[table.forget] == y[table.treatment]
    assert clash.any()
    np.testing.assert_array_equal(table.labels[~clash], y[table.treatment][~clash])
    if rule == "other":
        assert (table.labels != y[table.forget]).all()

    stage = method.plan(split)[1]
    one, two = (stage.feed(np.random.default_rng(seed), state) for seed in (0, 1))
    for feed in (one, two):
        assert {f.index.shape for f in feed.values()} == {(4, 7)}
        pairs, mask = feed["forget"].slot, feed["forget"].mask
        np.testing.assert_array_equal(feed["forget"].index, table.forget[pairs])
        np.testing.assert_array_equal(np.sort(pairs[mask]), np.arange(24))
        retain = feed["retain"]
        np.testing.assert_array_equal(np.sort(retain.index[retain.mask]), np.sort(table.treatment))
        assert set(zip(retain.slot.flat, retain.index.flat, strict=True)) <= set(
            enumerate(split.sample(24), 24)
        )
    assert (one["forget"].slot != two["forget"].slot).any()


@pytest.mark.parametrize("augment", [False, True])
def test_targets_are_what_the_original_says(mlp, augment):
    """Of the noised treatment images by pair, then of the images of D_s as they are, where these stay the same."""
    method = camu.make(camu.Config(batch_size=5, noise=0.5, augment=augment), mlp.model)
    sources = jax.tree.map(jnp.asarray, mlp.sources)
    state = method.init(jax.random.key(0), mlp.variables, sources, mlp.split)
    embed, passes = method.plan(mlp.split)
    feed = embed.feed(np.random.default_rng(0), state)
    assert feed.view == ("augment" if augment else "eval")
    x, y = sources["train"].x, sources["train"].y
    for index, mask, slot in zip(feed.index, feed.mask, feed.slot, strict=True):
        state, _ = jax.jit(embed.step)(state, Batch(x[index], y[index], index, mask, slot))

    def original(x):
        return mlp.model.apply(mlp.variables, x)[1]["embedding"]

    treatment, kept = x[state.table.treatment], x[mlp.split.sample(mlp.split.forget.size)]
    noise = camu.draw(state.noise_key, treatment, jnp.arange(len(treatment)))
    expected = [original(treatment + 0.5 * noise), *([] if augment else [original(kept)])]
    np.testing.assert_allclose(state.targets, np.concatenate(expected), rtol=1e-5, atol=1e-6)

    feed = passes.feed(np.random.default_rng(0), state)
    assert feed["forget"].slot is not None
    assert (feed["retain"].slot is None) == augment
    if augment:
        jax.tree.map(np.testing.assert_array_equal, state.teacher, mlp.variables)


def test_images_drawn_anew_are_shown_to_the_original(mlp):
    """With augmentation the first loss on D_s compares the original with itself, whatever the images are."""
    method = camu.make(camu.Config(augment=True), mlp.model)
    sources = jax.tree.map(jnp.asarray, mlp.sources)
    state = method.init(jax.random.key(0), mlp.variables, sources, mlp.split)
    rows = jnp.arange(5)
    part = Batch(sources["train"].x[:5] + 3, sources["train"].y[:5], rows, rows < 4, rows)
    step = jax.jit(method.plan(mlp.split)[1].step)
    _, metrics = step(state, {"forget": part, "retain": part._replace(slot=None)})
    assert abs(float(metrics["retain_divergence"])) < 1e-5
    assert float(metrics["forget_divergence"]) > 1e-3


def test_a_small_retain_set_serves_in_several_pairs(mlp):
    split = Split(np.arange(10, 46), np.arange(10), NONE, NONE)
    sources = jax.tree.map(jnp.asarray, mlp.sources)
    method = camu.make(camu.Config(batch_size=8), mlp.model)
    state = method.init(jax.random.key(0), mlp.variables, sources, split)
    counts = np.bincount(state.table.treatment, minlength=10)
    assert counts.sum() == 36
    assert counts.max() - counts.min() <= 1
    feed = method.plan(split)[1].feed(np.random.default_rng(0), state)
    assert feed["retain"].index.shape == feed["forget"].index.shape == (5, 8)


def test_noise_belongs_to_the_pair(key):
    x = jnp.zeros((4, 16, 16, 1))
    noise = camu.draw(key, x, jnp.array([0, 5, 2, 5]))
    other = camu.draw(key, x[:2], jnp.array([5, 0]))
    np.testing.assert_array_equal(noise[1], noise[3])
    np.testing.assert_array_equal(noise[:2], other[::-1])
    assert (noise[0] != noise[2]).any()
    assert 0 <= noise.min() < 0.05 < 0.95 < noise.max() < 1
    assert float(noise.mean()) == pytest.approx(0.5, abs=0.05)


def test_the_head_must_be_known(mlp):
    with pytest.raises(ConfigError, match="camu must know the head"):
        camu.make(camu.Config(), mlp.model._replace(layers=()))


def test_weights_of_zero_leave_only_decay_of_the_head(mlp):
    """Both output weights 0 and no decay: the head does not move, the extractor does."""
    config = camu.Config(retain_weight=0.0, forget_weight=0.0, weight_decay=0.0)
    method = camu.make(config, mlp.model)
    sources = jax.tree.map(jnp.asarray, mlp.sources)
    state = method.init(jax.random.key(0), mlp.variables, sources, mlp.split)
    rows = jnp.arange(8)
    part = Batch(sources["train"].x[:8], sources["train"].y[:8], rows, rows < 7, rows)
    after, _ = jax.jit(method.plan(mlp.split)[1].step)(state, {"forget": part, "retain": part})
    moved = Variables(*after.variables).params
    head = mlp.model.layers[-1]
    jax.tree.map(np.testing.assert_array_equal, moved[head], mlp.variables.params[head])
    first = mlp.model.layers[0]
    assert (moved[first]["kernel"] != mlp.variables.params[first]["kernel"]).any()
