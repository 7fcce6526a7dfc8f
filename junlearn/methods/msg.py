"""MSG (masked small gradients): draw the kernel entries anew on which both sets pull alike, and repair the network.

Setting: forget and retain images and labels.

    (1)  S = as many retain examples as D_f has, drawn without replacement (all of D_r, where there are fewer)
    (2)  G = mean_S grad CE  -  mean_{D_f} grad CE,   of single examples, eval mode, at the weights before
    (3)  M_l = the round(rho n_l) entries of least |G| of the n_l of kernel K_l, for each convolution by itself
    (4)  K_l <- N(0, 2 / fan_out) on M_l, fan_out = height width outputs;  unchanged elsewhere
    (5)  minimise  mean CE(f_theta(x), y)  over D_r, train mode;  the gradient of K_l is multiplied by `kept` outside of
         M_l, that of all other arrays by 1
    (6)  rate in epoch e = 0, 1, .. of E, with A = floor((E + 1) / 2):
         eta (e + 1) / A  if e + 1 <= A,  else  eta (E - e) / (E + 1 - A)

It is the least differences that are drawn anew, and the other entries are slower, not frozen. The factor of (5) is for
the gradient: the weight decay enters the momentum in full. With E = 5 the rate is eta (1/3, 2/3, 1, 2/3, 1/3).
A network without convolutions is refused. Kernels of 1x1 and depthwise ones take part, linear layers do not.

Defaults (the entry of the NeurIPS 2023 unlearning challenge, as in the comparison below):

    optimizer           "sgd"
    learning_rate       0.001
    momentum            0.9
    weight_decay        0.0005
    rho                 0.3
    kept                0.1
    weighing            "example"
    sample_batch_size   64
    train_mode          False
    fresh_biases        False
    epochs              5
    batch_size          64
    augment             False

The comparison searched rate and decay in 0.00001..0.1 and rho in 0..1 for every dataset; the values that it found are
not published.

Deviations: in the release (preset `msg_released`) G is a difference of two sums of batch means, with batches of 64 for
S and of the configured size for D_f: of 256, S weighs four times as much. It takes G in train mode, in which running
statistics move. It builds the layers of (4) anew, so that the biases of the convolutions become fresh ones,
U(-1, 1) / sqrt(fan_in). Its log calls the choice of (3) global. Running it twice on one network there stacks two masks;
here every run has its own.

Reference: Cadet, Borovykh, Malekzadeh, Ahmadi-Abhari, Haddadi, Deep Unlearn, arXiv 2410.01276 (there "MSG").
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from junlearn.fields import BatchSize, Epochs, Fraction, NonNegative, Positive
from junlearn.memo import remembered
from junlearn.parts import descent, feeds, order_statistics, pairs
from junlearn.parts.descent import Descent, supervised
from junlearn.parts.layers import convolution_biases, convolutions
from junlearn.parts.losses import margin_entropy
from junlearn.parts.optimizers import Optimizer, move, transformation
from junlearn.parts.reinitialise import (
    fan_ins,
    normal_fan_out,
    uniform_fan_in,
    unit_normal,
    unit_uniform,
)
from junlearn.parts.trees import zeros
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
    "Difference",
    "State",
    "make",
    "mixed",
    "rebiased",
    "smallest",
    "triangle",
]

NEEDS = frozenset({"forget.x", "forget.y", "retain.x", "retain.y"})
State = Descent


@dataclass(frozen=True, kw_only=True)
class Config(Optimizer):
    """Hyper-parameters of MSG."""

    learning_rate: Positive = 1e-3
    """The largest rate, in the middle of the run."""
    weight_decay: NonNegative = 5e-4
    rho: Fraction = 0.3
    """Share of every kernel that is drawn anew; 0: none, and all of it learns slowly."""
    kept: Fraction = 0.1
    """Factor of the gradient in the rest of the kernels; 0 leaves them to the weight decay."""
    weighing: Literal["example", "batch"] = "example"
    """Equation 2 of examples, or a difference of sums of batch means, as released."""
    sample_batch_size: BatchSize = 64
    """Batches of S; with weighing="batch" their number is the weight of S."""
    train_mode: bool = False
    """Take equation 2 in train mode, in which BatchNorm's running statistics move, as released."""
    fresh_biases: bool = False
    """Draw the biases of the convolutions anew too, as released."""
    epochs: Epochs = 5
    batch_size: BatchSize = 64
    augment: bool = False
    """Use the training augmentation of the dataset in equation 5."""


# Rate, decay and rho as in the comparison.
SPACE: Space = {
    "learning_rate": Range(1e-5, 0.1, log=True),
    "weight_decay": Range(1e-5, 0.1, log=True),
    "rho": Range(0.0, 1.0),
    "epochs": Range(1, 10),
}

PRESETS = {
    "msg_released": Preset(
        "MSG as its code does it: sums of batch means in train mode, and fresh biases",
        {"weighing": "batch", "train_mode": True, "fresh_biases": True},
    ),
}
"""As the entry was released."""


class Difference(NamedTuple):
    """What lies beside the network: the `extra` of its state."""

    total: PyTree
    """G, as far as it is summed."""
    weights: Array
    """float[2]: what a term of S and one of D_f count in it."""
    fresh: PyTree
    """bool, like the parameters: M_l; True in all arrays that are no kernels of convolutions, and everywhere before
    equation 3."""
    key: Key
    seen: Array
    """int32[]: batches in `total`."""


def smallest(difference: Array, share: float) -> Array:
    """Equation 3 for one kernel: a mask of its shape. Of equal entries the first in memory are taken."""
    values = jnp.abs(difference).ravel()
    return order_statistics.smallest(values, round(share * values.size)).reshape(difference.shape)


def mixed(params: PyTree, difference: PyTree, unit: PyTree, rho: float) -> tuple[PyTree, PyTree]:
    """Equations 3 and 4, from draws `unit` of N(0, 1): the new `params`, and the tree `Difference.fresh`."""
    kernels = convolutions(params, "msg")

    def chosen(g: Array, kernel: bool) -> Array:
        return smallest(g, rho) if kernel else jnp.ones(g.shape, bool)

    def leaf(w: Array, m: Array, draws: Array, kernel: bool) -> Array:
        return jnp.where(m, normal_fan_out(draws), w) if kernel else w

    fresh = jax.tree.map(chosen, difference, kernels)
    return jax.tree.map(leaf, params, fresh, unit, kernels), fresh


def rebiased(params: PyTree, unit: PyTree) -> PyTree:
    """`params` with the biases of convolutions made of `unit`, draws from U(0, 1)."""

    def leaf(w: Array, draws: Array, bias: bool, fan_in: int) -> Array:
        return uniform_fan_in(draws, fan_in) if bias else w

    return jax.tree.map(leaf, params, unit, convolution_biases(params), fan_ins(params))


@remembered
def triangle(peak: float, epochs: int, steps_per_epoch: int) -> optax.Schedule:
    """Equation 6 as a function of the step t = 0, 1, .."""
    top = (epochs + 1) // 2

    def rate(count: Array) -> Array:
        number = jnp.asarray(count // steps_per_epoch + 1, jnp.result_type(float))
        return peak * jnp.minimum(number / top, (epochs + 1 - number) / (epochs + 1 - top))

    return rate


def make(config: Config, model: Model) -> Method:
    """Two passes that measure, one step that draws, and training with slower kernels."""
    view = "augment" if config.augment else "eval"
    loss = supervised(model)

    def transform(split: Split) -> optax.GradientTransformation:
        epoch = -(-len(split.retain) // config.batch_size)
        rate = triangle(config.learning_rate, config.epochs, epoch)
        return transformation(config, rate)

    def measured(
        params: PyTree, state: State, batch: Batch, key: Key
    ) -> tuple[Array, tuple[PyTree, Metrics]]:
        variables = Variables(params, state.variables.stats)
        logits, _, stats = model.apply(
            variables, batch.x, train=config.train_mode, key=key, mask=batch.mask
        )
        total = jnp.where(batch.mask, margin_entropy(logits, batch.y), 0).sum()
        rows = jnp.maximum(batch.mask.sum(), 1)
        return total / rows if config.weighing == "batch" else total, (stats, {})

    def measure(place: int) -> Callable[[State, Batch], tuple[State, Metrics]]:
        def step(state: State, batch: Batch) -> tuple[State, Metrics]:
            now: Difference = state.extra
            key = jax.random.fold_in(now.key, now.seen)
            params = state.variables.params
            _, gradient, stats = pairs.pull(measured, params, state, batch, key)

            def add(t: Array, g: Array) -> Array:
                return t + now.weights[place].astype(g.dtype) * g

            total = jax.tree.map(add, now.total, gradient)  # (2)
            extra = now._replace(total=total, seen=now.seen + 1)
            return state._replace(variables=Variables(params, stats), extra=extra), {}

        return step

    def draw(state: State, batch: Batch) -> tuple[State, Metrics]:
        now: Difference = state.extra
        params, stats = state.variables
        keys = jax.random.split(jax.random.fold_in(now.key, now.seen))
        params, fresh = mixed(params, now.total, unit_normal(keys[0], params), config.rho)
        if config.fresh_biases:
            params = rebiased(params, unit_uniform(keys[1], params))
        extra = now._replace(fresh=fresh)
        return state._replace(variables=Variables(params, stats), extra=extra), {}

    @remembered
    def train(tx: optax.GradientTransformation) -> Callable[[State, Batch], tuple[State, Metrics]]:
        def step(state: State, batch: Batch) -> tuple[State, Metrics]:
            key = jax.random.fold_in(state.key, state.step)
            params = state.variables.params
            value, gradient, stats = pairs.pull(loss, params, state, batch, key)

            def slower(g: Array, fresh: Array) -> Array:
                return jnp.where(fresh, g, config.kept * g)

            gradient = jax.tree.map(slower, gradient, state.extra.fresh)  # (5)
            params, optimizer = move(tx, gradient, state.optimizer, params)
            after = state._replace(
                variables=Variables(params, stats), optimizer=optimizer, step=state.step + 1
            )
            return after, {"loss": value}

        return step

    of_retain, of_forget = measure(0), measure(1)

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> State:
        params = variables.params
        convolutions(params, "msg")
        key, draw_key = jax.random.split(key)
        forget = len(split.forget)
        counts = np.array([min(forget, len(split.retain)), forget])
        per = counts if config.weighing == "example" else np.ones(2)
        extra = Difference(
            zeros(params),
            jnp.asarray(np.array([1, -1]) / per, jnp.result_type(float)),
            jax.tree.map(lambda leaf: jnp.ones(leaf.shape, bool), params),
            draw_key,
            jnp.zeros((), jnp.int32),
        )
        return descent.init(key, variables, transform(split), extra=extra)

    def plan(split: Split) -> list[Stage]:
        def sample(rng: np.random.Generator, state: State) -> Feed:
            rows = rng.permutation(split.retain)[: len(split.forget)]  # (1)
            return feeds.sequential(rows, config.sample_batch_size)

        def forgotten(rng: np.random.Generator, state: State) -> Feed:
            return feeds.shuffled(rng, split.forget, config.batch_size)

        def retained(rng: np.random.Generator, state: State) -> Feed:
            return feeds.shuffled(rng, split.retain, config.batch_size, view=view)

        return [
            Stage("retain gradient", of_retain, sample),
            Stage("forget gradient", of_forget, forgotten),
            Stage("draw", draw, lambda rng, state: feeds.dataless(1)),
            Stage("repair", train(transform(split)), retained, config.epochs),
        ]

    return Method(init, plan, lambda state: state.variables)
