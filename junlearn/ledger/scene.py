"""What a ledger works on: the data without all that was deleted, the networks, and the settings of `config.json`."""

import hashlib
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from junlearn.engine.run import place
from junlearn.errors import ConfigError, DamagedError
from junlearn.experiment import original_file, schema
from junlearn.experiment.progress import Reporter
from junlearn.experiment.resolved import NamedConfig, Resolved, method_of
from junlearn.experiment.schema import plain, thing_of
from junlearn.experiment.setup import SCENARIO, Setup, key_for, network_of, read, seeds_of
from junlearn.ledger import roll
from junlearn.ledger.names import Names, names_of
from junlearn.ledger.standing import Standing
from junlearn.methods import METHODS, sisa
from junlearn.scenarios.partition import partition
from junlearn.types import Dataset, Model, Split, Variables

__all__ = [
    "CONFIG",
    "Scene",
    "check",
    "config_digest",
    "load",
    "models_of",
    "read_data",
    "resolved",
    "scene_of",
    "without",
]

CONFIG = "config.json"
EXACT = (METHODS["retrain"], sisa)
"""Methods whose networks never saw what was deleted."""
NO_LABEL = -1
"""The label of what was deleted."""


class Scene(NamedTuple):
    """What a ledger works on, at one moment."""

    setup: Setup
    """Its split forgets nothing, and retains all that was not deleted."""
    model: Model
    """The network that is in use: `setup.model`, or all shards of SISA together."""
    label: str
    section: NamedConfig
    """The method's section."""

    @property
    def thing(self) -> Any:
        """The method."""
        return thing_of(self.section)

    @property
    def exact(self) -> bool:
        """Whether the method retrains."""
        return self.thing in EXACT

    @property
    def shapes(self) -> Variables:
        """Tree and shapes of a network."""
        x = self.model.example(self.setup.sources)
        return jax.eval_shape(self.model.init, jax.random.key(0), x)

    def split(self, rows: Collection[int]) -> Split:
        """The Split that forgets `rows` beside what was deleted. Raises ConfigError where nothing is retained."""
        setup = self.setup
        marks = np.zeros(setup.sources["train"].y.shape[0], bool)
        marks[list(rows)] = True
        none = np.zeros(setup.sources["test"].y.shape[0], bool)
        retain = setup.split.retain[~marks[setup.split.retain]]
        if not len(retain):
            raise ConfigError("nothing would be left to retain")
        made = partition(marks, none, key_for(setup.seeds["scenario"], SCENARIO))
        return made._replace(retain=retain)


def load(directory: Path, digest: str) -> Resolved:
    """The experiment of a ledger. Raises DamagedError where `config.json` is not the file that line 1 names."""
    path = directory / CONFIG
    if config_digest(path) != digest:
        raise DamagedError(f"{path} is not as it was when the ledger began (line 1)")
    return schema.parse(schema.read(path))


def config_digest(path: Path) -> str:
    """SHA-256 of a file. Raises DamagedError where it is missing."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise DamagedError(f"{path} (line 1) is missing") from None


def check(experiment: Resolved) -> None:
    """Raise ConfigError for an experiment that no ledger can be made of."""
    labels = experiment.methods
    if len(labels) != 1:
        raise ConfigError(
            f"a ledger has one method, and the configuration has {len(labels)} ({', '.join(labels)}): choose one with "
            "--methods NAME"
        )
    if thing_of(method_of(experiment, labels[0])) is METHODS["naive"]:
        raise ConfigError("a ledger with the method 'naive' would delete nothing: choose another")
    if thing_of(experiment.scenario).manipulates:
        raise ConfigError(
            f"a ledger takes the data as they are, and the scenario {experiment.scenario.name!r} changes them"
        )
    if experiment.loop.distributed or experiment.loop.devices == "all":
        raise ConfigError('a ledger is kept by one process on one device (loop.devices = "one")')


def scene_of(
    experiment: Resolved,
    data: tuple[Dataset, Dataset | None],
    deleted: Collection[int] = (),
) -> Scene:
    """What a ledger of this experiment works on, after the rows `deleted`."""
    dataset, surrogate = data
    dataset = without(dataset, deleted)
    kept = np.ones(len(dataset.sources["train"].y), bool)
    kept[list(deleted)] = False
    tests = np.arange(len(dataset.sources["test"].y))
    none = np.zeros(0, int)
    split = Split(none, np.flatnonzero(kept), none, tests)
    base, model = models_of(experiment, len(dataset.classes), dataset.input_shape)
    sources = place(dataset.sources, None)
    seeds = seeds_of(experiment)
    setup = Setup(experiment, dataset, base, split, sources, seeds, None, surrogate)
    label = experiment.methods[0]
    return Scene(setup, model, label, method_of(experiment, label))


def models_of(
    experiment: Resolved, classes: int, input_shape: tuple[int, int, int]
) -> tuple[Model, Model]:
    """The network that is trained, and the one that is in use."""
    section = original_file.model_section(experiment)
    base = network_of(section, classes, input_shape, experiment.precision)
    method: Any = method_of(experiment, experiment.methods[0])
    if thing_of(method) is sisa:
        # The names that PyTorch has are of one network, and not of several side by side.
        together = sisa.ensemble(base, method.shards, method.aggregate)
        return base, together._replace(tables=())
    return base, base


def without(dataset: Dataset, rows: Collection[int]) -> Dataset:
    """The dataset with nothing in the place of `rows`: black images and a label that no class has.

    The rows keep their places, so that all others keep their numbers. No method and no metric is given them to read;
    this is for code that would read them all the same.
    """
    if not rows:
        return dataset
    train = dataset.sources["train"]
    gone = list(rows)
    x, y = np.array(train.x), np.array(train.y)
    x[gone], y[gone] = 0, NO_LABEL
    return dataset._replace(sources={**dataset.sources, "train": train._replace(x=x, y=y)})


def read_data(
    experiment: Resolved,
    directory: Path,
    standing: Standing,
    cache_dir: str | None,
    reporter: Reporter,
) -> tuple[Dataset, Dataset | None, Names, dict[int, int]]:
    """The data of a ledger, the surrogate's, their names, and row -> number of the line that deleted it.

    Every example is in the row that it had when the ledger began. What was deleted may be gone from the dataset; raises
    ConfigError where anything else is not what it was.
    """
    dataset, surrogate = read(experiment, cache_dir, reporter)
    about, salt = standing.first["dataset"], standing.first["salt"]
    names = names_of(dataset, salt)
    if dataset.fingerprint == about["fingerprint"]:
        return dataset, surrogate, names, names.known(standing.deleted)
    digest = standing.first["roll"]
    others = roll.other_digests(dataset), list(dataset.classes)
    if digest is None or others != (about["other_digests"], about["classes"]):
        raise ConfigError(
            f"the data are not those that the ledger began with: {dataset.name} has the fingerprint "
            f"{dataset.fingerprint}, and line 1 says {about['fingerprint']} ({about['train']:,} training images)"
        )
    began = roll.read(directory, digest)
    known = names.known(standing.deleted, began.names)
    dataset = roll.restored(began, dataset, names, known)
    return dataset, surrogate, names_of(dataset, salt), known


def resolved(experiment: Resolved) -> Any:
    """The experiment as `config.json` has it: its scenario names rows, and there is no retrained reference."""
    table = {name: part for name, part in plain(experiment).items() if name != "audit"}
    none = {"reference": False, "references": 1}
    return schema.parse(table | {"scenario": {"name": "rows"}, **none})
