"""The original and the retrained network of an experiment: trained once, and shared by all runs below the cache."""

from collections.abc import Sequence
from pathlib import Path

from junlearn.datasets.cache import dataset_cache_dir
from junlearn.engine.checkpoint import Store
from junlearn.engine.run import Result, Staged
from junlearn.experiment import provenance
from junlearn.experiment.identity import Identity, network_code
from junlearn.experiment.locks import exclusive
from junlearn.experiment.progress import Reporter
from junlearn.experiment.provenance import Renewal
from junlearn.experiment.records import SECONDS
from junlearn.experiment.schema import digest
from junlearn.experiment.setup import ORIGINAL, RETRAIN, Setup, key_for, run_options
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
) -> Result:
    """The original or the retrained network, trained or read back; two runs that want the same one take turns.

    An original that comes from a file is the network in it.
    """
    if role == "original" and setup.given is not None:
        return Result(setup.model, setup.given, [], dict.fromkeys(SECONDS, 0.0), {}, {})
    store = Store(shared / digest(identity), digest(identity))
    split = setup.split if role == "retrain" else everything(setup.sources)
    with exclusive(store.directory, waiting=reporter.say), reporter.following(role) as progress:
        code = network_code(setup, METHODS["retrain"])
        provenance.attribute(store, role, code, renewal, reporter.say, about(setup, role))
        result = train(
            setup.experiment.train,
            setup.model,
            setup.sources,
            split,
            key=training_key(setup, role),
            **run_options(setup, progress, store=store, log=log),
        )
    reporter.say(f"{role}: {spent(result)}")
    return result


def training_key(setup: Setup, role: str) -> Key:
    """What the initial weights and the augmentation of the original or the retrained network come from."""
    other = role == "retrain" and setup.experiment.retrain_init == "other"
    return key_for(setup.seeds["initialisation"], RETRAIN if other else ORIGINAL)


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
