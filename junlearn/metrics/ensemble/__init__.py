"""Audits of ensembles: can the law of unlearned networks be told from the law of retrained ones, from their outputs?

Pure functions of arrays, on the host in float64. An ensemble is `[networks, examples]`, the networks first. Two ways to
use them: one forget set and many networks of each kind, or many runs of which each forgot other examples, by coins.
Whatever a function gives, read it beside what a perfect unlearner gets with as many networks; the unit of every test,
fold and interval is a network, never an example.

Read `signals` first, which says what is looked at, then `roc` and `ulira`.
"""

from junlearn.metrics.ensemble.epsilon import (
    EpsilonExample,
    EpsilonSet,
    Threshold,
    epsilon_example,
    epsilon_lower,
    epsilon_set,
    highest_epsilon,
    upper_limit,
)
from junlearn.metrics.ensemble.iam import (
    IamEffect,
    iam,
    iam_against_twins,
    iam_offline_signal,
    iam_signal,
)
from junlearn.metrics.ensemble.lira import (
    Attack,
    lira,
    lira_held_out,
    lira_relabelled,
    lira_released,
)
from junlearn.metrics.ensemble.multiplicity import (
    benjamini_hochberg,
    permutation_p,
)
from junlearn.metrics.ensemble.one_run import (
    Guesses,
    OneRun,
    epsilon_one_run,
    guesses,
    one_run,
    one_run_p,
)
from junlearn.metrics.ensemble.rmia import (
    rmia,
    rmia_ratio,
)
from junlearn.metrics.ensemble.roc import (
    Convention,
    Rates,
    Roc,
    TprNull,
    best_accuracy,
    check_rate,
    rates_of_many,
    roc_area,
    roc_curve,
    tpr_at,
    tpr_null,
)
from junlearn.metrics.ensemble.ruli import (
    RELEASED_BANDWIDTH,
    rule_of_thumb,
    ruli_efficacy,
    ruli_held_out,
    ruli_privacy,
)
from junlearn.metrics.ensemble.signals import (
    Precision,
    clipped_margins,
    guarded_margins,
    label_probabilities,
    margins,
)
from junlearn.metrics.ensemble.tow import (
    MeanMargin,
    student_interval,
    tow_mia_of_pairs,
    tow_of_pairs,
)
from junlearn.metrics.ensemble.ulira import (
    IN_SAMPLE_TITLE,
    KEPT,
    NEVER,
    UNLEARNED,
    Ulira,
    UliraNull,
    enough_runs,
    permuted_coins,
    retain_exposure,
    ulira,
    ulira_in_sample,
    ulira_relabelled,
)

__all__ = [
    "IN_SAMPLE_TITLE",
    "KEPT",
    "NEVER",
    "RELEASED_BANDWIDTH",
    "UNLEARNED",
    "Attack",
    "Convention",
    "EpsilonExample",
    "EpsilonSet",
    "Guesses",
    "IamEffect",
    "MeanMargin",
    "OneRun",
    "Precision",
    "Rates",
    "Roc",
    "Threshold",
    "TprNull",
    "Ulira",
    "UliraNull",
    "benjamini_hochberg",
    "best_accuracy",
    "check_rate",
    "clipped_margins",
    "enough_runs",
    "epsilon_example",
    "epsilon_lower",
    "epsilon_one_run",
    "epsilon_set",
    "guarded_margins",
    "guesses",
    "highest_epsilon",
    "iam",
    "iam_against_twins",
    "iam_offline_signal",
    "iam_signal",
    "label_probabilities",
    "lira",
    "lira_held_out",
    "lira_relabelled",
    "lira_released",
    "margins",
    "one_run",
    "one_run_p",
    "permutation_p",
    "permuted_coins",
    "rates_of_many",
    "retain_exposure",
    "rmia",
    "rmia_ratio",
    "roc_area",
    "roc_curve",
    "rule_of_thumb",
    "ruli_efficacy",
    "ruli_held_out",
    "ruli_privacy",
    "student_interval",
    "tow_mia_of_pairs",
    "tow_of_pairs",
    "tpr_at",
    "tpr_null",
    "ulira",
    "ulira_in_sample",
    "ulira_relabelled",
    "upper_limit",
]
