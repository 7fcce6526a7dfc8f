"""LoTUS: teach the forget set the original's outputs, made as uncertain as they are more accurate than on unseen data.

Setting: forget images and labels, retain images, unseen labelled images; class requests do without the unseen ones. The
labels of D_f are read for the accuracy of (1) alone.

    (1)  at the start of every epoch:  A_f = accuracy of the network on D_f,  A_v = that of the original on unseen
         images, 0 in a class request, both in eval mode
    (2)  stop, before the epoch, if  A_f - A_v <= -0.01;   tau = exp(alpha (A_f - A_v))
    (3)  G, G' ~ Gumbel(0, 1) an entry, fresh in every batch;  z = f_theta0(x), eval mode, the same image:
         hard(x) = onehot argmax_c (z_c + G_c),   soft(x) = softmax((z + G') / tau)
         transform="softmax":  hard(x) = onehot argmax_c z_c,   soft(x) = softmax(z / tau)
    (4)  target  soft(x) for x in D_f,  hard(x) for x in S;   minimise  mean - sum_c target_c log softmax(f_theta(x))_c,
         train mode, both sets shuffled together;   S: floor(retain_fraction |D_r|) examples of D_r, drawn once

The hard target is a draw from the original's probabilities, not its answer. With A_v = 0 the stop never comes and tau
falls to 1 as forgetting succeeds, so that the targets pull the class back: the end is an equilibrium. The metric
`lotus/epochs` is the number of epochs that were trained.

Defaults (the release, for random examples of CIFAR-10 and a ResNet-18):

    optimizer        "adamw"
    learning_rate    0.0001
    momentum         0.9
    weight_decay     0.0005
    alpha            8.0
    transform        "gumbel"
    retain_fraction  0.3
    unseen           "validation"
    rounded          False
    mask_ratio       None
    mask             "hard"
    saliency         "batch"
    epochs           10
    batch_size       128
    augment          False

Released constants, by network and data:

    ResNet-18: CIFAR-100, MUFAC, TinyImageNet    alpha=2.0
    ViT: the same and CIFAR-10                   alpha=2.0, learning_rate=0.000001, epochs=3, batch_size=32
                                                 (ImageNet: 256)
    class requests, ResNet-18                    alpha=32.0
    with SalUn's mask                            alpha=2.0, mask_ratio=0.1, mask="gradient"

alpha was chosen from 2, 4, 8 and 16. `mask_ratio` puts SalUn's mask on the weights (`junlearn.parts.saliency`).

Deviations: the release takes its unseen images from the test set (half of it), so that test figures are not independent
of the stop; here they are the source "validation", and unseen="test" reads all of the test set. It rounds both
accuracies to two decimals before it compares them, in binary fractions, where 0.90 - 0.91 stops and 0.93 - 0.94 does
not; rounded=True compares whole hundredths. It measures A_f on augmented images, plain ones here. Its forget set is the
first tenth of each class, which is a scenario's choice here.

Reference: Spartalis, Semertzidis, Gavves, Daras, CVPR 2025 (arXiv 2503.18314).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from junlearn.errors import ConfigError
from junlearn.fields import BatchSize, Epochs, Fraction, NonNegative, Positive
from junlearn.memo import remembered
from junlearn.parts import descent, feeds, gumbel, losses, saliency
from junlearn.parts.descent import Descent, Loss, updater
from junlearn.parts.optimizers import Optimizer, transformation
from junlearn.parts.passes import classes_of, marks
from junlearn.parts.saliency import Masking, masked
from junlearn.parts.selection import right
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

__all__ = [
    "NEEDS",
    "PRESETS",
    "SPACE",
    "Config",
    "Memory",
    "State",
    "make",
    "needs",
    "objective",
]

NEEDS = frozenset({"forget.x", "forget.y", "retain.x", "validation.x", "validation.y"})
State = Descent

STOP = -0.01


@dataclass(frozen=True, kw_only=True)
class Config(Masking, Optimizer):
    """Hyper-parameters of LoTUS."""

    optimizer: Literal["sgd", "adam", "adamw"] = "adamw"
    learning_rate: Positive = 1e-4
    weight_decay: NonNegative = 5e-4
    alpha: NonNegative = 8.0
    """How fast the temperature grows with the difference of the accuracies; 0: it is 1."""
    transform: Literal["gumbel", "softmax"] = "gumbel"
    """With Gumbel noise in the targets, or without."""
    retain_fraction: Fraction = 0.3
    """Share of D_r in S, rounded down to whole examples."""
    unseen: Literal["validation", "test", "none"] = "validation"
    """The source of the unseen images; "none": A_v is 0, as in class requests always."""
    rounded: bool = False
    """Round both accuracies to two decimals, as released."""
    epochs: Epochs = 10
    batch_size: BatchSize = 128
    augment: bool = False
    """Use the training augmentation of the dataset."""


# alpha and the rates from the least to the largest of the released ones; for classes alpha is 32.
SPACE: Space = {
    "learning_rate": Range(1e-6, 1e-3, log=True),
    "alpha": Range(2.0, 32.0, log=True),
    "retain_fraction": Range(0.1, 1.0),
    "epochs": Range(1, 20),
}

PRESETS = {
    "lotus_released": Preset(
        "LoTUS as released: it stops by the test set, and rounds the accuracies that it compares",
        {"unseen": "test", "rounded": True, "augment": True},
    ),
    "lotus_class": Preset("LoTUS with the constants for class requests", {"alpha": 32.0}),
}
"""The released form, and the constants of another request."""


def needs(config: Config) -> frozenset[str]:
    """NEEDS with the source of the unseen images that `config` names."""
    others = {"validation.x", "validation.y"}
    read = set() if config.unseen == "none" else {f"{config.unseen}.x", f"{config.unseen}.y"}
    return (NEEDS - others) | read


class Memory(NamedTuple):
    """What lies beside the student: the `extra` of its state."""

    teacher: Variables
    forget: Array
    """bool[N]: the rows of the training set that are in D_f."""
    sample: Array
    """int32[]: S."""
    examples: Array
    """int32[]: unseen images that are read."""
    unseen: Array
    """int32[2]: unseen images that the original answers rightly, and all of them; zeros where none are read."""
    right: Array
    """int32[2]: the same of the network on D_f, so far in this pass."""
    tau: Array
    stopped: Array
    """bool[]: equation 2 has ended the run; all later steps leave the state alone."""
    epochs: Array
    """int32[]: epochs that were not stopped."""


def accuracy(found: Array, rounded: bool) -> Array:
    """Of `found` = (right answers, examples), 0 without examples; rounded: in whole hundredths."""
    answers, examples = found.astype(jnp.result_type(float))
    share = answers / jnp.maximum(examples, 1)
    return jnp.round(100 * share) if rounded else share


@remembered
def objective(model: Model, transform: Literal["gumbel", "softmax"]) -> Loss:
    """Equations 3 and 4; the place of the key is taken by `(key, noise)`."""

    def loss(
        params: PyTree, state: State, batch: Batch, drawn: tuple[Key, gumbel.Noise]
    ) -> tuple[Array, tuple[PyTree, Metrics]]:
        key, noise = drawn
        student = Variables(params, state.variables.stats)
        logits, _, stats = model.apply(student, batch.x, train=True, key=key, mask=batch.mask)
        memory: Memory = state.extra
        z, _, _ = model.apply(memory.teacher, batch.x)
        tau = memory.tau.astype(z.dtype)
        if transform == "gumbel":
            sampled, soft = z + noise.hard, jax.nn.softmax((z + noise.soft) / tau)
        else:
            sampled, soft = z, jax.nn.softmax(z / tau)
        hard = jax.nn.one_hot(sampled.argmax(axis=1), z.shape[1], dtype=z.dtype)
        target = jnp.where(memory.forget[batch.index][:, None], soft, hard)
        entropy = -(target * jax.nn.log_softmax(logits)).sum(axis=1)
        return losses.masked_mean(entropy, batch.mask), (stats, {"tau": memory.tau})

    return loss


def make(config: Config, model: Model) -> Method:
    """Before every epoch a pass over D_f that sets the temperature or stops, then an epoch of distillation."""
    tx = masked(transformation(config), config)
    view = "augment" if config.augment else "eval"
    update = updater(objective(model, config.transform), tx)

    def looks(split: Split) -> bool:
        return config.unseen != "none" and not split.classes

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> State:
        source = config.unseen
        if looks(split) and (source not in sources or not len(sources[source].y)):
            hint = "; set validation = ... in the experiment" if source == "validation" else ""
            raise ConfigError(
                f'lotus: unseen="{source}" measures on this source, and there is none{hint}'
            )
        key, sample_key = jax.random.split(key)
        sampled = int(config.retain_fraction * len(split.retain))
        sample = jax.random.permutation(sample_key, split.retain)[:sampled]
        memory = Memory(
            jax.tree.map(jnp.array, variables),
            marks(split.forget, len(sources["train"].x)),
            sample.astype(jnp.int32),
            jnp.int32(len(sources[source].y) if looks(split) else 0),
            jnp.zeros(2, jnp.int32),
            jnp.zeros(2, jnp.int32),
            jnp.ones((), jnp.result_type(float)),
            jnp.zeros((), bool),
            jnp.zeros((), jnp.int32),
        )
        return descent.init(key, variables, tx, extra=memory)

    def judge(state: State, batch: Batch) -> tuple[State, Metrics]:
        memory: Memory = state.extra
        unseen = memory.unseen + right(model, memory.teacher, batch)
        return state._replace(extra=memory._replace(unseen=unseen)), {}

    @remembered
    def measuring(forgotten: int) -> Callable[[State, Batch], tuple[State, Metrics]]:
        def step(state: State, batch: Batch) -> tuple[State, Metrics]:
            memory: Memory = state.extra
            found = memory.right + right(model, state.variables, batch)
            ends = found[1] == forgotten
            gap = accuracy(found, config.rounded) - accuracy(memory.unseen, config.rounded)
            stops = gap <= STOP
            if config.rounded:
                gap, stops = gap / 100, gap <= 100 * STOP
            goes = ends & ~stops
            memory = memory._replace(
                right=jnp.where(ends, 0, found),
                tau=jnp.where(goes, jnp.exp(config.alpha * gap), memory.tau),
                stopped=memory.stopped | (ends & stops),
                epochs=memory.epochs + goes,
            )
            return state._replace(extra=memory), {}

        return step

    def train(state: State, batch: Batch) -> tuple[State, Metrics]:
        key, noise_key = jax.random.split(jax.random.fold_in(state.key, state.step))
        classes = classes_of(model, state.variables, batch.x)
        new, metrics = update(state, batch, (key, gumbel.draw(noise_key, batch.index, classes)))
        kept = jax.tree.map(
            lambda old, moved: jnp.where(state.extra.stopped, old, moved),
            (state.variables, state.optimizer),
            (new.variables, new.optimizer),
        )
        return new._replace(variables=kept[0], optimizer=kept[1]), metrics

    def plan(split: Split) -> list[Stage]:
        def unseen_feed(rng: np.random.Generator, state: State) -> Feed:
            rows = np.arange(int(state.extra.examples))
            return feeds.sequential(rows, config.batch_size, source=config.unseen)

        def until_stopped(feed: Feed, state: State) -> Feed:
            """The feed, or after the stop one batch of no examples."""
            if not bool(state.extra.stopped):
                return feed
            first = feeds.cut(feed, 1)
            return first._replace(mask=np.zeros_like(first.mask))

        def forget_feed(rng: np.random.Generator, state: State) -> Feed:
            return until_stopped(feeds.sequential(split.forget, config.batch_size), state)

        def feed(rng: np.random.Generator, state: State) -> Feed:
            both = np.concatenate([split.forget, np.asarray(state.extra.sample)])
            return until_stopped(feeds.shuffled(rng, both, config.batch_size, view=view), state)

        stages = saliency.stages(config, model, split.forget, config.batch_size)
        if looks(split):
            stages.append(Stage("the original's accuracy", judge, unseen_feed))
        measure = measuring(len(split.forget))
        for epoch in range(config.epochs):
            stages.append(Stage(f"measure {epoch}", measure, forget_feed))
            stages.append(Stage(f"distil {epoch}", train, feed))
        return stages

    def finish(state: State) -> Variables:
        return state.variables

    return Method(init, plan, finish, report=lambda state: {"lotus/epochs": state.extra.epochs})
