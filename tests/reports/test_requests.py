"""Records of a stream: the table, the pictures and the rows tell the requests apart."""

import math

from junlearn.reports import requests, tables
from junlearn.reports.pictures import draw
from junlearn.reports.pictures.over_requests import over_requests
from tests.recorded import printed, record
from tests.reports.drawn import flaws, labels


def judged(number, method, forgotten, retained, role="unlearn", **metrics):
    return record(
        method=method,
        role=role,
        metrics={"accuracy/forget_train": forgotten, "accuracy/retain_train": retained, **metrics},
        request={"number": number, "forget": 1000 * number, "retain": 10, "new": 1000},
        versions={},
    )


RECORDS = [
    judged(1, "retrain", 0.5, 0.75, "retrain", **{"js/forget_train": 0.0}),
    judged(1, "ssd", 0.25, 0.6, **{"js/forget_train": 0.1}),
    judged(1, "scrub", 0.125, 0.8),
    judged(2, "retrain", 0.55, 0.7, "retrain", **{"js/forget_train": 0.0}),
    judged(2, "ssd", 0.35, 0.65, **{"js/forget_train": 0.2}),
]
"""SCRUB failed at the second request."""


def test_the_last_request_has_the_table_and_each_one_a_line():
    text = printed(100, *RECORDS)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "request 2, seed 0" in text and requests.LEGEND in text
    first = [line.split()[0] for line in lines if line]
    assert [word for word in first if word in ("retrain", "ssd", "scrub")] == ["retrain", "ssd"]
    assert "1 1,000 50.0 / 75.0 25.0 / 60.0 12.5 / 80.0" in lines
    assert "2 2,000 55.0 / 70.0 35.0 / 65.0 - / -" in lines
    narrow = printed(40, *RECORDS)
    assert max(map(len, narrow.splitlines())) <= 40 and narrow.count("forgotten  ") == 3
    assert requests.LEGEND not in printed(100, record())


def test_a_panel_for_each_measure_over_the_requests():
    figure = over_requests(RECORDS)
    drawn = {
        axis.get_title(): {line.get_label(): line.get_xydata().tolist() for line in axis.lines}
        for axis in figure.axes
    }
    assert labels(figure) == ["retrain", "ssd", "scrub"] and flaws(figure) == []
    assert [axis.get_xlabel() for axis in figure.axes if axis.axison] == ["request"] * 3
    assert drawn["forgotten so far, % right"]["scrub"] == [[1, 12.5]]
    assert drawn["retained, % right"]["ssd"] == [[1, 60], [2, 65]]
    assert drawn["JS divergence to retraining"]["ssd"] == [[1, 0.1], [2, 0.2]]
    assert over_requests([record()]) is None


def test_other_pictures_are_of_the_last_request(tmp_path):
    names = [path.name for path in draw.write(RECORDS, None, tmp_path)]
    assert names == ["gaps.png", "trade_off.png", "time_quality.png", "requests.png"]


def test_rows_of_a_table_have_the_request():
    rows = tables.rows([*RECORDS, record(versions={})])
    assert [row["request"] for row in rows] == [1, 1, 1, 2, 2, None]
    assert list(rows[0])[:7] == list(tables.FIRST)
    assert "request" not in tables.rows([record(versions={})])[0]
    told = tables.summary(rows)
    assert len(told) == 6 and all(row["runs"] == 1 for row in told)
    assert math.isclose(told[3]["accuracy/forget_train"], 0.55)
