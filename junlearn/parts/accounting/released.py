"""Formulas of released codes that do not certify what they say; the sound ones are in the modules beside this one.

(R1)  sigma^2 = N^2 / (2 c S), and half of it with lam = 0, where 4 c T stands for 2 c T
(R2)  T = ceil(C0 / (C1 eta)); with lam > 0 instead  t = ceil(ln(2 lam C0 / C1) / (eta lam))  if 0 < t < T
(R3)  eps = min_{1 < a <= 1000}  c + ln(1 - 1/a) - (ln delta + ln a)/(a - 1):  R1 gives a divergence of a c, not c
(R4)  sigma = 2 C0 sqrt(2 ln(1.25/delta)) / eps:  holds for eps <= 1, with more noise than is needed
(R5)  delta of one example from that of a group of k:  delta e^(eps/k - eps), up to k times too large
"""

import math
from collections.abc import Sequence

from junlearn.parts.accounting.mechanisms import GradientClipping

__all__ = [
    "classic_sigma",
    "decreasing_sigmas",
    "group_delta",
    "released_sigma",
    "released_steps",
    "reported_epsilon",
]


def released_sigma(mechanism: GradientClipping, steps: int, renyi_per_order: float) -> float:
    """Equation R1, the same in all steps."""
    slip = 2 if mechanism.decay == 0 else 1
    variance = mechanism.shift(steps) ** 2 / (2 * renyi_per_order * mechanism.noise(steps))
    return math.sqrt(variance / slip)


def decreasing_sigmas(
    mechanism: GradientClipping, steps: int, renyi_per_order: float
) -> Sequence[float]:
    """sigma_t^2 = N^2 / (2 c T rho^(2 (T-1-t))): all steps have the same share in the result."""
    most = mechanism.shift(steps) / math.sqrt(2 * renyi_per_order * steps)
    return [most / mechanism.rho ** (steps - 1 - t) for t in range(steps)]


def released_steps(mechanism: GradientClipping) -> int:
    """Equation R2."""
    start, grad, step, decay = (
        mechanism.init_clip,
        mechanism.grad_clip,
        mechanism.step,
        mechanism.decay,
    )
    plain = math.ceil(start / (grad * step))
    if decay > 0:
        decayed = math.ceil(math.log(2 * decay * start / grad) / (step * decay))
        if 0 < decayed < plain:
            return decayed
    return plain


def reported_epsilon(renyi_per_order: float, delta: float) -> float:
    """Equation R3: 1.004 for c = 1 and delta = 1e-5, where 7.08 is certified."""
    return min(
        renyi_per_order + math.log1p(-1 / a) - (math.log(delta) + math.log(a)) / (a - 1)
        for a in range(2, 1001)
    )


def classic_sigma(init_clip: float, epsilon: float, delta: float) -> float:
    """Equation R4."""
    return 2 * init_clip * math.sqrt(2 * math.log(1.25 / delta)) / epsilon


def group_delta(epsilon: float, delta: float, size: int) -> float:
    """Equation R5."""
    return delta * math.exp(epsilon / size - epsilon)
