"""Networks that draw random numbers in train mode: no two passes of one step draw the same ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.engine.batches import PLAIN_VIEWS, gather, specify
from junlearn.methods import METHODS, build
from tests.methods.test_conformance import SETTINGS, problem_of

TWO_PASSES = {"neggrad_plus", "duck"}
"""Methods whose step passes over two batches in train mode, one after the other."""

ONE_PASS = {
    *("bad_teacher", "cf_k", "eu_k", "finetune", "random_labels", "retrain"),
    *("scar_self", "scrub"),
}


def watched(model, keys):
    """`model`, which notes the keys of its passes in train mode, and drops half of its input in them."""

    def apply(variables, x, *, train=False, key=None, mask=None):
        if train:
            keys.append(key)
            drop = jax.random.bernoulli(key, 0.5, x.shape)
            x = jnp.where(drop, 0, x)
        return model.apply(variables, x, train=train, mask=mask)

    return model._replace(apply=apply)


def first_step(name, model, problem, initial):
    """One step of each stage that draws, outside of `jit`, where the keys are numbers."""
    method = build(name, METHODS[name].Config(**SETTINGS[name]), model)
    sources = jax.tree.map(jnp.asarray, problem.sources)
    state = method.init(jax.random.key(1), problem.variables, sources, problem.split)
    if method.with_initial is not None:
        state = method.with_initial(state, initial)
    for number, stage in enumerate(method.plan(problem.split)):
        spec, rows = specify(stage.feed(np.random.default_rng(number), state))
        row = [tuple(array[0] for array in arrays) for arrays in rows]
        yield lambda stage=stage, row=row, spec=spec: stage.step(
            state, gather(spec, row, sources, PLAIN_VIEWS, jax.random.key(2), jax.random.key(3))
        )


@pytest.mark.parametrize("name", sorted(TWO_PASSES | ONE_PASS))
def test_passes_of_a_step_draw_numbers_of_their_own(name):
    problem, initial = problem_of("mlp")
    keys: list = []
    most = 0
    for step in first_step(name, watched(problem.model, keys), problem, initial):
        keys.clear()
        step()
        found = [
            jax.random.key_data(key).tobytes()
            for key in keys
            if not isinstance(key, jax.core.Tracer)
        ]
        assert len(set(found)) == len(found)
        most = max(most, len(found))
    assert most >= (2 if name in TWO_PASSES else 1)


def test_the_weights_of_retrain_and_its_steps_draw_from_streams_that_do_not_meet():
    """Both begin at one key: no key that a step gets is the one that the weights are drawn with."""
    problem, initial = problem_of("mlp")
    keys: list = []
    (step,) = first_step("retrain", watched(problem.model, keys), problem, initial)
    step()
    drawn_with = jax.random.key(1)
    assert keys and all((key != drawn_with).all() for key in keys)
