"""What a network or a record is named by: all that determines its numbers.

An identity is a plain dict: the sections of the configuration that count, the fingerprint of the data, the seeds. Its
digest names a network in the cache and in a run's directory; that of the networks and metrics of a record is its
`config_hash`. Versions, code and device are in no identity: they stand beside what was made
(`junlearn.experiment.provenance`), so that it is found again and the difference is said. The code is known by digests
of source files (`junlearn.experiment.code_digest`); which files make a network or its metrics is said here.
"""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from junlearn import metrics, outputs
from junlearn.engine import run
from junlearn.experiment import original_file
from junlearn.experiment.code_digest import code_digest
from junlearn.experiment.resolved import NamedConfig, Resolved, surrogate_of
from junlearn.experiment.schema import described, digest, plain, thing_of
from junlearn.experiment.setup import Setup, seeds_of
from junlearn.methods import METHODS
from junlearn.metrics import Metric
from junlearn.models.weights import file_digest
from junlearn.plugins.registry import metrics_of
from junlearn.plugins.source import is_own, module_name, source_digest

__all__ = [
    "Identities",
    "Identity",
    "identities",
    "judgement",
    "method_identity",
    "metric_code",
    "model_identity",
    "network_code",
    "original_settings",
    "record_hash",
    "surrogate_identity",
    "without_location",
]

Identity = dict[str, Any]

LOCATION_FIELDS = ("data_dir", "path")
"""Fields of a dataset's section that say where it lies, not what it is."""

LATER = {"crop": None, "epsilon": 1e-12}
"""Fields that sections did not always have, and what held before: left out where they say so, so that networks from
before are found again."""

FORMER_NAMES = {"noisy_labels": "noise"}
"""Scenarios that had another name: what was made under it is found again."""


class Identities(NamedTuple):
    """Of the networks of an experiment."""

    original: Identity
    retrain: Identity
    methods: Identity
    """What those of all methods have in common."""

    def unlearned(self, config: NamedConfig) -> Identity:
        """Of what a method with this section leaves."""
        return self.methods | {"method": method_identity(config)}

    def stages(self, config: NamedConfig, read_at_finish: Collection[str]) -> Identity:
        """Of what the stages of a method leave: without the fields that its `finish` alone reads."""
        section = method_identity(config)
        early = {name: section[name] for name in section if name not in read_at_finish}
        return self.methods | {"method": early}


def identities(setup: Setup) -> Identities:
    """Of all networks of an experiment."""
    experiment = setup.experiment
    section = _request(setup)
    trained = _original(experiment, section) | {
        "fingerprint": setup.dataset.fingerprint,
        "model": model_identity(original_file.model_section(experiment)),
    }
    # The retrained network knows nothing of a file that the original is in.
    file = original_file.identity(experiment)
    request = {"scenario": section, "scenario_seed": setup.seeds["scenario"]}
    retrain = trained | request | {"retrain_init": experiment.retrain_init}
    methods = retrain | file | surrogate_identity(setup) | {"method_seed": setup.seeds["method"]}
    return Identities(trained | file, retrain, methods)


def original_settings(experiment: Resolved) -> Identity:
    """The identity of the original as far as the configuration says it: neither data nor files are read.

    In the place of the data's fingerprint stands what takes examples out of the training set, in that of a file of
    weights its path.
    """
    shares = (experiment.held_out, experiment.validation)
    taken = [*shares, experiment.seed if any(shares) else None]
    file = original_file.file_of(experiment)
    named = {} if file is None else {"given": file}
    return _original(experiment, _section(experiment.scenario)) | {"taken": taken} | named


def _original(experiment: Resolved, request: dict[str, Any]) -> Identity:
    """What both have in common; `request` is the section of the scenario."""
    seeds = seeds_of(experiment)
    settings = {
        "format": 1,
        "dataset": without_location(described(experiment.dataset)),
        "model": _as_before(described(original_file.model_section(experiment))),
        "train": plain(experiment.train),
        "precision": experiment.precision,
        "order": seeds["order"],
        "initialisation": seeds["initialisation"],
    }
    # Left out where it is the usual one: networks from before it was a setting are found again.
    if experiment.matmul_precision != "highest":
        settings["matmul_precision"] = experiment.matmul_precision
    scenario = thing_of(experiment.scenario)
    if scenario.manipulates:
        manipulation = {name: request[name] for name in request if name not in scenario.request}
        settings |= {"scenario": manipulation, "scenario_seed": seeds["scenario"]}
    return settings


def _section(scenario: NamedConfig) -> dict[str, Any]:
    """The section of the scenario, under the name that it had first."""
    section = described(scenario)
    return section | {"name": FORMER_NAMES.get(section["name"], section["name"])}


def _request(setup: Setup) -> dict[str, Any]:
    """The section of the scenario; where a file names what is forgotten, the rows that it names in its place."""
    section = _section(setup.experiment.scenario)
    if "file" not in section:
        return section
    return {"name": section["name"], "rows": digest(setup.split.forget.tolist())}


def surrogate_identity(setup: Setup) -> Identity:
    """The surrogate images as a part of what determines a method's numbers; empty where there are none."""
    if setup.surrogate is None:
        return {}
    section = without_location(described(surrogate_of(setup.experiment)))
    return {"surrogate": section | {"fingerprint": setup.surrogate.fingerprint}}


def model_identity(config: NamedConfig) -> Identity:
    """The section of a model, with the content of its file of weights in the place of the path."""
    return _by_content(_as_before(described(config)), "weights")


def method_identity(config: NamedConfig) -> Identity:
    """The section of a method, with the content of a file of class statistics in the place of the path."""
    return _by_content(described(config), "statistics")


def _by_content(section: dict[str, Any], field: str) -> dict[str, Any]:
    path = section.get(field)
    return section if path is None else section | {field: file_digest(path)}


def without_location(section: dict[str, Any]) -> dict[str, Any]:
    """The section of a dataset without the fields that say where it lies."""
    kept = {name: value for name, value in section.items() if name not in LOCATION_FIELDS}
    return _as_before(kept)


def _as_before(section: dict[str, Any]) -> dict[str, Any]:
    """A section without the fields that came later and say nothing new."""
    return {n: value for n, value in section.items() if n not in LATER or value != LATER[n]}


def judgement(experiment: Resolved) -> dict[str, Any]:
    """All that determines how a network is judged, beside the networks themselves."""
    asked: dict[str, Any] = {
        "metrics": experiment.metrics,
        "train_view": experiment.train_view,
    }
    functions = metrics_of(experiment.metrics).items()
    if others := {name: source_digest(f) for name, f in functions if not is_own(f)}:
        asked["sources"] = others
    # Left out where it is not set: records from before it was a setting are found again.
    return asked if experiment.sample is None else asked | {"sample": experiment.sample}


def record_hash(experiment: Resolved, network: Identity, reference: Identity | None) -> str:
    """The `config_hash` of a record: of a network, the retrained one if there is one, and how both are judged."""
    return digest({"network": network, "reference": reference, **judgement(experiment)})


def network_code(setup: Setup, method: Any) -> dict[str, str]:
    """The digest of the code that makes a network: its method, what trains the original, the model, the loop, the data
    that a scenario manipulates.
    """
    scenario = thing_of(setup.experiment.scenario)
    makers = [method, METHODS["retrain"], thing_of(setup.experiment.model)]
    if scenario.manipulates:
        makers.append(scenario)
    return {"network": code_digest({run.__name__, *map(module_name, makers)})}


def metric_code(functions: Mapping[str, Metric]) -> dict[str, str]:
    """The digest of the code that gives the values of these metrics."""
    return {"metrics": code_digest([outputs.__name__, *metrics.modules(functions)])}
