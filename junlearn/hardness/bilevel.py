"""Worst-case forget sets: the examples that a network unlearns least, found by a search on two levels.

w_i in [0, 1] says how much example i is to be forgotten, the sum of all w is s; w begins as s random ones. Each of U
rounds begins at the original network theta_o:

    (1)  E epochs over D in random order, batch b:   theta <- theta - lr sign( grad sum_b (1 - w_i) CE_i )
    (2)  l_i = CE of example i at the theta that this leads to
    (3)  w <- Proj( w - lr_w (l_i + 2 gamma w_i) ),   Proj on {0 <= w <= 1, sum w = s} = clip(w - mu, 0, 1), with mu by
         bisection on [min w - 1, max w] (until the sum is right to 1e-5, at most 100 times)

The sign takes the derivative of theta in w away, so (3) is exact for (1). The request are the s examples of the largest
w: those whose loss stays lowest when they are forgotten. With find="easy" step (3) goes up, and finds those that are
forgotten most easily. After every `binary_every` rounds w becomes 1 at its s largest entries and 0 elsewhere.

level="classes": a w_k for each class, l_k the mean loss of its examples, s a number of classes.

Defaults (of the released code; README: U 2, E 2, lr 0.001; users: lr_w 0.001, gamma 0.0001, U 20; the class level:
lr 5e-5, lr_w 1e-4, gamma 1e-4, U 20, E 1, batches of 1024):

    rounds        10      U
    epochs        10      E
    learning_rate 0.01    lr
    weight_rate   0.01    lr_w
    gamma         0.0
    binary_every  20      of more rounds than there are: the last one
    batch_size    256     ours

Not copied: the release takes the losses of (2) in train mode, augmented and in a random order, so BatchNorm's
statistics move again; and divides the loss of a class twice by its number of examples. Here they are taken in eval
mode, on images without augmentation, and (1) is made on these images too.

The request depends on the original network, so on its seed.

Fan et al.: Challenging Forgets: Unveiling the Worst-Case Forget Sets in Machine Unlearning (2403.07362).
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from junlearn.compiler import jitted
from junlearn.engine.predict import logits
from junlearn.errors import ConfigError, DivergedError
from junlearn.memo import remembered
from junlearn.parts import feeds
from junlearn.types import Array, Data, Feed, Model, Sources, Variables, View

__all__ = ["binary", "inner", "losses_of", "project", "search", "upper"]

TOLERANCE = 1e-5
BISECTIONS = 100


def search(
    model: Model,
    variables: Variables,
    sources: Sources,
    *,
    settings: Mapping[str, Any],
    view: View,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """The w of every training example after the last round, float64[N]; at the level "classes" that of its class.

    `settings` are those above, with `size` for s, `find` ("hard" or "easy") and `level`.
    """
    data = jax.tree.map(jnp.asarray, sources["train"])
    labels = np.asarray(data.y)
    # Which weight each example has.
    place = labels if settings["level"] == "classes" else np.arange(labels.size)
    count, size = int(place.max()) + 1, int(settings["size"])
    if not 0 < size < count:
        raise ConfigError(
            f"worst_case: {size:,} of {count:,} {settings['level']} leave nothing to forget, or nothing to retain"
        )
    rng = np.random.default_rng(seed)
    w = np.zeros(count)
    w[rng.choice(count, size, replace=False)] = 1
    rounds, every = settings["rounds"], min(settings["binary_every"], settings["rounds"])
    members = np.bincount(place, minlength=count)
    rate = settings["weight_rate"] * (-1 if settings["find"] == "easy" else 1)
    for number in range(1, rounds + 1):
        orders = (
            feeds.shuffled(rng, np.arange(labels.size), settings["batch_size"])
            for _ in range(settings["epochs"])
        )
        moved = inner(model, variables, data, w[place], orders, settings["learning_rate"], view)
        each = losses_of(model, moved, data, view)
        if not np.isfinite(each).all():
            raise DivergedError(
                f"worst_case: a loss is not finite in round {number}; give a lower learning_rate"
            )
        of_place = np.bincount(place, weights=each, minlength=count) / np.maximum(members, 1)
        w = upper(w, of_place, size, rate, settings["gamma"])
        if number % every == 0 and number < rounds:
            w = binary(w, size)
        if progress is not None:
            progress(number, rounds)
    return w[place]


def inner(
    model: Model,
    variables: Variables,
    data: Data,
    weights: np.ndarray,
    orders: Iterable[Feed],
    learning_rate: float,
    view: View,
) -> Variables:
    """Equation 1 with w of each example: the network after the batches of all `orders`, which are epochs."""
    step = _stepper(model, view)
    rows = jnp.asarray(weights, jax.tree.leaves(variables.params)[0].dtype)
    for order in orders:
        for index, mask in zip(order.index, order.mask, strict=True):
            variables = step(variables, data, rows, index, mask, learning_rate)
        jax.block_until_ready(variables)
    return variables


@remembered
def _stepper(model: Model, view: View) -> Any:
    @jitted
    def step(
        variables: Variables, data: Data, weights: Array, index: Array, mask: Array, rate: float
    ) -> Variables:
        batch = data.take(index)
        x = view(batch, jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(0), index))

        def loss(params: Any) -> tuple[Array, Any]:
            own = variables._replace(params=params)
            answers, _, stats = model.apply(own, x, train=True, key=jax.random.key(0), mask=mask)
            each = optax.softmax_cross_entropy_with_integer_labels(answers, batch.y)
            return jnp.sum((1 - weights[index]) * jnp.where(mask, each, 0)), stats

        gradient, stats = jax.grad(loss, has_aux=True)(variables.params)
        moved = jax.tree.map(lambda a, g: a - rate * jnp.sign(g), variables.params, gradient)
        return Variables(moved, stats)

    return step


def losses_of(model: Model, variables: Variables, data: Data, view: View) -> np.ndarray:
    """Equation 2, float64[N]: the cross entropy of every example, in eval mode."""
    answers = logits(model, variables, data, view=view).astype(np.float64)
    answers -= answers.max(1, keepdims=True)
    own = np.take_along_axis(answers, np.asarray(data.y)[:, None], 1)[:, 0]
    return np.log(np.exp(answers).sum(1)) - own


def upper(w: np.ndarray, losses: np.ndarray, size: int, rate: float, gamma: float) -> np.ndarray:
    """Equation 3; a negative rate goes up."""
    return project(w - rate * (losses + 2 * gamma * w), size)


def project(w: np.ndarray, budget: float) -> np.ndarray:
    """The nearest point with 0 <= w <= 1 and sum w = `budget`."""
    low, high = w.min() - 1, w.max()
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        over = np.clip(w - middle, 0, 1).sum() - budget
        if abs(over) < TOLERANCE:
            break
        low, high = (middle, high) if over > 0 else (low, middle)
    return np.clip(w - middle, 0, 1)


def binary(w: np.ndarray, size: int) -> np.ndarray:
    """1 at the `size` largest entries, the first of equal ones, and 0 elsewhere."""
    found = np.zeros_like(w)
    found[np.argsort(-w, kind="stable")[:size]] = 1
    return found
