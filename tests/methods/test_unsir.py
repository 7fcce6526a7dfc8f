"""UNSIR and EMMN: parity with the reference numbers in float64, and what their feeds are made of."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from junlearn.engine.batches import PLAIN_VIEWS, gather, specify
from junlearn.errors import ConfigError
from junlearn.methods import emmn, unsir
from junlearn.parts import noise_images
from junlearn.parts.noise_images import NoiseImages
from junlearn.types import Batch, Data, Feed, Split
from tests.golden_nets import batches, close, drive, network, params

NONE = np.zeros(0, int)


@pytest.fixture
def case(golden):
    with jax.enable_x64(True):
        yield golden("jit_ssd/unsir_mlp")


@pytest.mark.parity
@pytest.mark.parametrize("maximise", [True, False])
def test_noise(case, maximise):
    model, variables = network("mlp", case)
    prefix = "noise" if maximise else "emmn_noise"
    tx = optax.adam(float(case["noise_lr"]))
    z = jnp.asarray(case[f"{prefix}0"])
    labels = np.full(len(z), case["forget_class"] if maximise else case["emmn_class"])
    images = noise_images.init(z, labels, tx)
    l2 = float(case["l2"]) if maximise else 0.0
    found = []
    for step in range(int(case["noise_steps"])):
        images, metrics = noise_images.update(
            model, tx, variables, images, maximise=maximise, l2=l2
        )
        found.append(metrics)
        if step == 0:
            close(images.z, case[f"{prefix}_step1"])
    close(images.z, case[f"{prefix}_out"])
    key = "loss_steps" if maximise else "emmn_loss_steps"
    close(np.array([m["loss"] for m in found]), case[key])
    if maximise:
        close(np.array([m["cross_entropy"] for m in found]), case["ce_steps"])


@pytest.mark.parity
def test_classes_do_not_meet(case):
    """The images of two classes in one table step as each would alone."""
    model, variables = network("mlp", case)
    tx, l2 = optax.adam(float(case["noise_lr"])), float(case["l2"])

    def after(z, labels, classes):
        images = noise_images.init(z, labels, tx)
        for _ in range(2):
            images, _ = noise_images.update(
                *(model, tx, variables, images), maximise=True, l2=l2, classes=classes
            )
        return images.z

    tables = [jnp.asarray(case[name]) for name in ("noise0", "emmn_noise0")]
    labels = [
        np.full(len(z), case[name])
        for z, name in zip(tables, ("forget_class", "emmn_class"), strict=True)
    ]
    alone = [after(z, y, 1) for z, y in zip(tables, labels, strict=True)]
    both = after(jnp.concatenate(tables), np.concatenate(labels), 2)
    close(both, jnp.concatenate(alone))


@pytest.mark.parity
def test_impair_and_repair(case):
    """Given batches, the rows that are copies of the noise taken from the table of noise."""
    model, variables = network("mlp", case)
    data, feed = batches(case, "impair")
    repair_data, repair_feed = batches(case, "repair")
    noise = case["noise_out"]
    flat = np.asarray(data.x)
    same = (flat[:, None] == noise[None]).all(-1)
    copied = same.any(1)
    assert copied.sum() == case["released_noise_items"]
    # What stands in the rows of the noise is not read.
    hidden = Data(jnp.asarray(np.where(copied[:, None], np.nan, flat)), data.y)
    feeds = {
        "noise": Feed(same.argmax(1)[feed.index].astype(np.int32), feed.mask & copied[feed.index]),
        "retain": Feed(feed.index, feed.mask & ~copied[feed.index]),
    }
    config = unsir.Config(learning_rate=float(case["model_lr"]), noise_count=len(noise))
    method = unsir.make(config, model)
    split = Split(NONE, np.flatnonzero(~copied), NONE, NONE, (int(case["forget_class"]),))
    sources = {"train": hidden}
    state = method.init(jax.random.key(0), variables, sources, split)
    labels = jnp.full(len(noise), case["forget_class"], jnp.int32)
    state = state._replace(noise=NoiseImages(jnp.asarray(noise), labels, state.noise.optimizer))
    _, impair, repair = method.plan(split)
    first = {n: f._replace(index=f.index[:1], mask=f.mask[:1]) for n, f in feeds.items()}
    one, _ = drive(impair, state, sources, first)
    close(one.variables.params, params("mlp", case, "_impair1_clean"))
    state, metrics = drive(impair, state, sources, feeds)
    close(state.variables.params, params("mlp", case, "_impair_out_clean"))
    close(np.mean([m["loss"] for m in metrics]), case["impair_loss_clean"])
    state, metrics = drive(repair, state, {"train": repair_data}, repair_feed)
    close(method.finish(state).params, params("mlp", case, "_repair_out_clean"))
    close(np.mean([m["loss"] for m in metrics]), case["repair_loss_clean"])


@pytest.mark.parametrize(("used", "images"), [("all", 5), ("released", 1)])
def test_an_impair_epoch(used, images, mlp):
    """Every copy of the noise and every example of R once, each row one of the two."""
    config = unsir.Config(
        noise_count=5, copies=3, per_class=6, impair_batch_size=8, noise_used=used
    )
    method = unsir.make(config, mlp.model)
    state = method.init(jax.random.key(0), mlp.variables, mlp.sources, mlp.split)
    labels = mlp.sources["train"].y
    expected = np.concatenate([np.flatnonzero(labels == k)[:6] for k in (0, 2, 3)])
    np.testing.assert_array_equal(np.sort(state.subset), np.sort(expected))
    np.testing.assert_array_equal(state.noise.labels, [1] * 5)
    _, impair, repair = method.plan(mlp.split)
    feed = impair.feed(np.random.default_rng(0), state)
    noise, retain = feed["noise"], feed["retain"]
    assert not (noise.mask & retain.mask).any()
    np.testing.assert_array_equal(
        np.bincount(noise.index[noise.mask], minlength=5), [3] * images + [0] * (5 - images)
    )
    np.testing.assert_array_equal(np.sort(retain.index[retain.mask]), np.sort(expected))
    assert np.isin(retain.index, expected).all()
    assert len({tuple(row) for row in noise.mask[:-1]}) > 1, "the two are not shuffled"
    assert np.isin(repair.feed(np.random.default_rng(0), state).index, expected).all()
    spec, rows = specify(feed)
    row = [(index[0], mask[0]) for index, mask in rows]
    sources = jax.tree.map(jnp.asarray, mlp.sources)
    mixed = unsir.mix(state.noise, gather(spec, row, sources, PLAIN_VIEWS, jax.random.key(0)))
    for i in range(8):
        if noise.mask[0, i]:
            np.testing.assert_array_equal(mixed.x[i], state.noise.z[noise.index[0, i]])
            assert mixed.y[i] == 1
        else:
            np.testing.assert_array_equal(mixed.x[i], sources["train"].x[retain.index[0, i]])
            assert mixed.y[i] == labels[retain.index[0, i]] and mixed.mask[i]


def test_requests(mlp):
    """Several classes in turn; a sub-class by its superclass; single examples are refused."""
    method = unsir.make(unsir.Config(noise_count=5, per_class=2), mlp.model)
    train = mlp.sources["train"]
    key = jax.random.key(0)

    def asked(marked, classes=(), fine=None):
        split = Split(np.flatnonzero(marked), np.flatnonzero(~marked), NONE, NONE, classes)
        sources = {"train": train._replace(fine=fine)}
        return method.init(key, mlp.variables, sources, split), method.plan(split)

    state, plan = asked(np.isin(train.y, (0, 3)), (0, 3))
    np.testing.assert_array_equal(state.noise.labels, [0, 3, 0, 3, 0])
    assert plan[0].feed(np.random.default_rng(0), state).index.shape == (25, 0)
    fine = train.y * 2 + np.arange(train.y.size) // 4 % 2
    state, plan = asked(fine == 4, fine=fine)
    np.testing.assert_array_equal(state.noise.labels, [2] * 5)
    np.testing.assert_array_equal(np.bincount(fine[state.subset]), [2, 2, 2, 2, 0, 2, 2, 2])
    assert plan[0].feed(np.random.default_rng(0), state).index.shape == (250, 0)
    single = np.arange(train.y.size) < 3
    for labels in (None, fine):
        with pytest.raises(ConfigError, match="whole classes or sub-classes"):
            asked(single, fine=labels)
    none_whole = Split(np.arange(3), np.arange(3, 46), NONE, NONE)
    with pytest.raises(ConfigError, match="some whole classes"):
        emmn.make(emmn.Config(), mlp.model).init(key, mlp.variables, mlp.sources, none_whole)


def test_emmn_moves_its_noise_and_trains_on_all_of_it(mlp):
    config = emmn.Config(noise_count=2, maximise_steps=5, minimise_steps=5, copies=3, batch_size=8)
    method = emmn.make(config, mlp.model)
    sources = jax.tree.map(jnp.asarray, mlp.sources)
    state = method.init(jax.random.key(0), mlp.variables, sources, mlp.split)
    np.testing.assert_array_equal(state.forgotten.labels, [1, 1])
    np.testing.assert_array_equal(state.retained.labels, [0, 0, 2, 2, 3, 3])
    before = state
    maximise, minimise, train = method.plan(mlp.split)
    state, up = drive(maximise, state, sources)
    chex.assert_trees_all_equal(state.retained, before.retained)
    state, down = drive(minimise, state, sources)
    assert len(up) == len(down) == 5
    assert up[-1]["cross_entropy"] > up[0]["cross_entropy"]
    assert down[-1]["loss"] < down[0]["loss"]
    chex.assert_trees_all_equal(state.network, before.network)
    feed = train.feed(np.random.default_rng(0), state)
    np.testing.assert_array_equal(np.bincount(feed.index[feed.mask]), [3] * 8)
    released = emmn.make(emmn.Config(noise_count=2, copies=3, noise_used="released"), mlp.model)
    feed = released.plan(mlp.split)[2].feed(np.random.default_rng(0), state)
    np.testing.assert_array_equal(np.bincount(feed.index[feed.mask], minlength=8), [3, 0] * 4)
    row = Batch(jnp.full((2, 4, 4, 1), jnp.nan), jnp.zeros(2, int), jnp.array([1, 4]), None)
    images = NoiseImages(state.retained.z, state.retained.labels, ())
    drawn = noise_images.rows(images, row)
    chex.assert_trees_all_equal(drawn.x, state.retained.z[jnp.array([1, 4])])
    np.testing.assert_array_equal(drawn.y, [0, 3])
