"""The driver: order, looks, devices, augmentation, networks that go in and come out."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType

from junlearn.engine.run import place, run
from junlearn.methods import finetune, random_labels
from junlearn.parts import feeds
from junlearn.types import Method, Stage, Variables
from tests.engine.counting import counting, go, seen


@pytest.mark.parametrize("loop", ["python", "scan"])
@pytest.mark.bitwise
def test_every_example_once_an_epoch(mlp, loop):
    stages = [
        Stage("a", seen, lambda rng, state: feeds.shuffled(rng, mlp.split.retain, 4), epochs=3),
        Stage("b", seen, lambda rng, state: feeds.sequential(mlp.split.forget, 5)),
    ]
    done = go(counting(stages), mlp, loop=loop)
    expected = np.full(46, 3)
    expected[mlp.split.forget] = 1
    np.testing.assert_array_equal(done.variables.params, expected)
    assert [(h["stage"], h["epoch"], h["steps"]) for h in done.history] == [
        ("a", 0, 9),
        ("a", 1, 9),
        ("a", 2, 9),
        ("b", 0, 3),
    ]
    assert done.history[0]["rows"] == pytest.approx(len(mlp.split.retain) / 9)


@pytest.mark.bitwise
def test_order_depends_on_seed_stage_and_epoch_alone(mlp):
    orders = []

    def feed(rng, state):
        orders.append(rng.permutation(46).tolist())
        return feeds.sequential(mlp.split.forget, 8)

    stages = [Stage("a", seen, feed, epochs=2), Stage("b", seen, feed)]
    for seed in (0, 0, 1):
        go(counting(stages), mlp, seed=seed)
    first, again, other = orders[:3], orders[3:6], orders[6:]
    assert first == again
    assert len({tuple(o) for o in first + other}) == 6


def test_evaluate_gives_accuracy_and_loss(mlp):
    answers = []

    def until(state, evaluate):
        answers.append(evaluate(mlp.variables, mlp.split.forget))
        answers.append(evaluate(mlp.variables, np.arange(3), source="test"))
        return True

    stage = Stage("a", seen, lambda rng, s: feeds.sequential(np.arange(4), 2), 2, until)
    go(counting([stage]), mlp)
    logits = mlp.model.apply(mlp.variables, jnp.asarray(mlp.sources["train"].x[mlp.split.forget]))[
        0
    ]
    labels = mlp.sources["train"].y[mlp.split.forget]
    assert answers[0]["accuracy"] == pytest.approx(np.mean(np.argmax(logits, 1) == labels))
    log_p = jax.nn.log_softmax(logits)[np.arange(len(labels)), labels]
    assert answers[0]["loss"] == pytest.approx(-float(log_p.mean()), rel=1e-5)
    assert 0 <= answers[1]["accuracy"] <= 1


@pytest.mark.bitwise
def test_passed_networks_are_not_consumed(mlp):
    config = finetune.Config(epochs=1, batch_size=8)
    variables = place(mlp.variables, None)
    problem = mlp._replace(variables=variables)
    one, two = (go(finetune.make(config, mlp.model), problem) for _ in range(2))
    chex.assert_trees_all_equal(one.variables, two.variables)
    chex.assert_tree_all_finite(variables)


def test_several_devices_give_the_parameters_of_one(convnet):
    """Batches of 10 do not divide by 4 devices, BatchNorm sees the whole batch, the order is the same."""
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
    config = random_labels.Config(learning_rate=1e-3, epochs=1, batch_size=10)
    method = random_labels.make(config, convnet.model)
    one, four = go(method, convnet), go(method, convnet, mesh=mesh)
    assert len(jax.tree.leaves(four.variables)[0].sharding.device_set) == 4
    chex.assert_trees_all_close(
        jax.device_get(one.variables), jax.device_get(four.variables), rtol=1e-5, atol=1e-5
    )
    scanned = go(method, convnet, mesh=mesh, loop="scan")
    chex.assert_trees_all_close(
        jax.device_get(one.variables), jax.device_get(scanned.variables), rtol=1e-5, atol=1e-5
    )


def test_augmentation_depends_on_the_example_and_the_epoch_alone(mlp):
    """Another batch layout, another order and several devices see the same augmented images."""

    def noisy(rows, keys):
        return rows.x + jax.vmap(lambda k: jax.random.normal(k, rows.x.shape[1:]))(keys)

    def collect(state, batch):
        x = jnp.where(batch.mask[:, None, None, None], batch.x, 0)
        return state.at[batch.index].add(x), {}

    def method(batch):
        def init(key, variables, sources, split):
            return jnp.zeros_like(sources["train"].x)

        def feed(rng, state):
            return feeds.shuffled(rng, np.arange(46), batch, view="augment")

        return Method(init, lambda split: [Stage("a", collect, feed)], lambda s: Variables(s, {}))

    views = {"eval": noisy, "augment": noisy}
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
    small = go(method(5), mlp, views=views, seed=1)
    large = go(method(16), mlp, views=views, seed=2)
    spread = go(method(8), mlp, views=views, seed=3, mesh=mesh)
    chex.assert_trees_all_close(small.variables, large.variables, rtol=1e-6)
    chex.assert_trees_all_close(
        *map(jax.device_get, (small.variables, spread.variables)), rtol=1e-6
    )


@pytest.mark.parametrize("how", ["python", "scan", "mesh"])
@pytest.mark.bitwise
def test_a_row_with_a_slot_looks_the_same_in_every_epoch(mlp, how):
    """The same examples without slots are drawn anew; an example in two slots looks different in them."""

    def noisy(rows, keys):
        return rows.x + jax.vmap(lambda k: jax.random.normal(k, rows.x.shape[1:]))(keys)

    examples = np.arange(12, dtype=np.int32) // 2

    def collect(state, batch):
        part = batch["slots"]
        kept = state["kept"].at[state["epoch"], part.slot].set(part.x)
        fresh = state["fresh"].at[state["epoch"], part.slot].set(batch["plain"].x)
        last = state["left"] == 1
        return {
            "kept": kept,
            "fresh": fresh,
            "epoch": state["epoch"] + last,
            "left": jnp.where(last, 3, state["left"] - 1),
        }, {}

    def init(key, variables, sources, split):
        nothing = np.zeros((2, 12, *sources["train"].x.shape[1:]), np.float32)
        return {"kept": nothing, "fresh": nothing, "epoch": np.int32(0), "left": np.int32(3)}

    def feed(rng, state):
        slots = feeds.shuffled(rng, np.arange(12), 4)
        plain = slots._replace(index=examples[slots.index])
        return {"slots": plain._replace(slot=slots.index), "plain": plain}

    stages = [Stage("a", collect, feed, epochs=2)]
    method = Method(init, lambda split: stages, lambda s: Variables((s["kept"], s["fresh"]), {}))
    options = {"loop": how}
    if how == "mesh":
        options = {"mesh": jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))}
    done = go(method, mlp, views={"eval": noisy}, **options)
    kept, fresh = jax.device_get(done.variables.params)
    np.testing.assert_array_equal(kept[0], kept[1])
    assert (kept[0, ::2] != kept[0, 1::2]).all()
    assert (fresh[0] != fresh[1]).all()
    np.testing.assert_array_equal(fresh[:, ::2], fresh[:, 1::2])
    assert (kept != fresh).all()


def test_two_feeds_in_one_step(mlp):
    def step(state, batch):
        assert set(batch) == {"forget", "retain"}
        index = jnp.where(batch["retain"].mask, batch["retain"].index, 0)
        return state.at[index].add(1), {"forget_rows": batch["forget"].mask.sum()}

    sets = {"forget": mlp.split.forget, "retain": mlp.split.retain}
    stage = Stage("pair", step, lambda rng, s: feeds.paired(rng, sets, 7, leader="forget"))
    done = go(counting([stage]), mlp)
    assert done.history[0]["steps"] == -(-len(mlp.split.forget) // 7)


def test_a_method_without_stages_only_finishes(mlp):
    method = Method(
        lambda key, variables, sources, split: variables,
        lambda split: [],
        lambda state: state,
    )
    chex.assert_trees_all_equal(go(method, mlp).variables, mlp.variables)


def test_a_certificate_is_carried_into_the_result(mlp):
    method = finetune.make(finetune.Config(epochs=1), mlp.model)
    certified = method._replace(certificate=lambda split: {"steps": len(split.retain)})
    done = (mlp.model, mlp.variables, mlp.sources, mlp.split)
    given = {"key": jax.random.key(0)}
    assert run(certified, *done, **given).certificate == {"steps": len(mlp.split.retain)}
    assert run(method, *done, **given).certificate == {}


def test_a_method_may_change_the_network(mlp):
    other = mlp.model._replace(layers=("new",))
    method = counting([])._replace(finish=lambda state: (other, Variables({}, {})))
    assert go(method, mlp).model.layers == ("new",)
