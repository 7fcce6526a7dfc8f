"""IAM: how far on the way from "trained with it" to "never seen" is an example? One retrained network suffices.

Interpolated approximate measurement (Wang et al., "Towards Lifecycle Unlearning Commitment Management", 2025). Between
the retrained networks' signals and the original's, the laws of networks that half know the example are interpolated;
the score says how many of them lie above the judged signal. 1: forgotten, 0: as before.

No level of the score means "forgotten" by itself: compare with retrained twins in the place of the judged networks
(`iam_against_twins`).
"""

from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy.special import ndtr

from junlearn.errors import ConfigError
from junlearn.metrics.context import Floats
from junlearn.metrics.ensemble import given
from junlearn.metrics.ensemble.roc import roc_area

__all__ = ["IamEffect", "iam", "iam_against_twins", "iam_many", "iam_offline_signal", "iam_signal"]

E1, E2 = 1e-2, 1e-5
EULER = 0.5772
"""As rounded in the release."""
LEAST = 1e-10


class IamEffect(NamedTuple):
    """Judged networks against retrained twins, both scored by `iam`."""

    difference: float
    """Mean score of the judged minus mean score of the twins; 0 for perfect unlearning."""
    area: float
    """Area under the curve of the judged against the twins; 1/2 for perfect unlearning."""


def iam_signal(probability: Any) -> Floats:
    """`-ln(e1 - ln(e2 + p))`, e1 = 1e-2 and e2 = 1e-5, scaled to 0 at p = 0 and 1 at p = 1; of any shape."""
    p = given.probabilities(
        probability,
        "iam: probability",
        ["axis"] * len(given.shape_of(probability, "iam: probability")),
    )
    low, high = (-np.log(E1 - np.log(E2 + end)) for end in (0.0, 1.0))
    return (-np.log(E1 - np.log(E2 + p)) - low) / (high - low)


def iam_offline_signal(shadow_on_its_training: Any) -> float:
    """The mean signal of retrained networks on their own training data float[R, m], in the place of the original's."""
    p = given.probabilities(
        shadow_on_its_training, "iam: shadow_on_its_training", ("shadows", "examples")
    )
    return float(iam_signal(p).mean())


def iam(
    judged: Any,
    shadow: Any,
    original: Any = None,
    *,
    offline_signal: float | None = None,
    law: Literal["gumbel", "normal"] = "gumbel",
    spread: Literal["fixed", "own"] = "fixed",
    steps: int = 100,
) -> Floats:
    """float64[n]: the score of each example, in [0, 1]; 1 is forgotten.

    Probabilities of the training label: `judged` float[n], `shadow` float[R, n] of retrained networks, `original`
    float[n]; or instead of the last `offline_signal`, one number (`iam_offline_signal`). At alpha_k = k / (steps - 1)
    the signals `x_k = s_r + alpha_k (s_o - s_r)` have the mean over shadows m_k, and a deviation over shadows ("own")
    or over shadows and examples together ("fixed", always so for one shadow); with c_k the law's distribution
    function at the judged signal,

        score = 1 - sum_k alpha_{k+1} c_k / sum_k alpha_{k+1},   k = 0 ... steps - 2

    The weights are a step ahead of the laws, as released. Raises ConfigError for shapes that do not fit, numbers that
    are no probabilities, both or neither of `original` and `offline_signal`, and fewer than 2 steps.
    """
    given.one_of(law, "iam: law", ("gumbel", "normal"))
    given.one_of(spread, "iam: spread", ("fixed", "own"))
    if steps < 2:
        raise ConfigError(f"iam: {steps} steps; at least 2 are needed")
    if (original is None) == (offline_signal is None):
        raise ConfigError(
            "iam: give the original's probabilities or an offline signal, one of them"
        )
    s_u = iam_signal(given.probabilities(judged, "iam: judged", ("examples",)))
    s_r = iam_signal(given.probabilities(shadow, "iam: shadow", ("shadows", "examples")))
    s_o: Floats = np.asarray(offline_signal, np.float64)
    if original is not None:
        s_o = iam_signal(given.probabilities(original, "iam: original", ("examples",)))
    for name, size in (("shadow", s_r.shape[1]), ("original", s_o.size if s_o.ndim else s_u.size)):
        if size != s_u.size:
            raise ConfigError(f"iam: {name} has {size} examples, and judged {s_u.size}")
    own = spread == "own" and len(s_r) > 1
    alphas = np.arange(steps) / (steps - 1)
    below = np.zeros(s_u.shape)
    for alpha, weight in pairwise(alphas):
        x = s_r + alpha * (s_o - s_r)
        deviation = np.maximum(x.std(axis=0) if own else x.std(), LEAST)
        below += weight * _distribution(s_u, x.mean(axis=0), deviation, law)
    return 1 - below / alphas[1:].sum()


def iam_many(judged: Any, shadow: Any, originals: Any, steps: int = 100) -> Floats:
    """float64[N, n]: `iam` of many judged networks float[N, n], each with its own original float[N, n], the same
    shadows and the defaults of `law` and `spread`.

    The moments of x_k follow from those of the shadows and of the original, so that no x_k is made. Errors as of `iam`.
    """
    s_u, s_r, s_o = (
        iam_signal(given.probabilities(value, f"iam: {name}", ("networks", "examples")))
        for name, value in (("judged", judged), ("shadow", shadow), ("originals", originals))
    )
    if s_u.shape != s_o.shape or s_u.shape[1] != s_r.shape[1] or steps < 2:
        shapes = [list(s.shape) for s in (s_u, s_r, s_o)]
        raise ConfigError(
            f"iam: judged, shadows and originals of shapes {shapes}, and {steps} steps"
        )
    alphas = np.arange(steps)[:, None] / (steps - 1)
    centre, total = s_r.mean(axis=0), s_r.var()
    scores = np.empty(s_u.shape)
    for i, (own, start) in enumerate(zip(s_u, s_o, strict=True)):
        alpha, weight = alphas[:-1], alphas[1:]
        shared = np.mean((centre - centre.mean()) * (start - start.mean()))
        spread = (
            (1 - alpha) ** 2 * total + alpha**2 * start.var() + 2 * alpha * (1 - alpha) * shared
        )
        deviation = np.maximum(np.sqrt(np.maximum(spread, 0.0)), LEAST)
        mean = (1 - alpha) * centre + alpha * start
        below = weight * _distribution(own, mean, deviation, "gumbel")
        scores[i] = 1 - below.sum(axis=0) / weight.sum()
    return scores


def _distribution(signal: Floats, mean: Floats, deviation: Floats, law: str) -> Floats:
    if law == "normal":
        return ndtr((signal - mean) / deviation)
    scale = np.sqrt(6) * deviation / np.pi
    # Far below the mode the inner exponential overflows, and the share is 0.
    with np.errstate(over="ignore"):
        return np.exp(-np.exp(-(signal - (mean - EULER * scale)) / scale))


def iam_against_twins(judged: Any, twins: Any) -> IamEffect:
    """The scores float[N, n] of judged networks against those of retrained twins float[M, n], all examples pooled.

    Each twin is scored in the judged network's place, with the same shadows and originals. Raises ConfigError for
    shapes that do not fit and numbers that are not finite.
    """
    ours = given.numbers(judged, "iam: judged", ("networks", "examples"))
    theirs = given.numbers(twins, "iam: twins", ("networks", "examples"))
    if ours.shape[1] != theirs.shape[1]:
        raise ConfigError(f"iam: twins have {theirs.shape[1]} examples, and judged {ours.shape[1]}")
    scores = np.concatenate([ours.ravel(), theirs.ravel()])
    area = roc_area(scores, np.arange(len(scores)) < ours.size)
    return IamEffect(float(ours.mean() - theirs.mean()), area)
