"""Ensembles from anywhere: what is refused, what is remarked, and what the words say."""

import numpy as np
import pytest

from junlearn import audit
from junlearn.errors import ConfigError
from tests.audit.small import CLASSES, LABELS, logits

OPTIONS = {"metrics": ("energy", "moments"), "permutations": 99, "splits": 20}


def compare(unlearned=None, retrained=None, twin=None, **options):
    sides = [
        logits(8, seed=seed) if side is None else side
        for seed, side in enumerate((unlearned, retrained, twin))
    ]
    return audit.compare(*sides, **({"labels": LABELS} | OPTIONS | options))


def changed(array, at, value):
    array = array.copy()
    array[at] = value
    return array


TWICE = logits(8, seed=1)
WRONG = {
    "too few": (
        {"unlearned": logits(6), "retrained": logits(6, seed=1), "twin": logits(6, seed=2)},
        "audit: 6 networks a side; the tests need at least 8",
    ),
    "too few of one": ({"unlearned": logits(7)}, "audit: 7 networks of unlearned; .* at least 8"),
    "too few twins": ({"twin": logits(7, seed=2)}, "audit: 7 networks a side"),
    "klom": ({"metrics": ("klom",)}, "klom needs at least 16 networks a side"),
    "the same files": (
        {"unlearned": TWICE},
        "audit: retrain-00000 and unlearned-00000 are the same network: the null halves must not share seeds",
    ),
    "a file of the twin": (
        {"unlearned": changed(logits(8), 3, logits(8, seed=2)[5])},
        "audit: twin-00005 and unlearned-00003 are the same network",
    ),
    "a twin of itself": (
        {"twin": TWICE[::-1]},
        "audit: retrain-00007 and twin-00000 are the same network",
    ),
    "a network twice": (
        {"retrained": changed(TWICE, 1, TWICE[0])},
        "audit: retrain-00000 and retrain-00001 are the same network",
    ),
    "one original for all": (
        {"original": np.repeat(logits(1, seed=5), 8, axis=0)},
        "audit: original-00000 and original-00001 are the same network",
    ),
    "pairs": (
        {"pairing": "matched", "metrics": ("energy",)},
        'laws can be compared only with pairing="decoupled"',
    ),
    "half of the files": (
        {"forget_rows": [1]},
        "give forget_rows and retrained_rows, both or neither",
    ),
    "a seen example": (
        {"forget_rows": [412, 9], "retrained_rows": [[1, 2]] * 7 + [[3, 412]]},
        "audit: example 412 is to be forgotten but was in the training set of retrain-00007",
    ),
    "rows of other networks": (
        {"forget_rows": [412], "retrained_rows": [[1, 2]] * 3},
        "audit: retrained_rows are of 3 networks, and there are 8",
    ),
    "one class": (
        {"unlearned": logits(8)[..., :1]},
        r"audit: unlearned\['forget'\] has 1 logit an example",
    ),
    "NaN": (
        {"unlearned": changed(logits(8), (2, 1, 0), np.nan)},
        r"audit: network 2 of unlearned\['forget'\] has logits that are NaN or infinite, on 1 of 12",
    ),
    "other classes": (
        {"unlearned": logits(8)[..., :3]},
        f"audit: unlearned has 3 classes, and retrain {CLASSES}",
    ),
    "other examples": ({"unlearned": logits(8, 11)}, "11 whole numbers are wanted"),
    "labels out of range": ({"labels": LABELS + CLASSES}, "labels reach from 4 to 4"),
    "labels of another kind": ({"labels": LABELS + 0.5}, "labels are float64"),
    "one network": ({"unlearned": logits(8)[0]}, r"has shape \[12, 4\]"),
    "no methods": ({"unlearned": {}}, "unlearned"),
    "a method called twin": ({"unlearned": {"twin": logits(8)}}, "'twin'"),
    "other parts": ({"unlearned": {"forget": logits(8), "test": logits(8)}}, "the same parts"),
    "a field": ({"permutation": 99}, "permutations"),
    "a metric": ({"metrics": ("enrgy",)}, "energy"),
    "a field of the arrays": ({"models": 8}, "models is told by the arrays"),
    "more folds than networks": (
        {"metrics": ("efficacy",), "folds": 9},
        "audit: efficacy: 8 networks a side do not make 9 folds; audit.folds can be at most 8",
    ),
    "a field of training": ({"keep": "margins"}, "keep is about networks that an audit trains"),
    "rows that are none": (
        {"forget_rows": [1], "retrained_rows": 3},
        "retrained_rows are of 0 networks",
    ),
    "nothing": ({"twin": [None] * 8}, "twin"),
    "a list of lists": ({"unlearned": [[1, 2], [3]]}, "different shapes"),
    "a design": ({"design": "random"}, "design is told by the arrays"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_compared_is_one_line(name):
    changes, message = WRONG[name]
    with pytest.raises(ConfigError, match=message) as caught:
        compare(**changes)
    assert "\n" not in str(caught.value) and "audit" in str(caught.value)


def test_a_method_may_do_nothing_and_two_may_do_the_same():
    before = logits(8, seed=5)
    found = compare({"none": before, "again": before}, original=before)
    assert [row["method"] for row in found.rows] == ["original", "twin", "none", "again"]
    values = [row["values"] for row in found.rows if row["method"] != "twin"]
    assert values[0] == values[1] == values[2]


def test_a_method_that_leaves_one_function_is_told_from_retraining():
    one = np.repeat(logits(1, seed=5), 16, axis=0)
    found = compare(one, logits(16, seed=1), logits(16, seed=2))
    assert found.rows[-1]["verdict"]["forget"].startswith("distinguishable")


def test_one_original_for_all_is_conditional():
    found = compare(originals="one", compat=("one_original",))
    verdicts = [row["verdict"]["forget"].endswith("one original") for row in found.rows]
    assert verdicts == [False, True]


def test_nothing_to_compare_with_is_one_line():
    with pytest.raises(ConfigError, match=r"audit: retrain\['forget'\] is None"):
        audit.compare(logits(8), None, labels=LABELS)


def test_sides_of_other_sizes_are_compared_by_the_smaller():
    found = compare(logits(20), logits(9, seed=1), logits(30, seed=2))
    assert [row["models"]["compared"] for row in found.rows] == [9, 9]


def test_without_twins_the_bands_are_pooled():
    found = audit.compare(logits(8), logits(8, seed=1), labels=LABELS, **OPTIONS)
    assert [row["method"] for row in found.rows] == ["unlearned"]
    assert {band["source"] for band in found.rows[0]["null"].values()} == {"pooled"}


def test_rates_that_are_not_reached_are_left_out_and_said():
    found = compare(metrics=("efficacy",), fpr=(0.02, 0.001))
    row = found.rows[-1]
    assert "forget/tpr@0.02" in row["values"] and "forget/tpr@0.001" not in row["values"]
    said = "audit: TPR at FPR 0.001 needs 1,000 scores of retrained networks; there are 96"
    assert row["remarks"] == [said]


def test_few_networks_make_klom_noise_and_it_is_said():
    sides = [logits(16, seed=seed) for seed in range(3)]
    found = audit.compare(*sides, labels=LABELS, **(OPTIONS | {"metrics": ("klom",)}))
    assert "16 networks a side is mostly noise" in found.rows[-1]["remarks"][0]


def test_shuffled_networks_are_more_alike_than_retraining():
    """Each number of the retrained networks once more, dealt out anew: no law is as near by chance."""
    second = logits(16, 200, seed=1)
    rng = np.random.default_rng(3)
    shuffled = np.stack([second[rng.permutation(16), i] for i in range(200)], axis=1)
    found = audit.compare(
        *(shuffled, second, logits(16, 200, seed=2)),
        labels=np.zeros(200, int),
        **(OPTIONS | {"permutations": 199}),
    )
    row = found.rows[-1]
    assert row["values"]["forget/energy"] < row["null"]["forget/energy"]["low"]
    assert row["verdict"]["forget"].startswith("closer than retraining is to itself")


@pytest.mark.parametrize(
    ("count", "examples", "classes", "scale"),
    [(8, 1, 2, 1.0), (8, 12, 2, 1e4), (16, 1, 4, 1e4), (8, 12, 4, 1e-6)],
)
def test_the_smallest_and_the_largest_of_everything(count, examples, classes, scale):
    metrics = ("energy", "moments", "efficacy", "tow", "churn", "epsilon")
    sides = [logits(count, examples, seed)[..., :classes] * scale for seed in range(3)]
    labels = {"forget": np.zeros(examples, int)}
    parts = [{"forget": side} for side in sides]
    with np.errstate(all="raise", under="ignore"):
        found = audit.compare(*parts, labels=labels, **(OPTIONS | {"metrics": metrics}))
    values = found.rows[-1]["values"]
    assert all(np.isfinite(value) for value in values.values()) and "forget/energy" in values


def test_margins_that_are_all_the_same_are_no_fault():
    """Every network says the same of every example but for the order of the other classes."""
    sides = []
    for seed in range(3):
        side = np.zeros((16, 12, CLASSES), np.float32)
        side[:, :, 1] = np.random.default_rng(seed).normal(0, 1e-3, (16, 1))
        side[:, :, 0] = 100.0
        sides.append(side)
    metrics = ("energy", "moments", "efficacy", "klom", "tow", "churn", "epsilon")
    found = audit.compare(*sides, labels=LABELS, **(OPTIONS | {"metrics": metrics}))
    assert set(found.rows[-1]["verdict"]) == {"forget"}
