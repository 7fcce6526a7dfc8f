"""Bad teacher (T-S, "blindspot"): learn from a teacher that knows nothing on the forget set, from oneself elsewhere.

Setting: forget and retain images without labels. S is a random part of D_r, drawn once per run.

    (1)  q(x) = softmax(f_bad(x) / T)        x in D_f;   f_bad freshly initialised with a key of its own
         q(x) = softmax(f_theta0(x) / T)     x in S;     theta0 the weights before
    (2)  minimise  mean over D_f united with S of  KL( q(x) || softmax(f_theta(x) / T) ),  from theta0

Both teachers run in eval mode (BatchNorm of the bad one with mean 0 and variance 1), the student in train mode. There
is no factor T^2.

Defaults (Chundawat et al. as run in SSD, arXiv 2308.07707, and JiT, arXiv 2402.01401; LAF compares with it as T-S, with
constants that are not known):

    optimizer        "adam"
    learning_rate    0.0001
    momentum         0.9
    weight_decay     0.0
    retain_fraction  0.3
    temperature      1.0
    reduction        "batch"
    epochs           1
    steps            None
    overshoot        False
    batch_size       256
    schedule         "constant"
    warmup_epochs    0.0
    milestones       ()
    decay            0.2
    augment          False
    keep             "last"

BadT of Corrective Machine Unlearning (arXiv 2402.14015) is retain_fraction=1, optimizer="sgd", learning_rate=0.025,
weight_decay=0.0005, steps=1000, schedule="warm_linear", batch_size=512, augment=True; to follow its code in all also
reduction="element", overshoot=True (one step more than `steps`) and keep="best_test".

Deviation: the released codes average equation 2 over the K classes too and so divide it by K, which changes the rate
of SGD and the epsilon of Adam; reduction="element" does the same.

Reference: Chundawat, Tarun, Mandal, Kankanhalli, AAAI 2023 (arXiv 2205.08096).
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from junlearn.fields import BatchSize, Epochs, Fraction, Positive
from junlearn.parts import descent, feeds, losses
from junlearn.parts.descent import Descent, descend
from junlearn.parts.passes import marks
from junlearn.parts.recipe import Recipe, corrective, optimizer, stages
from junlearn.parts.selection import keeping
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

__all__ = ["NEEDS", "PRESETS", "SPACE", "Config", "State", "Teachers", "distillation", "make"]

NEEDS = frozenset({"forget.x", "retain.x"})
"""With the default `Config`; keep="best_test" adds test.x and test.y."""
State = Descent


@dataclass(frozen=True, kw_only=True)
class Config(Recipe):
    """Hyper-parameters of the bad teacher."""

    optimizer: Literal["sgd", "adam", "adamw"] = "adam"
    learning_rate: Positive = 1e-4
    retain_fraction: Fraction = 0.3
    """Share of D_r in S, rounded down to whole examples."""
    temperature: Positive = 1.0
    reduction: Literal["batch", "element"] = "batch"
    """Mean over the examples, or over the examples and the classes as released."""
    epochs: Epochs = 1
    batch_size: BatchSize = 256


SPACE: Space = {
    "learning_rate": Range(1e-5, 1e-2, log=True),
    "retain_fraction": Range(0.1, 1.0),
    "temperature": Range(0.25, 4.0, log=True),
    "epochs": Range(1, 10),
}

TEMPERED = {"temperature": SPACE["temperature"]}
PRESETS = {
    "bad_teacher_corrective": corrective(
        "bad teacher", TEMPERED, retain_fraction=1.0, reduction="element"
    )
}
"""As a baseline of another paper, by its released code."""


class Teachers(NamedTuple):
    """What stays as it is during a run."""

    good: Variables
    bad: Variables
    forget: Array
    """bool[N]: the rows of the training set that the bad teacher teaches."""
    sample: Array
    """int32[]: S."""


def distillation(
    student: Array,
    good: Array,
    bad: Array,
    forget: Array,
    mask: Array,
    temperature: float,
    reduction: Literal["batch", "element"],
) -> Array:
    """Equations 1 and 2 on logits [B,K]; `forget[B]` says which rows the bad teacher teaches."""
    target = jax.nn.log_softmax(jnp.where(forget[:, None], bad, good) / temperature)
    output = jax.nn.log_softmax(student / temperature)
    value = losses.divergence(target, output, mask)
    return value / student.shape[-1] if reduction == "element" else value


def make(config: Config, model: Model) -> Method:
    """Distillation from two teachers on one mixed set."""
    view = "augment" if config.augment else "eval"

    def loss(
        params: PyTree, state: State, batch: Batch, key: Key
    ) -> tuple[Array, tuple[PyTree, Metrics]]:
        student = Variables(params, state.variables.stats)
        logits, _, stats = model.apply(student, batch.x, train=True, key=key, mask=batch.mask)
        teachers: Teachers = state.extra
        value = distillation(
            logits,
            model.apply(teachers.good, batch.x)[0],
            model.apply(teachers.bad, batch.x)[0],
            teachers.forget[batch.index],
            batch.mask,
            config.temperature,
            config.reduction,
        )
        return value, (stats, {})

    def sampled(split: Split) -> int:
        return int(config.retain_fraction * len(split.retain))

    def mixed(split: Split) -> int:
        return len(split.forget) + sampled(split)

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> State:
        key, bad_key, sample_key = jax.random.split(key, 3)
        sample = jax.random.permutation(sample_key, split.retain)[: sampled(split)]
        teachers = Teachers(
            jax.tree.map(jnp.array, variables),
            model.fresh(bad_key, sources),
            marks(split.forget, len(sources["train"].x)),
            sample.astype(jnp.int32),
        )
        return descent.init(key, variables, optimizer(config, mixed(split)), extra=teachers)

    def plan(split: Split) -> list[Stage]:
        step = descend(loss, optimizer(config, mixed(split)))

        def feed(rng: np.random.Generator, state: State) -> Feed:
            both = np.concatenate([split.forget, np.asarray(state.extra.sample)])
            return feeds.shuffled(rng, both, config.batch_size, view=view)

        return stages(config, "distil", step, feed, mixed(split))

    method = Method(init, plan, lambda state: state.variables)
    return keeping(method, model, config.keep, config.batch_size)
