"""What a configuration can name: methods, models, datasets, scenarios and metrics, in a line each or in full."""

import inspect
import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from junlearn.commands.fieldtable import field_lines, fields_of
from junlearn.datasets import DATASETS
from junlearn.errors import ConfigError, unknown
from junlearn.methods import METHODS
from junlearn.metrics import METRICS
from junlearn.models import MODELS
from junlearn.scenarios import SCENARIOS
from junlearn.text.paragraphs import entry, rewrapped

__all__ = ["REGISTRIES", "Chosen", "chosen", "config_of", "kind_of", "summaries"]

REGISTRIES: dict[str, Mapping[str, Any]] = {
    "methods": METHODS,
    "models": MODELS,
    "datasets": DATASETS,
    "scenarios": SCENARIOS,
    "metrics": METRICS,
}
CONFIGS = Path(__file__).parents[2] / "configs"
"""The shipped configurations, in a clone of the repository."""
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
        everything = summaries()
        return Chosen(everything, "\n".join(_lines(k, e) for k, e in everything.items()))
    plural = _plural(kind)
    if name is None:
        entries = summaries()[plural]
        return Chosen(entries, _lines(plural, entries))
    if name not in REGISTRIES[plural]:
        raise unknown(plural.removesuffix("s"), name, REGISTRIES[plural])
    data = _page(plural, name)
    return Chosen(data | {"fields": [f._asdict() for f in data["fields"]]}, _text(data))


def summaries() -> dict[str, dict[str, str]]:
    """Everything, with a line on each."""
    return {
        kind: {name: _summary(thing) for name, thing in registry.items()}
        for kind, registry in REGISTRIES.items()
    }


def kind_of(name: str) -> str | None:
    """The kind of the thing of that name, the methods asked first; None if there is none."""
    return next((kind for kind, registry in REGISTRIES.items() if name in registry), None)


def config_of(kind: str, name: str) -> type | None:
    """The dataclass of its fields; metrics have none."""
    return getattr(REGISTRIES[kind][name], "Config", None)


def _plural(kind: str) -> str:
    for plural in REGISTRIES:
        if kind in (plural, plural.removesuffix("s")):
            return plural
    owner = kind_of(kind)
    if owner is not None:
        raise ConfigError(
            f"list {kind}: {kind} is one of the {owner}: list {owner.removesuffix('s')} {kind}"
        )
    raise unknown("kind", kind, REGISTRIES)


def _summary(thing: Any) -> str:
    return getattr(thing, "summary", None) or inspect.cleandoc(thing.__doc__ or "").splitlines()[0]


def _lines(title: str, entries: Mapping[str, str]) -> str:
    width = max(len(name) for kind in REGISTRIES.values() for name in kind)
    return "\n".join([title, *(entry(f"  {n:<{width}} ", s) for n, s in entries.items())])


def _page(kind: str, name: str) -> dict[str, Any]:
    thing, config = REGISTRIES[kind][name], config_of(kind, name)
    doc = "" if hasattr(thing, "summary") else inspect.cleandoc(thing.__doc__ or "")
    if hasattr(thing, "summary"):
        doc = _own_doc(config)
    about = doc.partition("\n\n")[2] if doc.startswith(_summary(thing)) else doc
    # A metric's first paragraph can go on behind its first line.
    if kind == "metrics" and "\n" in doc.partition("\n\n")[0]:
        about = doc.partition("\n")[2]
    return {
        "kind": kind.removesuffix("s"),
        "name": name,
        "summary": _summary(thing),
        "needs": sorted(getattr(thing, "NEEDS", ())),
        "about": about.strip(),
        "reference": _reference(doc),
        "fields": [] if config is None else fields_of(config),
        "configs": _users(kind, name),
    }


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
    for path in sorted(CONFIGS.rglob("*.toml")):
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        sections = table.get("method", {})
        used = {("metrics", name) for name in table.get("metrics", ())}
        for label in table["methods"]:
            section = sections.get(label)
            name = section.get("name", label) if isinstance(section, dict) else label
            used.add(("methods", name))
        for kind in ("model", "dataset", "scenario"):
            used.add((f"{kind}s", table.get(kind, {}).get("name", "")))
        found.append((path.relative_to(CONFIGS.parent).as_posix(), used))
    return found


def _text(page: Mapping[str, Any]) -> str:
    kind, name = page["kind"], page["name"]
    lines = [entry(f"{name}: ", page["summary"], indent=2), ""]
    if kind == "method":
        lines.append(entry("needs      ", ", ".join(page["needs"]) or "no data"))
    if page["reference"]:
        lines.append(entry("reference  ", page["reference"]))
    if len(lines) > 2:
        lines.append("")
    if page["about"]:
        lines += [*rewrapped(page["about"]), ""]
    if page["fields"]:
        lines += [f"fields, each an option --{kind}.FIELD", *field_lines(page["fields"]), ""]
    if page["configs"]:
        shown = page["configs"][:SHOWN]
        more = len(page["configs"]) - len(shown)
        lines += ["configurations that use it", *(f"  {path}" for path in shown)]
        lines += [f"  and {more} more in configs/"] if more else []
    while not lines[-1]:
        lines.pop()
    return "\n".join(lines)
