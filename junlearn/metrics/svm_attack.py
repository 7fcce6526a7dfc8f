"""The membership attack of DUCK and SCAR: a support vector machine on whole softmax vectors.

    (1)  label 0: forgotten training examples;  label 1: unseen ones, `forget_test` where the scenario has it, else
         `test`;  feature: the K probabilities, unscaled
    (2)  both in random order, cut to one size; the first 80 % of each are fitted on, the last 20 % judged
    (3)  C-SVC with an RBF kernel, C in {1, 5, 10, 100} and gamma in {1, 0.1, 0.01} by accuracy in 3 stratified folds
    (4)  repeated with other orders: means and sample standard deviations

The released attack cuts the forgotten examples to three times the unseen ones where `forget_test` is there, and to as
many where it is `test`, and leaves the unseen ones whole. In the first case "forgotten" for all scores 0.75, so its
accuracy says little; it stands beside the balanced one under `compat_`, without the release's shuffle, which
overwrote half of the rows with copies of others. Its F1, precision and recall are micro averages, all three equal to
the accuracy, and are left out.
"""

import warnings
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from junlearn.metrics.context import Context, logits_of
from junlearn.metrics.intervals import balanced, of_shares
from junlearn.metrics.probabilities import softmax

__all__ = ["AttackRows", "deal", "fit", "judge", "mia_svm"]

REPETITIONS = 5
FITTED_SHARE = 0.8
FOLDS = 3
COMPAT_RATIO = 3
GRID = {"C": [1, 5, 10, 100], "gamma": [1, 0.1, 0.01]}


class AttackRows(NamedTuple):
    """What an attacker is fitted on, and judged on."""

    x: np.ndarray
    """float[M,K]."""
    y: np.ndarray
    """int[M]: 0 forgotten, 1 unseen."""
    x_judged: np.ndarray
    y_judged: np.ndarray


def deal(forgotten: np.ndarray, unseen: np.ndarray, *, unseen_first: bool) -> AttackRows:
    """The parts of equation 2, from probabilities [.,K] in the order given.

    `unseen_first`: which label's rows come first in either part. It matters: the folds are not shuffled. In the
    release the unseen ones do where they are of the forgotten classes.
    """
    groups = [(0, forgotten), (1, unseen)]
    groups = groups[::-1] if unseen_first else groups
    cuts = [int(FITTED_SHARE * len(rows)) for _, rows in groups]
    labels = [label for label, _ in groups]
    fitted = [rows[:cut] for (_, rows), cut in zip(groups, cuts, strict=True)]
    judged = [rows[cut:] for (_, rows), cut in zip(groups, cuts, strict=True)]
    return AttackRows(
        np.concatenate(fitted),
        np.repeat(labels, [len(rows) for rows in fitted]),
        np.concatenate(judged),
        np.repeat(labels, [len(rows) for rows in judged]),
    )


def fit(rows: AttackRows, seed: int = 0) -> Any:
    """Equation 3: the search, refitted with what it found."""
    # Imported here: it takes a second or two, which the default metrics need not wait for.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.model_selection import GridSearchCV
    from sklearn.svm import SVC

    machine = SVC(kernel="rbf", tol=1e-4, max_iter=4000, random_state=seed)
    with warnings.catch_warnings():
        # At the 4,000 iterations of the release some of the grid is not solved.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return GridSearchCV(machine, GRID, scoring="accuracy", cv=FOLDS).fit(rows.x, rows.y)


def judge(attack: Any, rows: AttackRows) -> dict[str, float]:
    """What the attacker reaches on the judged rows; `mutual_information` of label and guess in bits."""
    from sklearn.metrics import mutual_info_score

    guess, truth = attack.predict(rows.x_judged), rows.y_judged
    right = guess == truth
    forgotten, unseen = (float(right[truth == label].mean()) for label in (0, 1))
    return {
        "accuracy": float(right.mean()),
        "chance": float(truth.mean()),
        "balanced_accuracy": (forgotten + unseen) / 2,
        "forgotten_accuracy": forgotten,
        "unseen_accuracy": unseen,
        "mutual_information": float(mutual_info_score(truth, guess) / np.log(2)),
    }


def mia_svm(context: Context, repetitions: int = REPETITIONS) -> dict[str, float]:
    """Membership attack by a support vector machine on the probabilities, as in DUCK and SCAR.

    It tells forgotten training examples from unseen ones: 1/2 where they look alike. `mia_svm/accuracy`,
    `mia_svm/balanced_accuracy`, `mia_svm/forgotten_accuracy` and `mia_svm/unseen_accuracy` (the share of either that is
    called rightly), `mia_svm/mutual_information` in bits, each with its `_std` over the repetitions, and
    `mia_svm/chance`, the share of unseen rows. `mia_svm/compat_...`: the same for the released sizes of the groups,
    where they differ. Minutes for thousands of rows. Needs `forget_train`, and `forget_test` or `test`; left out with
    fewer than five of either.
    """
    forget = logits_of(context, "model", "forget_train")
    own = logits_of(context, "model", "forget_test")
    others = logits_of(context, "model", "test") if own is None else own
    if forget is None or others is None:
        return {}
    forgotten, unseen = softmax(forget), softmax(others)
    even = min(len(forgotten), len(unseen))
    released = min(len(forgotten), len(unseen) * (1 if own is None else COMPAT_RATIO))
    sizes = {"": (even, even), "compat_": (released, len(unseen))}
    if int(FITTED_SHARE * even) < FOLDS + 1:
        return {}
    values: dict[str, float] = {}
    for prefix, size in sizes.items():
        if prefix and size == sizes[""]:
            continue
        found = []
        told = _Told(len(forgotten)), _Told(len(unseen))
        for seed in range(repetitions):
            rng = np.random.default_rng(seed)
            groups = forgotten, unseen
            orders = [
                rng.permutation(len(rows))[:count] for rows, count in zip(groups, size, strict=True)
            ]
            dealt = (rows[order] for rows, order in zip(groups, orders, strict=True))
            rows = deal(*dealt, unseen_first=own is not None)
            attack = fit(rows, seed)
            found.append(judge(attack, rows))
            right = attack.predict(rows.x_judged) == rows.y_judged
            for label, order in enumerate(orders):
                judged = order[int(FITTED_SHARE * len(order)) :]
                told[label].add(judged, right[rows.y_judged == label])
        _tell(context, f"mia_svm/{prefix}", told, found[0]["chance"])
        for name in found[0]:
            runs = np.array([one[name] for one in found])
            values[f"mia_svm/{prefix}{name}"] = float(runs.mean())
            if name != "chance" and repetitions > 1:
                values[f"mia_svm/{prefix}{name}_std"] = float(runs.std(ddof=1))
    return values


class _Told:
    """How often each of N examples was judged, and how often rightly."""

    def __init__(self, count: int) -> None:
        self.judged, self.right = np.zeros(count, int), np.zeros(count, int)

    def add(self, rows: np.ndarray, right: np.ndarray) -> None:
        self.judged[rows] += 1
        self.right[rows] += right

    @property
    def shares(self) -> np.ndarray:
        """Of the examples that were judged at all."""
        return (self.right / np.maximum(self.judged, 1))[self.judged > 0]


def _tell(context: Context, prefix: str, told: tuple[_Told, _Told], chance: float) -> None:
    """The intervals of shares, over the examples that were judged; each counts once, with its mean over repetitions."""
    forgotten, unseen = (group.shares for group in told)

    def all_of_them(forgotten: np.ndarray, unseen: np.ndarray) -> np.ndarray:
        return (1 - chance) * forgotten + chance * unseen

    def alone(share: np.ndarray) -> np.ndarray:
        return share

    for name, interval in {
        "accuracy": partial(of_shares, all_of_them, forgotten, unseen),
        "balanced_accuracy": partial(of_shares, balanced, forgotten, unseen),
        "forgotten_accuracy": partial(of_shares, alone, forgotten),
        "unseen_accuracy": partial(of_shares, alone, unseen),
    }.items():
        context.interval(f"{prefix}{name}", interval)
