"""AMUN: the attack, the training set and its steps worked out in numpy on a linear network, and the limits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.engine.augment import make_views
from junlearn.engine.batches import PLAIN_VIEWS
from junlearn.engine.run import run
from junlearn.methods import amun, needs_of
from junlearn.parts.adversarial import nearest
from junlearn.types import Batch, Data, Model, Split, Variables

NONE = np.zeros(0, int)
RATE = 0.5
ATTACK = {"eps0": 0.04, "steps": 5, "doublings": 6}


def linear():
    """f(x) = x W + b on images of 2 x 2 pixels; 9 examples, 5 to be forgotten, one of them misclassified."""

    def apply(variables, x, *, train=False, key=None, mask=None):
        flat = x.reshape(len(x), -1)
        head = variables.params["head"]
        return flat @ head["kernel"] + head["bias"][None], {"embedding": flat}, variables.stats

    rng = np.random.default_rng(5)
    head = {"kernel": 3 * rng.normal(size=(4, 3)), "bias": rng.normal(size=3)}
    head = jax.tree.map(lambda a: a.astype(np.float32), head)
    x = rng.integers(0, 256, size=(9, 2, 2, 1)).astype(np.uint8)
    y = (x.reshape(9, 4) / 255 @ head["kernel"] + head["bias"]).argmax(-1).astype(np.int32)
    y[1] = (y[1] + 1) % 3
    model = Model(lambda key, x: None, apply, ("head",))
    split = Split(np.arange(5), np.arange(5, 9), NONE, NONE)
    return model, Variables({"head": head}, {}), {"train": Data(x, y)}, split


def softmax(z):
    p = np.exp(z - z.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True)


def by_hand(head, x, y, eps0, steps, doublings):
    """Equation L1 for one image: x', y' (None where it is not found) and the radius."""
    moved, radius = x.copy(), eps0
    for turn in range(doublings + 1):
        for _ in range(steps):
            z = moved @ head["kernel"] + head["bias"]
            if z.argmax() != y:
                return moved, z.argmax(), radius
            u = (softmax(z) - np.eye(3)[y]) @ head["kernel"].T
            moved = moved + radius / 10 * u / (np.linalg.norm(u) + 1e-10)
            far = np.linalg.norm(moved - x)
            moved = np.clip(x + (moved - x) * min(1, radius / far if far else 1), 0, 1)
        radius = radius * 2 if turn < doublings else radius
    z = moved @ head["kernel"] + head["bias"]
    return moved, (z.argmax() if z.argmax() != y else None), radius


def found_by_hand(variables, sources, split, **settings):
    x, y = sources["train"].x[split.forget].reshape(-1, 4) / 255, sources["train"].y[split.forget]
    settings = {**ATTACK, **settings}
    return x, [
        by_hand(variables.params["head"], *pair, **settings) for pair in zip(x, y, strict=True)
    ]


@pytest.mark.parametrize("doublings", [1, 6])
def test_attack_by_hand(doublings):
    """Radii of their own, images that are done at once, and such as are never done."""
    model, variables, sources, split = linear()
    x, expected = found_by_hand(variables, sources, split, doublings=doublings)
    batch = Batch(
        jnp.asarray(x.reshape(-1, 2, 2, 1), jnp.float32),
        jnp.asarray(sources["train"].y[:5]),
        jnp.arange(5),
        jnp.ones(5, bool),
    )
    black, white = jnp.zeros((1, 1, 1, 1)), jnp.ones((1, 1, 1, 1))
    settings = {**ATTACK, "doublings": doublings}
    ours = nearest(model, variables, batch, black, white, **settings)
    moved, labels, radius = zip(*expected, strict=True)
    np.testing.assert_array_equal(ours.found, [label is not None for label in labels])
    for row in np.flatnonzero(ours.found):
        assert ours.labels[row] == labels[row]
        after = x[row] + ours.shift[row].ravel()
        np.testing.assert_allclose(after, moved[row], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ours.radius, radius, rtol=1e-6)
    assert (ours.shift[1] == 0).all() and ours.found[1]
    if doublings == 1:
        assert not ours.found.all()
    else:
        assert ours.found.all() and len(set(radius)) > 2


def test_rows_outside_of_the_mask_are_left_alone():
    model, variables, sources, _ = linear()
    x = jnp.asarray(sources["train"].x[:5] / 255, jnp.float32)
    y, mask = jnp.asarray(sources["train"].y[:5]), jnp.array([True, True, False, True, False])
    units = jnp.zeros((1, 1, 1, 1)), jnp.ones((1, 1, 1, 1))
    some = nearest(model, variables, Batch(x, y, jnp.arange(5), mask), *units, **ATTACK)
    every = nearest(model, variables, Batch(x, y, jnp.arange(5), mask | True), *units, **ATTACK)
    for ours, theirs in zip(some, every, strict=True):
        np.testing.assert_array_equal(ours[mask], theirs[mask])
    assert (some.shift[~mask] == 0).all()


def test_pixels_outside_of_the_range_may_stay_there():
    """Float images of any scale: the attack never moves them farther out, and does not pull them in at once."""
    model, variables, sources, _ = linear()
    x = jnp.asarray(sources["train"].x[:5] / 64 - 1, jnp.float32)
    y = model.apply(variables, x)[0].argmax(-1)
    batch = Batch(x, y, jnp.arange(5), jnp.ones(5, bool))
    ours = nearest(
        model, variables, batch, jnp.zeros((1, 1, 1, 1)), jnp.ones((1, 1, 1, 1)), **ATTACK
    )
    after = x + ours.shift
    assert (after >= jnp.minimum(x, 0) - 1e-6).all() and (after <= jnp.maximum(x, 1) + 1e-6).all()
    assert ours.found.any() and ((after < 0) | (after > 1)).any()


def test_pixels_are_those_before_the_view():
    """A network that undoes the normalisation of its view is attacked as without."""
    model, variables, sources, split = linear()
    mean, std = 0.45, 0.25

    def undone(variables, x, **options):
        return model.apply(variables, x * std + mean, **options)

    config = amun.Config(**ATTACK, epochs=1, augment=False)
    tables = []
    for net, views in (
        (model, PLAIN_VIEWS),
        (model._replace(apply=undone), make_views((mean,), (std,), None, "none")),
    ):
        method = amun.make(config, net)
        watched = method._replace(finish=lambda state: Variables(state.extra, {}))
        done = run(watched, net, variables, sources, split, key=jax.random.key(0), views=views)
        tables.append(done.variables.params)
        assert done.reported["amun/failures"] == 0
    np.testing.assert_allclose(tables[1].shift, tables[0].shift, rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(tables[1].labels, tables[0].labels)
    np.testing.assert_allclose(tables[1].black, -mean / std, rtol=1e-5)


@pytest.mark.parametrize("mode", ["amun", "advonly"])
@pytest.mark.parametrize("retain", [True, False])
def test_training_by_hand(mode, retain):
    """Three epochs of one batch, at a tenth of the rate of the one before."""
    model, variables, sources, split = linear()
    config = amun.Config(
        **ATTACK,
        learning_rate=RATE,
        momentum=0.0,
        weight_decay=0.0,
        mode=mode,
        retain=retain,
        epochs=3,
        augment=False,
    )
    done = run(amun.make(config, model), model, variables, sources, split, key=jax.random.key(0))
    original, expected = found_by_hand(variables, sources, split)
    rows = [*split.retain] if retain else []
    rows += [*split.forget] if mode == "amun" else []
    x = [sources["train"].x[row].ravel() / 255 for row in rows] + [
        moved for moved, _, _ in expected
    ]
    y = [sources["train"].y[row] for row in rows] + [label for _, label, _ in expected]
    kernel, bias = variables.params["head"]["kernel"], variables.params["head"]["bias"]
    x, y = np.array(x), np.array(y)
    for rate in (RATE, RATE / 10, RATE / 100):
        error = (softmax(x @ kernel + bias) - np.eye(3)[y]) / len(x)
        kernel, bias = kernel - rate * x.T @ error, bias - rate * error.sum(0)
    np.testing.assert_allclose(
        done.variables.params["head"]["kernel"], kernel, rtol=1e-3, atol=1e-4
    )
    np.testing.assert_allclose(done.variables.params["head"]["bias"], bias, rtol=1e-3, atol=1e-4)
    lengths = [np.linalg.norm(m - o) for (m, _, _), o in zip(expected, original, strict=True)]
    assert done.reported["amun/distance"] == pytest.approx(np.mean(lengths), rel=1e-3)


def test_without_a_neighbour_it_is_training_on_all_data():
    """A network of constant outputs has none, which is told; its images are trained on with their own labels."""
    model, _, sources, split = linear()
    head = {"kernel": np.zeros((4, 3), np.float32), "bias": np.array([1, 0, 0], np.float32)}
    sources["train"].y[:5] = 0
    config = amun.Config(
        **ATTACK, learning_rate=RATE, momentum=0.0, weight_decay=0.0, epochs=1, augment=False
    )
    start = Variables({"head": head}, {})
    done = run(amun.make(config, model), model, start, sources, split, key=jax.random.key(0))
    x, y = sources["train"].x.reshape(9, 4) / 255, sources["train"].y
    error = (softmax(np.tile(head["bias"], (9, 1))) - np.eye(3)[y]) / 9
    after = done.variables.params["head"]
    np.testing.assert_allclose(after["kernel"], -RATE * x.T @ error, rtol=1e-4, atol=1e-6)
    assert done.reported == {"amun/failures": 5, "amun/distance": 0}


def test_what_an_epoch_is_made_of(mlp):
    """Every example once and every neighbour that was found once, in one shuffled order."""
    config = amun.Config(batch_size=7)
    method = amun.make(config, mlp.model)
    state = method.init(jax.random.key(0), mlp.variables, mlp.sources, mlp.split)
    found = np.arange(len(mlp.split.forget)) % 3 > 0
    state = state._replace(extra=state.extra._replace(found=jnp.asarray(found)))
    feeds = method.plan(mlp.split)[1].feed(np.random.default_rng(0), state)
    data, beside = feeds["data"], feeds["neighbours"]
    assert not (data.mask & beside.mask).any() and (data.view, beside.view) == ("augment", "eval")
    np.testing.assert_array_equal(np.sort(data.index[data.mask]), np.arange(46))
    np.testing.assert_array_equal(np.sort(beside.slot[beside.mask]), np.flatnonzero(found))
    np.testing.assert_array_equal(beside.index, mlp.split.forget[beside.slot])


def test_what_it_reads():
    assert needs_of("amun", amun.Config()) == amun.NEEDS
    assert needs_of("amun", amun.Config(retain=False)) == {"forget.x", "forget.y"}
