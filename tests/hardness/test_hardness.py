"""Scores of examples against numpy, their limits, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import junlearn
from junlearn.engine.batches import PLAIN_VIEWS
from junlearn.errors import ConfigError, DivergedError
from junlearn.hardness import bilevel, entanglement, memorisation, proxies
from junlearn.methods import retrain
from junlearn.train import train
from junlearn.types import Data
from tests.linear_net import MODEL, flat, logits, one_hot, problem, softmax

RECIPE = retrain.Config(epochs=3, batch_size=5, optimizer="sgd", learning_rate=0.1, augment=False)
SEARCH = {
    "size": 4,
    "level": "examples",
    "find": "hard",
    "rounds": 3,
    "epochs": 2,
    "learning_rate": 0.05,
    "weight_rate": 0.2,
    "gamma": 0.1,
    "binary_every": 2,
    "batch_size": 5,
}


def test_memorisation_is_a_difference_of_means():
    rng = np.random.default_rng(0)
    inside, right = rng.random((40, 7)) < 0.6, rng.random((40, 7)) < 0.5
    found = memorisation.memorisation(inside, right)
    for i in range(7):
        of_it = right[inside[:, i], i].mean() - right[~inside[:, i], i].mean()
        assert found[i] == pytest.approx(of_it, abs=1e-12)
    np.testing.assert_allclose(np.diag(memorisation.influence(inside, right)), found, atol=1e-12)


def test_subsets_have_equally_many():
    drawn = memorisation.subsets(11, 6, 0.7, seed=3)
    assert (drawn.sum(1) == 7).all() and len(np.unique(drawn, axis=0)) == 6
    np.testing.assert_array_equal(drawn, memorisation.subsets(11, 6, 0.7, seed=3))
    assert (drawn != memorisation.subsets(11, 6, 0.7, seed=4)).any()


def test_an_example_without_two_sides_is_refused():
    with pytest.raises(ConfigError, match=r"2 examples are .* first in row 1: train more networks"):
        memorisation.memorisation(np.array([[1, 1, 0], [0, 1, 0]], bool), np.ones((2, 3), bool))
    with pytest.raises(ConfigError, match="leaves nothing to train on"):
        memorisation.subsets(3, 2, 0.2, 0)


def test_a_wrong_label_is_memorised():
    """Two kinds of image; one of the first kind has the label of the second, and a pixel of its own."""
    x = np.zeros((24, 2, 2, 1), np.float32)
    x[:12, 0, 0], x[12:, 0, 1] = 1, 1
    y = np.repeat(np.arange(2, dtype=np.int32), 12)
    x[0, 1, 1], y[0] = 1, 1
    recipe = retrain.Config(epochs=30, batch_size=8, learning_rate=0.3, augment=False)
    scores = memorisation.trained_scores(
        recipe, MODEL, {"train": Data(x, y)}, models=12, share=0.6, seed=0, views=PLAIN_VIEWS
    )
    assert scores.argmax() == 0 and scores[0] > 0.9 and np.abs(scores[1:]).max() < 0.2


def test_proxies_are_what_they_say():
    variables, sources, _ = problem(3, 9)
    x, y = sources["train"].x, sources["train"].y
    p = softmax(logits(variables, x))
    rows = np.arange(len(p))
    expected = {
        "confidence": 1 - p[rows, y],
        "max_probability": 1 - p.max(1),
        "entropy": -(p * np.log(p)).sum(1),
        "accuracy": p.argmax(1) != np.asarray(y),
    }
    kernel = np.asarray(variables.params["fc"]["kernel"], np.float64)

    def gradient(x):
        return (softmax(logits(variables, x)) - one_hot(y)) @ kernel.T

    z = np.sign(gradient(x)) / 2  # of norm 1: four pixels
    moved = gradient(flat(x) + 0.3 * z)
    expected["curvature"] = np.linalg.norm(moved - gradient(x), axis=1)
    for kind in proxies.WATCHED:
        found = proxies.measure(kind, MODEL, variables, x, y, 0.3)
        np.testing.assert_allclose(found, expected[kind], atol=2e-5)
    with pytest.raises(ConfigError, match="unknown proxy 'loss'"):
        proxies.measure("loss", MODEL, variables, x, y)


def test_entropy_of_a_certain_network_is_zero():
    variables, sources, _ = problem(3, 9)
    sure = jax.tree.map(lambda leaf: 1e8 * leaf, variables)
    found = proxies.measure("entropy", MODEL, sure, sources["train"].x, sources["train"].y)
    np.testing.assert_array_equal(found, 0)


def test_watching_changes_nothing_and_takes_means_over_epochs():
    """At a rate that moves nothing the mean over the epochs is the value itself."""
    _, sources, _ = problem(3, 9)
    still = retrain.Config(
        epochs=3, batch_size=5, optimizer="sgd", learning_rate=1e-30, augment=False
    )
    key, options = jax.random.key(4), {"seed": 1, "views": PLAIN_VIEWS}
    found = proxies.watched_scores(
        "confidence", still, MODEL, sources, step=0.1, key=key, options=options
    )
    start = train(still, MODEL, sources, key=key, **options).variables
    expected = proxies.measure("confidence", MODEL, start, *sources["train"][:2])
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    once = retrain.Config(steps=1, batch_size=5, optimizer="sgd", learning_rate=0.1, augment=False)
    with pytest.raises(ConfigError, match="7 examples were in no batch"):
        proxies.watched_scores(
            "confidence", once, MODEL, sources, step=0.1, key=key, options=options
        )


def test_held_out_is_the_divergence_of_a_fine_tuned_copy():
    variables, sources, _ = problem(3, 9, unseen=8)
    options = {"seed": 0, "views": PLAIN_VIEWS}

    def scores(rate, sources=sources):
        return proxies.held_out(
            *(MODEL, variables, sources),
            epochs=2,
            learning_rate=rate,
            key=jax.random.key(0),
            options=options,
        )

    assert scores(1e-30).max() < 1e-9 < scores(0.1).min()
    p, q = np.array([[0.2, 0.8]]), np.array([[0.6, 0.4]])
    expected = ((p * np.log(p / q)).sum() + (q * np.log(q / p)).sum()) / 2
    assert proxies.divergences(np.log(p) + 3, np.log(q))[0] == pytest.approx(expected)
    with pytest.raises(ConfigError, match=r"set validation = 0\.1"):
        scores(0.1, {"train": sources["train"]})


def test_entanglement_of_sets():
    rng = np.random.default_rng(0)
    near, far = rng.normal(size=(30, 4)), rng.normal(size=(20, 4)) + 5
    assert entanglement.score(near, far) < 0.5 < entanglement.score(near, rng.normal(size=(20, 4)))
    assert entanglement.score(near, near) == np.inf
    by_hand = np.sqrt(((near - near.mean(0)) ** 2).sum(1))
    np.testing.assert_allclose(entanglement.distances(near), by_hand)


def test_the_search_by_hand():
    """All rounds of the search again in numpy."""
    variables, sources, _ = problem(3, 9)
    x, y = flat(sources["train"].x), np.asarray(sources["train"].y)
    found = bilevel.search(
        MODEL, variables, sources, settings=SEARCH, view=PLAIN_VIEWS["eval"], seed=2
    )
    rng = np.random.default_rng(2)
    w = np.zeros(12)
    w[rng.choice(12, 4, replace=False)] = 1
    for number in range(3):
        fc = variables.params["fc"]
        kernel, bias = (np.asarray(fc[n], np.float64) for n in ("kernel", "bias"))
        for _ in range(2):
            order = rng.permutation(12)
            for batch in (order[:5], order[5:10], order[10:]):
                gap = softmax(x[batch] @ kernel + bias) - one_hot(y[batch])
                gap *= (1 - w[batch])[:, None]
                kernel = kernel - 0.05 * np.sign(x[batch].T @ gap)
                bias = bias - 0.05 * np.sign(gap.sum(0))
        losses = -np.log(softmax(x @ kernel + bias)[np.arange(12), y])
        w = bilevel.project(w - 0.2 * (losses + 0.2 * w), 4)
        assert w.sum() == pytest.approx(4, abs=1e-4)
        if number == 1:
            w = bilevel.binary(w, 4)
    np.testing.assert_allclose(found, w, atol=1e-4)


def test_the_search_for_classes_and_for_the_easy():
    variables, sources, _ = problem(3, 9)

    def search(**changes):
        return bilevel.search(
            *(MODEL, variables, sources),
            settings=SEARCH | changes,
            view=PLAIN_VIEWS["eval"],
            seed=2,
        )

    w, y = search(level="classes", size=1), np.asarray(sources["train"].y)
    of_class = [np.unique(w[y == k]) for k in range(3)]
    assert all(len(values) == 1 for values in of_class)
    assert sum(values[0] for values in of_class) == pytest.approx(1, abs=1e-4)
    hard, easy = (search(find=find, rounds=12, binary_every=99) for find in ("hard", "easy"))
    losses = bilevel.losses_of(
        MODEL, variables, jax.tree.map(jnp.asarray, sources["train"]), PLAIN_VIEWS["eval"]
    )
    assert hard @ losses < losses.mean() * 4 < easy @ losses
    with pytest.raises(ConfigError, match="3 of 3 classes leave nothing to forget"):
        search(level="classes", size=3)
    with pytest.raises(DivergedError, match="a lower learning_rate"):
        search(learning_rate=3e38)


def test_projection_is_the_nearest_point():
    w = np.random.default_rng(0).normal(size=9)
    found = bilevel.project(w, 3)
    assert found.sum() == pytest.approx(3, abs=1e-4) and found.min() >= 0 and found.max() <= 1
    inside = (found > 0) & (found < 1)
    np.testing.assert_allclose(np.ptp((w - found)[inside]), 0, atol=1e-9)


def test_from_python():
    """The public functions are those of the experiments, with arrays and a recipe."""
    variables, sources, split = problem(3, 9)
    options = {"epochs": 3, "batch_size": 5, "optimizer": "sgd", "learning_rate": 0.1}
    found = junlearn.memorisation(MODEL, sources, models=12, share=0.5, augment=False, **options)
    expected = memorisation.trained_scores(
        RECIPE, MODEL, sources, models=12, share=0.5, seed=0, views=PLAIN_VIEWS
    )
    np.testing.assert_allclose(found, expected, atol=1e-12)
    embedded = flat(sources["train"].x)
    value = junlearn.entanglement(MODEL, variables, sources, split)
    by_hand = entanglement.score(embedded[split.retain], embedded[split.forget])
    assert value == pytest.approx(by_hand, rel=1e-5)
    settings = {name: SEARCH[name] for name in SEARCH if name != "size"}
    w = junlearn.worst_case(MODEL, variables, sources, 4, seed=2, **settings)
    expected = bilevel.search(
        MODEL, variables, sources, settings=SEARCH, view=PLAIN_VIEWS["eval"], seed=2
    )
    np.testing.assert_array_equal(w, expected)
    rows = junlearn.ranking.group(w, "high", 4)
    assert junlearn.split_off(sources, rows).forget.tolist() == sorted(rows)
    for wrong, says in (({"round": 2}, "round"), ({"find": "worst"}, "find")):
        with pytest.raises(ConfigError, match=says):
            junlearn.worst_case(MODEL, variables, sources, 4, **wrong)
    with pytest.raises(ConfigError, match="models"):
        junlearn.memorisation(MODEL, sources, models=1)
