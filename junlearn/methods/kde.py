"""KDE (knowledge distillation, entropy): draw stem and head anew, and learn from the original on other images.

Setting: unseen images without labels, retain images and labels. The unseen images are those of a validation set, which
took no part in the training of the original; the forget set is not read.

    (1)  stem and head  ~  U(-1, 1) / sqrt(fan_in),  biases too;  all else as it was
    (2)  warm-up, V epochs over the unseen images:  minimise  mean KL(p_t(x) || p_s(x));   constant rate
         p_t, p_s = softmax(z / T)  of the original, in eval mode, and of the student, in train mode
    (3)  E epochs over D_r:  minimise  mean [ CE(f_theta(x), y) + 2 KL(p_t(x) || p_s(x)) ];   new momentum;
         rate of epoch e = 0, 1, ..:  eta (1 + cos(pi e / E)) / 2

KL has no factor T^2. The entry adds KL(p_t || p_s) and the cross entropy H(p_t, p_s) in (3). They differ by the entropy
of p_t, a constant, and so have the same gradient: together they are the 2 KL.

Defaults (the entry of the NeurIPS 2023 unlearning challenge, as in the comparison below; the batch size is ours):

    optimizer             "sgd"
    learning_rate         0.001
    momentum              0.9
    weight_decay          0.0005
    warmup_learning_rate  0.0009
    temperature           5.0
    warmup_epochs         3
    epochs                3
    batch_size            64
    augment               False

The comparison searched rates, decay, T, batch size and epochs for every dataset; the values that it found are not
published.

Reference: Cadet, Borovykh, Malekzadeh, Ahmadi-Abhari, Haddadi, Deep Unlearn, arXiv 2410.01276 (there "KDE").
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from junlearn.errors import ConfigError
from junlearn.fields import BatchSize, Epochs, NonNegative, Positive
from junlearn.memo import remembered
from junlearn.parts import descent, feeds, losses
from junlearn.parts.descent import Descent, Loss, descend
from junlearn.parts.layers import head, stem
from junlearn.parts.optimizers import Optimizer, schedule, side_by_side, transformation
from junlearn.parts.reinitialise import refreshed, unit_uniform
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

__all__ = ["NEEDS", "SPACE", "Config", "Memory", "State", "make"]

NEEDS = frozenset({"retain.x", "retain.y", "validation.x"})
State = Descent


@dataclass(frozen=True, kw_only=True)
class Config(Optimizer):
    """Hyper-parameters of KDE."""

    learning_rate: Positive = 1e-3
    """Of equation 3, in its first epoch."""
    weight_decay: NonNegative = 5e-4
    warmup_learning_rate: Positive = 9e-4
    """Of equation 2."""
    temperature: Positive = 5.0
    """Of all probabilities of the original, and of the student beside them."""
    warmup_epochs: Epochs = 3
    """Over the validation set."""
    epochs: Epochs = 3
    """Over the retain set."""
    batch_size: BatchSize = 64
    augment: bool = False
    """Use the training augmentation of the dataset in both phases, for both networks."""


# Rates and T as in the comparison, which has T from 0 on.
SPACE: Space = {
    "learning_rate": Range(1e-5, 0.1, log=True),
    "warmup_learning_rate": Range(1e-5, 0.1, log=True),
    "temperature": Range(0.1, 5.0),
    "warmup_epochs": Range(1, 10),
    "epochs": Range(1, 10),
}


class Memory(NamedTuple):
    """What lies beside the student: the `extra` of its state."""

    teacher: Variables
    unseen: Array
    """int32[]: images of the validation set."""


def make(config: Config, model: Model) -> Method:
    """Distillation on the validation set, then on the retain set with its labels."""
    view = "augment" if config.augment else "eval"
    redrawn = stem(model, "kde"), head(model, "kde")

    @remembered
    def objective(labelled: bool) -> Loss:
        def loss(
            params: PyTree, state: State, batch: Batch, key: Key
        ) -> tuple[Array, tuple[PyTree, Metrics]]:
            student = Variables(params, state.variables.stats)
            logits, _, stats = model.apply(student, batch.x, train=True, key=key, mask=batch.mask)
            teacher, _, _ = model.apply(state.extra.teacher, batch.x)
            target, output = (jax.nn.log_softmax(z / config.temperature) for z in (teacher, logits))
            kl = losses.divergence(target, output, batch.mask)
            if not labelled:
                return kl, (stats, {"kl": kl})  # (2)
            ce = losses.cross_entropy(logits, batch.y, batch.mask)
            return ce + 2 * kl, (stats, {"kl": kl, "ce": ce})  # (3)

        return loss

    def optimizers(split: Split) -> tuple[optax.GradientTransformation, ...]:
        epoch = -(-len(split.retain) // config.batch_size)
        rate = schedule(
            "epoch_cosine",
            config.learning_rate,
            steps_per_epoch=epoch,
            total=epoch * config.epochs,
        )
        warm = replace(config, learning_rate=config.warmup_learning_rate)
        return side_by_side(transformation(warm), transformation(config, rate))

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> State:
        if "validation" not in sources or not len(sources["validation"].x):
            raise ConfigError(
                'kde warms up on the source "validation", and there is none; '
                "set validation = ... in the experiment"
            )
        key, draw_key = jax.random.split(key)
        unit = unit_uniform(draw_key, variables.params)
        student = variables._replace(params=refreshed(variables.params, unit, redrawn))
        teacher = jax.tree.map(jnp.array, variables)
        memory = Memory(teacher, jnp.int32(len(sources["validation"].x)))
        return descent.init(key, student, optimizers(split)[0], extra=memory)

    def plan(split: Split) -> list[Stage]:
        def unseen(rng: np.random.Generator, state: State) -> Feed:
            rows = np.arange(int(state.extra.unseen))
            return feeds.shuffled(rng, rows, config.batch_size, source="validation", view=view)

        def retain(rng: np.random.Generator, state: State) -> Feed:
            return feeds.shuffled(rng, split.retain, config.batch_size, view=view)

        first, second = optimizers(split)
        return [
            Stage("warm-up", descend(objective(False), first), unseen, config.warmup_epochs),
            Stage("retain", descend(objective(True), second), retain, config.epochs),
        ]

    return Method(init, plan, lambda state: state.variables)
