"""Linen modules of a user's own as models."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax.core import freeze

from junlearn.errors import ConfigError
from junlearn.types import Model, Variables
from tests.models.adapted import SHAPE, assert_padding_changes_nothing


class Plain(nn.Module):
    """No flags, logits only, names whose alphabetical order is not that of use."""

    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Conv(4, (3, 3), name="conv10")(x))
        x = nn.relu(nn.Conv(4, (3, 3), name="conv2")(x))
        return nn.Dense(3, name="classifier")(x.mean((1, 2)))


class Normed(nn.Module):
    """flax BatchNorm without a mask argument."""

    @nn.compact
    def __call__(self, x, train):
        x = nn.Conv(4, (3, 3), name="conv")(x)
        x = nn.BatchNorm(not train, momentum=0.9, name="norm")(x)
        x = nn.relu(x).reshape(len(x), -1)
        x = nn.BatchNorm(not train, name="norm2")(nn.Dense(5, name="fc")(x))
        return nn.Dense(3, name="head")(x), {"inner": x}


class Dropped(nn.Module):
    @nn.compact
    def __call__(self, x, deterministic: bool = True):
        x = nn.Dropout(0.5, deterministic=deterministic)(x.reshape(len(x), -1))
        return nn.Dense(3, name="head")(x)


class Masked(nn.Module):
    """Takes the mask itself, and names its embedding itself."""

    @nn.compact
    def __call__(self, x, *, training=False, mask=None):
        x = nn.Dense(5, name="fc")(x.reshape(len(x), -1))
        rows = None if mask is None else mask[:, None]
        x = nn.BatchNorm(not training, name="norm")(x, mask=rows)
        return nn.Dense(3, name="head")(x), {"embedding": -x}


class Reshaped(nn.Module):
    """BatchNorm over rows that are not the examples."""

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.BatchNorm(not train, name="norm")(x.reshape(-1, SHAPE[-1])).reshape(x.shape)
        return nn.Dense(3, name="head")(x.reshape(len(x), -1))


def test_layers_are_found_in_the_order_of_use():
    assert Model.from_linen(Plain(), input_shape=SHAPE).layers == ("conv10", "conv2", "classifier")
    assert Model.from_linen(Normed(), input_shape=SHAPE).layers == (
        "conv",
        "norm",
        "fc",
        "norm2",
        "head",
    )
    assert Model.from_linen(Plain()).layers == ()


def test_input_shape_becomes_the_models():
    assert Model.from_linen(Plain(), input_shape=SHAPE).input_shape == SHAPE
    assert Model.from_linen(Plain()).input_shape is None


@pytest.mark.parametrize("layers", [None, ("conv10", "conv2", "classifier")])
def test_a_plain_linen_module(layers, x, key):
    model = Model.from_linen(Plain(), layers=layers)
    variables = model.init(key, x[:1])
    assert variables.stats == {}
    logits, features, stats = model.apply(variables, x, train=True)
    assert stats == {}
    head = variables.params["classifier"]
    np.testing.assert_allclose(
        logits, features["embedding"] @ head["kernel"] + head["bias"][None], rtol=1e-5, atol=1e-6
    )
    chex.assert_trees_all_equal(logits, Plain().apply({"params": variables.params}, x))


def test_sequential(x, key):
    module = nn.Sequential([lambda x: x.reshape(len(x), -1), nn.Dense(5), nn.relu, nn.Dense(3)])
    model = Model.from_linen(module, input_shape=SHAPE)
    assert model.layers == ("layers_1", "layers_3")
    features = model.apply(model.init(key, x[:1]), x)[1]
    assert features["embedding"].shape == (4, 5) and (features["embedding"] >= 0).all()


def test_the_mask_reaches_flax_batch_norm(x):
    model = Model.from_linen(Normed(), input_shape=SHAPE)
    variables, stats = assert_padding_changes_nothing(model, x)
    chex.assert_trees_all_equal_structs(stats, variables.stats)
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), stats, variables.stats)
    assert all(jax.tree.leaves(moved))


def test_eval_mode_returns_the_statistics_as_they_are(x, key):
    model = Model.from_linen(Normed(), input_shape=SHAPE)
    variables = model.init(key, x[:1])
    _, features, stats = model.apply(variables, x)
    assert stats is variables.stats
    assert features["embedding"] is features["inner"]


def test_a_module_that_takes_the_mask_itself(x, key):
    model = Model.from_linen(Masked(), input_shape=SHAPE)
    variables, _ = assert_padding_changes_nothing(model, x)
    logits, features, _ = model.apply(variables, x)
    head = variables.params["head"]
    np.testing.assert_allclose(
        logits, -features["embedding"] @ head["kernel"] + head["bias"][None], rtol=1e-4, atol=1e-5
    )


def test_batch_norm_over_other_rows_is_refused_under_a_mask(x, key):
    model = Model.from_linen(Reshaped())
    variables = model.init(key, x[:1])
    model.apply(variables, x, train=True)
    with pytest.raises(ConfigError, match="norm normalises 144 rows of a batch of 4"):
        model.apply(variables, x, train=True, mask=jnp.ones(4, bool))


def test_dropout_needs_a_key_in_train_mode_and_only_there(x, key):
    model = Model.from_linen(Dropped(), input_shape=SHAPE)
    variables = model.init(key, x[:1])
    with pytest.raises(ConfigError, match="got no key"):
        model.apply(variables, x, train=True)
    first, again, other = (
        model.apply(variables, x, train=True, key=jax.random.key(seed))[0] for seed in (1, 1, 2)
    )
    still, _, _ = model.apply(variables, x)
    chex.assert_trees_all_equal(first, again)
    assert (first != other).any() and (first != still).any()


def test_layers_that_do_not_exist_are_refused(x, key):
    with pytest.raises(ConfigError, match="no parameters at conv1; the groups are"):
        Model.from_linen(Plain(), layers=("conv1", "classifier")).init(key, x[:1])


def test_what_is_neither_logits_nor_a_pair_is_refused(key):
    model = Model.from_linen(nn.Dense(3))
    x = jnp.zeros((2, 4, 5))
    with pytest.raises(ConfigError, match="must return logits"):
        model.apply(model.init(key, x), x)


def test_linen_under_transformations(x, key):
    model = Model.from_linen(Normed(), input_shape=SHAPE)
    variables = model.init(key, x[:1])
    with jax.checking_leaks():
        per_example = jax.jit(jax.vmap(lambda row: model.apply(variables, row[None])[0][0]))(x)
    np.testing.assert_allclose(per_example, model.apply(variables, x)[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("form", [dict, freeze])
def test_flax_dicts_come_in_and_go_out(x, form):
    collections = Normed().init(jax.random.key(0), x, train=False)
    variables = Variables.from_linen(form(collections))
    assert isinstance(variables, Variables) and type(variables.params) is dict
    assert set(variables.stats) == {"batch_stats"}
    chex.assert_trees_all_equal(variables.to_linen(), collections)
    assert Variables.from_linen(variables) is variables


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"head": {}, "fc": {}}, "a dict with 'head', 'fc' in it"),
        (None, "this is NoneType"),
        (np.zeros(3), "this is ndarray"),
    ],
)
def test_what_are_no_variables_is_said(given, found):
    with pytest.raises(ConfigError, match=f"'batch_stats'.*{found}"):
        Variables.from_linen(given)
