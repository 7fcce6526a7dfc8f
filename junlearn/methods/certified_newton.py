"""Certified Newton: one Newton step on the loss without the forget set, and Gaussian noise on the weights.

Setting: retain images and labels.

    (1)  L(theta) = mean_{D_r} CE + (weight_decay / 2) |theta|^2
    (2)  s = (H + gamma I)^-1 grad L(theta0),   H the Hessian of L at theta0, by LiSSA or conjugate gradients
    (3)  theta = theta0 - s + N(0, std^2 I)

All derivatives are taken in eval mode (`junlearn.parts.linear_systems`); |grad L - (H + gamma I) s| / |grad L| is
reported as `certified_newton/residual`.

Guarantee, of the paper: where |theta0 - s - theta*| <= Delta, theta* being the minimum of L that retraining finds,
theta is (epsilon, delta)-indistinguishable from theta* with the same noise, if

    (4)  std >= Delta sqrt(2 ln(1.25 / delta)) / epsilon,   epsilon <= 1

Delta follows from a radius C with |theta| <= C for the original and the retrained network (training multiplies theta by
min(1, C / |theta|) after every step), Lipschitz constants of gradient and Hessian, the least eigenvalue of H and the
sampling of (2). Nobody knows these constants of a network from its data. So nothing is certified, and
`certified_newton/certified` is 0, unless you give the bound yourself: distance (Delta), epsilon and delta. Then a std
below (4), running statistics (BatchNorm), which saw the forgotten data and get no noise, and an original with
|theta0| > radius are refused, and the record holds the certificate with all that it assumes.

Defaults (of the release, which has no accountant, so that its std of 0.001 certifies nothing by itself; iterations and
tolerance, of CG alone, are ours):

    damping       0.01
    iterations    100
    tolerance     0.0001
    count         None
    batch_size    10
    solver        "lissa"
    depth         1000
    repeats       10
    scale         1000.0
    matrix        "hessian"
    weight_decay  0.0005
    regulariser   "squares"
    std           0.001
    radius        20.0
    distance      None
    epsilon       None
    delta         None

With these LiSSA makes depth / scale = 1 of a unit step: eigenvalues of H + gamma I well below 1 are not inverted, and
the residual tells. The original is to be trained with Adam at 0.01 for 30 epochs of batches of 128. Of an original
that fits D_r grad L is near 0, and the step with it: then only the noise forgets.

As released (regulariser="norms", the preset `certified_newton_released`): the penalty is weight_decay sum_l |theta_l|
over the arrays, in H (weight_decay + gamma) times the sum, and there is no gamma I. Defect: the Hessian of |w| is
(I - w w^T / |w|^2) / |w|, nothing along w, so that gamma does not make H positive definite, and the gradient is not
that of a weight decay. The release does not repeat the projection of training in retraining.

Reference: Zhang, Dong, Wang, Li, ICML 2024 (arXiv 2408.00920).
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from junlearn.errors import ConfigError
from junlearn.fields import BatchSize, Count, Fraction, NonNegative, Positive
from junlearn.memo import remembered
from junlearn.parts import noise, solves
from junlearn.parts.certified import without_statistics
from junlearn.parts.linear_systems import Penalty, System, squares
from junlearn.parts.solves import Solving
from junlearn.types import (
    Array,
    Key,
    Method,
    Model,
    Preset,
    PyTree,
    Range,
    Sources,
    Space,
    Split,
    Stage,
    Variables,
)

__all__ = ["NEEDS", "PRESETS", "SPACE", "Config", "State", "least_noise", "make", "norms"]

NEEDS = frozenset({"retain.x", "retain.y"})


@dataclass(frozen=True, kw_only=True)
class Config(Solving):
    """Hyper-parameters of the Newton step, and what is claimed of it."""

    batch_size: BatchSize = 10
    solver: Literal["cg", "lissa"] = "lissa"
    depth: Count = 1000
    repeats: Count = 10
    scale: Positive = 1000.0
    matrix: Literal["gauss_newton", "hessian"] = "hessian"
    weight_decay: NonNegative = 5e-4
    """Of the original's training."""
    regulariser: Literal["squares", "norms"] = "squares"
    """As in equation 1, or as released."""
    std: NonNegative = 1e-3
    """Deviation of the noise."""
    radius: Positive = 20.0
    """C. It is read where a bound is given."""
    distance: Positive | None = None
    """Delta, a bound that you have proved for this network and this request; None: nothing is certified."""
    epsilon: Positive | None = None
    delta: Fraction | None = None


# Where a bound is given, epsilon and delta are its promise, and a std that is too small for them is refused.
SPACE: Space = {"damping": Range(1e-3, 10.0, log=True), "std": Range(1e-5, 0.1, log=True)}

PRESETS = {
    "certified_newton_released": Preset(
        "certified Newton as its code does it: a penalty of norms in the place of squares",
        {"regulariser": "norms"},
    ),
}


class State(NamedTuple):
    """That of a solver, and the key of the noise."""

    variables: Variables
    system: System
    key: Key
    noise_key: Key


@remembered
def norms(weight: float) -> Penalty | None:
    """Weight times the sum of the norms of the arrays; None where the weight is 0. An array of 0 has no slope."""

    def penalty(params: PyTree) -> Array:
        squares = jnp.stack([jnp.square(leaf).sum() for leaf in jax.tree.leaves(params)])
        there = squares > 0
        return weight * jnp.where(there, jnp.sqrt(jnp.where(there, squares, 1)), 0).sum()

    return penalty if weight else None


def least_noise(distance: float, epsilon: float, delta: float) -> float:
    """Equation 4."""
    return distance * math.sqrt(2 * math.log(1.25 / delta)) / epsilon


def make(config: Config, model: Model) -> Method:
    """A Newton step and noise. Raises ConfigError for a claim that does not hold."""
    claim = _claim(config)
    if config.regulariser == "norms":
        slope, bend = norms(config.weight_decay), norms(config.weight_decay + config.damping)
        solving = dataclasses.replace(config, damping=0.0)
    else:
        slope = bend = squares(config.weight_decay)
        solving = config

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> State:
        if claim:
            _check(config, variables)
        key, noise_key = jax.random.split(key)
        system = solves.begin(variables.params, split, solving, retain=1 / len(split.retain))
        return State(variables, system, key, noise_key)

    def fits(variables: Variables, x: Array) -> None:
        if claim:
            without_statistics("certified_newton", variables)

    def plan(split: Split) -> list[Stage]:
        return solves.stages(
            solving, model, split, config.matrix, ("retain",), slope=slope, bend=bend
        )

    def finish(state: State) -> Variables:
        params = jax.tree.map(jnp.subtract, state.variables.params, state.system.solution)
        drawn = noise.draw(state.noise_key, params)
        return state.variables._replace(params=noise.added(params, drawn, config.std))

    def report(state: State) -> dict[str, Array]:
        return {
            "certified_newton/residual": state.system.relative,
            "certified_newton/certified": jnp.float32(bool(claim)),
        }

    return Method(
        init,
        plan,
        finish,
        report=report,
        certificate=(lambda split: claim) if claim else None,
        read_at_finish=frozenset({"std"}),
        fits=fits,
    )


def _claim(config: Config) -> Mapping[str, Any]:
    """The certificate, empty where no bound is given. Raises ConfigError for one that does not hold."""
    bound = {name: getattr(config, name) for name in ("distance", "epsilon", "delta")}
    missing = [name for name, value in bound.items() if value is None]
    if len(missing) == len(bound):
        return {}
    if missing:
        raise ConfigError(
            "certified_newton: a certificate wants distance, epsilon and delta together; "
            f"give {' and '.join(missing)}, or none of them"
        )
    distance, epsilon, delta = bound.values()
    if epsilon > 1 or not 0 < delta < 1:
        raise ConfigError(
            f"certified_newton: the bound on the noise holds for 0 < epsilon <= 1 and 0 < delta < 1, not for epsilon = "
            f"{epsilon:g}, delta = {delta:g}"
        )
    if config.regulariser == "norms":
        raise ConfigError(
            'certified_newton: regulariser = "norms" has no certificate; "squares" is allowed'
        )
    least = least_noise(distance, epsilon, delta)
    if config.std < least:
        raise ConfigError(
            f"certified_newton: std = {config.std:g} does not hide a distance of {distance:g} with "
            f"epsilon = {epsilon:g}, delta = {delta:g}; std >= {least:.6g} does"
        )
    return {
        "mechanism": "Gaussian noise on a Newton step",
        "epsilon": epsilon,
        "delta": delta,
        "std": config.std,
        "distance": distance,
        "radius": config.radius,
        "checked": ["no running statistics", "the norm of the original is at most the radius"],
        "assumed": [
            f"the weights before the noise are within {distance:g} of those that retraining finds: a bound that was "
            "given, not computed",
            f"training kept the norm of the weights at most {config.radius:g} after every step, and retraining does",
            "the retrained network that it is compared with gets the same noise",
            "the seed of the run stays secret, and nothing but the finished network is given away",
        ],
    }


def _check(config: Config, variables: Variables) -> None:
    """Raises ConfigError for an original that the certificate does not cover."""
    without_statistics("certified_newton", variables)
    norm = optax.tree.norm(variables.params)
    # Where only the shape of the state is asked for there are no weights to look at.
    if not isinstance(norm, jax.core.Tracer) and norm > config.radius:
        raise ConfigError(
            f"certified_newton: the original's weights have norm {float(norm):.4g}, above radius = {config.radius:g}; "
            "a certificate wants an original that was trained within it"
        )
