"""What an experiment is: a typed schema built from the registries, read from TOML or JSON, checked, hashed.

The schema of a run depends on the names it uses: the section `[dataset]` has the fields of that dataset's `Config`,
`[method.LABEL]` those of that method's. `parse` builds the frozen dataclass for a table, and fills it.
"""

import dataclasses
import hashlib
import json
import keyword
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import msgspec

from junlearn.engine.precision import MatmulPrecision, Precision
from junlearn.errors import ConfigError, short, unknown
from junlearn.experiment import agreement, auditing, reading, searching
from junlearn.experiment.conversion import convert
from junlearn.experiment.reading import INTEGERS, sound
from junlearn.experiment.sections import (
    COMPONENTS,
    OPTIONAL,
    Section,
    anchored,
    is_code,
    section_of,
    table_of,
    take_plugins,
)
from junlearn.fields import Count, Fraction, NonNegative, Seed
from junlearn.methods import retrain
from junlearn.metrics import DEFAULT_METRICS
from junlearn.plugins import registry
from junlearn.plugins.source import is_own, source_digest

__all__ = [
    "Experiment",
    "Loop",
    "Seeds",
    "described",
    "digest",
    "is_code",
    "labels_of",
    "parse",
    "plain",
    "read",
    "table_of",
    "take_plugins",
    "thing_of",
]

LONGEST = 64
"""Letters of a label: it is a part of the names of folders."""
ROLES = ("original",)
"""Labels of records that are no method's."""
EXTRAS: dict[str, Any] = {
    "plugins": tuple[str, ...],
    "metric": dict[str, dict[str, str]],
    "audit": auditing.Auditing,
    "search": searching.Searching,
}
"""Keys of a table, for other people's code, audits and searches, which an experiment has only where they are given."""


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
    log: tuple[str, ...] = ()
    """Where a run or a sweep logs every epoch and its results, one or several of csv, tensorboard and wandb."""


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One run: a dataset, a model, a scenario, the recipe of the original, the methods and the metrics.

    The class that `parse` makes for a table adds `dataset`, `model`, `scenario` (each with its `name`), `surrogate`
    where the table has one, and `method` (one field a label) to these fields.
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
    original: str = "trained"
    """Where the original network comes from. trained: `train` makes it; given: it is the network in `model.weights`;
    else the file that it is in. The retrained network never starts from an original that was given."""
    reference: bool = True
    """Train the retrained network. Without it, the metrics that compare with it are left out."""
    references: Count = 1
    """How many retrained networks. Of several, the range of each metric among them is shown; methods are compared with
    the first, which is the same network whatever their number."""
    metrics: tuple[str, ...] = DEFAULT_METRICS
    train_view: Literal["eval", "augment"] = "eval"
    """How the metrics see training examples: plain, or augmented as in training (what LAF and CaMU report)."""
    sample: Count | None = None
    """|D_s|, the retain examples that the attack `asr` takes its members from, up to its cut; None: as many as are
    forgotten. Where CaMU repeats the forget set, the release draws as many as there are repeated."""
    loop: Loop = field(default_factory=Loop)


def read(path: Path) -> dict[str, Any]:
    """The table of a configuration file, in which the files of plug-ins are absolute paths. Raises ConfigError."""
    return anchored(reading.read(path), path.parent)


def thing_of(section: Any) -> Any:
    """The thing that a section of an experiment is about: a method, or the Component of a model, dataset, scenario."""
    return type(section).THING


def described(section: Any) -> dict[str, Any]:
    """A section as a part of what determines numbers: of a plug-in, its code counts and not where the code lies."""
    own, thing = plain(section), thing_of(section)
    if is_own(thing):
        return own
    code = {"source": source_digest(thing)}
    return {key: value for key, value in own.items() if key not in type(section).CODE} | code


def _sections(
    table: Mapping[str, Any],
) -> tuple[dict[str, Section], dict[str, Section], tuple[str, ...]]:
    """What the sections of a table are about: components by kind, methods by label; and the optional keys it has."""
    sound(table_of("configuration", table))
    take_plugins(table)
    kinds = [*COMPONENTS, *(kind for kind in OPTIONAL if kind in table)]
    sections = {kind: section_of(kind, kind, table.get(kind, {})) for kind in kinds}
    labels = labels_of(table)
    given = table_of("method", table.get("method", {}))
    for label in given:
        if label not in labels:
            raise ConfigError(
                f"method.{label} is configured but not in methods [{', '.join(labels)}]"
            )
    methods = {
        label: section_of("method", f"method.{label}", given.get(label, {}), label)
        for label in labels
    }
    return sections, methods, tuple(key for key in EXTRAS if key in table)


def labels_of(table: Mapping[str, Any]) -> list[str]:
    """The labels in `methods`. Raises ConfigError unless it is a list of different names."""
    labels = table.get("methods")
    if not isinstance(labels, list | tuple) or not labels:
        hint = "" if labels is None else f", got {short(labels)}"
        raise ConfigError(f"methods: a list of at least one method is needed{hint}")
    for label in labels:
        if not isinstance(label, str):
            raise ConfigError(f"methods: expected names of methods, got {short(label)}")
        if not registry.is_known("method", label):
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
        raise unknown("method", label, registry.names("method"))
    fit = label.isascii() and label.isidentifier() and label.strip("_") == label
    if not fit or keyword.iskeyword(label) or len(label) > LONGEST:
        raise ConfigError(
            f"methods: the label {short(label)} must be a word of at most {LONGEST} letters a to z, digits and "
            "underscores that begins with a letter and ends with none of the latter, and no keyword of Python"
        )
    if label in ROLES:
        raise ConfigError(f"methods: the label {label!r} is that of a network every run has")


@lru_cache(maxsize=32)
def _schema(
    sections: tuple[tuple[str, Section], ...],
    methods: tuple[tuple[str, Section], ...],
    extras: tuple[str, ...],
) -> type:
    """The dataclass for sections `(kind, what)` and methods `(label, what)`; a sweep asks for the same one often."""
    fields = []
    for kind, section in sections:
        cls = _named(kind, section)
        fields.append((kind, cls, field(default_factory=cls)))
    parts = [(label, _named(f"method_{label}", section)) for label, section in methods]
    struct = dataclasses.make_dataclass(
        "Methods",
        [(label, part, field(default_factory=part)) for label, part in parts],
        frozen=True,
        kw_only=True,
    )
    return dataclasses.make_dataclass(
        "Experiment",
        [
            *fields,
            *((key, EXTRAS[key], field(default_factory=EXTRAS[key])) for key in extras),
            ("method", struct, field(default_factory=struct)),
        ],
        bases=(Experiment,),
        frozen=True,
        kw_only=True,
    )


def parse(table: Mapping[str, Any]) -> Any:
    """The experiment in `table`, all defaults filled in. Raises ConfigError for anything that is not allowed."""
    sections, methods, extras = _sections(table)
    cls = _schema(tuple(sections.items()), tuple(methods.items()), extras)
    experiment = convert(cls, _proper(table, sections, methods))
    # Fields without bounds of their own hold what an array can.
    sound(plain(experiment), INTEGERS)
    agreement.check(experiment, extras)
    return experiment


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


def _proper(
    table: Mapping[str, Any], sections: Mapping[str, Section], methods: Mapping[str, Section]
) -> dict[str, Any]:
    """`table` with the names of presets and the older names replaced by those of the things that they stand for."""
    given = table.get("method", {})
    named = {
        label: {**given.get(label, {}), "name": section.name} for label, section in methods.items()
    }
    own = table.get("metric", {})
    computed = {} if "metrics" in table or not own else {"metrics": [*DEFAULT_METRICS, *own]}
    return {
        **table,
        **computed,
        **{kind: {**table[kind], "name": section.name} for kind, section in sections.items()},
        "method": named,
    }


def _named(title: str, section: Section) -> type:
    """The thing's `Config` with the fixed fields `name` and, of a plug-in, where its code is, beside its own."""
    config = section.held.thing.Config
    return dataclasses.make_dataclass(
        title,
        [
            ("name", Literal[section.name], field(default=section.name)),
            *((key, Literal[value], field(default=value)) for key, value in section.code),
            *registry.preset_fields(section.preset, config),
        ],
        bases=(config,),
        namespace={
            "THING": section.held.thing,
            "CODE": tuple(key for key, _ in section.code),
            "PRESET": section.preset,
        },
        frozen=True,
        kw_only=True,
    )
