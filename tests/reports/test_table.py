"""The table on the terminal."""

from junlearn.reports import columns
from tests.recorded import printed, record


def test_table():
    other = record(method="x", role="retrain", metrics={"accuracy/test": 1.0})
    wide, narrow = (printed(width, record(), other) for width in (120, 30))
    for text in (wide, narrow):
        assert "98.76" in text and "0.500" in text and "2.5" in text
        assert "JS" not in text
        assert max(map(len, text.splitlines())) <= 120
    assert wide.count("method") == 1 and narrow.count("method") == 2
    assert "-" in [line.split()[-1] for line in narrow.splitlines() if line.startswith(" x")]


def test_the_table_shows_what_was_asked_for_in_the_width_there_is():
    names = [column.metric for column in (*columns.ACCURACIES, *columns.FORGETTING)]
    row = record(metrics=dict.fromkeys(names, 0.25), seconds={"run": 2.5, "evaluate": 1.25})
    for width, count in ((60, 4), (100, 3), (250, 1)):
        lines = printed(width, row).splitlines()
        assert max(map(len, lines)) <= width
        rows = [line for line in lines if line.startswith(" ssd")]
        assert len(rows) == count
        cells = " ".join(rows).split()
        assert cells.count("25.00") == len(columns.ACCURACIES) and cells.count("3.8") == 1
        assert cells.count("0.250") == len(columns.FORGETTING) - 1  # relearn: whole steps


def test_repaired_networks_have_columns_of_their_own():
    metrics = {"corrective/corrected": 0.5, "corrective/attack_success": 0.25, "accuracy/test": 1.0}
    text = printed(120, record(metrics=metrics, scenario="poisoning"))
    assert "50.00" in text and "25.00" in text and "100.00" not in text
    assert "Corrected:" in text
