"""The driver: where stages begin with work of their own, end early, diverge, or go on from the end of another run."""

import time

import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.engine import checkpoint
from junlearn.errors import DivergedError
from junlearn.methods import finetune, neggrad
from junlearn.parts import feeds
from junlearn.types import Stage
from tests.engine.counting import counting, go, seen


@pytest.mark.parametrize("loop", ["python", "scan"])
def test_until_is_asked_every_so_many_steps(mlp, loop):
    asked = []

    def until(state, evaluate):
        asked.append(int(state.sum()))
        return len(asked) == 4

    feed = lambda rng, state: feeds.sequential(np.arange(20), 2)  # noqa: E731
    stage = Stage("a", seen, feed, epochs=5, until=until, check_every=4)
    done = go(counting([stage, Stage("b", seen, feed)]), mlp, loop=loop)
    # Steps 4, 8 and the end (10) of the first epoch, then step 4 of the second, which is the last.
    assert asked == [8, 16, 20, 28]
    assert [(h["stage"], h["steps"]) for h in done.history] == [("a", 10), ("a", 4), ("b", 10)]


def test_until_without_check_every_is_asked_at_the_end_of_an_epoch(mlp):
    feed = lambda rng, state: feeds.sequential(np.arange(20), 2)  # noqa: E731
    stage = Stage("a", seen, feed, epochs=5, until=lambda state, evaluate: int(state.sum()) >= 40)
    assert len(go(counting([stage]), mlp).history) == 2


def test_begin_makes_the_state_once_before_the_first_epoch(mlp, tmp_path):
    """Also of a run that is killed in the midst of the stage: it is not made again."""
    begun = []
    feed = lambda rng, state: feeds.sequential(np.arange(20), 2)  # noqa: E731

    def begin(state, sources):
        begun.append(int(state.sum()))
        assert sources["train"].x.shape[0] == len(state)
        return state + 100

    def progress(name, done, total, metrics):
        if (name, done) == ("b", 10):
            raise KeyboardInterrupt

    stages = [Stage("a", seen, feed), Stage("b", seen, feed, 2, begin=begin)]
    store = checkpoint.Store(tmp_path / "run", owner="begin")
    with pytest.raises(KeyboardInterrupt):
        go(counting(stages), mlp, store=store, save_seconds=0, progress=progress)
    done = go(counting(stages), mlp, store=store)
    assert begun[0] == 20 and set(begun) == {20}
    assert int(done.variables.params.sum()) == 20 * 3 + 100 * 46


def test_neggrad_stops_at_chance(convnet):
    free = neggrad.Config(learning_rate=0.003, epochs=6, batch_size=4, check_every=1)
    stopping = neggrad.Config(**{**free.__dict__, "stop_at_chance": True})
    long, short = (go(neggrad.make(c, convnet.model), convnet) for c in (free, stopping))
    steps = [sum(h["steps"] for h in r.history) for r in (long, short)]
    assert steps[1] < steps[0]


def test_looks_before_a_stop_have_a_time_of_their_own(mlp, tmp_path):
    """Also over an interruption, and apart from the steps."""
    asked = []

    def until(state, evaluate):
        time.sleep(0.05)
        asked.append(0)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return False

    stage = Stage("a", seen, lambda rng, s: feeds.sequential(np.arange(10), 5), 4, until)
    store = checkpoint.Store(tmp_path / "s", "me")
    options = {"store": store, "save_seconds": 0}
    with pytest.raises(KeyboardInterrupt):
        go(counting([stage]), mlp, **options)
    done = go(counting([stage]), mlp, **options)
    seconds = done.seconds
    assert done.stages == {"a": pytest.approx(seconds["run"])}
    # The look that was cut off is asked again.
    assert len(asked) == 5
    assert 0.2 <= seconds["evaluate"] <= seconds["total"] - seconds["run"]
    assert seconds["run"] < 0.2


@pytest.mark.bitwise
def test_a_run_that_begins_like_another_goes_on_from_its_end(mlp, tmp_path):
    asked = []

    def feed(rng, state):
        asked.append(0)
        return feeds.shuffled(rng, np.arange(20), 6)

    def last(state, batch):
        return state * 3 + batch.y.sum(), {"rows": batch.mask.sum()}

    first, second = Stage("first", seen, feed, 2), Stage("second", last, feed, 2)
    whole = go(counting([first, second]), mlp)
    shorter, longer = (checkpoint.Store(tmp_path / name, name) for name in ("shorter", "longer"))
    begun = go(counting([first]), mlp, store=shorter)
    asked.clear()
    on = go(counting([first, second]), mlp, store=longer, begun=shorter)
    assert len(asked) == 2 and on.history == whole.history
    np.testing.assert_array_equal(on.variables.params, whole.variables.params)
    assert on.stages["first"] == begun.stages["first"] and on.seconds["run"] > begun.seconds["run"]
    # Its own snapshots come first, and those of the other are as they were.
    again = go(counting([first, second]), mlp, store=longer, begun=shorter)
    assert (again.stages, len(asked)) == (on.stages, 2)
    assert checkpoint.restore(shorter, jnp.zeros(46, jnp.int32))[1]["stages"] == begun.stages


@pytest.mark.parametrize("loop", ["python", "scan"])
def test_a_diverging_loss_names_stage_and_step_and_keeps_the_last_checkpoint(mlp, tmp_path, loop):
    def step(state, batch):
        count = state[0] + 1
        return state.at[0].set(count), {"loss": jnp.where(count == 8, jnp.nan, 1.0)}

    stage = Stage("descend", step, lambda rng, s: feeds.sequential(np.arange(10), 2), epochs=4)
    store = checkpoint.Store(tmp_path / "s", "me")
    with pytest.raises(DivergedError, match=r"stage 'descend', epoch 1, step 2: loss is nan"):
        go(counting([stage]), mlp, store=store, save_seconds=0, loop=loop)
    state, position = checkpoint.restore(store, jnp.zeros(46, jnp.int32))
    assert 0 < int(state[0]) < 8
    assert position["epoch"] * 5 + position["step"] == int(state[0])


def test_infinite_loss_of_a_real_method(mlp):
    config = finetune.Config(learning_rate=1e30, epochs=3, batch_size=8)
    with pytest.raises(DivergedError, match=r"stage 'finetune'.*loss is (nan|inf)"):
        go(finetune.make(config, mlp.model), mlp)
