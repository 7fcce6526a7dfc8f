"""LAF, label-agnostic forgetting: two autoencoders of embeddings tell what to forget, a teacher what to keep.

Setting: forget and retain images, no labels. LAF+R (`repair_epochs` > 0) reads the labels of retain examples too.

The network is c(g(x)), extractor g and head c; theta_0 are its weights before. Two VAEs over e = g(x) are fitted to
e = g_theta0(x), h_r on D (or on D_r) and h_f on D_f; r = h(e, n) is the reconstruction with noise n, drawn afresh:

    (1)  L_VAE = mean_i |r_i - e_i|^2 + kl_weight KL
         KL = -1/2 mean_i sum_d [log(sigma_id^2 + 1e-8) + 1 - mu_id^2 - sigma_id^2]

Then, on one batch X_r of D_r and one X_f of D_f at a time (an epoch is one pass over the set with fewer batches), two
Adam steps on the extractor, each with moments of its own, the second one from where the first one arrived:

    (2)  s_i = |h(e_i, n_i) - e_i|^2,   psi(s) = exp(s / (1 + s))
    (3)  L_UE = sum_{X_r} psi(s_i; h_r) - sum_{X_f} psi(s_j; h_f)              rate: unlearn_learning_rate
    (4)  a_i = 1 - cos(g_theta(x_i), g_theta0(x_i)) on X_r,  b_j the same on X_f
    (5)  L_RA = sum_i a_i - |X_r| log sum_j exp(b_j / temperature)             rate: align_learning_rate
    (6)  LAF+R: mean CE(c(g(x)), y) on the X_r of further epochs, Adam on the head alone

Sums, not means: X_f may be shorter than X_r. BatchNorm runs in eval mode throughout; its scales and shifts are trained
with the extractor, its running statistics stay. LAF leaves the head as it is, bit for bit.

Defaults (class removal with the CNN on MNIST, as released; random: temperature 5. ResNet-18: latent 16, epochs 40,
unlearn_learning_rate 1e-5, align_learning_rate 5e-5, augment True; random and noisy labels 4e-5, noisy temperature 5):

    vae_hidden             (128, 32)
    latent                 8
    decoder                "sigmoid"
    vae_source             "all"
    vae_epochs             10
    vae_learning_rate      0.001
    kl_weight              0.025
    epochs                 20
    unlearn_learning_rate  5e-05
    align_learning_rate    0.0001
    temperature            20.0
    batch_size             32
    augment                False
    repair_epochs          0
    repair_learning_rate   0.0001

The authors give neither epochs nor rate of LAF+R: `repair_learning_rate` is ours.

Deviations, of cost alone: without augmentation the embeddings g_theta0(x) are computed once, not in every epoch; the
network sees X_r and X_f in one pass (in eval mode rows do not mix).

Reference: Shen, Zhang, Zhao, Bialkowski, Chen, Xu, ICLR 2024 (Label-Agnostic Forgetting, arXiv 2404.00506).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from junlearn.fields import BatchSize, Count, Epochs, NonNegative, Positive, Whole
from junlearn.memo import remembered
from junlearn.models.vae import Vae, make_vae
from junlearn.parts import descent, feeds, layers, losses
from junlearn.parts.descent import Descent, Loss, supervised, update_on, updater
from junlearn.parts.optimizers import fresh, only
from junlearn.parts.passes import embedding_of, scatter_rows
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

__all__ = ["NEEDS", "PRESETS", "SPACE", "Config", "State", "make", "unlearner", "vae_loss"]

NEEDS = frozenset({"forget.x", "retain.x"})

VARIANCE_FLOOR = 1e-8

Pair = dict[str, Batch]
"""One batch of each set, "retain" and "forget"; the noise[B,L] has the same entries."""
Value = tuple[Array, tuple[PyTree, Metrics]]
"""What a loss returns: `(loss, (stats, metrics))`."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Hyper-parameters of LAF."""

    vae_hidden: tuple[Count, ...] = (128, 32)
    """Hidden widths of the VAEs' encoder; the decoder has them in reverse."""
    latent: Count = 8
    """L, the width of the code."""
    decoder: Literal["sigmoid", "linear"] = "sigmoid"
    """Last layer of the VAEs. A sigmoid cannot reach embeddings outside of (0, 1), which leaves a large error."""
    vae_source: Literal["all", "retain"] = "all"
    """What h_r models: the embeddings of D as released, or those of D_r."""
    vae_epochs: Epochs = 10
    vae_learning_rate: Positive = 1e-3
    kl_weight: NonNegative = 0.025
    epochs: Epochs = 20
    """Of unlearning; each is one pass over the set with fewer batches."""
    unlearn_learning_rate: Positive = 5e-5
    """Of the step on L_UE."""
    align_learning_rate: Positive = 1e-4
    """Of the step on L_RA."""
    temperature: Positive = 20.0
    """Forget examples are pushed away with about 1 / temperature of the force that holds the others."""
    batch_size: BatchSize = 32
    augment: bool = False
    """Use the training augmentation of the dataset, drawn afresh every epoch."""
    repair_epochs: Whole = 0
    """Of LAF+R, on labelled retain examples; 0: plain LAF."""
    repair_learning_rate: Positive = 1e-4


SPACE: Space = {
    "unlearn_learning_rate": Range(1e-6, 1e-3, log=True),
    "align_learning_rate": Range(1e-6, 1e-3, log=True),
    "temperature": Range(1.0, 50.0, log=True),
    "epochs": Range(1, 40),
}

REPAIRED: Space = {**SPACE, "repair_learning_rate": Range(1e-5, 1e-2, log=True)}
PRESETS = {
    "laf_r": Preset("LAF+R: then trains the head with labels", {"repair_epochs": 1}, REPAIRED)
}


class State(NamedTuple):
    """What the next step needs."""

    variables: Variables
    original: PyTree
    """What gives g_theta0(x): the embeddings of the train rows [N,E], or with augmentation the params theta_0."""
    vae_retain: Descent
    vae_forget: Descent
    unlearn: PyTree
    """Moments of the step on L_UE; then of those on L_RA and of the repair."""
    align: PyTree
    repair: PyTree
    key: Key
    step: Array


def saturate(s: Array) -> Array:
    """The psi of equation 2, from 1 at s = 0 to e."""
    return jnp.exp(1 - 1 / (1 + s))


def alignment(a: Array, mask_r: Array, b: Array, mask_f: Array, temperature: float) -> Array:
    """Equation 5, over the rows in the masks."""
    push = jax.scipy.special.logsumexp(jnp.where(mask_f, b / temperature, -jnp.inf))
    return jnp.where(mask_r, a, 0).sum() - mask_r.sum() * push


def vae_loss(vae: Vae, kl_weight: float) -> Loss:
    """Equation 1 as `loss(params, state, (e[B,E], mask[B]), noise[B,L])`."""

    def loss(params: PyTree, state: Descent, rows: tuple[Array, Array], noise: Array) -> Value:
        e, mask = rows
        r, mu, logvar = vae.apply(params, e, noise)
        variance = jnp.exp(logvar)
        terms = jnp.log(variance + VARIANCE_FLOOR) + 1 - jnp.square(mu) - variance
        reconstruction = losses.masked_mean(jnp.square(r - e).sum(axis=1), mask)
        kl = -losses.masked_mean(terms.sum(axis=1), mask) / 2
        metrics = {"reconstruction": reconstruction, "kl": kl}
        return reconstruction + kl_weight * kl, ({}, metrics)

    return loss


def unlearner(
    config: Config, model: Model, vae: Vae
) -> Callable[[State, Pair, dict[str, Array]], tuple[State, Metrics]]:
    """`update(state, batch, noise) -> (state, metrics)`: a step on equation 3, then one on equation 5."""
    unlearn_tx, align_tx, _ = _transformations(config, model)

    def update(state: State, batch: Pair, noise: dict[str, Array]) -> tuple[State, Metrics]:
        r, f = batch["retain"], batch["forget"]
        both = jax.tree.map(lambda *parts: jnp.concatenate(parts), r, f)
        original = _original(config, model, state, both)
        stats = state.variables.stats

        def total(fit: Descent, e: Array, own: Array, mask: Array) -> Array:
            reconstruction, _, _ = vae.apply(fit.variables.params, e, own)
            return jnp.where(mask, saturate(jnp.square(reconstruction - e).sum(axis=1)), 0).sum()

        def unlearn(params: PyTree, *_: PyTree) -> Value:
            e_r, e_f = jnp.split(_embed(model, Variables(params, stats), both), [len(r.mask)])
            sum_r = total(state.vae_retain, e_r, noise["retain"], r.mask)
            sum_f = total(state.vae_forget, e_f, noise["forget"], f.mask)
            return sum_r - sum_f, (stats, {"sum_retain": sum_r, "sum_forget": sum_f})

        def align(params: PyTree, *_: PyTree) -> Value:
            e = _embed(model, Variables(params, stats), both)
            distances = losses.paired_cosine_distances(e, original)  # (4)
            a, b = jnp.split(distances, [len(r.mask)])
            return alignment(a, r.mask, b, f.mask, config.temperature), (stats, {})

        theta = Descent(state.variables, state.unlearn, state.key, state.step)
        first, metrics = update_on(unlearn, unlearn_tx)(theta, both, state.key)
        theta = first._replace(optimizer=state.align)
        last, aligned = update_on(align, align_tx)(theta, both, state.key)
        metrics |= {"loss_unlearn": metrics.pop("loss"), "loss_align": aligned["loss"]}
        new = {"variables": last.variables, "unlearn": first.optimizer, "align": last.optimizer}
        return state._replace(**new), metrics

    return update


def make(config: Config, model: Model) -> Method:
    """Embed, fit the two VAEs, unlearn, and repair the head where wanted."""
    vae = make_vae(config.vae_hidden, config.latent, config.decoder)
    vae_tx = optax.adam(config.vae_learning_rate)
    fit_vae = updater(vae_loss(vae, config.kl_weight), vae_tx)
    unlearn = unlearner(config, model, vae)
    transformations = _transformations(config, model)
    repair_head = updater(supervised(model, train=False), transformations[-1])
    view = "augment" if config.augment else "eval"

    def embed(state: State, batch: Batch) -> tuple[State, Metrics]:
        e = _embed(model, state.variables, batch)
        return state._replace(original=scatter_rows(state.original, batch.index, batch.mask, e)), {}

    @remembered
    def fit(name: str) -> Callable[[State, Batch], tuple[State, Metrics]]:
        def step(state: State, batch: Batch) -> tuple[State, Metrics]:
            before: Descent = getattr(state, name)
            noise = vae.draw(jax.random.fold_in(before.key, before.step), batch.index)
            e = _original(config, model, state, batch)
            after, metrics = fit_vae(before, (e, batch.mask), noise)
            return State(**state._asdict() | {name: after}), metrics

        return step

    def step(state: State, batch: Pair) -> tuple[State, Metrics]:
        keys = jax.random.split(jax.random.fold_in(state.key, state.step))
        drawn = zip(("retain", "forget"), keys, strict=True)
        noise = {name: vae.draw(key, batch[name].index) for name, key in drawn}
        return unlearn(state._replace(step=state.step + 1), batch, noise)

    def repair(state: State, batch: Pair) -> tuple[State, Metrics]:
        """Equation 6; the forget images stay unread."""
        theta = Descent(state.variables, state.repair, state.key, state.step)
        theta, metrics = repair_head(theta, batch["retain"], state.key)
        return state._replace(variables=theta.variables, repair=theta.optimizer), metrics

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> State:
        embedding = embedding_of(model, variables, sources, "laf")
        table = jnp.zeros((len(sources["train"].y), embedding.shape[1]), embedding.dtype)
        original = jax.tree.map(jnp.array, variables.params) if config.augment else table
        key, *keys = jax.random.split(key, 5)
        vaes = [
            descent.init(own, Variables(vae.init(drawn, embedding.shape[1]), {}), vae_tx)
            for own, drawn in (keys[:2], keys[2:])
        ]
        moments = [fresh(tx, variables.params) for tx in transformations]
        leaves = (variables, original, *vaes, *moments, key, jnp.zeros((), jnp.int32))
        return State(*leaves)

    def plan(split: Split) -> list[Stage]:
        sets = {"retain": split.retain, "forget": split.forget}
        everything = np.concatenate(list(sets.values()))
        modelled = everything if config.vae_source == "all" else split.retain
        shorter = min(sets, key=lambda name: len(sets[name]))

        def once(rng: np.random.Generator, state: State) -> Feed:
            return feeds.sequential(everything, config.batch_size)

        def shuffled(indices: np.ndarray) -> Callable[[np.random.Generator, State], Feed]:
            return lambda rng, state: feeds.shuffled(rng, indices, config.batch_size, view=view)

        def pairs(rng: np.random.Generator, state: State) -> dict[str, Feed]:
            return feeds.paired(rng, sets, config.batch_size, leader=shorter, view=view)

        stages = [
            Stage("embed", embed, once),
            Stage("vae_retain", fit("vae_retain"), shuffled(modelled), config.vae_epochs),
            Stage("vae_forget", fit("vae_forget"), shuffled(split.forget), config.vae_epochs),
            Stage("unlearn", step, pairs, config.epochs),
            Stage("repair", repair, pairs, config.repair_epochs),
        ]
        return stages[int(config.augment) : 5 if config.repair_epochs else 4]

    beginning = None
    if config.repair_epochs:
        # LAF+R begins with all of LAF.
        usual = Config.repair_learning_rate
        beginning = replace(config, repair_epochs=0, repair_learning_rate=usual)
    return Method(init, plan, lambda state: state.variables, beginning=beginning)


def _transformations(config: Config, model: Model) -> list[optax.GradientTransformation]:
    """Those of the steps on L_UE, on L_RA and of the repair."""
    rates = (config.unlearn_learning_rate, config.align_learning_rate, config.repair_learning_rate)
    extractor, head = layers.extractor(model, "laf"), (layers.head(model, "laf"),)
    parts = (extractor, extractor, head)
    return [only(optax.adam(rate), part) for rate, part in zip(rates, parts, strict=True)]


def _embed(model: Model, variables: Variables, batch: Batch) -> Array:
    return model.apply(variables, batch.x, mask=batch.mask)[1]["embedding"]


def _original(config: Config, model: Model, state: State, batch: Batch) -> Array:
    """The embeddings g_theta0(x) of a batch."""
    if not config.augment:
        return state.original[batch.index]
    return _embed(model, Variables(state.original, state.variables.stats), batch)
