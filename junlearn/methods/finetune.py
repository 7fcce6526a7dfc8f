"""Fine-tuning on the retain set: rely on catastrophic forgetting.

Setting: retain images and labels.

    (1)  minimise  mean CE(f_theta(x), y)  over D_r, from the original weights, BatchNorm in train mode

Defaults (the baseline of SSD, Foster, Schoepf, Brintrup, AAAI 2024, arXiv 2308.07707, and of JiT, arXiv
2402.01401):

    optimizer        "sgd"
    learning_rate    0.02
    momentum         0.9
    weight_decay     0.0005
    epochs           5
    steps            None
    overshoot        False
    batch_size       64
    schedule         "constant"
    warmup_epochs    0.0
    milestones       ()
    decay            0.2
    augment          False
    keep             "last"
    label_smoothing  0.0

In SCAR the rate is halved after 25 and after 40 epochs: schedule="multistep", milestones=(25, 40), decay=0.5. The
fine-tuning of Corrective Machine Unlearning is the method `cf_k`, which can also hold the first layers fixed.
"""

from dataclasses import dataclass

from junlearn.fields import BatchSize, Epochs, NonNegative, Positive
from junlearn.parts.descent import Descent
from junlearn.parts.recipe import Supervised, fit
from junlearn.types import Key, Method, Model, Range, Sources, Space, Variables

__all__ = ["NEEDS", "SPACE", "Config", "State", "make"]

NEEDS = frozenset({"retain.x", "retain.y"})
"""With the default `Config`; keep="best_test" adds test.x and test.y."""
State = Descent


@dataclass(frozen=True, kw_only=True)
class Config(Supervised):
    """Hyper-parameters of fine-tuning."""

    learning_rate: Positive = 0.02
    weight_decay: NonNegative = 5e-4
    epochs: Epochs = 5
    batch_size: BatchSize = 64


SPACE: Space = {
    "learning_rate": Range(1e-4, 0.1, log=True),
    "weight_decay": Range(1e-5, 1e-2, log=True),
    "epochs": Range(1, 30),
}


def make(config: Config, model: Model) -> Method:
    """Supervised training of the original network on the retain set."""

    def begin(key: Key, variables: Variables, sources: Sources) -> Variables:
        return variables

    return fit(config, model, "finetune", begin)
