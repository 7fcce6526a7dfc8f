"""OrthoGrad: a step recomputed by least squares, what it leaves alone, and its limits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.engine.run import run
from junlearn.methods import orthograd
from junlearn.parts import gradients as by_example
from junlearn.parts.projection import coefficients, gram_matrix
from junlearn.types import Split
from tests.methods.linear_pairs import LINEAR, batch, drawn, gradient, gradients, weights

NONE = np.zeros(0, int)
SPLIT = Split(np.arange(5), np.arange(5, 11), NONE, NONE)


def stepped(w, pair, **fields):
    config = orthograd.Config(learning_rate=0.1, ridge=1e-15, **fields)
    method = orthograd.make(config, LINEAR)
    state = method.init(jax.random.key(0), weights(w), {}, SPLIT)
    after, _ = jax.jit(method.plan(SPLIT)[0].step)(state, pair)
    return np.asarray(after.variables.params["w"])


@pytest.mark.parametrize("a", [0.0, 0.3, 1.0])
def test_a_step_by_hand(a, float64):
    w, pair = drawn()
    columns = gradients(w, pair["retain"]).reshape(6, -1).T
    forget = gradient(w, pair["forget"]).ravel()
    across = forget - columns @ np.linalg.lstsq(columns, forget)[0]
    assert np.linalg.norm(across) > 0.05
    step = a * columns.mean(1) - (1 - a) * across
    np.testing.assert_allclose(stepped(w, pair, a=a), w - 0.1 * step.reshape(w.shape), rtol=1e-9)


def test_rows_outside_of_the_mask_span_nothing(float64):
    w, pair = drawn()
    short = batch(pair["retain"].x[:4], pair["retain"].y[:4])
    masked = pair["retain"]._replace(mask=jnp.arange(6) < 4)
    found = [stepped(w, {**pair, "retain": retain}) for retain in (short, masked)]
    np.testing.assert_allclose(*found, rtol=1e-9)


def test_there_is_no_step_across_the_forget_examples_themselves(float64):
    w, pair = drawn()
    found = stepped(w, {**pair, "retain": pair["forget"]}, a=0.0)
    np.testing.assert_allclose(found, w, rtol=1e-9)


def test_across_examples_that_fit_to_the_bit_it_is_ascent(float64):
    w, pair = drawn()
    x, y = 1e4 * pair["retain"].x, (pair["retain"].x @ w).argmax(1)
    retain = pair["retain"]._replace(x=x, y=y)
    after = w + 0.1 * gradient(w, pair["forget"])
    np.testing.assert_allclose(stepped(w, {**pair, "retain": retain}, a=0.0), after, rtol=1e-9)


@pytest.mark.parametrize("count", [1, 2, 4, 7, 8])
def test_the_gram_matrix_in_groups(count, monkeypatch, float64):
    """As many gradients of 4 bytes a number at once as `count`; 7 rows are in whole groups and in ragged ones."""
    rows = np.random.default_rng(0).normal(size=(7, 3))

    def of_row(row):
        return {"a": row[None] * 2, "b": jnp.outer(row, row)}

    monkeypatch.setattr(by_example, "CHUNK_BYTES", 4 * 12 * count)
    found = jax.jit(lambda rows: gram_matrix(of_row, rows))(rows)
    inner = rows @ rows.T
    np.testing.assert_allclose(found, 4 * inner + inner**2, rtol=1e-12)


def test_a_gram_matrix_without_an_inverse():
    """Equal examples share what one of them would have; gradients of zero get nothing."""
    columns = np.array([[2.0, 2, 0], [0, 0, 0]])
    along = columns.T @ np.array([3.0, 5.0])
    w = coefficients(jnp.asarray(columns.T @ columns), jnp.asarray(along), 1e-10)
    np.testing.assert_allclose(w, [0.75, 0.75, 0], rtol=1e-5)
    for vanishing in (0.0, 1e-39):
        none = coefficients(jnp.full((3, 3), vanishing), jnp.full(3, 1e-20), 1e-10)
        np.testing.assert_array_equal(none, [0, 0, 0])


def unlearned(problem, **fields):
    config = orthograd.Config(batch_size=4, epochs=3, **fields)
    return run(
        orthograd.make(config, problem.model),
        *(problem.model, problem.variables, problem.sources, problem.split),
        key=jax.random.key(0),
    )


def test_it_stops_at_the_target(mlp):
    """12 forget rows in batches of 4: 3 steps an epoch, and a look at the end of one, or after each step."""
    steps = {
        name: sum(epoch["steps"] for epoch in unlearned(mlp, **fields).history)
        for name, fields in {
            "never": {},
            "at once": {"target_accuracy": 1.0},
            "sooner": {"target_accuracy": 1.0, "check_every": 1},
        }.items()
    }
    assert steps == {"never": 9, "at once": 3, "sooner": 1}


def test_few_retain_examples(mlp):
    method = orthograd.make(orthograd.Config(batch_size=4, retain_count=5), mlp.model)
    (stage,) = method.plan(mlp.split)
    feeds = [stage.feed(np.random.default_rng(seed), None) for seed in range(2)]
    read = {int(i) for feed in feeds for i in feed["retain"].index.ravel()}
    assert read == set(mlp.split.sample(5).tolist()) <= set(mlp.split.retain.tolist())
    assert sorted(feeds[0]["forget"].index.ravel()) == sorted(mlp.split.forget)
