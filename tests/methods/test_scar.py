"""SCAR and its self-forget variant: the feed, stopping, what they read, bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from junlearn.engine.batches import PLAIN_VIEWS
from junlearn.engine.run import run
from junlearn.errors import ConfigError, DataError
from junlearn.methods import scar, scar_self
from junlearn.models.modules import BatchNorm, Dense
from junlearn.parts import class_statistics, feeds
from junlearn.parts import scar_shared as metric
from junlearn.parts.passes import marks
from junlearn.types import Data, Model, Split
from tests.golden_nets import Mlp
from tests.methods.test_golden_scar import close, drive

NONE = np.zeros(0, int)


def test_all_removed_classes_leave_the_teacher():
    logits = jnp.array([[5.0, 1, 2, 0], [0, 3, 1, 2], [-9, 0, 0, 7], [1, 0, 4, -20]])
    mask = jnp.array([True, True, True, False])
    target, keep = metric.redirected(logits, mask, marks((0, 3), 4))
    assert keep.tolist() == [False, True, False, False]
    assert target[1].tolist() == [0, 3, 1, 0]
    # No row is left: nothing to learn, and nothing that is not finite.
    target, keep = metric.redirected(logits[:1], mask[:1], marks((0,), 4))
    value, slope = jax.value_and_grad(
        lambda o: metric.distillation(scar.Config(), target, o, keep)
    )(logits[:1])
    assert value == 0 and not slope.any()


def test_both_divergences_and_both_distances():
    rng = np.random.default_rng(0)
    t, o = rng.normal(size=(2, 3, 4))
    p, q = (np.exp(z) / np.exp(z).sum(1, keepdims=True) for z in (t / 2, o))
    expected = ((p * np.log(p / q)).sum(1) + (q * np.log(q / p)).sum(1)).mean() / 2
    config = scar.Config(distill="jeffreys", temperature=2.0, distance_power=1)
    mask = jnp.ones(3, bool)
    both = [jnp.asarray(z, jnp.float32) for z in (t, o)]
    np.testing.assert_allclose(metric.distillation(config, *both, mask), expected, rtol=1e-5)
    plain = scar.Config()
    value, slope = jax.value_and_grad(lambda o: metric.distillation(plain, both[0], o, mask))(
        both[0]
    )
    assert abs(value) < 1e-7 and np.abs(slope).max() < 1e-7
    slope = jax.grad(lambda d: metric.roots(config, d).sum())(jnp.array([0.0, 4.0, 9.0]))
    np.testing.assert_allclose(slope, [0, 1 / 4, 1 / 6])


def test_homogeneous_sampling_and_gate():
    logits = np.eye(4)[[0, 0, 0, 0, 1, 1, 2, 3, 3, 3]]
    drawn = metric.balanced(logits)
    mass = np.array([drawn[logits[:, k] == 1].sum() for k in range(4)])
    np.testing.assert_allclose(mass / mass[0], [1, 0.4, 0.2, 1])
    weights = metric.gate(jnp.array([79, 80, 0, 9]), jnp.array([100, 100, 0, 9]), 0.8, jnp.float32)
    np.testing.assert_allclose(weights, [0, 0.8, 0, 1])


def test_an_epoch_of_updates_and_measurements():
    forget = feeds.sequential(np.arange(5), 2)
    drawn = iter(
        [feeds.sequential(np.arange(k, k + 5), 2, source="surrogate") for k in (0, 10, 20)]
    )
    feed = metric.rounds(forget, lambda: next(drawn), steps=2, eval_every=4, discard=False)
    kinds = feed["forget"].slot[:, 0].tolist()
    assert kinds == [0, 0, 0, 0, 1, 1, 1, 0, 0, 1, 1, 1]
    assert feed["forget"].index[:, 0].tolist() == [0, 0, 2, 2, 0, 2, 4, 4, 4, 0, 2, 4]
    updates = np.array(kinds) == 0
    assert feed["surrogate"].index[updates, 0].tolist() == [0, 2, 10, 12, 20, 22]
    assert not feed["surrogate"].mask[~updates].any() and feed["surrogate"].mask[updates].all()
    assert feed["surrogate"].source == "surrogate"
    # Fewer surrogate batches than steps: as many as there are; measured once an epoch.
    few = metric.rounds(
        forget, lambda: feeds.sequential(np.arange(3), 2), steps=9, eval_every=None, discard=True
    )
    assert few["forget"].slot[:, 0].tolist() == [0] * 6 + [1] * 3


def homogeneous(problem):
    rows = np.arange(len(problem.sources["train"].y))
    return problem._replace(
        split=Split(rows[:9], rows[9:], NONE, np.arange(len(problem.sources["test"].y)))
    )


def popular(problem):
    """Surrogate images that the network sees several classes in; the one it sees most is to be forgotten."""
    surrogate = problem.sources["surrogate"]
    x = 3 * np.random.default_rng(6).normal(size=surrogate.x.shape).astype(np.float32)
    seen = np.bincount(problem.model.apply(problem.variables, jnp.asarray(x))[0].argmax(-1))
    assert (seen > 0).sum() > 1
    own = problem.sources["train"].y == seen.argmax()
    rows = np.flatnonzero(own), np.flatnonzero(~own)
    return problem._replace(
        sources=problem.sources | {"surrogate": surrogate._replace(x=x)},
        split=Split(*rows, NONE, NONE, (int(seen.argmax()),)),
    )


QUICK = {"epochs": 3, "batch_size": 8, "surrogate_batch_size": 8}


def result(module, problem, sources=None, **fields):
    method = module.make(module.Config(**QUICK | fields), problem.model)
    return run(
        method,
        problem.model,
        problem.variables,
        problem.sources if sources is None else sources,
        problem.split,
        key=jax.random.key(1),
    )


def test_stops_after_the_first_measurement_of_the_third_epoch(mlp):
    done = result(scar, mlp, surrogate_steps=2, target=1.0, epochs=5)
    forget = -(-len(mlp.split.forget) // QUICK["batch_size"])
    epochs = [entry["steps"] for entry in done.history if entry["stage"] == "forget"]
    assert epochs == [forget * 2 * (1 + forget)] * 2 + [1 + forget]


def test_the_target_is_not_reached_by_equality(mlp):
    method = scar.make(scar.Config(**QUICK, target=0.25, surrogate_steps=1), mlp.model)
    stage = method.plan(mlp.split)[-1]
    state = method.init(jax.random.key(0), mlp.variables, mlp.sources, mlp.split)
    updates = -(-len(mlp.split.forget) // QUICK["batch_size"])

    def stops(step, accuracy, missing=0):
        seen = jnp.int32(len(mlp.split.forget) - missing)
        watch = state.watch._replace(seen=seen, accuracy=jnp.float32(accuracy))
        return stage.until(state._replace(step=jnp.int32(step), watch=watch), None)

    assert stops(2 * updates + 1, 0.2)
    assert not stops(2 * updates + 1, 0.25)
    assert not stops(2 * updates, 0.2)
    assert not stops(2 * updates + 1, 0.2, missing=1)


def test_the_target_of_homogeneous_removal_is_below_the_test_accuracy(mlp):
    problem = homogeneous(mlp)
    method = scar.make(scar.Config(**QUICK), mlp.model)
    *_, measured, stage = method.plan(problem.split)
    sources = jax.tree.map(jnp.asarray, problem.sources)
    state = method.init(jax.random.key(0), problem.variables, sources, problem.split)
    state = drive(measured, state, sources)[-1][0]
    right = problem.model.apply(problem.variables, sources["test"].x)[0].argmax(-1)
    accuracy = float((right == sources["test"].y).mean())
    for below, stops in ((0.014, False), (0.016, True)):
        watch = state.watch._replace(seen=jnp.int32(9), accuracy=jnp.float32(accuracy - below))
        late = state._replace(step=jnp.int32(10**6), watch=watch)
        assert stage.until(late, None) is stops


@pytest.mark.parametrize("kind", ["class", "homogeneous", "self"])
def test_a_file_of_statistics_stands_for_the_retain_set(kind, mlp, tmp_path):
    """Everything outside of `needs(config)` is NaN or an impossible label; the bits are the same."""
    problem = {"class": lambda p: p, "homogeneous": homogeneous, "self": popular}[kind](mlp)
    module = scar_self if kind == "self" else scar
    path = tmp_path / "statistics.npz"
    power = class_statistics.TukeyPower()
    moments = class_statistics.collect(
        mlp.model,
        mlp.variables,
        mlp.sources["train"],
        problem.split.retain,
        view=PLAIN_VIEWS["eval"],
        power=power,
        batch_size=QUICK["batch_size"],
    )
    class_statistics.save(path, moments, power)
    config = module.Config(statistics=str(path))
    needs = module.needs(config) if kind == "self" else module.needs(config, kind == "class")
    assert not needs & {"retain.x", "retain.y"}
    train, test = (Data(d.x.copy(), d.y.copy()) for d in map(mlp.sources.get, ("train", "test")))
    for data, rows, part in (
        (train, problem.split.forget, "forget"),
        (train, problem.split.retain, "retain"),
        (test, slice(None), "test"),
    ):
        if f"{part}.x" not in needs:
            data.x[rows] = np.nan
        if f"{part}.y" not in needs:
            data.y[rows] = -(10**6)
    hidden = problem.sources | {"train": train, "test": test}
    given = result(module, problem, statistics=str(path))
    blind = result(module, problem, hidden, statistics=str(path))
    jax.tree.map(np.testing.assert_array_equal, given.variables, blind.variables)
    # What the file holds is what the stage collects. (Later stages have other numbers, so other draws of data.)
    method = module.make(module.Config(**QUICK), mlp.model)
    sources = jax.tree.map(jnp.asarray, problem.sources)
    state = method.init(jax.random.key(0), problem.variables, sources, problem.split)
    state = drive(method.plan(problem.split)[0], state, sources)[-1][0]
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
        state.statistics,
        tuple(moments),
    )


def test_self_forget_stops_by_its_surrogates(mlp):
    some = popular(mlp)
    epochs = [
        sum(
            entry["stage"] == "self-forget"
            for entry in result(scar_self, some, learning_rate=0.003, **fields).history
        )
        for fields in ({"target": 0.5}, {"target": 0.0}, {"target": 0.5, "stop": "epochs"})
    ]
    assert epochs == [2, 3, 3]


def test_self_forget_stops_by_the_forget_set_as_released(mlp):
    method = scar_self.make(scar_self.Config(stop="forget"), mlp.model)
    stage = method.plan(mlp.split)[-1]
    state = method.init(jax.random.key(0), mlp.variables, mlp.sources, mlp.split)
    state = state._replace(members=jnp.int32(1), kept=jnp.int32(1), step=jnp.int32(1))
    assert stage.check_every == 1
    for accuracy, stops in ((0.009, True), (0.01, False)):
        asked = []

        def evaluate(variables, rows, asked=asked, accuracy=accuracy):
            asked.append(rows)
            return {"accuracy": accuracy}

        assert stage.until(state, evaluate) is stops
        np.testing.assert_array_equal(asked, [mlp.split.forget])


class Flat(nn.Module):
    """Linear, BatchNorm, relu, linear."""

    @nn.compact
    def __call__(self, x, train=False, mask=None):
        x = BatchNorm(name="norm")(
            Dense(8, name="fc1")(x.reshape(len(x), -1)), train=train, mask=mask
        )
        return Dense(4, name="fc2")(nn.relu(x))


def test_self_forget_with_masked_rows_and_batch_norm(mlp):
    model = Model.from_linen(Flat(), layers=("fc1", "norm", "fc2"))
    variables = jax.jit(model.init)(jax.random.key(0), model.example(mlp.sources))
    problem = popular(mlp._replace(model=model, variables=variables))
    config = scar_self.Config(**QUICK | {"epochs": 1, "optimizer": "sgd"})
    method = scar_self.make(config, problem.model)

    def widened(stage):
        def feed(rng, state):
            return feeds.pad_rows(stage.feed(rng, state), 11)

        return stage._replace(feed=feed)

    padded = method._replace(plan=lambda split: [widened(stage) for stage in method.plan(split)])
    plain, wide = (run(m, *problem, key=jax.random.key(1)).variables for m in (method, padded))
    close(plain, wide, rtol=1e-3)


def test_requests_that_cannot_be_served(mlp, tmp_path):
    without = {name: mlp.sources[name] for name in ("train", "test")}
    with pytest.raises(ConfigError, match="needs surrogate images"):
        result(scar, mlp, without)
    with pytest.raises(ConfigError, match="scar_self forgets whole classes"):
        result(scar_self, homogeneous(mlp))
    with pytest.raises(ConfigError, match="takes no surrogate image"):
        result(scar_self, mlp)
    with pytest.raises(DataError, match="no such file"):
        result(scar, mlp, statistics=str(tmp_path / "absent.npz"))
    path = tmp_path / "statistics.npz"
    class_statistics.save(
        path, class_statistics.empty(4, 3, jnp.float32), class_statistics.TukeyPower()
    )
    with pytest.raises(ConfigError, match=r"\(4, 3\), but the network has \(4, 64\)"):
        result(scar, mlp, statistics=str(path))
    class_statistics.save(
        path, class_statistics.empty(4, 64, jnp.float32), class_statistics.TukeyPower()
    )
    with pytest.raises(ConfigError, match=r"not delta=1\.0"):
        result(scar, mlp, statistics=str(path), delta=1.0)
    with pytest.raises(ConfigError, match="any class that stays"):
        result(scar, mlp, statistics=str(path))


def test_an_embedding_that_can_be_negative_needs_signed(mlp):
    flat = {
        name: data._replace(x=data.x.reshape(len(data.x), -1)) for name, data in mlp.sources.items()
    }
    model = Model.from_linen(Mlp((8, 6, 4)), layers=("fc1", "fc2", "fc3"))
    variables = model.init(jax.random.key(0), model.example(flat))
    problem = mlp._replace(model=model, variables=variables, sources=flat)
    with pytest.raises(ConfigError, match="signed=True"):
        result(scar, problem)
    done = result(scar, problem, signed=True, epochs=1, eval_every=None)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(done.variables))
