"""Retraining from scratch: exact unlearning, and the reference that every other method is judged by.

Setting: retain images and labels; the original network is not used.

    (1)  theta ~ initialisation (its own key: another draw than the original's)
    (2)  minimise  mean CE(f_theta(x), y)  over D_r, by the recipe of the original

The original network is trained by this same method, with every training example in the retain set.

Defaults (ours, for small networks; a published recipe is a value of `Config`):

    optimizer        "adam"
    learning_rate    0.001
    momentum         0.9
    weight_decay     0.0
    epochs           10
    steps            None
    overshoot        False
    batch_size       128
    schedule         "constant"
    warmup_epochs    0.0
    milestones       ()
    decay            0.2
    augment          True
    keep             "last"
    label_smoothing  0.0

As the original networks of Corrective Machine Unlearning (arXiv 2402.14015) are trained: optimizer="sgd",
learning_rate=0.025, weight_decay=0.0005, steps=4000 (CIFAR-10; 6000 CIFAR-100), batch_size=512, schedule="warm_linear";
its code also overshoot=True, keep="best_test".

Deviation from the releases of JiT and SSD, which reset the last layer only: here all weights are fresh.
"""

from dataclasses import dataclass
from typing import Literal

from junlearn.fields import Positive
from junlearn.parts.descent import Descent
from junlearn.parts.recipe import Supervised, fit
from junlearn.types import Key, Method, Model, Sources, Space, Variables

__all__ = ["NEEDS", "SPACE", "Config", "State", "make"]

NEEDS = frozenset({"retain.x", "retain.y"})
"""With the default `Config`; keep="best_test" adds test.x and test.y."""
State = Descent


@dataclass(frozen=True, kw_only=True)
class Config(Supervised):
    """A training recipe."""

    optimizer: Literal["sgd", "adam", "adamw"] = "adam"
    learning_rate: Positive = 1e-3
    augment: bool = True
    """Use the training augmentation of the dataset."""


# Nothing: it is trained as the original was, or else it is no reference.
SPACE: Space = {}


def make(config: Config, model: Model) -> Method:
    """Supervised training of a freshly initialised network on the retain set."""

    def begin(key: Key, variables: Variables, sources: Sources) -> Variables:
        return model.fresh(key, sources)  # (1)

    return fit(config, model, "train", begin)
