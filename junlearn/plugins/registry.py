"""Every name that a configuration or a call can use, and the thing that it stands for.

A name is looked for in this order: what the package has itself, its presets and older names, what was registered in
this process, what installed packages offer. A section of a configuration can name a file or a module instead.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from junlearn.datasets import DATASETS
from junlearn.datasets.surrogate import SURROGATES, of_dataset
from junlearn.errors import ConfigError, short, unknown
from junlearn.methods import METHODS
from junlearn.metrics import METRICS, Metric
from junlearn.models import MODELS
from junlearn.plugins import installed
from junlearn.plugins.contract import PARTS, adapted, kind_of_module, summary_of
from junlearn.plugins.loading import load_file, load_module
from junlearn.plugins.spaces import checked_space
from junlearn.scenarios import ALIASES, SCENARIOS
from junlearn.types import Preset, Space

__all__ = [
    "KINDS",
    "Listed",
    "find",
    "is_known",
    "listed",
    "load",
    "methods_of",
    "metrics_of",
    "names",
    "preset",
    "preset_fields",
    "proper",
    "register",
    "register_file",
    "space_of",
]

KINDS: dict[str, Mapping[str, Any]] = {
    "method": METHODS,
    "model": MODELS,
    "dataset": DATASETS,
    "scenario": SCENARIOS,
    "metric": METRICS,
    "surrogate": SURROGATES,
}
"""What the package has itself. A surrogate of somebody else is a dataset of theirs."""
OWN = "junlearn"
"""Where these come from."""
TABLES = {f"{kind}s".upper(): kind for kind in KINDS if kind != "surrogate"}
"""Names of the tables in which a plug-in can offer several things."""
PRESETS: dict[str, tuple[str, Preset]] = {
    name: (method, found)
    for method, module in METHODS.items()
    for name, found in getattr(module, "PRESETS", {}).items()
}
"""Named settings of a method: the method and what is set."""


class Registered(NamedTuple):
    """A thing that was registered in this process."""

    thing: Any
    origin: str


REGISTERED: dict[str, dict[str, Registered]] = {kind: {} for kind in KINDS}


class Listed(NamedTuple):
    """What a list says of a name."""

    summary: str
    origin: str
    """Where it comes from: the package, another one with its version, a file."""
    of: str | None = None
    """Of a preset: the method that it is a setting of."""


def find(kind: str, name: str) -> Any:
    """The thing of that name: a module or an object of the form of one, a Component, or the function of a metric.

    Raises ConfigError for a name that there is not, and for one whose package cannot be imported.
    """
    name = proper(kind, name)
    if name in KINDS[kind]:
        return KINDS[kind][name]
    if name in REGISTERED[kind]:
        return REGISTERED[kind][name].thing
    if kind == "surrogate":
        return (
            of_dataset(find("dataset", name)) if is_known("dataset", name) else _unknown(kind, name)
        )
    offered = installed.offered(kind)
    return installed.load(kind, offered[name]) if name in offered else _unknown(kind, name)


def metrics_of(wanted: Iterable[str]) -> dict[str, Metric]:
    """The functions of these metrics by name. Raises ConfigError as `find` does."""
    return {name: find("metric", name) for name in wanted}


def _unknown(kind: str, name: str) -> Any:
    raise unknown(kind, name, names(kind))


def is_known(kind: str, name: Any) -> bool:
    """Whether there is a thing of that name; nothing is imported to tell."""
    if not isinstance(name, str):
        return False
    # Installed packages are asked last: to look through them takes a while.
    own = proper(kind, name) in KINDS[kind] or name in REGISTERED[kind]
    return own or name in names(kind)


def names(kind: str) -> list[str]:
    """All names of a kind, presets with them."""
    found = [*KINDS[kind], *REGISTERED[kind]]
    if kind == "method":
        found += PRESETS
    if kind == "surrogate":
        return list(dict.fromkeys([*found, *names("dataset")]))
    return list(dict.fromkeys([*found, *installed.offered(kind)]))


def proper(kind: str, name: str) -> str:
    """The name under which a thing is known: of a preset that of its method, of an older name the one of today."""
    if kind == "method" and name in PRESETS:
        return PRESETS[name][0]
    return ALIASES.get(name, name) if kind == "scenario" else name


def preset(name: str) -> Mapping[str, Any]:
    """What a preset of a method sets; nothing for a name that is no preset."""
    return PRESETS[name][1].fields if name in PRESETS else {}


def methods_of(config: type) -> list[tuple[str, Any]]:
    """The name of each method, and the method, that has this class as its Config, of those that are imported."""
    known = [*METHODS.items(), *((n, r.thing) for n, r in REGISTERED["method"].items())]
    return [(name, thing) for name, thing in known if thing.Config is config]


def preset_fields(name: str, config: type) -> list[tuple[str, Any, Any]]:
    """What a preset sets, as fields of a dataclass that goes on from the method's `config`."""
    types = {field.name: field.type for field in dataclasses.fields(config)}
    return [
        (key, types[key], dataclasses.field(default=value)) for key, value in preset(name).items()
    ]


def space_of(method: Any) -> Space:
    """What a search may try of a method, by field of its Config; nothing where the method has no SPACE.

    `method` is a name, or the module or object itself. Of a preset it is what the preset has, or else what its method
    has without the fields that the preset sets. Raises ConfigError for a name that there is not, and for a SPACE that
    is none.
    """
    if not isinstance(method, str):
        name = str(getattr(method, "__name__", type(method).__name__)).rpartition(".")[2]
        return getattr(adapted("method", method, f"method {name}"), "SPACE", {})
    thing = find("method", method)
    space = getattr(thing, "SPACE", {})
    if method in PRESETS:
        fields, own = PRESETS[method][1].fields, PRESETS[method][1].space
        left = {name: tried for name, tried in space.items() if name not in fields}
        space = left if own is None else own
    return checked_space(space, thing.Config, f"method {method}")


def register(kind: str, thing: Any, name: str | None = None, origin: str = "registered") -> str:
    """Make a thing known under a name, by default its own, for the rest of this process; returns the name.

    `thing` is a module, or any object of that form: for a method one with `Config`, `make(config, model)` and `NEEDS`,
    for a model, a dataset or a scenario one with `Config` and `make`, for a metric a function of the Context. A name
    that was registered before stands for the new thing from then on.

    Raises ConfigError for a kind that there is not, a thing that lacks a part, and a name that the package or an
    installed one has.
    """
    if kind not in KINDS or kind == "surrogate":
        raise unknown("kind", kind, [*PARTS, "metric"])
    if name is None:
        name = str(getattr(thing, "__name__", "")).rpartition(".")[2]
    if not isinstance(name, str) or not name.isidentifier():
        raise ConfigError(
            f"register: {short(name)} is no name: letters, digits and underscores are wanted"
        )
    if name not in REGISTERED[kind] and is_known(kind, name):
        raise ConfigError(f"register: there is a {kind} {name!r} already; give another name")
    REGISTERED[kind][name] = Registered(adapted(kind, thing, f"the {kind} {name}"), origin)
    return name


def register_file(path: Path) -> list[tuple[str, str]]:
    """Register all that a Python file offers, each under its own name; returns (kind, name) of each.

    The file offers what stands in its tables `METHODS`, `MODELS`, `DATASETS`, `SCENARIOS` and `METRICS`; one without
    any is a single method (it has `Config`, `make` and `NEEDS`) or a metric (`metric(context)`), named as the file is.
    Raises ConfigError for a file that offers nothing, and as `load_file` and `register` do.
    """
    module = load_file(path)
    offers = [
        (kind, name, thing)
        for table, kind in TABLES.items()
        for name, thing in getattr(module, table, {}).items()
    ]
    if not offers:
        own = kind_of_module(module)
        if own is None:
            raise ConfigError(
                f"the plug-in {path} offers nothing: a method has Config, make and NEEDS, a metric is metric(context), "
                f"and others stand in a table ({', '.join(TABLES)})"
            )
        offers = [(own, Path(path).stem, module)]
    return [(kind, register(kind, thing, name, f"file {path}")) for kind, name, thing in offers]


def load(kind: str, section: Mapping[str, Any]) -> tuple[str, Any]:
    """The name and the thing of a section of a configuration with the key `file` or `module`.

    The name is that of the file or of the module. Raises ConfigError for a section with both keys, or one that is no
    text, and as `load_file`, `load_module` and `adapted` do.
    """
    given = [key for key in ("file", "module") if key in section]
    if len(given) != 1 or not isinstance(section[given[0]], str):
        raise ConfigError(
            f"{kind}: give the file or the module of a plug-in, as text, and not both"
        )
    where = section[given[0]]
    file = given[0] == "file"
    module = load_file(Path(where)) if file else load_module(where)
    name = Path(where).stem if file else where.rpartition(".")[2]
    what = f"the plug-in {where}"
    if kind == "surrogate":
        return name, of_dataset(adapted("dataset", module, what))
    return name, adapted(kind, module, what)


def listed(kind: str) -> dict[str, Listed]:
    """Every name of a kind with a line on it; of one whose package cannot be imported the line is the error."""
    found = {name: Listed(summary_of(thing), OWN) for name, thing in KINDS[kind].items()}
    for name, (thing, where) in REGISTERED[kind].items():
        found[name] = Listed(summary_of(thing), where)
    if kind == "method":
        for name, (method, entry) in PRESETS.items():
            found[name] = Listed(entry.summary, OWN, method)
    for name, point in ({} if kind == "surrogate" else installed.offered(kind)).items():
        where = installed.origin(point)
        if name in found:
            found.setdefault(f"{name} ({where})", Listed("not used: the name is taken", where))
            continue
        try:
            found[name] = Listed(summary_of(installed.load(kind, point)), where)
        except ConfigError as error:
            found[name] = Listed(f"cannot be used: {error}", where)
    return found
