"""The gaps that thresholds fall into, against the thresholds themselves."""

import math

import numpy as np
import pytest

from junlearn.metrics.ensemble.quality_rules import double_gaps, single_gaps


def single_thresholds(v):
    return np.linspace(v[0], v[-1], math.ceil(100 * (v[-1] - v[0])))


def plain_single(v):
    rounded = single_thresholds(v).astype(np.float32).astype(np.float64)
    return np.unique(np.searchsorted(v, rounded, "left")).tolist()


def plain_double(v, low, high):
    width = high - low
    first, last = (low + width) - 2, high + 2
    found = set()
    for right in np.linspace(first, last, math.ceil(100 * (last - first))):
        left = np.searchsorted(v, np.linspace(right - width - 2, right - width + 2, 400), "left")
        inside = np.searchsorted(v, right, "right")
        found |= {(inside, gap) for gap in np.unique(left).tolist() if gap < inside}
    return found


@pytest.mark.parametrize("scale", [0.05, 1.0, 30.0, 1e3])
def test_single_thresholds_on_samples(scale):
    """Half of the samples on thresholds, before or after they are rounded to float32, and next to them."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        v = np.sort(rng.normal(size=60) * scale + rng.normal() * scale)
        points = rng.choice(single_thresholds(v)[1:-1], 10) if scale > 0.05 else v[1:11]
        rounded = points.astype(np.float32).astype(np.float64)
        neighbours = np.nextafter(rounded, rng.choice([-1, 1], 10) * np.inf)
        v[1:-1] = np.sort(np.concatenate([points, rounded, neighbours, v[1:-29]]))[:58]
        v.sort()
        assert single_gaps(v).tolist() == plain_single(v)


def test_thresholds_in_the_middle_of_two_float32():
    """Those round to the even one; here every other threshold is such a middle."""
    unit, number = 2.0**-24, 65
    many = 169083
    assert many % 2 and math.ceil(100 * 64 * many * unit) == number
    lines = 1 + np.arange(number) * many * unit
    v = np.sort(np.concatenate([lines[[0, -1]], lines[1:-1] - unit, lines[1:-1] + unit]))
    np.testing.assert_array_equal(single_thresholds(v), lines)
    assert single_gaps(v).tolist() == plain_single(v)


@pytest.mark.parametrize("scale", [0.05, 1.0, 5.0, 1e4, 1e9])
def test_intervals(scale):
    """The ends of the inner side are on lines of all grids, and some other samples."""
    rng = np.random.default_rng(1)
    counts = set()
    for number in range(12):
        v = np.sort(rng.normal(size=50) * scale)
        if number % 3 == 1:
            v = np.round(v, 2)
        low, high = v[rng.integers(0, 20)], v[rng.integers(30, 50)]
        if number % 3 == 2:
            on_line = low - 4 + np.array([0, 5, 399, 400, 798]) * (4 / 399)
            v = np.sort(np.concatenate([v, on_line, np.nextafter(on_line, np.inf)]))
        right, left = double_gaps(v, low, high)
        assert set(zip(right.tolist(), left.tolist(), strict=True)) == plain_double(v, low, high)
        counts.add(math.ceil(100 * ((high + 2) - ((low + (high - low)) - 2))))
    if scale <= 5:
        assert 400 in counts


def test_401_right_thresholds():
    """By rounding, the span of the right thresholds may be above 4: their grid is then not that of the left ones."""
    rng = np.random.default_rng(2)
    found = 0
    while found < 3:
        v = np.sort(rng.normal(size=40))
        low, high = v[3], v[-3]
        if math.ceil(100 * ((high + 2) - ((low + (high - low)) - 2))) == 401:
            right, left = double_gaps(v, low, high)
            pairs = set(zip(right.tolist(), left.tolist(), strict=True))
            assert pairs == plain_double(v, low, high)
            found += 1
