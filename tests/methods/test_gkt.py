"""GKT: the gate, the cycle, how its student starts and what it reads, limits."""

import dataclasses
import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.engine.run import run
from junlearn.errors import ConfigError
from junlearn.methods import gkt
from junlearn.models.generator import make_generator
from junlearn.parts import losses
from junlearn.types import Data, Model, Split
from tests.conftest import make_problem
from tests.golden_nets import Cnn, drive

NONE = np.zeros(0, int)
TINY = {
    "generator_steps": 1,
    "student_steps": 2,
    "batch_size": 8,
    "threshold": 1.0,
    "latent": 4,
    "channels": (4, 4, 4),
}


# --- losses ---


def test_attention_of_a_blank_image_has_a_gradient():
    blank, other = jnp.zeros((1, 2, 2, 3)), jnp.ones((1, 2, 2, 3))
    value, slope = jax.value_and_grad(losses.attention_gap)(blank, other, jnp.ones(1, bool))
    assert value == pytest.approx(0.25) and np.all(np.isfinite(slope))


def test_gate_adds_the_forgotten_classes():
    logits = jnp.log(jnp.array([[0.1, 0.1, 0.8], [0.3, 0.1, 0.6]]))
    forgotten = jnp.array([True, True, False])
    np.testing.assert_array_equal(gkt.gate(logits, forgotten, 0.25), [True, False])


# --- the cycle ---


def states_of(problem, steps, **fields):
    """The states after each of a few iterations."""
    config = gkt.Config(**TINY | fields)
    method = gkt.make(config, problem.model)
    sources = jax.tree.map(jnp.asarray, problem.sources)
    (stage,) = method.plan(problem.split)
    state = method.init(jax.random.key(0), problem.variables, sources, problem.split)
    feed = stage.feed(np.random.default_rng(0), state)
    states = [state]
    for _ in range(steps):
        one = feed._replace(index=feed.index[:1], mask=feed.mask[:1])
        states.append(drive(stage, states[-1], sources, one)[0])
    return states


def changed(a, b):
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return any(not np.array_equal(x, y) for x, y in pairs)


def test_cycle_alternates_and_ends(mlp):
    states = states_of(mlp, 8, pseudo_batches=2)
    pairs = list(itertools.pairwise(states))
    phases = [
        (changed(a.generator.params, b.generator.params), changed(a.student, b.student))
        for a, b in pairs
    ]
    cycle = [(True, False), (False, True), (False, True)]
    assert phases == [*cycle, *cycle, (False, False), (False, False)]
    redrawn = [changed(a.latent, b.latent) for a, b in pairs]
    assert redrawn == [False] * 3 + [True, False, False] + [True, False]
    assert [int(s.accepted) for s in states] == [0, 1, 2, 3, 4, 5, 6, 6, 6]


def test_nothing_kept_only_counts_the_call(mlp):
    before, after = states_of(mlp, 1, threshold=0.0)
    same = ("student", "student_optimizer", "generator_optimizer", "accepted", "latent", "teacher")
    for name in same:
        chex.assert_trees_all_equal(getattr(before, name), getattr(after, name))
    chex.assert_trees_all_equal(before.generator.params, after.generator.params)
    assert int(after.calls) == 1 and changed(before.generator.stats, after.generator.stats)


@pytest.mark.parametrize(("threshold", "steps"), [(1.0, 6), (0.0, 12)])
def test_ends_when_complete_or_at_the_cap(mlp, threshold, steps):
    config = gkt.Config(**TINY | {"threshold": threshold, "pseudo_batches": 2})
    problem = mlp
    done = run(
        gkt.make(config, problem.model),
        *(problem.model, problem.variables, problem.sources, problem.split),
        key=jax.random.key(0),
    )
    assert sum(entry["steps"] for entry in done.history) == steps


@pytest.fixture(scope="module")
def normed():
    """A convolution with BatchNorm on 4×4 images, class 1 to forget."""
    model = Model.from_linen(Cnn(4, 4), layers=("conv", "norm", "fc"), input_shape=(4, 4, 1))
    sources = {"train": Data(jnp.zeros((2, 4, 4, 1)), jnp.zeros(2, jnp.int32))}
    return model, model.fresh(jax.random.key(0), sources), sources, Split(*(NONE,) * 4, (1,))


def begin(normed, **fields):
    model, variables, sources, split = normed
    config = gkt.Config(**TINY | fields)
    return config, gkt.make(config, model).init(jax.random.key(0), variables, sources, split)


def test_student_starts(normed):
    original = normed[1]
    chex.assert_trees_all_equal(begin(normed, student="teacher")[1].student, original)
    fresh = begin(normed, student="fresh")[1].student
    assert changed(fresh.params["fc"], original.params["fc"])
    mixed = begin(normed, student="convolutions")[1].student
    kernel = mixed.params["conv"]["kernel"]
    assert changed(kernel, original.params["conv"]["kernel"])
    assert 0.8 < np.abs(kernel).max() / np.sqrt(6 / (9 * (1 + 4))) <= 1
    for layer in ("norm", "fc"):
        chex.assert_trees_all_equal(mixed.params[layer], original.params[layer])
    chex.assert_trees_all_equal(mixed.stats, original.stats)
    chex.assert_trees_all_equal(mixed.params["conv"]["bias"], original.params["conv"]["bias"])


def test_dropped_rows_stay_out_of_batch_norm(normed):
    """The student's running statistics are those of the kept rows alone."""
    model, original = normed[:2]
    config, state = begin(normed, student="teacher")
    images, _ = make_generator((4, 4, 1), 4, (4, 4, 4)).apply(state.generator, state.latent)
    share = jax.nn.softmax(model.apply(state.teacher, images)[0])[:, 1]
    config = dataclasses.replace(config, threshold=float(np.sort(share)[3:5].mean()))
    state = state._replace(accepted=jnp.ones((), jnp.int32))
    update = jax.jit(gkt.updater(config, model), static_argnums=1)
    after, metrics = update(state, (4, 4, 1), state.latent, jax.random.key(0))
    assert metrics["kept"] == 0.5
    _, _, expected = model.apply(original, images[np.argsort(share)[:4]], train=True)
    chex.assert_trees_all_close(after.student.stats, expected, rtol=1e-4, atol=1e-6)


# --- mistakes ---


@pytest.mark.parametrize(
    ("size", "classes", "fields", "message"),
    [
        (4, (), {}, "needs a scenario that names them"),
        (5, (1,), {}, "must divide by 4, not 5×5"),
        (4, (1,), {"student": "convolutions"}, "no convolutions"),
    ],
)
def test_requests_that_it_cannot_serve(size, classes, fields, message):
    problem = make_problem("mlp", size=size, train=8, test=4)
    method = gkt.make(gkt.Config(**TINY, **fields), problem.model)
    split = problem.split._replace(classes=classes)
    with pytest.raises(ConfigError, match=message):
        method.init(jax.random.key(0), problem.variables, problem.sources, split)
