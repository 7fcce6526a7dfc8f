"""Audits of ensembles: can the law of unlearned networks be told from the law of retrained ones, from their outputs?

Pure functions of arrays, on the host in float64. An ensemble is `[networks, examples]`, the networks first. Two ways to
use them: one forget set and many networks of each kind, or many runs of which each forgot other examples, by coins.
Whatever a function gives, read it beside what a perfect unlearner gets with as many networks; the unit of every test,
fold and interval is a network, never an example. So the metrics of the first kind have a resampled form, on the pool of
both ensembles and many ways to deal it out.

Read `signals` first, which says what is looked at; then `relabelled` and `moments` for the first way, `roc` and `ulira`
for the second.
"""

from junlearn.metrics.ensemble.churn import churn_excess, resampled_churn_excess
from junlearn.metrics.ensemble.crossfit import (
    Crossfit,
    ResampledCrossfit,
    crossfit,
    resampled_crossfit,
)
from junlearn.metrics.ensemble.energy import energy, resampled_energy
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
from junlearn.metrics.ensemble.forgetting_quality import (
    ForgettingQuality,
    final_score,
    forgetting_quality,
    resampled_epsilon,
    resampled_forgetting_quality,
)
from junlearn.metrics.ensemble.iam import (
    IamEffect,
    iam,
    iam_against_twins,
    iam_many,
    iam_offline_signal,
    iam_signal,
)
from junlearn.metrics.ensemble.klom import Klom, klom, resampled_klom, resampled_klom_values
from junlearn.metrics.ensemble.lira import (
    Attack,
    lira,
    lira_held_out,
    lira_offline,
    lira_relabelled,
    lira_released,
)
from junlearn.metrics.ensemble.moments import (
    Moments,
    moments,
    resampled_moments,
    rho,
    signal_sd,
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
from junlearn.metrics.ensemble.rank_quality import rank_quality, resampled_rank_quality
from junlearn.metrics.ensemble.relabelled import (
    Relabelled,
    bootstraps,
    identity,
    permutations,
    splits,
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
    "Crossfit",
    "EpsilonExample",
    "EpsilonSet",
    "ForgettingQuality",
    "Guesses",
    "IamEffect",
    "Klom",
    "MeanMargin",
    "Moments",
    "OneRun",
    "Precision",
    "Rates",
    "Relabelled",
    "ResampledCrossfit",
    "Roc",
    "Threshold",
    "TprNull",
    "Ulira",
    "UliraNull",
    "benjamini_hochberg",
    "best_accuracy",
    "bootstraps",
    "check_rate",
    "churn_excess",
    "clipped_margins",
    "crossfit",
    "energy",
    "enough_runs",
    "epsilon_example",
    "epsilon_lower",
    "epsilon_one_run",
    "epsilon_set",
    "final_score",
    "forgetting_quality",
    "guarded_margins",
    "guesses",
    "highest_epsilon",
    "iam",
    "iam_against_twins",
    "iam_many",
    "iam_offline_signal",
    "iam_signal",
    "identity",
    "klom",
    "label_probabilities",
    "lira",
    "lira_held_out",
    "lira_offline",
    "lira_relabelled",
    "lira_released",
    "margins",
    "moments",
    "one_run",
    "one_run_p",
    "permutation_p",
    "permutations",
    "permuted_coins",
    "rank_quality",
    "rates_of_many",
    "resampled_churn_excess",
    "resampled_crossfit",
    "resampled_energy",
    "resampled_epsilon",
    "resampled_forgetting_quality",
    "resampled_klom",
    "resampled_klom_values",
    "resampled_moments",
    "resampled_rank_quality",
    "retain_exposure",
    "rho",
    "rmia",
    "rmia_ratio",
    "roc_area",
    "roc_curve",
    "rule_of_thumb",
    "ruli_efficacy",
    "ruli_held_out",
    "ruli_privacy",
    "signal_sd",
    "splits",
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
