"""SalUn: random labels on the forget set, learnt by the weights that its gradient singles out.

Setting: forget and retain images and labels; the labels of D_f for the mask alone (and for labels="other").

    (1)  s = | sum over the batches of D_f of  grad mean CE(f_theta0(x), y) |,   eval mode, at the weights before
    (2)  m = 1 on the floor(mask_ratio n) largest of the n entries of s, all arrays together, else 0
    (3)  y' ~ Uniform({0..K-1}), the own label too, anew in every epoch for each x in D_f;
         labels="other": over the K - 1 other classes
    (4)  minimise  mean CE  over the batches of {(x, y') : D_f} and {(x, y) : D_r}, train mode; a step is one of the
         optimiser on m g, and the weights with m = 0 keep their bits
    (5)  an epoch: all forget batches, then all retain batches (passes="separate"), or both sets shuffled together
         ("joint"); one optimiser, one momentum

Equations 1 and 2 and the masked step are `junlearn.parts.saliency`. BatchNorm's scale and shift are weights like any
other; its running statistics are not masked.

Defaults (the README of the release, for a random tenth of CIFAR-10 and a ResNet-18):

    optimizer      "sgd"
    learning_rate  0.013
    momentum       0.9
    weight_decay   0.0005
    mask_ratio     0.5
    mask           "hard"
    saliency       "batch"
    labels         "all"
    passes         "separate"
    epochs         10
    batch_size     256
    augment        False

Released constants, by data and request; mask_ratio=0.5 where not said:

    CIFAR-10, CIFAR-100, SVHN, a random tenth, as a baseline of Scissorhands    learning_rate=0.005
    CIFAR-10, half of the data, there                                           learning_rate=0.05, mask_ratio=0.2
    SVHN, class 0, there                                                        learning_rate=0.05
    CIFAR-100, TinyImageNet                                                     passes="joint"

The rate decides: with a small one nothing is forgotten. Search it between 0.001 and 0.1.

Deviations: the first release set the gradient to 0 and no more, so that the decay and the momentum that it starts moved
the weights outside of the mask; the published numbers come from it, and mask="gradient" does the same. The release
measures (1) on augmented images; here `augment` is for (4) alone. In (1) a short last batch counts like a full one;
saliency="example" gives every example one vote. The warm-up and the soft threshold of the release, which crash, are
left out, and so are the variants inside of other releases which leave one of the two passes unmasked or out.

Reference: Fan, Liu, Zhang, Wong, Wei, Liu, ICLR 2024 (arXiv 2310.12508).
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from junlearn.fields import BatchSize, Epochs, Fraction, NonNegative, Positive
from junlearn.parts import descent, feeds, saliency
from junlearn.parts.descent import Descent, supervised, updater
from junlearn.parts.optimizers import Optimizer, transformation
from junlearn.parts.relabelling import drawn, relabel
from junlearn.parts.saliency import Masking, masked
from junlearn.types import (
    Array,
    Batch,
    Feed,
    Key,
    Method,
    Metrics,
    Model,
    Preset,
    Range,
    Sources,
    Space,
    Split,
    Stage,
    Variables,
)

__all__ = ["NEEDS", "PRESETS", "SPACE", "Config", "Labels", "State", "draw", "make"]

NEEDS = frozenset({"forget.x", "forget.y", "retain.x", "retain.y"})
State = Descent


@dataclass(frozen=True, kw_only=True)
class Config(Masking, Optimizer):
    """Hyper-parameters of SalUn."""

    learning_rate: Positive = 0.013
    weight_decay: NonNegative = 5e-4
    mask_ratio: Fraction | None = 0.5
    """The share of the weights that may move; None: all, without a pass that measures (random labels)."""
    labels: Literal["all", "other"] = "all"
    """What the labels of the forget set are drawn from: all classes, as released, or all but the own."""
    passes: Literal["separate", "joint"] = "separate"
    """Equation 5."""
    epochs: Epochs = 10
    batch_size: BatchSize = 256
    augment: bool = False
    """Use the training augmentation of the dataset in both passes; the mask is made without it."""


# The rates as the head says.
SPACE: Space = {
    "learning_rate": Range(1e-3, 0.1, log=True),
    "mask_ratio": Range(0.1, 0.9),
    "epochs": Range(1, 20),
}

PRESETS = {
    "salun_released": Preset(
        "SalUn as first released: decay and momentum move the weights outside of the mask",
        {"mask": "gradient", "augment": True},
    ),
    "salun_released_joint": Preset(
        "the same as for CIFAR-100 and TinyImageNet: both sets shuffled together",
        {"mask": "gradient", "augment": True, "passes": "joint"},
    ),
}
"""What the published numbers were made with."""


class Labels(NamedTuple):
    """What the two sets are trained towards."""

    targets: Array
    """int32[N]: the label of each training example; -1 where equation 3 draws it."""
    own: Array
    """int32[N]: the labels of the data."""
    classes: Array
    """int32[]: K."""


def draw(key: Key, labels: Labels, index: Array, kind: Literal["all", "other"]) -> Array:
    """Equation 3 for the examples `index[B]`, each of which has a draw of its own."""
    if kind == "all":
        return drawn(key, index, labels.classes)
    return relabel(labels.own[index], drawn(key, index, labels.classes - 1))


def make(config: Config, model: Model) -> Method:
    """A pass that measures, a mask, and supervised training with a masked optimiser."""
    tx = masked(transformation(config), config)
    view = "augment" if config.augment else "eval"
    update = updater(supervised(model), tx)

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> State:
        own = sources["train"].y
        classes = jnp.int32(model.num_classes(variables, sources))
        open_ones = np.array(own)
        open_ones[split.forget] = -1
        labels = Labels(jnp.asarray(open_ones), jnp.array(own), classes)
        return descent.init(key, variables, tx, extra=labels)

    def step(state: State, batch: Batch) -> tuple[State, Metrics]:
        # An example comes once an epoch, so that a draw a step is a draw an epoch.
        key, draw_key = jax.random.split(jax.random.fold_in(state.key, state.step))
        targets = state.extra.targets[batch.index]
        fresh = draw(draw_key, state.extra, batch.index, config.labels)
        return update(state, batch._replace(y=jnp.where(targets < 0, fresh, targets)), key)

    def plan(split: Split) -> list[Stage]:
        def feed(rng: np.random.Generator, state: State) -> Feed:
            sets = [split.forget, split.retain]
            if config.passes == "joint":
                sets = [np.concatenate(sets)]
            return feeds.joined(
                [
                    feeds.shuffled(rng, rows, config.batch_size, view=view)
                    for rows in sets
                    if len(rows)
                ]
            )

        measuring = saliency.stages(config, model, split.forget, config.batch_size)
        return [*measuring, Stage("relabelled", step, feed, config.epochs)]

    def idle(split: Split) -> str:
        weightless = config.mask_ratio == 0
        return "mask_ratio = 0 leaves no weight that may move" if weightless else ""

    return Method(init, plan, lambda state: state.variables, idle=idle)
