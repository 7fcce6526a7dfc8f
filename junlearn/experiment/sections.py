"""Which thing a section of a configuration is about: one that has a name, or the code of somebody else in a file.

A section names a thing of the package or of a plug-in (`name = "ssd"`), a preset (`name = "potion"`), a Python file
(`file = "my_method.py"`, relative to the configuration) or a module (`module = "my_package.my_method"`).
"""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from junlearn.errors import ConfigError, short, unknown
from junlearn.plugins import registry

__all__ = [
    "CODE",
    "COMPONENTS",
    "OPTIONAL",
    "Held",
    "Section",
    "anchored",
    "has_field",
    "is_code",
    "section_of",
    "table_of",
    "take_plugins",
]

COMPONENTS = ("dataset", "model", "scenario")
"""Sections that every experiment has."""
OPTIONAL = ("surrogate",)
CODE = ("file", "module")
"""Keys with which a section names the code of somebody else."""


class Held:
    """A thing as a part of a key: equal where it is the same object, whatever it is."""

    def __init__(self, thing: Any) -> None:
        self.thing = thing

    def __hash__(self) -> int:
        return id(self.thing)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Held) and other.thing is self.thing


class Section(NamedTuple):
    """What a section is about."""

    name: str
    """The thing's own name."""
    held: Held
    code: tuple[tuple[str, str], ...] = ()
    """The key that names somebody else's code, and its value."""
    preset: str = ""
    """The preset whose values take the place of the defaults."""


def section_of(kind: str, where: str, section: Any, default: str | None = None) -> Section:
    """What the section at `where` is about; `default` is its name where it has none. Raises ConfigError."""
    section = table_of(where, section)
    if is_code(kind, section, default):
        name, thing = registry.load(kind, section)
        return Section(
            name, Held(thing), tuple((key, section[key]) for key in CODE if key in section)
        )
    name = section.get("name", default)
    if name is None:
        known = ", ".join(sorted(registry.names(kind)))
        raise ConfigError(f"{where}.name is missing; known: {known}")
    if not isinstance(name, str):
        place = f"{where}.name" if "name" in section or default is None else "methods"
        raise ConfigError(f"{place}: expected the name of a {kind}, got {short(name)}")
    if not registry.is_known(kind, name):
        raise unknown(kind, name, registry.names(kind))
    preset = name if registry.preset(name) and kind == "method" else ""
    return Section(registry.proper(kind, name), Held(registry.find(kind, name)), (), preset)


def is_code(kind: str, section: Mapping[str, Any], default: str | None = None) -> bool:
    """Whether a section names the code of somebody else.

    It does with the key `file` or `module`, unless it also names a thing that has such a field of its own, as the
    scenario `rows` has. (A run's `config.json` holds the name of what is in the file beside the file.)
    """
    given = [key for key in CODE if key in section]
    if not given:
        return False
    name = section.get("name")
    if name is None:
        return not any(has_field(kind, default, key) for key in given)
    if not isinstance(name, str) or not registry.is_known(kind, name):
        return True
    where = str(section[given[0]])
    stem = Path(where).stem if given[0] == "file" else where.rpartition(".")[2]
    return name == stem and not any(has_field(kind, name, key) for key in given)


def has_field(kind: str, name: Any, field: str) -> bool:
    """Whether the thing of that name has a field of its own that is called so."""
    if not registry.is_known(kind, name):
        return False
    config = getattr(registry.find(kind, name), "Config", None)
    return config is not None and field in {f.name for f in dataclasses.fields(config)}


def anchored(table: dict[str, Any], folder: Path) -> dict[str, Any]:
    """`table` with the files of other people's code, which are relative to `folder`, as absolute paths.

    What the files in `plugins` offer is registered on the way. Raises ConfigError for those that fail.
    """
    table = dict(table)
    if isinstance(table.get("plugins"), list):
        table["plugins"] = [_absolute(file, folder) for file in table["plugins"]]
        take_plugins(table)
    for kind in (*COMPONENTS, *OPTIONAL):
        if isinstance(table.get(kind), Mapping) and is_code(kind, table[kind]):
            table[kind] = _placed(table[kind], folder)
    for kind in ("method", "metric"):
        if isinstance(table.get(kind), Mapping):
            table[kind] = {
                label: _placed(section, folder)
                if isinstance(section, Mapping) and is_code(kind, section, label)
                else section
                for label, section in table[kind].items()
            }
    return table


def _placed(section: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    return {
        key: _absolute(value, folder) if key == "file" else value for key, value in section.items()
    }


def _absolute(file: Any, folder: Path) -> Any:
    return os.path.abspath(folder / file) if isinstance(file, str) else file


def take_plugins(table: Mapping[str, Any]) -> None:
    """Register what the files in `plugins` offer, and the metrics in `[metric.LABEL]`. Raises ConfigError."""
    files = table.get("plugins", [])
    if not isinstance(files, list | tuple) or not all(isinstance(file, str) for file in files):
        raise ConfigError(f"plugins: expected a list of Python files, got {short(files)}")
    for file in files:
        registry.register_file(Path(file))
    for label, section in table_of("metric", table.get("metric", {})).items():
        _, metric = registry.load("metric", table_of(f"metric.{label}", section))
        where = next(section[key] for key in CODE if key in section)
        registry.register("metric", metric, label, f"file {where}")


def table_of(where: str, value: Any) -> Mapping[str, Any]:
    """`value`, which has to be a table. Raises ConfigError."""
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where}: expected a table, got {short(value)}")
    return value
