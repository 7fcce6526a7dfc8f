"""DMM: datamodel matching. Say what the logits would be without the forget set, and train the network to give these.

Setting: forget images and retain images; the labels of both for attributions that the method makes itself, none for
those of a file, and none in the matching.

    (1)  t(x) = f_theta0(x) - m sum_{i in D_f} tau_i(x),   eval mode, for x in D_f and in a sample of D_r
    (2)  tau:  "influence"  sum_i tau_i(x) = - J(x) u,  u = (G + gamma I)^-1 sum_{D_f} grad CE_i / n_r,  so that
                            t(x) = f(x) + m J(x) u, one jvp;  G the mean Gauss-Newton matrix over D_r, by CG
               "trak"       `junlearn.parts.trak` with an output for each logit, over all of D
               a file       `junlearn.parts.datamodels`; of `targets` t(x) is what stands there (oracle matching)
    (3)  rows of an epoch:  D_f r_f times (of a fraction the first ones once more), and floor(r_r n_f) examples of D_r,
         drawn once
    (4)  minimise, train mode:  mean over B K entries of (z - t)^2   loss="squared_error"
                                CE(softmax(t), z)                    loss="cross_entropy"
         + w |theta - theta0|^2
    (5)  direct=True:  no training; the network becomes  f(x) + m J(x) u, which costs two forward passes (DM-direct)

tau_i(x)_k is how much logit k of x falls when i is removed. In the paper they are linear datamodels of each logit, from
1,000 to 20,000 networks on halves of the data; such a table comes in as a file.

TRAK leaves out the curvature of the loss, p (1 - p) of every example. Of a network that fits its data its tau are
therefore far too small (2,000 times in a small test): m has to make up for it, and must be searched.

Defaults (matching as released; damping, iterations, tolerance, count and features are ours, as the first-order forms):

    optimizer       "adam"
    learning_rate   0.0005
    momentum        0.9
    weight_decay    0.0
    attribution     "influence"
    file            None
    features        256
    damping         0.01
    iterations      100
    tolerance       0.0001
    count           None
    multiplier      1.0
    forget_repeats  1.0
    retain_ratio    3.0
    loss            "squared_error"
    proximal        0.0
    decay           0.95
    epochs          5
    batch_size      512
    shuffle         True
    direct          False

Deviations: the release does not shuffle, so that all forget rows come first (`dmm_released`); it takes the original's
outputs in whatever mode the original is in, so that with BatchNorm a target depends on the batch. Its half precision is
left out.

Reference: Georgiev, Rinberg, Park, Garg, Ilyas, Madry, Neel, arXiv 2410.23232.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from junlearn.errors import ConfigError
from junlearn.fields import BatchSize, Count, Epochs, File, NonNegative, Positive
from junlearn.memo import remembered
from junlearn.parts import datamodels, descent, feeds, losses, solves, trak
from junlearn.parts.descent import Descent, descend
from junlearn.parts.linearised import linearised
from junlearn.parts.optimizers import Optimizer, multistep
from junlearn.parts.passes import scatter_rows
from junlearn.parts.solves import Conjugate
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

__all__ = ["NEEDS", "PRESETS", "SPACE", "Config", "State", "make", "needs"]

NEEDS = frozenset({"forget.x", "forget.y", "retain.x", "retain.y"})

Step = Callable[["State", Batch], tuple["State", Metrics]]


@dataclass(frozen=True, kw_only=True)
class Config(Conjugate, Optimizer):
    """Hyper-parameters of DMM."""

    optimizer: Literal["sgd", "adam", "adamw"] = "adam"
    learning_rate: Positive = 5e-4
    attribution: Literal["influence", "trak"] = "influence"
    """Where tau comes from, unless there is a file."""
    file: File | None = None
    """A file with attributions, their sums over D_f, or targets."""
    features: Count = 256
    """Random directions of TRAK."""
    multiplier: NonNegative = 1.0
    """m."""
    forget_repeats: NonNegative = 1.0
    """r_f."""
    retain_ratio: NonNegative = 3.0
    """r_r."""
    loss: Literal["squared_error", "cross_entropy"] = "squared_error"
    proximal: NonNegative = 0.0
    """w."""
    decay: Positive = 0.95
    """The rate is multiplied by it after every epoch."""
    epochs: Epochs = 5
    batch_size: BatchSize = 512
    shuffle: bool = True
    """Deal the rows of (3) in a new order in every epoch."""
    direct: bool = False
    """(5)."""


# Rates and epochs that were tuned for each forget set are not known. TRAK can need a larger multiplier.
SPACE: Space = {
    "learning_rate": Range(1e-5, 1e-2, log=True),
    "damping": Range(1e-4, 1.0, log=True),
    "multiplier": Range(0.1, 100.0, log=True),
    "retain_ratio": Range(1.0, 10.0),
    "epochs": Range(1, 20),
}

PRESETS = {
    "dmm_released": Preset(
        "DMM with batches as released: all forget rows first, in the same order in every epoch",
        {"shuffle": False},
    )
}


def needs(config: Config) -> frozenset[str]:
    """NEEDS, without the labels where a file has the attributions."""
    return NEEDS - {"forget.y", "retain.y"} if config.file else NEEDS


class State(NamedTuple):
    """The original, what is known of tau, and the network in training."""

    variables: Variables
    """theta0."""
    system: PyTree
    """What u is solved for in; () without it."""
    key: Key
    evidence: PyTree
    """The sums of TRAK; () without it."""
    sample: Array
    """int32[]: the sample of D_r."""
    table: Array
    """float[R,K]: of D_f and then the sample, the sums of a file until (1) has made the targets of them."""
    student: Descent


def make(config: Config, model: Model) -> Method:
    """Stages for tau, one for the targets, then descent on the distance from them."""
    given = None if config.file is None else datamodels.load(config.file)
    if config.direct and (given is not None or config.attribution == "trak"):
        raise ConfigError('dmm: direct=True needs attribution="influence", and no file')
    source = config.attribution if given is None else given.kind

    def rows_of(split: Split, sample: Any) -> np.ndarray:
        """The rows of the table."""
        return np.concatenate([split.forget, np.asarray(sample)]).astype(np.int32)

    def sampled(split: Split) -> int:
        return min(int(config.retain_ratio * len(split.forget)), len(split.retain))

    def slots_of(split: Split) -> np.ndarray:
        """Equation 3, as places in the table."""
        forget = len(split.forget)
        whole, part = divmod(config.forget_repeats, 1)
        repeated = [np.arange(forget)] * int(whole) + [np.arange(int(part * forget))]
        return np.concatenate([*repeated, forget + np.arange(sampled(split))])

    def optimizer(split: Split) -> optax.GradientTransformation:
        steps = -(-len(slots_of(split)) // config.batch_size)
        return multistep(config, tuple(range(1, config.epochs)), config.decay, steps)

    def distance(
        params: PyTree, state: Descent, seen: tuple[Batch, Array, PyTree], key: Key
    ) -> tuple[Array, tuple[PyTree, Metrics]]:
        """Equation 4."""
        batch, targets, start = seen
        student = Variables(params, state.variables.stats)
        z, _, stats = model.apply(student, batch.x, train=True, key=key, mask=batch.mask)
        value = losses.logit_distance(z, targets, batch.mask, config.loss)
        if config.proximal:
            gone = jax.tree.map(jnp.subtract, params, start)
            value = value + config.proximal * optax.tree.norm(gone, squared=True)
        return value, (stats, {})

    @remembered
    def trainer(tx: optax.GradientTransformation) -> Step:
        step = descend(distance, tx)

        def train(state: State, batch: Batch) -> tuple[State, Metrics]:
            seen = (batch, state.table[batch.slot], state.variables.params)
            student, metrics = step(state.student, seen)
            return state._replace(student=student), metrics

        return train

    def logits_of(state: State, batch: Batch) -> Callable[[PyTree], Array]:
        return lambda params: model.apply(state.variables._replace(params=params), batch.x)[0]

    def direction_of(state: State) -> Callable[[Array], PyTree]:
        params = state.variables.params
        return lambda number: trak.random_direction(state.key, params, number, config.features)

    def observe(forgotten: bool) -> Step:
        def step(state: State, batch: Batch) -> tuple[State, Metrics]:
            outputs, params = logits_of(state, batch), state.variables.params
            z = outputs(params)
            q = jax.nn.one_hot(batch.y, z.shape[1], dtype=z.dtype) - jax.nn.softmax(z)
            phi = trak.features(outputs, params, direction_of(state), config.features)
            evidence = trak.observe(state.evidence, phi, q if forgotten else 0 * q, batch.mask)
            return state._replace(evidence=evidence), {}

        return step

    observe_forget, observe_retain = observe(True), observe(False)

    def target(state: State, batch: Batch) -> tuple[State, Metrics]:
        """Equation 1."""
        assert batch.slot is not None
        outputs, params = logits_of(state, batch), state.variables.params
        z = outputs(params)
        if source == "influence":
            pulled = -trak.along(outputs, params, state.system.solution)
        elif source == "trak":
            weights = trak.factors(state.evidence, config.damping)
            pulled = trak.pull(outputs, params, direction_of(state), weights)
        else:
            pulled = state.table[batch.slot]
        t = (z - config.multiplier * pulled).astype(state.table.dtype)
        moved = losses.masked_mean(jnp.abs(t - z).mean(axis=1), batch.mask)
        table = scatter_rows(state.table, batch.slot, batch.mask, t)
        return state._replace(table=table), {"change": moved}

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> State:
        if not len(slots_of(split)):
            raise ConfigError("dmm: forget_repeats and retain_ratio leave no example to train on")
        key, sample_key, own_key = jax.random.split(key, 3)
        sample = jax.random.permutation(sample_key, np.asarray(split.retain, np.int32))
        sample = sample[: sampled(split)]
        classes = model.num_classes(variables, sources)
        dtype = jax.tree.leaves(variables.params)[0].dtype
        table = jnp.zeros((len(split.forget) + len(sample), classes), dtype)
        if given is not None:
            rows = rows_of(split, sample)
            found = datamodels.of_rows(given, split, rows, len(sources["train"].x), classes)
            table = jnp.asarray(found, dtype)
        share, solved = 1 / max(len(split.retain), 1), source == "influence"
        system = solves.begin(variables.params, split, config, forget=share) if solved else ()
        return State(
            variables,
            system,
            key,
            trak.empty(classes, config.features, dtype) if source == "trak" else (),
            sample,
            table,
            descent.init(own_key, variables, optimizer(split)),
        )

    def plan(split: Split) -> list[Stage]:
        def dealt(split: Split, state: State, slots: np.ndarray) -> Feed:
            feed = feeds.sequential(slots, config.batch_size)
            return feed._replace(index=rows_of(split, state.sample)[feed.index], slot=feed.index)

        def once(rng: np.random.Generator, state: State) -> Feed:
            return dealt(split, state, np.arange(len(split.forget) + sampled(split)))

        def matching(rng: np.random.Generator, state: State) -> Feed:
            slots = slots_of(split)
            return dealt(split, state, rng.permutation(slots) if config.shuffle else slots)

        def observed(rng: np.random.Generator, state: State) -> Feed:
            rows = split.retain if config.count is None else split.sample(config.count)
            return feeds.sequential(rows, config.batch_size)

        def forgotten(rng: np.random.Generator, state: State) -> Feed:
            return feeds.sequential(split.forget, config.batch_size)

        stages = []
        if source == "influence":
            stages = solves.stages(config, model, split, "gauss_newton", ["forget"])
        elif source == "trak":
            stages.append(Stage("gradients of the retain set", observe_retain, observed))
            stages.append(Stage("gradients of the forget set", observe_forget, forgotten))
        if config.direct:
            return stages
        if source != "targets":
            stages.append(Stage("targets", target, once))
        return [*stages, Stage("match", trainer(optimizer(split)), matching, config.epochs)]

    def finish(state: State) -> Variables | tuple[Model, Variables]:
        if not config.direct:
            return state.student.variables
        original, stats = state.variables
        shift = jax.tree.map(lambda leaf: config.multiplier * leaf, state.system.solution)
        return linearised(model), Variables({"original": original, "shift": shift}, stats)

    def report(state: State) -> dict[str, Array]:
        return {"dmm/residual": state.system.relative} if source == "influence" else {}

    return Method(init, plan, finish, report=report)
