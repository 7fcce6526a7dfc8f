"""CT (convolution transpose): turn the kernels of all convolutions over, and repair the network on the retain set.

Setting: retain images and labels.

    (1)  K[i, j, c, o] <- K[j, i, c, o]  for every convolution kernel (rows and columns of the window change places)
    (2)  minimise  mean CE(f_theta(x), y)  over D_r, train mode;  rate in epoch e = 0, 1, .. of E:
         eta (1 + cos(pi e / E)) / 2

Kernels of 1x1 stay as they are: a network without others is fine-tuned and no more. Running statistics of BatchNorm do
not change in (1), and follow the new maps in (2). A kernel that is not square would have another shape: it is refused,
and so is a network without convolutions, a vision transformer whose patches are cut out and multiplied by a matrix
among them. Of one that has a convolution for its patches only this one changes.

Defaults (the entry of the NeurIPS 2023 unlearning challenge, as in the comparison below):

    optimizer        "sgd"
    learning_rate    0.001
    momentum         0.9
    weight_decay     0.0005
    epochs           3
    steps            None
    overshoot        False
    batch_size       64
    schedule         "epoch_cosine"
    warmup_epochs    0.0
    milestones       ()
    decay            0.2
    augment          False
    keep             "last"
    label_smoothing  0.0

The comparison searched rate and decay in 0.00001..0.1 for every dataset; the values that it found are not published.

Reference: Cadet, Borovykh, Malekzadeh, Ahmadi-Abhari, Haddadi, Deep Unlearn, arXiv 2410.01276 (there "CT").
"""

from dataclasses import dataclass

import jax

from junlearn.errors import ConfigError
from junlearn.fields import BatchSize, Epochs, NonNegative, Positive
from junlearn.parts.descent import Descent
from junlearn.parts.layers import convolutions
from junlearn.parts.optimizers import ScheduleKind
from junlearn.parts.recipe import Supervised, fit
from junlearn.types import Array, Key, Method, Model, PyTree, Range, Sources, Space, Variables

__all__ = ["NEEDS", "SPACE", "Config", "State", "make", "transposed"]

NEEDS = frozenset({"retain.x", "retain.y"})
"""With the default `Config`; keep="best_test" adds test.x and test.y."""
State = Descent


@dataclass(frozen=True, kw_only=True)
class Config(Supervised):
    """Hyper-parameters of CT."""

    learning_rate: Positive = 1e-3
    weight_decay: NonNegative = 5e-4
    epochs: Epochs = 3
    batch_size: BatchSize = 64
    schedule: ScheduleKind = "epoch_cosine"


# Rate and decay as in the comparison.
SPACE: Space = {
    "learning_rate": Range(1e-5, 0.1, log=True),
    "weight_decay": Range(1e-5, 0.1, log=True),
    "epochs": Range(1, 10),
}


def transposed(params: PyTree) -> PyTree:
    """Equation 1. Raises ConfigError where there is no convolution, and where a kernel is not square."""
    kernels = convolutions(params, "ct")
    for path, array in jax.tree.leaves_with_path(params):
        if array.ndim == 4 and array.shape[0] != array.shape[1]:
            where = jax.tree_util.keystr(path, simple=True, separator=".")
            raise ConfigError(
                f"ct transposes kernels, which must be square: {where} is {array.shape[0]}x{array.shape[1]}"
            )

    def leaf(weights: Array, kernel: bool) -> Array:
        return weights.swapaxes(0, 1) if kernel else weights

    return jax.tree.map(leaf, params, kernels)


def make(config: Config, model: Model) -> Method:
    """Supervised training of the network with transposed kernels on the retain set."""

    def begin(key: Key, variables: Variables, sources: Sources) -> Variables:
        return variables._replace(params=transposed(variables.params))

    return fit(config, model, "repair", begin)
