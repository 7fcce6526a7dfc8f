"""Records of a stream, request by request: those of the last one, and a line a request of what networks know."""

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from junlearn.experiment.records import Record, number_of
from junlearn.text.terminal import printable

__all__ = ["FORGOTTEN", "LEGEND", "RETAINED", "grid", "last", "networks", "series"]

FORGOTTEN, RETAINED = "accuracy/forget_train", "accuracy/retain_train"
LEGEND = "By request: accuracy on all that is forgotten so far / on what is retained."


def last(records: Sequence[Record]) -> list[Record]:
    """The records of the last request; where the requests are not numbered, all of them."""
    most = max(map(number_of, records), default=0)
    return [record for record in records if number_of(record) == most]


def networks(records: Sequence[Record]) -> list[str]:
    """The labels of the records, each once, in their order."""
    return list(dict.fromkeys(record["method"] for record in records))


def series(records: Sequence[Record], label: str, metric: str) -> dict[int, float]:
    """Request -> the metric of the network with this label, where there is one."""
    return {
        number_of(record): record["metrics"][metric]
        for record in records
        if record["method"] == label and metric in record["metrics"]
    }


def grid(records: Sequence[Record], labels: Sequence[str]) -> Table:
    """A line a request, a column a network: accuracies in percent, on all that is forgotten so far and on the rest."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("request", justify="right")
    table.add_column("forgotten", justify="right")
    for label in labels:
        table.add_column(Text(printable(label)), justify="right", no_wrap=True)
    columns = {
        label: [series(records, label, metric) for metric in (FORGOTTEN, RETAINED)]
        for label in labels
    }
    forgotten = {number_of(record): record["request"]["forget"] for record in records}
    for number, count in sorted(forgotten.items()):
        cells = [" / ".join(_percent(part.get(number)) for part in columns[x]) for x in labels]
        table.add_row(str(number), f"{count:,}", *cells)
    return table


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"
