"""LoTUS: a step recomputed in numpy, its temperature and its stop, what it reads, and its limits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.engine.run import run
from junlearn.errors import ConfigError
from junlearn.methods import build, lotus, needs_of
from junlearn.parts import gumbel
from tests import linear_net
from tests.golden_nets import drive

FEW = {"epochs": 2, "batch_size": 4, "learning_rate": 0.01, "weight_decay": 0.1}


def begun(problem, model=linear_net.MODEL, **fields):
    """The method, its state before the first stage, and its stages."""
    variables, sources, split = problem
    method = lotus.make(lotus.Config(**(FEW | fields)), model)
    state = method.init(jax.random.key(0), variables, sources, split)
    return method, state, method.plan(split)


def right(variables, data):
    return (linear_net.logits(variables, data.x).argmax(1) == np.asarray(data.y)).sum()


@pytest.mark.parametrize("transform", ["gumbel", "softmax"])
def test_the_first_step(transform):
    """The temperature of both accuracies, the targets of a mixed batch, and a step of SGD."""
    variables, sources, split = problem = linear_net.problem(6, 8, unseen=9)
    given = {"optimizer": "sgd", "momentum": 0.0, "learning_rate": 0.5, "retain_fraction": 0.5}
    _, state, stages = begun(problem, alpha=2.0, transform=transform, **given)
    assert [stage.name for stage in stages] == [
        *("the original's accuracy", "measure 0", "distil 0", "measure 1", "distil 1")
    ]
    assert len(state.extra.sample) == 4 and set(np.asarray(state.extra.sample)) <= set(split.retain)
    for stage in stages[:2]:
        state, _ = drive(stage, state, sources)
    gap = right(variables, sources["train"].take(split.forget)) / 6
    gap -= right(variables, sources["validation"]) / 9
    assert abs(gap) > 0.01
    stopped = bool(state.extra.stopped)
    assert stopped == (gap <= -0.01)
    tau = 1.0 if stopped else np.exp(2 * gap)
    np.testing.assert_allclose(state.extra.tau, tau, rtol=1e-6)

    state = state._replace(extra=state.extra._replace(stopped=jnp.bool_(False)))
    moved = jax.tree.map(lambda p: p * 0.7 + 0.1, variables)
    state = state._replace(variables=moved)
    feed = stages[2].feed(np.random.default_rng(3), state)
    one = feed._replace(index=feed.index[:1], mask=feed.mask[:1])
    rows = one.index[0]
    assert 0 < np.isin(rows, split.forget).sum() < 4
    after, metrics = drive(stages[2], state, sources, one)

    x = sources["train"].x[rows]
    z = linear_net.logits(variables, x)
    _, noise_key = jax.random.split(jax.random.fold_in(state.key, state.step))
    noise = gumbel.draw(noise_key, jnp.asarray(rows), linear_net.CLASSES)
    hard, soft = (
        (np.asarray(a, np.float64) for a in noise) if transform == "gumbel" else (0 * z, 0 * z)
    )
    target = np.where(
        np.isin(rows, split.forget)[:, None],
        linear_net.softmax((z + soft) / tau),
        linear_net.one_hot((z + hard).argmax(1)),
    )
    output = linear_net.softmax(linear_net.logits(moved, x))
    loss = -(target * np.log(output)).sum(1).mean()
    np.testing.assert_allclose(metrics[0]["loss"], loss, rtol=1e-5)
    gradients = linear_net.gradient(moved, x, target)
    for p, g, done in zip(
        *(linear_net.arrays(moved), gradients, linear_net.arrays(after.variables)), strict=True
    ):
        np.testing.assert_allclose(done, p - 0.5 * (g + 0.1 * p), rtol=1e-5, atol=1e-6)


def test_the_hard_target_is_a_draw():
    """Gumbel noise on the logits gives each class as often as the original's probability says."""
    z = jnp.log(jnp.array([0.6, 0.3, 0.1]))
    noise = gumbel.draw(jax.random.key(1), jnp.arange(4000), 3)
    share = np.bincount(np.asarray((z[None] + noise.hard).argmax(1)), minlength=3) / 4000
    np.testing.assert_allclose(share, [0.6, 0.3, 0.1], atol=0.03)
    assert not np.allclose(noise.hard, noise.soft)
    part = gumbel.draw(jax.random.key(1), jnp.arange(10, 20), 3)
    np.testing.assert_array_equal(part.hard, noise.hard[10:20])


# Of 100 forget examples so many are answered rightly, and so many of 100 unseen ones.
@pytest.mark.parametrize(
    ("forget", "unseen", "stops"), [(50, 50, False), (50, 52, True), (93, 100, True), (9, 5, False)]
)
@pytest.mark.parametrize("rounded", [False, True])
def test_the_stop(forget, unseen, stops, rounded):
    """It comes before the first epoch, and then no step changes anything."""
    variables, sources, split = linear_net.problem(100, 8, unseen=100)
    answers = linear_net.logits(variables, sources["train"].x).argmax(1)
    own = np.where(np.arange(108) < forget, answers, (answers + 1) % 3)
    answers = linear_net.logits(variables, sources["validation"].x).argmax(1)
    other = np.where(np.arange(100) < unseen, answers, (answers + 1) % 3)
    sources = {
        "train": sources["train"]._replace(y=jnp.asarray(own, jnp.int32)),
        "validation": sources["validation"]._replace(y=jnp.asarray(other, jnp.int32)),
    }
    method = lotus.make(lotus.Config(**FEW, rounded=rounded), linear_net.MODEL)
    given = (linear_net.MODEL, variables, sources, split)
    done = run(method, *given, key=jax.random.key(0))
    same = all(
        np.array_equal(a, b)
        for a, b in zip(*map(jax.tree.leaves, (done.variables, variables)), strict=True)
    )
    assert same == stops and (done.reported["lotus/epochs"] == 0) == stops


def test_rounded_accuracies():
    found = jnp.array([181, 200], jnp.int32)
    assert float(lotus.accuracy(found, rounded=False)) == pytest.approx(0.905)
    assert float(lotus.accuracy(jnp.array([2, 3]), rounded=True)) == 67
    assert float(lotus.accuracy(jnp.array([0, 0]), rounded=False)) == 0


def test_what_it_reads():
    assert needs_of("lotus", lotus.Config()) == lotus.NEEDS
    released = lotus.Config(**lotus.PRESETS["lotus_released"].fields)
    assert "test.x" in needs_of("lotus", released) and lotus.Config().unseen == "validation"
    assert needs_of("lotus", lotus.Config(unseen="none")) == {"forget.x", "forget.y", "retain.x"}


def test_nothing_else_is_read(mlp):
    """A random request: labels of the retain set and the whole test set may be anything."""
    split = mlp.split._replace(classes=())
    validation = mlp.sources["test"]
    spoilt = mlp.sources["train"].y.copy()
    spoilt[split.retain] = -(10**6)
    plain = mlp.sources | {"validation": validation}
    blind = {
        "train": mlp.sources["train"]._replace(y=spoilt),
        "test": validation._replace(x=np.full_like(validation.x, np.nan)),
        "validation": validation,
    }
    method = build("lotus", lotus.Config(**FEW), mlp.model)
    one, two = (
        run(method, mlp.model, mlp.variables, sources, split, key=jax.random.key(0)).variables
        for sources in (plain, blind)
    )
    jax.tree.map(np.testing.assert_array_equal, one, two)


def test_unseen_images_are_asked_for(mlp):
    split = mlp.split._replace(classes=())
    for unseen, hint in (("validation", "set validation = "), ("test", "there is none$")):
        method = lotus.make(lotus.Config(unseen=unseen), mlp.model)
        sources = {"train": jax.tree.map(jnp.asarray, mlp.sources["train"])}
        with pytest.raises(ConfigError, match=hint):
            method.init(jax.random.key(0), mlp.variables, sources, split)
        state = method.init(jax.random.key(0), mlp.variables, sources, mlp.split)
        assert state.extra.examples == 0, "class requests do without"


def test_without_growth_the_temperature_is_one():
    problem = linear_net.problem(6, 8, unseen=9)
    _, state, stages = begun(problem, alpha=0.0, unseen="none")
    assert stages[0].name == "measure 0"
    state, _ = drive(stages[0], state, problem[1])
    assert float(state.extra.tau) == 1 and int(state.extra.epochs) == 1


@pytest.mark.bitwise
def test_the_mask_of_salun(mlp):
    """With decay under AdamW: nine tenths of the weights keep their bits."""
    method = build("lotus", lotus.Config(**FEW, mask_ratio=0.1), mlp.model)
    given = (mlp.model, mlp.variables, mlp.sources, mlp.split)
    done = run(method, *given, key=jax.random.key(0)).variables
    before, after = (
        np.concatenate([np.asarray(leaf).ravel() for leaf in jax.tree.leaves(tree.params)])
        for tree in (mlp.variables, done)
    )
    moved = before.view(np.int32) != after.view(np.int32)
    assert 0.05 < moved.mean() <= 0.1
