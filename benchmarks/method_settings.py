"""How every method is run in `runs.py`: its defaults where they fit MNIST, and what else with the reason."""

from dataclasses import dataclass, field
from typing import Any

from junlearn import METHODS

__all__ = ["Setting", "recipe", "settings"]

TINY: tuple[str, dict[str, Any]] = ("small_cnn", {"channels": (4, 8), "embedding": 16})
"""A network whose Jacobian on a class of images fits into memory."""
LINEAR: tuple[str, dict[str, Any]] = ("mlp", {"hidden": ()})
PLAIN: tuple[str, dict[str, Any]] = ("mlp", {})
"""A network without running statistics."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How a method is run here."""

    fields: dict[str, Any] = field(default_factory=dict)
    """What differs from the defaults of its `Config`."""
    why: str = "its defaults fit"
    model: tuple[str, dict[str, Any]] | None = None
    """Another network than that of the other methods."""


def recipe(epochs: int) -> dict[str, Any]:
    """Of the original and of the reference: as in configs/quick/mnist_class.toml."""
    return {
        "epochs": epochs,
        "learning_rate": 3e-3,
        "schedule": "cosine",
        "warmup_epochs": 0.1,
    }


def settings(epochs: int = 2) -> dict[str, Setting]:
    """The setting of every method, for originals trained for `epochs`; its defaults where none stands here."""
    surrogates = {"batch_size": 128, "surrogate_batch_size": 128, "signed": True}
    own = {
        "amun": Setting(fields={"epochs": 1}, why="10 epochs over all data; one"),
        "certified_newton": Setting(
            fields={"repeats": 1}, why="10 repeats of 1,000 steps of 10 images; one"
        ),
        "cf_k": Setting(
            fields={"steps": None, "epochs": 1, "batch_size": 128},
            why="1,000 batches of 512 are for CIFAR-10; one epoch",
        ),
        "cfw": Setting(fields={"epochs": 2}, why="4 epochs over the retain set; two"),
        "ct": Setting(fields={"epochs": 2}, why="3 epochs over the retain set; two"),
        "duck": Setting(
            fields={"epochs": 2, "batch_size": 128},
            why="30 epochs of batches of 1,024 are for CIFAR-10",
        ),
        "emmn": Setting(fields={"copies": 20}, why="80 copies make 1,600 steps of 4 images"),
        "eu_k": Setting(
            fields={"steps": None, "epochs": epochs, "batch_size": 128},
            why="4,000 batches of 512 are for CIFAR-10; as long as the original was trained",
        ),
        "fcs": Setting(
            fields={"epochs": 1}, why="8 epochs of contrast and repair over the retain set; one"
        ),
        "finetune": Setting(
            fields={"epochs": 1, "batch_size": 128, "learning_rate": 0.05},
            why="as in configs/quick/mnist_class.toml",
        ),
        "fisher": Setting(fields={"batch_size": 128}, why="the same sum, in fewer steps"),
        "gkt": Setting(fields={"pseudo_batches": 5}, why="1,000 cycles of 17 steps take an hour"),
        "influence": Setting(
            fields={"count": 1000, "iterations": 20},
            why="up to 100 passes over the retain set; 20 over a sample of it",
        ),
        "kde": Setting(
            fields={"warmup_epochs": 1, "epochs": 1},
            why="3 epochs over the retain set; one",
        ),
        "l1_sparse": Setting(
            fields={"epochs": 1, "batch_size": 128}, why="10 epochs over the retain set; one"
        ),
        "laf": Setting(
            fields={"epochs": 4, "vae_epochs": 2},
            why="20 epochs of unlearning and 10 of the autoencoders, a fifth of both",
        ),
        "langevin": Setting(
            fields={"learn_epochs": epochs, "unlearn_epochs": epochs},
            why="a linear network; 100 epochs of learning",
            model=LINEAR,
        ),
        "model_clipping": Setting(
            fields={"epochs": epochs}, why="epochs as the original; no BatchNorm", model=PLAIN
        ),
        "msg": Setting(
            fields={"epochs": 3, "batch_size": 128}, why="5 epochs over the retain set; three"
        ),
        "munba": Setting(
            fields={"epochs": 1, "batch_size": 128, "forget_batch_size": 128},
            why="10 epochs over the retain set; one",
        ),
        "neggrad": Setting(
            fields={"epochs": 2, "batch_size": 128, "stop_at_chance": True, "check_every": 2},
            why="as in configs/quick/mnist_class.toml; without the stop its loss becomes NaN",
        ),
        "neggrad_plus": Setting(fields={"epochs": 1}, why="5 epochs over the retain set; one"),
        "negmerge": Setting(
            fields={"learning_rate": 1e-3, "seeds": 2},
            why="three candidates of each rate; two, at rates that move a small CNN",
        ),
        "noisy_finetune": Setting(
            fields={"epochs": epochs}, why="epochs as the original; no BatchNorm", model=PLAIN
        ),
        "ntk": Setting(
            fields={"retain_count": 200},
            why="the Jacobian of all images, or of the larger network, does not fit into memory",
            model=TINY,
        ),
        "orthograd": Setting(
            fields={"epochs": 1, "target_accuracy": 0.1, "check_every": 10},
            why="one epoch of 5, and no further than chance: its ascent has no end",
        ),
        "output_perturbation": Setting(
            fields={"epochs": epochs}, why="epochs as the original; no BatchNorm", model=PLAIN
        ),
        "prmq": Setting(fields={"passes": 2.0}, why="3.2 passes over the retain set; two"),
        "random_labels": Setting(fields={"epochs": 1}, why="as in configs/quick/mnist_class.toml"),
        "retrain": Setting(fields=recipe(epochs), why="as the original was trained"),
        "rni": Setting(
            fields={"epochs": 2, "fine_rates": (2e-4,)},
            why="9 epochs over the retain set, 4 of them fine; three, one of them fine",
        ),
        "rum": Setting(
            fields={
                "parts": (
                    "naive",
                    "finetune epochs=1 batch_size=128 learning_rate=0.05",
                    "salun epochs=1 batch_size=128",
                )
            },
            why="10 epochs and then 5 over the data; one of each",
        ),
        "salun": Setting(
            fields={"epochs": 1, "batch_size": 128},
            why="10 epochs over all data; one",
        ),
        "scar": Setting(
            fields={"epochs": 3, **surrogates},
            why="30 epochs of batches of 1,024 are for CIFAR-10; laf_cnn's embedding can be negative",
        ),
        "scar_self": Setting(
            fields={"epochs": 2, "distil_without": True, **surrogates},
            why="as of scar; a network that saw little takes no surrogate image for the class, and is refused without",
        ),
        "scissorhands": Setting(
            fields={"epochs": 1, "batch_size": 128, "forget_batch_size": 128},
            why="10 epochs over the retain set; one",
        ),
        "scrub": Setting(fields={"epochs": 2, "max_epochs": 1}, why="10 epochs; one of each kind"),
        "sfron": Setting(
            fields={"steps": 400}, why="1,500 steps are for CIFAR-10; an epoch of MNIST is 422"
        ),
        "sisa": Setting(
            fields={"epochs": 1}, why="it trains all its networks before it can forget"
        ),
        "uam": Setting(
            fields={"epochs": 1, "batch_size": 128, "forget_batch_size": 128},
            why="5 epochs over the retain set; one",
        ),
        "unrolling": Setting(fields={"epochs_seen": epochs}, why="those of the original"),
    }
    return {name: own.get(name, Setting()) for name in METHODS}
