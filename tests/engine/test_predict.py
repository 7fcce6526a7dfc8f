"""Outputs of a network on many examples: on several devices as on one, and no data inside of a program."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from junlearn.engine import predict
from junlearn.engine.batches import PLAIN_VIEWS
from junlearn.engine.predict import evaluate_accuracy, logits
from junlearn.engine.run import place, run
from junlearn.methods import finetune
from junlearn.parts import class_statistics
from junlearn.parts.class_statistics import TukeyPower
from junlearn.types import Data
from tests.engine.counting import lowered

VIEW = PLAIN_VIEWS["eval"]


def mesh_of(devices=4):
    return jax.make_mesh(
        (devices,), ("data",), axis_types=(AxisType.Auto,), devices=jax.devices()[:devices]
    )


@pytest.mark.parametrize("devices", [2, 3, 4])
@pytest.mark.parametrize("rows", [1, 2, 5, 14, 46])
def test_several_devices_give_the_logits_of_one(devices, rows, mlp):
    """Neither the rows nor the sizes of batches divide by the devices."""
    indices = np.random.default_rng(rows).permutation(46)[:rows]
    counted: list = []
    one = logits(mlp.model, mlp.variables, mlp.sources["train"], indices, view=VIEW, batch_size=8)
    variables, data = place((mlp.variables, mlp.sources["train"]), mesh_of(devices))
    ask = partial(logits, mlp.model, indices=indices, view=VIEW, batch_size=8)
    several = ask(variables, data, progress=lambda *done: counted.append(done))
    assert several.shape == (rows, 4) and counted[-1] == (rows, rows)
    np.testing.assert_allclose(several, one, rtol=1e-6, atol=1e-6)
    # It is enough that one of the two is there.
    np.testing.assert_array_equal(ask(variables, mlp.sources["train"]), several)
    np.testing.assert_array_equal(ask(mlp.variables, data), several)


def test_embeddings_are_what_the_head_reads(mlp):
    train = mlp.sources["train"]
    rows = np.array([5, 0, 7])
    keys = jax.random.split(jax.random.key(0), 3)
    _, features, _ = mlp.model.apply(mlp.variables, VIEW(train.take(rows), keys))
    found = predict.embeddings(mlp.model, mlp.variables, train, rows, view=VIEW, batch_size=2)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, features["embedding"], rtol=1e-6, atol=1e-6)


def cost(problem, batch, devices):
    """Floating-point operations that a device makes for a batch."""
    mesh = None if devices == 1 else mesh_of(devices)
    variables, data = place((problem.variables, problem.sources["train"]), mesh)
    index = np.zeros(batch, np.int32)
    if mesh is not None:
        index = jax.device_put(index, NamedSharding(mesh, PartitionSpec("data")))
    predictor = predict._predictor(problem.model, VIEW, mesh)
    return predictor.lower(variables, data, index).compile().cost_analysis()["flops"]


@pytest.mark.parametrize("name", ["mlp", "convnet"])
def test_each_device_computes_its_part(name, request):
    problem = request.getfixturevalue(name)
    whole = cost(problem, 64, 1)
    assert cost(problem, 64, 2) < 0.55 * whole
    assert cost(problem, 64, 4) < 0.3 * whole


def test_the_batches_are_spread_in_fact(mlp, monkeypatch):
    """What the predictor is called with, by the public function."""
    seen = []
    real = predict._predictor

    def predictor(*arguments):
        def predict(variables, data, index):
            seen.append((len(index.sharding.device_set), index.sharding.is_fully_replicated))
            return real(*arguments)(variables, data, index)

        return predict

    monkeypatch.setattr(predict, "_predictor", predictor)
    sources = place(mlp.sources, mesh_of())
    found = evaluate_accuracy(
        mlp.model, mlp.variables, sources, mlp.split.retain, views=PLAIN_VIEWS
    )
    assert 0 <= found["accuracy"] <= 1
    assert seen == [(4, False)]


def test_a_stage_that_looks_at_itself_asks_all_devices(mlp):
    """`until` sees the same accuracies on four devices as on one."""
    method = finetune.make(finetune.Config(epochs=3, batch_size=8, learning_rate=0.1), mlp.model)

    def looks(mesh):
        seen = []

        def until(state, evaluate):
            seen.append(evaluate(state.variables, mlp.split.retain))
            return len(seen) == 2

        watched = method._replace(
            plan=lambda split: [stage._replace(until=until) for stage in method.plan(split)]
        )
        done = (mlp.model, mlp.variables, mlp.sources, mlp.split)
        run(watched, *done, key=jax.random.key(0), mesh=mesh)
        return seen

    one, four = looks(None), looks(mesh_of())
    assert len(one) == len(four) == 2
    for a, b in zip(one, four, strict=True):
        assert a["accuracy"] == b["accuracy"] and a["loss"] == pytest.approx(b["loss"], rel=1e-5)


def placed_elsewhere():
    """Arrays that are not whole on all devices of a mesh of the axis "data"."""
    mesh = mesh_of()
    other = jax.make_mesh((4,), ("model",), axis_types=(AxisType.Auto,))
    rows = np.zeros(8, np.float32)
    return {
        "numpy": rows,
        "one device": jnp.asarray(rows),
        "split over the mesh": jax.device_put(rows, NamedSharding(mesh, PartitionSpec("data"))),
        "another axis": jax.device_put(rows, NamedSharding(other, PartitionSpec())),
        "a mesh of one": jax.device_put(rows, NamedSharding(mesh_of(1), PartitionSpec())),
        "a shape": jax.ShapeDtypeStruct((8,), np.float32),
    }


@pytest.mark.parametrize("name", placed_elsewhere())
def test_other_places_are_left_alone(name):
    array = placed_elsewhere()[name]
    assert predict._mesh_of([array]) is None
    whole = place(np.zeros(3), mesh_of())
    assert predict._mesh_of([array, whole]) == mesh_of()


@pytest.mark.parametrize("rows", [16, 4000])
def test_the_data_is_no_part_of_the_program_of_class_statistics(rows, mlp):
    """4,000 rows are 64,000 numbers; the program does not grow with them."""
    rng = np.random.default_rng(0)
    data = Data(rng.normal(size=(rows, 4, 4, 1)).astype(np.float32), np.resize(np.arange(4), rows))
    data = jax.tree.map(jnp.asarray, data)
    features, step = class_statistics._collecting(mlp.model, VIEW, TukeyPower(0.5))
    index, mask = np.zeros(8, np.int32), np.ones(8, bool)
    wide = jax.eval_shape(features, mlp.variables, data, index)[1].shape[1]
    moments = class_statistics.empty(4, wide, jnp.float32)
    lowered = step.lower(moments, mlp.variables, data, index, mask)
    assert len(lowered.as_text()) < 60_000
    assert step is class_statistics._collecting(mlp.model, VIEW, TukeyPower(0.5))[1]


def test_class_statistics_compile_once(mlp):
    """Another network of the same model, and other rows of the same data, compile nothing."""
    ask = partial(
        class_statistics.collect, mlp.model, view=VIEW, power=TukeyPower(0.5), batch_size=8
    )
    first = ask(mlp.variables, mlp.sources["train"], np.arange(16))
    doubled = jax.tree.map(lambda leaf: 2 * leaf, mlp.variables)
    with lowered() as programs:
        second = ask(doubled, mlp.sources["train"], np.arange(16, 32))
    assert programs == []
    assert not np.allclose(first.mean, second.mean)
