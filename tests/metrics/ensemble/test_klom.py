"""KLoM: the released numbers, the definition, and the defects that the compatible forms keep."""

import math

import numpy as np
import pytest

from junlearn.errors import ConfigError
from junlearn.metrics.ensemble import klom, permutations, resampled_klom, resampled_klom_values

METHODS = ("retrained_b", "original", "finetune", "neggrad_plus")
MOST = math.log(1e5)


@pytest.mark.parity
@pytest.mark.parametrize("compat", ["", "easydub", "bench2410"])
def test_released_numbers(golden, compat):
    case = golden("audit/klom")
    found = klom(case["unlearned"], case["retrained"], compat)
    expected = case[f"klom_{compat}" if compat else "klom"]
    np.testing.assert_allclose(found.per_example, expected, rtol=0, atol=1e-9)


@pytest.mark.parity
def test_released_summaries(golden):
    case = golden("audit/klom")
    one, other = case["unlearned"][:, 8:], case["retrained"][:, 8:]
    assert klom(one, other).mean == pytest.approx(float(case["mean"]), abs=1e-9)
    assert klom(one, other).p95 == pytest.approx(float(case["p95"]), abs=1e-9)
    easydub = klom(one, other, "easydub").p95
    assert easydub == pytest.approx(float(case["p95_easydub"]), abs=1e-9)


@pytest.mark.parity
def test_released_numbers_of_real_networks(golden):
    case = golden("audit/ensembles")
    for name in METHODS:
        for compat, key in (("", "klom"), ("easydub", "klom_easydub")):
            found = klom(case[name], case["retrained"], compat)
            np.testing.assert_allclose(found.per_example, case[f"{name}_{key}"], rtol=0, atol=1e-9)


def collapsed(top: float) -> tuple[np.ndarray, np.ndarray]:
    """Unlearned networks that all have one margin, the largest of all; retrained ones that spread below it."""
    return np.full((20, 1), top), np.linspace(-2, 2, 20)[:, None]


@pytest.mark.parametrize("top", [5.0, 250.0])
def test_a_collapsed_network_does_not_look_perfect(top):
    one, other = collapsed(top)
    assert klom(one, other).per_example[0] == pytest.approx(MOST)
    assert klom(one, other, "easydub").per_example[0] == 0.0
    assert np.isnan(klom(one, other, "bench2410").per_example[0])


def test_disjoint_constants_do_not_look_perfect():
    one, other = np.full((20, 1), 1.0), np.full((20, 1), 3.0)
    assert klom(one, other).per_example[0] == pytest.approx(MOST)
    assert klom(one, other, "bench2410").per_example[0] == pytest.approx(0.0, abs=1e-12)
    for compat in ("", "easydub", "bench2410"):
        assert klom(one, one, compat).per_example[0] == 0.0


def test_margins_at_the_top_count():
    """One of four at the joint maximum: the releases drop it, and take shares of three."""
    one, other = np.array([[0.0], [0.0], [0.0], [1.0]]), np.array([[0.0]] * 4)
    expected = 0.75 * math.log(0.75) + 0.25 * math.log(0.25e5)
    assert klom(one, other).per_example[0] == pytest.approx(expected)
    assert klom(one, other, "easydub").per_example[0] == 0.0


def test_sides_of_unlike_size_are_shares():
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(16, 5)), rng.normal(size=(24, 5))
    twice = klom(np.concatenate([one, one]), other)
    np.testing.assert_allclose(klom(one, other).per_example, twice.per_example, atol=1e-12)
    assert klom(one, one).per_example.tolist() == [0.0] * 5


def test_unknown_form():
    with pytest.raises(ConfigError, match="unknown form of klom 'easydup'; did you mean 'easydub'"):
        klom(np.zeros((8, 1)), np.zeros((8, 1)), "easydup")


@pytest.mark.parametrize("compat", ["", "easydub"])
def test_resampled_form(compat):
    rng = np.random.default_rng(1)
    pool = np.round(rng.normal(size=(30, 7)), 1) * 10
    dealt = permutations(13, 17, 25, rng)
    plain = [klom(pool[a], pool[b], compat) for a, b in zip(*dealt, strict=True)]
    values = resampled_klom_values(pool, dealt, compat)
    np.testing.assert_allclose(values, [p.per_example for p in plain], rtol=0, atol=1e-12)
    for name, found in resampled_klom(pool, dealt, compat).items():
        np.testing.assert_allclose(found, [getattr(p, name) for p in plain], atol=1e-12)


@pytest.mark.parametrize(
    ("networks", "mean", "p95"), [(8, 6.43, 8.84), (16, 3.85, 5.97), (64, 0.63, 1.22)]
)
def test_level_of_a_perfect_unlearner(networks, mean, p95):
    one, other = np.random.default_rng(networks).normal(size=(2, networks, 3000))
    found = klom(one, other)
    assert found.mean == pytest.approx(mean, rel=0.03)
    assert found.p95 == pytest.approx(p95, rel=0.05)
    if networks == 16:
        assert klom(one, other, "easydub").mean == pytest.approx(3.80, rel=0.03)
