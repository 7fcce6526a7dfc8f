"""Vision transformers: sizes, one block in numpy, patches, the class token."""

import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn import compiler
from junlearn.errors import ConfigError
from junlearn.models import MODELS, count_parameters
from junlearn.models.convolution import conv2d
from junlearn.models.vit import Block, Embedding
from junlearn.types import Variables

SHAPE = (8, 12, 3)
NARROW = {"patch": 4, "width": 8, "depth": 2, "heads": 2, "mlp": 16}


def build(name="vit_small", num_classes=5, shape=SHAPE, **settings):
    component = MODELS[name]
    return component.make(component.Config(**settings), num_classes, shape)


def images(count, shape=SHAPE):
    return np.random.default_rng(0).normal(size=(count, *shape)).astype(np.float32)


@pytest.fixture(scope="module")
def vit():
    """A narrow one with dropout, compiled, and its variables."""
    model = build(**NARROW, dropout=0.3)
    variables = jax.jit(model.init)(jax.random.key(0), images(1))
    return model._replace(apply=jax.jit(model.apply, static_argnames="train")), variables


@pytest.mark.parametrize(
    ("name", "num_classes", "size", "count"),
    [
        ("vit_b16", 1000, 224, 86_567_656),
        ("vit_b16", 20, 224, 85_798_656 + 769 * 20),
        ("vit_small", 10, 32, 2_693_578),
    ],
)
def test_parameter_counts(name, num_classes, size, count, key):
    model = build(name, num_classes, (size, size, 3))
    variables = jax.eval_shape(model.init, key, jnp.zeros((1, size, size, 3)))
    assert count_parameters(variables) == count


def test_layers_features_and_head(vit):
    (model, variables), x = vit, images(3)
    assert model.layers == ("embed", "block1", "block2", "norm", "head")
    logits, features, stats = model.apply(variables, x)
    assert stats == {}
    shapes = {name: value.shape for name, value in features.items()}
    assert shapes == {"block1": (3, 7, 8), "block2": (3, 7, 8), "embedding": (3, 8)}
    head = variables.params["head"]
    expected = features["embedding"] @ head["kernel"] + head["bias"][None]
    np.testing.assert_allclose(logits, expected, atol=1e-6)
    token = np.asarray(features["block2"])[:, 0]
    normed = (token - token.mean(1, keepdims=True)) / token.std(1, keepdims=True)
    np.testing.assert_allclose(features["embedding"], normed, atol=1e-5)


def test_a_block_in_numpy():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2, 5, 6))
    block = Block(heads=2, mlp=8, dropout=0.0)
    shapes = jax.eval_shape(lambda: block.init(jax.random.key(0), jnp.zeros(x.shape), False))
    params = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), shapes["params"])
    actual = block.apply({"params": jax.tree.map(jnp.float32, params)}, jnp.float32(x), False)

    def norm(x, p):
        centred = x - x.mean(-1, keepdims=True)
        return centred / np.sqrt((centred**2).mean(-1, keepdims=True)) * p["scale"] + p["bias"]

    def dense(x, p):
        return x @ p["kernel"] + p["bias"]

    attention, normed = params["attention"], norm(x, params["norm1"])
    query, key, value = (dense(normed, attention[name]) for name in ("query", "key", "value"))
    mixed = np.empty_like(x)
    for head in (slice(0, 3), slice(3, 6)):
        scores = query[..., head] @ key[..., head].swapaxes(1, 2) / math.sqrt(3)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        mixed[..., head] = weights / weights.sum(-1, keepdims=True) @ value[..., head]
    y = x + dense(mixed, attention["out"])
    hidden = dense(norm(y, params["norm2"]), params["mlp1"])
    gelu = hidden * (1 + np.vectorize(math.erf)(hidden / math.sqrt(2))) / 2
    np.testing.assert_allclose(actual, y + dense(gelu, params["mlp2"]), rtol=1e-4, atol=1e-4)


def test_patches_are_those_of_a_convolution_behind_the_class_token(key):
    x, layer = images(2), Embedding(patch=4, width=7)
    params = layer.init(key, x)["params"]
    kernel = params["patch"]["kernel"].reshape(4, 4, 3, 7)
    patches = conv2d(x, kernel, strides=(4, 4)).reshape(2, 6, 7)
    token = jnp.broadcast_to(params["token"], (2, 1, 7))
    expected = jnp.concatenate([token, patches], axis=1) + params["positions"]
    np.testing.assert_allclose(layer.apply({"params": params}, x), expected, atol=1e-5)


def test_without_positions_the_order_of_patches_means_nothing(vit):
    (model, variables), x = vit, images(3)
    # Large enough that an image makes a difference.
    params = jax.tree.map(lambda leaf: np.asarray(leaf) * 10, variables.params)
    swapped = np.concatenate([x[:, 4:], x[:, :4]], axis=1)

    def change():
        there, here = (model.apply(Variables(params, {}), images)[0] for images in (swapped, x))
        return jnp.abs(there - here).max()

    assert change() > 1e-3
    params["embed"]["positions"] = np.zeros_like(params["embed"]["positions"])
    assert change() < 1e-4


@pytest.mark.parametrize(("name", "asked"), [("vit_small", False), ("small_cnn", True)])
def test_a_transformer_is_compiled_as_xla_likes_it(name, asked, monkeypatch):
    """The options for a CPU make its steps slower, and those of networks that convolve no slower."""
    calls = []
    monkeypatch.setattr(compiler, "_options", lambda: calls.append(True) or {})
    model = build(name, shape=(8, 8, 3), **(NARROW if name == "vit_small" else {}))
    x = jnp.ones((2, 8, 8, 3))
    variables = jax.eval_shape(model.init, jax.random.key(0), x)

    def summed(variables, x):
        return jax.lax.scan(
            lambda c, _: (c + model.apply(variables, x)[0].sum(), None), 0.0, None, 2
        )

    compiler.jitted(jax.grad(lambda *given: summed(*given)[0])).lower(variables, x)
    assert bool(calls) is asked


def test_dropout_acts_in_train_mode_only_and_needs_a_key(vit):
    (model, variables), x = vit, images(3)
    with pytest.raises(ConfigError, match="got no key"):
        model.apply(variables, x, train=True)
    first, again, other = (
        model.apply(variables, x, train=True, key=jax.random.key(seed))[0] for seed in (1, 1, 2)
    )
    chex.assert_trees_all_equal(first, again)
    assert (first != other).any() and (first != model.apply(variables, x)[0]).any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"patch": 3}, "model.patch must divide .* 8×12; it is 3"),
        ({"width": 8, "heads": 3}, "model.heads must divide model.width 8; it is 3"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        build(**settings)
