"""Many models over the devices of a mesh, and with weights that are chosen: the models of one device, to rounding.

The suite has four simulated devices (`conftest.py`).
"""

from dataclasses import replace

import jax
import numpy as np
import pytest
from jax.sharding import AxisType

import junlearn
from junlearn.errors import ConfigError
from junlearn.many import pick, train_each, train_many
from junlearn.train import train
from junlearn.types import Split
from tests.test_many import AUGMENTED, CONFIGS, KEYS, SEEDS, SETS, assert_same, one_by_one, together

FOUR = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
BEST = replace(CONFIGS["mlp"], keep="best_test")


@pytest.mark.parametrize(
    ("how", "loop"), [("vmap", "python"), ("vmap", "scan"), ("loop", "python"), ("auto", "auto")]
)
def test_equal_to_one_device(mlp, how, loop):
    result = together("mlp", mlp, how=how, loop=loop, mesh=FOUR)
    assert_same(result, one_by_one("mlp", mlp))
    assert result.chunk == 4 and result.how == ("loop" if how == "auto" else how)


def test_kernels_on_several_devices(convnet):
    assert_same(together("convnet", convnet, how="vmap", mesh=FOUR), one_by_one("convnet", convnet))


@pytest.mark.parametrize("places", [None, 1])
def test_a_number_that_the_devices_do_not_divide(mlp, places):
    """Six models on four devices, two places each or one: places without a model change nothing."""
    order = [0, 1, 2, 3, 2, 1]
    result = train_many(
        CONFIGS["mlp"],
        mlp.model,
        mlp.sources,
        [SETS[i] for i in order],
        keys=[KEYS[i] for i in order],
        seeds=[SEEDS[i] for i in order],
        views=AUGMENTED,
        how="vmap",
        places=places,
        mesh=FOUR,
    )
    singles = one_by_one("mlp", mlp)
    assert_same(result, [singles[i] for i in order])
    assert result.chunk == (6 if places is None else 4)


def test_each_device_has_a_list_of_its_own(mlp):
    """What a device trains depends neither on the other lists nor on how many devices there are."""
    options = {"keys": KEYS, "seeds": SEEDS, "views": AUGMENTED, "how": "vmap", "places": 2}

    def trained(chunks, **more):
        ones = train_each(
            CONFIGS["mlp"], mlp.model, mlp.sources, SETS, chunks=chunks, **options, **more
        )
        return {one.number: jax.tree.leaves(one.variables) for one in ones}

    spread = trained([[0, 3], [2], [1]], mesh=FOUR)
    again = trained([[1], [0, 3]], mesh=FOUR)
    single = trained([[0, 3]])
    assert list(spread) == [0, 3, 2, 1]
    for number in (0, 3):
        for a, b, c in zip(spread[number], again[number], single[number], strict=True):
            np.testing.assert_array_equal(a, b)
            np.testing.assert_allclose(a, c, rtol=1e-5, atol=1e-5)


def test_one_device_that_is_not_the_first(mlp):
    last = jax.sharding.Mesh(jax.devices()[-1:], ("data",))
    assert_same(together("mlp", mlp, how="vmap", mesh=last), one_by_one("mlp", mlp))


def test_a_mesh_of_another_kind_is_refused(mlp, monkeypatch):
    odd = jax.make_mesh((4,), ("model",), axis_types=(AxisType.Auto,))
    with pytest.raises(ConfigError, match="one called 'data' is wanted"):
        junlearn.train_many(mlp.model, mlp.sources, SETS, mesh=odd, epochs=1)
    two = jax.sharding.Mesh(jax.devices()[1:3], ("data",))
    monkeypatch.setattr(type(two), "local_devices", jax.devices()[1:2])
    with pytest.raises(ConfigError, match="train_many: mesh has devices of other processes"):
        together("mlp", mlp, mesh=two)


@pytest.fixture(scope="module")
def best(mlp):
    """Each model by itself, with the best weights on the test set."""
    none, sets = np.zeros(0, int), [SETS[0], SETS[1], np.arange(4, 46)]
    runs = [
        train(BEST, mlp.model, mlp.sources, Split(none, rows, none, none), key=key, seed=seed)
        for rows, key, seed in zip(sets, KEYS, SEEDS, strict=False)
    ]
    return sets, runs


@pytest.mark.parametrize(("how", "mesh"), [("vmap", None), ("vmap", FOUR), ("loop", None)])
def test_the_best_weights_of_each(mlp, best, how, mesh):
    """Models 0 and 2 make equally many steps, so that they go together."""
    sets, runs = best
    options = {"keys": KEYS[:3], "seeds": SEEDS[:3], "how": how, "mesh": mesh}
    result = train_many(BEST, mlp.model, mlp.sources, sets, **options)
    assert result.chunk == (1 if how == "loop" else 2)
    for number, single in enumerate(runs):
        for a, b in zip(
            jax.tree.leaves(pick(result, number)), jax.tree.leaves(single.variables), strict=True
        ):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
        assert [e["stage"] for e in result.history[number]] == [e["stage"] for e in single.history]
    assert result.seconds["run"] > 0
