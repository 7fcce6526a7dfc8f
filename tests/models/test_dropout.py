"""Networks that draw random numbers in train mode: no two passes of one step draw the same ones."""

import jax
import jax.numpy as jnp
import pytest

from junlearn.methods import build
from junlearn.testing.stepping import first_steps
from tests.methods.subjects import problem_of, subject_of

TWO_PASSES = {"neggrad_plus", "duck", "fcs", "munba", "scissorhands", "sfron", "uam"}
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


def steps_of(name, keys):
    """`(step, state, batch)` of the first step of each stage, on a network that notes its keys."""
    problem, _ = problem_of("mlp")
    method = build(name, subject_of(name).config, watched(problem.model, keys))
    for _, *first in first_steps(method, problem):
        keys.clear()
        yield first


@pytest.mark.parametrize("name", sorted(TWO_PASSES | ONE_PASS))
def test_steps_pass_in_train_mode(name):
    """That no two passes get the same key is a check of every method: `junlearn.testing.stepping.dropout`."""
    keys: list = []
    most = 0
    for step, state, batch in steps_of(name, keys):
        jax.eval_shape(step, state, batch)
        most = max(most, len(keys))
    assert most >= (2 if name in TWO_PASSES else 1)


def test_the_weights_of_retrain_and_its_steps_draw_from_streams_that_do_not_meet():
    """Both begin at one key: no key that a step gets is the one that the weights are drawn with."""
    keys: list = []
    ((step, state, batch),) = steps_of("retrain", keys)
    # Outside of `jit`, where the keys are numbers.
    step(state, batch)
    drawn_with = jax.random.key(1)
    assert keys and all((key != drawn_with).all() for key in keys)
