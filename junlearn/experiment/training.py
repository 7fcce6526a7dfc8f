"""The original and the retrained network of an experiment: trained once, and shared by all runs below the cache."""

from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

from junlearn.datasets.cache import dataset_cache_dir
from junlearn.engine.checkpoint import Store
from junlearn.engine.run import Result, Staged
from junlearn.engine.settings import RunOptions
from junlearn.experiment import provenance
from junlearn.experiment.identity import Identity, network_code
from junlearn.experiment.locks import exclusive
from junlearn.experiment.progress import Reporter
from junlearn.experiment.provenance import Renewal
from junlearn.experiment.records import SECONDS
from junlearn.experiment.schema import digest
from junlearn.experiment.setup import ORIGINAL, REFERENCE, RETRAIN, Setup, key_for, run_options
from junlearn.logs.logger import Logger
from junlearn.methods import METHODS
from junlearn.train import everything, train
from junlearn.types import Key

__all__ = ["about", "shared_directory", "spent", "trained", "training_key"]


def shared_directory(cache_dir: str | None) -> Path:
    """Where networks are that all runs share."""
    return dataset_cache_dir(cache_dir).parent / "models"


def trained(
    setup: Setup,
    role: str,
    identity: Identity,
    shared: Path,
    renewal: Renewal,
    reporter: Reporter,
    log: Sequence[Logger] = (),
    number: int = 1,
) -> Result:
    """The original or the retrained network, trained or read back; two runs that want the same one take turns.

    `number`: which of several retrained networks. An original that comes from a file is the network in it.
    """
    if role == "original" and setup.given is not None:
        return Result(setup.model, setup.given, [], dict.fromkeys(SECONDS, 0.0), {}, {})
    store = Store(shared / digest(identity), digest(identity))
    split = setup.split if role == "retrain" else everything(setup.sources)
    label = role if number == 1 else f"{role} {number}"
    with exclusive(store.directory, waiting=reporter.say), reporter.following(label) as progress:
        code = network_code(setup, METHODS["retrain"])
        told = about(setup, role) | {"label": label}
        provenance.attribute(store, label, code, renewal, reporter.say, told)
        result = train(
            setup.experiment.train,
            setup.model,
            setup.sources,
            split,
            key=training_key(setup, role, number),
            **_ordered(run_options(setup, progress, store=store, log=log), number),
        )
    reporter.say(f"{label}: {spent(result)}")
    return result


def training_key(setup: Setup, role: str, number: int = 1) -> Key:
    """What the initial weights and the augmentation of the original or the retrained network come from."""
    if number > 1:
        return jax.random.fold_in(key_for(setup.seeds["initialisation"], REFERENCE), number)
    other = role == "retrain" and setup.experiment.retrain_init == "other"
    return key_for(setup.seeds["initialisation"], RETRAIN if other else ORIGINAL)


def _ordered(options: RunOptions, number: int) -> RunOptions:
    """The options with an order of the data of its own for each retrained network after the first."""
    if number > 1:
        state = np.random.SeedSequence((options["seed"], REFERENCE, number)).generate_state(1)
        options["seed"] = int(state[0])
    return options


def about(setup: Setup, label: str) -> dict[str, str]:
    """What tells a person, and `cache`, which network lies in a directory."""
    dataset = setup.dataset
    role = label if label in ("original", "retrain") else "unlearn"
    told = {"role": role, "label": label, "dataset": dataset.name}
    return told | {"fingerprint": dataset.fingerprint}


def spent(result: Result | Staged) -> str:
    """The seconds of a run, in words."""
    seconds = result.seconds
    return f"{seconds['run']:.1f} s in steps, {seconds['compile']:.1f} s compiling"
