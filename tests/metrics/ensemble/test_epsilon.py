"""Epsilon: exact limits, the bound of a fixed test, of whole sets, of single examples, and of one run."""

from math import comb, exp

import numpy as np
import pytest
from scipy import optimize, stats

from junlearn.errors import ConfigError
from junlearn.metrics.ensemble import (
    epsilon_example,
    epsilon_lower,
    epsilon_one_run,
    epsilon_set,
    guesses,
    highest_epsilon,
    one_run,
    one_run_p,
    upper_limit,
)


@pytest.mark.parity
def test_golden_bounds(golden):
    case = golden("audit/epsilon_bounds")
    for row, rates, bound in zip(
        case["test_cases"], case["upper_rates"], case["epsilon_lower"], strict=True
    ):
        counts, (delta, alpha) = row[:4].astype(int), row[4:]
        found = [upper_limit(counts[i], counts[i + 1], alpha / 2) for i in (0, 2)]
        np.testing.assert_allclose(found, rates, rtol=0, atol=1e-9)
        lower = epsilon_lower(*map(int, counts), delta=delta, alpha=alpha)
        assert lower == pytest.approx(bound, abs=1e-9)


@pytest.mark.parity
def test_golden_one_run(golden):
    """The reference stops its bisection at 1e-5."""
    case = golden("audit/epsilon_bounds")
    for row, bound in zip(case["one_run_cases"], case["one_run_epsilon"], strict=True):
        counts, (delta, alpha) = map(int, row[:3]), row[3:]
        found = epsilon_one_run(*counts, delta=delta, alpha=alpha)
        assert found == pytest.approx(bound, abs=1e-5)


@pytest.mark.parametrize("trials", [1, 4, 9])
def test_limits_by_inversion(trials):
    for count in range(trials):
        root = optimize.brentq(
            lambda rate, k=count: stats.binom.cdf(k, trials, rate) - 0.025, 1e-9, 1 - 1e-9
        )
        assert upper_limit(count, trials, 0.025) == pytest.approx(root, abs=1e-9)
    assert upper_limit(trials, trials, 0.025) == 1


def test_one_run_p_by_the_sum():
    for coins, made, delta in ((12, 12, 0.01), (12, 5, 0.0), (3, 2, 0.2)):
        for right in range(made + 1):
            for epsilon in (0.0, 0.7, 2.0):
                q = exp(epsilon) / (1 + exp(epsilon))
                law = [comb(made, k) * q**k * (1 - q) ** (made - k) for k in range(made + 1)]
                shares = [sum(law[right - i : right]) / i for i in range(1, right + 1)]
                p = sum(law[right:]) + 2 * coins * delta * max(shares, default=0)
                found = one_run_p(epsilon, coins, made, right, delta)
                assert found == pytest.approx(min(p, 1), abs=1e-12)


def test_one_run_bound_is_where_p_crosses():
    bound = epsilon_one_run(100, 40, 38)
    assert one_run_p(bound, 100, 40, 38) < 0.05 <= one_run_p(bound + 2e-9, 100, 40, 38)
    assert epsilon_one_run(100, 40, 20) == epsilon_one_run(10, 0, 0) == 0
    assert epsilon_one_run(4000, 4000, 4000) > 7


def test_power():
    found = [highest_epsilon(networks) for networks in (8, 16, 32, 64, 128, 256)]
    assert found == pytest.approx([0, 0.53, 1.35, 2.10, 2.82, 3.53], abs=0.006)


def laws(generator, networks, examples, shift):
    return generator.normal(shift, size=(networks, examples)), generator.normal(
        size=(networks, examples)
    )


@pytest.mark.parametrize("threshold", ["zero", "best"])
def test_a_set_that_is_told_apart(threshold):
    sides = laws(np.random.default_rng(20), 32, 10, 5.0)
    found = epsilon_set(*sides, threshold=threshold)
    assert found.epsilon == highest_epsilon(32)
    assert (found.false_positives, found.false_negatives) == (0, 0)
    assert (found.retrained, found.unlearned) == (16, 16)
    assert (found.threshold == 0) == (threshold == "zero")


def test_nothing_is_refuted_of_equal_laws():
    generator = np.random.default_rng(21)
    bounds = [epsilon_set(*laws(generator, 16, 5, 0.0)).epsilon for _ in range(100)]
    assert np.mean(np.array(bounds) > 0) <= 0.05


def test_the_counted_half_is_not_fitted():
    generator = np.random.default_rng(22)
    ours, theirs = laws(generator, 16, 4, 3.0)
    assert epsilon_set(ours, theirs).epsilon > 0
    swapped = np.concatenate([ours[:8], theirs[8:]]), np.concatenate([theirs[:8], ours[8:]])
    found = epsilon_set(*swapped)
    # Wrong on every one is a test too: its complement is right, but it was not fixed beforehand.
    assert (found.epsilon, found.false_positives, found.false_negatives) == (0, 8, 8)


def test_an_example_by_itself():
    generator = np.random.default_rng(23)
    ours, theirs = laws(generator, 64, 6, 0.0)
    ours[:, 4] += 20
    found = epsilon_example(ours, theirs)
    assert found.example == 4 and found.by_example.shape == (6,)
    alone = epsilon_lower(0, 32, 0, 32, alpha=0.05 / 6)
    assert found.epsilon == found.by_example[4] == pytest.approx(alone)
    assert np.delete(found.by_example, 4).max() == 0
    one = epsilon_example(ours[:, 4:5], theirs[:, 4:5])
    assert one.epsilon == pytest.approx(highest_epsilon(64))


def test_guesses_on_the_extremes():
    llr = np.arange(20.0)
    coins = llr >= 10
    assert guesses(llr, coins) == (4, 4)
    assert guesses(llr, ~coins) == (4, 0)
    assert guesses(llr[:3], coins[:3]) == (2, 1)


def test_one_run_over_runs():
    status = np.array([[1] * 50 + [2] * 50 + [0]] * 3)
    llr = np.where(status == 1, 1.0, -1.0)
    llr[1] = -llr[1]
    llr[:, -1] = np.nan
    found = one_run(llr, status)
    bound = epsilon_one_run(100, 20, 20, delta=0.0) / 2
    np.testing.assert_allclose(found.by_run, [bound, 0, bound])
    assert (found.median, found.low, found.high) == pytest.approx((bound, 0, bound))


def test_refused():
    generator = np.random.default_rng(24)
    ours, theirs = laws(generator, 6, 3, 0.0)
    with pytest.raises(ConfigError, match="example 0 has 3 unlearned runs in a fit"):
        epsilon_set(ours, theirs)
    with pytest.raises(ConfigError, match="have 3 and 2 examples"):
        epsilon_set(ours, theirs[:, :2])
    with pytest.raises(ConfigError, match=r"counts must lie in 0 to 8 trials"):
        upper_limit(9, 8, 0.05)
    with pytest.raises(ConfigError, match=r"delta must lie in \[0, 1\), not 1"):
        epsilon_lower(0, 8, 0, 8, delta=1)
    with pytest.raises(ConfigError, match="alpha must lie between 0 and 1, not 0"):
        epsilon_one_run(10, 5, 5, alpha=0)
    with pytest.raises(ConfigError, match="6 right of 5 guesses on 10 coins"):
        one_run_p(0.0, 10, 5, 6)
    with pytest.raises(ConfigError, match="must not be negative"):
        one_run_p(-1.0, 10, 5, 5)
    with pytest.raises(ConfigError, match=r"a share 0\.6 at each end of 10 coins"):
        guesses(np.arange(10.0), np.arange(10) > 4, 0.6)
    with pytest.raises(ConfigError, match=r"must be \[runs, examples\], not \[3\] and \[2, 3\]"):
        one_run(np.zeros(3), np.ones((2, 3), int))
    with pytest.raises(ConfigError, match="threshold must be one of"):
        epsilon_set(ours, theirs, threshold="half")
    with pytest.raises(ConfigError, match="1 networks a side"):
        highest_epsilon(1)
