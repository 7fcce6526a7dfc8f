"""CF-k, catastrophic forgetting: train the last k layers on, on the retain set.

Setting: retain images and labels.

    (1)  f = Q after P:  Q the last k weight layers with their BatchNorm (k = -1: all of f), P what is before them
    (2)  minimise  mean CE(f(x), y)  over D_r in the parameters of Q, from the original weights;  Q in train mode,
         P fixed and in eval mode, its running statistics too
    (3)  step t = 0, 1, .. of N, w = floor(N / 100):
         rate  eta (t + 1) / (w + 1)  if t < w,  else  eta (1 - (t - w) / (1.25 N))

Defaults (Corrective Machine Unlearning, arXiv 2402.14015, for CIFAR-10; steps=1500 for CIFAR-100; k of 2, 4 and -1 for
ResNet-9, of 5, 13 and -1 for the wide ResNet):

    optimizer        "sgd"
    learning_rate    0.025
    momentum         0.9
    weight_decay     0.0005
    epochs           10
    steps            1000
    overshoot        False
    batch_size       512
    schedule         "warm_linear"
    warmup_epochs    0.0
    milestones       ()
    decay            0.2
    augment          True
    keep             "last"
    label_smoothing  0.0
    k                -1

Deviations: the released code makes N + 1 steps (overshoot=True) and returns the weights of the best test accuracy
(keep="best_test"); its half precision is left out.

Reference: Goel, Prabhu, Sanyal, Lim, Torr, Kumaraguru, arXiv 2201.06640.
"""

from dataclasses import dataclass

from junlearn.fields import BatchSize, Count, NonNegative, Positive
from junlearn.parts.descent import Descent
from junlearn.parts.layers import last_layers
from junlearn.parts.optimizers import ScheduleKind
from junlearn.parts.recipe import Supervised, fit
from junlearn.types import Key, Method, Model, Sources, Variables

__all__ = ["NEEDS", "Config", "Corrective", "State", "make"]

NEEDS = frozenset({"retain.x", "retain.y"})
"""With the default `Config`; keep="best_test" adds test.x and test.y."""
State = Descent


@dataclass(frozen=True, kw_only=True)
class Corrective(Supervised):
    """The recipe of Corrective Machine Unlearning, for the last layers of a network."""

    learning_rate: Positive = 0.025
    weight_decay: NonNegative = 5e-4
    steps: Count | None = 1000
    """Number of optimiser steps; it replaces `epochs`, and the last epoch is cut. None: go by `epochs`."""
    batch_size: BatchSize = 512
    schedule: ScheduleKind = "warm_linear"
    augment: bool = True
    """Use the training augmentation of the dataset."""
    k: int = -1
    """How many weight layers at the end are trained, as `Model.depths` counts them; -1: all."""


@dataclass(frozen=True, kw_only=True)
class Config(Corrective):
    """Hyper-parameters of CF-k."""


def make(config: Config, model: Model) -> Method:
    """Supervised training of the end of the original network on the retain set."""
    layers = last_layers(model, config.k)  # (1)

    def begin(key: Key, variables: Variables, sources: Sources) -> Variables:
        return variables

    return fit(config, model, "train", begin, layers)
