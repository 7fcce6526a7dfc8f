"""Which records a comparison is of: those of directories and files, or some that are in memory."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from junlearn.comparison.made_with import Flat, settings_of
from junlearn.errors import ConfigError, short
from junlearn.experiment import records
from junlearn.experiment.records import REQUIRED, Record
from junlearn.experiment.sealed_log import Remark

__all__ = ["RECORDS", "Entry", "gathered", "logs"]

RECORDS = "records.jsonl"
OTHERS = {
    "audit.jsonl": "it is of an audit, which judges by itself: audit.html shows it",
    "trials.csv": "it is of a search: a run of its best.toml can be compared",
}
"""What is left by a command whose directory has no records, by a file of it."""


class Entry(NamedTuple):
    """A record, and where it is from."""

    record: Record
    settings: Flat
    source: str
    """The directory of its file; of a record in memory nothing."""


def logs(directory: Path) -> list[Path]:
    """The files of records of a run or of a sweep, which have to be looked for."""
    return [directory / RECORDS, *sorted((directory / "points").glob(f"*/{RECORDS}"))]


def gathered(runs: Any, remark: Remark) -> list[Entry]:
    """All records of `runs`: a path, a record, or an iterable of these, also of lists of records.

    What has `records`, as the answer of `junlearn.compare_methods` does, stands for them.

    A path is the working directory of a run or of a sweep, or a file of records. `remark` is told of damaged lines.
    Raises ConfigError where there are none.
    """
    found = list(_entries(runs, remark))
    if not found:
        raise ConfigError("compare: there is no record in what was given")
    return found


def _entries(runs: Any, remark: Remark) -> Iterable[Entry]:
    if isinstance(runs, str | os.PathLike):
        yield from _of_path(Path(runs), remark)
    elif isinstance(runs, Mapping):
        yield _of_memory(runs)
    elif (own := getattr(runs, "records", None)) is not None:
        yield from _entries(own, remark)
    elif isinstance(runs, Iterable):
        for run in runs:
            yield from _entries(run, remark)
    else:
        raise ConfigError(f"compare: expected paths or records, got {short(runs)}")


def _of_memory(record: Mapping[str, Any]) -> Entry:
    missing = [name for name in REQUIRED if name not in record and name not in ("history", "time")]
    if missing:
        raise ConfigError(f"compare: {short(dict(record))} is no record, it has no {missing[0]!r}")
    return Entry(record, settings_of(record), "")  # type: ignore[arg-type]


def _of_path(path: Path, remark: Remark) -> Sequence[Entry]:
    if not path.exists():
        raise ConfigError(f"compare {path}: there is no such directory or file")
    files = [path] if path.is_file() else [log for log in logs(path) if log.is_file()]
    told: list[str] = []

    def keep(line: str, *rest: Any) -> None:
        told.append(line % rest if rest else line)
        remark(told[-1])

    found = [
        Entry(record, settings_of(record), str(file.parent))
        for file in files
        for record in records.read(file, keep)
    ]
    if not found:
        within = sorted(p.parent for p in path.glob(f"*/{RECORDS}")) if path.is_dir() else []
        within += sorted({p.parents[2] for p in path.glob(f"*/points/*/{RECORDS}")} - set(within))
        why = told[0] if told else "give the --workdir of a run or of a sweep, or a records.jsonl"
        for name, what in OTHERS.items():
            if path.name == name or (path / name).is_file():
                why = what
        if within:
            why = f"the runs in it are {', '.join(map(str, within))}"
        raise ConfigError(f"compare {path}: there are no records in it; {why}")
    return found
