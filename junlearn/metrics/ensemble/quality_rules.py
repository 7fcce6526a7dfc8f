"""Which rules forgetting quality tries: the places of its thresholds among the pooled samples of an example.

Between two neighbouring samples all thresholds make the same errors. So a rule is known by its gap: gap `j` of sorted
`v[M]` has `j` samples below it. A grid of thresholds is never made; how many of its points lie up to a sample is
computed, and compared with the points themselves where rounding could matter.
"""

import math

import numpy as np

from junlearn.metrics.context import Floats, Integers

__all__ = ["double_gaps", "single_gaps"]

PER_UNIT = 100
"""Thresholds per unit of the margin."""
MARGIN = 2.0
"""How far the thresholds of the double rule go beyond the side that it encloses."""
LEFT = 400
"""Left thresholds for every right one."""
FEW = 4
"""Of more samples than that on lines of a grid, all are compared with all thresholds."""
CLOSE = 1e-3
"""Nearer than this share of a step to a threshold, a sample is compared with the threshold itself."""


def single_gaps(v: Floats) -> Integers:
    """Gaps int[G] that a single threshold falls into, of sorted `v[M]`.

    Thresholds are `linspace(v_0, v_last, ceil(100 range))`, rounded to float32: all of them in the gap after a sample
    exceed it once rounded.
    """
    number = math.ceil(PER_UNIT * (v[-1] - v[0]))
    # A threshold is rounded up to `v` at most, if it lies below the middle of the two float32 around v, or on it
    # where the lower one is even.
    lower = v.astype(np.float32)
    lower = np.where(lower.astype(np.float64) > v, np.nextafter(lower, np.float32(-np.inf)), lower)
    upper = np.nextafter(lower, np.float32(np.inf)).astype(np.float64)
    middle = (lower.astype(np.float64) + upper) / 2
    odd = (lower.view(np.uint32) & 1).astype(bool)
    last = np.where(odd, np.nextafter(middle, -np.inf), middle)
    step = (v[-1] - v[0]) / max(number - 1, 1)
    up_to = _points_up_to(last, v[0], v[-1], step, number)
    return np.flatnonzero(np.diff(up_to, prepend=0, append=number) > 0)


def double_gaps(v: Floats, low: float, high: float) -> tuple[Integers, Integers]:
    """`(right, left)` gaps, int[R] each, of all double rules around a side that reaches from `low` to `high`.

    For each of the 400 or 401 right thresholds, 400 left ones. Rules that enclose no sample are left out.
    """
    width = high - low
    start, stop = (low + width) - MARGIN, high + MARGIN
    rights = np.linspace(start, stop, math.ceil(PER_UNIT * (stop - start)))
    right = np.searchsorted(v, rights, side="right")
    first = np.flatnonzero(np.diff(right, prepend=-1))
    starts, stops = (rights - width) - MARGIN, (rights - width) + MARGIN
    # No left threshold is further than this from `low`: samples beyond have all of them on one side.
    reach = 2 * MARGIN + 1.0
    begin, end = np.searchsorted(v, [low - reach, low + reach])
    near = v[begin:end]
    rounding = float(8 * np.spacing(max(abs(v[0]), abs(v[-1]))) * LEFT)
    place = (near - starts[0]) / ((stops[0] - starts[0]) / (LEFT - 1))
    doubtful = np.flatnonzero(np.abs(place - np.rint(place)) < max(1e-6, rounding))

    def on_all_grids(columns: slice) -> np.ndarray:
        return _on_all_grids(near[columns], low, starts, stops, first, max(CLOSE, rounding))

    if len(rights) == LEFT and len(doubtful) <= FEW:
        reached = _on_one_grid(np.floor(place), first)
        # A sample on a line may be on either side of it, by rounding; `low` itself is one.
        for sample in doubtful.tolist():
            begun = max(sample - 1, 0)
            own = on_all_grids(slice(begun, sample + 2))
            reached[:, sample : sample + 2] = own[:, sample - begun : sample - begun + 2]
    else:
        reached = on_all_grids(slice(None))
    reached &= np.arange(begin, end + 1) < right[first][:, None]
    # Of a matrix with few of them, the flat places of what is true are found much faster.
    group, left = divmod(np.flatnonzero(reached), len(near) + 1)
    return right[first][group], left + begin


def _on_one_grid(line: Floats, first: Integers) -> np.ndarray:
    """Which gaps before each sample, and after the last, some left threshold falls into: bool[len(first), K + 1].

    Right thresholds as far apart as left ones: left threshold i of right threshold k is line k + i of one grid, and a
    row takes those of right thresholds `first` to the next. `line[K]` is the last line before each sample.
    """
    after = np.concatenate([[-np.inf], line]) + 1
    up_to = np.concatenate([line, [np.inf]])
    last = np.append(first[1:], LEFT) - 1 + LEFT - 1
    return np.maximum(after, first[:, None]) <= np.minimum(up_to, last[:, None])


def _on_all_grids(
    near: Floats, low: float, starts: Floats, stops: Floats, first: Integers, close: float
) -> np.ndarray:
    """The same for any right thresholds, each with its own grid from `starts` to `stops`."""
    steps = (stops - starts) / (LEFT - 1)
    # In float32, half as much to compute: what lies close to a threshold is decided below.
    place = (near - low).astype(np.float32) - (starts - low).astype(np.float32)[:, None]
    place *= (1.0 / steps).astype(np.float32)[:, None]
    whole = np.floor(place)
    place -= whole
    place -= 0.5
    np.abs(place, out=place)
    row, column = divmod(np.flatnonzero(place > 0.5 - close), len(near))
    whole += 1
    np.clip(whole, 0, LEFT, out=whole)
    whole[row, column] = _points_up_to(near[column], starts[row], stops[row], steps[row], LEFT)
    between = np.empty((len(starts), len(near) + 1), bool)
    between[:, 0] = whole[:, 0] > 0
    between[:, -1] = whole[:, -1] < LEFT
    np.greater(whole[:, 1:], whole[:, :-1], out=between[:, 1:-1])
    return np.logical_or.reduceat(between, first, axis=0)


def _points_up_to(
    v: Floats, start: Floats | float, stop: Floats | float, step: Floats | float, number: int
) -> Integers:
    """How many points of `linspace(start, stop, number)`, as numpy rounds them, do not exceed each value."""

    def point(i: Integers) -> Floats:
        return np.where((i == number - 1) & (number > 1), stop, i * step + start)

    with np.errstate(divide="ignore", invalid="ignore"):
        guess = np.nan_to_num(np.floor((v - start) / step) + 1)
    count = np.clip(guess, 0, number).astype(np.int64)
    while True:
        higher = (count < number) & (point(count) <= v)
        lower = (count > 0) & (point(count - 1) > v)
        if not (higher.any() or lower.any()):
            return count
        count = count + higher - lower
