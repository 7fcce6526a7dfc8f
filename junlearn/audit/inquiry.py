"""What an audit is about: a network and its recipe, the data, the request, and the methods that are judged."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jax.sharding import Mesh

from junlearn.engine.settings import LoopKind
from junlearn.errors import ConfigError
from junlearn.experiment.auditing import Auditing
from junlearn.experiment.identity import Identity
from junlearn.experiment.schema import digest
from junlearn.methods import retrain
from junlearn.types import Model, Sources, Split, View

__all__ = ["Contender", "Inquiry", "Rows", "labels_of", "rows_of"]

SPLITS = ("forget", "retain", "test")


class Contender(NamedTuple):
    """A method that is judged."""

    label: str
    name: str
    thing: Any
    """The method: it has `Config`, `make` and `NEEDS`."""
    config: Any
    identity: Identity
    """What determines what it makes of a network, beside the network."""
    code: Mapping[str, str]

    @property
    def folder(self) -> str:
        """Where in a bank its networks are kept."""
        return f"unlearned/{self.name}-{digest(self.identity)}"


class Rows(NamedTuple):
    """The examples on which networks are compared."""

    forget: np.ndarray
    """int[] into "train": all that is forgotten; in the design random the targets."""
    retain: np.ndarray
    """int[] into "train": a sample of what is kept."""
    test: np.ndarray
    """int[] into "test"."""

    def columns(self) -> dict[str, np.ndarray]:
        """Where each part lies in the outputs of a file that has just these examples."""
        ends = np.cumsum([len(part) for part in self])
        starts = [0, *ends[:-1]]
        return {n: np.arange(a, b) for n, a, b in zip(SPLITS, starts, ends, strict=True)}


class Inquiry(NamedTuple):
    """All that networks are trained, unlearned and looked at with."""

    model: Model
    sources: Sources
    views: Mapping[str, View]
    split: Split
    recipe: retrain.Config
    contenders: tuple[Contender, ...]
    seeds: Mapping[str, int]
    """Of the `order`, the `initialisation` and the `method`, as in an experiment."""
    loop: LoopKind
    original: Identity
    """What determines an original network, its place in the stream of seeds apart."""
    request: Identity
    """What determines a retrained one."""
    code: Mapping[str, str]
    """Digest of the code that trains."""
    about: Mapping[str, Any]
    """Names for records: dataset, model, scenario, seed, config (resolved), and `classes` for pages."""
    pool: np.ndarray
    """int[] into "train": what the targets of the design random are drawn from, ascending."""
    mesh: Mesh | None = None
    """The devices that networks are spread over; None: they are on one."""


def rows_of(inquiry: Inquiry, auditing: Auditing) -> Rows:
    """The forget set, a sample of the retain set that `audit.seed` draws, and the test set.

    Raises ConfigError where there is nothing to forget.
    """
    split = inquiry.split
    if not len(split.forget):
        raise ConfigError("audit: the forget set is empty: there is nothing to judge")
    count = min(auditing.retain_rows, len(split.retain))
    rng = np.random.default_rng((auditing.seed, 0))
    sample = np.sort(rng.choice(split.retain, count, replace=False))
    test = inquiry.sources["test"].y.shape[0] if "test" in inquiry.sources else 0
    return Rows(np.sort(split.forget), sample, np.arange(test))


def labels_of(inquiry: Inquiry, rows: Rows) -> dict[str, np.ndarray]:
    """The labels that training sees, of each part of the rows."""
    train = np.asarray(inquiry.sources["train"].y)
    test = np.asarray(inquiry.sources["test"].y) if "test" in inquiry.sources else np.zeros(0, int)
    return {"forget": train[rows.forget], "retain": train[rows.retain], "test": test[rows.test]}
