"""What a configuration can name: methods, models, datasets, scenarios and metrics, in a line each or in full."""

import dataclasses
import inspect
import re
import tomllib
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from junlearn.commands.fieldtable import field_lines, fields_of, plain_fields
from junlearn.errors import ConfigError, unknown
from junlearn.experiment.shipped import FOLDER
from junlearn.metrics.explained import explained
from junlearn.plugins import registry
from junlearn.plugins.contract import summary_of as told_of
from junlearn.plugins.registry import OWN, Listed
from junlearn.text.paragraphs import entry, rewrapped

__all__ = ["KINDS", "Chosen", "chosen", "config_of", "kind_of", "names_of", "summary_of"]

KINDS = ("methods", "models", "datasets", "scenarios", "metrics")
SHOWN = 8
"""Configurations that a page lists."""


class Chosen(NamedTuple):
    """A part of the catalogue."""

    data: dict[str, Any]
    """For programs."""
    text: str
    """For a person, without a line end behind it."""


def chosen(kind: str | None = None, name: str | None = None) -> Chosen:
    """All kinds, all of a kind (in singular or plural), or one thing of it in full. Raises ConfigError."""
    if kind is None:
        everything = {plural: registry.listed(_singular(plural)) for plural in KINDS}
        width = max(map(_width, everything.values()))
        data = {plural: _plain(entries) for plural, entries in everything.items()}
        return Chosen(data, "\n".join(_lines(k, e, width) for k, e in everything.items()))
    plural = _plural(kind)
    if name is None:
        entries = registry.listed(_singular(plural))
        return Chosen(_plain(entries), _lines(plural, entries, _width(entries)))
    if not registry.is_known(_singular(plural), name):
        raise unknown(_singular(plural), name, registry.names(_singular(plural)))
    page = _page(plural, name)
    return Chosen(page | {"fields": plain_fields(page["fields"])}, _text(page))


def names_of(plural: str) -> list[str]:
    """All names of a kind."""
    return registry.names(_singular(plural))


def summary_of(plural: str, name: str) -> str:
    """A line on a thing."""
    return registry.listed(_singular(plural))[name].summary


def kind_of(name: str) -> str | None:
    """The kind of the thing of that name, the methods asked first; None if there is none."""
    return next((plural for plural in KINDS if name in names_of(plural)), None)


def config_of(plural: str, name: str) -> type | None:
    """The dataclass of its fields, with the values of a preset as defaults; metrics have none."""
    config: type | None = getattr(registry.find(_singular(plural), name), "Config", None)
    if config is None:
        return None
    fields = registry.preset_fields(name, config) if plural == "methods" else []
    if not fields:
        return config
    return dataclasses.make_dataclass("Config", fields, bases=(config,), frozen=True, kw_only=True)


def _singular(plural: str) -> str:
    return plural.removesuffix("s")


def _plural(kind: str) -> str:
    for plural in KINDS:
        if kind in (plural, _singular(plural)):
            return plural
    owner = kind_of(kind)
    if owner is not None:
        raise ConfigError(
            f"list {kind}: {kind} is one of the {owner}: list {_singular(owner)} {kind}"
        )
    raise unknown("kind", kind, KINDS)


def _plain(entries: Mapping[str, Listed]) -> dict[str, str]:
    return {name: f"{entry.summary}{_from(entry)}" for name, entry in entries.items()}


def _from(listed: Listed) -> str:
    """Where a name comes from that is not the package's."""
    return "" if listed.origin == OWN else f" [{listed.origin}]"


def _width(entries: Mapping[str, Listed]) -> int:
    """Columns of the names; those of presets stand two further in."""
    return max(len(name) + 2 * (entry.of is not None) for name, entry in entries.items())


def _lines(title: str, entries: Mapping[str, Listed], width: int) -> str:
    """The names of a kind, each preset under its method."""
    lines = [title]
    for name, listed in entries.items():
        if listed.of is not None:
            continue
        lines.append(entry(f"  {name:<{width}} ", f"{listed.summary}{_from(listed)}"))
        for preset, own in entries.items():
            if own.of == name:
                lines.append(entry(f"    {preset:<{width - 2}} ", own.summary))
    return "\n".join(lines)


def _page(plural: str, name: str) -> dict[str, Any]:
    kind = _singular(plural)
    thing, config, listed = (
        registry.find(kind, name),
        config_of(plural, name),
        registry.listed(kind),
    )
    own = listed[name if name in listed else registry.proper(kind, name)]
    space = registry.space_of(name) if kind == "method" else {}
    doc = "" if hasattr(thing, "summary") else inspect.cleandoc(thing.__doc__ or "")
    if hasattr(thing, "summary"):
        doc = _own_doc(thing.Config)
    about = doc.partition("\n\n")[2] if doc.startswith(told_of(thing)) else doc
    # A metric's first paragraph can go on behind its first line.
    if plural == "metrics" and "\n" in doc.partition("\n\n")[0]:
        about = doc.partition("\n")[2]
    return {
        "kind": kind,
        "name": name,
        "summary": own.summary,
        "origin": own.origin,
        "of": own.of,
        "presets": {preset: other.summary for preset, other in listed.items() if other.of == name},
        "needs": sorted(getattr(thing, "NEEDS", ())),
        "about": about.strip(),
        "explained": _explained(name) if plural == "metrics" else None,
        "reference": _reference(doc),
        "fields": [] if config is None else fields_of(config, space),
        "configs": _users(plural, name),
    }


def _explained(metric: str) -> dict[str, Any] | None:
    """What the glossary says of a metric of the package."""
    found = explained(metric)
    return (
        None if found is None else found._asdict() | {"values": [v._asdict() for v in found.values]}
    )


def _own_doc(config: type | None) -> str:
    """A docstring that somebody wrote; dataclasses without one get their signature."""
    doc = inspect.cleandoc((config and config.__doc__) or "")
    return "" if config is None or doc.startswith(f"{config.__name__}(") else doc


def _reference(doc: str) -> str | None:
    """The paper: what the docstring says behind "Reference:", or the first that it names with its number."""
    found = re.search(r"Reference:\s*(.*?)(?=\n\n|\Z)", doc, re.DOTALL)
    found = found or re.search(r"\(([^()]*\barXiv [\d.]+[^()]*)\)", doc)
    return None if found is None else " ".join(found[1].split())


def _users(kind: str, name: str) -> list[str]:
    """The shipped configurations that use it, as paths from the repository."""
    return [path for path, used in _used() if (kind, name) in used]


@cache
def _used() -> list[tuple[str, set[tuple[str, str]]]]:
    found = []
    for path in sorted(FOLDER.rglob("*.toml")):
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        sections = table.get("method", {})
        used = {("metrics", name) for name in table.get("metrics", ())}
        for label in table["methods"]:
            section = sections.get(label)
            name = section.get("name", label) if isinstance(section, dict) else label
            used |= {("methods", name), ("methods", registry.proper("method", name))}
        for kind in ("model", "dataset", "scenario"):
            used.add((f"{kind}s", table.get(kind, {}).get("name", "")))
        found.append((path.relative_to(FOLDER.parent).as_posix(), used))
    return found


def _glossary_lines(found: Mapping[str, Any]) -> list[str]:
    """The values of a metric, and when they lie; what it measures is said above."""
    width = max(len(shown["value"]) for shown in found["values"])
    lines = ["values (↑ ↓: the way that is good, ≈: the nearer to a retrained network)"]
    for shown in found["values"]:
        columns = "".join(f", in tables {column!r}" for column in shown["columns"])
        text = f"{shown['sign']} {shown['range']}{columns}. {shown['meaning']}"
        lines.append(entry(f"  {shown['value']:<{width}} ", text, indent=6))
    for title, key in (("a retrained network: ", "retrained"), ("it lies when ", "lies")):
        lines += ["", entry(title, _plain_text(found[key]), indent=2)]
    return lines


def _plain_text(text: str) -> str:
    """A paragraph without the marks of a page."""
    return re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", text)


def _text(page: Mapping[str, Any]) -> str:
    kind, name = page["kind"], page["name"]
    lines = [entry(f"{name}: ", page["summary"], indent=2), ""]
    if page["origin"] != OWN:
        lines.append(entry("from       ", page["origin"]))
    if page["of"] is not None:
        lines.append(entry("preset of  ", page["of"]))
    if kind == "method":
        lines.append(entry("needs      ", ", ".join(page["needs"]) or "no data"))
    if page["reference"]:
        lines.append(entry("reference  ", page["reference"]))
    if len(lines) > 2:
        lines.append("")
    if page["about"]:
        lines += [*rewrapped(page["about"]), ""]
    if page["explained"]:
        lines += [*_glossary_lines(page["explained"]), ""]
    if page["presets"]:
        width = max(map(len, page["presets"]))
        shown = [entry(f"  {name:<{width}} ", text) for name, text in page["presets"].items()]
        lines += ["presets, used by their names", *shown, ""]
    if page["fields"]:
        searched = any(field.search is not None for field in page["fields"])
        told = "; search: what a search tries" if searched else ""
        head = f"fields, each an option --{kind}.FIELD{told}"
        lines += [head, *field_lines(page["fields"]), ""]
    if page["configs"]:
        shown = page["configs"][:SHOWN]
        more = len(page["configs"]) - len(shown)
        lines += ["configurations that use it", *(f"  {path}" for path in shown)]
        lines += [f"  and {more} more in configs/"] if more else []
    while not lines[-1]:
        lines.pop()
    return "\n".join(lines)
