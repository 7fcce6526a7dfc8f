"""Memorisation: how much more often a network is right about an example when it was trained on it (Feldman).

M networks are trained on random subsets of the training set, of floor(r n) examples each.

    (1)  mem_i   = mean of [right about i] over networks with i in their subset  -  the same over those without
    (2)  infl_ij = mean of [right about j] over networks with i in their subset  -  the same over those without;
                   j is an example that none of them was trained on

The release: M = 400, r = 0.7, an ImageNet-style ResNet18, 30 epochs of SGD (0.01, momentum 0.9, weight decay 5e-4, a
tenth at 15, 20 and 25), batches of 512, no augmentation. Here networks and training are those of the experiment.

Not copied: the release divides by 1e-10 where an example is in every subset or in none, so that its score is that of
one side alone. Here such an example is an error.

Feldman, Zhang: What Neural Networks Memorize and Why (NeurIPS 2020); Zhao et al.: What makes unlearning hard and what
to do about it (2406.01257).
"""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from junlearn.engine.inputs.options import LoopKind
from junlearn.engine.predict import logits
from junlearn.errors import ConfigError
from junlearn.many import train_each
from junlearn.methods import retrain
from junlearn.types import Model, Sources, View

__all__ = ["drawn", "influence", "memorisation", "subsets", "trained_scores"]


def subsets(size: int, models: int, share: float, seed: int) -> np.ndarray:
    """bool[M,N]: which examples each network is trained on, floor(share N) drawn without replacement."""
    count = int(share * size)
    if not 0 < count < size:
        raise ConfigError(
            f"memorisation: a share of {share:g} of {size:,} examples leaves nothing to train on, or nothing out"
        )
    rng = np.random.default_rng((seed, models))
    found = np.zeros((models, size), bool)
    for row in found:
        row[rng.choice(size, count, replace=False)] = True
    return found


def drawn(size: int, models: int, share: float, seed: int) -> np.ndarray:
    """`subsets`, in which each example has two sides. Raises ConfigError where one has not."""
    found = subsets(size, models, share, seed)
    _weights(found)
    return found


def memorisation(in_training: np.ndarray, correct: np.ndarray) -> np.ndarray:
    """Equation 1, float64[N], of `in_training` bool[M,N] and `correct` bool[M,N]."""
    inside, outside = _weights(in_training)
    right = correct.astype(np.float64)
    return (inside * right).sum(0) - (outside * right).sum(0)


def influence(in_training: np.ndarray, correct: np.ndarray) -> np.ndarray:
    """Equation 2, float64[J,N], of `in_training` bool[M,N] and, for J examples, `correct` bool[M,J]."""
    inside, outside = _weights(in_training)
    return correct.astype(np.float64).T @ (inside - outside)


def _weights(in_training: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What each network counts in the means of each example, float64[M,N]: those with it, those without."""
    counts = in_training.sum(0)
    one_sided = np.flatnonzero((counts == 0) | (counts == len(in_training)))
    if one_sided.size:
        word = "example is" if one_sided.size == 1 else "examples are"
        raise ConfigError(
            f"memorisation: {one_sided.size:,} {word} in all of the {len(in_training)} subsets or in none of them, the "
            f"first in row {one_sided[0]}: train more networks"
        )
    return in_training / counts, ~in_training / (len(in_training) - counts)


def trained_scores(
    recipe: retrain.Config,
    model: Model,
    sources: Sources,
    *,
    models: int,
    share: float,
    seed: int,
    views: Mapping[str, View],
    loop: LoopKind = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Equation 1 of networks that are trained here, `models` of them; in eval mode, on images without augmentation."""
    train = sources["train"]
    labels = np.asarray(train.y)
    in_training = drawn(labels.size, models, share, seed)
    correct = np.zeros_like(in_training)
    ones = train_each(
        recipe,
        model,
        sources,
        [np.flatnonzero(row) for row in in_training],
        keys=jax.random.key(seed),
        seeds=[seed + number for number in range(models)],
        views=views,
        loop=loop,
        progress=progress,
    )
    for one in ones:
        variables = jax.tree.map(jnp.asarray, one.variables)
        answers = logits(model, variables, train, view=views["eval"])
        correct[one.number] = answers.argmax(1) == labels
    return memorisation(in_training, correct)
