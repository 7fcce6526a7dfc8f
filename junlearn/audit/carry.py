"""One audit carried out: the networks of its design are made, and its lines collected."""

from collections.abc import Callable
from pathlib import Path

from junlearn.audit import random_design, request_design
from junlearn.audit.inquiry import Inquiry
from junlearn.audit.kept import Judged, Kept
from junlearn.audit.lines import Role
from junlearn.audit.result import Audit
from junlearn.errors import ConfigError
from junlearn.experiment.auditing import Auditing
from junlearn.experiment.progress import Reporter

__all__ = ["OTHERS", "carry", "check_labels"]

OTHERS = ("original", "retrain", "twin", "run")
"""Ensembles that no method makes."""


def carry(
    inquiry: Inquiry,
    auditing: Auditing,
    directory: Path,
    kept: Kept | None,
    reporter: Reporter,
    failed: Callable[[str, Exception], None],
) -> Audit:
    """The lines of an audit, found among those that are `kept` or made now and added to them.

    Banks are below `directory`. A method that fails is told to `failed`. Raises ConfigError for a method with the name
    of another ensemble.
    """
    check_labels(inquiry)
    rows, examples = [], {}
    design = request_design if auditing.design == "request" else random_design
    banks = design.banks_of(inquiry, auditing, directory, reporter)
    if kept is not None:
        kept.tell_other(banks.request)
    known = _nothing if kept is None else kept.find
    for row, arrays in design.judged(inquiry, auditing, banks, known, reporter, failed):
        row, arrays = (row, arrays) if kept is None else kept.add(row, arrays)
        rows.append(row)
        examples[row["method"]] = arrays
    return Audit(rows, examples, {})


def check_labels(inquiry: Inquiry) -> None:
    """Raise ConfigError for a method with the name of another ensemble."""
    for contender in inquiry.contenders:
        if contender.label in OTHERS:
            raise ConfigError(
                f"audit: a method is called {contender.label!r}, which is the name of another ensemble: "
                "give it another label"
            )


def _nothing(config_hash: str, role: Role, label: str) -> Judged | None:
    return None
