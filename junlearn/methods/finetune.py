"""Fine-tuning on the retain set: rely on catastrophic forgetting.

Setting: retain images and labels.

    (1)  minimise  mean CE(f_theta(x), y)  over D_r, from the original weights, BatchNorm in train mode

Defaults (the baseline of SSD, Foster, Schoepf, Brintrup, AAAI 2024, arXiv 2308.07707, and of JiT, arXiv
2402.01401):

    optimizer      "sgd"
    learning_rate  0.02
    momentum       0.9
    weight_decay   0.0005
    epochs         5
    batch_size     64
    augment        False
"""

from dataclasses import dataclass

from junlearn import feeds
from junlearn.descent import Descent, descend, start, supervised
from junlearn.fields import Count, NonNegative, Positive
from junlearn.optimizers import Optimizer, transformation
from junlearn.types import Key, Method, Model, Sources, Split, Stage, Variables

__all__ = ["NEEDS", "Config", "State", "make"]

NEEDS = frozenset({"retain.x", "retain.y"})
State = Descent


@dataclass(frozen=True, kw_only=True)
class Config(Optimizer):
    """Hyper-parameters of fine-tuning."""

    learning_rate: Positive = 0.02
    weight_decay: NonNegative = 5e-4
    epochs: Count = 5
    batch_size: Count = 64
    augment: bool = False
    """Use the training augmentation of the dataset."""


def make(config: Config, model: Model) -> Method:
    """Supervised training of the original network on the retain set."""
    tx = transformation(config)
    step = descend(supervised(model), tx)
    view = "augment" if config.augment else "eval"

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> State:
        del sources, split
        return start(key, variables, tx)

    def plan(split: Split) -> list[Stage]:
        return [
            Stage(
                "finetune",
                step,
                lambda rng, state: feeds.shuffled(rng, split.retain, config.batch_size, view=view),
                config.epochs,
            )
        ]

    return Method(init, plan, lambda state: state.variables)
