"""The side of supreme-unlearning in `peers.py`: one of its methods on the network and the images that we have too.

Each method is the function that the package's registry names, called with what its driver would pass: Lightning Fabric
on the CPU, the package's own data loaders, and for what the driver takes from the command line the arguments of the
pair. Images are tensors in memory, and the loaders start no processes (`SCALENE`, the package's own switch): on a small
network both save it seconds. Of the test images, which its training loop judges after every epoch, it is given 64.
"""

import copy
import importlib
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric
from peer_pairs import BATCH, Pair
from peer_problem import LAYERS, Problem
from torch import Tensor, nn
from torch.utils.data import Dataset, Subset
from torch_models import LafCnn

os.environ["SCALENE"] = "1"

import supreme
from supreme.registry import resolve_callable_location
from supreme.utils.generic_utils import create_dataloader
from supreme.utils.training.training_utils import fit_one_learning_cycle

__all__ = ["Supreme"]

JUDGED = 64
"""Test images that its training loop is given."""
DATASET = "Problem"


class Images(Dataset):
    """Triples (image [C,28,28], row, label), as the package's data sets are made of."""

    def __init__(self, x: np.ndarray, y: np.ndarray, channels: int) -> None:
        self.x = pixels(x).repeat(1, channels, 1, 1)
        self.targets = y.tolist()

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, row: int) -> tuple[Tensor, int, int]:
        return self.x[row], row, self.targets[row]


class FirstChannel(nn.Module):
    """A network that reads the first channel of its images: the noise of UNSIR has three."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x[:, :1])


class Supreme:
    """Everything up to the call of the method."""

    versions = ("supreme-unlearning", "torch", "lightning", "numpy")
    ends = ()

    def __init__(
        self, problem: Problem, weights: dict[str, np.ndarray], pair: Pair, seed: int
    ) -> None:
        self.problem, self.pair, self.seed = problem, pair, seed
        self.fabric = Fabric(accelerator="cpu", devices=1, precision="32-true")
        self.fabric.launch()
        self.network = LafCnn()
        self.network.load_state_dict(renamed(weights))
        self.three = pair.theirs == "unsir"
        channels = 3 if self.three else 1
        self.train = Images(problem.x, problem.y, channels)
        self.test = Images(problem.test_x, problem.test_y, channels)
        if pair.theirs == "retrain":
            kind = "baseline"
            epochs = pair.arguments["epochs"]
            supreme.register_dataset(DATASET, Images, rn_epochs=epochs, rn_milestones=[])
        else:
            kind = "unlearning_method"
        place, name = resolve_callable_location(kind, pair.theirs)
        self.method: Callable[..., Any] = getattr(importlib.import_module(place), name)
        if pair.theirs == "neg_grad":
            self.method = ascend

    def run(self, number: int) -> nn.Module:
        """Call `number` of the method."""
        self.fabric.seed_everything(self.seed + number)
        network: nn.Module = copy.deepcopy(self.network)
        if self.three:
            network = FirstChannel(network)
        classes = self.problem.classes
        after = self.method(
            fabric=self.fabric,
            num_gpus=1,
            wandb_logging_flag=False,
            model=network,
            type_of_unlearning_strategy="fullclass" if classes else "random_",
            forget_label_id=classes[0] if classes else None,
            num_labels=10,
            model_name="LafCnn",
            dataset_name=DATASET,
            trainset=self.train,
            unlearning_teacher=self.fabric.setup(LafCnn()),
            **self.loaders(),
            **self.pair.arguments,
        )
        after = getattr(after, "module", after)
        return after.network if self.three else after

    def loaders(self) -> dict[str, Any]:
        """All that a method may ask for; where nothing is trained, all images in their order, the forget set last."""
        problem = self.problem
        trains = not self.pair.theirs.startswith(("ssd", "lfssd", "assd", "jit"))
        judged = Subset(self.test, range(min(JUDGED, len(self.test))))
        rows = {
            "retain_train_dataloader": Subset(self.train, problem.retain.tolist()),
            "forget_train_dataloader": Subset(self.train, problem.forget.tolist()),
            "full_train_dataloader": Subset(
                self.train, np.concatenate([problem.retain, problem.forget]).tolist()
            ),
            "retain_test_dataloader": judged,
            "forget_test_dataloader": judged,
        }
        return {
            name: self.fabric.setup_dataloaders(
                create_dataloader(data, BATCH, is_training=trains and data is not judged)
            )
            for name, data in rows.items()
        }

    def logits(self, network: nn.Module | None, x: np.ndarray) -> np.ndarray:
        """Of images, under `network` or (None) the original one."""
        used = (self.network if network is None else network).eval()
        with torch.no_grad():
            parts = pixels(x).split(1_000)
            return np.concatenate([used(part).numpy() for part in parts])


def ascend(
    *,
    fabric: Fabric,
    num_gpus: int,
    wandb_logging_flag: bool,
    model: nn.Module,
    forget_train_dataloader: Any,
    forget_test_dataloader: Any,
    lr: float,
    epochs: int,
    **others: Any,
) -> nn.Module:
    """Its `neg_grad`, which is a call of this loop, with a rate of one's own."""
    after, _ = fit_one_learning_cycle(
        fabric=fabric,
        num_gpus=num_gpus,
        epochs=epochs,
        model=model,
        train_dataloader=forget_train_dataloader,
        test_dataloader=forget_test_dataloader,
        lr=lr,
        milestones=None,
        wandb_logging_flag=wandb_logging_flag,
        neggrad_flag=True,
    )
    return after


def pixels(x: np.ndarray) -> Tensor:
    """uint8[N,H,W,C] -> float32[N,C,H,W] in [0, 1]."""
    return torch.from_numpy(x).permute(0, 3, 1, 2).contiguous().float() / 255


def renamed(weights: dict[str, np.ndarray]) -> dict[str, Tensor]:
    """A `state_dict` of `torch_models.LafCnn`."""
    found = {}
    for name, value in weights.items():
        layer, kind = name.rsplit(".", 1)
        found[f"{LAYERS[layer]}.{kind}"] = torch.from_numpy(value)
    return found
