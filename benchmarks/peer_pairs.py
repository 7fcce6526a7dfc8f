"""Which of our methods is which of a peer's, with which settings: data for `peers.py`, read by both sides.

The settings are those that the peer has no choice in (epochs and rates that its code fixes), and its defaults or small
round numbers elsewhere; ours are set to the same. NumPy and the standard library only: the peer's environment need not
have JAX.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

__all__ = ["BATCH", "PAIRS", "REQUESTS", "Pair", "pairs_of"]

BATCH = 128
"""Examples in a batch, where the peer does not fix another number."""

REQUESTS = ("class", "random")
"""A digit, or as large a share of all examples."""

SGD = {"optimizer": "sgd", "learning_rate": 0.02, "momentum": 0.9, "weight_decay": 5e-4}
"""What the peer's training loop fixes: momentum and decay; 0.02 is the rate of its fine-tuning."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One method on both sides."""

    ours: str
    fields: Mapping[str, Any]
    """Of our method's `Config`."""
    theirs: str
    """Name in supreme-unlearning's registry."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """That its function is given beside network and data; what is not here is fixed in its code."""
    requests: tuple[str, ...] = REQUESTS
    differs: str = ""
    """What is not the same on their side, and cannot be set so."""
    tiny: Mapping[str, Any] = field(default_factory=dict)
    """Fields of ours that are changed for a dry run."""


SSD_FIELDS = {"importance": "batch", "order": "stored", "batch_size": BATCH, "dampening": 1.0}
JUDGES = "judges 64 test images after every epoch"

PAIRS: Mapping[str, Pair] = MappingProxyType(
    {
        "retrain": Pair(
            ours="retrain",
            fields={**SGD, "epochs": 2, "batch_size": BATCH, "augment": False},
            theirs="retrain",
            arguments={"lr": 0.02, "epochs": 2},
            differs=f"{JUDGES}; on both sides accuracies spread widely over seeds after so few epochs",
        ),
        "finetune": Pair(
            ours="finetune",
            fields={**SGD, "epochs": 5, "batch_size": BATCH},
            theirs="finetune",
            differs=JUDGES,
        ),
        "neggrad": Pair(
            ours="neggrad",
            fields={
                **SGD,
                "learning_rate": 1e-3,
                "epochs": 5,
                "batch_size": BATCH,
                "train_mode": True,
            },
            theirs="neg_grad",
            arguments={"lr": 1e-3, "epochs": 5},
            differs=f"{JUDGES}; run by the loop that it calls, since its fixed rate, 0.02, diverges on both sides",
            tiny={"epochs": 1},
        ),
        "random_labels": Pair(
            ours="random_labels",
            fields={"learning_rate": 1e-4, "epochs": 3, "batch_size": 128},
            theirs="random_labeling",
            differs=JUDGES,
        ),
        "bad_teacher": Pair(
            ours="bad_teacher",
            fields={"learning_rate": 1e-4, "batch_size": 256, "reduction": "element"},
            theirs="bad_teacher",
        ),
        "scrub": Pair(
            ours="scrub",
            fields={
                "learning_rate": 5e-4,
                "weight_decay": 5e-4,
                "epochs": 3,
                "max_epochs": 2,
                "decay_epochs": (2,),
                "forget_batch_size": BATCH,
                "batch_size": BATCH,
            },
            theirs="scrub",
            arguments={
                "optimizer_type": "sgd",
                "sgda_learning_rate": 5e-4,
                "sgda_weight_decay": 5e-4,
                "sgda_epochs": 3,
                "msteps": 2,
                "lr_decay_epochs": [2],
                "smoothing": 0.0,
            },
            differs="computes the distance to the original weights, which has weight 0 here",
        ),
        "ssd": Pair(
            ours="ssd",
            fields={**SSD_FIELDS, "alpha": 10.0},
            theirs="ssd",
            arguments={"selection_weighting": 10.0, "dampening_constant": 1.0},
        ),
        "ssd_exact": Pair(
            ours="ssd",
            fields={"importance": "example", "batch_size": BATCH, "alpha": 5.0},
            theirs="ssd_det",
            arguments={"selection_weighting": 5.0, "dampening_constant": 1.0},
            differs="a backward pass for every example: some 25 ms each, so ask for few (--examples 600 --limit 0)",
        ),
        "lfssd": Pair(
            ours="ssd",
            fields={**SSD_FIELDS, "alpha": 5.0, "loss": "squared_norm", "power": 1},
            theirs="lfssd",
            arguments={"selection_weighting": 5.0, "dampening_constant": 1.0},
        ),
        "assd": Pair(
            ours="ssd",
            fields={**SSD_FIELDS, "threshold": "adaptive"},
            theirs="assd",
            arguments={"selection_weighting": 10.0, "dampening_constant": 1.0},
        ),
        "jit": Pair(
            ours="jit",
            fields={
                "learning_rate": 1e-3,
                "sigma": 0.1,
                "perturbations": 10,
                "batch_size": BATCH,
                "stop_gradient": True,
                "train_mode": True,
                "clip": "batch",
            },
            theirs="jit",
            arguments={"learning_rate": 1e-3, "jit_weighting": 0.1, "n_samples": 10},
        ),
        "unsir": Pair(
            ours="unsir",
            fields={},
            theirs="unsir",
            requests=("class",),
            differs="the gradients that its noise steps leave on the weights enter the first step of Adam, whose steps "
            "are tiny from then on (cleared before it, 3.5 % of the forget set are right, and not 80 %); its noise has "
            f"three channels, of which the network reads one; {JUDGES}",
        ),
    }
)
"""By the name of the row."""


def pairs_of(request: str) -> list[str]:
    """The rows that can be asked for `request`."""
    return [name for name, pair in PAIRS.items() if request in pair.requests]
