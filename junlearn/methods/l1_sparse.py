"""l1-sparse: train on without the forget set, with a penalty on the size of the weights that fades.

Setting: retain images and labels.

    (1)  minimise  mean CE on D_r  +  gamma_e |theta|_1  over all parameters, from the original weights, train mode
    (2)  gamma_e = l1 (1 - e / (E - E0))  in epoch e = 0, 1, .. < E - E0,  0 in the last E0 = `free_epochs` of E;
         E0 = E: l1 in all of them

The penalty's subgradient is sign(theta), 0 at 0; the weight decay comes beside it (`junlearn.parts.l1`).

Defaults (the release; `l1` as in all scripts of Scissorhands, where it is a baseline):

    optimizer        "sgd"
    learning_rate    0.01
    momentum         0.9
    weight_decay     0.0005
    l1               0.0001
    free_epochs      0
    proximal         False
    epochs           10
    steps            None
    overshoot        False
    batch_size       256
    schedule         "constant"
    warmup_epochs    0.0
    milestones       ()
    decay            0.2
    augment          False
    keep             "last"
    label_smoothing  0.0

The README of the release leaves `l1` open, and the default of its code, 0.2, is the noise of another method and
destroys a network. AMUN's comparison has 0.0005, torchunlearn 0.00001. Swin-T: optimizer="adam", schedule="cosine".

The release makes no exact zeros, in spite of its name: a subgradient step passes over 0. proximal=True, which is ours,
shrinks every weight by the rate times gamma_e after the step instead, and small weights become 0. Pruning
first, the other half of the paper, is another method. With `steps` E is the number of epochs begun.

Reference: Jia, Liu, Ram, Yao, Liu, Liu, Sharma, Liu, NeurIPS 2023 (arXiv 2304.04934).
"""

from dataclasses import dataclass

import optax

from junlearn.errors import ConfigError
from junlearn.fields import BatchSize, NonNegative, Positive, Whole
from junlearn.parts import l1
from junlearn.parts.descent import Descent
from junlearn.parts.recipe import Supervised, fit, length, rate
from junlearn.types import Key, Method, Model, Range, Sources, Space, Variables

__all__ = ["NEEDS", "SPACE", "Config", "State", "make"]

NEEDS = frozenset({"retain.x", "retain.y"})
"""With the default `Config`; keep="best_test" adds test.x and test.y."""
State = Descent


@dataclass(frozen=True, kw_only=True)
class Config(Supervised):
    """Hyper-parameters of l1-sparse."""

    learning_rate: Positive = 0.01
    weight_decay: NonNegative = 5e-4
    l1: NonNegative = 1e-4
    """Weight of the penalty in the first epoch; 0 is fine-tuning."""
    free_epochs: Whole = 0
    """Epochs at the end without the penalty; all of them: the penalty does not fade."""
    proximal: bool = False
    """Shrink the weights after the step, to exact zeros, in the place of the subgradient."""
    batch_size: BatchSize = 256


# l1 around 0.00001 to 0.0005, which others take.
SPACE: Space = {
    "learning_rate": Range(1e-4, 0.1, log=True),
    "l1": Range(1e-6, 1e-2, log=True),
    "epochs": Range(1, 20),
}


def make(config: Config, model: Model) -> Method:
    """Fine-tuning with an optimiser that knows the penalty."""

    def penalty(tx: optax.GradientTransformation, rows: int) -> optax.GradientTransformation:
        epoch, _, made = length(config, rows)
        epochs = -(-made // epoch)
        if config.free_epochs > epochs:
            raise ConfigError(
                f"l1_sparse: free_epochs is {config.free_epochs}, and there are {epochs} epochs"
            )
        weight = l1.coefficient(config.l1, epochs, config.free_epochs, epoch)
        if config.proximal:
            return l1.proximal(tx, weight, rate(config, rows))
        return l1.subgradient(tx, weight)

    def begin(key: Key, variables: Variables, sources: Sources) -> Variables:
        return variables

    return fit(config, model, "finetune", begin, penalty=penalty)
