"""VGG-11 of JiT and VGG-16 with BatchNorm: sizes, features, initial values, the pool to 7×7, dropout."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.errors import ConfigError
from junlearn.models import MODELS, count_parameters
from junlearn.models.vgg import adaptive_mean_pool

SHAPE = (32, 32, 3)
NARROW = {"width": 4, "hidden": 24}


def build(name, num_classes=5, shape=SHAPE, **settings):
    component = MODELS[name]
    return component.make(component.Config(**settings), num_classes, shape)


def images(count, shape=SHAPE):
    return np.random.default_rng(0).normal(size=(count, *shape)).astype(np.float32)


@pytest.fixture(scope="module")
def vgg11():
    """A narrow one, compiled, and its variables."""
    model = build("vgg11_jit", **NARROW, embedding=16)
    variables = jax.jit(model.init)(jax.random.key(0), images(1))
    return model._replace(apply=jax.jit(model.apply, static_argnames="train")), variables


@pytest.mark.parametrize(
    ("name", "num_classes", "size", "settings", "count"),
    [
        ("vgg11_jit", 10, 32, {}, 132_863_336 + 1001 * 10),
        ("vgg11_jit", 100, 32, {}, 132_863_336 + 1001 * 100),
        ("vgg16_bn", 10, 32, {}, 14_728_266),
        ("vgg16_bn", 1000, 224, {"classifier": "torchvision"}, 138_365_992),
    ],
)
def test_parameter_counts_are_the_published_ones(name, num_classes, size, settings, count, key):
    model = build(name, num_classes, (size, size, 3), **settings)
    variables = jax.eval_shape(model.init, key, jnp.zeros((1, size, size, 3)))
    assert count_parameters(variables) == count


def test_layers_and_features_follow_the_input(key):
    x = jnp.zeros((2, *SHAPE))
    model = build("vgg11_jit")
    assert model.layers == (
        *(f"conv{n}" for n in range(1, 9)),
        *("fc1", "fc2", "fc3", "head"),
    )
    features = jax.eval_shape(model.apply, jax.eval_shape(model.init, key, x[:1]), x)[1]
    assert features.keys() == {*model.layers, "embedding"} - {"head"}
    assert [features[f"conv{n}"].shape for n in range(1, 9)] == [
        (2, 32, 32, 64),
        (2, 16, 16, 128),
        (2, 8, 8, 256),
        (2, 8, 8, 256),
        (2, 4, 4, 512),
        (2, 4, 4, 512),
        (2, 2, 2, 512),
        (2, 2, 2, 512),
    ]
    assert features["embedding"].shape == (2, 1000)
    assert build("vgg16_bn").layers == (*(f"conv{n}" for n in range(1, 14)), "head")
    full = build("vgg16_bn", classifier="torchvision")
    assert full.layers[-4:] == ("conv13", "fc1", "fc2", "head")


def test_every_activation_is_after_its_relu_but_the_embedding_has_none(vgg11):
    model, variables = vgg11
    logits, features, stats = model.apply(variables, images(4))
    assert stats == {}
    head = variables.params["head"]
    expected = features["embedding"] @ head["kernel"] + head["bias"][None]
    np.testing.assert_allclose(logits, expected, atol=1e-6)
    chex.assert_trees_all_equal(features["fc3"], features["embedding"])
    assert (features["embedding"] < 0).any()
    for name in features.keys() - {"fc3", "embedding"}:
        assert (features[name] >= 0).all() and (features[name] > 0).any()


def test_initial_values_are_the_released_ones(vgg11):
    params = vgg11[1].params
    np.testing.assert_allclose(params["conv8"]["kernel"].std(), (2 / (9 * 32)) ** 0.5, rtol=0.03)
    for name in ("fc1", "fc2", "fc3"):
        np.testing.assert_allclose(params[name]["kernel"].std(), 0.01, rtol=0.1)
    for name in params.keys() - {"head"}:
        np.testing.assert_array_equal(params[name]["bias"], 0)
    bound = 16**-0.5
    assert 0.9 * bound < jnp.abs(params["head"]["kernel"]).max() <= bound
    assert 0 < jnp.abs(params["head"]["bias"]).max() <= bound


@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (7, 7), (10, 15)])
def test_adaptive_pool_is_the_mean_over_overlapping_windows(shape):
    x = images(2, (*shape, 3))
    expected = np.empty((2, 7, 7, 3))
    for i, j in np.ndindex(7, 7):
        rows, columns = (
            slice(k * n // 7, -(-(k + 1) * n // 7)) for k, n in zip((i, j), shape, strict=True)
        )
        expected[:, i, j] = x[:, rows, columns].mean((1, 2))
    np.testing.assert_allclose(adaptive_mean_pool(x, 7), expected, atol=1e-6)
    if shape == (1, 1):
        np.testing.assert_array_equal(adaptive_mean_pool(x, 7), np.tile(x, (1, 7, 7, 1)))


def test_dropout_acts_in_train_mode_only_and_needs_a_key(vgg11):
    model, variables = vgg11
    x = images(3)
    with pytest.raises(ConfigError, match="got no key"):
        model.apply(variables, x, train=True)
    first, again, other = (
        model.apply(variables, x, train=True, key=jax.random.key(seed))[0] for seed in (1, 1, 2)
    )
    still = model.apply(variables, x)[0]
    chex.assert_trees_all_equal(first, again)
    assert (first != other).any() and (first != still).any()


def test_masked_rows_change_nothing():
    model = build("vgg16_bn", width=2)
    x, mask = images(4), np.array([True, True, True, False])
    variables = jax.jit(model.init)(jax.random.key(0), x[:1])

    @jax.jit
    def forward(x):
        logits, _, stats = model.apply(variables, x, train=True, mask=mask)
        return logits[:3], stats

    spoilt = np.where(mask[:, None, None, None], x, np.float32(np.nan))
    (logits, stats), spoilt = forward(x), forward(spoilt)
    chex.assert_trees_all_equal(spoilt, (logits, stats))
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), stats, variables.stats)
    assert all(jax.tree.leaves(moved))


@pytest.mark.parametrize("name", ["vgg11_jit", "vgg16_bn"])
def test_too_small_images_are_refused(name):
    with pytest.raises(ConfigError, match="needs images of 32×32 or more, not 28×32"):
        build(name, shape=(28, 32, 1))
