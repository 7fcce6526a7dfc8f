"""Records as a table for a person."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from junlearn.records import Record

__all__ = ["table"]

ACCURACIES = (
    ("accuracy/retain_train", "retain train", "%"),
    ("accuracy/forget_train", "forget train", "%"),
    ("accuracy/test", "test", "%"),
    ("accuracy/retain_test", "retain test", "%"),
    ("accuracy/forget_test", "forget test", "%"),
)
FORGETTING = (
    ("mia/entropy", "MIA entr.", ".3f"),
    ("mia/entropy_balanced_accuracy", "MIA bal.", ".3f"),
    ("mia/confidence", "MIA conf.", ".3f"),
    ("js/forget_train", "JS", ".3f"),
    ("agreement/forget_train", "agree", ".3f"),
    ("zrf/forget_train", "ZRF", ".3f"),
    ("aus", "AUS", ".3f"),
    ("tow", "ToW", ".3f"),
)
"""Metric, heading and format. A column without a value in any record is left out."""

WIDE = 112
"""Columns of a terminal on which one table holds everything."""

LEGEND = (
    "Accuracies in %, seconds in steps. The row to match: the retrained network.\n"
    "MIA: share of the forget set that an attack (on entropy, on confidence) calls\n"
    "member, and balanced accuracy of the one on entropy. JS divergence (nats) and\n"
    "agreement: to the retrained network, on the forget set. ZRF, AUS, ToW: higher\n"
    "is better."
)


def table(records: Sequence[Record], console: Console) -> None:
    """Print one row a record; on a narrow terminal accuracies first, the other metrics below them."""
    parts = [ACCURACIES + FORGETTING] if console.width >= WIDE else [ACCURACIES, FORGETTING]
    first = records[0]
    console.print(
        f"\n{first['dataset']}, {first['model']}, scenario {first['scenario']}, "
        f"seed {first['seed']}, on {first['device']}",
        style="bold",
        highlight=False,
    )
    for number, columns in enumerate(parts):
        console.print(_grid(records, columns, seconds=number == 0))
    console.print(LEGEND, style="dim", highlight=False)


def _grid(
    records: Sequence[Record], columns: Sequence[tuple[str, str, str]], *, seconds: bool
) -> Table:
    grid = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    grid.add_column("method", no_wrap=True)
    shown = [c for c in columns if any(c[0] in record["metrics"] for record in records)]
    for _, heading, _ in shown:
        grid.add_column(heading.replace(" ", "\n"), justify="right")
    if seconds:
        grid.add_column("seconds", justify="right")
    for record in records:
        values = [_format(record["metrics"].get(name), style) for name, _, style in shown]
        if seconds:
            values.append(f"{record['seconds']['run']:.1f}")
        emphasis = "bold" if record["role"] == "retrain" else None
        grid.add_row(record["method"], *values, style=emphasis)
    return grid


def _format(value: float | None, style: str) -> str:
    if value is None:
        return "-"
    return f"{100 * value:.2f}" if style == "%" else f"{value:{style}}"
