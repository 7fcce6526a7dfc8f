"""Accuracy, divergences and aggregate scores: by hand, reference numbers, limits and defects."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from junlearn.errors import ConfigError, DivergedError
from junlearn.metrics import (
    DEFAULT_METRICS,
    METRICS,
    ON_REQUEST,
    Context,
    Outputs,
    compute,
    svm_attack,
)
from junlearn.metrics.aggregate import adaptive_unlearning_score
from junlearn.metrics.divergence import jensen_shannon, probability_distance
from tests.conftest import GOLDEN

SPLITS = {"retain_train": 12, "forget_train": 6, "test": 8, "retain_test": 5, "forget_test": 3}
LN2 = math.log(2.0)


def logits_of(*rows):
    """Logits whose softmax are the given rows of probabilities."""
    return np.log(np.asarray(rows, np.float64))


def network(seed, classes=4, sizes=SPLITS):
    rng = np.random.default_rng(seed)
    return Outputs({split: 2.0 * rng.normal(size=(n, classes)) for split, n in sizes.items()})


def labels(seed, classes=4, sizes=SPLITS):
    rng = np.random.default_rng(seed)
    return {split: rng.integers(0, classes, n) for split, n in sizes.items()}


@pytest.fixture
def context():
    return Context(network(0), labels(9), network(1), network(2), network(3))


def matrix(rows=5, classes=4, bound=1e3):
    return arrays(np.float64, (rows, classes), elements=st.floats(-bound, bound))


# --- every metric by hand ---


def test_metrics_by_hand():
    model = logits_of([0.5, 0.5 - 1e-9, 1e-9], [0.1, 0.8, 0.1])
    other = logits_of([0.2, 0.2, 0.6], [0.1, 0.8, 0.1])
    y = np.array([0, 0])
    splits = ("retain_train", "forget_train", "test")
    context = Context(
        Outputs(dict.fromkeys(splits, model)),
        dict.fromkeys(splits, y),
        original=Outputs(dict.fromkeys(splits, logits_of([0.9, 0.05, 0.05], [0.9, 0.05, 0.05]))),
        retrain=Outputs(dict.fromkeys(splits, other)),
        random=Outputs(dict.fromkeys(splits, other)),
    )
    p, q = (0.5, 0.5, 1e-9), (0.2, 0.2, 0.6)
    m = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
    js = 0.5 * sum(a * math.log(a / c) for a, c in zip(p, m, strict=True))
    js += 0.5 * sum(b * math.log(b / c) for b, c in zip(q, m, strict=True))
    names = ("accuracy", "divergence", "activation_distance", "agreement", "zrf", "aus", "tow")
    expected = {f"accuracy/{split}": 0.5 for split in splits}
    expected |= {"js/forget_train": js / 2, "js/test": js / 2}
    expected |= {"activation_distance/forget_train": math.sqrt(0.09 + 0.09 + 0.36) / 2}
    expected |= {"agreement/forget_train": 0.5, "agreement/test": 0.5}
    expected |= {"zrf/forget_train": 1 - js / 2, "zrf/test": 1 - js / 2}
    expected |= {"aus": 0.5, "tow": 0.125}  # test 1 -> 0.5; 0.5 against 0 on all three
    assert compute(context, names) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(("classes", "expected"), [((), 0.8 / 1.7), ((3,), 0.6 / 1.75)])
def test_aus_takes_the_form_and_the_splits_of_the_request(classes, expected):
    sizes = {"forget_train": 5, "test": 10, "retain_test": 5, "forget_test": 4}
    y = labels(0, sizes=sizes)

    def hitting(counts):
        """Logits that are right on the first `count` rows of a split, and wrong on the others."""
        shift = {split: np.arange(sizes[split]) >= count for split, count in counts.items()}
        return Outputs({split: np.eye(4)[(y[split] + miss) % 4] for split, miss in shift.items()})

    model = hitting({"forget_train": 0, "test": 7, "retain_test": 3, "forget_test": 3})
    original = hitting({"test": 9, "retain_test": 5})
    context = Context(model, y, original=original, classes=classes)
    assert METRICS["aus"](context) == {"aus": pytest.approx(expected)}


def test_aus_of_wrong_labels_is_about_the_true_ones():
    """To know none of the wrong labels, and all the true ones, is the ideal."""
    wrong, true = np.array([1, 1, 1, 1]), np.array([0, 2, 0, 2])
    test = np.array([0, 1])
    original = Outputs({"forget_train": np.eye(3)[wrong], "test": np.eye(3)[test]})
    repaired = Outputs({"forget_train": np.eye(3)[true], "test": np.eye(3)[test]})
    labelled = {"forget_train": wrong, "test": test}
    context = Context(repaired, labelled, original=original, clean={"forget_train": true})
    assert METRICS["aus"](context) == {"aus": 1}
    assert METRICS["aus"](context._replace(model=original)) == {"aus": 0.5}
    assert METRICS["accuracy"](context)["accuracy/forget_train"] == 0


@pytest.mark.parity
def test_golden_aus():
    with np.load(GOLDEN / "scar_corrective" / "06_aus.npz") as file:
        for i, is_random in enumerate(file["is_hr"]):
            forget, test = file["acc_forget"][i], file["acc_test"][i]
            delta = abs(forget - test) if is_random else forget
            value = adaptive_unlearning_score(file["acc_original"][i], test, delta)
            np.testing.assert_allclose(value, file["aus"][i], rtol=1e-12)


# --- limits and properties ---


def test_a_network_compared_with_itself(context):
    values = compute(context._replace(retrain=context.model, random=context.model))
    for split in ("forget_train", "test"):
        assert values[f"js/{split}"] == pytest.approx(0.0, abs=1e-15)
        assert values[f"agreement/{split}"] == 1.0
        assert values[f"zrf/{split}"] == pytest.approx(1.0, abs=1e-15)
    assert values["activation_distance/forget_train"] == 0.0
    assert values["tow"] == 1.0


def test_comparisons_with_the_retrained_network_are_symmetric(context):
    names = ("divergence", "activation_distance", "agreement", "tow")
    swapped = context._replace(model=context.retrain, retrain=context.model)
    assert compute(swapped, names) == pytest.approx(compute(context, names), abs=1e-12)
    assert compute(context, names)["tow"] < 1


@settings(max_examples=60, deadline=None)
@given(z=matrix(), w=matrix(), shift=st.floats(-50, 50))
def test_divergence_properties(z, w, shift):
    js = jensen_shannon(z, w)
    assert np.all((js >= 0) & (js <= LN2))
    np.testing.assert_array_equal(js, jensen_shannon(w, z))
    np.testing.assert_allclose(jensen_shannon(z + shift, w), js, rtol=0, atol=1e-9)
    assert np.all(probability_distance(z, w) <= math.sqrt(2) + 1e-12)
    # Classes that both networks exclude are no part of either quantity.
    pad = ((0, 0), (0, 7))
    wide = [np.pad(a, pad, constant_values=-1e5) for a in (z, w)]
    np.testing.assert_allclose(jensen_shannon(*wide), js, rtol=0, atol=1e-12)
    np.testing.assert_allclose(probability_distance(*wide), probability_distance(z, w), atol=1e-12)


def test_disjoint_predictions_reach_the_bounds():
    z, w = np.array([[1e4, 0.0], [0.0, 1e4]]), np.array([[0.0, 1e4], [1e4, 0.0]])
    np.testing.assert_allclose(jensen_shannon(z, w), LN2, rtol=1e-15)
    np.testing.assert_allclose(probability_distance(z, w), math.sqrt(2))


@pytest.mark.parametrize("classes", [(), (1,)])
def test_order_of_rows_and_shift_of_logits_change_nothing(context, classes):
    context = context._replace(classes=classes)
    rng = np.random.default_rng(5)
    # With `retain_test` and `forget_test` no metric folds the rows, so their order is free.
    order = {split: rng.permutation(n) for split, n in SPLITS.items()}

    def moved(outputs):
        return Outputs(
            {s: z[order[s]] + rng.normal(size=(len(z), 1)) for s, z in outputs.logits.items()}
        )

    networks = {
        name: moved(getattr(context, name)) for name in ("model", "original", "retrain", "random")
    }
    other = context._replace(labels={s: y[order[s]] for s, y in context.labels.items()}, **networks)
    assert compute(other) == pytest.approx(compute(context), abs=1e-9)


# --- what is absent, and what is wrong ---


def test_default_metrics_name_their_splits(context):
    assert set(DEFAULT_METRICS) == set(METRICS) - set(ON_REQUEST)
    keys = set(compute(context))
    assert {f"accuracy/{split}" for split in SPLITS} <= keys
    assert {"js/forget_train", "agreement/test", "zrf/forget_train", "aus", "tow"} <= keys


def test_nothing_is_made_up_without_a_reference(context):
    keys = set(compute(context._replace(original=None, retrain=None, random=None)))
    assert {key.split("/")[0] for key in keys} == {"accuracy", "mia", "entropy"}


@pytest.mark.parametrize("name", METRICS)
def test_absent_and_empty_splits_agree(context, name, monkeypatch):
    monkeypatch.setattr(svm_attack, "GRID", {"C": [1], "gamma": [1]})

    def without(outputs, keep):
        return Outputs({s: z if s in keep else z[:0] for s, z in outputs.logits.items()})

    for keep in ((), ("test",), ("forget_train", "test"), ("retain_train", "test")):
        absent = context._replace(model=Outputs({s: context.model.logits[s] for s in keep}))
        empty = context._replace(model=without(context.model, keep))
        assert METRICS[name](absent) == METRICS[name](empty)
        if not keep:
            assert METRICS[name](absent) == {}


@pytest.mark.parametrize(
    ("who", "metric", "split"),
    [
        ("model", "accuracy", "retain_test"),
        ("model", "mia", "retain_train"),
        ("model", "mia_svc", "test"),
        ("retrain", "divergence", "test"),
        ("retrain", "activation_distance", "forget_train"),
        ("retrain", "agreement", "test"),
        ("retrain", "tow", "retain_train"),
        ("random", "zrf", "forget_train"),
        ("original", "aus", "test"),
    ],
)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_logit_that_is_not_finite_is_named(context, who, metric, split, value):
    getattr(context, who).logits[split][1, 2] = value
    with pytest.raises(
        DivergedError, match=rf"{who} network on '{split}'.* 1 of {SPLITS[split]} rows"
    ):
        METRICS[metric](context)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.labels.pop("test"), "no labels on 'test'"),
        (
            lambda c: c.labels.update(test=np.zeros(3, int)),
            r"labels on 'test': expected 8 integers",
        ),
        (lambda c: c.labels.update(test=np.zeros(8)), "labels on 'test': expected 8 integers"),
        (lambda c: c.labels.update(test=np.full(8, 4)), "labels on 'test' reach from 4 to 4"),
        (lambda c: c.labels.update(test=np.full(8, -1)), "labels on 'test' reach from -1"),
        (lambda c: c.model.logits.update(test=np.zeros((8, 1))), r"'test': expected \[N,K\]"),
        (
            lambda c: c.retrain.logits.update(test=np.zeros((7, 4))),
            r"'test': \(8, 4\) of the model",
        ),
    ],
)
def test_inconsistent_inputs_are_named(context, change, message):
    change(context)
    with pytest.raises(ValueError, match=message):
        compute(context, ("accuracy", "divergence"))


def test_an_unknown_metric_names_the_nearest(context):
    with pytest.raises(ConfigError, match="unknown metric 'accurcy'; did you mean 'accuracy'"):
        compute(context, ("accurcy",))


def test_aus_has_a_form_of_its_own_for_whole_classes(context):
    random, removal = (METRICS["aus"](context._replace(classes=c)) for c in ((), (1,)))
    assert abs(random["aus"] - removal["aus"]) > 0.01
