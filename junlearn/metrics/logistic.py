"""Logistic regression on one scalar feature, solved exactly.

The objective over the slope u and the intercept c, for a feature h_i and targets t_i (1: member):

    F(u, c) = sum_i w_i BCE(u h_i + c, t_i) + penalty u^2,     w_i = n / (2 n_class)

F is strictly convex and has one minimum: the slope is penalised, and with both classes present the
intercept cannot run away, separable data and a constant feature included. Newton's method with
backtracking finds it. A library's default stopping rule is not enough here: on large sets whose two
means are close, the gradient of the normalised loss is below 1e-4 at the start point, where such a
solver then stays, with u = 0 and every decision meaningless.
"""

from typing import NamedTuple

import numpy as np

from junlearn.metrics.context import Floats

__all__ = ["Attack", "fit_attack"]

STEPS = 100
HALVINGS = 60


class Attack(NamedTuple):
    """A linear rule on a scalar feature: `u h + c > 0` calls an example a member."""

    u: float
    c: float

    def calls_member(self, feature: Floats) -> np.ndarray:
        """bool[N]: the hard decision on every example of `feature` float64[N]."""
        return self.u * feature + self.c > 0


class _Problem(NamedTuple):
    x: Floats  # the centred feature
    sign: Floats  # +1 member, -1 non-member
    weight: Floats
    penalty: float


def _value(problem: _Problem, u: float, c: float) -> float:
    margin = problem.sign * (u * problem.x + c)
    losses = np.maximum(-margin, 0.0) + np.log1p(np.exp(-np.abs(margin)))
    return float(problem.weight @ losses) + problem.penalty * u * u


def _derivatives(problem: _Problem, u: float, c: float) -> tuple[Floats, Floats]:
    """Gradient [2] and Hessian [2,2] in (u, c)."""
    x = problem.x
    margin = problem.sign * (u * x + c)
    small = np.exp(-np.abs(margin))
    slope = -problem.sign * problem.weight * np.where(margin > 0, small, 1.0) / (1.0 + small)
    curvature = problem.weight * small / (1.0 + small) ** 2
    bent = curvature * x
    gradient = np.array([slope @ x + 2.0 * problem.penalty * u, slope.sum()])
    mixed = bent.sum()
    hessian = np.array([[bent @ x + 2.0 * problem.penalty, mixed], [mixed, curvature.sum()]])
    return gradient, hessian


def fit_attack(member: Floats, unseen: Floats, penalty: float = 0.25) -> Attack:
    """The minimiser of F for members float64[Nm] against non-members float64[Nu].

    The default penalty, `u^2 / 4`, is what the membership score in the literature uses (a two-class
    softmax with the library's default `C = 1`). Raises `ValueError` if a class is empty or a value
    is not finite, and `RuntimeError` if the iteration does not converge.
    """
    if len(member) == 0 or len(unseen) == 0:
        raise ValueError("an attack needs members and non-members to be fitted on")
    h = np.concatenate([member, unseen]).astype(np.float64)
    if not np.isfinite(h).all():
        raise ValueError("the attack's feature is NaN or infinite in some rows")
    if penalty <= 0:
        raise ValueError(f"the penalty must be positive, got {penalty}")
    n = len(h)
    counts = [len(member), len(unseen)]
    # A centred feature decouples slope and intercept; the intercept is moved back at the end.
    centre = 0.5 * (h[: counts[0]].mean() + h[counts[0] :].mean())
    problem = _Problem(
        x=h - centre,
        sign=np.repeat([1.0, -1.0], counts),
        weight=np.repeat([n / (2.0 * count) for count in counts], counts),
        penalty=penalty,
    )
    u, c = 0.0, 0.0
    value = _value(problem, u, c)
    for _ in range(STEPS):
        gradient, hessian = _derivatives(problem, u, c)
        step = np.linalg.solve(hessian, gradient)
        decrement = float(gradient @ step)
        # Rounding sits near 1e-32 n, this at an error of about 1e-12 in (u, c).
        if decrement <= 1e-24 * n:
            return Attack(u, c - u * centre)
        scale = 1.0
        for _ in range(HALVINGS):
            trial = _value(problem, u - scale * step[0], c - scale * step[1])
            # The slack is the rounding of the sum: below it the full step is safe, and exact.
            if trial <= value - 1e-4 * scale * decrement + 1e-13 * value:
                break
            scale *= 0.5
        else:
            raise RuntimeError("the logistic attack's line search found no descent")
        u, c, value = float(u - scale * step[0]), float(c - scale * step[1]), trial
    raise RuntimeError(f"the logistic attack did not converge in {STEPS} Newton steps")
