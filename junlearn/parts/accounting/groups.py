"""A guarantee for one example as one for a group of k: the reference point that DP-SGD gives.

    (P1)  (eps, delta) for one example is  (k eps, delta (e^(k eps) - 1) / (e^eps - 1))  for any k of them

A network that was trained with DP-SGD at the single guarantee has forgotten every group already, without a step.
"""

import math
from typing import NamedTuple

__all__ = ["Single", "for_group"]


class Single(NamedTuple):
    """What one example must be guaranteed."""

    epsilon: float
    delta: float


def for_group(epsilon: float, delta: float, size: int) -> Single:
    """Equation P1 solved for the guarantee of one example, from that of a group of `size`."""
    own = epsilon / size
    ratio = math.expm1(-own) / math.expm1(-epsilon) if epsilon else 1 / size
    return Single(own, delta * math.exp(own - epsilon) * ratio)
