"""DUCK, and the baselines in the form that SCAR gives them, against the reference cases."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.engine.run import run
from junlearn.errors import ConfigError
from junlearn.methods import duck, neggrad, random_labels
from junlearn.parts.feeds import cut, each_with, sequential
from junlearn.types import Batch, Data, Split
from tests.golden_nets import batches, close, drive, params
from tests.golden_scar_nets import positive

NONE = np.zeros(0, int)


@pytest.mark.parity
def test_duck_is_the_reference(golden, float64):
    """Centroids, the updates of the first epoch and the weights after them."""
    case = golden("scar_corrective/07a_duck")
    model, variables = positive(case)
    forget, removed = len(case["x_forget"]), int(case["removed_class"])
    sources = {
        "train": Data(
            jnp.asarray(np.concatenate([case["x_forget"], case["x_retain"]])),
            jnp.asarray(np.concatenate([np.full(forget, removed), case["y_retain"]]), jnp.int32),
        )
    }
    retained = np.arange(forget, forget + len(case["x_retain"]))
    split = Split(np.arange(forget), retained, NONE, NONE, (removed,))
    config = duck.Config(
        learning_rate=float(case["lr"]),
        weight_decay=float(case["wd"]),
        forget_weight=float(case["lambda1"]),
        retain_weight=float(case["lambda2"]),
        temperature=float(case["temperature"]),
        label_smoothing=float(case["label_smoothing"]),
        retain_batches=int(case["num_retain_samp"]) + 1,
        batch_size=1,  # only fixes how long targets are chosen anew; the batches are given
    )
    method = duck.make(config, model)
    state = method.init(jax.random.key(0), variables, sources, split)
    centroids, unlearn = method.plan(split)
    lists = {"retain_len": case["retain_sizes"], "retain_x": [], "retain_y": []}
    retain = batches(lists, "retain")[1]
    retain = retain._replace(index=retain.index + forget)
    state, _ = drive(centroids, state, sources, cut(retain, config.centroid_batches))
    kept = case["classes"]
    close((state.sums / jnp.maximum(state.counts, 1)[:, None])[kept], case["centroids"])
    assert state.counts[removed] == 0

    first = cut(retain, config.retain_batches)
    again, first = each_with(sequential(split.forget, forget), [first])
    state, metrics = drive(unlearn, state, sources, {"forget": again, "retain": first})
    for name, weight in (("forget", config.forget_weight), ("retain", config.retain_weight)):
        close(np.array([weight * m[f"{name}_loss"] for m in metrics]), case[f"loss_{name}"])
    close(state.variables.params, params("mlp", case, "_out"))
    # What is kept for the epochs after it is what an example was first given.
    np.testing.assert_array_equal(state.targets[:forget], kept[case["target_class"][0]])
    assert (np.asarray(state.targets[forget:]) == -1).all()


def batch_of(problem, rows):
    train = problem.sources["train"]
    index = jnp.asarray(rows, jnp.int32)
    return Batch(train.x[rows], train.y[rows], index, jnp.ones(len(rows), bool))


def started(problem, split, **fields):
    method = duck.make(duck.Config(batch_size=8, augment=False, **fields), problem.model)
    sources = jax.tree.map(jnp.asarray, problem.sources)
    state = method.init(jax.random.key(0), problem.variables, sources, split)
    plan = {stage.name: stage for stage in method.plan(split)}
    state, _ = drive(plan["centroids"], state, sources)
    return plan, state, sources


def test_a_target_is_neither_forgotten_nor_own_nor_without_a_centroid(mlp):
    """Class 1 and 2 are forgotten, and of 0 and 3 only one is another class than the own."""
    y = np.asarray(mlp.sources["train"].y)
    every = Split(np.flatnonzero(y % 3 > 0), np.flatnonzero(y % 3 == 0), NONE, NONE, (1, 2))
    forget = np.flatnonzero((y == 1) | (y == 2))
    split = every._replace(forget=forget, retain=np.flatnonzero((y == 0) | (y == 3)))
    plan, state, sources = started(mlp, split)
    state, _ = drive(plan["unlearn"], state, sources)
    assert set(np.asarray(state.targets)[forget].tolist()) <= {0, 3}
    # A random request: the forgotten examples of class 3 have 0, 1 and 2 to go to, but 2 has no centroid.
    forget = np.flatnonzero(y == 3)[:5]
    retain = np.flatnonzero((y == 0) | (y == 1))
    split = Split(forget, retain, NONE, np.arange(14))
    plan, state, sources = started(mlp, split)
    state, _ = drive(plan["unlearn"], state, sources)
    assert set(np.asarray(state.targets)[forget].tolist()) <= {0, 1}


def test_targets_are_kept_from_the_second_epoch_on(mlp):
    plan, state, sources = started(mlp, mlp.split)
    state, _ = drive(plan["unlearn"], state, sources)
    frozen = np.asarray(state.targets)
    assert (frozen[mlp.split.forget] >= 0).all() and (frozen[mlp.split.retain] == -1).all()
    assert not set(frozen[mlp.split.forget].tolist()) & {1}
    # Other targets in the table: the next epoch pulls towards them.
    other = np.where(frozen == 0, 3, 0).astype(np.int32)
    rows = mlp.split.forget[:8]
    pair = {"forget": batch_of(mlp, rows), "retain": batch_of(mlp, mlp.split.retain[:8])}
    step = jax.jit(plan["unlearn"].step)
    near, far = (
        step(state._replace(targets=jnp.asarray(t)), pair)[1]["forget_loss"]
        for t in (frozen, other)
    )
    assert near != far


def test_the_target_accuracy_of_a_request_without_classes(mlp):
    """The original's test accuracy less the margin; class requests stop below 0.01; a given one goes first."""
    random = mlp.split._replace(classes=())
    plan, state, sources = started(mlp, random, margin=0.125)
    state, _ = drive(plan["the original's test accuracy"], state, sources)
    logits, _, _ = mlp.model.apply(mlp.variables, jnp.asarray(mlp.sources["test"].x))
    accuracy = float((logits.argmax(-1) == mlp.sources["test"].y).mean())
    until = plan["unlearn"].until
    assert accuracy > 0.125
    assert until(state, lambda *_: {"accuracy": accuracy - 0.13})
    assert not until(state, lambda *_: {"accuracy": accuracy - 0.12})
    plan, state, _ = started(mlp, mlp.split)
    assert set(plan) == {"centroids", "unlearn"}
    assert [plan["unlearn"].until(state, lambda *_, a=a: {"accuracy": a}) for a in (0.0, 0.01)] == [
        True,
        False,
    ]
    plan, state, _ = started(mlp, random, target_accuracy=0.5)
    assert plan["unlearn"].until(state, lambda *_: {"accuracy": 0.4})
    with pytest.raises(ConfigError, match="give target_accuracy"):
        started(mlp, random._replace(forget_test=NONE, retain_test=NONE))


def test_an_embedding_of_zeros_is_harmless(mlp):
    plan, state, _ = started(mlp, mlp.split)
    dead = jax.tree.map(jnp.zeros_like, state.variables)
    pair = {
        "forget": batch_of(mlp, mlp.split.forget[:8]),
        "retain": batch_of(mlp, mlp.split.retain[:8]),
    }
    after, metrics = plan["unlearn"].step(state._replace(variables=dead), pair)
    assert metrics["forget_loss"] == 1
    chex.assert_tree_all_finite(after.variables)


@pytest.mark.parametrize(("classes", "steps"), [((1,), 4), ((), 6)])
def test_the_second_stage(classes, steps, mlp, monkeypatch):
    """One forget batch with all whole retain batches, or each of the three with two; its rate and its loss."""
    monkeypatch.setattr(duck, "SECOND_BATCH", 8)
    monkeypatch.setattr(duck, "SECOND_ROUNDS", 2)
    split = mlp.split._replace(classes=classes, forget=mlp.split.forget[:10])
    method = duck.make(
        duck.Config(batch_size=4, forget_weight=3.0, second_stage=True, target_accuracy=0),
        mlp.model,
    )
    sources = jax.tree.map(jnp.asarray, mlp.sources)
    state = method.init(jax.random.key(0), mlp.variables, sources, split)
    *_, stage = method.plan(split)
    feed = stage.feed(np.random.default_rng(0), state)
    assert [len(part.index) for part in feed.values()] == [steps, steps]
    assert len(np.unique(feed["forget"].index[feed["forget"].mask])) == (4 if classes else 10)
    assert feed["retain"].view == "augment" and stage.until is None
    state = state._replace(
        sums=jnp.ones_like(state.sums), counts=jnp.ones_like(state.counts), step=jnp.int32(10**6)
    )
    feed = {name: part._replace(view="eval") for name, part in feed.items()}
    first = {name: cut(part, 1) for name, part in feed.items()}
    after, (metrics,) = drive(stage, state, sources, first)
    assert metrics["loss"] == pytest.approx(
        float(metrics["retain_loss"] + 0.3 * metrics["forget_loss"]), rel=1e-5
    )
    # Adam's first step is the rate, wherever there is a gradient.
    moved = jax.tree.map(lambda a, b: jnp.abs(a - b).max(), after.variables, state.variables)
    assert max(jax.tree.leaves(moved)) == pytest.approx(1e-4, rel=1e-2)
    # Nothing is left of the rate after 2 epochs of 2 rounds of 3 forget batches.
    still = after.second[1]._replace(count=jnp.int32(12))
    after = after._replace(second=(after.second[0], still))
    last, _ = drive(stage, after, sources, first)
    chex.assert_trees_all_close(last.variables.params, after.variables.params, atol=1e-9)


def retrained(case, module, model, variables, data, monkeypatch, **fields):
    """All epochs of a reference case on its two batches: the losses, and the weights after."""
    config = module.Config(
        optimizer="sgd",
        learning_rate=float(case["lr"]),
        momentum=float(case["momentum"]),
        weight_decay=float(case["wd"]),
        milestones=tuple(case["milestones"].tolist()),
        decay=float(case["lr_factor"]),
        batch_size=1,
        **fields,
    )
    removed = (int(case["removed_class"]),) if "removed_class" in case else ()
    everything, sizes, epochs = np.arange(len(data.y)), case["batch_sizes"], int(case["epochs"])
    split = Split(everything, NONE, NONE, NONE, removed)
    method = module.make(config, model)
    state = method.init(jax.random.key(0), variables, {"train": data}, split)
    # As many examples as the reference has batches: they only fix the schedule.
    (stage,) = method.plan(split._replace(forget=np.arange(len(sizes))))
    labels = iter(np.split(case.get("random_labels", NONE), np.cumsum(np.tile(sizes, epochs))[:-1]))
    monkeypatch.setattr(
        random_labels, "draw", lambda key, index, classes: jnp.asarray(next(labels), jnp.int32)
    )
    # Compiled, the labels of the first step would stand for all.
    step = stage.step if module is random_labels else jax.jit(stage.step)
    metrics = []
    for _ in range(epochs):
        for rows in np.split(everything, np.cumsum(sizes)[:-1]):
            batch = Batch(data.x[rows], data.y[rows], jnp.asarray(rows), jnp.ones(len(rows), bool))
            state, values = step(state, batch)
            metrics.append(values)
    close(np.array([m["loss"] for m in metrics]), case["loss"])
    close(state.variables.params, params("mlp", case, "_out"))


@pytest.mark.parity
@pytest.mark.parametrize(
    ("name", "module", "fields"),
    [
        ("07c_negative_gradient", neggrad, {"train_mode": True}),
        ("07d_random_labels", random_labels, {"labels": "fresh", "retain": False}),
    ],
)
def test_baselines_are_the_reference(name, module, fields, golden, monkeypatch, float64):
    case = golden(f"scar_corrective/{name}")
    model, variables = positive(case)
    data = Data(jnp.asarray(case["x"]), jnp.asarray(case["y"], jnp.int32))
    retrained(case, module, model, variables, data, monkeypatch, **fields)


@pytest.mark.parametrize("classes", [(), (1, 3)])
def test_fresh_labels_are_those_that_the_request_allows(classes):
    choices = jnp.setdiff1d(jnp.arange(5), jnp.asarray(classes, int))
    draws = [random_labels.draw(jax.random.key(step), jnp.arange(60), choices) for step in range(3)]
    assert set(np.concatenate(draws).tolist()) == set(range(5)) - set(classes)
    assert not (draws[0] == draws[1]).all()
    # The draw of an example depends on neither its neighbours nor the width of the batch.
    np.testing.assert_array_equal(
        random_labels.draw(jax.random.key(0), jnp.arange(40, 50), choices), draws[0][40:50]
    )


def going(method, problem, sources=None):
    return run(
        method,
        problem.model,
        problem.variables,
        sources or problem.sources,
        problem.split,
        key=jax.random.key(1),
    )


def test_without_the_retain_set_none_of_it_is_read(mlp):
    config = random_labels.Config(labels="fresh", retain=False, epochs=2, batch_size=8)
    method = random_labels.make(config, mlp.model)
    train = mlp.sources["train"]
    hidden = Data(train.x.copy(), np.full_like(train.y, -(10**6)))
    hidden.x[mlp.split.retain] = np.nan
    plain = going(method, mlp)
    chex.assert_trees_all_equal(plain.variables, going(method, mlp, {"train": hidden}).variables)
    # With it, retain rows keep their labels.
    both = random_labels.make(random_labels.Config(labels="fresh", epochs=1), mlp.model)
    assert going(both, mlp).history[0]["steps"] == 1


@pytest.mark.parametrize("module", [neggrad, random_labels])
def test_stops_below_an_accuracy_on_the_forget_set(module, mlp):
    """No accuracy is below 0, and that of random weights is below 1."""
    config = {"epochs": 3, "batch_size": 16, "learning_rate": 0.05}
    never, soon = (
        going(module.make(module.Config(stop_below=below, **config), mlp.model), mlp)
        for below in (0.0, 1.0)
    )
    assert len(never.history) == 3 > len(soon.history)
    assert soon.seconds["evaluate"] > 0


def test_negative_gradient_moves_running_statistics_in_train_mode_alone(convnet):
    config = {"epochs": 1, "batch_size": 16}
    still, moved = (
        going(neggrad.make(neggrad.Config(train_mode=mode, **config), convnet.model), convnet)
        for mode in (False, True)
    )
    chex.assert_trees_all_equal(still.variables.stats, convnet.variables.stats)
    with pytest.raises(AssertionError):
        chex.assert_trees_all_close(moved.variables.stats, convnet.variables.stats)
