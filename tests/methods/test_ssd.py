"""SSD and its variants: the arithmetic by hand, the thresholds, the search, and what is read of the labels."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.engine.batches import PLAIN_VIEWS
from junlearn.engine.predict import evaluate_accuracy
from junlearn.engine.run import run
from junlearn.errors import ConfigError
from junlearn.methods import finetune, ssd
from junlearn.parts.importance import loss_of, percentile_of_ratios
from tests.golden_nets import drive

KEY = jax.random.key(5)
"""Of every run; the driver gives the method the first of its two halves."""

POTION = {
    "importance": "batch",
    "denominator": "retain",
    "order": "shuffled",
    "loss": "norm",
    "power": 1,
    "threshold": "adaptive",
}
LFSSD = {"importance": "batch", "loss": "squared_norm", "power": 1, "order": "stored"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"alpha": 1, "dampening": 1}, [0.25, 2, 3, 0]),
        ({"alpha": 2, "dampening": 10}, [1, 2, 3, 0]),
        ({"alpha": 1, "dampening": 1, "exponent": 2.0}, [1 / 16, 2, 3, 0]),
        ({"alpha": 1, "dampening": 2, "upper_bound": 0.125}, [0.125, 2, 3, 0]),
        ({"alpha": np.inf, "dampening": 0}, [1, 2, 3, 4]),
    ],
)
def test_dampening_by_hand(options, expected):
    theta, forget, reference = (
        {"w": jnp.array(values)} for values in ([1.0, 2, 3, 4], [4.0, 1, 0, 9], [1.0, 1, 0, 0])
    )
    out = ssd.dampen(theta, forget, reference, **options)
    np.testing.assert_allclose(out["w"], expected)


def test_losses_by_hand():
    logits = jnp.array([[3.0, 4.0], [0.0, 0.0]])
    labels = jnp.array([1, 0])
    cross_entropy = loss_of(logits, labels, "cross_entropy")
    np.testing.assert_allclose(cross_entropy, [np.log(1 + np.exp(-1)), np.log(2)], rtol=1e-6)
    np.testing.assert_allclose(loss_of(logits, labels, "squared_norm"), [25, 0])
    np.testing.assert_allclose(loss_of(logits, labels, "norm"), [5, 0])
    gradient = jax.grad(lambda z: loss_of(z, labels, "norm").sum())(logits)
    np.testing.assert_allclose(gradient, [[0.6, 0.8], [0, 0]], rtol=1e-6)


def test_percentile_leaves_out_what_has_no_denominator():
    top, bottom = {"a": jnp.array([1.0, 9.0, 4.0]), "b": jnp.array([[0.0, 6.0]])}, {}
    bottom = {"a": jnp.array([1.0, 0.0, 2.0]), "b": jnp.array([[0.0, 2.0]])}
    found = percentile_of_ratios(top, bottom, 75.0)
    np.testing.assert_allclose(found, np.percentile([1, 2, 3], 75))


def observed(problem, **options):
    method = ssd.make(ssd.Config(**options), problem.model)
    sources = jax.tree.map(jnp.asarray, problem.sources)
    key, _ = jax.random.split(KEY)
    state = method.init(key, problem.variables, sources, problem.split)
    for stage in method.plan(problem.split):
        state, _ = drive(stage, state, sources)
    return method, state


def test_batches_of_one_are_examples_and_bound_the_ratio(mlp):
    _, ones = observed(mlp, importance="batch", batch_size=1)
    _, exact = observed(mlp, batch_size=16)
    for a, b in ((ones.forget, exact.forget), (ones.reference, exact.reference)):
        chex.assert_trees_all_close(a.mean(), b.mean(), rtol=1e-4, atol=1e-9)
    bound = len(mlp.sources["train"].y) / len(mlp.split.forget)
    highest = percentile_of_ratios(exact.forget.mean(), exact.reference.mean(), 100.0)
    assert highest <= bound * 1.0001


def test_adaptive_threshold_is_the_percentile_of_the_share(mlp):
    method, state = observed(mlp, threshold="adaptive")
    share = len(mlp.split.forget) / len(mlp.sources["train"].y)
    np.testing.assert_allclose(state.share, share, rtol=1e-6)
    forget, reference = state.forget.mean(), state.reference.mean()
    alpha = percentile_of_ratios(forget, reference, 100 - np.log(1 + 100 * share))
    by_hand = ssd.dampen(mlp.variables.params, forget, reference, alpha, 1.0)
    chex.assert_trees_all_close(method.finish(state).params, by_hand, rtol=1e-6)


def result(problem, **options):
    config = ssd.Config(batch_size=16, **options)
    return run(
        ssd.make(config, problem.model),
        problem.model,
        problem.variables,
        problem.sources,
        problem.split,
        key=KEY,
    )


@pytest.mark.parametrize(
    "options", [LFSSD | {"alpha": 1.0}, POTION, {"loss": "norm", "threshold": "percentile"}]
)
def test_norms_read_no_labels(options, mlp):
    train = mlp.sources["train"]
    blind = mlp.sources | {"train": train._replace(y=np.full_like(train.y, -(10**6)))}
    seen, unseen = result(mlp, **options), result(mlp._replace(sources=blind), **options)
    chex.assert_trees_all_equal(seen.variables, unseen.variables)
    changed = jax.tree.map(lambda a, b: (a != b).any(), seen.variables, mlp.variables)
    assert any(jax.tree.leaves(changed))


def test_search_stops_at_the_first_share_that_forgets_enough(mlp):
    """A network that knows its training set, of which one class is to be known a quarter of the time."""
    split, everything = mlp.split, np.arange(len(mlp.sources["train"].y))
    recipe = finetune.Config(epochs=20, batch_size=16, learning_rate=0.05)
    whole = split._replace(retain=everything)
    trained = run(
        finetune.make(recipe, mlp.model),
        mlp.model,
        mlp.variables,
        mlp.sources,
        whole,
        key=jax.random.key(0),
    )
    problem = mlp._replace(variables=trained.variables)
    done = result(problem, forget_accuracy=0.25, **POTION)
    shares = [entry["share"] for entry in done.history if entry["stage"] == "search"]
    start = len(split.forget) / len(everything) / 25
    np.testing.assert_allclose(shares, start * 1.1 ** np.arange(len(shares)), rtol=1e-4)
    assert 1 < len(shares) < ssd.SEARCH_TRIES

    def accuracy(variables):
        measured = evaluate_accuracy(
            problem.model, variables, problem.sources, split.forget, views=PLAIN_VIEWS
        )
        return measured["accuracy"]

    method, state = observed(problem, batch_size=16, **POTION)
    last, before = (
        method.finish(state._replace(share=jnp.float32(share)))
        for share in (shares[-1], shares[-2])
    )
    assert accuracy(trained.variables) == 1.0
    assert accuracy(last) <= 0.25 < accuracy(before)
    chex.assert_trees_all_close(last, done.variables, rtol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (LFSSD | {"order": "class_sorted"}, "reads labels"),
        ({"forget_accuracy": 0.1}, "adaptive"),
    ],
)
def test_contradictions_are_refused(options, message, mlp):
    with pytest.raises(ConfigError, match=message):
        ssd.make(ssd.Config(**options), mlp.model)
