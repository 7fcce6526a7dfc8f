"""DELETE: give the forget set the probabilities of the original without the own class.

Setting: forget images and labels; no retain data.

    (1)  t(x) = softmax over c != y of f_theta0(x),   t_y = 0;   theta0 the weights before, eval mode, the same image
         mask="request": over the classes that are not forgotten whole, either
    (2)  minimise  mean over D_f of  KL( t(x) || softmax(f_theta(x)) ),   student in train mode

The gradient of (2) in the logits is (p - t) / B. What the original knows of the other classes is the target, so that
retain data are not needed. Equation 1 drives the own class to probability 0. That is meant for class requests: on
random examples, whose class a retrained network still knows, it forgets far more than retraining does.

With batchnorm="train" the running statistics become those of the forget set. Take "eval" where one class is forgotten.

Defaults (the release, for classes of CIFAR-10 and a ResNet-18 on images of 224 x 224):

    optimizer      "sgd"
    learning_rate  0.0001
    momentum       0.9
    weight_decay   0.0
    mask           "own"
    batchnorm      "train"
    epochs         20
    batch_size     128
    augment        False

Released constants of other data and networks, 20 epochs too:

    CIFAR-10: VGG-16, ViT-S/16; CIFAR-100: ResNet-18    learning_rate=0.00005
    CIFAR-10: Swin-T; TinyImageNet, faces: ResNet-18    learning_rate=0.00005, batch_size=64
    one class of TinyImageNet                           batchnorm="eval" beside it

Deviations: the release masks the own class alone, and so leaves a forgotten class as a target of another one;
mask="request" does not, and is the same for one class. batchnorm="eval" puts the whole network into eval mode, dropout
too; scale and shift are trained in either. The release augments (flip, crop); set `augment` for that.

Reference: Zhou, Zheng, Pan, Zheng, CVPR 2025 (arXiv 2503.23751).
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from junlearn.errors import ConfigError
from junlearn.fields import BatchSize, Epochs, Positive
from junlearn.parts import descent, feeds, losses
from junlearn.parts.descent import Descent, descend
from junlearn.parts.optimizers import Optimizer, transformation
from junlearn.parts.passes import marks
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

__all__ = ["NEEDS", "PRESETS", "SPACE", "Config", "State", "Teacher", "log_target", "make"]

NEEDS = frozenset({"forget.x", "forget.y"})
State = Descent


@dataclass(frozen=True, kw_only=True)
class Config(Optimizer):
    """Hyper-parameters of DELETE."""

    learning_rate: Positive = 1e-4
    mask: Literal["own", "request"] = "own"
    """What has no probability in the target: the own class, or every class of the request too."""
    batchnorm: Literal["train", "eval"] = "train"
    """Mode of the student: "eval" leaves the running statistics as they are, and normalises by them."""
    epochs: Epochs = 20
    batch_size: BatchSize = 128
    augment: bool = False
    """Use the training augmentation of the dataset."""


SPACE: Space = {"learning_rate": Range(1e-5, 1e-2, log=True), "epochs": Range(1, 40)}

PRESETS = {
    "delete_tiny_imagenet": Preset(
        "DELETE as released for one class of TinyImageNet: the statistics of BatchNorm stay",
        {"learning_rate": 5e-5, "batch_size": 64, "batchnorm": "eval", "augment": True},
    ),
}
"""The released constants that differ in more than the rate."""


class Teacher(NamedTuple):
    """What stays as it is during a run."""

    variables: Variables
    forgotten: Array
    """bool[K]: classes without probability in every target."""


def log_target(logits: Array, labels: Array, forgotten: Array) -> Array:
    """Equation 1: log t [B,K] of the teacher's `logits[B,K]`, `labels[B]` and marks `forgotten[K]`; -inf is log 0."""
    own = labels[:, None] == jnp.arange(logits.shape[1])[None, :]
    return jax.nn.log_softmax(jnp.where(own | forgotten[None, :], -jnp.inf, logits))


def make(config: Config, model: Model) -> Method:
    """Distillation from the original without the own class."""
    tx = transformation(config)
    view = "augment" if config.augment else "eval"

    def loss(
        params: PyTree, state: State, batch: Batch, key: Key
    ) -> tuple[Array, tuple[PyTree, Metrics]]:
        student = Variables(params, state.variables.stats)
        train = config.batchnorm == "train"
        logits, _, stats = model.apply(student, batch.x, train=train, key=key, mask=batch.mask)
        teacher: Teacher = state.extra
        known, _, _ = model.apply(teacher.variables, batch.x)
        target = log_target(known, batch.y, teacher.forgotten)
        value = losses.divergence(target, jax.nn.log_softmax(logits), batch.mask)  # (2)
        return value, (stats, {"accuracy": losses.accuracy(logits, batch.y, batch.mask)})

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> State:
        classes = model.num_classes(variables, sources)
        hidden = split.classes if config.mask == "request" else ()
        if len(set(hidden)) == classes:
            raise ConfigError(
                f'delete: mask="request" leaves none of {classes} classes for the targets; take mask="own"'
            )
        teacher = Teacher(jax.tree.map(jnp.array, variables), marks(hidden, classes))
        return descent.init(key, variables, tx, extra=teacher)

    def plan(split: Split) -> list[Stage]:
        def feed(rng: np.random.Generator, state: State) -> Feed:
            return feeds.shuffled(rng, split.forget, config.batch_size, view=view)

        return [Stage("distil", descend(loss, tx), feed, config.epochs)]

    return Method(init, plan, lambda state: state.variables)
