"""What was asked for and what was done, in words: the request, the networks, their settings and their certificates."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from junlearn.experiment.effect import guaranteed
from junlearn.experiment.records import SECONDS, Record
from junlearn.plugins import registry
from junlearn.reports.page.configuration import toml
from junlearn.reports.run_page.reported import Experiment

__all__ = ["done", "facts", "request"]

ROLES = {
    "original": "The network before unlearning: trained on all examples, those to be forgotten too.",
    "retrain": "The reference: trained from the start without the examples to be forgotten.",
}


def request(experiment: Experiment) -> list[tuple[str, str]]:
    """What was to be forgotten, of which data, and when."""
    first = experiment.records[0]
    asked: Mapping[str, Any] = first.get("request", {})
    times = sorted(record["time"] for record in experiment.records)
    when = times[0] if times[0] == times[-1] else f"{times[0]} to {times[-1]}"
    told = [
        ("Request", f"{first['scenario']}: {_summary('scenario', first['config']['scenario'])}"),
        ("Settings", _settings(first["config"]["scenario"])),
        ("Examples to forget", f"{asked['forget']:,}" if "forget" in asked else "not recorded"),
        ("Examples to keep", f"{asked['retain']:,}" if "retain" in asked else "not recorded"),
        ("Data", f"{first['dataset']}: {_settings(first['config']['dataset'])}"),
        ("Fingerprint of the data", asked.get("data", "not recorded")),
        ("Hash of the rows", asked.get("rows", "")),
        ("Hash of the ids", asked.get("ids", "")),
        ("Hash of the list", asked.get("list", "")),
        ("List", experiment.listing),
        ("Carried out", when),
    ]
    return [(name, str(text)) for name, text in told if text]


def done(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Of every network: what it is, its settings, its seconds, and what its method guarantees."""
    return [
        {
            "label": record["method"],
            "role": record["role"],
            "what": ROLES.get(record["role"]) or _summary("method", _section(record)),
            "settings": toml(_section(record)).strip(),
            "seconds": list(_seconds(record)),
            "effect": record.get("effect", ""),
            "guarantee": guaranteed(record["certificate"]) if "certificate" in record else "",
            "certificate": list(_flat(record.get("certificate", {}))),
        }
        for record in records
    ]


def facts(records: Sequence[Record]) -> list[tuple[str, str]]:
    """Seeds, versions, devices, hashes: each different one once."""
    found: dict[str, dict[str, None]] = {}

    def add(name: str, text: object) -> None:
        found.setdefault(name, {})[str(text)] = None

    for record in records:
        add("Seed", record["seed"])
        for name, value in record["config"].get("seeds", {}).items():
            if value is not None:
                add(f"Seed of {name}", value)
        add("Device", record["device"])
        add("Products of float32", record.get("matmul_precision", "not recorded"))
        add("Hashes of the networks and metrics", f"{record['method']} {record['config_hash']}")
        for part, mark in record.get("code", {}).items():
            add(f"Code of the {part}", mark)
        for package, version in record["versions"].items():
            add(package, version)
    return [(name, ", ".join(texts)) for name, texts in found.items()]


def _section(record: Record) -> Mapping[str, Any]:
    """The settings that made a network."""
    config: Mapping[str, Any] = record["config"]
    if record["role"] == "unlearn":
        section: Mapping[str, Any] = config.get("method", {}).get(record["method"], {})
        return section
    names = ("model", "train") if record["role"] == "original" else ("train",)
    return {name: config[name] for name in names if name in config}


def _summary(kind: str, section: Mapping[str, Any]) -> str:
    """A line on a component; nothing on one of a plug-in that is not there."""
    known = registry.listed(kind).get(section.get("name", ""))
    return "" if known is None else known.summary


def _settings(section: Mapping[str, Any]) -> str:
    """The fields of a section that are set, in one line."""
    return ", ".join(
        f"{name} = {json.dumps(value, ensure_ascii=False)}"
        for name, value in section.items()
        if name != "name" and value is not None
    )


def _seconds(record: Record) -> Iterator[tuple[str, str]]:
    names = {"run": "steps", "compile": "compilation", "evaluate": "looks at its progress"}
    for name in SECONDS:
        if name in record["seconds"]:
            yield names.get(name, name), f"{record['seconds'][name]:.2f}"
    for stage, seconds in record.get("stages", {}).items():
        yield f"stage {stage}", f"{seconds:.2f}"


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name} ")
        elif isinstance(value, list):
            yield f"{prefix}{name}", ", ".join(map(str, value))
        else:
            yield f"{prefix}{name}", str(value)
