"""`audit.jsonl`: one line for every method that was audited on a request, beside the `records.jsonl` of a run.

The same discipline as of records: sealed lines, appended whole, the newest counts (`junlearn.experiment.sealed_log`).
A value that there is not is absent; there is no NaN.
"""

import logging
import math
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

from junlearn.errors import DamagedError
from junlearn.experiment import sealed_log
from junlearn.experiment.sealed_log import Kind, Remark

__all__ = ["Row", "append", "read", "repair"]

log = logging.getLogger(__name__)

Row = dict[str, Any]
"""The fields are listed in `junlearn/audit/README.md`."""

TEXTS = (
    "dataset",
    "model",
    "scenario",
    "method",
    "role",
    "config_hash",
    "bank_hash",
    "device",
    "time",
)
TABLES = ("models", "values", "null", "p", "verdict", "config", "seconds")


def _check(content: dict[str, Any]) -> None:
    if content.get("kind") != "audit":
        raise DamagedError("it is no line of an audit")
    for names, kind in ((TEXTS, str), (TABLES, dict)):
        for name in names:
            if not isinstance(content.get(name), kind):
                raise DamagedError(f"its field {name!r} is missing or not a {kind.__name__}")
    if not all(isinstance(value, int | float) for value in content["values"].values()):
        raise DamagedError("its values are not numbers")


def _name(row: Mapping[str, Any]) -> Hashable:
    """What two lines on one method and request have in common."""
    return tuple(row[name] for name in ("config_hash", "role", "method"))


KIND = Kind(_check, _name)


def read(path: Path, remark: Remark = log.warning) -> list[Row]:
    """All lines of a file; of one method and request the last. What is damaged is left out, and said."""
    return sealed_log.read(path, KIND, remark)


def repair(path: Path, remark: Remark = log.warning) -> list[Row]:
    """As `read`, for who writes next: a damaged file is kept beside its good lines."""
    return sealed_log.repair(path, KIND, remark)


def append(path: Path, row: Row, remark: Remark = log.warning) -> Row:
    """Add a line, without numbers that are not finite, and return it."""
    row = _finite(row)
    sealed_log.append(path, row, KIND, remark)
    return row


def _finite(value: Any) -> Any:
    """Without what JSON has no form for: such numbers are left out of tables, and become text in lists."""
    if isinstance(value, Mapping):
        return {name: _finite(part) for name, part in value.items() if not _odd(part)}
    if isinstance(value, list | tuple):
        return [str(part) if _odd(part) else _finite(part) for part in value]
    return value


def _odd(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
