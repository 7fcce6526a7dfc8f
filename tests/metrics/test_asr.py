"""The membership attack of LAF and CaMU against reference numbers, and on made-up outputs."""

import dataclasses

import numpy as np
import pytest
from sklearn.preprocessing import minmax_scale

from junlearn import outputs
from junlearn.errors import ConfigError
from junlearn.experiment import schema
from junlearn.experiment.identity import judgement
from junlearn.metrics import METRICS, Context, Outputs, boosted_attack, compute
from junlearn.metrics.boosted_attack import CUTS, attack, features, rows_taken
from junlearn.types import Split
from tests.conftest import ROOT

CONFIGS = ROOT / "configs"


@pytest.mark.parametrize(
    ("available", "cut", "rows"),
    [(6000, 5000, 5024), (5000, 5000, 5000), (9000, 4000, 4000), (20, 4000, 20), (40, 33, 40)],
)
def test_whole_batches_are_taken(available, cut, rows):
    assert rows_taken(available, cut) == rows


def test_the_cuts_of_the_papers():
    assert (CUTS, boosted_attack.BATCH) == ({"laf": 5000, "camu": 4000}, 32)


def test_features_are_sorted_probabilities():
    np.testing.assert_allclose(features(np.log([[0.5, 0.2, 0.3]])), [[0.2, 0.3, 0.5]], rtol=1e-6)


@pytest.mark.parity
@pytest.mark.parametrize("case", ["laf", "camu"])
def test_parity_with_the_reference(case, golden, monkeypatch):
    g = golden(f"laf_camu/mia_{case}")
    monkeypatch.setattr(boosted_attack, "BATCH", int(g["batch"]))
    member, test, forget = (
        g[f"{name}_logits_q"].astype(np.float32) * np.float32(g["logit_scale"])
        for name in ("member", "test", "forget")
    )
    cut = int(g["cut"])
    members, others = rows_taken(len(member), cut), rows_taken(len(test), cut)
    assert (members, others) == (g["n_member_used"], g["n_nonmember_used"])
    x = features(np.concatenate([member[:members], test[:others]]))
    np.testing.assert_allclose(
        x.sum(axis=0, dtype=np.float64), g["train_feature_colsum"], rtol=1e-6
    )
    held_out = test[others:][: rows_taken(len(test), len(forget))]
    assert len(held_out) == g["n_heldout"]
    judged = features(np.concatenate([forget, held_out]))
    np.testing.assert_allclose(judged, g["eval_features"], rtol=2e-6, atol=1e-6)
    done = attack(member, test, forget, cut, kept=g["kept_rows"])
    # Another booster than the reference's: its own README allows 0.04.
    assert done.asr == pytest.approx(float(g["asr"]), abs=0.04)
    assert done.balanced == pytest.approx(float(g["balanced_asr"]), abs=0.04)
    drawn = attack(member, test, forget, cut)
    assert drawn.asr == pytest.approx(float(g["asr_other_splits"].mean()), abs=0.04)


def logits(rng, sureness, count):
    return minmax_scale(rng.normal(size=(count, 4)), axis=1) * sureness


def context(forget_sureness):
    rng = np.random.default_rng(0)
    splits = {
        "retain_train": logits(rng, 12.0, 300),
        "forget_train": logits(rng, forget_sureness, 90),
        "test": logits(rng, 2.0, 9000),
    }
    labels = {name: np.zeros(len(rows), int) for name, rows in splits.items()}
    return Context(Outputs(splits), labels, sample=np.arange(90))


def with_tests(full, count):
    """With the first `count` test rows alone."""
    splits = {**full.model.logits, "test": full.model.logits["test"][:count]}
    return full._replace(
        model=Outputs(splits), labels={**full.labels, "test": full.labels["test"][:count]}
    )


def test_the_attack_tells_remembered_from_unseen():
    remembered, forgotten = (METRICS["asr"](context(sureness)) for sureness in (12.0, 2.0))
    for paper in ("laf", "camu"):
        assert remembered[f"asr/{paper}_balanced"] > 0.95
        assert forgotten[f"asr/{paper}_balanced"] == pytest.approx(0.5, abs=0.1)
        assert forgotten[f"asr/{paper}_train"] > 0.95


def test_test_rows_in_the_order_of_their_classes(monkeypatch):
    """Their first ones are some classes alone: a fixed permutation, where each class lies in one piece; only then."""
    plain, seen = context(2.0), []
    monkeypatch.setattr(
        boosted_attack, "attack", lambda member, test, *rest, **kw: seen.append(test)
    )
    rows, mixed = np.arange(9000), np.arange(9000) % 4
    numbered = Outputs({**plain.model.logits, "test": np.stack([rows] * 4, axis=1)})
    for labels in (mixed, np.sort(mixed), np.sort(mixed)[::-1]):
        named = {**plain.labels, "test": labels}
        METRICS["asr"](plain._replace(model=numbered, labels=named))
    as_stored, ascending, descending = (test[:, 0] for test in seen[::2])
    np.testing.assert_array_equal(as_stored, rows)
    np.testing.assert_array_equal(ascending, descending)
    np.testing.assert_array_equal(np.sort(ascending), rows)
    assert len(np.unique(ascending[:4000] // 1000)) == 9


def test_what_is_left_out_is_told(caplog):
    """Once for each cut, with the reason; without a listener of its own it is logged."""
    said = []
    full = context(2.0)._replace(remark=said.append)
    assert set(compute(with_tests(full, 4500), ["asr"])) == {
        f"asr/camu{end}" for end in ("", "_balanced", "_train")
    }
    assert len(said) == 1 and "asr/laf is left out" in said[0] and "all 4,500" in said[0]
    assert compute(with_tests(full, 360), ["asr"]) == {} and len(said) == 3
    # No sample: the reason is not the metric's own.
    assert compute(full._replace(sample=np.zeros(0, int)), ["asr"]) == {}
    assert len(said) == 4 and "asr is left out: a split" in said[3]
    # What is computed unless metrics are named has no meaning for many requests.
    assert compute(full, ["corrective"]) == {} and len(said) == 4
    assert compute(with_tests(context(2.0), 360), ["asr"]) == {}
    assert [r.message.split(" ")[0] for r in caplog.records] == ["asr/laf", "asr/camu"]


def test_the_two_boosters_are_two_metrics():
    pytest.importorskip("xgboost")
    own, papers = (METRICS[name](context(12.0)) for name in ("asr", "asr_xgboost"))
    assert papers.keys() == {name.replace("asr/", "asr_xgboost/") for name in own}
    assert papers["asr_xgboost/laf_balanced"] > 0.95


def test_xgboost_where_it_is_not_installed(monkeypatch):
    """A configuration is refused, in Python it is left out and said; the other booster does not depend on it."""
    monkeypatch.setattr(boosted_attack, "find_spec", lambda name: None)
    table = schema.read(CONFIGS / "camu" / "mnist_class.toml")
    needed = "asr_xgboost needs XGBoost: pip install 'junlearn"
    with pytest.raises(ConfigError, match=needed):
        schema.parse(table | {"metrics": ["accuracy", "asr_xgboost"]})
    with pytest.raises(ConfigError, match=needed):
        boosted_attack.booster("xgboost")
    said = []
    assert compute(context(2.0)._replace(remark=said.append), ["asr_xgboost"]) == {}
    assert len(said) == 1 and needed in said[0]
    assert schema.parse(table | {"metrics": ["asr"]}).metrics == ("asr",)
    assert type(boosted_attack.booster("scikit-learn")).__name__ == "HistGradientBoostingClassifier"


def test_nothing_is_made_up():
    full = context(2.0)
    assert METRICS["asr"](full._replace(sample=np.zeros(0, int))) == {}
    assert METRICS["asr"](with_tests(full, 100)) == {}


def test_the_sample_is_found_among_the_retain_rows():
    retain = np.array([9, 3, 7, 1, 5])
    split = Split(np.array([0, 2]), retain, np.zeros(0, int), np.zeros(0, int))
    np.testing.assert_array_equal(retain[outputs.sample(split)], split.sample(2))
    np.testing.assert_array_equal(retain[outputs.sample(split, 4)], split.sample(4))


def test_a_small_forget_set_does_not_limit_the_members():
    """CaMU on a class of CIFAR-100 trains on 5,000 examples of D_s for 500 to forget, and 4,000 of them are members."""
    experiment = schema.parse(schema.read(CONFIGS / "camu" / "cifar100_class.toml"))
    assert experiment.sample == experiment.method.camu.repeat * 500
    split = Split(np.arange(500), np.arange(500, 50000), np.zeros(0, int), np.zeros(0, int))
    assert rows_taken(len(outputs.sample(split, experiment.sample)), CUTS["camu"]) == 4000


def test_how_many_members_there_are_is_a_part_of_what_was_judged():
    """Where it is not set, nothing is added: records from before it was a setting are found again."""
    experiment = schema.Experiment(methods=("naive",))
    plain = judgement(experiment)
    assert set(plain) == {"metrics", "train_view"}
    assert judgement(dataclasses.replace(experiment, sample=7)) == plain | {"sample": 7}
