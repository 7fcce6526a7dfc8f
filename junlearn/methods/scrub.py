"""SCRUB: leave the teacher on the forget set, stay with it on the retain set, in alternating passes.

Setting: forget images, retain images and labels; SCRUB+R also forget labels and unseen examples of what is forgotten.

    (1)  KD(x) = T^2 KL( softmax(f_theta0(x) / T) || softmax(f_theta(x) / T) ),   theta0 the weights before, eval mode
    (2)  max pass over D_f:  minimise  -mean KD              ascent="ce+kd": minimise -(gamma mean CE + alpha mean KD)
    (3)  min pass over D_r:  minimise  gamma mean CE + alpha mean KD
    (4)  epoch e = 0, 1, ..:  a max pass if e < max_epochs (or if fewer than msteps steps are made), then a min pass;
         rate  eta decay^#{d in decay_epochs : d <= e};   one optimiser, with one momentum, for both passes
    (5)  SCRUB+R (rewind): of the weights after each epoch those whose error on D_f is nearest to the error of the last
         weights on unseen examples of the same distribution; of several as near the latest

The student runs in train mode in both passes. KD has its minimum, with no gradient, at the weights before: without
BatchNorm or dropout the very first max pass moves nothing but what the weight decay moves.

Defaults (Kurmanji et al.'s constants for (1) to (4), the optimiser and batch size of their runs in JiT):

    optimizer          "sgd"
    learning_rate      0.0005
    momentum           0.9
    weight_decay       0.0005
    alpha              0.5
    gamma              1.0
    temperature        2.0
    ascent             "kd"
    epochs             10
    max_epochs         3
    msteps             None
    decay_epochs       (5, 8, 9)
    decay              0.1
    schedule           "multistep"
    steps              None
    overshoot          False
    clip               None
    forget_batch_size  128
    batch_size         128
    augment            False
    rewind             False
    keep               "last"

As run in JiT: alpha=0.001, gamma=0.99, clip=1.0 (a whole class), alpha=1, gamma=5 (samples), temperature=4, epochs=3,
max_epochs=2. In Corrective Machine Unlearning (arXiv 2402.14015): ascent="ce+kd", gamma=1, temperature=4, msteps=100,
steps=1000, schedule="warm_linear", learning_rate=0.0025, both batch sizes 512, augment=True, alpha searched; to follow
its code in all also overshoot=True and keep="best_test". Of 50,000 examples msteps=100 makes two max passes, 400 five.

The unseen examples of (5) are test images: `split.forget_test`, or all of them where the request has none of its own. A
part of D_r would not do, since the original has learnt it. Test figures after a rewind are therefore not independent
of the choice. A training set with manipulated labels has no unseen examples like its forget set: ConfigError.

Deviations: the term that pulls to averaged weights has weight 0 in all runs and is left out; D_f is shuffled. `keep`
chooses of the weights after every pass, max passes included.

Reference: Kurmanji, Triantafillou, Hayes, Triantafillou, NeurIPS 2023 (arXiv 2302.09880).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from junlearn.errors import ConfigError
from junlearn.fields import BatchSize, Count, Epochs, NonNegative, Positive, Whole
from junlearn.memo import remembered
from junlearn.parts import descent, feeds, losses
from junlearn.parts.descent import Descent, Loss, descend
from junlearn.parts.optimizers import Optimizer, clipped, transformation, warm_linear
from junlearn.parts.recipe import corrective
from junlearn.parts.selection import Keep, Rewind, check_unseen, keeping, wrong
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

__all__ = [
    "NEEDS",
    "PRESETS",
    "SPACE",
    "Config",
    "Memory",
    "Pass",
    "State",
    "make",
    "passes",
    "rate",
]

NEEDS = frozenset({"forget.x", "retain.x", "retain.y"})
"""With the default `Config`; ascent="ce+kd" adds forget.y, `rewind` forget.y, test.x and test.y, and keep="best_test"
test.x and test.y."""
State = Descent


@dataclass(frozen=True, kw_only=True)
class Config(Optimizer):
    """Hyper-parameters of SCRUB."""

    learning_rate: Positive = 5e-4
    weight_decay: NonNegative = 5e-4
    alpha: NonNegative = 0.5
    """Weight of KD."""
    gamma: NonNegative = 1.0
    """Weight of the cross entropy."""
    temperature: Positive = 2.0
    ascent: Literal["kd", "ce+kd"] = "kd"
    """What a max pass maximises: KD, or all of equation 3 with the labels of the forget set."""
    epochs: Epochs = 10
    max_epochs: Whole = 3
    """Epochs that begin with a max pass."""
    msteps: Whole | None = None
    """In the place of `max_epochs`: an epoch begins with a max pass while fewer steps than this, of both passes
    together, are made."""
    decay_epochs: tuple[int, ...] = (5, 8, 9)
    """Epochs (from 0) at whose start the rate is multiplied by `decay`."""
    decay: Positive = 0.1
    schedule: Literal["multistep", "warm_linear"] = "multistep"
    """By `decay_epochs`, or Corrective's over all steps."""
    steps: Count | None = None
    """Number of steps, of both passes together; it replaces `epochs`, and the last pass is cut."""
    overshoot: bool = False
    """Leave a pass only when more than `steps` are made, as the release of Corrective Unlearning does: one step more,
    two where a max pass crosses the number, none where an epoch ends just there."""
    clip: Positive | None = None
    """Largest norm of a gradient."""
    forget_batch_size: BatchSize = 128
    batch_size: BatchSize = 128
    """Of the min passes."""
    augment: bool = False
    """Use the training augmentation of the dataset."""
    rewind: bool = False
    """SCRUB+R."""
    keep: Keep = "last"
    """The weights to return: the last, or the best after any pass on the test set (the released rule of Corrective
    Unlearning) or on a validation set; see `junlearn.parts.selection`."""


SPACE: Space = {
    "learning_rate": Range(1e-4, 0.1, log=True),
    "alpha": Range(1e-3, 10.0, log=True),
    "gamma": Range(0.1, 10.0, log=True),
    "epochs": Range(2, 15),
    "max_epochs": Range(1, 5),
}
OWN = {"alpha": SPACE["alpha"]}  # the search of Corrective Unlearning
PRESETS = {
    "scrub_r": Preset("SCRUB+R: rewinds to the checkpoint whose error fits", {"rewind": True}),
    "scrub_corrective": corrective(
        "SCRUB", OWN, alpha=1e-3, temperature=4.0, ascent="ce+kd", msteps=400, forget_batch_size=512
    ),
}
"""The variant of the paper against membership inference, and the baseline of another paper."""


class Memory(NamedTuple):
    """What lies beside the student: the `extra` of its state."""

    teacher: Variables
    rewind: Rewind | tuple[()]


class Pass(NamedTuple):
    """One pass over one set."""

    epoch: int
    kind: Literal["max", "min"]
    steps: int


def passes(config: Config, forget: int, retain: int) -> list[Pass]:
    """Equation 4 for sets of `forget` and `retain` batches."""
    schedule: list[Pass] = []
    made = epoch = 0
    while epoch < config.epochs if config.steps is None else made < config.steps:
        rises = epoch < config.max_epochs if config.msteps is None else made < config.msteps
        rise, fall = Pass(epoch, "max", forget), Pass(epoch, "min", retain)
        for part in (rise, fall) if rises else (fall,):
            if config.steps is not None:
                left = config.steps - made
                most = max(left + 1, 1) if config.overshoot else left
                part = part._replace(steps=min(part.steps, most))
            if part.steps:
                schedule.append(part)
                made += part.steps
        epoch += 1
    return schedule


def rate(config: Config, schedule: Sequence[Pass]) -> optax.Schedule:
    """The learning rate of every step of the passes."""
    return _rate(config, tuple(schedule))


@remembered
def _rate(config: Config, schedule: tuple[Pass, ...]) -> optax.Schedule:
    ends = np.cumsum([part.steps for part in schedule])
    if config.schedule == "warm_linear":
        return warm_linear(config.learning_rate, config.steps or int(ends[-1]))
    # An epoch begins where all passes of the epochs before it have ended.
    decays = [
        sum(part.steps for part in schedule if part.epoch < epoch) for epoch in config.decay_epochs
    ]

    def multistep(step: Array) -> Array:
        return config.learning_rate * config.decay ** (step >= np.array(decays, np.int32)).sum()

    return multistep


def make(config: Config, model: Model) -> Method:
    """Alternating ascent and descent under one optimiser."""
    if config.rewind and config.keep != "last":
        raise ConfigError(
            f'scrub: rewind chooses the weights itself: set it to False, or keep="last", not "{config.keep}"'
        )
    view = "augment" if config.augment else "eval"

    @remembered
    def objective(kind: Literal["max", "min"]) -> Loss:
        labelled = kind == "min" or config.ascent == "ce+kd"

        def loss(
            params: PyTree, state: State, batch: Batch, key: Key
        ) -> tuple[Array, tuple[PyTree, Metrics]]:
            student = Variables(params, state.variables.stats)
            logits, _, stats = model.apply(student, batch.x, train=True, key=key, mask=batch.mask)
            teacher, _, _ = model.apply(state.extra.teacher, batch.x)
            target, output = (jax.nn.log_softmax(z / config.temperature) for z in (teacher, logits))
            kd = config.temperature**2 * losses.divergence(target, output, batch.mask)  # (1)
            if not labelled:
                return -kd, (stats, {"kd": kd})  # (2)
            ce = losses.cross_entropy(logits, batch.y, batch.mask)
            value = config.gamma * ce + config.alpha * kd  # (3)
            return (value if kind == "min" else -value), (stats, {"kd": kd, "ce": ce})

        return loss

    def sets(split: Split) -> dict[str, tuple[np.ndarray, int]]:
        forget = (split.forget, config.forget_batch_size)
        return {"max": forget, "min": (split.retain, config.batch_size)}

    def planned(split: Split) -> list[Pass]:
        sizes = sets(split).values()
        return passes(config, *(max(-(-len(rows) // size), 1) for rows, size in sizes))

    def optimizer(split: Split) -> optax.GradientTransformation:
        tx = transformation(config, rate(config, planned(split)))
        return tx if config.clip is None else clipped(tx, config.clip)

    @remembered
    def measure_forget(forgotten: int) -> Callable[[State, Batch], tuple[State, Metrics]]:
        def step(state: State, batch: Batch) -> tuple[State, Metrics]:
            errors, rewind = wrong(model, state.variables, batch), state.extra.rewind
            rewind = rewind.on_forget(state.variables, errors, batch.mask, forgotten)
            return state._replace(extra=state.extra._replace(rewind=rewind)), {"errors": errors}

        return step

    def measure_unseen(state: State, batch: Batch) -> tuple[State, Metrics]:
        errors = wrong(model, state.variables, batch)
        rewind = state.extra.rewind.on_unseen(errors, batch.mask)
        return state._replace(extra=state.extra._replace(rewind=rewind)), {"errors": errors}

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> State:
        rewind: Rewind | tuple[()] = ()
        if config.rewind:
            check_unseen("scrub", sources, split)
            rewind = Rewind.empty(variables, planned(split)[-1].epoch + 1)
        memory = Memory(jax.tree.map(jnp.array, variables), rewind)
        return descent.init(key, variables, optimizer(split), extra=memory)

    def plan(split: Split) -> list[Stage]:
        tx = optimizer(split)
        steps = {kind: descend(objective(kind), tx) for kind in ("max", "min")}
        rows = sets(split)
        measure = measure_forget(len(split.forget))

        def forget_feed(rng: np.random.Generator, state: State) -> Feed:
            return feeds.sequential(split.forget, config.forget_batch_size)

        def unseen_feed(rng: np.random.Generator, state: State) -> Feed:
            unseen = split.forget_test if len(split.forget_test) else split.retain_test
            return feeds.sequential(unseen, config.batch_size, source="test")

        def training(part: Pass) -> Stage:
            def feed(rng: np.random.Generator, state: State) -> Feed:
                return feeds.cut(feeds.shuffled(rng, *rows[part.kind], view=view), part.steps)

            return Stage(f"{part.kind} {part.epoch}", steps[part.kind], feed)

        stages = []
        schedule = planned(split)
        for part, following in zip(schedule, [*schedule[1:], None], strict=True):
            stages.append(training(part))
            if config.rewind and (following is None or following.epoch != part.epoch):
                stages.append(Stage(f"measure {part.epoch}", measure, forget_feed))
        if config.rewind:
            stages.append(Stage("measure unseen", measure_unseen, unseen_feed))
        return stages

    def finish(state: State) -> Variables:
        return state.extra.rewind.nearest() if config.rewind else state.variables  # (5)

    return keeping(Method(init, plan, finish), model, config.keep, config.batch_size)
