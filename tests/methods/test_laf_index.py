"""The index sets of LAF's three scenarios, by the rules that its release follows."""

import jax
import numpy as np
import pytest

from junlearn.scenarios import SCENARIOS
from junlearn.types import Data, Dataset
from tests.conftest import GOLDEN

pytestmark = pytest.mark.parity


@pytest.fixture(scope="module")
def case():
    with np.load(GOLDEN / "laf_camu/index_laf.npz") as arrays:
        return dict(arrays)


def requested(name, case):
    """The scenario of `name` on the labels of the case."""
    y = case["labels"].astype(np.int32)
    train, test = (
        Data(np.zeros((len(y), 1, 1, 1), np.uint8), y),
        Data(np.zeros((1, 1, 1, 1)), y[:1]),
    )
    names = tuple(str(k) for k in range(len(case["class_counts"])))
    data = Dataset("given", "1", "0", {"train": train, "test": test}, {}, names)
    fractions = case[f"{name}_fractions"]
    classes = tuple(int(k) for k in np.flatnonzero(fractions))
    kind, fields = {
        "class": ("class", {"classes": classes}),
        "fractions": ("random", {"fractions": tuple(fractions)}),
        "random": ("random", {"fractions": tuple(fractions)}),
        "noise": (
            "noisy_labels",
            {
                "classes": classes,
                "fraction": float(fractions.max()),
                "labels": int(case["noise_label_max"]) + 1,
            },
        ),
    }[name]
    scenario = SCENARIOS[kind]
    made = scenario.make(scenario.Config(**fields), data, jax.random.key(1))
    return made if scenario.manipulates else (data, made)


@pytest.mark.parametrize("name", ["class", "fractions", "random", "noise"])
def test_index_sets(name, case):
    labels = case["labels"]
    _, split = requested(name, case)
    sample = split.sample(len(split.forget))
    reference = (case[f"{name}_{part}"] for part in ("forget", "remain", "sample"))
    for forget, retain, drawn in ((split.forget, split.retain, sample), tuple(reference)):
        counts = np.bincount(labels[forget], minlength=len(case["class_counts"]))
        np.testing.assert_array_equal(counts, case[f"{name}_forget_per_class"])
        truncated = (case[f"{name}_fractions"] * case["class_counts"]).astype(int)
        np.testing.assert_array_equal(counts, truncated)
        np.testing.assert_array_equal(retain, np.setdiff1d(np.arange(len(labels)), forget))
        assert len(drawn) == len(set(drawn)) == min(len(forget), len(retain))
        assert set(drawn) <= set(retain)


def test_noisy_labels(case):
    data, split = requested("noise", case)
    true = case["labels"]
    drawable = set(range(int(case["noise_label_max"]) + 1))
    for noisy, forget in (
        (data.sources["train"].y, split.forget),
        (case["noise_labels"], case["noise_forget"]),
    ):
        assert (noisy[forget] != true[forget]).all()
        drawn = set(noisy[forget])
        assert drawn <= drawable
        # So many draws leave no label out.
        assert drawn == drawable or len(forget) < 12 * len(drawable)
        kept = np.setdiff1d(np.arange(len(true)), forget)
        np.testing.assert_array_equal(noisy[kept], true[kept])
