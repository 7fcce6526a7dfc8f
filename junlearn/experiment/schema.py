"""What an experiment is: a typed schema built from the registries, read from TOML or JSON, checked, hashed.

The schema of a run depends on the names it uses: the section `[dataset]` has the fields of that dataset's `Config`,
`[method.LABEL]` those of that method's. `schema` builds the frozen dataclass for a table, `parse` fills it.
"""

import dataclasses
import hashlib
import json
import keyword
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, get_args, get_origin

import msgspec

from junlearn import metrics
from junlearn.datasets import DATASETS
from junlearn.datasets.surrogate import SURROGATES
from junlearn.engine.precision import MatmulPrecision, Precision
from junlearn.errors import ConfigError, short, unknown
from junlearn.experiment.reading import INTEGERS, read, sound
from junlearn.fields import Count, Fraction, NonNegative, Seed
from junlearn.methods import METHODS, retrain
from junlearn.metrics import DEFAULT_METRICS
from junlearn.models import MODELS
from junlearn.scenarios import SCENARIOS

__all__ = [
    "Experiment",
    "Loop",
    "Seeds",
    "build",
    "digest",
    "labels_of",
    "parse",
    "plain",
    "read",
    "schema",
    "table_of",
]

COMPONENTS: dict[str, Mapping[str, Any]] = {
    "dataset": DATASETS,
    "model": MODELS,
    "scenario": SCENARIOS,
}
OPTIONAL: dict[str, Mapping[str, Any]] = {"surrogate": SURROGATES}
LONGEST = 64
"""Letters of a label: it is a part of the names of folders."""
ROLES = ("original",)
"""Labels of records that are no method's."""


@dataclass(frozen=True, kw_only=True)
class Seeds:
    """One seed for each source of randomness; None: the run's `seed`."""

    order: Seed | None = None
    """Order of the data in every epoch."""
    initialisation: Seed | None = None
    """Initial weights of the original and of the retrained network."""
    scenario: Seed | None = None
    """Which examples are forgotten, where that is drawn."""
    method: Seed | None = None
    """What the unlearning methods draw."""


@dataclass(frozen=True, kw_only=True)
class Loop:
    """How the run is carried out; none of it changes what is computed."""

    kind: Literal["auto", "python", "scan"] = "auto"
    """auto: a Python loop of the compiled step on a CPU, a compiled scan elsewhere."""
    devices: Literal["one", "all"] = "one"
    """all: every batch is split over all devices, those of the other processes included."""
    distributed: bool = False
    """Run together with the other processes of a cluster (`junlearn.engine.processes`)."""
    save_seconds: NonNegative = 30.0
    """Wall time between two checkpoints of a running stage."""
    save_weights: bool = False
    """Write the finished network of every method below the workdir, for use outside; see `junlearn.engine.saved`."""


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One run: a dataset, a model, a scenario, the recipe of the original, the methods and the metrics.

    The class that `schema` returns adds `dataset`, `model`, `scenario` (each with its `name`), `surrogate` where the
    table has one, and `method` (one field a label) to these fields.
    """

    methods: tuple[str, ...]
    """Labels of the methods to run, in order. A label is a method's name, unless its section names another."""
    seed: Seed = 0
    seeds: Seeds = field(default_factory=Seeds)
    held_out: Fraction = 0.0
    """Share of the training set that takes the place of the test set: to choose hyper-parameters on."""
    validation: Fraction = 0.0
    """Share of the training set that is set aside, before any manipulation, as the source "validation"."""
    train: retrain.Config = field(default_factory=retrain.Config)
    """Recipe of the original and of the retrained network."""
    retrain_init: Literal["other", "same"] = "other"
    """Initial weights of the retrained network: another draw than the original's, or the same."""
    precision: Precision = "float32"
    """In which the networks compute; parameters, statistics and losses are float32 in any case."""
    matmul_precision: MatmulPrecision = "highest"
    """How a GPU or TPU multiplies float32. highest: as a CPU does; default: as JAX does by itself, in TF32 or bfloat16,
    which is faster and gives other numbers."""
    reference: bool = True
    """Train the retrained network. Without it, the metrics that compare with it are left out."""
    metrics: tuple[str, ...] = DEFAULT_METRICS
    train_view: Literal["eval", "augment"] = "eval"
    """How the metrics see training examples: plain, or augmented as in training (what LAF and CaMU report)."""
    sample: Count | None = None
    """|D_s|, the retain examples that the attack `asr` takes its members from, up to its cut; None: as many as are
    forgotten. Where CaMU repeats the forget set, the release draws as many as there are repeated."""
    loop: Loop = field(default_factory=Loop)


def schema(table: Mapping[str, Any]) -> type:
    """The dataclass for the names that `table` uses. Raises ConfigError for a name that does not exist."""
    sound(table_of("configuration", table))
    kinds = [*COMPONENTS, *(kind for kind in OPTIONAL if kind in table)]
    components = tuple((kind, _component(kind, table.get(kind, {}))) for kind in kinds)
    labels = labels_of(table)
    given = table_of("method", table.get("method", {}))
    for label in given:
        if label not in labels:
            raise ConfigError(
                f"method.{label} is configured but not in methods [{', '.join(labels)}]"
            )
    named = []
    for label in labels:
        section = table_of(f"method.{label}", given.get(label, {}))
        place = f"method.{label}.name" if "name" in section else "methods"
        named.append((label, _known("method", section.get("name", label), METHODS, place)))
    return _schema(components, tuple(named))


def labels_of(table: Mapping[str, Any]) -> list[str]:
    """The labels in `methods`. Raises ConfigError unless it is a list of different names."""
    labels = table.get("methods")
    if not isinstance(labels, list | tuple) or not labels:
        hint = "" if labels is None else f", got {short(labels)}"
        raise ConfigError(f"methods: a list of at least one method is needed{hint}")
    for label in labels:
        if not isinstance(label, str):
            raise ConfigError(f"methods: expected names of methods, got {short(label)}")
        if label not in METHODS:
            _check_label(label, table)
    folded = [label.lower() for label in labels]
    for label in labels:
        if folded.count(label.lower()) > 1:
            raise ConfigError(f"methods: a label stands twice in [{', '.join(labels)}]: {label!r}")
    return list(labels)


def _check_label(label: str, table: Mapping[str, Any]) -> None:
    """A label names a section, an option, a field and a folder: it has to be fit for all of them."""
    sections = table.get("method", {})
    if not isinstance(sections, Mapping) or label not in sections:
        raise unknown("method", label, METHODS)
    fit = label.isascii() and label.isidentifier() and label.strip("_") == label
    if not fit or keyword.iskeyword(label) or len(label) > LONGEST:
        raise ConfigError(
            f"methods: the label {short(label)} must be a word of at most {LONGEST} letters a to z, digits and "
            "underscores that begins with a letter and ends with none of the latter, and no keyword of Python"
        )
    if label in ROLES:
        raise ConfigError(f"methods: the label {label!r} is that of a network every run has")


@lru_cache(maxsize=32)
def _schema(components: tuple[tuple[str, str], ...], named: tuple[tuple[str, str], ...]) -> type:
    """The dataclass for components `(kind, name)` and methods `(label, name)`; a sweep asks for the same one often."""
    sections = []
    for kind, name in components:
        cls = _named(kind, name, (COMPONENTS | OPTIONAL)[kind][name].Config)
        sections.append((kind, cls, field(default_factory=cls)))
    parts = [
        (label, _named(f"method_{label}", name, METHODS[name].Config)) for label, name in named
    ]
    struct = dataclasses.make_dataclass(
        "Methods",
        [(label, part, field(default_factory=part)) for label, part in parts],
        frozen=True,
        kw_only=True,
    )
    return dataclasses.make_dataclass(
        "Experiment",
        [*sections, ("method", struct, field(default_factory=struct))],
        bases=(Experiment,),
        frozen=True,
        kw_only=True,
    )


def parse(table: Mapping[str, Any]) -> Any:
    """The experiment in `table`, all defaults filled in. Raises ConfigError for anything that is not allowed."""
    experiment = build(schema(table), table)
    # Fields without bounds of their own hold what an array can.
    sound(plain(experiment), INTEGERS)
    if not experiment.metrics:
        raise ConfigError("metrics: a list of at least one metric is needed")
    metrics.check(experiment.metrics)
    if experiment.loop.distributed and experiment.loop.devices == "one":
        raise ConfigError(
            'loop.distributed: several processes share every batch, which needs loop.devices = "all"'
        )
    return experiment


def build(cls: type, table: Mapping[str, Any], where: str = "") -> Any:
    """An instance of the dataclass `cls` from plain values: unknown keys, wrong types and ranges are errors."""
    _check_keys(cls, table, where)
    try:
        return msgspec.convert(table, cls)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        place = ".".join(part for part in (where, path.rstrip("`").lstrip(".")) if part)
        message = _with_choices(cls, path, message)
        raise ConfigError(f"{place}: {message}" if place else message) from error
    except OverflowError as error:
        raise ConfigError(f"{where or 'configuration'}: {error}") from error


def _with_choices(cls: Any, path: str, message: str) -> str:
    """The message on a value that is none of a few, cut to a line, with those that there are."""
    if not message.startswith("Invalid enum value "):
        return message
    for name in path.rstrip("`").strip(".").split("."):
        fields = {f.name: f.type for f in dataclasses.fields(cls)}
        cls = fields.get(name.partition("[")[0], cls)
    choices = [repr(choice) for choice in _choices(cls)]
    message = message if len(message) <= LONGEST else f"{message[:LONGEST]}..."
    return f"{message}; known: {', '.join(choices)}" if choices else message


def _choices(kind: Any) -> list[Any]:
    """What a field of type Literal can be, also within a union or a tuple."""
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    return [choice for inner in get_args(kind) for choice in _choices(inner)]


def plain(value: Any) -> Any:
    """Nested dicts and lists of a configuration, as JSON has them; fields left at their defaults are there too."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        # msgspec writes only what it has read or what was given.
        value = dataclasses.asdict(value)
    return msgspec.to_builtins(value)


def digest(value: Any) -> str:
    """Sixteen hexadecimal digits that name a configuration: equal for equal values, whatever their order."""
    text = json.dumps(plain(value), sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _component(kind: str, section: Any) -> str:
    """The name in the section of a component."""
    registry = (COMPONENTS | OPTIONAL)[kind]
    name = table_of(kind, section).get("name")
    if name is None:
        raise ConfigError(f"{kind}.name is missing; known: {', '.join(sorted(registry))}")
    return _known(kind, name, registry, f"{kind}.name")


def _known(kind: str, name: Any, registry: Mapping[str, Any], place: str) -> str:
    if not isinstance(name, str):
        raise ConfigError(f"{place}: expected the name of a {kind}, got {short(name)}")
    if name not in registry:
        raise unknown(kind, name, registry)
    return name


def _named(title: str, name: str, config: type) -> type:
    """`config` with the fixed field `name` beside its own."""
    return dataclasses.make_dataclass(
        title,
        [("name", Literal[name], field(default=name))],
        bases=(config,),
        frozen=True,
        kw_only=True,
    )


def table_of(where: str, value: Any) -> Mapping[str, Any]:
    """`value`, which has to be a table. Raises ConfigError."""
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where}: expected a table, got {short(value)}")
    return value


def _check_keys(cls: type, table: Mapping[str, Any], where: str) -> None:
    """Unknown keys, at every depth; the dataclass conversion would pass over them."""
    known = {f.name: f.type for f in dataclasses.fields(cls)}
    for key, value in table.items():
        place = f"{where}.{key}" if where else key
        if key not in known:
            siblings = [f"{where}.{name}" if where else name for name in known]
            raise unknown("configuration key", place, siblings, _places(cls, where))
        kind = known[key]
        if dataclasses.is_dataclass(kind):
            _check_keys(kind, table_of(place, value), place)  # type: ignore[arg-type]


def _places(cls: type, where: str) -> list[str]:
    """Every key that the schema has, at every depth."""
    names = []
    for item in dataclasses.fields(cls):
        place = f"{where}.{item.name}" if where else item.name
        inner = dataclasses.is_dataclass(item.type)
        names += _places(item.type, place) if inner else [place]  # type: ignore[arg-type]
    return names
