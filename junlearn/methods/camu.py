"""CaMU, causal machine unlearning: give forget images the representation and label of noised unrelated images.

Setting: forget images, their labels (to avoid them), and as many retain images with labels, D_s.

    (1)  once per run, pairs j of D_f and D_s in random order:
             x^t_j = x^s_j + nu_j,  nu_j ~ scale U[0,1) an element;  y^t_j = y^s_j
         and where that is y^f_j: y^t_j ~ Uniform({0..K-1} minus {y^f_j})       relabel="other"
    (2)  L_rep = 1/2 sum_i KL(P(e_0(x_r,i)) || P(e(x_r,i))) + 1/2 sum_j KL(P(e_0(x^t_j)) || P(e(x^f_j)))
    (3)  L_out = 0.9 mean_i CE(f(x_r,i), y_r,i) + 0.01 mean_j CE(f(x^f_j), y^t_j)

A step takes a batch of pairs and an independent batch (x_r, y_r) of D_s, descends on (2) in the extractor alone, then
on (3) in all weights, each with an Adam of its own (coupled weight decay). e is the embedding, P a softmax over its
coordinates, e_0 the original network in eval mode. The student is in train mode: e(x_r), e(x^f), f(x^f), f(x_r), in
this order, each with its own batch's statistics, update the running ones. The pairing, the noise and the augmentation
of a pair are the same in all epochs; those of x_r are drawn anew.

What does not change is computed once, before the first epoch: e_0(x^t), and without augmentation e_0(x_r).

Settings of the release (epochs, rate of the output, rate of the representation):

        class,  MNIST, Fashion-MNIST   2   1e-3  4e-4
        random, MNIST, Fashion-MNIST   10  5e-4  4e-4
        class,  CIFAR                  2   5e-5  1e-5   (5 epochs until shortly before the release; augment=True)
        random, CIFAR                  10  1e-4  1e-5   (augment=True; CIFAR-100 class: repeat=10)

Defaults (class removal on MNIST):

    epochs                        2
    batch_size                    32
    representation_learning_rate  0.0004
    output_learning_rate          0.001
    weight_decay                  0.0001
    retain_weight                 0.9
    forget_weight                 0.01
    noise                         1.0
    relabel                       "other"
    repeat                        1
    augment                       False

Deviations: the release draws new labels from one list for all clashes, {k : k != y^f_k}, y^f_k the forget label of pair
k, so that a clash can survive: `relabel="released"`. It repeats D_f in the measurements too, here only training does.
It computes e_0 in every step, to the same values. Where D_s is smaller than D_f its images serve in several pairs.

Reference: Shen, Zhang, Bialkowski, Chen, Xu, SDM 2024 (arXiv 2401.17504).
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from junlearn.fields import BatchSize, Count, Epochs, NonNegative, Positive
from junlearn.parts import feeds, losses, relabelling
from junlearn.parts.descent import Descent, Loss, updater
from junlearn.parts.layers import extractor
from junlearn.parts.optimizers import Optimizer, fresh, only, transformation
from junlearn.parts.passes import along_rows, apply_each, embedding_of, scatter_rows
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

__all__ = [
    "NEEDS",
    "SPACE",
    "Config",
    "State",
    "Table",
    "draw",
    "make",
    "output_loss",
    "representation_loss",
    "transformations",
]

NEEDS = frozenset({"forget.x", "forget.y", "retain.x", "retain.y"})


@dataclass(frozen=True, kw_only=True)
class Config:
    """Hyper-parameters of CaMU."""

    epochs: Epochs = 2
    batch_size: BatchSize = 32
    representation_learning_rate: Positive = 4e-4
    """Rate of the Adam of equation 2."""
    output_learning_rate: Positive = 1e-3
    """Rate of the Adam of equation 3."""
    weight_decay: NonNegative = 1e-4
    """Of both, added to the gradient."""
    retain_weight: NonNegative = 0.9
    forget_weight: NonNegative = 0.01
    noise: NonNegative = 1.0
    """Scale of nu in the network's input space (after normalisation)."""
    relabel: Literal["other", "released"] = "other"
    """How a treatment label equal to the forget label is replaced."""
    repeat: Count = 1
    """Pairs an example of D_f is in."""
    augment: bool = False
    """Use the training augmentation of the dataset."""


# Around the released rates and epochs of all data.
SPACE: Space = {
    "representation_learning_rate": Range(1e-6, 1e-3, log=True),
    "output_learning_rate": Range(1e-5, 1e-2, log=True),
    "forget_weight": Range(1e-3, 1.0, log=True),
    "epochs": Range(1, 10),
}


class Table(NamedTuple):
    """The counterfactual set of equation 1: pair j is row j."""

    forget: Array
    """int32[P] into "train"."""
    treatment: Array
    """int32[P] into "train"."""
    labels: Array
    """int32[P]: y^t."""


class State(NamedTuple):
    """What the next step needs."""

    variables: Variables
    teacher: PyTree
    """The original, for images x_r that are augmented anew in every epoch; else nothing."""
    targets: Array
    """float[P + |D_s|,E]: e_0(x^t_j) of the pairs, then e_0(x_r); with augmentation of the pairs alone."""
    representation: PyTree
    """State of the Adam of equation 2."""
    output: PyTree
    """State of the Adam of equation 3."""
    table: Table
    noise_key: Key
    key: Key
    step: Array


def draw(key: Key, x: Array, slots: Array) -> Array:
    """U[0,1) noise like `x[B,...]`; a row's is that of its pair `slots[B]`."""
    keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, slots)
    size = x[0].size
    return jax.vmap(lambda k: jax.random.uniform(k, (size,), x.dtype))(keys).reshape(x.shape)


def representation_loss(model: Model) -> Loss:
    """Equation 2 on `{"forget", "retain"}`; `state.extra` is e_0(x^t)[B,E] and e_0(x_r)[B,E] by these names."""

    def loss(
        params: PyTree, state: Descent, batch: dict[str, Batch], key: Key
    ) -> tuple[Array, tuple[PyTree, Metrics]]:
        names = ("retain", "forget")
        variables = Variables(params, state.variables.stats)
        outputs, stats = apply_each(model, variables, [batch[name] for name in names], key)

        def total(name: str, embedding: Array) -> Array:
            p, q = (jax.nn.log_softmax(e) for e in (state.extra[name], embedding))
            mask = batch[name].mask
            return losses.divergence(p, q, mask) * mask.sum()

        retain, forget = (
            total(name, embedding) for name, (_, embedding) in zip(names, outputs, strict=True)
        )
        metrics = {"retain_divergence": retain, "forget_divergence": forget}
        return (retain + forget) / 2, (stats, metrics)

    return loss


def output_loss(model: Model, retain_weight: float, forget_weight: float) -> Loss:
    """Equation 3 on `{"forget", "retain"}`; the labels of the forget batch are y^t."""

    def loss(
        params: PyTree, state: Descent, batch: dict[str, Batch], key: Key
    ) -> tuple[Array, tuple[PyTree, Metrics]]:
        parts = [batch["forget"], batch["retain"]]
        outputs, stats = apply_each(model, Variables(params, state.variables.stats), parts, key)
        forget, retain = (
            losses.cross_entropy(logits, part.y, part.mask)
            for part, (logits, _) in zip(parts, outputs, strict=True)
        )
        value = retain_weight * retain + forget_weight * forget
        return value, (stats, {"retain_loss": retain, "forget_loss": forget})

    return loss


def transformations(
    config: Config, model: Model
) -> tuple[optax.GradientTransformation, optax.GradientTransformation]:
    """The Adam of equation 2, which leaves the head alone (decay included), and that of equation 3."""

    def adam(rate: float) -> optax.GradientTransformation:
        decay = config.weight_decay
        return transformation(Optimizer(optimizer="adam", learning_rate=rate, weight_decay=decay))

    first = only(adam(config.representation_learning_rate), extractor(model, "camu"))
    return first, adam(config.output_learning_rate)


def make(config: Config, model: Model) -> Method:
    """Embed what stays the same, then pass over the pairs: each step descends on equation 2, then on equation 3."""
    first_tx, second_tx = transformations(config, model)
    represent = updater(representation_loss(model), first_tx)
    answer = updater(output_loss(model, config.retain_weight, config.forget_weight), second_tx)
    view = "augment" if config.augment else "eval"

    def e_0(original: Variables, batch: Batch) -> Array:
        return model.apply(original, batch.x, mask=batch.mask)[1]["embedding"]

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> State:
        key, noise_key, rank_key, forget_key, treatment_key = jax.random.split(key, 5)
        repeated = np.tile(split.forget, config.repeat).astype(np.int32)
        sample = split.sample(repeated.size).astype(np.int32)
        forget = jax.random.permutation(forget_key, repeated)
        treatment = jnp.resize(jax.random.permutation(treatment_key, sample), forget.shape)

        y, classes = jnp.asarray(sources["train"].y), model.num_classes(variables, sources)
        candidates = None
        count: int | Array = classes - 1
        if config.relabel == "released":
            candidates = relabelling.shared_candidates(y[forget], classes)
            count = jnp.maximum(candidates.sum(), 1)
        ranks = jax.random.randint(rank_key, forget.shape, 0, count, dtype=y.dtype)
        labels = relabelling.separate(y[forget], y[treatment], ranks, candidates)

        embedding = embedding_of(model, variables, sources, "camu")
        rows = forget.size if config.augment else forget.size + sample.size
        return State(
            variables,
            jax.tree.map(jnp.array, variables) if config.augment else (),
            jnp.zeros((rows, embedding.shape[1]), embedding.dtype),
            fresh(first_tx, variables.params),
            fresh(second_tx, variables.params),
            Table(forget, treatment, labels),
            noise_key,
            key,
            jnp.zeros((), jnp.int32),
        )

    def embed(state: State, batch: Batch) -> tuple[State, Metrics]:
        assert batch.slot is not None
        noise = draw(state.noise_key, batch.x, batch.slot)
        scale = jnp.where(batch.slot < len(state.table.labels), config.noise, 0)
        noised = batch._replace(x=batch.x + along_rows(scale, noise) * noise)
        table = scatter_rows(state.targets, batch.slot, batch.mask, e_0(state.variables, noised))
        return state._replace(targets=table), {}

    def step(state: State, batch: dict[str, Batch]) -> tuple[State, Metrics]:
        first_key, second_key = jax.random.split(jax.random.fold_in(state.key, state.step))
        forget, retain = batch["forget"], batch["retain"]
        assert forget.slot is not None
        batch = {**batch, "forget": forget._replace(y=state.table.labels[forget.slot])}
        kept = state.targets[retain.slot] if retain.slot is not None else e_0(state.teacher, retain)
        targets = {"forget": state.targets[forget.slot], "retain": kept}

        one = Descent(state.variables, state.representation, state.key, state.step, targets)
        one, metrics = represent(one, batch, first_key)
        two = Descent(one.variables, state.output, state.key, state.step)
        two, more = answer(two, batch, second_key)
        both = {"representation_loss": metrics.pop("loss"), "output_loss": more.pop("loss")}
        moments = {"representation": one.optimizer, "output": two.optimizer}
        state = state._replace(variables=two.variables, step=state.step + 1, **moments)
        return state, {**both, **metrics, **more}

    def plan(split: Split) -> list[Stage]:
        pairs = config.repeat * split.forget.size
        sample = split.sample(pairs).astype(np.int32)

        def once(rng: np.random.Generator, state: State) -> Feed:
            rows = np.asarray(state.table.treatment)
            if not config.augment:
                rows = np.concatenate([rows, sample])
            slots = feeds.sequential(np.arange(rows.size), config.batch_size, view=view)
            return slots._replace(index=rows[slots.index], slot=slots.index)

        def pass_over(rng: np.random.Generator, state: State) -> dict[str, Feed]:
            sets = {"forget": np.arange(pairs), "retain": np.arange(sample.size)}
            slots = feeds.paired(rng, sets, config.batch_size, leader="forget", view=view)
            forget, retain = slots["forget"], slots["retain"]
            indices = np.asarray(state.table.forget)[forget.index]
            own = None if config.augment else pairs + retain.index
            return {
                "forget": forget._replace(index=indices, slot=forget.index),
                "retain": retain._replace(index=sample[retain.index], slot=own),
            }

        passes = Stage("counterfactual", step, pass_over, config.epochs)
        return [Stage("embed", embed, once), passes]

    return Method(init, plan, lambda state: state.variables)
