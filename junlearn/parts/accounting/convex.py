"""Noisy gradient descent on a strongly convex loss: how many steps bring two starts together.

With n examples of which S are replaced, gradients of examples bounded by M, strong convexity m, rate eta and noise
sqrt(2 eta) sigma N(0, I) in every step:

    Langevin unlearning        (V1)  eps(a) = e^(-K m eta / a) 4 a S^2 M^2 / (m sigma^2 n^2) + ln(1/delta)/(a - 1)
    projected noisy descent    (V2)  c = 1 - eta m,  Z = 2 eta M / (b (1 - c^(n/b)))
                               (V3)  eps(a) = a (S Z)^2 c^(2 K n/b) / (2 eta sigma^2) + ln(1/delta)/(a - 1)
                               (V4)  after a request with K steps, Z of the next is  Z c^(K n/b) + Z

V1 counts steps on all data, V3 epochs of n/b batches, the same in every epoch; both are the least over a > 1. V1 needs
that the original has converged, V3 does not: two runs from one start on data that differ in an example are never more
than Z apart. V2 is for one example; S Z (ours) is the worst case that all of them are in one batch. V3 is conservative:
the variance of a step is 2 eta sigma^2, so half of its first term would do. None of this is about networks with hidden
layers: their loss is not convex.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from junlearn.errors import ConfigError
from junlearn.parts.accounting.gaussian import smallest

__all__ = [
    "Convex",
    "first_within",
    "langevin_epsilon",
    "next_shift",
    "projected_epsilon",
    "projected_shift",
]


class Convex(NamedTuple):
    """The problem and its noise."""

    examples: int
    """n, of which the request replaces some."""
    gradient: float
    """M, the bound on the gradient of an example's loss."""
    convexity: float
    """m."""
    step: float
    """eta."""
    sigma: float


def langevin_epsilon(problem: Convex, removed: int, delta: float, steps: int) -> float:
    """Equation V1 after K = `steps` steps."""
    n, gradient, m, step, sigma = problem
    start = 4 * (removed * gradient / (sigma * n)) ** 2 / m
    return smallest(lambda a: np.exp(-steps * m * step / a) * a * start - math.log(delta) / (a - 1))


def projected_shift(problem: Convex, batch: int, removed: int = 1) -> float:
    """S Z of equation V2."""
    contraction = 1 - problem.step * problem.convexity
    rounds = problem.examples / batch
    return removed * 2 * problem.step * problem.gradient / (batch * (1 - contraction**rounds))


def next_shift(problem: Convex, batch: int, shift: float, epochs: int) -> float:
    """Equation V4: how far apart two runs are when the request after one with `shift` and K = `epochs` comes."""
    contraction = 1 - problem.step * problem.convexity
    return shift * contraction ** (epochs * problem.examples / batch) + projected_shift(
        problem, batch
    )


def projected_epsilon(
    problem: Convex, batch: int, shift: float, delta: float, epochs: int
) -> float:
    """Equation V3 after K = `epochs` epochs, from starts that are at most `shift` apart."""
    contraction = 1 - problem.step * problem.convexity
    left = shift * contraction ** (epochs * problem.examples / batch)
    variance = 2 * problem.step * problem.sigma**2
    return smallest(lambda a: a * left**2 / variance - math.log(delta) / (a - 1))


def first_within(epsilon_after: Callable[[int], float], epsilon: float, stride: int = 1) -> int:
    """The first K of 1, 1 + stride, .. with at most `epsilon`; the release of Langevin unlearning has stride 10.

    Raises ConfigError where further steps do not help.
    """
    steps, before = 1, math.inf
    while (now := epsilon_after(steps)) > epsilon:
        if now >= before:
            raise ConfigError(
                f"accounting: {now:.4g} is the least epsilon that any number of steps gives, not {epsilon:g}"
            )
        steps, before = steps + stride, now
    return steps
