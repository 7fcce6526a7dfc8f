"""SCRUB's rewind: its snapshots, the errors it measures, the one it chooses, and the examples it needs."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from junlearn.engine.run import run
from junlearn.errors import ConfigError
from junlearn.methods import scrub
from junlearn.methods.scrub import Memory
from junlearn.parts import descent
from junlearn.parts.selection import Rewind
from junlearn.types import Variables

NONE = np.zeros(0, int)
QUICK = scrub.Config(
    epochs=3, max_epochs=2, batch_size=16, forget_batch_size=8, learning_rate=0.05, rewind=True
)


def unlearned(problem, method):
    return run(
        method,
        problem.model,
        problem.variables,
        problem.sources,
        problem.split,
        key=jax.random.key(0),
    )


def test_rewind(mlp):
    """Snapshots are the weights after each epoch, and errors theirs; stages that share a step share its program."""
    traces = []
    states = []

    def watched(stages):
        method = scrub.make(QUICK, mlp.model)
        wrappers = {}

        def counted(step):
            def wrapper(state, batch):
                traces.append(step)
                return step(state, batch)

            return wrappers.setdefault(step, wrapper)

        def finish(state):
            states.append(state)
            return method.finish(state)

        def plan(split):
            plan = method.plan(split)[:stages]
            return [stage._replace(step=counted(stage.step)) for stage in plan]

        return method._replace(plan=plan, finish=finish)

    done = unlearned(mlp, watched(None))
    assert len(traces) == len(set(traces)) == 4  # max, min, and two that measure
    unlearned(mlp, watched(5))  # max, min, measure, max, min
    rewind: Rewind = states[0].extra.rewind
    second = jax.tree.map(lambda stack: stack[1], rewind.snapshots)
    jax.tree.map(np.testing.assert_array_equal, second, states[1].variables)
    last = jax.tree.map(lambda stack: stack[2], rewind.snapshots)
    jax.tree.map(np.testing.assert_array_equal, last, states[0].variables)

    def wrong(variables, source, rows):
        data = mlp.sources[source]
        answers = mlp.model.apply(variables, jnp.asarray(data.x[rows]))[0].argmax(-1)
        return int((np.asarray(answers) != data.y[rows]).sum())

    split = mlp.split
    for e in range(3):
        snapshot = jax.tree.map(lambda stack, e=e: stack[e], rewind.snapshots)
        assert wrong(snapshot, "train", split.forget) == rewind.errors[e]
    unseen = [wrong(last, "test", split.forget_test), len(split.forget_test)]
    assert rewind.unseen.tolist() == unseen
    assert int(rewind.measured) == 3 * len(split.forget)
    distance = np.abs(np.array(rewind.errors) / len(split.forget) - unseen[0] / unseen[1])
    best = 2 - np.argmin(distance[::-1])
    chosen = jax.tree.map(lambda stack: stack[best], rewind.snapshots)
    jax.tree.map(np.testing.assert_array_equal, done.variables, chosen)


@pytest.mark.parametrize(
    ("errors", "unseen", "chosen"),
    [([1, 6, 9], 4, 1), ([10, 9, 9], 10, 0), ([2, 4, 3], 3, 2), ([8, 2, 6], 4, 2)],
)
def test_the_nearest_error_is_chosen(errors, unseen, chosen, mlp):
    """Errors of 10 examples against `unseen` of 10; of two as near the later."""
    weights = Variables({"w": jnp.arange(3.0)}, {})
    rewind = Rewind(weights, jnp.array(errors), jnp.array(30), jnp.array([unseen, 10]))
    state = descent.init(
        jax.random.key(0),
        Variables({"w": jnp.zeros(())}, {}),
        optax.identity(),
        Memory(weights, rewind),
    )
    assert scrub.make(QUICK, mlp.model).finish(state).params["w"] == chosen


def test_unseen_examples(mlp):
    """Those of the request; all of the test set where it has none of its own; none of manipulated labels."""
    method = scrub.make(QUICK, mlp.model)
    rng = np.random.default_rng(0)
    feed = method.plan(mlp.split)[-1].feed(rng, None)
    assert feed.source == "test"
    np.testing.assert_array_equal(feed.index[feed.mask], mlp.split.forget_test)
    everything = np.arange(len(mlp.sources["test"].y))
    random = mlp.split._replace(forget_test=NONE, retain_test=everything, classes=())
    feed = method.plan(random)[-1].feed(rng, None)
    np.testing.assert_array_equal(feed.index[feed.mask], everything)
    train = mlp.sources["train"]
    noisy = {**mlp.sources, "train": train._replace(clean=train.y)}
    with pytest.raises(ConfigError, match="rewind"):
        method.init(jax.random.key(0), mlp.variables, noisy, mlp.split)


def test_rewind_needs_unseen_examples(mlp):
    train = {"train": mlp.sources["train"]}
    split = mlp.split._replace(forget_test=np.zeros(0, int), retain_test=np.zeros(0, int))
    with pytest.raises(ConfigError, match="give a test set, or set rewind to False"):
        scrub.make(QUICK, mlp.model).init(jax.random.key(0), mlp.variables, train, split)
