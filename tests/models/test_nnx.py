"""NNX modules of a user's own as models."""

import chex
import jax
import numpy as np
import pytest
from flax import nnx

from junlearn.errors import ConfigError
from junlearn.types import Model, Variables
from tests.models.adapted import assert_padding_changes_nothing


class Net(nnx.Module):
    def __init__(self, *, rngs):
        self.fc = nnx.Linear(36, 5, rngs=rngs)
        self.norm = nnx.BatchNorm(5, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)
        self.blocks = nnx.List([nnx.Linear(5, 5, rngs=rngs)])
        self.head = nnx.Linear(5, 3, rngs=rngs)

    def __call__(self, x, mask=None):
        x = self.norm(self.fc(x.reshape(len(x), -1)), mask=None if mask is None else mask[:, None])
        return self.head(self.blocks[0](self.drop(x)))


class PlainNet(nnx.Module):
    def __init__(self, *, rngs):
        self.head = nnx.Linear(36, 3, rngs=rngs)

    def __call__(self, x):
        x = x.reshape(len(x), -1)
        return self.head(x), {"flat": x}


class UnmaskedNet(Net):
    def __call__(self, x):
        return super().__call__(x)


def test_nnx(x, key):
    model = Model.from_nnx(lambda rngs: Net(rngs=rngs), layers=("fc", "norm", "blocks", "head"))
    variables = model.init(key, x[:1])
    assert set(variables.params) == set(model.layers)
    assert set(variables.stats) == {"norm"} and set(variables.params["blocks"]) == {"0"}
    leaves = jax.tree.leaves(variables)
    assert all(isinstance(leaf, jax.Array) for leaf in leaves)
    logits, features, stats = jax.jit(model.apply)(variables, x)
    chex.assert_trees_all_equal(stats, variables.stats)
    head = variables.params["head"]
    np.testing.assert_allclose(
        logits, features["embedding"] @ head["kernel"] + head["bias"][None], rtol=1e-4, atol=1e-5
    )


def test_nnx_batch_norm_with_a_mask(x):
    def make(rngs):
        net = Net(rngs=rngs)
        net.drop.rate = 0.0
        return net

    model = Model.from_nnx(make, layers=("fc", "norm", "blocks", "head"))
    variables, stats = assert_padding_changes_nothing(model, x, jax.random.key(2))
    chex.assert_trees_all_equal_structs(stats, variables.stats)
    assert (stats["norm"]["mean"] != variables.stats["norm"]["mean"]).all()


def test_nnx_dropout_needs_a_key_in_train_mode(x, key):
    model = Model.from_nnx(lambda rngs: Net(rngs=rngs))
    assert model.layers == ()
    variables = model.init(key, x[:1])
    with pytest.raises(ConfigError, match="got no key"):
        model.apply(variables, x, train=True)
    first, again, other = (
        jax.jit(lambda key: model.apply(variables, x, train=True, key=key)[0])(jax.random.key(seed))
        for seed in (1, 1, 2)
    )
    chex.assert_trees_all_equal(first, again)
    assert (first != other).any()


def test_nnx_without_statistics(x, key):
    model = Model.from_nnx(lambda rngs: PlainNet(rngs=rngs), layers=("head",))
    variables = model.init(key, x[:1])
    assert variables.stats == {}
    with jax.checking_leaks():
        logits, features, stats = jax.jit(lambda v, x: model.apply(v, x, train=True))(variables, x)
    assert stats == {} and logits.shape == (4, 3)
    chex.assert_trees_all_equal(features["embedding"], features["flat"])


def test_nnx_batch_norm_without_a_mask_argument_is_refused():
    with pytest.raises(ConfigError, match=r"UnmaskedNet holds an nnx\.BatchNorm \(norm\)"):
        Model.from_nnx(lambda rngs: UnmaskedNet(rngs=rngs))


def test_nnx_layers_that_do_not_exist_are_refused():
    with pytest.raises(ConfigError, match="no parameters at tail"):
        Model.from_nnx(lambda rngs: PlainNet(rngs=rngs), layers=("tail",))


def test_nnx_modules_come_in_and_go_out(x):
    module, other = (Net(rngs=nnx.Rngs(seed)) for seed in (0, 1))
    variables = Variables.from_nnx(module)
    model = Model.from_nnx(lambda rngs: Net(rngs=rngs))
    chex.assert_trees_all_equal_structs(variables, model.init(jax.random.key(0), x[:1]))
    moved = variables._replace(stats=jax.tree.map(lambda a: a + 1, variables.stats))
    moved.into_nnx(other)
    chex.assert_trees_all_equal(Variables.from_nnx(other), moved)
    other.eval()
    np.testing.assert_allclose(other(x), model.apply(moved, x)[0], rtol=1e-5)


def test_variables_of_another_nnx_module_change_nothing():
    module, plain = Net(rngs=nnx.Rngs(0)), PlainNet(rngs=nnx.Rngs(0))
    before = Variables.from_nnx(module)
    with pytest.raises(ConfigError, match="the variables of another network"):
        Variables.from_nnx(plain).into_nnx(module)
    wide = before._replace(params=jax.tree.map(lambda a: a[None], before.params))
    with pytest.raises(
        ConfigError, match=r"params\['blocks'\].* is \(1, 5\), and in Net it is \(5,\)"
    ):
        wide.into_nnx(module)
    chex.assert_trees_all_equal(Variables.from_nnx(module), before)
    for call in (Variables.from_nnx, before.into_nnx):
        with pytest.raises(ConfigError, match="an NNX module is needed, not dict"):
            call({})
