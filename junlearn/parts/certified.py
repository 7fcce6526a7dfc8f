"""Noisy steps with a guarantee, and noise-free training after them: what the certified methods share.

    (F1)  start:   theta_0 from the original's weights, inside of a ball
    (F2)  T steps: theta <- move(theta, gradient of the mean CE of a batch of D_r) + sigma_t N(0, I)
    (F3)  repair:  training on D_r without noise, from theta_T

F3 takes nothing from the guarantee: it is a function of theta_T and D_r alone. The noise of every step is drawn by a
key of its own, which is in the state. There is no momentum in F2: its buffer would be a second network without noise.

Refused are networks with running statistics: they saw the forgotten data, and no noise is on them. Re-estimating them
on D_r during F2 would give away the networks of all steps, of which the proof hides all but the last.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from msgspec import Meta

from junlearn.errors import ConfigError
from junlearn.fields import Count, NonNegative, Positive, Whole
from junlearn.parts import descent, feeds, noise
from junlearn.parts.accounting.mechanisms import Budget, Mechanism, solve
from junlearn.parts.descent import Descent, descend, supervised
from junlearn.parts.optimizers import ScheduleKind
from junlearn.parts.recipe import Recipe, Supervised, optimizer, stages
from junlearn.types import (
    Array,
    Batch,
    Feed,
    Key,
    Method,
    Metrics,
    Model,
    PyTree,
    Sources,
    Split,
    Stage,
    Variables,
)

__all__ = [
    "ASSUMED",
    "Certified",
    "Delta",
    "Repaired",
    "budget_of",
    "certified",
    "checked",
    "is_linear",
    "without_statistics",
]

ASSUMED = (
    "the seed was drawn at random and stays secret (this record has it)",
    "nothing but the finished network is given away",
    "no setting, the number of steps included, was chosen by looking at the forgotten data",
    "the view (its mean and deviation) and the network's shape do not come from the forgotten data",
)
"""What no code can see, of every certified method."""

Delta = Annotated[float, Meta(gt=0, lt=1)]


@dataclass(frozen=True, kw_only=True)
class Repaired(Supervised):
    """A budget, and training without noise after the noise."""

    epsilon: Positive = 1.0
    """Bound that the noise is made for. Where `sigma` and the steps are given, what they give is certified instead."""
    delta: Delta = 1e-5
    sigma: Positive | None = None
    """Deviation of the noise; None: the least that gives `epsilon`."""
    learning_rate: Positive = 0.1
    """Of the training without noise, as all fields from here on."""
    weight_decay: NonNegative = 5e-4
    epochs: Whole = 10
    """0: no such training."""
    schedule: ScheduleKind = "one_cycle"


@dataclass(frozen=True, kw_only=True)
class Certified(Repaired):
    """The same with noisy steps."""

    noisy_steps: Count | None = None
    """T; None: the fewest that give `epsilon` with `sigma`."""
    noisy_rate: Positive = 1e-4
    """eta, the rate of the noisy steps; the same in all of them, and there is no momentum."""
    noisy_decay: NonNegative = 0.0
    """lam, the weight decay of the noisy steps."""


def checked(config: Repaired, method: str) -> None:
    """Raises ConfigError for a choice among networks: the theorem is about the one after the last step."""
    if config.keep != "last":
        raise ConfigError(
            f'{method}: keep = "{config.keep}" has no certificate: the noise is on the last weights; '
            'keep = "last" is allowed'
        )


def budget_of(config: Certified, mechanism: Mechanism) -> Budget:
    """Epsilon, delta, sigma and steps that belong together: `sigma` and `noisy_steps` where given, else what gives
    `epsilon`. Raises ConfigError where both are left open.
    """
    if config.sigma is None and config.noisy_steps is None:
        raise ConfigError("give sigma or noisy_steps: one of them is found by epsilon, not both")
    both = config.sigma is not None and config.noisy_steps is not None
    return solve(
        mechanism,
        epsilon=None if both else config.epsilon,
        delta=config.delta,
        sigma=config.sigma,
        steps=config.noisy_steps,
    )


def without_statistics(method: str, variables: Variables) -> None:
    """Raises ConfigError for a network with running statistics."""
    if jax.tree.leaves(variables.stats):
        raise ConfigError(
            f"{method}: the network has running statistics (BatchNorm), which saw the forgotten data and get no noise; "
            "a network without them is allowed, such as mlp, vit, or one with another norm"
        )


def is_linear(model: Model, params: PyTree, x: Array) -> bool:
    """Whether the outputs are W x + b with every weight used once, told from random weights and images.

    Bounds of gradients and curvature by |x| are those of such outputs, not of features that the network makes of x.
    """
    rng = np.random.default_rng(0)

    def drawn(leaf: Array) -> Array:
        return jnp.asarray(rng.normal(size=leaf.shape), leaf.dtype)

    def outputs(params: PyTree, image: Array) -> Array:
        return model.apply(Variables(params, {}), image)[0][0]

    def sums(a: Array, b: Array, both: Array) -> bool:
        return bool(jnp.abs(a + b - both).max() <= 1e-4 * jnp.abs(both).max())

    images, weights = (drawn(x), drawn(x)), [jax.tree.map(drawn, params) for _ in range(2)]
    total = jax.tree.map(jnp.add, *weights)
    straight = sums(*(outputs(w, images[0]) for w in (*weights, total)))
    at = [
        outputs(weights[0], image) for image in (*images, images[0] + images[1], jnp.zeros_like(x))
    ]
    straight &= sums(at[0], at[1], at[2] + at[3])
    slopes = jax.tree.leaves(jax.jacrev(outputs)(weights[0], images[0]))
    squares = sum(jnp.square(leaf).reshape(len(leaf), -1).sum(1) for leaf in slopes)
    return straight and bool((squares <= 1.0001 * (jnp.square(images[0]).sum() + 1)).all())


def certified(
    config: Repaired,
    model: Model,
    name: str,
    start: Callable[[PyTree, Key], PyTree],
    certificate: Mapping[str, Any],
    steps: int = 0,
    move: Callable[[PyTree, PyTree], PyTree] | None = None,
    sigmas: np.ndarray | None = None,
    contain: Callable[[PyTree], PyTree] = lambda params: params,
) -> Method:
    """Equations F1 to F3: `start(params, key)`, then `steps` of `contain(move(params, gradient) + noise)`, then repair.

    `sigmas` has the noise of each step. `certificate` is completed by what every such method checks and assumes.
    """
    checked(config, name)
    loss = supervised(model)
    view = "augment" if config.augment else "eval"

    def noisy(state: Descent, batch: Batch) -> tuple[Descent, Metrics]:
        assert move is not None and sigmas is not None
        params, stats = state.variables
        key = jax.random.fold_in(state.key, state.step)
        (value, (_, metrics)), gradient = jax.value_and_grad(loss, has_aux=True)(
            params, state, batch, key
        )
        drawn = noise.draw(jax.random.fold_in(state.extra, state.step), params)
        sigma = jnp.asarray(sigmas, jnp.result_type(float))[state.step]
        params = contain(noise.added(move(params, gradient), drawn, sigma))
        state = state._replace(variables=Variables(params, stats), step=state.step + 1)
        return state, {"loss": value, **metrics}

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> Descent:
        without_statistics(name, variables)
        key, start_key, noise_key = jax.random.split(key, 3)
        params = start(variables.params, start_key)
        tx = optimizer(config, len(split.retain))
        return descent.init(key, Variables(params, variables.stats), tx, noise_key)

    def plan(split: Split) -> list[Stage]:
        rows = len(split.retain)

        def feed(rng: np.random.Generator, state: Descent) -> Feed:
            return feeds.shuffled(rng, split.retain, config.batch_size, view=view)

        ahead, repair = [], []
        if steps:
            pace = Recipe(steps=steps, batch_size=config.batch_size)
            ahead = stages(pace, "noisy", noisy, feed, rows)
        if config.steps or config.epochs:
            tx = optimizer(config, rows)
            repair = stages(config, "repair", descend(loss, tx), feed, rows)
        return ahead + repair

    checks = ["no running statistics", "the last weights"]
    if move is not None:
        checks += ["independent noise in every step", "no momentum", "all steps of the plan"]
    whole = {
        **certificate,
        "checked": checks,
        "assumed": [*certificate.get("assumed", ()), *ASSUMED],
    }
    return Method(
        init,
        plan,
        lambda state: state.variables,
        certificate=lambda split: whole,
        fits=lambda variables, x: without_statistics(name, variables),
    )
