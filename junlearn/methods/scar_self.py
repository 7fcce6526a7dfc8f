"""SCAR-self: forget classes without their images, by the surrogate images that the original takes for them.

Setting: a request that removes whole classes C_f; surrogate images; per-class statistics of the original's embeddings.
With these from a file no training data is read at all. The head of `junlearn.parts.scar_shared` has what SCAR reads and
computes too: S1 and S2, with what differs from the release.

    (1)  F = {s : argmax t_s in C_f} of a batch of surrogate images, t the original's logits in eval mode
    (2)  L_f = lambda_1 mean_F d_{q_s}(x_s),  q_s = argmin_k d_k(x_s) of S1, of the student at this step
    (3)  L_r of S2, over the others
    (4)  a step on L_f + L_r; a batch without F makes none (`distil_without`: it makes one on L_r)

The student sees the whole batch for (3), then F alone for (2) (`second_forward`), and both move BatchNorm, the first
also where no step is made. Without `second_forward` the features of the first pass serve for F: one pass less, other
BatchNorm statistics.

    stop="proxy"    after an epoch in which the student gave less than `target` of all F to C_f, just before each step
    stop="forget"   as released: when the accuracy on D_f is below `target`; it reads D_f
    stop="epochs"   after `epochs`

Defaults (release, CIFAR-10):

    optimizer             "adam"
    learning_rate         0.0005
    momentum              0.9
    weight_decay          0.0
    epochs                30
    batch_size            1024
    surrogate_batch_size  1024
    lambda_1              1.0
    lambda_2              5.0
    temperature           1.0
    delta                 0.5
    signed                False
    gamma_1               3.0
    gamma_2               3.0
    shrink_times          1
    v2_mask               False
    distance_power        2
    distill               "kl"
    statistics            None
    augment_statistics    False
    second_forward        True
    distil_without        False
    stop                  "proxy"
    target                0.01
    eval_every            1

Deviation: stop="proxy", since the paper claims a method without D_f and the release stops by it.

Reference: Bonato, Cotogni, Sabetta, ECCV 2024 (arXiv 2404.12922), "self-forget".
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from junlearn.errors import ConfigError
from junlearn.fields import Count, Fraction
from junlearn.parts import feeds, losses
from junlearn.parts import scar_shared as metric
from junlearn.parts.optimizers import fresh, move, transformation
from junlearn.parts.passes import marks
from junlearn.parts.whitening import picked
from junlearn.types import (
    Array,
    Batch,
    Feed,
    Key,
    Method,
    Metrics,
    Model,
    PyTree,
    Range,
    Sources,
    Space,
    Split,
    Stage,
    Variables,
)

__all__ = ["NEEDS", "SPACE", "Config", "State", "make", "needs"]

NEEDS = frozenset({"retain.x", "retain.y", "surrogate.x"})
"""With the default `Config`; see `needs`."""


@dataclass(frozen=True, kw_only=True)
class Config(metric.MetricConfig):
    """Hyper-parameters of SCAR-self."""

    shrink_times: Count = 1
    second_forward: bool = True
    """Pass F through the student alone too."""
    distil_without: bool = False
    """Make a step on L_r with a batch without F."""
    stop: Literal["proxy", "forget", "epochs"] = "proxy"
    target: Fraction = 0.01
    eval_every: Count | None = 1
    """Steps between two looks at D_f with stop="forget"; None: one an epoch."""


# The epochs end by `stop`.
SPACE: Space = {
    "learning_rate": Range(1e-5, 1e-2, log=True),
    "lambda_1": Range(0.1, 10.0, log=True),
    "lambda_2": Range(0.5, 50.0, log=True),
    "temperature": Range(0.5, 5.0, log=True),
}


def needs(config: Config) -> frozenset[str]:
    """The data that is read: with `config.statistics` no retain data; with stop="forget" the forget set."""
    data = set(NEEDS)
    if config.statistics is not None:
        data -= {"retain.x", "retain.y"}
    if config.stop == "forget":
        data |= {"forget.x", "forget.y"}
    return frozenset(data)


class State(NamedTuple):
    """What the next step needs."""

    variables: Variables
    teacher: Variables
    optimizer: PyTree
    removed: Array
    """bool[K]: C_f."""
    statistics: tuple[Array, ...]
    """Moments of the retain set, then their Whitening."""
    surrogates: Array
    """Number of surrogate images."""
    members: Array
    """Rows of F in this epoch so far."""
    kept: Array
    """How many of them the student gave to C_f."""
    key: Key
    step: Array
    """Batches so far."""


def make(config: Config, model: Model) -> Method:
    """Statistics, then epochs over the surrogate set."""
    tx = transformation(config)

    def loss(
        params: PyTree, state: State, batch: Batch, keys: Key
    ) -> tuple[Array, tuple[PyTree, Array, Array, Metrics]]:
        student = Variables(params, state.variables.stats)
        output, features, stats = model.apply(
            student, batch.x, train=True, key=keys[0], mask=batch.mask
        )
        teacher = model.apply(state.teacher, batch.x)[0]
        member = state.removed[teacher.argmax(-1)] & batch.mask  # (1)
        if config.second_forward:
            _, features, stats = model.apply(
                Variables(params, stats), batch.x, train=True, key=keys[1], mask=member
            )
        squares = metric.forget_distances(config, state.statistics, features["embedding"])
        values = metric.roots(config, picked(squares, squares.argmin(1)))
        forget_loss = config.lambda_1 * losses.masked_mean(values, member)  # (2)
        target, keep = metric.redirected(teacher, batch.mask, state.removed)
        divergence = metric.distillation(config, target, output, keep)
        retain_loss = config.lambda_2 * divergence  # (3)
        kept = (member & state.removed[output.argmax(-1)]).sum(dtype=jnp.int32)
        metrics = {"forget_loss": forget_loss, "retain_loss": retain_loss}
        count = member.sum(dtype=jnp.int32)
        return forget_loss + retain_loss, (stats, count, kept, metrics)

    def step(state: State, batch: Batch) -> tuple[State, Metrics]:
        keys = jax.random.split(jax.random.fold_in(state.key, state.step))
        params = state.variables.params
        (value, (stats, members, kept, metrics)), gradient = jax.value_and_grad(loss, has_aux=True)(
            params, state, batch, keys
        )
        moved = move(tx, gradient, state.optimizer, params)
        performed = (members > 0) | config.distil_without  # (4)
        params, optimizer = jax.tree.map(
            lambda new, old: jnp.where(performed, new, old), moved, (params, state.optimizer)
        )
        first = state.step % -(-state.surrogates // config.surrogate_batch_size) == 0
        state = state._replace(
            variables=Variables(params, stats),
            optimizer=optimizer,
            members=jnp.where(first, 0, state.members) + members,
            kept=jnp.where(first, 0, state.kept) + kept,
            step=state.step + 1,
        )
        return state, {"loss": value, **metrics, "members": members, "kept": kept}

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> State:
        if not split.classes:
            raise ConfigError(
                "scar_self forgets whole classes, and this request names none; "
                "take the method scar, or the scenario class"
            )
        count = metric.surrogate_count(sources, "scar_self")
        moments = metric.first_moments(config, model, variables, sources)
        return State(
            variables,
            jax.tree.map(jnp.array, variables),
            fresh(tx, variables.params),
            marks(split.classes, len(moments.count)),
            tuple(moments),
            jnp.int32(count),
            jnp.zeros((), jnp.int32),
            jnp.zeros((), jnp.int32),
            key,
            jnp.zeros((), jnp.int32),
        )

    def plan(split: Split) -> list[Stage]:
        def feed(rng: np.random.Generator, state: State) -> Feed:
            rows = np.arange(int(state.surrogates))
            size = config.surrogate_batch_size
            return feeds.shuffled(rng, rows, size, source="surrogate", view="augment")

        def forgotten(state: State, evaluate: Callable[..., dict[str, float]]) -> bool:
            members, kept = int(state.members), int(state.kept)
            batches = -(-int(state.surrogates) // config.surrogate_batch_size)
            idle = not members and not config.distil_without
            if idle and int(state.step) % batches == 0:
                raise ConfigError(
                    f"scar_self: the network takes no surrogate image for a class of {split.classes}; "
                    "give it others, or more of them"
                )
            if config.stop == "forget":
                return evaluate(state.variables, split.forget)["accuracy"] < config.target
            return config.stop == "proxy" and kept < config.target * members

        check = config.eval_every if config.stop == "forget" else None
        main = Stage(
            "self-forget",
            step,
            feed,
            config.epochs,
            until=forgotten,
            check_every=check,
        )
        return [*metric.preparation(config, model, split), main]

    return Method(init, plan, lambda state: state.variables)
