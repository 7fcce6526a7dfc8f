"""Records into tables and rows; what differs in anything that is not named is refused."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from junlearn.comparison.gathering import Entry
from junlearn.comparison.made_with import Flat, covered, shown, unit_of
from junlearn.errors import ConfigError, short, unknown
from junlearn.experiment.records import Record

__all__ = ["Place", "Row", "Unit", "placed"]

Unit = tuple[tuple[str, str], ...]
"""One of the runs that means are taken over: each setting in `over` with its value."""
SECTIONS = ("dataset", "model", "scenario")
"""What a place is: networks that solve another problem are in another table."""
REFERENCES = ("original", "retrain")
EVERY = "all {}s"
"""What a section is called that means are taken over."""


class Row(NamedTuple):
    """One network in all its runs."""

    label: str
    role: str
    settings: str
    """In words, what tells it from other rows of the same method."""
    runs: dict[Unit, Record]

    @property
    def name(self) -> str:
        """What it is called in a table."""
        return f"{self.label} ({self.settings})" if self.settings else self.label

    @property
    def competes(self) -> bool:
        """Whether it is a method; the original and the retrained network are what methods are beside."""
        return self.role not in REFERENCES


class Place(NamedTuple):
    """What one table is of."""

    names: dict[str, str]
    """The dataset, the model and the scenario."""
    values: dict[str, Any]
    """The settings in which it differs from the other tables."""
    rows: tuple[Row, ...]
    twice: int
    """Records that were of a network that another record is of already."""

    @property
    def title(self) -> str:
        """In words."""
        scenario = self.names["scenario"]
        what = f"{self.names['dataset']}, {self.names['model']}, "
        what += scenario if scenario == EVERY.format("scenario") else f"scenario {scenario}"
        others = [f"{name.rpartition('.')[2]} {shown(v)}" for name, v in self.values.items()]
        return ", ".join([what, *others])


def placed(entries: Sequence[Entry], over: Sequence[str], by: Sequence[str] = ()) -> list[Place]:
    """The tables: one for each dataset, model and scenario, and for each value of the settings `by`.

    Means are taken over `over`. A setting of a method in `by` makes rows of its own and no table. Of a stream the last
    request is taken, unless `request` is named. Raises ConfigError for a setting that does not exist, and where records
    of one row differ in anything that is not named.
    """
    _check(entries, over, by)
    tables = [name for name in by if not name.startswith("method")]
    found: dict[str, list[Entry]] = {}
    values: dict[str, dict[str, Any]] = {}
    for entry, place in zip(entries, _places(entries, over, tables), strict=True):
        key = json.dumps([_names(entry.record, over), place], sort_keys=True)
        found.setdefault(key, []).append(entry)
        values[key] = place
    return [
        Place(_names(own[0].record, over), values[key], *_rows(_last(own, [*over, *by]), over, by))
        for key, own in found.items()
    ]


def _names(record: Record, over: Collection[str]) -> dict[str, str]:
    return {
        name: EVERY.format(name) if covered(f"{name}.name", over) else str(record[name])  # type: ignore[literal-required]
        for name in SECTIONS
    }


def _check(entries: Sequence[Entry], over: Sequence[str], by: Sequence[str]) -> None:
    """Raise ConfigError for settings that no record has, or that are named for two things."""
    known = {"seed", *(part for e in entries for n in e.settings for part in _prefixes(n))}
    for name in (*over, *by):
        if name not in known:
            raise unknown("setting", name, known)
    for name in by:
        if covered(name, over):
            raise ConfigError(f"{name} is in over and in by: means over it, or a table for each?")


def _prefixes(name: str) -> Iterator[str]:
    parts = name.split(".")
    return (".".join(parts[:end]) for end in range(1, len(parts) + 1))


def _differing(entries: Sequence[Entry], named: Collection[str]) -> dict[str, list[Any]]:
    """The settings of which there are several values, but for those in `named`.

    A setting that a record does not have is no value of its own: the record is older than the setting.
    """
    values: dict[str, dict[str, Any]] = {}
    for entry in entries:
        for name, value in entry.settings.items():
            if not covered(name, named):
                values.setdefault(name, {})[json.dumps(value)] = value
    return {name: list(found.values()) for name, found in values.items() if len(found) > 1}


def _places(
    entries: Sequence[Entry], over: Sequence[str], by: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Of each entry the settings that tell its table from others: of its problem, and those that are asked for."""
    alike: dict[str, list[Entry]] = {}
    for entry in entries:
        alike.setdefault(json.dumps(_names(entry.record, over)), []).append(entry)
    differing = {key: _differing(own, over) for key, own in alike.items()}
    for entry in entries:
        named = (*SECTIONS, *by)
        own = differing[json.dumps(_names(entry.record, over))]
        yield {name: entry.settings.get(name) for name in own if covered(name, named)}


def _last(entries: Sequence[Entry], named: Collection[str]) -> list[Entry]:
    """Of a stream the records of its last request."""
    if "request" in named:
        return list(entries)
    most = max(entry.settings.get("request", 0) for entry in entries)
    return [
        Entry(e.record, {n: v for n, v in e.settings.items() if n != "request"}, e.source)
        for e in entries
        if e.settings.get("request", 0) == most
    ]


def _rows(
    entries: Sequence[Entry], over: Sequence[str], by: Sequence[str]
) -> tuple[tuple[Row, ...], int]:
    """The rows of a table, and how many records were of a network that is there already."""
    named = [*over, *by]
    groups: dict[tuple[str, str, str], list[Entry]] = {}
    for entry in entries:
        split = {n: v for n, v in sorted(entry.settings.items()) if n.startswith("method.")}
        split = {n: v for n, v in split.items() if covered(n, by) and not covered(n, over)}
        key = (entry.record["role"], entry.record["method"], json.dumps(split))
        groups.setdefault(key, []).append(entry)
    methods = [e for (role, *_), own in groups.items() if role not in REFERENCES for e in own]
    shared = _differing([e._replace(settings=_shared(e.settings)) for e in methods], named)
    _refuse("", shared, methods)
    for (_, label, _), own in groups.items():
        _refuse(label, _differing(own, named), own)
    words = _words(groups)
    order = sorted(groups, key=lambda key: (*REFERENCES, key[0]).index(key[0]))
    rows, records = [], 0
    for key in order:
        runs: dict[Unit, Record] = {}
        for entry in sorted(groups[key], key=lambda entry: entry.record.get("time", "")):
            runs[unit_of(entry.settings, over)] = entry.record
        ordered = {u: runs[u] for e in groups[key] if (u := unit_of(e.settings, over)) in runs}
        rows.append(Row(key[1], key[0], words[key], ordered))
        records += len(ordered)
    return tuple(rows), len(entries) - records


def _shared(settings: Flat) -> Flat:
    return {name: value for name, value in settings.items() if not name.startswith("method.")}


def _refuse(label: str, differing: Mapping[str, list[Any]], entries: Sequence[Entry]) -> None:
    """Raise ConfigError where something differs, and say in what and where."""
    if not differing:
        return
    name, values = next(iter(differing.items()))
    mine = f"method.{label}."
    about = f"{label}: {name.removeprefix(mine)}" if name.startswith(mine) else name
    parts = []
    for value in values[:2]:
        sources = [e.source for e in entries if name in e.settings and e.settings[name] == value]
        parts.append(f"{short(value)}{f' in {sources[0]}' if sources[0] else ''}")
    others = [other.removeprefix(mine) for other in differing if other != name]
    also = f" (they differ in {', '.join(others)} too)" if others else ""
    of = "" if name.startswith(mine) or not label else f"{label}: "
    raise ConfigError(
        f"{of}{about} is {' and '.join(parts)}{also}; name it: --over {name} takes means over it, "
        f"--by {name} keeps its values apart; or give one of them"
    )


def _words(groups: Mapping[tuple[str, str, str], list[Entry]]) -> dict[tuple[str, str, str], str]:
    """Of each row what tells it from the other rows of its method."""
    sections = {key: _section(own[0]) for key, own in groups.items()}
    found = {}
    for key, section in sections.items():
        same = [other for other in sections.values() if other["name"] == section["name"]]
        names = [n for n in section if len({json.dumps(s.get(n)) for s in same}) > 1]
        told = [f"{name} {shown(section[name])}" for name in names]
        if key[0] not in REFERENCES and key[1] in REFERENCES:
            told.insert(0, "as a method")
        found[key] = ", ".join(told)
    return found


def _section(entry: Entry) -> Flat:
    """The settings of the method of a record, without its label, and its name."""
    label = entry.record["method"]
    prefix = f"method.{label}."
    return {"name": label} | {
        n.removeprefix(prefix): v for n, v in entry.settings.items() if n.startswith(prefix)
    }
