"""How well a score tells members from non-members: areas, accuracies and true positive rates, by stated conventions.

A threshold is a distinct value of the score; examples that tie are on the same side of it. Members score high.
"The TPR at a false positive rate q" is the largest TPR among the thresholds with FPR <= q ("step"). Released codes take
others, which `convention` gives.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy import stats

from junlearn.errors import ConfigError
from junlearn.metrics.context import Floats
from junlearn.metrics.ensemble import given

__all__ = [
    "Convention",
    "Rates",
    "Roc",
    "TprNull",
    "best_accuracy",
    "check_rate",
    "rates_of_many",
    "roc_area",
    "roc_curve",
    "tpr_at",
    "tpr_null",
]

Convention = Literal["step", "strict", "nearest", "interpolated"]
CONVENTIONS = ("step", "strict", "nearest", "interpolated")

BATCH = 1 << 21
"""Scores that are sorted at once."""


class Roc(NamedTuple):
    """One point for each threshold, from "nobody is a member" on."""

    false_positive_rate: Floats
    true_positive_rate: Floats


class Rates(NamedTuple):
    """P score vectors, or P labellings of one."""

    area: Floats
    """float64[P]: area under the curve."""
    accuracy: Floats
    """float64[P]: balanced accuracy at the best threshold."""
    tpr: Floats
    """float64[P, q]: TPR at each of the rates asked for, by the convention "step"."""


class TprNull(NamedTuple):
    """The TPR of independent scores that tell nothing."""

    mean: float
    quantile: float


def roc_curve(score: Any, member: Any) -> Roc:
    """The curve of `score` float[m] (high: member) against `member` bool[m]; ties share a point.

    Raises ConfigError if a score is NaN, or if there are no members or no others.
    """
    scores, members = _pair(score, member, "roc_curve")
    order = np.argsort(-scores, kind="stable")
    ordered, hits = scores[order], members[order]
    ends = np.append(ordered[1:] != ordered[:-1], True)
    true = np.append(0, np.cumsum(hits)[ends])
    false = np.append(0, np.cumsum(~hits)[ends])
    return Roc(false / false[-1], true / true[-1])


def roc_area(score: Any, member: Any) -> float:
    """`P(member > other) + P(member = other) / 2` over all pairs; O(m log m). Errors as of `roc_curve`."""
    return float(rates_of_many(*_pair(score, member, "roc_area")).area[0])


def best_accuracy(score: Any, member: Any) -> float:
    """The largest `(TPR + 1 - FPR) / 2` over all thresholds: at least 1/2. Errors as of `roc_curve`."""
    return float(rates_of_many(*_pair(score, member, "best_accuracy")).accuracy[0])


def tpr_at(
    score: Any, member: Any, q: float, convention: Convention = "step", *, reachable: bool = True
) -> float:
    """The true positive rate at the false positive rate q, in [0, 1].

    "step": the largest TPR with FPR <= q. Others' numbers: "strict", the largest with FPR < q (released LiRA);
    "nearest", at the first threshold whose FPR is nearest to q, which may exceed it (released RULI); "interpolated",
    linear between thresholds. Raises ConfigError if one false positive is already above q ("step" alone;
    `reachable=False` takes what is there: by chance 1/(n + 1) of n non-members, whatever q), and as `roc_curve` does.
    """
    given.one_of(convention, "tpr_at: convention", CONVENTIONS)
    given.share(q, "tpr_at: q")
    false, true = roc_curve(score, member)
    if convention == "step":
        if reachable:
            check_rate(q, int((~np.asarray(member, bool)).sum()))
        return float(true[false <= q].max())
    if convention == "strict":
        return float(true[false < q].max())
    if convention == "nearest":
        return float(true[np.argmin(np.abs(false - q))])
    return float(np.interp(q, false, true))


def check_rate(q: float, negatives: int) -> None:
    """Raises ConfigError if no threshold on so many non-members has an FPR in (0, q]."""
    if _allowed(q, negatives) < 1:
        wanted = int(np.ceil(1 / q - 1e-9))
        raise ConfigError(
            f"audit: TPR at FPR {100 * q:g} % needs {wanted:,} never-seen scores; there are {negatives:,}"
        )


def tpr_null(negatives: int, positives: int, q: float, level: float = 0.975) -> TprNull:
    """What `tpr_at(..., q)` is by chance: the mean and the `level` quantile, of independent scores without ties.

    The number of members above the (k+1)-th largest non-member, k = floor(q n-), is BetaBinomial(n+, k + 1, n- - k),
    so that the mean is (k + 1)/(n- + 1). Scores of one network are correlated: their band comes from permutations, and
    this one is its check. Raises ConfigError if q n- < 1.
    """
    given.share(q, "tpr_null: q")
    given.share(level, "tpr_null: level")
    if positives < 1 or negatives < 1:
        raise ConfigError(f"tpr_null: {positives} members and {negatives} others; both are needed")
    check_rate(q, negatives)
    k = _allowed(q, negatives)
    law = stats.betabinom(positives, k + 1, negatives - k)
    return TprNull((k + 1) / (negatives + 1), float(law.ppf(level)) / positives)


def rates_of_many(scores: Any, member: Any, rates: Sequence[float] = ()) -> Rates:
    """Area, best balanced accuracy and TPR of many score vectors, or of many labellings of one.

    `scores` float[P, m] or [m], `member` bool[P, m] or [m]; what is given once serves all P. `rates`: FPRs at which the
    TPR is wanted ("step"). A batch of at most 2 million scores is sorted at once, so memory does not grow with P.
    Raises ConfigError if a score is NaN, or a labelling has no members or no others.
    """
    single = len(given.shape_of(scores, "rates_of_many: scores")) == 1
    array = given.numbers(
        scores, "rates_of_many: scores", ("scores",) if single else ("vectors", "scores"), True
    )
    array = np.atleast_2d(array)
    shape = given.shape_of(member, "rates_of_many: member")
    if len(shape) not in (1, 2) or shape[-1] != array.shape[1]:
        raise ConfigError(
            f"rates_of_many: member must hold {array.shape[1]} a row, not be of shape {list(shape)}"
        )
    members = np.atleast_2d(given.flags(member, "rates_of_many: member", shape))
    size = max(len(array), len(members))
    if {len(array), len(members)} - {1, size}:
        raise ConfigError(
            f"rates_of_many: {len(array)} score vectors and {len(members)} labellings"
        )
    positives = members.sum(axis=1)
    if (positives == 0).any() or (positives == array.shape[1]).any():
        raise ConfigError("rates_of_many: a labelling has no members, or nobody else")
    for q in rates:
        given.share(q, "rates_of_many: rate")
    step = max(1, BATCH // array.shape[1])
    parts = [
        _rates(_part(array, start, step), _part(members, start, step), rates)
        for start in range(0, size, step)
    ]
    return Rates(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _part(rows: np.ndarray, start: int, step: int) -> np.ndarray:
    return rows if len(rows) == 1 else rows[start : start + step]


def _rates(scores: np.ndarray, members: np.ndarray, rates: Sequence[float]) -> Rates:
    order = np.argsort(scores, axis=1)[:, ::-1]
    ordered = np.take_along_axis(scores, order, axis=1)
    # A threshold lies behind the last of the examples that tie.
    ends = np.ones(ordered.shape, bool)
    np.not_equal(ordered[:, 1:], ordered[:, :-1], out=ends[:, :-1])
    hits = members[:, order[0]] if len(order) == 1 else np.take_along_axis(members, order, axis=1)
    true = np.cumsum(hits, axis=1, dtype=np.int32)
    false = np.arange(1, scores.shape[1] + 1, dtype=np.int32) - true
    positives, negatives = true[:, -1:], false[:, -1:]
    if ends.all():
        doubled = 2 * np.sum(true, axis=1, where=~hits, dtype=np.int64)
    else:
        before_true, before_false = (_at_end_before(counts, ends) for counts in (true, false))
        strips = (false - before_false).astype(np.int64) * (true + before_true)
        doubled = np.sum(strips, axis=1, where=np.broadcast_to(ends, strips.shape))
    area = doubled / (2 * positives[:, 0].astype(np.int64) * negatives[:, 0])
    gain = np.where(ends, true / positives - false / negatives, 0.0)
    accuracy = 0.5 * (1 + np.maximum(gain.max(axis=1), 0.0))
    tpr = [np.where(ends & (false / negatives <= q), true, 0).max(axis=1) for q in rates]
    shares = [found / positives[:, 0] for found in tpr]
    return Rates(area, accuracy, np.stack(shares, 1) if shares else np.empty((len(area), 0)))


def _at_end_before(counts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """The counts at the threshold before, 0 at the first."""
    reached = np.maximum.accumulate(np.where(ends, counts, 0), axis=1)
    return np.concatenate([np.zeros_like(reached[:, :1]), reached[:, :-1]], axis=1)


def _pair(score: Any, member: Any, name: str) -> tuple[Floats, np.ndarray]:
    scores = given.numbers(score, f"{name}: score", ("scores",), infinite=True)
    members = given.flags(member, f"{name}: member", scores.shape)
    if members.all() or not members.any():
        kind = "no non-members" if members.any() else "no members"
        raise ConfigError(f"{name}: there are {kind} to compare with")
    return scores, members


def _allowed(q: float, negatives: int) -> int:
    """The most false positives with a rate of at most q: floor(q n-), but by the division that `tpr_at` compares."""
    k = int(q * negatives)
    return k + 1 if (k + 1) / negatives <= q else k
