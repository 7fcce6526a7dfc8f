"""Boundary Shrink and Boundary Expand: attack, labels and steps worked out in numpy on a linear network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.engine.augment import make_views
from junlearn.engine.batches import PLAIN_VIEWS
from junlearn.engine.run import run
from junlearn.errors import ConfigError
from junlearn.methods import boundary_expand, boundary_shrink
from junlearn.types import Data, Model, Split, Variables
from tests.golden_nets import Cnn

NONE = np.zeros(0, int)
RATE = 0.5


def linear():
    """f(x) = x W + b on images of 2×2 pixels; 9 examples with the labels that it gives, the first 5 to be forgotten."""

    def init(key, x):
        raise AssertionError("the weights are given")

    def apply(variables, x, *, train=False, key=None, mask=None):
        flat = x.reshape(len(x), -1)
        params = variables.params["head"]
        return flat @ params["kernel"] + params["bias"][None], {"embedding": flat}, variables.stats

    rng = np.random.default_rng(5)
    params = {"kernel": rng.normal(size=(4, 3)), "bias": rng.normal(size=3)}
    params = jax.tree.map(lambda a: a.astype(np.float32), params)
    x = rng.normal(size=(9, 2, 2, 1)).astype(np.float32)
    y = (x.reshape(9, 4) @ params["kernel"] + params["bias"]).argmax(-1).astype(np.int32)
    model = Model(init, apply, ("head",))
    split = Split(np.arange(5), np.arange(5, 9), NONE, NONE)
    return model, Variables({"head": params}, {}), {"train": Data(x, y)}, split


def softmax(z):
    p = np.exp(z - z.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True)


def by_hand(params, x, y, epsilon, size, steps):
    """Equations 1 and 2 of Boundary Shrink: the moved inputs and the new labels."""
    kernel, bias = params["head"]["kernel"], params["head"]["bias"]
    moved = x
    for _ in range(steps):
        gradient = (softmax(moved @ kernel + bias) - np.eye(3)[y]) @ kernel.T
        moved = np.clip(moved + size * np.sign(gradient), x - epsilon, x + epsilon)
    logits = moved @ kernel + bias
    logits[np.arange(len(y)), y] = -np.inf
    return moved, logits.argmax(-1)


def descent(kernel, bias, x, targets):
    """One step of plain gradient descent on the mean cross entropy."""
    error = (softmax(x @ kernel + bias) - np.eye(bias.size)[targets]) / len(x)
    return kernel - RATE * x.T @ error, bias - RATE * error.sum(0)


@pytest.mark.parametrize(
    ("epsilon", "size", "steps"), [(0.3, 0.3, 1), (0.3, 0.2, 4), (3.0, 0.5, 5)]
)
def test_attack_by_hand(epsilon, size, steps):
    model, variables, sources, _ = linear()
    x, y = sources["train"].x, sources["train"].y
    moved, nearest = by_hand(variables.params, x.reshape(9, 4), y, epsilon, size, steps)
    ours = boundary_shrink.attack(
        model, variables, jnp.asarray(x), jnp.asarray(y), radius=epsilon, size=size, steps=steps
    )
    np.testing.assert_allclose(ours.reshape(9, 4), moved, rtol=1e-5, atol=1e-6)
    assert np.abs(ours - x).max() <= epsilon * (1 + 1e-6)
    logits, _, _ = model.apply(variables, ours)
    np.testing.assert_array_equal(boundary_shrink.nearest_other(logits, jnp.asarray(y)), nearest)


def test_a_step_beyond_the_ball_ends_on_it():
    model, variables, sources, _ = linear()
    x, y = (jnp.asarray(a) for a in sources["train"][:2])
    far = boundary_shrink.attack(model, variables, x, y, radius=0.1, size=9.0, steps=1)
    one = boundary_shrink.attack(model, variables, x, y, radius=0.1, size=0.1, steps=1)
    np.testing.assert_allclose(far, one, rtol=1e-6)


def test_the_nearest_class_is_never_the_own_one():
    logits = jnp.array([[3.0, 1.0, 2.0], [0.0, 0.0, 0.0], [-5.0, -9.0, -7.0]])
    labels = jnp.array([0, 0, 2])
    np.testing.assert_array_equal(boundary_shrink.nearest_other(logits, labels), [2, 1, 0])


def test_shrink_by_hand():
    """The labels come from the original network, one step of descent follows; padding changes nothing."""
    model, variables, sources, split = linear()
    config = boundary_shrink.Config(
        epsilon=0.4, learning_rate=RATE, momentum=0.0, epochs=1, batch_size=8
    )
    method = boundary_shrink.make(config, model)
    done = run(method, model, variables, sources, split, key=jax.random.key(0))
    x, y = sources["train"].x[:5].reshape(5, 4), sources["train"].y[:5]
    moved, nearest = by_hand(variables.params, x, y, 0.4, 0.4, 1)
    head = variables.params["head"]
    kernel, bias = descent(head["kernel"], head["bias"], x, nearest)
    np.testing.assert_allclose(done.variables.params["head"]["kernel"], kernel, rtol=1e-5)
    np.testing.assert_allclose(done.variables.params["head"]["bias"], bias, rtol=1e-5)
    crossed = (moved @ head["kernel"] + head["bias"]).argmax(-1) != y
    assert done.history[0]["crossed"] == pytest.approx(crossed.mean())
    assert 0 < crossed.mean() < 1  # Where it does not cross: the largest of the other logits.


def test_shrink_labels_stay_those_of_the_original():
    """Two ragged batches fill the table, and training does not change it."""
    model, variables, sources, split = linear()
    config = boundary_shrink.Config(epsilon=0.4, learning_rate=RATE, epochs=3, batch_size=4)
    method = boundary_shrink.make(config, model)
    tables = {}

    def finish(state):
        tables["labels"] = np.asarray(state.extra.labels)
        return method.finish(state)

    run(method._replace(finish=finish), model, variables, sources, split, key=jax.random.key(0))
    x, y = sources["train"].x[:5].reshape(5, 4), sources["train"].y[:5]
    expected = by_hand(variables.params, x, y, 0.4, 0.4, 1)[1]
    np.testing.assert_array_equal(tables["labels"], [*expected, 0, 0, 0, 0])


def test_the_ball_is_in_pixels():
    """A network that undoes the normalisation of its view is attacked as without: epsilon is divided by std."""
    model, variables, sources, split = linear()
    sources["train"] = sources["train"]._replace(x=(40 * sources["train"].x + 128).astype(np.uint8))
    mean, std = 0.45, 0.25

    def undone(variables, x, **options):
        return model.apply(variables, x * std + mean, **options)

    config = boundary_shrink.Config(epsilon=0.1, steps=2, step_size=0.06, epochs=1, batch_size=8)
    found = []
    for net, views in (
        (model, PLAIN_VIEWS),
        (model._replace(apply=undone), make_views((mean,), (std,), None, "none")),
    ):
        method = boundary_shrink.make(config, net)
        watched = method._replace(finish=lambda state: Variables(state.extra, {}))
        found.append(
            run(watched, net, variables, sources, split, key=jax.random.key(0), views=views)
        )
    np.testing.assert_allclose(found[1].variables.params.pixel, 1 / std, rtol=1e-5)
    plain, normalised = (done.variables.params.labels for done in found)
    np.testing.assert_array_equal(plain, normalised)
    assert 0 < found[0].history[0]["crossed"] == found[1].history[0]["crossed"] < 1


def test_expand_by_hand():
    """One step of descent on the widened head, which then loses its last column."""
    model, variables, sources, split = linear()
    config = boundary_expand.Config(learning_rate=RATE, momentum=0.0, epochs=1, batch_size=8)
    method = boundary_expand.make(config, model)
    on_device = jax.tree.map(jnp.asarray, sources)
    key = jax.random.split(jax.random.key(0))[0]  # As the driver hands it to the method.
    extra = method.init(key, variables, on_device, split).variables.params["extra"]
    assert np.abs([*extra["kernel"], extra["bias"]]).max() <= 0.5
    done = run(method, model, variables, sources, split, key=jax.random.key(0))
    head = variables.params["head"]
    kernel = np.concatenate([head["kernel"], np.asarray(extra["kernel"])[:, None]], axis=1)
    bias = np.append(head["bias"], extra["bias"])
    x = sources["train"].x[:5].reshape(5, 4)
    kernel, bias = descent(kernel, bias, x, np.full(5, 3))
    np.testing.assert_allclose(done.variables.params["head"]["kernel"], kernel[:, :3], rtol=1e-5)
    np.testing.assert_allclose(done.variables.params["head"]["bias"], bias[:3], rtol=1e-5)


@pytest.mark.parametrize("method", [boundary_shrink, boundary_expand])
def test_running_statistics_stay(method):
    """Every weight moves, the scales and shifts of BatchNorm too; its running statistics do not."""
    x = np.random.default_rng(0).normal(size=(14, 8, 8, 1)).astype(np.float32)
    model = Model.from_linen(Cnn(4, 5), layers=("conv", "norm", "fc"), input_shape=x.shape[1:])
    sources = {"train": Data(x, np.full(len(x), 2, np.int32))}
    variables = model.fresh(jax.random.key(0), sources)
    split = Split(np.arange(len(x)), NONE, NONE, NONE)
    made = method.make(method.Config(learning_rate=0.1, epochs=30), model)
    done = run(made, model, variables, sources, split, key=jax.random.key(0))
    jax.tree.map(np.testing.assert_array_equal, done.variables.stats, variables.stats)
    for after, before in zip(*map(jax.tree.leaves, (done.variables, variables)), strict=True):
        assert after.shape == before.shape
    for layer, group in done.variables.params.items():
        for name, leaf in group.items():
            assert (leaf != variables.params[layer][name]).any(), (layer, name)
    assert done.history[-1]["accuracy"] > 0.9
    logits, _, _ = model.apply(done.variables, jnp.asarray(x))
    before, _, _ = model.apply(variables, jnp.asarray(x))
    rows, labels = np.arange(len(x)), sources["train"].y
    own = [float(jax.nn.softmax(z)[rows, labels].mean()) for z in (before, logits)]
    assert own[1] < own[0]


def test_expand_needs_the_embedding():
    model, variables, sources, split = linear()

    def apply(variables, x, **options):
        logits, _, stats = model.apply(variables, x, **options)
        return logits, {}, stats

    method = boundary_expand.make(boundary_expand.Config(), model._replace(apply=apply))
    with pytest.raises(ConfigError, match="boundary_expand reads the embedding"):
        method.init(jax.random.key(0), variables, sources, split)
