"""Membership inference: can an attacker who sees the model's outputs tell what it was trained on?

Two attacks, each on a scalar feature of the softmax:

* `mia`: logistic regression fitted on all retained training examples (members) against the test set
  (non-members), the score of the SSD and JiT papers. Its minimum is found exactly (see `logistic`).
* `mia_svc`: a support vector machine, as in the SalUn family of codes. Slow.

The share of the forget set that is called member is *not* to be read against 0 or 1/2: the ideal is
the value that the retrained model has in the same place. The slope of the fitted rule changes sign
easily between networks, and the share then jumps between 0 and 1. So it comes with quantities that
do not: a balanced accuracy that is 1/2 where forgotten and unseen examples look alike, and areas
under the curve.
"""

from collections.abc import Callable, Iterable
from functools import partial

import numpy as np

from junlearn.errors import unknown
from junlearn.metrics.accuracy import correct
from junlearn.metrics.context import Context, Floats, Integers, labels_of, logits_of
from junlearn.metrics.intervals import balanced, of_area, of_mean, of_share, of_shares
from junlearn.metrics.logistic import fit_attack
from junlearn.metrics.probabilities import (
    confidence,
    entropy,
    logit_scaled_confidence,
    modified_entropy,
    softmax,
)

__all__ = [
    "FEATURES",
    "area_under_curve",
    "balanced_accuracy",
    "mia",
    "mia_svc",
    "svc_members",
    "told_apart",
]

Feature = Callable[[Floats, Integers], Floats]

NEEDED = ("retain_train", "forget_train", "test")

FEATURES: dict[str, Feature] = {
    "entropy": lambda logits, labels: entropy(logits),
    "confidence": confidence,
    "correctness": lambda logits, labels: correct(logits, labels).astype(np.float64),
    "modified_entropy": modified_entropy,
    "probabilities": lambda logits, labels: softmax(logits),
}
"""What an attack may look at: `(logits[N,K], labels[N]) -> float64[N]`; "probabilities" [N,K]."""

# What grows with membership, for the areas under the curve. The logit-scaled form orders examples
# as the confidence does, without the ties of a saturated softmax.
RANKINGS: dict[str, Feature] = {
    "entropy": lambda logits, labels: -entropy(logits),
    "confidence": logit_scaled_confidence,
}


def area_under_curve(positive: Floats, negative: Floats) -> float:
    """`P(positive > negative) + 1/2 P(positive = negative)` over all pairs; O(N log N)."""
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, side="left").mean()
    up_to = np.searchsorted(ordered, positive, side="right").mean()
    return float((below + up_to) / (2.0 * len(ordered)))


def balanced_accuracy(
    member: Floats, forgotten: Floats, unseen: Floats, fit_on: Floats | None = None
) -> float:
    """`1/2 (share of the forgotten called member + share of the unseen called non-member)`.

    The attack is fitted on `member` against `fit_on`, non-members that are not among the `unseen`.
    Where there are none (None), the unseen themselves serve in two folds, the even and the odd
    rows: each half is judged by the attack that was fitted on the other, so that no example judges
    itself, and the forgotten ones by both. All float64[N] of the same feature. Raises `ValueError`
    if a fold would be empty.
    """
    hits, rejections = told_apart(member, forgotten, unseen, fit_on)
    return _balanced(hits, rejections)


def told_apart(
    member: Floats, forgotten: Floats, unseen: Floats, fit_on: Floats | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """What `balanced_accuracy` is the mean of: bool[A,Nf], which of the forgotten each of its A attacks calls member,
    and bool[N], which of the unseen (of two folds first one, then the other) are called non-members.
    """
    if fit_on is not None:
        attack = fit_attack(member, fit_on)
        return attack.calls_member(forgotten)[None], ~attack.calls_member(unseen)
    folds = unseen[0::2], unseen[1::2]
    attacks = [fit_attack(member, other) for other in reversed(folds)]
    rejections = [~attack.calls_member(fold) for attack, fold in zip(attacks, folds, strict=True)]
    hits = [attack.calls_member(forgotten) for attack in attacks]
    return np.stack(hits), np.concatenate(rejections)


def _balanced(hits: np.ndarray, rejections: np.ndarray) -> float:
    return float(0.5 * (hits.mean() + rejections.mean()))


def _rows(context: Context, splits: Iterable[str]) -> dict[str, tuple[Floats, Integers]]:
    """The model's logits and the labels, of those of the splits that are there."""
    found = {split: logits_of(context, "model", split) for split in splits}
    return {
        split: (logits, labels_of(context, split, logits))
        for split, logits in found.items()
        if logits is not None
    }


def mia(context: Context) -> dict[str, float]:
    """Membership inference by logistic regression on the entropy, and on the confidence.

    For each feature f, "entropy" and "confidence" (the probability of the given label, as in the
    SalUn family's attack; not the maximum; where a scenario made the labels of the forget set
    wrong, a retrained network gives them little, and the ideal 1/2 below does not hold for it):

    * `mia/f`: share of `forget_train` called member by the attack fitted on all of `retain_train`
      against all of `test`. Ideal: the retrained model's value.
    * `mia/f_balanced_accuracy`: the attacker's accuracy at telling `forget_train` from unseen
      examples of the same classes: `forget_test` where the scenario has it, otherwise `test`.
      Ideal: 1/2, as for a retrained model. No example is judged by an attack that was fitted on it
      (`balanced_accuracy`). Left out if the unseen examples are fewer than two.
    * `mia/f_auc`: the area under the curve between the same two sets, without a fit: above 1/2 the
      forgotten examples still look more like members (surer) than unseen ones, below 1/2 less.
    * `mia/f_retain_auc`: the same for `retain_train` against `test`: how much the feature reveals
      at all.

    With `entropy/retain_train`, `entropy/forget_train` and `entropy/test`, the mean entropies in
    nats. Needs `retain_train`, `forget_train` and `test`.
    """
    rows = _rows(context, (*NEEDED, "retain_test", "forget_test"))
    if not rows.keys() >= set(NEEDED):
        return {}
    unseen = "forget_test" if "forget_test" in rows else "test"
    values: dict[str, float] = {}
    for name, ranking in RANKINGS.items():
        feature = {split: FEATURES[name](*pair) for split, pair in rows.items()}
        rank = {split: ranking(*pair) for split, pair in rows.items()}
        attack = fit_attack(feature["retain_train"], feature["test"])
        called = attack.calls_member(feature["forget_train"])
        values[f"mia/{name}"] = float(called.mean())
        context.interval(f"mia/{name}", partial(of_share, called))
        # `retain_test` is what `test` holds beside `forget_test`: all of it may be fitted on.
        apart = feature.get("retain_test") if unseen == "forget_test" else None
        if apart is not None or len(feature[unseen]) > 1:
            hits, rejections = told_apart(
                feature["retain_train"], feature["forget_train"], feature[unseen], apart
            )
            values[f"mia/{name}_balanced_accuracy"] = _balanced(hits, rejections)
            context.interval(
                f"mia/{name}_balanced_accuracy",
                partial(of_shares, balanced, hits.mean(axis=0), rejections),
            )
        for area, one, other in (
            ("auc", "forget_train", unseen),
            ("retain_auc", "retain_train", "test"),
        ):
            values[f"mia/{name}_{area}"] = area_under_curve(rank[one], rank[other])
            context.interval(f"mia/{name}_{area}", partial(of_area, rank[one], rank[other]))
    for split in NEEDED:
        found = entropy(rows[split][0])
        values[f"entropy/{split}"] = float(found.mean())
        context.interval(f"entropy/{split}", partial(of_mean, found))
    return values


def svc_members(member: Floats, unseen: Floats, forgotten: Floats) -> np.ndarray:
    """Which of the forgotten `SVC(C=3, RBF, gamma="auto")` calls member, 1 or 0 each; rows [N] or [N,K]."""
    # Imported here: it takes a second or two, which the default metrics need not wait for.
    from sklearn.svm import SVC

    matrices = [rows.reshape(len(rows), -1) for rows in (member, unseen, forgotten)]
    targets = np.repeat([1, 0], [len(member), len(unseen)])
    attack = SVC(C=3.0, kernel="rbf", gamma="auto").fit(np.concatenate(matrices[:2]), targets)
    return attack.predict(matrices[2])


def mia_svc(context: Context, feature: str = "confidence") -> dict[str, float]:
    """Membership inference by a support vector machine, as reported by the SalUn family of papers.

    Members are the first `len(test)` rows of `retain_train`, non-members all of `test`; the feature
    is the true label's probability unless another of `FEATURES` is asked for. `mia_svc/f_member`
    and `mia_svc/f_non_member` are the shares of `forget_train` that are called so, in [0, 1]; the
    papers print the second, times 100. Ideal: the retrained model's value. Training time grows with
    the square of the number of test examples. Needs `retain_train`, `forget_train` and `test`.
    """
    if feature not in FEATURES:
        raise unknown("membership feature", feature, FEATURES)
    rows = _rows(context, NEEDED)
    if not rows.keys() >= set(NEEDED):
        return {}
    member, forgotten, test = (FEATURES[feature](*rows[split]) for split in NEEDED)
    called = svc_members(member[: len(test)], test, forgotten)
    share = float(called.mean())
    context.interval(f"mia_svc/{feature}_member", partial(of_share, called == 1))
    context.interval(f"mia_svc/{feature}_non_member", partial(of_share, called == 0))
    return {f"mia_svc/{feature}_member": share, f"mia_svc/{feature}_non_member": 1.0 - share}
