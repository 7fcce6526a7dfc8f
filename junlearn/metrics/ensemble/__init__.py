"""Whether two ensembles of networks follow one law, from their margins: numpy on the host, in float64.

An ensemble is `[networks, examples]`. Each metric has a plain form, on `unlearned` and `retrained` networks, and a
resampled one, on their pool and many ways to deal it out: for the band of values that a perfect unlearner has, and for
tests whose unit is a network. Read `relabelled` first, then `moments`.
"""

from junlearn.metrics.ensemble.churn import churn_excess, resampled_churn_excess
from junlearn.metrics.ensemble.crossfit import (
    Crossfit,
    ResampledCrossfit,
    crossfit,
    resampled_crossfit,
)
from junlearn.metrics.ensemble.energy import energy, resampled_energy
from junlearn.metrics.ensemble.forgetting_quality import (
    ForgettingQuality,
    final_score,
    forgetting_quality,
    resampled_epsilon,
    resampled_forgetting_quality,
)
from junlearn.metrics.ensemble.klom import Klom, klom, resampled_klom, resampled_klom_values
from junlearn.metrics.ensemble.moments import (
    Moments,
    moments,
    resampled_moments,
    rho,
    signal_sd,
)
from junlearn.metrics.ensemble.rank_quality import rank_quality, resampled_rank_quality
from junlearn.metrics.ensemble.relabelled import (
    Relabelled,
    bootstraps,
    identity,
    permutations,
    splits,
)

__all__ = [
    "Crossfit",
    "ForgettingQuality",
    "Klom",
    "Moments",
    "Relabelled",
    "ResampledCrossfit",
    "bootstraps",
    "churn_excess",
    "crossfit",
    "energy",
    "final_score",
    "forgetting_quality",
    "identity",
    "klom",
    "moments",
    "permutations",
    "rank_quality",
    "resampled_churn_excess",
    "resampled_crossfit",
    "resampled_energy",
    "resampled_epsilon",
    "resampled_forgetting_quality",
    "resampled_klom",
    "resampled_klom_values",
    "resampled_moments",
    "resampled_rank_quality",
    "rho",
    "signal_sd",
    "splits",
]
