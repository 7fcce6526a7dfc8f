"""Networks of which only some layers are in train mode: Linen and NNX modules, and the registered ones."""

import chex
import jax
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx

from junlearn.types import Model


class ByCall(nn.Module):
    """Layers that are told their mode when they are called."""

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.BatchNorm(name="first")(x, use_running_average=not train)
        x = nn.Dropout(0.5, name="drop")(x, deterministic=not train)
        x = nn.BatchNorm(name="second")(x, use_running_average=not train)
        return nn.Dense(3, name="head")(x.mean((1, 2)))


class ByField(nn.Module):
    """Layers that are told their mode when they are made."""

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.BatchNorm(not train, name="first")(x)
        x = nn.Dropout(0.5, deterministic=not train, name="drop")(x)
        x = nn.BatchNorm(not train, name="second")(x)
        return nn.Dense(3, name="head")(x.mean((1, 2)))


class Net(nnx.Module):
    def __init__(self, *, rngs):
        self.first = nnx.BatchNorm(2, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)
        self.second = nnx.BatchNorm(2, rngs=rngs)
        self.head = nnx.Linear(2, 3, rngs=rngs)

    def __call__(self, x, mask=None):
        rows = None if mask is None else mask.reshape(-1, 1, 1, 1)
        x = self.second(self.drop(self.first(x, mask=rows)), mask=rows)
        return self.head(x.mean((1, 2)))


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(1, 2, size=(5, 4, 4, 2)).astype(np.float32)


@pytest.mark.parametrize("module", [ByCall(), ByField()])
def test_linen_layers_that_are_not_named_are_in_eval_mode(module, x, key):
    model = Model.from_linen(module, input_shape=x.shape[1:])
    variables = model.init(key, x[:1])
    # Dropout would need a key: it is in eval mode.
    logits, _, stats = model.apply(variables, x, train={"second", "head"})
    before = variables.stats["batch_stats"]
    chex.assert_trees_all_equal(stats["batch_stats"]["first"], before["first"])
    assert not np.allclose(stats["batch_stats"]["second"]["mean"], before["second"]["mean"])
    parts = {"params": variables.params["first"], "batch_stats": before["first"]}
    first = np.asarray(nn.BatchNorm(True).apply(parts, x))
    second = (first - first.mean((0, 1, 2))) / np.sqrt(first.var((0, 1, 2)) + 1e-5)
    head = jax.tree.map(np.asarray, variables.params["head"])
    expected = second.mean((1, 2)) @ head["kernel"] + head["bias"]
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)


def test_all_layers_named_is_train_mode_and_none_is_eval_mode(x, key):
    model = Model.from_linen(ByCall(), input_shape=x.shape[1:])
    variables = model.init(key, x[:1])
    names = ("first", "drop", "second", "head")
    for part, whole in ((names, True), ((), False)):
        some = model.apply(variables, x, train=part, key=jax.random.key(1))
        chex.assert_trees_all_equal(
            some, model.apply(variables, x, train=whole, key=jax.random.key(1))
        )


def test_nnx_attributes_that_are_not_named_are_in_eval_mode(x, key):
    model = Model.from_nnx(lambda rngs: Net(rngs=rngs), layers=("first", "second", "head"))
    variables = model.init(key, x[:1])
    _, _, stats = model.apply(variables, x, train={"second", "head"}, key=key)
    chex.assert_trees_all_equal(stats["first"], variables.stats["first"])
    assert not np.allclose(stats["second"]["mean"], variables.stats["second"]["mean"])


def test_registered_networks(convnet):
    model, variables = convnet.model, convnet.variables
    last = model.layers[1:]
    _, _, stats = model.apply(variables, convnet.sources["train"].x[:9], train=last)
    moved = {
        name: not all(
            np.array_equal(a, b)
            for a, b in zip(jax.tree.leaves(group), jax.tree.leaves(before), strict=True)
        )
        for (name, group), before in zip(
            stats["batch_stats"].items(), variables.stats["batch_stats"].values(), strict=True
        )
    }
    assert moved == {name: name in last for name in moved}
    assert set(moved.values()) == {True, False}
