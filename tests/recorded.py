"""A record that is made by hand, and the table as a terminal shows it."""

import io

from rich.console import Console

import junlearn
from junlearn.experiment import records
from junlearn.reports import table


def record(**changes):
    plain = {
        "dataset": {"name": "digits"},
        "model": {"name": "mlp"},
        "scenario": {"name": "class"},
        "seed": 0,
    }
    seconds = {"compile": 1.0, "run": 2.5, "total": 4.0}
    result = junlearn.Result(None, None, [], seconds, {"unlearn": 2.5}, {"sisa/repeated": 0.5})
    metrics = {"accuracy/test": 0.9876, "tow": 0.5}
    return {
        **records.new(plain, "abc", "unlearn", "ssd", metrics, result),
        **changes,
    }


def printed(width, *rows):
    file = io.StringIO()
    table.table(list(rows), Console(width=width, file=file))
    return file.getvalue()
