"""CF-k, catastrophic forgetting: train the last k layers on, on the retain set.

Setting: retain images and labels.

    (1)  Q and P = the original weights,  then minimise  mean CE(f(x), y)  over D_r in the parameters of Q

Q is the last k layers and P what is before them. Equations C1 to C3 of `junlearn.parts.recipe` say how Q is trained
and with what rate; the deviations from the released code stand there too.

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

Reference: Goel, Prabhu, Sanyal, Lim, Torr, Kumaraguru, arXiv 2201.06640.
"""

from dataclasses import dataclass

from junlearn.parts.descent import Descent
from junlearn.parts.layers import last_layers
from junlearn.parts.recipe import Corrective, corrective, fit
from junlearn.types import Key, Method, Model, Range, Sources, Space, Variables

__all__ = ["NEEDS", "PRESETS", "SPACE", "Config", "State", "make"]

NEEDS = frozenset({"retain.x", "retain.y"})
"""With the default `Config`; keep="best_test" adds test.x and test.y."""
State = Descent


@dataclass(frozen=True, kw_only=True)
class Config(Corrective):
    """Hyper-parameters of CF-k."""


# k depends on the network.
SPACE: Space = {
    "learning_rate": Range(1e-3, 0.1, log=True),
    "weight_decay": Range(1e-5, 1e-2, log=True),
    "steps": Range(20, 2000, log=True),
}

PRESETS = {"cf_k_corrective": corrective("CF-k")}
"""As the released code of the paper runs it."""


def make(config: Config, model: Model) -> Method:
    """Supervised training of the end of the original network on the retain set."""
    layers = last_layers(model, config.k)

    def begin(key: Key, variables: Variables, sources: Sources) -> Variables:
        return variables

    return fit(config, model, "train", begin, layers)
