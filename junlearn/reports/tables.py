"""Records as a table: one flat row a network, in a file that any table software reads, and summaries over runs."""

import csv
import importlib.util
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from junlearn.errors import ConfigError
from junlearn.experiment.records import Record, flat, number_of, settings
from junlearn.files import replace, replacing
from junlearn.metrics.aggregate import Measured, aus_with_error, measured
from junlearn.text.grids import inert

__all__ = [
    "FORMATS",
    "Row",
    "aus_of_means",
    "check",
    "flat",
    "rows",
    "summary",
    "write",
    "write_rows",
]

Row = dict[str, str | int | float | bool | None]

FORMATS = (".csv", ".parquet")
IDENTITY = ("dataset", "model", "scenario", "method", "role", "seed")
FIRST = (*IDENTITY, "request")
"""The first columns; the number of the request is in the records of a stream alone."""
BOUNDS = ("_low", "_high")
"""How the columns of an interval are called, behind the name of the metric."""
ENVIRONMENT = ("config_hash", "device", "time")
GROUPS = ("seconds/", "versions/", "config/")
"""What the other columns' names begin with; those of the metrics stand for themselves."""


def rows(records: Sequence[Record]) -> list[Row]:
    """A row for each record, all with the same columns in the same order.

    `dataset`, `model`, `scenario`, `method`, `role` and `seed`, of a stream `request`; every metric under its own name;
    `NAME_low` and `NAME_high`, the interval of the metric NAME, where records have it;
    `seconds/...`; `config_hash`, `device` and `time`; `versions/...`; `config/...`, the resolved configuration, one
    column a field, where `config/method/FIELD` leaves the method's label out. What a record does not have is None;
    lists are JSON text.
    """
    found = [_row(record) for record in records]
    columns = {name: None for row in found for name in row}
    bounds = _bounds(columns)
    order = sorted(columns, key=lambda name: (_place(name), name in bounds))
    return [{name: row.get(name) for name in order} for row in found]


def write(records: Sequence[Record], path: Path) -> None:
    """Write `rows(records)` to `path`, as its suffix says. Raises ConfigError as `check` does."""
    write_rows(rows(records), path)


def write_rows(table: Sequence[Row], path: Path) -> None:
    """Write rows with the same columns to `path`, as its suffix says. Raises ConfigError as `check` does."""
    check(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".csv":
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        names = list(table[0]) if table else list(IDENTITY)
        writer.writerow(map(inert, names))
        writer.writerows([inert(row[name]) for name in names] for row in table)
        replace(path, text.getvalue())
        return
    import pyarrow
    from pyarrow import parquet

    columns = {name: _column([row[name] for row in table]) for name in (table[0] if table else ())}
    with replacing(path) as file:
        parquet.write_table(pyarrow.table(columns), file)


def check(path: Path) -> None:
    """Raises ConfigError if a table cannot be written to `path`: before a run better than after it."""
    if path.suffix not in FORMATS:
        raise ConfigError(f"table {str(path)!r}: the name must end in {' or '.join(FORMATS)}")
    if path.suffix == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise ConfigError(
            "a table in Parquet needs pyarrow: python -m pip install 'junlearn[parquet]', or name a .csv file"
        )


def summary(table: Sequence[Row], over: Sequence[str] = ("seed",)) -> list[Row]:
    """A row for each setting: means over the runs that differ in nothing but the columns `over`.

    `over` may name `seed` (with the seeds of the configuration) and columns of the configuration, such as
    `config/scenario/classes`, the classes that were forgotten one after the other. Beside the columns that the runs
    share: `runs`, for every metric and time NAME its mean, and `NAME_std`, the sample standard deviation (None of a
    single run), over the runs that have it; and for unlearned and retrained networks `aus_of_means` with `aus_error`,
    from the accuracies of these and of the original networks (`junlearn.metrics.aggregate.aus_with_error`). The
    intervals of single runs are left out: they are about examples, and the deviation is about runs.
    """
    unknown = [name for name in over if table and name not in table[0]]
    if unknown:
        raise ConfigError(f"there is no column {unknown[0]!r} to summarise over")
    # How many retrained networks there were changes no number of the others.
    dropped = {*over, *(f"config/{name}" for name in over), "config/references"}
    if "seed" in over:
        dropped |= {name for row in table for name in row if name.startswith("config/seeds/")}
    groups: dict[str, list[Row]] = {}
    for row in table:
        groups.setdefault(_setting(row, dropped), []).append(row)
    return [_summarised(group, dropped, table) for group in groups.values()]


def _row(record: Record) -> Row:
    grouped: list[Mapping[str, Any]] = [record["seconds"], record["versions"], settings(record)]
    parts = zip(GROUPS, grouped, strict=True)
    return {
        **{name: record[name] for name in IDENTITY},  # type: ignore[literal-required]
        **({"request": number} if (number := number_of(record)) else {}),
        **record["metrics"],
        **{
            f"{name}{end}": bound
            for name, interval in record.get("intervals", {}).items()
            for end, bound in zip(BOUNDS, interval, strict=True)
        },
        **{name: record[name] for name in ENVIRONMENT},  # type: ignore[literal-required]
        **{f"{prefix}{name}": value for prefix, part in parts for name, value in part.items()},
    }


def _place(name: str) -> int:
    """Where a column comes in a row."""
    if name in FIRST:
        return FIRST.index(name)
    for number, prefix in enumerate(GROUPS, start=1):
        if name.startswith(prefix):
            return len(FIRST) + 2 * number
    return len(FIRST) + (3 if name in ENVIRONMENT else 0)


def _column(values: list[Any]) -> list[Any]:
    """Values of one type: text, where numbers and text are mixed."""
    kinds = {bool if isinstance(v, bool) else type(v) for v in values if v is not None}
    if kinds == {int, float}:
        return [None if v is None else float(v) for v in values]
    if len(kinds) > 1:
        return [None if v is None else str(v) for v in values]
    return values


def _bounds(columns: Iterable[str]) -> set[str]:
    """Those of the columns that are the ends of an interval: both are there, and the metric."""
    known = set(columns)
    pairs = [(name, *(f"{name}{end}" for end in BOUNDS)) for name in known]
    return {end for pair in pairs if known.issuperset(pair) for end in pair[1:]}


def _measures(name: str) -> bool:
    """Whether a column is a metric, a bound of one, or a time."""
    return name.startswith("seconds/") or _place(name) == len(FIRST)


def _setting(row: Row, dropped: set[str]) -> str:
    """All that two runs of one setting have in common, as text."""
    kept = {
        name: value
        for name, value in row.items()
        if name not in dropped and (name in FIRST or name.startswith("config/"))
    }
    return json.dumps(kept, sort_keys=True)


def _summarised(group: Sequence[Row], dropped: set[str], table: Sequence[Row]) -> Row:
    first = group[0]
    shared = {n: v for n, v in first.items() if n in FIRST and n not in dropped}
    result: Row = {**shared, "runs": len(group)}
    bounds = _bounds(first)
    for name in first:
        if _measures(name) and name not in bounds:
            found = _measured(group, name)
            result[name] = None if found is None else found.mean
            alone = found is None or found.deviation != found.deviation
            result[f"{name}_std"] = None if alone else found.deviation  # type: ignore[union-attr]
    result |= _aus(group, dropped, table)
    settings = {n: v for n, v in first.items() if n.startswith("config/") and n not in dropped}
    return result | settings


def _measured(group: Sequence[Mapping[str, Any]], name: str) -> Measured | None:
    values = [row[name] for row in group if isinstance(row.get(name), int | float)]
    return measured(values) if values else None


def _aus(group: Sequence[Row], dropped: set[str], table: Sequence[Row]) -> Row:
    """AUS of the means, from the original networks of the same setting; None where an accuracy is missing."""
    method = {*dropped, "method", "role"}

    def setting(row: Row) -> str:
        labels = {name for name in row if name.startswith(("config/method/", "config/methods"))}
        return _setting(row, method | labels)

    own = setting(group[0])
    originals = [row for row in table if row["role"] == "original" and setting(row) == own]
    score = None if group[0]["role"] == "original" else aus_of_means(originals, group)
    if score is None:
        return {"aus_of_means": None, "aus_error": None}
    error = None if score.deviation != score.deviation else score.deviation
    return {"aus_of_means": score.mean, "aus_error": error}


def aus_of_means(
    originals: Sequence[Mapping[str, Any]], group: Sequence[Mapping[str, Any]]
) -> Measured | None:
    """AUS of the mean accuracies of `group`, with its error, beside those of the original networks; None where an
    accuracy is missing. Of a row `scenario` and the accuracies are read, those against the true labels where there
    were wrong ones.
    """
    classes = group[0]["scenario"] == "class"
    wrong = group[0].get("accuracy/forget_train_clean") is not None
    trained = "forget_train_clean" if wrong else "forget_train"
    names = ("retain_test", "forget_test") if classes else ("test", trained)
    kept, forgotten = (f"accuracy/{name}" for name in names)
    before = _measured(originals, kept)
    after, remembered = _measured(group, kept), _measured(group, forgotten)
    if before is None or after is None or remembered is None:
        return None
    return aus_with_error(before, after, remembered, classes=classes)
