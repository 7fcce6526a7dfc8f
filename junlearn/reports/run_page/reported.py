"""What a report is about: records, what their networks say today, and an audit where there is one."""

from collections.abc import Sequence
from typing import NamedTuple

from junlearn.experiment.asking import Answers
from junlearn.experiment.records import Record
from junlearn.reports.audit_cells import Row

__all__ = ["Experiment", "Subject", "heading"]


class Experiment(NamedTuple):
    """One configuration, and what came of it."""

    records: Sequence[Record]
    """Of all its networks, in the order of the log; one at least."""
    title: str
    """What tells it from the others."""
    listing: str = ""
    """Where the list of what was forgotten is, and its hash; empty where there is none."""
    found: Answers | None = None
    """What its networks say today."""
    absent: str = ""
    """Why that is not there."""


class Subject(NamedTuple):
    """All that a report tells of."""

    experiments: Sequence[Experiment]
    """One of a run, one a point of a sweep."""
    audits: Sequence[Row] = ()
    """Lines of `audit.jsonl`."""
    remarks: Sequence[str] = ()
    """What of the records could not be read, a line each."""
    images: bool = True
    """Whether forgotten images may be shown."""
    key: str = ""
    """Fingerprint of the key that signs the report; empty where none does."""


def heading(record: Record) -> str:
    """Which data, network and request a record is of."""
    parts = f"{record['dataset']}, {record['model']}, scenario {record['scenario']}"
    return f"{parts}, seed {record['seed']}"
