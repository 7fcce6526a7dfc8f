"""EU-k, exact unlearning: draw the last k layers anew and train them on the retain set.

Setting: retain images and labels. With k = -1 the original network is not used, and forgetting is exact.

    (1)  Q ~ initialisation, its running statistics too;  P = the original weights
    (2)  minimise  mean CE(f(x), y)  over D_r in the parameters of Q

Q is the last k layers and P what is before them. Equations C1 to C3 of `junlearn.parts.recipe` say how Q is trained
and with what rate; the deviations from the released code stand there too.

Defaults (Corrective Machine Unlearning, arXiv 2402.14015, for CIFAR-10 and k = -1; steps=6000 for CIFAR-100; with k
of 2 and 4 for ResNet-9, of 5 and 13 for the wide ResNet, steps=1000 and 1500):

    optimizer        "sgd"
    learning_rate    0.025
    momentum         0.9
    weight_decay     0.0005
    epochs           10
    steps            4000
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

from collections.abc import Collection
from dataclasses import dataclass

from junlearn.fields import Count
from junlearn.parts.descent import Descent
from junlearn.parts.layers import last_layers
from junlearn.parts.recipe import Corrective, corrective, fit
from junlearn.types import Key, Method, Model, PyTree, Range, Sources, Space, Variables

__all__ = ["NEEDS", "PRESETS", "SPACE", "Config", "State", "make", "redrawn"]

NEEDS = frozenset({"retain.x", "retain.y"})
"""With the default `Config`; keep="best_test" adds test.x and test.y."""
State = Descent


@dataclass(frozen=True, kw_only=True)
class Config(Corrective):
    """Hyper-parameters of EU-k."""

    steps: Count | None = 4000
    """Number of optimiser steps; it replaces `epochs`, and the last epoch is cut. None: go by `epochs`."""


# k depends on the network.
SPACE: Space = {
    "learning_rate": Range(1e-3, 0.1, log=True),
    "weight_decay": Range(1e-5, 1e-2, log=True),
    "steps": Range(100, 6000, log=True),
}


def redrawn(original: Variables, fresh: Variables, layers: Collection[str]) -> Variables:
    """Equation 1: `fresh` in the groups of parameters in `layers` and in their running statistics, else `original`."""

    def graft(old: PyTree, new: PyTree) -> PyTree:
        return {name: new[name] if name in layers else group for name, group in old.items()}

    params, stats = original
    if all(name in params for name in stats):
        return Variables(graft(params, fresh.params), graft(stats, fresh.stats))
    # Statistics of several kinds, each by layer.
    kinds = {kind: graft(groups, fresh.stats[kind]) for kind, groups in stats.items()}
    return Variables(graft(params, fresh.params), kinds)


PRESETS = {"eu_k_corrective": corrective("EU-k")}
"""As the released code of the paper runs it."""


def make(config: Config, model: Model) -> Method:
    """Supervised training of a fresh end of the original network on the retain set."""
    layers = last_layers(model, config.k)

    def begin(key: Key, variables: Variables, sources: Sources) -> Variables:
        fresh = model.fresh(key, sources)
        return fresh if layers is None else redrawn(variables, fresh, layers)  # (1)

    return fit(config, model, "train", begin, layers)
