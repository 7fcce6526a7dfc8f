"""A long sweep in one process keeps no more than a fixed number of compiled programs."""

import gc
import weakref

import jax.numpy as jnp
import numpy as np

from junlearn.engine.program import Program, program_of
from junlearn.engine.run import run
from junlearn.memo import REMEMBERED
from junlearn.parts import feeds
from junlearn.types import Method, Stage, Variables


def method(number):
    """One setting: its step is a function of its own."""
    stage = Stage(
        "a", lambda s, b: (s + number, {}), lambda rng, s: feeds.sequential(np.arange(4), 4)
    )
    return Method(
        lambda *given: jnp.zeros(3), lambda split: [stage], lambda state: Variables(state, {})
    )


def test_programs_of_settings_long_gone_are_let_go(mlp):
    steps = []
    for number in range(3):
        setting = method(number)
        run(setting, *mlp, key=np.uint32([0, 1]))
        steps.append(weakref.ref(setting.plan(mlp.split)[0].step))
        del setting
    kept = [step for step in steps if step() is not None]
    assert len(kept) == 3  # The next point of a sweep finds them.
    for number in range(REMEMBERED):
        program_of(lambda state, batch, n=number: (state, {}), None, (), None, False)
    gc.collect()
    assert [step for step in steps if step() is not None] == []
    assert sum(isinstance(each, Program) for each in gc.get_objects()) <= REMEMBERED
