"""An audit of an experiment, end to end: networks, judgement, lines and arrays in the directory of the run."""

import json
from pathlib import Path

import numpy as np

from junlearn.audit.carry import carry
from junlearn.audit.filling import fill
from junlearn.audit.inquiry import Contender, Inquiry
from junlearn.audit.kept import Kept
from junlearn.audit.result import Audit
from junlearn.datasets.cache import dataset_cache_dir
from junlearn.engine.precision import matmuls
from junlearn.errors import ConfigError
from junlearn.experiment.auditing import Auditing, check
from junlearn.experiment.execute import prepared
from junlearn.experiment.identity import identities, method_identity, network_code
from junlearn.experiment.locks import exclusive
from junlearn.experiment.original_file import TRAINED
from junlearn.experiment.progress import Reporter
from junlearn.experiment.provenance import Fresh
from junlearn.experiment.resolved import Resolved, method_of
from junlearn.experiment.schema import plain, thing_of
from junlearn.experiment.setup import Setup
from junlearn.experiment.sharding import Shard
from junlearn.experiment.suited import suited
from junlearn.files import replace
from junlearn.methods import METHODS

__all__ = ["audit_experiment", "bank_directory", "check_scenario", "section_of"]


def bank_directory(cache_dir: str | None) -> Path:
    """Where the banks are that all runs share."""
    return dataset_cache_dir(cache_dir).parent / "banks"


def audit_experiment(
    experiment: Resolved,
    workdir: Path,
    cache_dir: str | None,
    reporter: Reporter,
    fresh: Fresh = "nothing",
    shard: Shard | None = None,
) -> Audit:
    """Audit the methods of an experiment: the lines are in `workdir / audit.jsonl`, the arrays beside them.

    What is complete is not computed again, unless `fresh` asks for it; networks are found in the banks below the cache
    directory, and stay. A method that fails does not keep the others from being judged. Raises ConfigError for settings
    that no audit can be made with.

    With `shard` the job makes its part of the networks alone, beside the others, and judges nothing: there are no lines
    then, and nothing is left in `workdir`.
    """
    check_scenario(experiment)
    auditing = section_of(experiment)
    if experiment.loop.distributed:
        raise ConfigError(
            "audit: a bank is filled by one process, on one device or all of its own; several processes share a bank "
            "by running the same command (loop.distributed = false)"
        )
    if experiment.precision != "float32":
        raise ConfigError(
            f'audit: with precision = "{experiment.precision}" logits have steps too coarse to compare laws by; '
            'precision = "float32"'
        )
    if experiment.original != TRAINED:
        raise ConfigError(
            f'audit: original = "{experiment.original}" is a single network, and an audit trains as many as it '
            'compares: original = "trained"'
        )
    with matmuls(experiment.matmul_precision):
        setup = prepared(experiment, cache_dir, reporter)
        inquiry = inquiry_of(setup)
        failures: dict[str, Exception] = {}
        banks = bank_directory(cache_dir)
        if shard is not None:
            fill(inquiry, auditing, banks, shard, reporter, failures.__setitem__)
            return Audit([], {}, failures)
        with exclusive(workdir):
            replace(workdir / "config.json", json.dumps(plain(experiment), indent=2) + "\n")
            kept = Kept(workdir, fresh, reporter)
            done = carry(inquiry, auditing, banks, kept, reporter, failures.__setitem__)
            return done._replace(failures=failures)


def check_scenario(experiment: Resolved) -> None:
    """Raise ConfigError for a scenario of several requests."""
    if thing_of(experiment.scenario).sequence is not None:
        raise ConfigError(
            f"audit: the scenario {experiment.scenario.name} is of several requests, and an audit is of one: choose "
            "another, such as rows"
        )


def section_of(experiment: Resolved) -> Auditing:
    """The section `[audit]` of an experiment, or the defaults of one. Raises ConfigError as `check` does."""
    auditing: Auditing = getattr(experiment, "audit", None) or Auditing()
    check(auditing)
    return auditing


def inquiry_of(setup: Setup) -> Inquiry:
    """What an audit of an experiment is about."""
    experiment = setup.experiment
    names = identities(setup)
    contenders = []
    for label in experiment.methods:
        config = method_of(experiment, label)
        suited(experiment, label, setup.model, setup.sources)
        identity = method_identity(config)
        thing = thing_of(config)
        contenders.append(
            Contender(label, config.name, thing, config, identity, network_code(setup, thing))
        )
    about = {
        "dataset": experiment.dataset.name,
        "model": experiment.model.name,
        "scenario": experiment.scenario.name,
        "seed": experiment.seed,
        "config": plain(experiment),
        "classes": list(setup.dataset.classes),
    }
    request = {name: value for name, value in names.methods.items() if name != "retrain_init"}
    split = setup.split
    # Which examples can be targets: of a request for whole classes or named rows these, else all.
    everything = experiment.scenario.name == "random"
    pool = np.arange(setup.sources["train"].y.shape[0]) if everything else np.sort(split.forget)
    return Inquiry(
        setup.model,
        setup.sources,
        setup.dataset.views,
        split,
        experiment.train,
        tuple(contenders),
        setup.seeds,
        experiment.loop.kind,
        names.original,
        request,
        network_code(setup, METHODS["retrain"]),
        about,
        pool,
        setup.mesh,
    )
