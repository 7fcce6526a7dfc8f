"""The three mechanisms that need nothing of the loss, and what they certify.

    gradient clipping    (A1)  theta <- clip(theta, C0) once;  theta <- theta - eta (clip(g, C1) + lam theta) + sigma N
                         (A2)  rho = 1 - eta lam,  N = 2 C0 rho^T + 2 eta C1 sum_{k<T} rho^k,  S = sum_{k<T} rho^2k
                         (A3)  mu = N / (sigma sqrt(S));  with sigma_t of its own in each step sigma^2 S is
                               sum_t rho^(2 (T-1-t)) sigma_t^2
    model clipping       (A4)  theta <- clip(any step, C2) + sigma N(0, I);  d(eps, mu): delta of G1
                         (A5)  d_0 = d(eps, 2 C0/sigma0), or 1 without noise at the start
                         (A6)  e_t = ln(1 + (e^eps - 1)/d_t),  d_{t+1} = d_t d(e_t, 2 C2/sigma);  delta = d_T
    output perturbation  (A7)  theta <- clip(theta, C0) + sigma N(0, I):  mu = 2 C0 / sigma

A2 is an argument of shifts: a step brings two networks closer by rho and apart by at most 2 eta C1. A6 with the update
of form "before", clip(theta - eta clip(g + lam theta, C1) + sigma N, C2), has 2 (C2 + eta C1)/sigma for 2 C2/sigma.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from junlearn.errors import ConfigError
from junlearn.parts.accounting.gaussian import Conversion, falling_root, log_delta_of

__all__ = [
    "Budget",
    "GradientClipping",
    "Mechanism",
    "ModelClipping",
    "OutputPerturbation",
    "solve",
]


class Budget(NamedTuple):
    """What belongs together."""

    epsilon: float
    delta: float
    sigma: float
    steps: int


class Mechanism(Protocol):
    """A way to add noise."""

    def log_deltas(self, epsilon: float, sigma: float) -> Iterator[float]:
        """The logarithm of delta after 1, 2, .. steps. It ends where further steps do not lower it."""

    def log_delta(self, epsilon: float, sigma: float, steps: int) -> float:
        """The logarithm of delta after so many steps."""


@dataclass(frozen=True)
class GradientClipping:
    """Equations A1 to A3, by either conversion."""

    init_clip: float
    grad_clip: float
    step: float
    decay: float
    conversion: Conversion = "gdp"

    def __post_init__(self) -> None:
        if not 0 <= self.step * self.decay <= 1:
            raise ConfigError(
                f"gradient clipping: step * decay is {self.step * self.decay:g}; between 0 and 1 is allowed"
            )

    @property
    def rho(self) -> float:
        """By how much a step contracts."""
        return 1 - self.step * self.decay

    def shift(self, steps: int) -> float:
        """N of equation A2."""
        return 2 * self.init_clip * self.rho**steps + 2 * self.step * self.grad_clip * _geometric(
            self.rho, steps
        )

    def noise(self, steps: int) -> float:
        """S of equation A2."""
        return _geometric(self.rho**2, steps)

    def mu(self, sigma: float | Sequence[float], steps: int) -> float:
        """Equation A3; `sigma` is one for all steps, or one for each."""
        if isinstance(sigma, int | float):
            return self.shift(steps) / (sigma * math.sqrt(self.noise(steps)))
        if len(sigma) != steps:
            raise ConfigError(f"accounting: {len(sigma)} sigmas for {steps} steps")
        variance = sum(
            self.rho ** (2 * (steps - 1 - t)) * value**2 for t, value in enumerate(sigma)
        )
        return self.shift(steps) / math.sqrt(variance)

    def log_delta(self, epsilon: float, sigma: float, steps: int) -> float:
        """As of every mechanism."""
        return log_delta_of(epsilon, self.mu(sigma, steps), self.conversion)

    def log_deltas(self, epsilon: float, sigma: float) -> Iterator[float]:
        """As of every mechanism."""
        # mu falls up to some step and rises after it: in x = rho^T its square is (a x + b)^2 / (1 - x^2).
        steps, before = 1, math.inf
        while (mu := self.mu(sigma, steps)) < before:
            yield log_delta_of(epsilon, mu, self.conversion)
            steps, before = steps + 1, mu


@dataclass(frozen=True)
class ModelClipping:
    """Equations A4 to A6."""

    model_clip: float
    init_clip: float = math.inf
    """C0; it counts with noise at the start alone."""
    sigma0: float = 0.0
    """Noise at the start; 0 is none."""
    update_clip: float = 0.0
    """eta C1 of the form "before", 0 of the form "after"."""

    def log_deltas(self, epsilon: float, sigma: float) -> Iterator[float]:
        """As of every mechanism."""
        mu = 2 * (self.model_clip + self.update_clip) / sigma
        value, before = self.log_start(epsilon), math.inf
        while value < before:
            before = value
            value += log_delta_of(self._at(epsilon, value), mu)
            if value < before:
                yield value

    def log_delta(self, epsilon: float, sigma: float, steps: int) -> float:
        """As of every mechanism."""
        mu = 2 * (self.model_clip + self.update_clip) / sigma
        value = self.log_start(epsilon)
        for _ in range(steps):
            value += log_delta_of(self._at(epsilon, value), mu)
        return value

    def log_start(self, epsilon: float) -> float:
        """The logarithm of d_0 of equation A5."""
        return log_delta_of(epsilon, 2 * self.init_clip / self.sigma0) if self.sigma0 else 0.0

    @staticmethod
    def _at(epsilon: float, log_delta: float) -> float:
        """e_t of equation A6, without the overflow of e^eps."""
        if epsilon == 0:
            return 0.0
        excess = epsilon + math.log(-math.expm1(-epsilon)) - log_delta
        return (
            excess + math.log1p(math.exp(-excess)) if excess > 0 else math.log1p(math.exp(excess))
        )


@dataclass(frozen=True)
class OutputPerturbation:
    """Equation A7; it has one step."""

    init_clip: float
    conversion: Conversion = "gdp"

    def log_deltas(self, epsilon: float, sigma: float) -> Iterator[float]:
        """As of every mechanism."""
        yield log_delta_of(epsilon, 2 * self.init_clip / sigma, self.conversion)

    def log_delta(self, epsilon: float, sigma: float, steps: int = 1) -> float:
        """As of every mechanism."""
        return log_delta_of(epsilon, 2 * self.init_clip / sigma, self.conversion)


def solve(
    mechanism: Mechanism,
    *,
    epsilon: float | None = None,
    delta: float | None = None,
    sigma: float | None = None,
    steps: int | None = None,
) -> Budget:
    """The one of the four that is left out: the smallest that does with the other three.

    Raises ConfigError unless three are given and in range, and where nothing does.
    """
    given = {"epsilon": epsilon, "delta": delta, "sigma": sigma, "steps": steps}
    missing = [name for name, value in given.items() if value is None]
    if len(missing) != 1:
        have = ", ".join(name for name in given if name not in missing) or "none"
        raise ConfigError(
            f"accounting: give three of epsilon, delta, sigma and steps, not {have}; the fourth is found"
        )
    if epsilon is not None and not 0 <= epsilon < math.inf:
        raise ConfigError(f"accounting: epsilon = {epsilon}; a finite number from 0 on is allowed")
    if delta is not None and not 0 < delta < 1:
        raise ConfigError(f"accounting: delta = {delta}; between 0 and 1 is allowed")
    if sigma is not None and not 0 < sigma < math.inf:
        raise ConfigError(f"accounting: sigma = {sigma}; a finite number above 0 is allowed")
    if steps is not None and steps < 1:
        raise ConfigError(f"accounting: steps = {steps}; from 1 on is allowed")
    if delta is None:
        assert epsilon is not None and sigma is not None and steps is not None
        return Budget(epsilon, math.exp(mechanism.log_delta(epsilon, sigma, steps)), sigma, steps)
    wanted = math.log(delta)
    if epsilon is None:
        assert sigma is not None and steps is not None

        def above(value: float) -> float:
            return mechanism.log_delta(value, sigma, steps) - wanted

        return Budget(0.0 if above(0.0) <= 0 else falling_root(above), delta, sigma, steps)
    if sigma is None:
        assert steps is not None
        noise = falling_root(lambda value: mechanism.log_delta(epsilon, value, steps) - wanted)
        return Budget(epsilon, delta, noise, steps)
    return Budget(epsilon, delta, sigma, _steps(mechanism, epsilon, wanted, sigma))


def _steps(mechanism: Mechanism, epsilon: float, wanted: float, sigma: float) -> int:
    """The first step after which ln delta is at most `wanted`."""
    least = 0.0
    for steps, value in enumerate(mechanism.log_deltas(epsilon, sigma), start=1):
        if value <= wanted:
            return steps
        least = value
    raise ConfigError(
        f"accounting: no number of steps gives delta {math.exp(wanted):.3g} at epsilon {epsilon:g} with sigma "
        f"{sigma:g}, {math.exp(least):.3g} at best: more noise is needed"
    )


def _geometric(ratio: float, count: int) -> float:
    """The sum of ratio^k over k < count, without cancellation near 1."""
    if ratio == 1:
        return float(count)
    if ratio == 0:
        return 1.0
    return -math.expm1(count * math.log(ratio)) / (1 - ratio)
