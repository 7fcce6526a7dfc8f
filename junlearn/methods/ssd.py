"""SSD, selective synaptic dampening: shrink the weights that matter to the forget set far more than to all data.

Setting: forget and retain images, and their labels where the loss reads them; no training, one pass over the data.

    (1)  I_S = (1/|S|) sum_{x in S} |d l(f_theta(x), y) / d theta|^power    importance="example": exact
         I_S = (1/M) sum_b |d mean-l of batch b / d theta|^power             importance="batch": as released
         l = CE, or without labels  ||f_theta(x)||_2^2  ("squared_norm")  or  ||f_theta(x)||_2  ("norm")
    (2)  selected where  I_f > alpha I_D   (strict);  D = D_r united with D_f, or D_r (denominator="retain")
    (3)  theta <- theta min((lambda I_D / I_f)^exponent, upper_bound)  where selected, else unchanged;
         relative: lambda is a multiple of alpha
    (4)  alpha given (threshold="fixed"), or that percentile of all I_f / I_D which is
         given ("percentile"), or 100 - ln(1 + 100 s) with s = |D_f| / (|D_r| + |D_f|) ("adaptive")
    (5)  search, if forget_accuracy is given: s = |D_f| / (25 (|D_r| + |D_f|)), and times 1.1 in every further try,
         each from the weights before, until accuracy on D_f <= forget_accuracy times that before; at most 500 tries

BatchNorm runs in eval mode, its scales and shifts are dampened like any weight, its running statistics stay. Where
I_D = 0 < I_f the weight becomes 0; such entries are left out of the percentiles.

Defaults (Foster, Schoepf, Brintrup, AAAI 2024, arXiv 2308.07707; D sorted by class with the forget set last, as
released):

    loss             "cross_entropy"
    power            2
    importance       "example"
    denominator      "all"
    threshold        "fixed"
    alpha            10.0
    percentile       99.0
    dampening        1.0
    relative         False
    exponent         1.0
    upper_bound      1.0
    forget_accuracy  None
    order            "class_sorted"
    batch_size       64
    augment          False

Variants, by what differs from the defaults:

    SSD as released            importance="batch"
    LFSSD, arXiv 2402.19308    importance="batch", loss="squared_norm", power=1, order="stored"
    ASSD, arXiv 2402.10098     importance="batch", threshold="adaptive"
    in corrective unlearning   importance="batch", denominator="retain", order="shuffled", batch_size=512, augment=True
    Potion, arXiv 2406.09173   importance="batch", denominator="retain", order="shuffled", batch_size=512, loss="norm",
                               power=1, threshold="adaptive", forget_accuracy=0.25 (the paper sweeps 0 to 0.75)

Deviations: the importance is the exact Fisher by default. The square of a batch's mean gradient is another quantity,
which depends on the batch size and on the order: a sorted D has batches of one class each. With the exact one
I_f / I_D <= |D| / |D_f| always, so alpha at or above that bound selects nothing: a class of ten needs alpha well
below 10. The percentile of ASSD is the one that Potion quotes, its lambda = 1 that of Potion, and the 25 and the 1.1
of equation 5 are Potion's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from msgspec import Meta

from junlearn.compiler import jitted
from junlearn.errors import ConfigError
from junlearn.fields import BatchSize, Fraction, NonNegative, Positive
from junlearn.parts import feeds
from junlearn.parts.importance import (
    Importance,
    ImportanceLoss,
    Kind,
    empty,
    in_turn,
    observe,
    percentile_of_ratios,
)
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

__all__ = ["NEEDS", "PRESETS", "SPACE", "Config", "State", "dampen", "make"]

NEEDS = frozenset({"forget.x", "forget.y", "retain.x", "retain.y"})

READ_AT_FINISH = frozenset(
    {"alpha", "dampening", "exponent", "percentile", "relative", "threshold", "upper_bound"}
)
"""Fields that do not change the importances."""

SEARCH_START, SEARCH_GROWTH, SEARCH_TRIES = 1 / 25, 1.1, 500


@dataclass(frozen=True, kw_only=True)
class Config:
    """Hyper-parameters of SSD."""

    loss: ImportanceLoss = "cross_entropy"
    """Of which the importance takes the gradient; the norms of the logits read no labels."""
    power: Literal[1, 2] = 2
    """2: squared gradients; 1: absolute ones."""
    importance: Kind = "example"
    denominator: Literal["all", "retain"] = "all"
    """The set of I_D."""
    threshold: Literal["fixed", "percentile", "adaptive"] = "fixed"
    alpha: NonNegative = 10.0
    """Selection threshold on I_f / I_D with threshold="fixed"."""
    percentile: Annotated[float, Meta(ge=0, le=100)] = 99.0
    """The threshold's place among all ratios with threshold="percentile"."""
    dampening: NonNegative = 1.0
    """Lambda of equation 3."""
    relative: bool = False
    """Lambda is `dampening` times the threshold (a grid of Corrective Unlearning) instead of `dampening` itself."""
    exponent: Positive = 1.0
    """Power to which the factor is raised."""
    upper_bound: NonNegative = 1.0
    """The largest factor."""
    forget_accuracy: Fraction | None = None
    """Search for the threshold until this share of the accuracy on D_f is left; None: no search. It reads the labels
    of D_f, and wants threshold="adaptive"."""
    order: Literal["class_sorted", "stored", "shuffled"] = "class_sorted"
    """Order of the denominator's set in the pass over it; it matters for importance="batch" only. "stored": as in the
    split, the forget set last. "shuffled" shuffles the pass over the forget set too."""
    batch_size: BatchSize = 64
    augment: bool = False
    """Use the training augmentation of the dataset."""


SPACE: Space = {"alpha": Range(0.1, 100.0, log=True), "dampening": Range(0.01, 10.0, log=True)}

PRESETS = {
    "ssd_released": Preset(
        "SSD with the released importance: the square of a batch's mean gradient",
        {"importance": "batch"},
    ),
    "lfssd": Preset(
        "label-free SSD (arXiv 2402.19308): the norm of the logits in the place of the loss",
        {"importance": "batch", "loss": "squared_norm", "power": 1, "order": "stored"},
    ),
    "assd": Preset(
        "SSD with a threshold from the data (arXiv 2402.10098)",
        {"importance": "batch", "threshold": "adaptive"},
        {"dampening": SPACE["dampening"]},
    ),
    "ssd_corrective": Preset(
        "SSD as in the corrective unlearning benchmark (arXiv 2402.14015)",
        {
            "importance": "batch",
            "denominator": "retain",
            "order": "shuffled",
            "batch_size": 512,
            "augment": True,
        },
        # As far as the benchmark sweeps.
        {**SPACE, "alpha": Range(0.1, 1e6, log=True)},
    ),
    "potion": Preset(
        "Potion (arXiv 2406.09173): label-free, with a search for the threshold",
        {
            "importance": "batch",
            "denominator": "retain",
            "order": "shuffled",
            "batch_size": 512,
            "augment": True,
            "loss": "norm",
            "power": 1,
            "threshold": "adaptive",
            "forget_accuracy": 0.25,
        },
        {"forget_accuracy": Range(0.0, 0.75), "dampening": SPACE["dampening"]},
    ),
}
"""Variants of other papers, by what differs from the defaults."""


class State(NamedTuple):
    """The weights stay as they are until `finish`."""

    variables: Variables
    reference: Importance
    """I_D."""
    forget: Importance
    """I_f."""
    order: Array
    """int32[]: the denominator's set in reading order."""
    share: Array
    """s of equations 4 and 5."""


def dampen(
    params: PyTree,
    forget: PyTree,
    reference: PyTree,
    alpha: float | Array,
    dampening: float | Array,
    exponent: float = 1.0,
    upper_bound: float = 1.0,
) -> PyTree:
    """Equations 2 and 3 on trees of one structure."""

    def leaf(theta: Array, i_f: Array, i_d: Array) -> Array:
        selected = i_f > alpha * i_d
        ratio = dampening * i_d / jnp.where(selected, i_f, 1)
        return jnp.where(selected, theta * jnp.minimum(ratio**exponent, upper_bound), theta)

    return jax.tree.map(leaf, params, forget, reference)


def make(config: Config, model: Model) -> Method:
    """Two accumulating stages, a search where asked for, then one multiplication."""
    sorts = config.importance == "batch" and config.order == "class_sorted"
    if sorts and config.loss != "cross_entropy":
        raise ConfigError(
            f'ssd: order="class_sorted" reads labels, which loss="{config.loss}" is there to do without; '
            'take order="stored" or "shuffled"'
        )
    if config.forget_accuracy is not None and config.threshold != "adaptive":
        raise ConfigError(
            f'ssd: forget_accuracy searches along threshold="adaptive", not "{config.threshold}"'
        )
    view = "augment" if config.augment else "eval"

    def observed(state: State, batch: Batch) -> tuple[State, Metrics]:
        whole = len(state.order)
        if config.importance == "batch":
            whole = -(-whole // config.batch_size)

        def see(importance: Importance) -> Importance:
            loss, kind, power = config.loss, config.importance, config.power
            now = state.variables
            return observe(model, now, importance, batch, loss=loss, kind=kind, power=power)

        reference, forget = in_turn(state.reference, state.forget, whole, see)
        return state._replace(reference=reference, forget=forget), {}

    def search(state: State, batch: Batch) -> tuple[State, Metrics]:
        share = state.share * SEARCH_GROWTH
        return state._replace(share=share), {"share": share}

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> State:
        retain = split.retain
        if sorts:
            labels = np.asarray(sources["train"].y)[retain]
            retain = retain[np.argsort(labels, kind="stable")]
        last = split.forget if config.denominator == "all" else split.forget[:0]
        order = jnp.asarray(np.concatenate([retain, last]).astype(np.int32))
        if config.order == "shuffled":
            order = jax.random.permutation(key, order)
        share = len(split.forget) / (len(split.forget) + len(split.retain))
        if config.forget_accuracy is not None:
            # The first try raises it to where the search starts.
            share *= SEARCH_START / SEARCH_GROWTH
        reference, forget = empty(variables.params), empty(variables.params)
        return State(variables, reference, forget, order, jnp.float32(share))

    @jitted
    def finish(state: State) -> Variables:
        forget, reference = state.forget.mean(), state.reference.mean()
        alpha: float | Array = config.alpha
        if config.threshold == "percentile":
            alpha = percentile_of_ratios(forget, reference, jnp.float32(config.percentile))
        elif config.threshold == "adaptive":
            percentile = jnp.maximum(100 - jnp.log1p(100 * state.share), 0)
            alpha = percentile_of_ratios(forget, reference, percentile)
        factor = config.dampening * alpha if config.relative else config.dampening
        kept = (alpha, factor, config.exponent, config.upper_bound)
        params = dampen(state.variables.params, forget, reference, *kept)
        return state.variables._replace(params=params)

    def plan(split: Split) -> list[Stage]:
        def all_feed(rng: np.random.Generator, state: State) -> Feed:
            return feeds.sequential(np.asarray(state.order), config.batch_size, view=view)

        def forget_feed(rng: np.random.Generator, state: State) -> Feed:
            rows = rng.permutation(split.forget) if config.order == "shuffled" else split.forget
            return feeds.sequential(rows, config.batch_size, view=view)

        stages = [
            Stage(f"importance of {config.denominator} data", observed, all_feed),
            Stage("importance of the forget set", observed, forget_feed),
        ]
        if (share_left := config.forget_accuracy) is None:
            return stages

        def forgotten(state: State, evaluate: Callable[..., dict[str, float]]) -> bool:
            before, now = (
                evaluate(variables, split.forget)["accuracy"]
                for variables in (state.variables, finish(state))
            )
            return now <= share_left * before

        def no_feed(rng: np.random.Generator, state: State) -> Feed:
            return feeds.dataless(1)

        return [*stages, Stage("search", search, no_feed, SEARCH_TRIES, until=forgotten)]

    def idle(split: Split) -> str:
        if (config.importance, config.denominator, config.threshold) != ("example", "all", "fixed"):
            return ""
        bound = (len(split.retain) + len(split.forget)) / len(split.forget)
        return f"alpha is {config.alpha:g}, and no I_f / I_D exceeds |D| / |D_f| = {bound:.3g}"

    # A search finishes at every try.
    late = READ_AT_FINISH if config.forget_accuracy is None else frozenset()
    return Method(init, plan, finish, idle=idle, read_at_finish=late)
