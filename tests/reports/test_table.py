"""The table on the terminal."""

import pytest

from junlearn.experiment import references
from junlearn.reports import columns
from junlearn.reports.uncertainty import between
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


# --- intervals, and ranges among retrained networks ---


@pytest.mark.parametrize(
    ("bounds", "factor", "digits", "text"),
    [
        ((0.9742, 0.9921), 100, 2, "97.4–99.2"),
        ((0.2149, 0.9385), 100, 2, "21–94"),
        ((0.0, 0.0254), 100, 2, "0–2.5"),
        ((0.98, 1.0), 100, 2, "98.0–100"),
        ((0.2149, 0.9385), 1, 3, ".21–.94"),
        ((0.0121, 0.0254), 1, 3, ".012–.025"),
        ((0.98, 1.14), 1, 3, ".98–1.14"),
        ((-0.0001, 0.0001), 1, 3, "0"),
        ((0.4, 0.4), 1, 3, ".400"),
        ((3.0, 17.0), 1, 0, "3–17"),
    ],
)
def test_bounds_have_the_digits_that_their_distance_asks_for(bounds, factor, digits, text):
    assert between(bounds, columns.Column("any", "any", factor, digits)) == text


def run(count=3, **changes):
    """A run with intervals; its two other retrained networks have 97 and 98 % on the test set."""
    made = [
        record(method=method, role=role, metrics={"accuracy/test": value, "tow": 0.5 + value / 4})
        for method, role, value in (
            *(("original", "original", 0.9), ("retrain", "retrain", 0.975)),
            *(("ssd", "unlearn", 0.9876), ("finetune", "unlearn", 0.972)),
        )
    ]
    for each in made:
        low = each["metrics"]["accuracy/test"]
        each |= {"intervals": {"accuracy/test": [low - 0.004, low + 0.004]}} | changes
    others = [{"accuracy/test": 0.97 + i / 100, "tow": 0.75} for i in range(count - 1)]
    made[1] = references.added(made[1], others)
    return made


@pytest.mark.parametrize("width", [36, 80, 120, 160])
def test_intervals_stand_below_their_values(width):
    text = printed(width, *run())
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    place = next(i for i, line in enumerate(lines) if line.startswith(" ssd"))
    assert lines[place].split()[1] == "98.76↑"
    assert lines[place + 1].split() == ["98.4–99.2"]
    place = next(i for i, line in enumerate(lines) if line.startswith(" retrain"))
    assert lines[place + 1].split() == ["97.1–97.9"]
    assert lines[place + 2].split()[:3] == ["among", "3", "97.0–98.0"]
    assert next(line for line in lines if line.startswith(" original")).split()[1] == "90.00↓"
    assert next(line for line in lines if line.startswith(" finetune")).split()[1] == "97.20"
    flowing = " ".join(text.split())
    assert "The spread between networks, trained with other seeds, is not in it;" in flowing
    assert "; the row among 3 shows it" in flowing and "--references" not in flowing
    assert "; --references 5 shows it" in " ".join(printed(width, *run(1)).split())
    assert "2 of them, each compared with the first" in flowing


def test_records_of_earlier_versions_have_no_intervals():
    text = printed(120, record(), record(role="original", method="original"))
    assert "interval" not in text and "among" not in text
    assert "98.76↑" not in text


def test_two_retrained_networks_have_no_range_of_what_compares_them():
    text = printed(120, *run(2))
    assert "each compared" not in text
    assert next(line for line in text.splitlines() if "among 2" in line).split()[2:] == [
        "97.0–97.5"
    ]


def test_a_small_request_is_warned_of():
    few = {"request": {"forget": 3}, "intervals": {"mia/entropy": [0.21, 0.94]}}
    metrics = {"accuracy/test": 1.0, "mia/entropy": 2 / 3}
    text = " ".join(printed(80, record(metrics=metrics, **few)).split())
    assert (
        "warning: the forget set has 3 examples: a rate of it moves by 33 points with one of them; mia/entropy of ssd "
        "is 0.67, its interval 0.21 to 0.94"
    ) in text
    assert "warning" not in printed(80, record(request={"forget": 30}))
    assert "has 1 example:" in printed(80, record(request={"forget": 1}))
