"""What is said of an ensemble of a known law."""

import numpy as np
import pytest

from junlearn.audit.by_example import by_example
from junlearn.audit.judge import judge, told
from junlearn.audit.quantities import attack_share, scalar_quantities, scalars
from junlearn.errors import ConfigError
from junlearn.metrics import ensemble as metrics
from junlearn.metrics.ensemble import identity
from tests.audit import made


@pytest.fixture(scope="module")
def measured():
    """A yardstick, and three sides judged by it: of the same law, shifted, and stretched."""
    yardstick = made.yardstick()
    sides = {
        "same": made.ensemble("same", 3),
        "shifted": made.ensemble("shifted", 4, shift=1.0),
        "stretched": made.ensemble("stretched", 5, scale=3.0),
    }
    return yardstick, sides, {name: judge(yardstick, side) for name, side in sides.items()}


def test_a_difference_is_found_where_it_is(measured):
    _, _, done = measured
    assert done["same"].verdict["forget"].startswith("indistinguishable at N = 16 (a mean shift")
    for name in ("shifted", "stretched"):
        assert done[name].verdict["forget"].startswith("distinguishable")
        assert done[name].verdict["retain"].startswith("indistinguishable")
    assert done["shifted"].p["forget/mean_shift"] == done["shifted"].p["forget/energy"] == 1 / 120
    assert done["stretched"].p["forget/log_variance_ratio"] == 1 / 120
    assert done["shifted"].p["retain/mean_shift"] > 0.05


def test_values_are_those_of_the_metrics(measured):
    yardstick, sides, done = measured
    first, second = sides["shifted"].parts["forget"].phi, yardstick.retrained.parts["forget"].phi
    values = done["shifted"].values
    expected = {
        "forget/energy": metrics.energy(first, second),
        "forget/mean_shift": metrics.moments(first, second).mean_shift,
        "forget/accuracy": metrics.crossfit(first, second).accuracy,
        "forget/auc": metrics.crossfit(first, second).auc,
        "forget/tpr@0.1": metrics.crossfit(first, second, fpr=(0.1,)).tpr[0.1],
        "forget/F": metrics.forgetting_quality(first, second).value,
        "forget/F_rank": metrics.rank_quality(first, second).value,
        "forget/klom_mean": metrics.klom(first, second).mean,
        "epsilon_set": metrics.epsilon_set(first, second).epsilon,
    }
    for name, value in expected.items():
        assert values[name] == pytest.approx(value, abs=1e-12), name
    null = done["shifted"].null["forget/klom_mean"]
    assert values["forget/klom_excess"] == values["forget/klom_mean"] - null.median
    assert (null.source, null.draws) == ("split", 20)
    # The slow and the sorted quantities are those of the forget set alone.
    assert not {"retain/F", "retain/auc", "test/tpr@0.1"} & set(values)


def test_gaps_and_tug_of_war_by_hand(measured):
    yardstick, sides, done = measured
    accuracy = {
        name: np.stack(
            [(side.parts[p].predicted == made.LABELS[p]).mean(axis=1) for p in made.PARTS], axis=1
        )
        for name, side in (("judged", sides["shifted"]), ("retrain", yardstick.retrained))
    }
    gaps = accuracy["judged"] - accuracy["retrain"]
    values = done["shifted"].values
    assert values["gap/forget"] == pytest.approx(gaps[:, 0].mean())
    each = (1 - np.abs(gaps)).prod(axis=1)
    assert values["tow"] == pytest.approx(each.mean())
    low, high = done["shifted"].interval["tow"]
    assert low < values["tow"] < high
    assert (high - low) / 2 == pytest.approx(metrics.student_interval(each).margin)


def test_an_attack_takes_the_best_threshold():
    members, others = np.array([3.0, 4.0, 5.0]), np.array([0.0, 1.0, 3.0])
    # At 4 and above: two of three members and no other; at 3: all and one.
    assert attack_share(np.array([3.5, 4.0, 2.9, 9.0]), members, others) == 0.75


def test_without_some_parts_their_scalars_are_absent():
    side = made.ensemble("a", 1)
    parts = {"forget": side.parts["forget"]}
    own = scalars(parts, made.LABELS)
    found = scalar_quantities(np.concatenate([own, own]), identity(16, 16))
    assert list(found) == ["gap/forget"] and found["gap/forget"][0] == 0


def test_a_unit_is_a_network(measured):
    """Every example ten times: no band and no p value becomes narrower for it."""
    yardstick, sides, done = measured
    again = np.repeat(np.arange(12), 10)
    labels = made.LABELS | {"forget": made.LABELS["forget"][again]}

    def more(side):
        return side._replace(parts=side.parts | {"forget": side.parts["forget"].columns(again)})

    auditing = yardstick.auditing
    wide = type(yardstick)(
        *(more(yardstick.retrained), more(yardstick.twin), labels, made.CLASSES, auditing)
    )
    repeated = judge(wide, more(sides["same"]))
    for name in ("energy", "mean_shift", "log_variance_ratio", "accuracy", "F", "klom_mean"):
        full = f"forget/{name}"
        assert repeated.p[full] == done["same"].p[full]
        for end in ("low", "median", "high"):
            own, other = (getattr(d.null[full], end) for d in (repeated, done["same"]))
            if name != "energy":
                assert own == pytest.approx(other)


def test_the_larger_difference_has_the_smaller_p():
    yardstick = made.yardstick(metrics=("energy", "moments", "forgetting_quality"))
    found = [judge(yardstick, made.ensemble("u", 9, shift=s)) for s in (0.0, 0.4, 1.5)]
    for name in ("forget/energy", "forget/mean_shift", "forget/F"):
        p = [done.p[name] for done in found]
        assert p[0] >= p[1] >= p[2] and p[0] > p[2]
    assert found[0].values["forget/F"] > found[2].values["forget/F"]


def test_permuted_rows_of_the_reference_are_closer_than_retraining():
    yardstick = made.yardstick(metrics=("energy", "moments"))
    reference = yardstick.retrained
    rows = np.random.default_rng(0).permutation(16)
    side = reference._replace(parts={n: p.rows(rows) for n, p in reference.parts.items()})
    done = judge(yardstick, side)
    assert done.values["forget/energy"] <= 0
    assert done.verdict["forget"].startswith("closer than retraining is to itself")


def test_without_twins_the_bands_are_pooled():
    yardstick = made.yardstick(twin=False, twins=0)
    done = judge(yardstick, made.ensemble("u", 3))
    assert {band.source for band in done.null.values()} == {"pooled"}
    assert "a mean shift of" in done.verdict["forget"]
    assert yardstick.detectable(16) == {}


def test_with_eight_networks_what_means_nothing_is_left_out_and_said():
    yardstick = made.yardstick(count=8)
    done = judge(yardstick, made.ensemble("u", 3, count=8))
    assert not any("klom" in name or "/F" in name for name in done.values)
    assert sum("is left out: it needs at least 16" in line for line in yardstick.remarks()) == 2
    with pytest.raises(ConfigError, match="7 networks of u; the tests need at least 8"):
        judge(yardstick, made.ensemble("u", 3, count=7))


def test_the_fields_of_a_line(measured):
    yardstick, sides, done = measured
    fields = told(yardstick, done["same"], sides["same"], None)
    assert fields["models"] == {"unlearned": 16, "retrain": 16, "twin": 16, "compared": 16}
    assert fields["examples"] == made.PARTS
    assert abs(fields["rho"]["forget"]) < 0.1 and 0.7 < fields["signal_sd"] < 1.3
    assert 0 < fields["detectable"]["forget/mean_shift"] < 0.6


def test_arrays_of_single_examples(measured):
    yardstick, sides, _ = measured
    arrays = by_example(yardstick, sides["shifted"], made.ensemble("original", 8))
    for name in ("epsilon", "klom", "accuracy", "shift", "ks_p"):
        assert arrays[name].shape == (12,)
    assert arrays["hist_klom"].sum() == 12 and arrays["hist_klom_null"].shape == (3, 20)
    assert (np.diff(arrays["roc_tpr"]) >= 0).all() and arrays["roc_tpr"][-1] == 1
    assert (arrays["roc_low"] <= arrays["roc_high"]).all()
    assert arrays["klom_quantiles_null"].shape == (3, 99)
    most = arrays["exposed"]
    assert arrays["accuracy"][most[0]] == arrays["accuracy"].max() and len(most) == 6
    for name in ("unlearned", "retrain", "twin", "original"):
        assert arrays[f"phi_{name}"].shape == (16, 6)


@pytest.mark.parametrize("family", ["lira", "rmia", "iam"])
def test_attacks_find_members_and_nothing_in_twins(family):
    original = made.ensemble("original", 6, shift=2.0)
    yardstick = made.yardstick(original, metrics=(family,))
    seen = judge(yardstick, original)
    name = "iam/score" if family == "iam" else f"{family}/auc"
    assert seen.p[name] == 1 / 120
    assert judge(yardstick, made.ensemble("u", 3)).p[name] > 0.02
    if family == "iam":
        assert seen.values["iam/difference"] < 0
    else:
        assert seen.values[name] > 0.6 and f"{family}/tpr@0.1" in seen.values


def test_an_attack_without_examples_of_the_class_is_left_out_and_said():
    labels = made.LABELS | {"test": np.zeros(10, int), "forget": np.full(12, 3)}
    side = made.ensemble("retrain", 1)
    yardstick = made.yardstick(metrics=("lira",))
    lonely = type(yardstick)(side, None, labels, made.CLASSES, yardstick.auditing)
    assert judge(lonely, made.ensemble("u", 3)).values == {}
    assert "no never-seen examples of class 3 to compare with" in lonely.remarks()[0]
