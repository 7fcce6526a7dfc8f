"""Cheap proxies of memorisation: what one network, or a copy of it, tells of each training example.

In training, by the weights before each step and on the images of its batch, as training sees them; the score of an
example is the mean over the epochs:

    confidence        1 - p_y
    max_probability   1 - max_k p_k
    entropy           - sum_k p_k log p_k, with 0 log 0 = 0
    accuracy          1 - [argmax_k p_k = y]
    curvature         |grad_x l(x + h z) - grad_x l(x)|,  z the sign of grad_x l(x) scaled to norm 1,  l = CE

After training:

    held_out          (KL(p || q) + KL(q || p)) / 2 of the outputs p of the original and q of a copy of it that was
                      fine-tuned on the validation set

Each is such that a larger score is a harder example, more memorised: a high confidence is a low memorisation, and the
release's confidence, largest probability, accuracy and negative entropy are turned round.

Not copied: the release measures in train mode, after the forward pass of the optimiser's step; here it is eval mode.
Its entropy is NaN where a probability is 0. It fine-tunes on the test set, which never enters a request here: a part of
the training set is set aside.

Zhao et al.: What makes unlearning hard and what to do about it (2406.01257); Zhao, Triantafillou: Scalability of
memorization-based machine unlearning (2410.16516).
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from junlearn.engine.predict import logits
from junlearn.engine.run import run, run_stages
from junlearn.engine.settings import RunOptions, stage_options
from junlearn.errors import ConfigError, unknown
from junlearn.memo import remembered
from junlearn.methods import build, finetune, retrain
from junlearn.parts.passes import along_rows
from junlearn.train import everything
from junlearn.types import Array, Batch, Data, Key, Method, Model, PyTree, Sources, Stage, Variables

__all__ = ["WATCHED", "divergences", "held_out", "measure", "validation_of", "watched_scores"]

WATCHED = ("confidence", "max_probability", "entropy", "accuracy", "curvature")
"""What is measured in training."""


def measure(
    kind: str, model: Model, variables: Variables, x: Array, labels: Array, step: float = 0.1
) -> Array:
    """float[B]: a proxy of images `x[B,H,W,C]` in eval mode; `step` is h. Raises ConfigError for one there is not."""
    if kind not in WATCHED:
        raise unknown("proxy", kind, WATCHED)
    if kind == "curvature":
        return _curvature(model, variables, x, labels, step)
    log_p = jax.nn.log_softmax(model.apply(variables, x)[0])
    p = jnp.exp(log_p)
    if kind == "confidence":
        return 1 - jnp.take_along_axis(p, labels[:, None], 1)[:, 0]
    if kind == "max_probability":
        return 1 - p.max(1)
    if kind == "entropy":
        return -jnp.where(p > 0, p * log_p, 0).sum(1)
    return (p.argmax(1) != labels).astype(p.dtype)


def _curvature(model: Model, variables: Variables, x: Array, labels: Array, step: float) -> Array:
    def loss(x: Array) -> Array:
        answers = model.apply(variables, x)[0]
        return optax.softmax_cross_entropy_with_integer_labels(answers, labels).sum()

    gradient = jax.grad(loss)(x)
    z = jnp.sign(gradient)
    # A gradient of zeros has no direction: the image stays where it is.
    length = jnp.sqrt(jnp.maximum((z**2).reshape(len(z), -1).sum(1), 1))
    moved = jax.grad(loss)(x + step * z / along_rows(length, x))
    return jnp.sqrt(((moved - gradient) ** 2).reshape(len(x), -1).sum(1))


class Watched(NamedTuple):
    """The state of training, and what was measured so far."""

    inner: PyTree
    total: Array
    """float[N]: the sum over the epochs."""
    seen: Array
    """float[N]: how many times each example was there."""


def watched(kind: str, config: retrain.Config, model: Model, step: float) -> Method:
    """Training by a recipe, with a look at every batch before its step. What is trained is what `retrain` trains."""
    base = build("retrain", replace(config, keep="last"), model)

    def init(key: Key, variables: Variables, sources: Sources, split: Any) -> Watched:
        zeros = jnp.zeros(sources["train"].y.shape[0])
        return Watched(base.init(key, variables, sources, split), zeros, zeros)

    def plan(split: Any) -> list[Stage]:
        return [_watching(stage, kind, model, step) for stage in base.plan(split)]

    return Method(init, plan, lambda state: base.finish(state.inner))


def _watching(stage: Stage, kind: str, model: Model, step: float) -> Stage:
    return stage._replace(
        step=_look(stage.step, kind, model, step),
        feed=lambda rng, state: stage.feed(rng, state.inner),
    )


@remembered
def _look(train: Callable, kind: str, model: Model, step: float) -> Callable:
    def look(state: Watched, batch: Batch) -> tuple[Watched, Any]:
        found = measure(kind, model, state.inner.variables, batch.x, batch.y, step)
        total = state.total.at[batch.index].add(jnp.where(batch.mask, found, 0))
        seen = state.seen.at[batch.index].add(batch.mask.astype(state.seen.dtype))
        inner, metrics = train(state.inner, batch)
        return Watched(inner, total, seen), metrics

    return look


def watched_scores(
    kind: str,
    recipe: retrain.Config,
    model: Model,
    sources: Sources,
    *,
    step: float,
    key: Key,
    options: RunOptions,
) -> np.ndarray:
    """float64[N]: the proxy, of a training with this key and these options of `junlearn.engine.run.run`."""
    staged = run_stages(
        watched(kind, recipe, model, step),
        model,
        Variables({}, {}),
        sources,
        everything(sources),
        key=key,
        **stage_options(options),
    )
    total, seen = (
        np.asarray(a, np.float64) for a in jax.device_get((staged.state.total, staged.state.seen))
    )
    if (seen == 0).any():
        raise ConfigError(
            f"{kind}: {np.count_nonzero(seen == 0):,} examples were in no batch of the training: give more steps"
        )
    return total / seen


def held_out(
    model: Model,
    variables: Variables,
    sources: Sources,
    *,
    epochs: int,
    learning_rate: float,
    key: Key,
    options: RunOptions,
) -> np.ndarray:
    """float64[N]: the proxy of an original network, with fine-tuning on the source "validation"."""
    only = {"train": validation_of(sources)}
    config = finetune.Config(epochs=epochs, learning_rate=learning_rate)
    moved = run(
        build("finetune", config, model),
        model,
        variables,
        only,
        everything(only),
        key=key,
        **options,
    )
    view = (options.get("views") or {})["eval"]
    before, after = (
        logits(model, numbers, sources["train"], view=view)
        for numbers in (variables, moved.variables)
    )
    return divergences(before, after)


def validation_of(sources: Sources) -> Data:
    """What the copy is fine-tuned on. Raises ConfigError where there is none."""
    if "validation" not in sources:
        raise ConfigError(
            "held_out fine-tunes a copy of the original network on validation images: set validation = 0.1, say"
        )
    return sources["validation"]


def divergences(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """float64[N]: (KL(p || q) + KL(q || p)) / 2 of two networks' logits [N,K]."""
    first, second = (_log_softmax(z.astype(np.float64)) for z in (before, after))
    return ((np.exp(first) - np.exp(second)) * (first - second)).sum(1) / 2


def _log_softmax(z: np.ndarray) -> np.ndarray:
    z = z - z.max(1, keepdims=True)
    return z - np.log(np.exp(z).sum(1, keepdims=True))
