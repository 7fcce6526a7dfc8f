"""From a judgement to the line that is kept of it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from junlearn.audit.audit_log import Row
from junlearn.audit.judge import Judgement
from junlearn.experiment import provenance
from junlearn.experiment.auditing import Auditing
from junlearn.experiment.schema import digest, plain

__all__ = ["Role", "row_hash", "row_of"]

Role = Literal["original", "twin", "unlearn"]
CARRIED = ("models", "twins", "keep", "save_weights", "mixed")
"""Fields of the section that say how networks are made, or how many: a line is named by the networks that it has."""


def row_hash(auditing: Auditing, networks: Mapping[str, Any]) -> str:
    """Names a line: the networks that were compared (their banks, numbers and the method's settings), and how."""
    section = plain(auditing)
    asked = {name: section[name] for name in section if name not in CARRIED}
    return digest({"networks": dict(networks), "audit": asked})


def row_of(
    about: Mapping[str, Any],
    label: str,
    role: Role,
    done: Judgement,
    *,
    config_hash: str,
    auditing: Auditing,
    worst: Judgement | None = None,
    **more: Any,
) -> Row:
    """One line of `audit.jsonl`; `about` are the names of data and network, `more` what else is known."""
    row = {
        "kind": "audit",
        **about,
        "method": label,
        "role": role,
        "config_hash": config_hash,
        "design": auditing.design,
        "pairing": auditing.pairing,
        **provenance.now({}),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "values": done.values,
        "null": {name: band.plain() for name, band in done.null.items()},
        "p": done.p,
        "p_holm": done.p_holm,
        "interval": {name: list(pair) for name, pair in done.interval.items()},
        "verdict": done.verdict,
        **more,
    }
    if worst is not None:
        row["worst"] = {"values": worst.values, "p": worst.p, "verdict": worst.verdict}
    return row
