"""SCAR: move forget images to their nearest wrong class, and hold the rest by distillation on unrelated images.

Setting: forget images with labels, surrogate images without, and per-class statistics of the original's embeddings.
A split that forgets classes (`split.classes`) is class removal (CR), any other homogeneous removal (HR). The head of
`junlearn.parts.scar_shared` has what SCAR-self reads and computes too: S1 and S2, with what differs from the release.

    (1)  d_k(x) of S1
    (2)  q_i = argmin_k d_k(x_i) over k != y_i, by the student of the first update with x_i, then kept
    (3)  L_f = lambda_1 mean_i w_{y_i} d_{q_i}(x_i),   w = 1 in CR and at first
    (4)  L_r of S2 on the surrogate images; in HR on all of them, with the teacher's logits as they are
    (5)  HR: w_k = a_k if a_k >= class_gate else 0, a_k the accuracy on the forget images of class k when last measured
    (6)  stop when the accuracy on D_f < target, but not in the first `min_epochs` epochs
    (7)  HR: surrogate images are drawn with replacement, p_s ~ 1/n if the teacher gives n >= 3 images the class of s,
         else 1/5, with fixed images and the teacher's logits from one pass; CR: without, with training augmentation

Each forget batch, in fixed order, meets the first `surrogate_steps` batches of a new shuffle of the surrogate set (an
image looks the same in all shuffles of an epoch). An update passes the forget batch, then the surrogate batch, through
the student, and both move BatchNorm. A row of the feed is an update, or one batch of a measurement: after every
`eval_every` updates and at the end of an epoch D_f passes in eval mode, batch by batch, which gives the accuracies of
both (5) and (6). So a step is pure, its memory that of a batch, and what is measured belongs to exactly the weights of
the last update. The slots of the forget feed say what a step does.

Defaults (release, CIFAR-10; its surrogate_steps is 91 for Tiny ImageNet, and its class_gate 0.4):

    optimizer             "adam"
    learning_rate         0.0005
    momentum              0.9
    weight_decay          0.0
    epochs                30
    batch_size            1024
    surrogate_batch_size  1024
    lambda_1              1.0
    lambda_2              5.0
    temperature           1.0
    delta                 0.5
    signed                False
    gamma_1               3.0
    gamma_2               3.0
    shrink_times          2
    v2_mask               False
    distance_power        2
    distill               "kl"
    statistics            None
    augment_statistics    False
    surrogate_steps       6
    min_epochs            2
    eval_every            1
    target                None
    class_gate            0.8
    discard_last          False

Deviation: the last pass of both batches, which the release throws away but which moves BatchNorm, is `discard_last`.

Reference: Bonato, Cotogni, Sabetta, ECCV 2024 (arXiv 2404.12922).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from junlearn.fields import Count, Fraction, Whole
from junlearn.memo import remembered
from junlearn.parts import feeds, losses
from junlearn.parts import scar_shared as metric
from junlearn.parts.optimizers import fresh, move, transformation
from junlearn.parts.passes import marks, scatter_rows
from junlearn.parts.stopping import count_right, less_than_original, test_feed
from junlearn.parts.whitening import assign, picked
from junlearn.types import (
    Array,
    Batch,
    Feed,
    Key,
    Method,
    Metrics,
    Model,
    PyTree,
    Range,
    Sources,
    Space,
    Split,
    Stage,
    Variables,
)

__all__ = ["NEEDS", "SPACE", "Config", "State", "make", "needs"]

NEEDS = frozenset({"forget.x", "forget.y", "retain.x", "retain.y", "surrogate.x"})
"""With the default `Config` in class removal; see `needs`."""

CLASS_TARGET, MARGIN = 0.01, 0.015
"""Target of CR; of HR, how far below the original's test accuracy."""


@dataclass(frozen=True, kw_only=True)
class Config(metric.MetricConfig):
    """Hyper-parameters of SCAR."""

    surrogate_steps: Count = 6
    """Updates with each forget batch, where there are so many surrogate batches."""
    min_epochs: Whole = 2
    eval_every: Count | None = 1
    """Updates between two measurements on D_f; None: one an epoch."""
    target: Fraction | None = None
    """None: 0.01 in CR; in HR the original's accuracy on all test images (which it then needs) minus 0.015."""
    class_gate: Fraction | None = 0.8
    """Threshold of (5); with 0 the weights are the accuracies, with None they are 1."""
    discard_last: bool = False
    """Pass one surrogate batch more in train mode, for BatchNorm alone, as released."""


SPACE: Space = {
    "learning_rate": Range(1e-5, 1e-2, log=True),
    "lambda_1": Range(0.1, 10.0, log=True),
    "lambda_2": Range(0.5, 50.0, log=True),
    "temperature": Range(0.5, 5.0, log=True),
}


def needs(config: Config, class_removal: bool = True) -> frozenset[str]:
    """The data that is read: with `config.statistics` no retain data; in HR without `config.target` test data."""
    data = set(NEEDS)
    if config.statistics is not None:
        data -= {"retain.x", "retain.y"}
    if config.target is None and not class_removal:
        data |= {"test.x", "test.y"}
    return frozenset(data)


class State(NamedTuple):
    """What the next step needs."""

    variables: Variables
    teacher: Variables
    optimizer: PyTree
    removed: Array
    """bool[K]: the classes to forget (CR)."""
    statistics: tuple[Array, ...]
    """Moments of the retain set, then their Whitening."""
    targets: Array
    """int32[N]: q of equation 2, -1 where none is chosen yet."""
    surrogates: Array
    """Number of surrogate images."""
    logits: Array | tuple[()]
    """float[Ns,K]: the teacher's on the surrogate images (HR)."""
    right: Array
    """int32[2]: right answers of the teacher on the test images, and their number (HR)."""
    watch: metric.Watch
    losses: Array
    """float[2]: L_f and L_r of the last update, which measuring steps report too."""
    key: Key
    step: Array
    """Updates so far."""


def make(config: Config, model: Model) -> Method:
    """Statistics, in HR what the teacher says, then updates and measurements in one stage."""
    tx = transformation(config)

    def forward(
        params: PyTree, stats: PyTree, batch: Batch, key: Key
    ) -> tuple[Array, Array, PyTree]:
        logits, features, stats = model.apply(
            Variables(params, stats), batch.x, train=True, key=key, mask=batch.mask
        )
        return logits, features["embedding"], stats

    @remembered
    def updater(homogeneous: bool) -> Callable[..., tuple[State, Metrics]]:
        def loss(
            params: PyTree, state: State, batch: dict[str, Batch], keys: Key
        ) -> tuple[Array, tuple[PyTree, Array, Array]]:
            forget, surrogate = batch["forget"], batch["surrogate"]
            _, features, stats = forward(params, state.variables.stats, forget, keys[0])
            squares = metric.forget_distances(config, state.statistics, features)  # (1)
            known = state.targets[forget.index]
            targets = jnp.where(known < 0, assign(squares, forget.y), known)  # (2)
            values = metric.roots(config, picked(squares, targets))
            values = values * state.watch.weights[forget.y]
            forget_loss = config.lambda_1 * losses.masked_mean(values, forget.mask)  # (3)

            output, _, stats = forward(params, stats, surrogate, keys[1])
            if homogeneous:
                teacher, keep = state.logits[surrogate.index], surrogate.mask
            else:
                teacher = model.apply(state.teacher, surrogate.x)[0]
                teacher, keep = metric.redirected(teacher, surrogate.mask, state.removed)
            divergence = metric.distillation(config, teacher, output, keep)
            retain_loss = config.lambda_2 * divergence  # (4)
            parts = jnp.stack([forget_loss, retain_loss])
            return forget_loss + retain_loss, (stats, targets, parts)

        def update(state: State, batch: dict[str, Batch]) -> State:
            keys = jax.random.split(jax.random.fold_in(state.key, state.step), 4)[:2]
            gradient, (stats, targets, parts) = jax.grad(loss, has_aux=True)(
                state.variables.params, state, batch, keys
            )
            params, optimizer = move(tx, gradient, state.optimizer, state.variables.params)
            forget = batch["forget"]
            return state._replace(
                variables=Variables(params, stats),
                optimizer=optimizer,
                targets=scatter_rows(state.targets, forget.index, forget.mask, targets),
                watch=metric.outdated(state.watch),
                losses=parts,
                step=state.step + 1,
            )

        def measure(state: State, batch: dict[str, Batch]) -> State:
            forget = batch["forget"]
            logits = model.apply(state.variables, forget.x)[0]
            threshold = config.class_gate if homogeneous else None  # (5)
            return state._replace(watch=metric.observe(state.watch, logits, forget, threshold))

        def discard(state: State, batch: dict[str, Batch]) -> State:
            keys = jax.random.split(jax.random.fold_in(state.key, state.step), 4)[2:]
            params, stats = state.variables
            _, _, stats = forward(params, stats, batch["forget"], keys[0])
            _, _, stats = forward(params, stats, batch["surrogate"], keys[1])
            return state._replace(variables=Variables(params, stats))

        def step(state: State, batch: dict[str, Batch]) -> tuple[State, Metrics]:
            slot = batch["forget"].slot
            assert slot is not None
            kinds = [update, measure, discard] if config.discard_last else [update, measure]
            state = jax.lax.switch(slot[0], kinds, state, batch)
            forget_loss, retain_loss = state.losses
            return state, {
                "loss": forget_loss + retain_loss,
                "forget_loss": forget_loss,
                "retain_loss": retain_loss,
                "forget_accuracy": state.watch.accuracy,
            }

        return step

    def ask(state: State, batch: Batch) -> tuple[State, Metrics]:
        assert not isinstance(state.logits, tuple)
        logits = model.apply(state.teacher, batch.x)[0]
        table = scatter_rows(state.logits, batch.index, batch.mask, logits)
        return state._replace(logits=table), {}

    judge = count_right(model, lambda state: state.teacher)

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> State:
        count = metric.surrogate_count(sources, "scar")
        moments = metric.first_moments(config, model, variables, sources)
        (classes,), dtype = moments.count.shape, moments.count.dtype
        labels = jnp.asarray(sources["train"].y)[split.forget]
        return State(
            variables,
            jax.tree.map(jnp.array, variables),
            fresh(tx, variables.params),
            marks(split.classes, classes),
            tuple(moments),
            jnp.full(len(sources["train"].y), -1, jnp.int32),
            jnp.int32(count),
            () if split.classes else jnp.zeros((count, classes), dtype),
            jnp.zeros(2, jnp.int32),
            metric.watch(labels, classes, dtype),
            jnp.zeros(2, dtype),
            key,
            jnp.zeros((), jnp.int32),
        )

    def plan(split: Split) -> list[Stage]:
        homogeneous = not split.classes

        def draw(rng: np.random.Generator, state: State) -> Feed:
            count, size = int(state.surrogates), config.surrogate_batch_size
            if not homogeneous:
                rows = np.arange(count)
                return feeds.shuffled(rng, rows, size, source="surrogate", view="augment")
            rows = rng.choice(count, count, p=metric.balanced(np.asarray(state.logits)))  # (7)
            return feeds.sequential(rows, size, source="surrogate")

        def feed(rng: np.random.Generator, state: State) -> dict[str, Feed]:
            return metric.rounds(
                feeds.sequential(split.forget, config.batch_size),
                lambda: draw(rng, state),
                steps=config.surrogate_steps,
                eval_every=config.eval_every,
                discard=config.discard_last,
            )

        def surrogate_feed(rng: np.random.Generator, state: State) -> Feed:
            rows = np.arange(int(state.surrogates))
            return feeds.sequential(rows, config.surrogate_batch_size, source="surrogate")

        def target(state: State) -> float:
            if config.target is not None:
                return config.target
            return less_than_original(state, MARGIN) if homogeneous else CLASS_TARGET

        def forgotten(state: State, evaluate: Callable[..., dict[str, float]]) -> bool:
            rounds = -(-len(split.forget) // config.batch_size)
            batches = -(-int(state.surrogates) // config.surrogate_batch_size)
            epoch = (int(state.step) - 1) // (rounds * min(batches, config.surrogate_steps))
            if int(state.watch.seen) < len(split.forget) or epoch < config.min_epochs:
                return False
            return float(state.watch.accuracy) < target(state)  # (6)

        stages = metric.preparation(config, model, split)
        if homogeneous:
            stages.append(Stage("teacher on the surrogate set", ask, surrogate_feed))
            if config.target is None:
                stages.append(
                    Stage("accuracy of the original", judge, test_feed(split, config.batch_size))
                )
        step = updater(homogeneous)
        check = None if config.eval_every is None else 1
        main = Stage("forget", step, feed, config.epochs, until=forgotten, check_every=check)
        return [*stages, main]

    return Method(init, plan, lambda state: state.variables)
