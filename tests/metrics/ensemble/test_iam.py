"""IAM: reference numbers, the equation step by step, and the comparison with twins."""

import numpy as np
import pytest
from scipy import stats

from junlearn.errors import ConfigError
from junlearn.metrics.ensemble import (
    iam,
    iam_against_twins,
    iam_many,
    iam_offline_signal,
    iam_signal,
)


@pytest.mark.parity
@pytest.mark.parametrize(
    ("name", "shadows", "law", "spread"),
    [
        ("gumbel_fixed_5", 5, "gumbel", "fixed"),
        ("gumbel_own_5", 5, "gumbel", "own"),
        ("gumbel_1", 1, "gumbel", "own"),
        ("norm_fixed_5", 5, "normal", "fixed"),
        ("norm_own_5", 5, "normal", "own"),
    ],
)
def test_golden(golden, name, shadows, law, spread):
    case = golden("audit/iam")
    found = iam(
        *(case["p_unlearned"], case["p_shadow"][:shadows], case["p_original"]),
        law=law,
        spread=spread,
        steps=int(case["steps"]),
    )
    np.testing.assert_allclose(found, case[f"score_{name}"], rtol=0, atol=1e-12)
    for side in ("original", "unlearned", "shadow"):
        np.testing.assert_allclose(
            iam_signal(case[f"p_{side}"]), case[f"signal_{side}"], rtol=0, atol=1e-12
        )


def test_the_weights_are_a_step_ahead_of_the_laws():
    generator = np.random.default_rng(7)
    judged, original = generator.random(4), generator.random(4)
    shadow = generator.random((3, 4))
    s_u, s_r, s_o = (iam_signal(p) for p in (judged, shadow, original))
    laws = []
    for alpha in (0.0, 1 / 3, 2 / 3):
        x = s_r + alpha * (s_o - s_r)
        laws.append(stats.norm.cdf(s_u, x.mean(axis=0), x.std()))
    expected = 1 - (laws[0] + 2 * laws[1] + 3 * laws[2]) / 6
    np.testing.assert_allclose(iam(judged, shadow, original, law="normal", steps=4), expected)


def test_the_score_falls_from_unseen_to_remembered():
    shadow, original = np.full((1, 3), 0.2), np.full(3, 0.999)
    score = iam([0.01, 0.5, 1.0], shadow, original)
    assert score[0] > score[1] > score[2] and 0 <= score.min() <= score.max() <= 1


def test_the_offline_signal_stands_for_the_original():
    training = np.full((2, 5), 0.9)
    number = iam_offline_signal(training)
    shadow, judged = np.array([[0.1, 0.4]]), [0.3, 0.3]
    same = iam(judged, shadow, [0.9, 0.9])
    np.testing.assert_allclose(iam(judged, shadow, offline_signal=number), same)


@pytest.mark.parametrize("law", ["gumbel", "normal"])
@pytest.mark.parametrize("spread", ["fixed", "own"])
def test_one_example_and_no_spread(law, spread):
    for judged, score in ((0.0, 1.0), (1.0, 0.0)):
        shadow = np.full((2, 1), 0.5)
        assert iam([judged], shadow, [0.5], law=law, spread=spread) == pytest.approx(score)


def test_many_at_once_are_one_after_the_other():
    rng = np.random.default_rng(4)
    judged, originals = rng.random((2, 5, 7))
    shadow = rng.random((6, 7)) ** 3
    each = [iam(own, shadow, start) for own, start in zip(judged, originals, strict=True)]
    np.testing.assert_allclose(iam_many(judged, shadow, originals), each, rtol=0, atol=1e-12)
    with pytest.raises(ConfigError, match=r"shapes \[\[5, 7\], \[6, 7\], \[4, 7\]\]"):
        iam_many(judged, shadow, originals[:4])


def test_twins():
    scores = np.random.default_rng(8).random((6, 10))
    assert iam_against_twins(scores, scores) == pytest.approx((0, 0.5))
    effect = iam_against_twins(scores - 0.25, scores)
    assert effect.difference == pytest.approx(-0.25) and effect.area < 0.5


def test_refused():
    shadow, judged = np.full((2, 3), 0.5), np.full(3, 0.5)
    for original, number in ((None, None), (judged, 0.5)):
        with pytest.raises(ConfigError, match="an offline signal, one of them"):
            iam(judged, shadow, original, offline_signal=number)
    with pytest.raises(ConfigError, match="shadow has 3 examples, and judged 2"):
        iam(judged[:2], shadow, judged)
    with pytest.raises(ConfigError, match="original has 2 examples, and judged 3"):
        iam(judged, shadow, judged[:2])
    with pytest.raises(ConfigError, match="must hold probabilities"):
        iam(judged, shadow, 3 * judged)
    with pytest.raises(ConfigError, match="1 steps; at least 2"):
        iam(judged, shadow, judged, steps=1)
    with pytest.raises(ConfigError, match="law must be one of"):
        iam(judged, shadow, judged, law="cauchy")
    with pytest.raises(ConfigError, match="twins have 3 examples, and judged 2"):
        iam_against_twins(shadow[:, :2], shadow)
