"""Langevin unlearning and projected noisy descent: noisy gradient descent on a linear model, then some more. Certified.

Setting: a linear network, W x + b, such as `mlp` with hidden=(); its images may be embeddings of a network that never
saw D. Retain images and labels; with original="train" those of D_f too, for the training before the request.

    (1)  x <- x min(1, R/|x|);   f(w) = mean CE + (m/2)|w|^2,  m = lam n;   L = (R^2 + 1)/2 + m,  M = sqrt(2 (R^2 + 1))
    (2)  w <- w - eta ((1/b) sum_{i in batch} g_i + m w) + sqrt(2 eta) sigma N(0, I),   eta = 1/L
    (3)  learn:   w = 0, then epochs of (2) on D
    (4)  unlearn: K epochs of (2) on D', which is D with a retain example in the place of every forgotten one

The batches of an epoch are the same rows in the same order in all epochs of (3) and (4). L and M are bounds that a
softmax has on a linear layer with a bias, so nothing needs to be clipped.

Guarantee: for every D_f of this size, the law of w after (4) is (epsilon, delta)-close in both directions to that of
(3) and (4) with D' from the beginning. It is about replaced examples, as the theorems are. It needs strong convexity
(lam > 0 and a linear network, others are refused), eta <= 1/L, and an original that came out of (3): an ordinary
network has no certificate. So the method trains its own by default, and passes over the network that it is given.
original="noisy" says that the given one did come out of (3) with the same settings, which no code can see.

    "projected"  V2 and V3 of `junlearn.parts.accounting.convex`; no convergence is needed
    "langevin"   V1, for one batch of all data, and only if the law of (3) has converged

`unlearn_epochs` None is the first K that gives `epsilon`. delta None is 1/n.

Defaults (sigma, lam and the batch are those of the release; `learn_epochs` is ours):

    epsilon         1.0
    delta           None
    sigma           0.03
    lam             1e-06
    radius          1.0
    learning_rate   None
    batch_size      128
    unlearn_epochs  None
    learn_epochs    100
    theorem         "projected"
    original        "train"
    form            "sound"
    grad_clip       1.0
    order           0

form="released" is for parity, and has no certificate: it clips every example's gradient together with the decay,
clip(g_i + m w, M) with M = `grad_clip`, which is no gradient of a convex function. Its projection to a sphere, the mean
over 1,000 starts and its one batch for all steps are not copied.

Reference: arXiv 2401.10371 (Langevin unlearning), 2403.17105 (projected noisy descent).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from junlearn.errors import ConfigError
from junlearn.fields import BatchSize, Count, Positive, Seed
from junlearn.memo import remembered
from junlearn.parts import feeds, losses, noise
from junlearn.parts.accounting import convex
from junlearn.parts.accounting.convex import Convex
from junlearn.parts.certified import ASSUMED, Delta, is_linear, without_statistics
from junlearn.parts.passes import along_rows
from junlearn.types import (
    Array,
    Batch,
    Feed,
    Key,
    Method,
    Metrics,
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

__all__ = ["NEEDS", "PRESETS", "SPACE", "Config", "State", "make", "needs", "replaced"]

NEEDS = frozenset({"forget.x", "forget.y", "retain.x", "retain.y"})
"""With the default `Config`; original="noisy" reads no forget data."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Hyper-parameters of Langevin unlearning."""

    epsilon: Positive = 1.0
    """What the epochs are made for; with `unlearn_epochs` given, the certificate has the one that they give."""
    delta: Delta | None = None
    sigma: Positive = 0.03
    lam: Positive = 1e-6
    """Decay of the sum of all losses; m is n times as much."""
    radius: Positive = 1.0
    """R of equation 1."""
    learning_rate: Positive | None = None
    """eta; None: 1/L."""
    batch_size: BatchSize = 128
    unlearn_epochs: Count | None = None
    """K."""
    learn_epochs: Count = 100
    theorem: Literal["projected", "langevin"] = "projected"
    original: Literal["train", "noisy"] = "train"
    """Train the original by equation 3, or take the one that is given for such a network."""
    form: Literal["sound", "released"] = "sound"
    grad_clip: Positive = 1.0
    """M of form="released"."""
    order: Seed = 0
    """Seed of the order of the rows, and of the retain examples in the place of forgotten ones."""


# Epsilon and delta are a promise, not settings to search: the epochs are made for them, thousands where lam is less.
SPACE: Space = {
    "sigma": Range(0.01, 0.3, log=True),
    "lam": Range(1e-6, 1e-4, log=True),
    "learn_epochs": Range(20, 200, log=True),
}

PRESETS = {
    "langevin_released": Preset(
        "Langevin unlearning with the gradient clipping of its release: no certificate",
        {"form": "released", "theorem": "langevin", "batch_size": 2**20, "learn_epochs": 1000},
    )
}


class State(NamedTuple):
    """The network, and the key of its noise."""

    variables: Variables
    key: Key
    step: Array


def needs(config: Config) -> frozenset[str]:
    """A network that is there already is not trained on D_f again."""
    return NEEDS if config.original == "train" else frozenset({"retain.x", "retain.y"})


def replaced(split: Split, order: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows of D in their fixed order, and those of D'."""
    rng = np.random.default_rng(order)
    rows = rng.permutation(len(split.forget) + len(split.retain))
    everything = np.sort(np.concatenate([split.forget, split.retain]))[rows]
    other = np.where(
        np.isin(everything, split.forget), rng.choice(split.retain, len(everything)), everything
    )
    return everything, other


def _within(model: Model, radius: float) -> Model:
    """`model` on images that are scaled by equation 1."""

    def apply(variables: Variables, x: Array, **how: Any) -> tuple[Array, dict[str, Array], PyTree]:
        norms = jnp.sqrt(jnp.square(x).reshape(len(x), -1).sum(1))
        scale = jnp.minimum(1.0, radius / jnp.where(norms > 0, norms, 1.0))
        return model.apply(variables, x * along_rows(scale, x), **how)

    return model._replace(apply=apply, examplewise=None)


def _refuse(model: Model, variables: Variables, x: Array) -> None:
    """Raises ConfigError for a network that no theorem is about."""
    without_statistics("langevin", variables)
    with jax.ensure_compile_time_eval():
        linear = is_linear(model, variables.params, x)
    if not linear:
        raise ConfigError(
            "langevin: the certificate is for outputs W x + b, and this network has hidden layers or features of its "
            "own; a linear one is allowed, such as mlp with hidden = []"
        )


def make(config: Config, model: Model) -> Method:
    """Noisy epochs on all data, then noisy epochs on the data without the forget set."""
    inside = _within(model, config.radius)
    sound = config.form == "sound"

    def problem_of(examples: int) -> Convex:
        convexity = config.lam * examples
        smooth = (config.radius**2 + 1) / 2 + convexity
        step = config.learning_rate or 1 / smooth
        if sound and step * smooth > 1 + 1e-9:
            raise ConfigError(
                f"langevin: learning_rate = {step:g} is above 1/L; up to {1 / smooth:.4g} is allowed"
            )
        bound = math.sqrt(2 * (config.radius**2 + 1))
        return Convex(examples, bound, convexity, step, config.sigma)

    def spent(split: Split) -> Callable[[int], float]:
        """Epsilon after K epochs."""
        removed, n = len(split.forget), len(split.forget) + len(split.retain)
        problem, batch, delta = problem_of(n), min(config.batch_size, n), config.delta or 1 / n
        if config.theorem == "langevin":
            if sound and batch < n:
                raise ConfigError(
                    f'langevin: theorem = "langevin" is about steps on all data, and batch_size = {batch} is less than '
                    f'{n} examples; a larger batch_size or theorem = "projected" is allowed'
                )
            return lambda epochs: convex.langevin_epsilon(problem, removed, delta, epochs)
        # A last batch that is not full counts as one: its sum is divided by the size of the others.
        rounds = problem._replace(examples=-(-n // batch) * batch)
        shift = convex.projected_shift(rounds, batch, removed)
        return lambda epochs: convex.projected_epsilon(rounds, batch, shift, delta, epochs)

    @remembered
    def epochs_of(split_sizes: tuple[int, int]) -> int:
        forget, retain = (np.zeros(size, int) for size in split_sizes)
        return convex.first_within(spent(Split(forget, retain, forget, retain)), config.epsilon)

    def unlearning_epochs(split: Split) -> int:
        return config.unlearn_epochs or epochs_of((len(split.forget), len(split.retain)))

    @remembered
    def stepping(examples: int) -> Callable[[State, Batch], tuple[State, Metrics]]:
        problem, size = problem_of(examples), min(config.batch_size, examples)

        def entropy(params: PyTree, x: Array, y: Array, mask: Array) -> Array:
            logits, _, _ = inside.apply(Variables(params, {}), x)
            return losses.cross_entropy(logits, y, mask)

        def pulled(params: PyTree, batch: Batch) -> tuple[Array, PyTree]:
            """Equation 2: the mean loss, and the direction."""
            value, mean = jax.value_and_grad(entropy)(params, batch.x, batch.y, batch.mask)
            share = batch.mask.sum() / size
            return value, jax.tree.map(
                lambda g, w: share.astype(g.dtype) * g + problem.convexity * w, mean, params
            )

        def clipped(params: PyTree, batch: Batch) -> tuple[Array, PyTree]:
            """The release's: every example's gradient with its decay, clipped."""

            def one(x: Array, y: Array, mask: Array) -> tuple[Array, PyTree]:
                value, g = jax.value_and_grad(entropy)(params, x[None], y[None], mask[None])
                g = jax.tree.map(lambda g, w: g + problem.convexity * w, g, params)
                g = noise.ball(g, config.grad_clip)
                return value, jax.tree.map(lambda leaf: jnp.where(mask, leaf, 0), g)

            values, each = jax.vmap(one)(batch.x, batch.y, batch.mask)
            count = jnp.maximum(batch.mask.sum(), 1)
            return values.sum() / count, jax.tree.map(lambda leaf: leaf.sum(0) / count, each)

        def step(state: State, batch: Batch) -> tuple[State, Metrics]:
            params = state.variables.params
            value, direction = (pulled if sound else clipped)(params, batch)
            drawn = noise.draw(jax.random.fold_in(state.key, state.step), params)
            params = jax.tree.map(lambda w, d: w - problem.step * d, params, direction)
            params = noise.added(params, drawn, math.sqrt(2 * problem.step) * config.sigma)  # (2)
            variables = state.variables._replace(params=params)
            return State(variables, state.key, state.step + 1), {"loss": value}

        return step

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> State:
        _refuse(model, variables, model.example(sources))
        if config.original == "train":
            variables = jax.tree.map(jnp.zeros_like, variables)  # (3)
        return State(variables, key, jnp.zeros((), jnp.int32))

    def plan(split: Split) -> list[Stage]:
        everything, others = replaced(split, config.order)
        step = stepping(len(everything))

        def fed(rows: np.ndarray) -> Callable[[np.random.Generator, State], Feed]:
            size = min(config.batch_size, len(rows))
            return lambda rng, state: feeds.sequential(rows, size)

        learn = Stage("learn", step, fed(everything), config.learn_epochs)
        unlearn = Stage("unlearn", step, fed(others), unlearning_epochs(split))
        return [learn, unlearn] if config.original == "train" else [unlearn]

    def certificate(split: Split) -> Mapping[str, Any]:
        n, epochs = len(split.forget) + len(split.retain), unlearning_epochs(split)
        problem, batch = problem_of(n), min(config.batch_size, n)
        assumed = [f"the request replaces {len(split.forget)} examples; n stays {n}"]
        if config.original == "noisy":
            assumed.append("the original came from the same noisy steps, batches and settings")
        if config.theorem == "langevin":
            assumed.append("the law of the original had converged")
        return {
            "mechanism": f"noisy descent ({config.theorem})",
            "epsilon": spent(split)(epochs),
            "delta": config.delta or 1 / n,
            "sigma": config.sigma,
            "steps": epochs * -(-n // batch),
            "epochs": epochs,
            "convexity": problem.convexity,
            "gradient_bound": problem.gradient,
            "step": problem.step,
            "checked": ["a linear network", "step <= 1/L", "independent noise in every step"],
            "assumed": [*assumed, *ASSUMED],
        }

    return Method(
        init,
        plan,
        lambda state: (inside, state.variables),
        certificate=certificate if sound else None,
        fits=partial(_refuse, model),
    )
