"""What SCAR and SCAR-self share: the pass over the retain set, the distance to a wrong class, distillation.

Both read surrogate images without labels (any unrelated ones: the source "surrogate") and per-class statistics of the
original's embeddings, from one pass over the retain set or, retain-free, from a file (`statistics`).

    (S1)  d_k(x): squared distance of the student's embedding to class k (`junlearn.parts.whitening`); infinite for
          the classes to forget
    (S2)  L_r = lambda_2 mean_s KL(softmax(t_s / T) || softmax(o_s)), t teacher (the original, in eval mode), o student
          (in train mode) on the surrogate images. Where classes are forgotten, images that the teacher takes for one
          of them are left out, and the columns of these classes in t are the smallest of the remaining logits of the
          batch

Deviations, corrections of the release: own and removed classes are known by label, not by row, so no other class is
refused as a target; all removed classes are left out of the teacher, not the first only; its factor e^0.0001 on (S2)
is dropped.

Reference: Bonato, Cotogni, Sabetta, ECCV 2024 (arXiv 2404.12922).

`S` stands for a method's state: it has `teacher` (the weights before) and `statistics`, three arrays that are the
`Moments` of the retain set and, from the stage "whiten" on, the `Whitening` made of them in their place.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from junlearn.errors import ConfigError
from junlearn.fields import BatchSize, Count, Epochs, File, NonNegative, Positive
from junlearn.memo import remembered
from junlearn.parts import class_statistics, feeds, losses, whitening
from junlearn.parts.class_statistics import Moments, TukeyPower
from junlearn.parts.optimizers import Optimizer
from junlearn.parts.whitening import Shrinkage, Whitening
from junlearn.types import Array, Batch, Feed, Metrics, Model, Sources, Split, Stage, Variables

__all__ = [
    "DISCARD",
    "MEASURE",
    "UPDATE",
    "MetricConfig",
    "Watch",
    "balanced",
    "distillation",
    "first_moments",
    "forget_distances",
    "gate",
    "observe",
    "outdated",
    "preparation",
    "redirected",
    "roots",
    "rounds",
    "surrogate_count",
    "watch",
]

UPDATE, MEASURE, DISCARD = 0, 1, 2
"""What a step does with its row of `rounds`."""


@dataclass(frozen=True, kw_only=True)
class MetricConfig(Optimizer):
    """Fields of both methods."""

    optimizer: Literal["sgd", "adam", "adamw"] = "adam"
    learning_rate: Positive = 5e-4
    epochs: Epochs = 30
    batch_size: BatchSize = 1024
    """Of images of the training set."""
    surrogate_batch_size: BatchSize = 1024
    lambda_1: NonNegative = 1.0
    """Weight of the distance."""
    lambda_2: NonNegative = 5.0
    """Weight of the distillation."""
    temperature: Positive = 1.0
    """Divides the teacher's logits alone."""
    delta: Positive = 0.5
    """Power of the features."""
    signed: bool = False
    """Keep the sign beside the power of the absolute value: for an embedding that can be negative."""
    gamma_1: NonNegative = 3.0
    """Shrinkage of the diagonal."""
    gamma_2: NonNegative = 3.0
    """Shrinkage of the entries beside the diagonal."""
    shrink_times: Count = 2
    v2_mask: bool = False
    """Shrink by the mean of those entries beside the diagonal that are not 0, as released, instead of all."""
    distance_power: Literal[1, 2] = 2
    """2: squared distances; 1: their roots, as in the paper."""
    distill: Literal["kl", "jeffreys"] = "kl"
    """KL(teacher || student), or the mean of both directions, as in the paper."""
    statistics: File | None = None
    """File of class statistics (`parts.class_statistics.save`); None: a pass over the retain set collects them."""
    augment_statistics: bool = False
    """That pass sees training augmentation (as released, where a class is removed)."""

    def power(self) -> TukeyPower:
        """How features are transformed."""
        return TukeyPower(self.delta, self.signed)

    def shrinkage(self) -> Shrinkage:
        """How covariances are shrunk."""
        return Shrinkage(self.gamma_1, self.gamma_2, self.shrink_times, self.v2_mask)


class Watch(NamedTuple):
    """Accuracies on the forget set, measured batch by batch between updates."""

    counts: Array
    """int32[K]: forget images of each class."""
    correct: Array
    """int32[K]: right answers in the measurement so far."""
    seen: Array
    """Images in the measurement so far; all of them: it is complete, and of the present weights."""
    weights: Array
    """float[K]: Of the classes in the loss; 1 before the first measurement."""
    accuracy: Array
    """Of the last complete measurement, 1 before the first."""


def surrogate_count(sources: Sources, method: str) -> int:
    """The number of surrogate images. Raises ConfigError where there are none."""
    surrogate = sources.get("surrogate")
    if surrogate is None or not len(surrogate.y):
        raise ConfigError(f"{method} needs surrogate images: a source 'surrogate' beside 'train'")
    return len(surrogate.y)


def first_moments(
    config: MetricConfig, model: Model, variables: Variables, sources: Sources
) -> Moments:
    """Those of `config.statistics`, or of no data. Raises ConfigError where the file is of another network."""
    logits, features, _ = jax.eval_shape(model.apply, variables, model.example(sources))
    embedding = features["embedding"]
    shape = logits.shape[1], embedding.shape[1]
    if config.statistics is None:
        return class_statistics.empty(*shape, embedding.dtype)
    moments, power = class_statistics.load(config.statistics)
    if moments.mean.shape != shape:
        raise ConfigError(
            f"{config.statistics}: statistics of (classes, features) = {moments.mean.shape}, "
            f"but the network has {shape}"
        )
    if power != config.power():
        raise ConfigError(
            f"{config.statistics} has delta={power.delta}, signed={power.signed}; "
            f"not delta={config.delta}, signed={config.signed}"
        )
    return jax.tree.map(lambda array: jnp.asarray(array, embedding.dtype), moments)


@remembered
def _preparing(config: MetricConfig, model: Model) -> tuple[Callable, Callable]:
    """The steps of `preparation`."""

    def collect(state: Any, batch: Batch) -> tuple[Any, Metrics]:
        features = model.apply(state.teacher, batch.x)[1]["embedding"]
        u = class_statistics.tukey(features, config.power())
        moments = class_statistics.accumulate(Moments(*state.statistics), u, batch.y, batch.mask)
        return state._replace(statistics=tuple(moments)), {}

    def whiten(state: Any, batch: Batch) -> tuple[Any, Metrics]:
        made = whitening.whiten(Moments(*state.statistics), config.shrinkage(), state.removed)
        return state._replace(statistics=tuple(made)), {}

    return collect, whiten


def preparation(config: MetricConfig, model: Model, split: Split) -> list[Stage]:
    """The stages that make `state.statistics` a Whitening: over the retain set without `config.statistics`.

    They read `state.teacher` and `state.removed`.
    """
    view = "augment" if config.augment_statistics else "eval"
    collect, whiten = _preparing(config, model)

    def retain_feed(rng: np.random.Generator, state: Any) -> Feed:
        return feeds.sequential(split.retain, config.batch_size, view=view)

    def no_feed(rng: np.random.Generator, state: Any) -> Feed:
        class_statistics.check_moments(Moments(*state.statistics), config.power())
        return feeds.dataless(1)

    def checked(state: Any, evaluate: Any) -> bool:
        whitening.check_whitening(Whitening(*state.statistics))
        return False

    stages = [Stage("whiten", whiten, no_feed, until=checked)]
    if config.statistics is None:
        stages.insert(0, Stage("statistics of the retain set", collect, retain_feed))
    return stages


def rounds(
    forget: Feed,
    draw: Callable[[], Feed],
    *,
    steps: int,
    eval_every: int | None,
    discard: bool,
) -> dict[str, Feed]:
    """An epoch of updates of every forget batch with the first `steps` batches of its own draw of surrogate batches.

    After every `eval_every` updates (None: never) and after the last one come all forget batches with no surrogate
    row, to be measured. With `discard` a draw's next batch, where there is one, follows it. The slots of the forget
    feed are UPDATE, MEASURE or DISCARD.
    """
    batches = len(forget.index)
    rows: list[tuple[int, int, np.ndarray, np.ndarray]] = []
    updates = 0
    for number in range(batches):
        surrogate = draw()
        used = min(steps, len(surrogate.index))
        for index, mask in zip(surrogate.index[:used], surrogate.mask[:used], strict=True):
            rows.append((UPDATE, number, index, mask))
            updates += 1
            if updates == batches * used or (eval_every and updates % eval_every == 0):
                rows += [(MEASURE, other, index, mask & False) for other in range(batches)]
        if discard and used < len(surrogate.index):
            rows.append((DISCARD, number, surrogate.index[used], surrogate.mask[used]))
    kinds, numbers, indices, masks = (np.stack(column) for column in zip(*rows, strict=True))
    slot = np.repeat(kinds[:, None], forget.index.shape[1], axis=1).astype(np.int32)
    return {
        "forget": forget._replace(
            index=forget.index[numbers], mask=forget.mask[numbers], slot=slot
        ),
        "surrogate": surrogate._replace(index=indices, mask=masks),
    }


def forget_distances(config: MetricConfig, statistics: tuple[Array, ...], features: Array) -> Array:
    """[B,K]: squared distances of `features[B,D]` to all classes; infinite for removed ones."""
    u = class_statistics.tukey(features, config.power())
    return whitening.distances(Whitening(*statistics), u)


def roots(config: MetricConfig, squares: Array) -> Array:
    """`squares` to the power distance_power / 2; the root has derivative 0 at 0."""
    if config.distance_power == 2:
        return squares
    return jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1)), 0)


def redirected(logits: Array, mask: Array, removed: Array) -> tuple[Array, Array]:
    """The teacher's logits[B,K] without the classes in `removed[K]`, and which rows to learn from.

    Rows whose largest logit is of a removed class are not kept; in the others the columns of these classes get the
    smallest logit of all kept rows.
    """
    keep = mask & ~removed[logits.argmax(-1)]
    least = jnp.where(keep[:, None], logits, jnp.inf).min()
    return jnp.where(removed[None] & keep[:, None], least, logits), keep


def distillation(config: MetricConfig, teacher: Array, student: Array, keep: Array) -> Array:
    """Mean over the rows with `keep[B]` of the divergence of the student's logits[B,K] from the teacher's."""
    p, q = jax.nn.log_softmax(teacher / config.temperature), jax.nn.log_softmax(student)
    forward = losses.divergence(p, q, keep)
    if config.distill == "kl":
        return forward
    return (forward + losses.divergence(q, p, keep)) / 2


def watch(labels: Array, classes: int, dtype: jnp.dtype) -> Watch:
    """Before the first measurement of forget images with `labels[Nf]`."""
    return Watch(
        jnp.zeros(classes, jnp.int32).at[labels].add(1),
        jnp.zeros(classes, jnp.int32),
        jnp.zeros((), jnp.int32),
        jnp.ones(classes, dtype),
        jnp.ones((), dtype),
    )


def outdated(watch: Watch) -> Watch:
    """The weights changed: a measurement starts anew."""
    return watch._replace(correct=jnp.zeros_like(watch.correct), seen=jnp.zeros_like(watch.seen))


def observe(watch: Watch, logits: Array, batch: Batch, threshold: float | None) -> Watch:
    """With a batch of forget images measured. With a `threshold` the last batch sets the weights."""
    right = (logits.argmax(-1) == batch.y) & batch.mask
    correct = watch.correct.at[batch.y].add(right.astype(jnp.int32))
    seen = watch.seen + batch.mask.sum(dtype=jnp.int32)
    total, dtype = watch.counts.sum(), watch.weights.dtype
    weights, accuracy = watch.weights, correct.sum().astype(dtype) / total.astype(dtype)
    if threshold is not None:
        opened = gate(correct, watch.counts, threshold, dtype)
        weights = jnp.where(seen == total, opened, weights)
    accuracy = jnp.where(seen == total, accuracy, watch.accuracy)
    return Watch(watch.counts, correct, seen, weights, accuracy)


def gate(correct: Array, counts: Array, threshold: float, dtype: jnp.dtype) -> Array:
    """The accuracy of a class where it is at least `threshold`, else 0; also 0 for a class without images."""
    accuracy = correct.astype(dtype) / jnp.maximum(counts, 1).astype(dtype)
    return jnp.where(accuracy >= threshold, accuracy, 0)


def balanced(logits: np.ndarray) -> np.ndarray:
    """float64[Ns]: with what probability to draw surrogate images of which a teacher says logits[Ns,K].

    Each class has the same in all, but for classes of one image (a fifth of that) and of two (two fifths).
    """
    pseudo = logits.argmax(1)
    count = np.bincount(pseudo)[pseudo]
    weight = np.where(count >= 3, 1 / count, 1 / 5)
    return weight / weight.sum()
