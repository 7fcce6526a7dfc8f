"""Statistics of too little: one row, one image of a class, no variance. Said, or treated so that nothing is lost."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.engine.batches import PLAIN_VIEWS
from junlearn.engine.run import run
from junlearn.errors import ConfigError
from junlearn.methods import build
from junlearn.metrics import METRICS, Context, Outputs, compute
from junlearn.models.modules import BatchNorm
from junlearn.parts import feeds
from junlearn.parts.class_statistics import TukeyPower, collect
from junlearn.types import Data, Split, Variables
from tests.methods.subjects import problem_of, subject_of

NORM = BatchNorm()
RUNNING = {"mean": jnp.array([1.0, -2.0]), "var": jnp.array([4.0, 0.25])}
PARAMS = {"scale": jnp.array([2.0, 3.0]), "bias": jnp.array([0.5, -1.0])}


def normalised(x, mask=None):
    """Outputs and running statistics after a batch in train mode."""
    variables = {"params": PARAMS, "batch_stats": RUNNING}
    y, after = NORM.apply(variables, x, train=True, mask=mask, mutable=["batch_stats"])
    return y, after["batch_stats"]


def rows(count, *places):
    return jnp.asarray(
        np.random.default_rng(0).normal(3, 2, size=(count, *places, 2)).astype(np.float32)
    )


@pytest.mark.parametrize("places", [(), (1,), (1, 1)])
@pytest.mark.parametrize(("count", "kept"), [(1, None), (1, 1), (5, 1), (64, 1), (5, 0), (64, 0)])
def test_one_value_a_channel_is_no_statistic(places, count, kept):
    """The running statistics stay, and the row is normalised by them as in eval mode."""
    x = rows(count, *places)
    mask = None if kept is None else jnp.arange(count) < kept
    y, after = normalised(x, mask)
    for name, value in RUNNING.items():
        np.testing.assert_array_equal(after[name], value)
    variables = {"params": PARAMS, "batch_stats": RUNNING}
    np.testing.assert_allclose(y[:1], NORM.apply(variables, x)[:1] if kept != 0 else y[:1])
    assert np.isfinite(y).all()


@pytest.mark.parametrize(
    ("count", "kept", "places"),
    [(2, None, ()), (5, 2, ()), (64, 63, (1, 1)), (1, None, (2, 1)), (3, 1, (2, 2)), (7, 7, (1,))],
)
def test_two_values_a_channel_are_one_as_in_pytorch(count, kept, places):
    x = rows(count, *places)
    mask = None if kept is None else jnp.arange(count) < kept
    y, after = normalised(x, mask)
    taken = np.asarray(x)[: count if kept is None else kept].reshape(-1, 2)
    for name, new in (("mean", taken.mean(0)), ("var", taken.var(0, ddof=1))):
        np.testing.assert_allclose(
            after[name], 0.9 * np.asarray(RUNNING[name]) + 0.1 * new, rtol=1e-5
        )
    shown = np.asarray(y)[: count if kept is None else kept].reshape(-1, 2)
    expected = (taken - taken.mean(0)) / np.sqrt(taken.var(0) + 1e-5)
    scale, bias = (np.asarray(PARAMS[name]) for name in ("scale", "bias"))
    np.testing.assert_allclose(shown, expected * scale + bias, rtol=1e-3, atol=1e-3)


def test_epochs_that_end_with_a_row_alone():
    """After twenty of them the running variance would be an eighth of what it is."""
    x, feed = rows(9), feeds.sequential(np.arange(9), 8)
    variables = {"params": PARAMS, "batch_stats": RUNNING}
    whole = {"params": PARAMS, "batch_stats": RUNNING}
    step = jax.jit(lambda v, x, m: NORM.apply(v, x, train=True, mask=m, mutable=["batch_stats"])[1])
    for _ in range(20):
        for index, mask in zip(feed.index, feed.mask, strict=True):
            variables |= step(variables, x[index], mask)
        whole |= step(whole, x[:8], np.ones(8, bool))
    np.testing.assert_array_equal(variables["batch_stats"]["var"], whole["batch_stats"]["var"])


def test_a_row_alone_still_has_gradients():
    def loss(params, x):
        variables = {"params": params, "batch_stats": RUNNING}
        return NORM.apply(variables, x, train=True, mutable=["batch_stats"])[0].sum()

    by_params, by_input = jax.grad(loss, argnums=(0, 1))(PARAMS, rows(1))
    assert (np.abs(by_input) > 0.1).all() and (np.abs(by_params["scale"]) > 0).all()


def request(labels, forget, classes=()):
    """The sources of a problem whose training labels are these, and the split that forgets `forget`."""
    rng = np.random.default_rng(0)
    problem, _ = problem_of("mlp")
    labels = np.asarray(labels, np.int32)
    x = rng.normal(size=(len(labels), 4, 4, 1)).astype(np.float32) + labels[:, None, None, None] / 2
    sources = {**problem.sources, "train": Data(x, labels)}
    tests = problem.sources["test"].y
    retain = np.setdiff1d(np.arange(len(labels)), forget)
    kept = ~np.isin(tests, classes)
    split = Split(
        np.asarray(forget), retain, np.flatnonzero(~kept), np.flatnonzero(kept), tuple(classes)
    )
    return sources, split


EVEN = np.resize(np.arange(4), 46)
LONE = np.where((EVEN == 1) & (np.arange(46) != 5), 0, EVEN)
REQUESTS = {
    "a class with one image, forgotten": (LONE, [5], (1,)),
    "a class with one image, kept": (LONE, np.flatnonzero(LONE == 2), (2,)),
    "one image of each class": (np.arange(4), [1], (1,)),
}


@pytest.mark.parametrize("name", ["duck", "emmn", "fisher", "jit", "laf", "ssd", "unsir", "scrub"])
@pytest.mark.parametrize("case", REQUESTS)
def test_methods_that_estimate_something(name, case):
    sources, split = request(*REQUESTS[case])
    problem, initial = problem_of("mlp")
    method = build(name, subject_of(name).config, problem.model)
    done = (problem.model, problem.variables, sources, split)
    result = run(method, *done, key=jax.random.key(0), initial=initial)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(result.variables))
    figures = [value for entry in result.history for value in entry.values()]
    assert all(np.isfinite(value) for value in figures if isinstance(value, float))


@pytest.mark.parametrize("name", ["scar", "scar_self"])
def test_a_covariance_of_one_image_is_an_error_that_says_so(name):
    sources, split = request(*REQUESTS["a class with one image, kept"])
    problem, _ = problem_of("mlp")
    method = build(name, subject_of(name).config, problem.model)
    with pytest.raises(ConfigError, match="needs 2 examples of a class; there is one only of cl"):
        run(method, problem.model, problem.variables, sources, split, key=jax.random.key(0))
    with pytest.raises(ConfigError, match=r"one only of class 1$"):
        collect(
            *(problem.model, problem.variables, sources["train"]),
            view=PLAIN_VIEWS["eval"],
            power=TukeyPower(),
        )


def logits(kind, count, rng):
    if kind == "constant":
        return np.zeros((count, 4), np.float32)
    if kind == "saturated":
        return np.where(np.eye(4)[rng.integers(0, 4, count)] > 0, 1e30, -1e30).astype(np.float32)
    return rng.normal(size=(count, 4)).astype(np.float32)


SIZES = {
    "one of each": (1, 1, 1, 0),
    "one forgotten": (20, 1, 9, 0),
    "one of its class unseen": (20, 1, 9, 1),
    "one kept": (1, 20, 9, 0),
    "one test image": (9, 9, 1, 0),
    "all tests of the class": (9, 5, 8, 8),
}


@pytest.mark.parametrize("kind", ["constant", "saturated", "drawn"])
@pytest.mark.parametrize("name", SIZES)
def test_metrics_of_next_to_nothing(kind, name):
    """No warning, no traceback, no number that is not finite."""
    retain, forget, test, own = SIZES[name]
    rng = np.random.default_rng(0)
    sizes = {"retain_train": retain, "forget_train": forget, "test": test}
    sizes |= {"forget_test": own, "retain_test": test - own}
    sizes = {split: count for split, count in sizes.items() if count}

    def outputs():
        return Outputs({split: logits(kind, count, rng) for split, count in sizes.items()})

    weights = Variables({"a": {"kernel": np.zeros((2, 2), np.float32)}}, {})
    context = Context(
        outputs(),
        {split: rng.integers(0, 4, count) for split, count in sizes.items()},
        original=outputs(),
        retrain=outputs(),
        random=outputs(),
        classes=(1,) if own else (),
        sample=np.arange(min(retain, forget)),
        networks=dict.fromkeys(("model", "original", "retrain"), weights),
        remark=lambda line: None,
    )
    with warnings.catch_warnings(action="error"):
        found = compute(context, tuple(METRICS))
    assert found and all(np.isfinite(value) for value in found.values())
