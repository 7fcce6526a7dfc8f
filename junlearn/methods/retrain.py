"""Retraining from scratch: exact unlearning, and the reference that every other method is judged by.

Setting: retain images and labels; the original network is not used.

    (1)  theta ~ initialisation (its own key: another draw than the original's)
    (2)  minimise  mean CE(f_theta(x), y)  over D_r, by the recipe of the original

The original network is trained by this same method, with every training example in the retain set.

Defaults (ours, for small networks; a published recipe is a value of `Config`):

    optimizer      "adam"
    learning_rate  0.001
    momentum       0.9
    weight_decay   0.0
    epochs         10
    batch_size     128
    schedule       "constant"
    warmup_epochs  0.0
    milestones     ()
    decay          0.2
    augment        True

Deviation from the releases of JiT and SSD, which reset the last layer only: here all weights are fresh.
"""

from dataclasses import dataclass
from typing import Literal

from junlearn import feeds
from junlearn.descent import Descent, descend, start, supervised
from junlearn.fields import Count, NonNegative, Positive
from junlearn.optimizers import Optimizer, cycled_momentum, schedule, transformation
from junlearn.types import Key, Method, Model, Sources, Split, Stage, Variables

__all__ = ["NEEDS", "Config", "State", "make"]

NEEDS = frozenset({"retain.x", "retain.y"})
State = Descent


@dataclass(frozen=True, kw_only=True)
class Config(Optimizer):
    """A training recipe."""

    optimizer: Literal["sgd", "adam", "adamw"] = "adam"
    learning_rate: Positive = 1e-3
    epochs: Count = 10
    batch_size: Count = 128
    schedule: Literal["constant", "cosine", "linear", "multistep", "one_cycle"] = "constant"
    """`one_cycle` cycles the momentum of sgd too, from 0.95 to 0.85 and back."""
    warmup_epochs: NonNegative = 0.0
    milestones: tuple[int, ...] = ()
    """Epochs (from 0) at whose start a `multistep` schedule multiplies the rate by `decay`."""
    decay: Positive = 0.2
    augment: bool = True
    """Use the training augmentation of the dataset."""


def make(config: Config, model: Model) -> Method:
    """Supervised training of a freshly initialised network on the retain set."""
    loss = supervised(model)
    view = "augment" if config.augment else "eval"

    def optimizer(split: Split):  # type: ignore[no-untyped-def]
        steps_per_epoch = -(-len(split.retain) // config.batch_size)
        rate = schedule(
            config.schedule,
            config.learning_rate,
            steps_per_epoch=steps_per_epoch,
            epochs=config.epochs,
            warmup_epochs=config.warmup_epochs,
            milestones=config.milestones,
            decay=config.decay,
        )
        cycled = config.schedule == "one_cycle" and config.optimizer == "sgd"
        momentum = cycled_momentum(steps_per_epoch * config.epochs) if cycled else None
        return transformation(config, rate, momentum)

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> State:
        del variables
        return start(key, model.fresh(key, sources), optimizer(split))

    def plan(split: Split) -> list[Stage]:
        return [
            Stage(
                "train",
                descend(loss, optimizer(split)),
                lambda rng, state: feeds.shuffled(rng, split.retain, config.batch_size, view=view),
                config.epochs,
            )
        ]

    return Method(init, plan, lambda state: state.variables)
