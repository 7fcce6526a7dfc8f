"""ASR: the membership attack of LAF and CaMU, boosted trees on sorted probabilities.

    (1)  feature of an example: its softmax probabilities in ascending order; no label, no loss
    (2)  the attacker is fitted on members (D_s, retain examples that were drawn once) against the first
         test examples, a hundredth of the rows left out at random
    (3)  ASR = its accuracy on D_f (called member: right) and the test examples after those
         (called non-member: right)

Read it as "closer to the retrained network is better". The two sides of (3) are rarely of one size, and
"always member" already scores the share of D_f among them, so the balanced accuracy, 1/2 where D_f looks
like unseen data, stands beside it.

CaMU trains on D_s alone, so of its network all members of (2) are examples that unlearning has just seen again, and of
a retrained one they are any retain examples: a lower ASR than the retrained network's can come from this as well as
from what was forgotten. LAF draws from all of D_r.

Both papers take whole batches of 32 rows, until one more than the rows passes the cut: 5,000 for LAF (5,024 rows),
4,000 for CaMU. Test examples are taken in the dataset's stored order. Where that is class by class (image folders,
`test_per_class`) the first ones would be of some classes alone, so the test set is put into one fixed random order.

Reference: Shen et al., ICLR 2024 (LAF); Shen et al., SDM 2024 (CaMU, arXiv 2401.17504).

There are two attackers, each a metric of its own: `asr` has scikit-learn's booster, `asr_xgboost` the papers' XGBoost
(the extra `xgboost`), both with as many trees of the same depth, rate and penalty. They do not measure the same: a leaf
of XGBoost needs a sum of second derivatives of at least 1, one of scikit-learn one row, so that it can split off single
rows; and they bin features in different ways.
"""

from functools import partial
from importlib.util import find_spec
from typing import Any, Literal, NamedTuple

import numpy as np

from junlearn.errors import ConfigError
from junlearn.metrics.context import Context, labels_of, logits_of
from junlearn.metrics.intervals import balanced, of_share, of_shares

__all__ = [
    "CUTS",
    "BoostedAttack",
    "Booster",
    "asr",
    "asr_xgboost",
    "attack",
    "booster",
    "check_xgboost",
    "features",
    "rows_taken",
]

Booster = Literal["scikit-learn", "xgboost"]

CUTS = {"laf": 5000, "camu": 4000}
"""Rows after which each paper stops taking batches."""

BATCH = 32
LEFT_OUT = 0.01
"""Share of the attacker's rows that it is not fitted on."""


class BoostedAttack(NamedTuple):
    """What an attacker reaches, all in [0, 1]."""

    asr: float
    """Accuracy on D_f and the held-out test examples together."""
    balanced: float
    """Mean of its accuracy on either."""
    train: float
    """Accuracy on the rows it was fitted on."""
    right: tuple[np.ndarray, np.ndarray]
    """Which examples of D_f, bool[Nf], and which held-out test examples, bool[Nt], it takes for what they are."""


def features(logits: np.ndarray) -> np.ndarray:
    """Equation 1: float32[N,K] of `logits[N,K]`."""
    logits = np.asarray(logits, np.float32)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.sort(exponentials / exponentials.sum(axis=1, keepdims=True), axis=1)


def rows_taken(available: int, cut: int) -> int:
    """Rows of whole batches until one more than them passes `cut`, or all."""
    return min(available, BATCH * -(-cut // BATCH))


MISSING = "the metric asr_xgboost needs XGBoost: pip install 'junlearn[xgboost]', or ask for asr"


def check_xgboost() -> None:
    """Raises ConfigError where XGBoost is not installed."""
    if find_spec("xgboost") is None:
        raise ConfigError(MISSING)


def booster(which: Booster) -> Any:
    """100 trees of depth 6, rate 0.3, L2 penalty 1, logistic loss: XGBoost's defaults."""
    if which == "xgboost":
        check_xgboost()
        from xgboost import XGBClassifier

        return XGBClassifier(n_estimators=100, objective="binary:logistic")
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        max_iter=100,
        learning_rate=0.3,
        max_depth=6,
        max_leaf_nodes=None,
        min_samples_leaf=1,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=0,
    )


def attack(
    member: np.ndarray,
    test: np.ndarray,
    forget: np.ndarray,
    cut: int,
    kept: np.ndarray | None = None,
    which: Booster = "scikit-learn",
) -> BoostedAttack | None:
    """Equations 2 and 3 on logits [.,K] of D_s, of the test set and of D_f; None if no test row is left to judge on.

    `kept`: the rows (members first) that the attacker is fitted on; None: drawn.
    """
    members = rows_taken(len(member), cut)
    others = rows_taken(len(test), cut)
    held_out = test[others:][: rows_taken(len(test), len(forget))]
    if not len(held_out):
        return None
    x = features(np.concatenate([member[:members], test[:others]]))
    y = np.repeat([1, 0], [members, others])
    if kept is None:
        shuffled = np.random.default_rng(0).permutation(len(x))
        kept = shuffled[: len(x) - int(np.ceil(LEFT_OUT * len(x)))]
    fitted = booster(which).fit(x[kept], y[kept])
    right_forget = fitted.predict(features(forget)) == 1
    right_test = fitted.predict(features(held_out)) == 0
    return BoostedAttack(
        asr=float(np.concatenate([right_forget, right_test]).mean()),
        balanced=float((right_forget.mean() + right_test.mean()) / 2),
        train=float((fitted.predict(x[kept]) == y[kept]).mean()),
        right=(right_forget, right_test),
    )


def asr(context: Context) -> dict[str, float]:
    """Attack success rate as in LAF and in CaMU (scikit-learn's boosted trees), each with a balanced accuracy.

    `asr/laf`, `asr/camu` and the same with `_balanced` and `_train` (accuracy on the rows that the attacker was fitted
    on). Ideal: the retrained model's value. Left out, with a remark, where the test set is too small to leave anything
    to judge on. Needs `retain_train`, `forget_train`, `test` and the sample D_s.
    """
    return _success_rates(context, "asr", "scikit-learn")


def asr_xgboost(context: Context) -> dict[str, float]:
    """The same attack with XGBoost, as the papers have it: `asr_xgboost/laf`, `asr_xgboost/camu` and so on.

    Left out, with a remark, where XGBoost is not installed.
    """
    if find_spec("xgboost") is None:
        context.remark(MISSING)
        return {}
    return _success_rates(context, "asr_xgboost", "xgboost")


def _success_rates(context: Context, metric: str, which: Booster) -> dict[str, float]:
    retain, test, forget = (
        logits_of(context, "model", split) for split in ("retain_train", "test", "forget_train")
    )
    if retain is None or test is None or forget is None or not len(context.sample):
        return {}
    values: dict[str, float] = {}
    labels = labels_of(context, "test", test)
    if np.count_nonzero(np.diff(labels)) < len(np.unique(labels)):
        # Each class lies in one piece.
        test = test[np.random.default_rng(0).permutation(len(test))]
    for name, cut in CUTS.items():
        done = attack(retain[context.sample], test, forget, cut, which=which)
        if done is None:
            context.remark(
                f"{metric}/{name} is left out: it would be fitted on all {len(test):,} test examples "
                f"(it takes {cut:,} or more), and none would be left to judge it on"
            )
            continue
        # There is none of `_train`: the attacker has seen those rows.
        both = np.concatenate(done.right)
        context.interval(f"{metric}/{name}", partial(of_share, both))
        context.interval(f"{metric}/{name}_balanced", partial(of_shares, balanced, *done.right))
        values |= {
            f"{metric}/{name}": done.asr,
            f"{metric}/{name}_balanced": done.balanced,
            f"{metric}/{name}_train": done.train,
        }
    return values
