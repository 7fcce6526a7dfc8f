"""NegMerge: fine-tune on the forget set several times, keep what all of these agree on, and take it off the weights.

Setting: forget images and labels; validation images and labels to choose s, where there are any; no retain data.

    (1)  theta_i = theta0 fine-tuned on D_f alone, i = 1..M;   d_i = theta_i - theta0
    (2)  d = mean_i d_i  where all M differences are > 0 or all are < 0, else 0          entry by entry
    (3)  theta = theta0 - s d;   s = the first of `grid` points, evenly from 0 to 1, of the least accuracy on D_f among
         those whose control accuracy is at least `floor` times that of s = 0

The M candidates are all products of `rates` (multiples of the learning rate), `lengths` (multiples of the epochs) and
`seeds` (orders of the data). They are trained in train mode one after the other, by one compiled step, and added up as
they come: memory does not grow with M, and on a CPU this is faster than side by side (nine small CNNs: by 2.7 times).
With one candidate d = d_1: plain task negation.

The control accuracy is that on the source "validation", without the classes and sub-classes that are forgotten whole.
Where there is no such source, or choose=False, s is the field `scale`. The method reports s as `negmerge/scale`, and as
`negmerge/kept` the share of entries with d != 0. A chosen s of 0 leaves the original: no other point fits.

Running statistics of BatchNorm stay those of theta0. merge_statistics=True treats them as in (2) and (3).

Defaults (a recipe for image classifiers is not published. Rates, seeds, epochs, optimiser and scale are those of a
third-party library, grid and floor those of the release for CLIP; the product and the batch size are ours):

    optimizer         "sgd"
    learning_rate     0.0001
    momentum          0.9
    weight_decay      0.0
    rates             (1.0, 5.0, 10.0)
    lengths           (1,)
    seeds             3
    epochs            1
    batch_size        128
    augment           False
    choose            True
    scale             1.0
    grid              21
    floor             0.95
    merge_statistics  False

Deviations: the release ends in an error if no point of the grid fits, and if the state has whole numbers. The library
merges candidates of one rate and then chooses the rate.

Reference: Kim, Han, Choe, ICML 2025 (arXiv 2410.05583).
"""

from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from junlearn.errors import ConfigError, DivergedError
from junlearn.fields import BatchSize, Count, Epochs, Fraction, NonNegative, Positive
from junlearn.parts import descent, feeds, task_vectors
from junlearn.parts.descent import Descent, descend, supervised
from junlearn.parts.optimizers import Optimizer, Rated, rated
from junlearn.parts.selection import right
from junlearn.parts.task_vectors import Consensus
from junlearn.types import (
    Array,
    Batch,
    Feed,
    Key,
    Method,
    Metrics,
    Model,
    Range,
    Sources,
    Space,
    Split,
    Stage,
    Variables,
)

__all__ = ["NEEDS", "SPACE", "Config", "State", "choose", "control_marks", "make"]

NEEDS = frozenset({"forget.x", "forget.y", "validation.x", "validation.y"})


@dataclass(frozen=True, kw_only=True)
class Config(Optimizer):
    """Hyper-parameters of NegMerge."""

    learning_rate: Positive = 1e-4
    rates: tuple[Positive, ...] = (1.0, 5.0, 10.0)
    """Multiples of the learning rate, each with candidates of its own."""
    lengths: tuple[Count, ...] = (1,)
    """Multiples of the epochs, each with candidates of its own."""
    seeds: Count = 3
    """Candidates of each rate and length; they differ in the order of the data, and in the view if `augment`."""
    epochs: Epochs = 1
    batch_size: BatchSize = 128
    augment: bool = False
    """Use the training augmentation of the dataset."""
    choose: bool = True
    """Choose s by the source "validation", where there is one."""
    scale: NonNegative = 1.0
    """s where it is not chosen."""
    grid: Count = 21
    """Points from 0 to 1 that s is chosen from."""
    floor: Fraction = 0.95
    """Share of the original's control accuracy that has to be left."""
    merge_statistics: bool = False
    """Merge and negate BatchNorm's running statistics too. A running variance below 0 ends the run."""


# s is chosen by the method itself.
SPACE: Space = {
    "learning_rate": Range(1e-5, 1e-2, log=True),
    "epochs": Range(1, 10),
    "floor": Range(0.8, 1.0),
}


class State(NamedTuple):
    """The original, the candidate in training, and the merge of those before it."""

    variables: Variables
    """theta0."""
    candidate: Descent
    consensus: Consensus
    key: Key
    rates: Array
    """float[M]: the learning rate of each candidate."""
    control: Array
    """bool[]: the rows of the source "validation" that the control accuracy is taken on; without it one, False."""
    right: Array
    """int32[2,G]: right answers on D_f and on the control rows with each s of the grid."""
    seen: Array
    """int32[2]: how many examples were asked."""


def choose(grid: np.ndarray, forget: np.ndarray, control: np.ndarray, least: float) -> float:
    """The s of equation 3 out of `grid[G]`, whose accuracies are `forget[G]` and `control[G]`; 0 where none fits.

    An accuracy of 1 on D_f is no candidate: nothing is forgotten there.
    """
    fits = (control >= least) & (forget < 1)
    return float(grid[np.where(fits, forget, np.inf).argmin()]) if fits.any() else 0.0


def control_marks(sources: Sources, split: Split) -> np.ndarray:
    """bool[]: the rows of "validation" of no class or sub-class that is forgotten whole; [False] without the source."""
    if "validation" not in sources:
        return np.zeros(1, bool)
    train, validation = sources["train"], sources["validation"]
    kept = ~np.isin(np.asarray(validation.y), split.classes)
    if train.fine is not None and validation.fine is not None:
        fine = np.asarray(train.fine)
        gone = np.setdiff1d(fine[split.forget], fine[split.retain])
        kept &= ~np.isin(np.asarray(validation.fine), gone)
    return kept


def make(config: Config, model: Model) -> Method:
    """Two stages a candidate, training and merging; then two that measure the points of the grid."""
    if not (config.rates and config.lengths):
        raise ConfigError(
            "negmerge: rates and lengths need an entry each, for there to be candidates"
        )
    candidates = list(product(config.rates, config.lengths, range(config.seeds)))
    grid = np.linspace(0.0, 1.0, config.grid)
    tx = rated(config)
    descent_step = descend(supervised(model), tx)
    view = "augment" if config.augment else "eval"

    def moving(variables: Variables) -> Variables:
        """What of a network takes part in (2) and (3)."""
        return variables if config.merge_statistics else variables._replace(stats={})

    def negated(state: State, scale: float | Array) -> Variables:
        vector = task_vectors.merged(state.consensus)
        moved = task_vectors.negate(moving(state.variables), vector, scale)
        return moved if config.merge_statistics else moved._replace(stats=state.variables.stats)

    def fresh(variables: Variables, key: Key, rates: Array, number: int | Array) -> Descent:
        """A candidate before its first step."""
        begun = descent.init(jax.random.fold_in(key, number), variables, tx)
        return begun._replace(optimizer=Rated(begun.optimizer.inner, rates[number]))

    def train(state: State, batch: Batch) -> tuple[State, Metrics]:
        candidate, metrics = descent_step(state.candidate, batch)
        return state._replace(candidate=candidate), metrics

    def merge(state: State, batch: Batch) -> tuple[State, Metrics]:
        start, tuned = moving(state.variables), moving(state.candidate.variables)
        consensus = task_vectors.observe(state.consensus, start, tuned)
        following = jnp.minimum(consensus.seen, len(candidates) - 1)
        candidate = fresh(state.variables, state.key, state.rates, following)
        return state._replace(consensus=consensus, candidate=candidate), {}

    def measure(place: int, state: State, batch: Batch) -> tuple[State, Metrics]:
        if not batch.mask.size:
            return state, {}
        points = jnp.asarray(grid, state.rates.dtype)
        found = jax.lax.map(lambda s: right(model, negated(state, s), batch), points)
        return state._replace(
            right=state.right.at[place].add(found[:, 0]), seen=state.seen.at[place].add(found[0, 1])
        ), {}

    def measure_forget(state: State, batch: Batch) -> tuple[State, Metrics]:
        return measure(0, state, batch)

    def measure_control(state: State, batch: Batch) -> tuple[State, Metrics]:
        return measure(1, state, batch)

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> State:
        rates = config.learning_rate * jnp.array([rate for rate, _, _ in candidates])
        return State(
            variables,
            fresh(variables, key, rates, 0),
            task_vectors.empty(moving(variables)),
            key,
            rates,
            jnp.asarray(control_marks(sources, split)),
            jnp.zeros((2, config.grid), jnp.int32),
            jnp.zeros(2, jnp.int32),
        )

    def plan(split: Split) -> list[Stage]:
        def shuffled(rng: np.random.Generator, state: State) -> Feed:
            return feeds.shuffled(rng, split.forget, config.batch_size, view=view)

        def forget_feed(rng: np.random.Generator, state: State) -> Feed:
            if not np.any(state.control):
                return feeds.dataless(1)
            return feeds.sequential(split.forget, config.batch_size)

        def control_feed(rng: np.random.Generator, state: State) -> Feed:
            rows = np.flatnonzero(state.control)
            if not rows.size:
                return feeds.dataless(1)
            return feeds.sequential(rows, config.batch_size, source="validation")

        stages = []
        for number, (_, length, _) in enumerate(candidates, start=1):
            stages.append(Stage(f"candidate {number}", train, shuffled, config.epochs * length))
            stages.append(Stage(f"merge {number}", merge, lambda rng, state: feeds.dataless(1)))
        if config.choose:
            stages.append(Stage("scales, forget set", measure_forget, forget_feed))
            stages.append(Stage("scales, validation", measure_control, control_feed))
        return stages

    def scale_of(state: State) -> float:
        counts, seen = np.asarray(state.right), np.asarray(state.seen)
        if not (config.choose and seen.all()):
            return config.scale
        forget, control = counts / seen[:, None]
        return choose(grid, forget, control, config.floor * control[0])

    def finish(state: State) -> Variables:
        scale = scale_of(state)
        after = negated(state, scale)
        for path, leaf in jax.tree.leaves_with_path(after.stats):
            if getattr(path[-1], "key", None) == "var" and float(leaf.min()) < 0:
                where = jax.tree_util.keystr(path, simple=True, separator=".")
                raise DivergedError(
                    f"negmerge: with s = {scale:g} the running variance {where} falls below 0; take a smaller "
                    "scale, or merge_statistics=False"
                )
        return after

    def report(state: State) -> dict[str, Array]:
        vector = jax.tree.leaves(task_vectors.merged(state.consensus))
        kept = sum(jnp.count_nonzero(leaf) for leaf in vector) / sum(leaf.size for leaf in vector)
        return {"negmerge/scale": jnp.asarray(scale_of(state)), "negmerge/kept": jnp.asarray(kept)}

    late = frozenset({"floor", "scale"})
    return Method(init, plan, finish, report=report, read_at_finish=late)
