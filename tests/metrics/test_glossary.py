"""The glossary of the metrics says what the tables and reports say, of every metric, and of nothing else."""

import re

import pytest

from junlearn.metrics import METRICS
from junlearn.metrics.directions import value_of
from junlearn.metrics.explained import PAGE, SECTION, explained
from junlearn.reports.columns import ACCURACIES, FORGETTING, MANIPULATED
from junlearn.reports.run_page.meanings import UNKNOWN, direction, meaning
from tests.small_run import call

COLUMNS = (*ACCURACIES, *MANIPULATED, *FORGETTING)
SHOWN = [(metric, shown) for metric in METRICS for shown in explained(metric).values]
RANGE = re.compile(r"(-?\d+|1 - log 2) (?:to (\d+|√2|log [2K])|on)|up to 1")


def test_every_metric_has_an_entry_and_no_other():
    assert {name for name, _ in SECTION.findall(PAGE.read_text())} == set(METRICS)
    for metric in METRICS:
        found = explained(metric)
        assert found.values and min(map(len, (found.measures, found.retrained, found.lies))) > 3
    assert explained("somebody_elses") is None


@pytest.mark.parametrize(("metric", "shown"), SHOWN, ids=[shown.value for _, shown in SHOWN])
def test_a_row_is_what_reports_say(metric, shown):
    assert value_of(shown.value).metric == metric
    assert shown.sign == direction(shown.value)[0]
    assert shown.meaning == meaning(shown.value) != UNKNOWN
    assert set(shown.columns) == {c.heading for c in COLUMNS if c.metric == shown.value}
    assert RANGE.fullmatch(shown.range), shown.range


def test_every_column_of_the_tables_has_a_row():
    assert {column.metric for column in COLUMNS} <= {shown.value for _, shown in SHOWN}


def test_the_list_prints_it(place, capsys):
    _, out, _ = call(capsys, "list", "metric", "tow")
    assert "\n  tow ↑ 0 to 1, in tables 'ToW'. How near the accuracies are" in out
    assert "\nit lies when one wants to know what went wrong: the product hides the signs" in out
    assert max(map(len, out.splitlines())) <= 200
    _, out, _ = call(capsys, "list", "metric", "mia")
    assert "`" not in out.partition("values (")[2] and "](" not in out
