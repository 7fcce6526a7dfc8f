"""What noise certifies: the tables, the limits, and that any three of four give the fourth."""

import itertools
import math

import numpy as np
import pytest

from junlearn.errors import ConfigError
from junlearn.parts.accounting import convex, released
from junlearn.parts.accounting.convex import Convex
from junlearn.parts.accounting.gaussian import epsilon_of, log_delta_of, mu_of
from junlearn.parts.accounting.groups import for_group
from junlearn.parts.accounting.mechanisms import (
    GradientClipping,
    ModelClipping,
    OutputPerturbation,
    solve,
)

DELTA = 1e-5
PLAIN = GradientClipping(1.0, 1.0, 0.02, 0.0)


@pytest.mark.parametrize(
    ("mechanism", "sigma", "steps", "three"),
    [
        (GradientClipping(20.0, 10.0, 0.01, 50.0), 0.6, 7, 2.0),
        (GradientClipping(20.0, 10.0, 0.01, 50.0, "rdp"), 0.6, 7, 2.0),
        (ModelClipping(0.625), 0.5, 8, 1.0),
        (ModelClipping(0.4, 1.5, 2.0, 0.05), 0.7, 2, 2.0),
        (OutputPerturbation(1.0), 7.0, 1, 1.0),
    ],
)
def test_any_three_give_the_fourth(mechanism, sigma, steps, three):
    found = solve(mechanism, epsilon=three, sigma=sigma, steps=steps)
    whole = found._asdict()
    assert 0 < found.delta < 1
    for name, value in whole.items():
        given = {key: other for key, other in whole.items() if key != name}
        assert getattr(solve(mechanism, **given), name) == pytest.approx(value, rel=1e-9), name


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "not none"),
        ({"epsilon": 1.0, "delta": DELTA}, "not epsilon, delta"),
        ({"epsilon": 1.0, "delta": DELTA, "sigma": 1.0, "steps": 1}, "give three"),
        ({"epsilon": -1.0, "delta": DELTA, "sigma": 1.0}, "epsilon = -1.0"),
        ({"epsilon": 1.0, "delta": 1.0, "sigma": 1.0}, "delta = 1.0; between 0 and 1"),
        ({"epsilon": 1.0, "delta": DELTA, "sigma": 0.0}, "sigma = 0.0"),
        ({"epsilon": 1.0, "delta": DELTA, "steps": 0}, "steps = 0"),
        # Steps without decay bring two networks apart: there is a best number of them, and it is not enough.
        ({"epsilon": 1.0, "delta": DELTA, "sigma": 0.5}, "no number of steps .* more noise"),
    ],
)
def test_what_cannot_be_found_is_refused(given, said):
    with pytest.raises(ConfigError, match=said):
        solve(PLAIN, **given)


def test_other_refusals():
    with pytest.raises(ConfigError, match=r"step \* decay is 1.5; between 0 and 1"):
        GradientClipping(1.0, 1.0, 0.5, 3.0)
    with pytest.raises(ConfigError, match="2 sigmas for 3 steps"):
        PLAIN.mu([1.0, 2.0], 3)
    with pytest.raises(ConfigError, match="no number of steps gives"):
        solve(ModelClipping(1e4), epsilon=1.0, delta=DELTA, sigma=1.0)


@pytest.mark.parametrize("decay", [0.0, 5.0, 50.0])
def test_the_shift_is_that_of_two_runs(decay):
    """Of two networks at opposite ends of the ball, whose gradients always point apart."""
    mechanism = GradientClipping(1.0, 1.0, 0.02, decay)
    one, other, variance = 1.0, -1.0, 0.0
    sigmas = [0.3, 0.1, 0.2, 0.4]
    for sigma in sigmas:
        one, other = (w - 0.02 * (-side + decay * w) for w, side in ((one, 1.0), (other, -1.0)))
        variance = mechanism.rho**2 * variance + sigma**2
    assert mechanism.shift(4) == pytest.approx(one - other)
    assert mechanism.mu(sigmas, 4) == pytest.approx((one - other) / math.sqrt(variance))
    assert mechanism.mu([0.3] * 4, 4) == pytest.approx(mechanism.mu(0.3, 4))


def test_small_decay_goes_to_none():
    tiny = GradientClipping(1.0, 1.0, 0.02, 1e-12)
    assert tiny.mu(1.0, 50) == pytest.approx(PLAIN.mu(1.0, 50), rel=1e-9)
    assert released.released_sigma(tiny, 50, 1.0) == pytest.approx(
        math.sqrt(2) * released.released_sigma(PLAIN, 50, 1.0)
    )


def test_decreasing_noise_has_the_same_divergence():
    mechanism = GradientClipping(0.6, 0.5, 0.1, 2.0)
    sigmas = released.decreasing_sigmas(mechanism, 8, 3.0)
    assert np.all(np.diff(sigmas) < 0)
    assert mechanism.mu(sigmas, 8) ** 2 / 2 == pytest.approx(3.0)
    constant = released.released_sigma(mechanism, 8, 3.0)
    assert mechanism.mu(constant, 8) ** 2 / 2 == pytest.approx(3.0)


@pytest.mark.parametrize("mu", [1e-3, 0.1, 1.0, 10.0])
def test_conversions_invert_and_agree(mu):
    for conversion in ("gdp", "rdp"):
        epsilon = epsilon_of(mu, 1e-9, conversion)
        assert math.exp(log_delta_of(epsilon, mu, conversion)) == pytest.approx(1e-9, rel=1e-6)
        assert mu_of(epsilon, 1e-9, conversion) == pytest.approx(mu, rel=1e-9)
    # Both bound the same pair of Gaussians, and one of them is exact.
    assert epsilon_of(mu, 1e-9, "gdp") < epsilon_of(mu, 1e-9, "rdp")


def test_delta_keeps_its_digits_far_out():
    """Mills' ratio: Phi(-x) is near phi(x) (1/x - 1/x^3 + 3/x^5) for large x."""
    epsilon, mu = 60.0, 1.0
    near, far = epsilon - 0.5, epsilon + 0.5

    def mills(x):
        return sum((-1) ** k * math.prod(range(1, 2 * k, 2)) * x ** -(2 * k + 1) for k in range(7))

    expected = -(near**2) / 2 - math.log(2 * math.pi) / 2 + math.log(mills(near) - mills(far))
    assert log_delta_of(epsilon, mu) == pytest.approx(expected, rel=1e-14)
    assert log_delta_of(0.0, 0.0) == -math.inf and epsilon_of(0.0, DELTA) == 0
    assert math.exp(log_delta_of(0.0, 80.0)) == 1.0


def test_the_guarantee_of_a_group():
    """Composed again from single examples: delta sums up e^(j eps) delta."""
    single = for_group(2.0, DELTA, 10)
    total = sum(math.exp(j * single.epsilon) * single.delta for j in range(10))
    assert total == pytest.approx(DELTA)
    assert for_group(0.0, DELTA, 10).delta == pytest.approx(DELTA / 10)


def test_convex_steps():
    problem = Convex(examples=1000, gradient=1.0, convexity=0.1, step=2.0, sigma=0.05)
    shift = convex.projected_shift(problem, 100)
    # A step contracts by 1 - eta m, and one step an epoch brings two runs 2 eta M / b apart.
    apart = 0.0
    for _, batch in itertools.product(range(50), range(10)):
        apart = (1 - 2.0 * 0.1) * apart + (2 * 2.0 / 100 if batch == 9 else 0)
    assert shift == pytest.approx(apart)
    assert convex.projected_shift(problem, 100, 3) == pytest.approx(3 * shift)
    spent = [convex.projected_epsilon(problem, 100, shift, DELTA, k) for k in (1, 2, 3)]
    assert spent == sorted(spent, reverse=True)
    with pytest.raises(ConfigError, match="the least epsilon that any number of steps gives"):
        # With an order without bound the second term vanishes: only a divergence of zero falls no more.
        convex.first_within(lambda steps: max(spent[0] / steps, 0.1), 0.05)
