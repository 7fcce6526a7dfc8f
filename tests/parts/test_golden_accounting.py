"""Parity of the accounting with tables of 50 digits, and with what released codes say."""

import numpy as np
import pytest

from junlearn.parts.accounting import convex, released
from junlearn.parts.accounting.convex import Convex
from junlearn.parts.accounting.gaussian import epsilon_of, log_delta_of
from junlearn.parts.accounting.groups import for_group
from junlearn.parts.accounting.mechanisms import (
    GradientClipping,
    ModelClipping,
    OutputPerturbation,
    solve,
)

pytestmark = pytest.mark.parity
DIGITS = {"gdp": 1e-9, "rdp": 1e-7}
"""The tables' own: 8e-11 and 1e-8."""


@pytest.fixture
def case(golden):
    return golden("methods_2026_b/certified_accounting")


def rows(case, conversion="gdp"):
    columns = (case[name].tolist() for name in ("C0", "C1", "eta", "lam"))
    return [GradientClipping(*row, conversion) for row in zip(*columns, strict=True)]


def test_shifts(case):
    steps = case["T"].tolist()
    for t, mechanism, shift, noise, mu in zip(
        *(steps, rows(case), case["shift"], case["noise_sum"], case["mu_at_sigma_1"]), strict=True
    ):
        found = (mechanism.shift(t), mechanism.noise(t), mechanism.mu(1.0, t))
        np.testing.assert_allclose(found, (shift, noise, mu), rtol=1e-12)


@pytest.mark.parametrize("conversion", ["gdp", "rdp"])
def test_gradient_clipping(case, conversion):
    for number, mechanism in enumerate(rows(case, conversion)):
        steps = int(case["T"][number])
        for column, delta in enumerate(case["delta"].tolist()):
            found = [
                epsilon_of(mechanism.mu(s, steps), delta, conversion)
                for s in case["sigma"].tolist()
            ]
            solved = [
                solve(mechanism, epsilon=epsilon, delta=delta, steps=steps).sigma
                for epsilon in case["epsilon"].tolist()
            ]
            expected = case[f"epsilon_{conversion}"][number, :, column]
            np.testing.assert_allclose(found, expected, rtol=DIGITS[conversion], atol=1e-10)
            expected = case[f"sigma_for_{conversion}"][number, :, column]
            np.testing.assert_allclose(solved, expected, rtol=DIGITS[conversion])


def test_what_the_release_says(case):
    for number, mechanism in enumerate(rows(case)):
        sigma = released.released_sigma(mechanism, int(case["T"][number]), 1.0)
        assert sigma == pytest.approx(case["sigma_released_unit"][number], rel=1e-12)
        assert released.released_steps(mechanism) == case["steps_released"][number]
    for number, renyi in enumerate(case["renyi_per_alpha"].tolist()):
        mu = np.sqrt(2 * renyi)
        for column, delta in enumerate(case["delta"].tolist()):
            at = (number, column)
            said = released.reported_epsilon(renyi, delta)
            assert said == pytest.approx(case["epsilon_reported_by_release"][at], rel=1e-12)
            for conversion, digits in DIGITS.items():
                true = epsilon_of(mu, delta, conversion)
                assert true == pytest.approx(case[f"epsilon_true_{conversion}"][at], rel=digits)
                assert true > 1.6 * said or renyi > 10


def test_model_clipping(case):
    for number, clip in enumerate(case["mc_model_clip"].tolist()):
        epsilon, sigma = (float(case[f"mc_{name}"][number]) for name in ("epsilon", "sigma"))
        expected = case["mc_delta"][number]
        expected = expected[np.isfinite(expected)]
        mechanism = ModelClipping(clip)
        found = [np.exp(mechanism.log_delta(epsilon, sigma, t)) for t in range(len(expected))]
        np.testing.assert_allclose(found, expected, rtol=1e-9)
        swept = mechanism.log_deltas(epsilon, sigma)
        found = [np.exp(next(swept)) for _ in expected[1:]]
        np.testing.assert_allclose(found, expected[1:], rtol=1e-9)


def test_output_perturbation(case):
    for at in np.ndindex(case["op_sigma_analytic"].shape):
        names = ("op_C0", "op_epsilon", "op_delta")
        clip, epsilon, delta = (float(case[name][i]) for name, i in zip(names, at, strict=True))
        classic = released.classic_sigma(clip, epsilon, delta)
        assert classic == pytest.approx(case["op_sigma_classic"][at], rel=1e-12)
        exact = solve(OutputPerturbation(clip), epsilon=epsilon, delta=delta, steps=1).sigma
        assert exact == pytest.approx(case["op_sigma_analytic"][at], rel=1e-9)


def test_groups(case):
    epsilon, delta = float(case["group_epsilon"]), float(case["group_delta"])
    for number, size in enumerate(case["group_size"].tolist()):
        single = for_group(epsilon, delta, size)
        assert single.epsilon == pytest.approx(case["group_single_epsilon"][number], rel=1e-12)
        assert single.delta == pytest.approx(case["group_single_delta_sound"][number], rel=1e-9)
        said = released.group_delta(epsilon, delta, size)
        assert said == pytest.approx(case["group_single_delta_released"][number], rel=1e-9)


@pytest.mark.parametrize(
    ("form", "clip"), [("after", "model_clip"), ("before", "grad_clip_before")]
)
def test_model_clipping_with_noise_at_the_start(form, clip, golden):
    case = golden("methods_2026_b/model_clipping")
    number = {name: float(case[name]) for name in case if case[name].ndim == 0}
    reach = number["step"] * number[clip] if form == "before" else 0.0
    mechanism = ModelClipping(number["model_clip"], number["init_clip"], number["sigma0"], reach)
    stopped = False
    for t, expected in enumerate(case[f"delta_{form}"].tolist()):
        found = np.exp(mechanism.log_delta(number["epsilon"], number["sigma"], t))
        # The release stops once it is small enough, and its 1 - erf has few digits there.
        if not stopped:
            assert found == pytest.approx(expected, rel=1e-9 if expected > 1e-6 else 2e-5)
        stopped = expected <= 1e-5


def test_convex_steps(golden):
    case = golden("methods_2026_b/langevin_logistic")
    n, bounds = int(case["lmc_n"]), case["lmc_eps"].tolist()
    convexity = float(case["lmc_lam"]) * n
    problem = Convex(n, 1.0, convexity, 1 / (0.25 + convexity), float(case["lmc_sigma"]))

    def first(spent, stride):
        return [convex.first_within(spent, epsilon, stride) for epsilon in bounds]

    for number, removed in enumerate(case["lmc_removed"].tolist()):

        def langevin(steps, removed=removed):
            return convex.langevin_epsilon(problem, removed, 1 / n, steps)

        assert first(langevin, 10) == case["lmc_steps"][number].tolist()
    for number, batch in enumerate(case["pnsgd_batch"].tolist()):
        shift = convex.projected_shift(problem, batch)
        assert shift == pytest.approx(case["pnsgd_shift"][number], rel=1e-12)

        def projected(epochs, batch=batch, shift=shift):
            return convex.projected_epsilon(problem, batch, shift, 1 / n, epochs)

        assert first(projected, 1) == case["pnsgd_steps"][number].tolist()
    batch, shift = int(case["pnsgd_batch"][0]), float(case["pnsgd_sequential_shift"][0])
    for epochs, expected in zip(
        case["pnsgd_sequential_steps"].tolist(), case["pnsgd_sequential_shift"][1:], strict=True
    ):
        shift = convex.next_shift(problem, batch, shift, epochs)
        assert shift == pytest.approx(expected, rel=1e-12)


def test_small_deltas_by_the_reference_table():
    """The table's deltas of one step: nothing but G1."""
    assert np.exp(log_delta_of(1.0, 0.2)) == pytest.approx(1.75463e-8, rel=1e-5)
