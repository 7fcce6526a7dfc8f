"""Records as a table for a person."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from junlearn.records import Record

__all__ = ["table"]

COLUMNS = (
    ("accuracy/retain_train", "retain train", "%"),
    ("accuracy/forget_train", "forget train", "%"),
    ("accuracy/test", "test", "%"),
    ("accuracy/retain_test", "retain test", "%"),
    ("accuracy/forget_test", "forget test", "%"),
    ("mia/entropy", "MIA", ".3f"),
    ("mia/entropy_balanced_accuracy", "MIA bal.", ".3f"),
    ("js/forget_train", "JS", ".3f"),
    ("agreement/forget_train", "agree", ".3f"),
    ("zrf/forget_train", "ZRF", ".3f"),
    ("aus", "AUS", ".3f"),
    ("tow", "ToW", ".3f"),
)
"""Metric, heading and format. Columns without a value in any record are left out."""

LEGEND = (
    "Accuracies in %. MIA: share of the forget set that an attack on output entropy calls member, and the attack's "
    "balanced accuracy; JS: Jensen-Shannon divergence (nats) and agree: agreement with the retrained network on the "
    "forget set; ZRF, AUS, ToW: higher is better. Judge every figure by the row of the retrained network."
)


def table(records: Sequence[Record], console: Console) -> None:
    """Print one row a record, the retrained network being the one to match."""
    grid = Table(title=_title(records[0]), caption=LEGEND, caption_justify="left")
    grid.add_column("method", no_wrap=True)
    shown = [c for c in COLUMNS if any(c[0] in record["metrics"] for record in records)]
    for _, heading, _ in shown:
        grid.add_column(heading, justify="right")
    grid.add_column("seconds", justify="right")
    for record in records:
        values = (_format(record["metrics"].get(name), style) for name, _, style in shown)
        emphasis = "bold" if record["role"] == "retrain" else None
        grid.add_row(record["method"], *values, f"{record['seconds']['run']:.1f}", style=emphasis)
    console.print(grid)


def _title(record: Record) -> str:
    return (
        f"{record['dataset']}, {record['model']}, scenario {record['scenario']}, "
        f"seed {record['seed']}, {record['device']}"
    )


def _format(value: float | None, style: str) -> str:
    if value is None:
        return "-"
    return f"{100 * value:.2f}" if style == "%" else f"{value:{style}}"
