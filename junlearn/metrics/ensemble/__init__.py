"""Audits of ensembles: can the law of unlearned networks be told from the law of retrained ones, from their outputs?

Pure functions of arrays, on the host in float64. An ensemble is `[networks, examples]`, the networks first. Two ways to
use them: one forget set and many networks of each kind, or many runs of which each forgot other examples, by coins.
Whatever a function gives, read it beside what a perfect unlearner gets with as many networks; the unit of every test,
fold and interval is a network, never an example.

Read `signals` first, which says what is looked at, then `roc` and `ulira`.
"""

from junlearn.metrics.ensemble.lira import (
    Attack,
    lira,
    lira_held_out,
    lira_relabelled,
    lira_released,
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
from junlearn.metrics.ensemble.signals import (
    Precision,
    clipped_margins,
    guarded_margins,
    label_probabilities,
    margins,
)

__all__ = [
    "Attack",
    "Convention",
    "Precision",
    "Rates",
    "Roc",
    "TprNull",
    "best_accuracy",
    "check_rate",
    "clipped_margins",
    "guarded_margins",
    "label_probabilities",
    "lira",
    "lira_held_out",
    "lira_relabelled",
    "lira_released",
    "margins",
    "rates_of_many",
    "roc_area",
    "roc_curve",
    "tpr_at",
    "tpr_null",
]
