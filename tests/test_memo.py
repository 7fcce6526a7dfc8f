"""Functions that remember: what they keep, and that nothing of a trace stays alive with them."""

import gc

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from junlearn.engine.run import run
from junlearn.memo import remembered
from junlearn.methods import duck, finetune, laf, neggrad_plus, random_labels, scrub
from junlearn.parts.descent import updater
from junlearn.types import Batch, Split

BATCH = {"epochs": 1, "batch_size": 8}
METHODS = {
    "laf": (laf, {**BATCH, "vae_epochs": 1, "vae_hidden": (3,), "latent": 2, "repair_epochs": 1}),
    "neggrad_plus": (neggrad_plus, BATCH),
    "finetune": (finetune, {**BATCH, "keep": "best_test"}),
    "random_labels": (random_labels, BATCH),
    "scrub": (scrub, {"epochs": 1, "max_epochs": 1, "batch_size": 8, "forget_batch_size": 8}),
    "duck": (duck, {**BATCH, "retain_batches": 1, "target_accuracy": 0.0}),
}


@pytest.fixture(scope="module", autouse=True)
def thawed():
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def only_what_is_new():
    """A collection walks what the test itself makes, not all that is there before.

    What is frozen stays so until the last test: a collection after each would walk all that the suite has made.
    """
    gc.collect()
    gc.freeze()


def tracers():
    """How many tracers of this test are alive."""
    gc.collect()
    return sum(issubclass(type(each), jax.core.Tracer) for each in gc.get_objects())


@pytest.mark.parametrize("name", METHODS)
def test_no_tracer_outlives_a_run(name, mlp):
    before = tracers()
    module, settings = METHODS[name]
    for _ in range(2):
        method = module.make(module.Config(**settings), mlp.model)
        done = (mlp.model, mlp.variables, mlp.sources, mlp.split)
        run(method, *done, key=jax.random.key(0))
        del method
    assert tracers() <= before


def test_jax_finds_no_leak_in_a_step_of_laf(mlp):
    module, settings = METHODS["laf"]
    method = module.make(module.Config(**settings), mlp.model)
    rows = np.arange(46)
    nothing = np.zeros(0, int)
    split = Split(rows[:8], rows[8:16], nothing, nothing)
    key = jax.random.key(0)
    state = method.init(key, mlp.variables, mlp.sources, split)
    batch = mlp.sources["train"]

    def step(state, x, y):
        part = {
            name: Batch(x[rows], y[rows], jnp.asarray(rows), jnp.ones(8, bool))
            for name, rows in (("forget", split.forget), ("retain", split.retain))
        }
        return method.plan(split)[-2].step(state, part)

    with jax.checking_leaks():
        shapes = jax.eval_shape(step, state, batch.x, batch.y)
    assert set(shapes[1]) == {"sum_retain", "sum_forget", "loss_unlearn", "loss_align"}


def test_equal_arguments_give_the_same_object():
    calls = []

    @remembered
    def make(number, *, name="a"):
        calls.append(number)
        return object()

    assert make.__name__ == "make"
    assert make(1) is make(1) is not make(2)
    assert make(1, name="b") is make(1, name="b") is not make(1)
    assert calls == [1, 2, 1]


TRACES = {
    "jit": lambda f: jax.jit(f)(1.0),
    "grad": lambda f: jax.grad(f)(1.0),
    "vmap": lambda f: jax.vmap(f)(jnp.ones(2)),
    "eval_shape": lambda f: jax.eval_shape(f, 1.0),
    "scan": lambda f: jax.lax.scan(lambda c, x: (f(c), x), 1.0, jnp.ones(2)),
    "cond": lambda f: jax.lax.cond(True, f, f, 1.0),
    "jit of vmap": lambda f: jax.jit(jax.vmap(f))(jnp.ones(2)),
}


@pytest.mark.parametrize("name", TRACES)
def test_nothing_is_kept_of_a_trace(name):
    """What was kept before is not lost either."""
    results = []

    @remembered
    def make(number):
        results.append(number)
        return object()

    first = make(0)

    def traced(x):
        assert make(0) is not first
        return x * 2.0

    before = tracers()
    TRACES[name](traced)
    calls = len(results)
    assert calls > 1
    assert make(0) is first and len(results) == calls
    del traced
    assert tracers() <= before


def test_a_loss_that_holds_a_tracer_is_not_kept():
    """The kind of function that a step must not pass to `updater`; the tracer goes all the same."""
    tx = optax.sgd(0.1)
    before = tracers()

    @jax.jit
    def step(x):
        updater(lambda params, *_: (x * params, ({}, {})), tx)
        return x

    step(jnp.ones(()))
    del step
    assert tracers() <= before
