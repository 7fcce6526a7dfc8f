"""What a network or a record is named by: all that determines its numbers.

An identity is a plain dict: the sections of the configuration that count, the fingerprint of the data, the seeds. Its
digest names a network in the cache and in a run's directory; that of the networks and metrics of a record is its
`config_hash`. Versions, code and device are in no identity: they stand beside what was made
(`junlearn.experiment.provenance`), so that it is found again and the difference is said. The code is known by digests
of source files (`junlearn.engine.code_digest`); which files make a network or its metrics is said here.
"""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple, get_args, get_type_hints

from msgspec import Meta

from junlearn import metrics, outputs
from junlearn.datasets import DATASETS
from junlearn.engine import run
from junlearn.engine.code_digest import code_digest
from junlearn.experiment import original_file
from junlearn.experiment.resolved import NamedConfig, Resolved, surrogate_of
from junlearn.experiment.schema import described, digest, plain, thing_of
from junlearn.experiment.setup import Setup, seeds_of
from junlearn.methods import METHODS
from junlearn.metrics import Metric
from junlearn.models.weights import file_digest
from junlearn.parts import refinement
from junlearn.plugins.registry import metrics_of
from junlearn.plugins.source import is_own, module_name, source_digest

__all__ = [
    "Identities",
    "Identity",
    "another",
    "code_of",
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
"""Fields of a dataset's section that say where it lies, not what it is; those that name a `File` are others."""

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
    before: "Identities | None" = None
    """Of the networks after the request before, in a stream."""

    def unlearned(self, config: NamedConfig) -> Identity:
        """Of what a method with this section leaves."""
        return self.methods | self._begun(config) | {"method": method_identity(config)}

    def stages(
        self, config: NamedConfig, read_at_finish: Collection[str], after: NamedConfig | None = None
    ) -> Identity:
        """Of what the stages of a method leave: without the fields that its `finish` alone reads.

        In a stream they begin from what the section `after` (None: the same) left of the request before.
        """
        section = method_identity(config)
        early = {name: section[name] for name in section if name not in read_at_finish}
        return self.methods | self._begun(after or config) | {"method": early}

    def _begun(self, config: NamedConfig) -> Identity:
        """Of the network that a method goes on from, where that is not the original."""
        return {} if self.before is None else {"from": digest(self.before.unlearned(config))}


def identities(setup: Setup) -> Identities:
    """Of all networks of an experiment; of a stream those after the request `setup.number`."""
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
    if setup.number == 0:
        return Identities(trained | file, retrain, methods)
    rows, classes = digest(setup.asked.forget.tolist()), list(setup.asked.classes)
    methods |= {"request": {"rows": rows, "classes": classes}}
    before = identities(setup.at(setup.number - 1)) if setup.number > 1 else None
    return Identities(trained | file, retrain, methods, before)


def another(retrain: Identity, number: int) -> Identity:
    """Of the retrained network `number` of several, from 2 on; the first is `retrain`."""
    return retrain | {"reference": number}


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
    """The section of the scenario; where a file names what is forgotten, the rows that it names in its place.

    Where scores choose it, what determines these stands beside the rows: another device can give other scores. All that
    a stream has deleted so far is named as if a file named it: it is the same network that is retrained.
    """
    section = _section(setup.experiment.scenario)
    rows = digest(setup.split.forget.tolist())
    if setup.scores:
        return section | {"scores": setup.scores, "rows": rows}
    if setup.requests:
        return {"name": "rows", "rows": rows}
    return {"name": section["name"], "rows": rows} if "file" in section else section


def surrogate_identity(setup: Setup) -> Identity:
    """The surrogate images as a part of what determines a method's numbers; empty where there are none."""
    if setup.surrogate is None:
        return {}
    section = without_location(described(surrogate_of(setup.experiment)))
    return {"surrogate": section | {"fingerprint": setup.surrogate.fingerprint}}


def model_identity(config: NamedConfig) -> Identity:
    """The section of a model, with the content of its file of weights in the place of the path."""
    return _by_content(config, _as_before(described(config)))


def method_identity(config: NamedConfig) -> Identity:
    """The section of a method, with the content of its files in the place of their paths."""
    return _by_content(config, described(config))


def _by_content(config: Any, section: dict[str, Any]) -> dict[str, Any]:
    """What a field names in the place of its name: the content of a `File`, the settings of a `MethodText`."""
    section = dict(section)
    for field, hint in get_type_hints(type(config), include_extras=True).items():
        value, names = section.get(field), _names(hint)
        if value and "file" in names:
            section[field] = file_digest(value)
        elif value and "method" in names:
            section[field] = [_part(text) for text in value]
    return section


def _part(text: str) -> dict[str, Any]:
    method, config = refinement.read(text, METHODS, "parts")
    return {"name": method} | _by_content(config, plain(config))


def _names(hint: Any) -> set[str]:
    """What the texts of a field name, if they name something."""
    marks = (m.extra for m in getattr(hint, "__metadata__", ()) if isinstance(m, Meta))
    found = {extra["names"] for extra in marks if extra and "names" in extra}
    return found.union(*(_names(part) for part in get_args(hint)))


def without_location(section: dict[str, Any]) -> dict[str, Any]:
    """The section of a dataset without the fields that say where it lies: its fingerprint says what is there."""
    own = DATASETS.get(section.get("name", ""))
    hints = {} if own is None else get_type_hints(own.Config, include_extras=True)
    files = [name for name in hints if "file" in _names(hints[name])]
    where = (*LOCATION_FIELDS, *files)
    return _as_before({name: value for name, value in section.items() if name not in where})


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


def record_hash(setup: Setup, network: Identity, reference: Identity | None) -> str:
    """The `config_hash` of a record: of a network, the retrained one if there is one, and how both are judged.

    In a stream every network is judged after each request, the original too: on what is forgotten by then.
    """
    asked = {"network": network, "reference": reference, **judgement(setup.experiment)}
    return digest(asked | ({"judged": _request(setup)} if setup.number else {}))


def network_code(setup: Setup, method: Any) -> dict[str, str]:
    """The digest of the code that makes a network: its method, what trains the original, the model, the loop, the data
    that a scenario manipulates.
    """
    return code_of(setup.experiment, method)


def code_of(experiment: Resolved, method: Any) -> dict[str, str]:
    """The same of an experiment whose data have not been read."""
    scenario = thing_of(experiment.scenario)
    makers = [method, METHODS["retrain"], thing_of(experiment.model)]
    if scenario.manipulates:
        makers.append(scenario)
    return {"network": code_digest({run.__name__, *map(module_name, makers)})}


def metric_code(functions: Mapping[str, Metric]) -> dict[str, str]:
    """The digest of the code that gives the values of these metrics."""
    return {"metrics": code_digest([outputs.__name__, *metrics.modules(functions)])}
