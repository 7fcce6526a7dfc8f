"""The table of an audit: what stands in it, what is marked, and what is said below it."""

import csv
import io
import json
import re

import pytest
from rich.console import Console

from junlearn.reports import audit_table
from junlearn.reports.audit_planning import NETWORKS, PLANNED
from junlearn.text.terminal import Terminal
from tests.reports.audit_rows import BANK, bank, random_row, row


def printed(rows, width=240):
    file = io.StringIO()
    audit_table.table(rows, Console(width=width, file=file))
    return file.getvalue()


def cells(text, name):
    """The numbers of a row, of all tables in which it stands."""
    lines = [line.split() for line in text.splitlines() if line.startswith(f" {name} ")]
    return [word for words in lines for word in words[1:]]


def test_the_numbers_are_those_of_the_rows():
    found = cells(printed([row(amount=0.4)]), "finetune")
    assert found[:9] == [
        "32",
        "+0.17",
        "0.98",
        "0.522*",
        "0.0182*",
        "0.93",
        "+0.08",
        "0.001*",
        "0.22*",
    ]
    assert found[9:14] == ["0.900", "(0.942)*", "0.620", "0.570", "0.6"]
    assert " ".join(found[14:]) == "distinguishable (p = 0.001, energy)"


def test_a_value_outside_its_band_is_bold_and_marked():
    file = io.StringIO()
    console = Console(file=file, width=240, force_terminal=True, color_system="standard")
    edge = {"forget/mean_shift": BANK["forget/mean_shift"][2], "forget/accuracy": 0.4849}
    audit_table.table([row(values=edge, p={})], console)
    bold = re.findall(r"\x1b\[1m *([-+]?\d[.\d]*\*?)", file.getvalue())
    assert bold == ["0.485*"] and "+0.20 " in file.getvalue()
    without = row(values={"forget/accuracy": 0.9}, null={})
    assert cells(printed([without]), "finetune")[3] == "0.900"


def test_the_original_and_the_twin_come_first():
    lines = printed(bank("finetune", "scrub")).splitlines()
    firsts = [line.split()[0] for line in lines if line.startswith(" ") and line.strip()]
    names = [name for name in firsts if name in ("Original", "Twin", "finetune", "scrub")]
    assert names == ["Original", "Twin", "finetune", "scrub"]
    assert "Twin: networks retrained once more" in "\n".join(lines)
    assert "Twin" not in printed([row()])


def test_absent_values_are_dashes():
    bare = row(values={}, p={}, null={}, verdict={}, detectable={}, interval={}, models={})
    del bare["seconds_each"]
    text = printed([bare])
    assert cells(text, "finetune") == ["-"] * 14
    assert "null" not in text.partition("Bold")[0].partition("\n finetune")[2]


@pytest.mark.parametrize("width", [40, 80, 100, 240])
def test_nothing_is_cut_at_any_width(width):
    rows = bank(*(f"method_with_a_long_label_{i}" for i in range(12)))
    text = printed(rows, width)
    assert max(map(len, text.splitlines())) <= width and "…" not in text
    flat = " ".join(text.split())
    assert "indistinguishable at N = 32 (a mean shift of 0.21 sd would have been seen)" in flat
    assert flat.count("(0.942)") == 14
    assert "F 0.171 [0.152, 0.191]; KLoM 1.63 [1.48, 1.76]; accuracy 0.500 [0.485, 0.513]" in flat
    assert "a shift of the margins of 0.21 sd by mean shift, 0.24 sd by energy" in flat


def test_what_all_rows_share_is_said_once_and_what_they_do_not_by_name():
    other = row("scrub", models={"unlearned": 16, "retrain": 32}, remarks=["few networks"])
    other["null"] = other["null"] | {"forget/F": other["null"]["forget/F"] | {"low": 0.148}}
    text = " ".join(printed([row(), row("ssd"), other], 2000).split())
    assert text.count("KLoM 1.63") == 1 and "null, N = 16, 32: KLoM" in text
    assert "null of scrub, N = 16: F 0.171 [0.148, 0.191]" in text
    assert text.count("klom below 32") == 1 and "remark: few networks (scrub)" in text
    assert "retain (all): indistinguishable" in text


def test_a_pooled_null_is_called_so():
    own = row()
    pooled = {name: null | {"source": "pooled"} for name, null in own["null"].items()}
    assert "null (pooled), N = 32:" in printed([row(null=pooled)])


def test_networks_that_diverged_are_counted_as_the_worst_beside_the_row():
    worst = {"values": {"forget/mean_shift": -2.5}, "p": {"forget/energy": 0.0001}}
    text = " ".join(printed([row(diverged={"unlearned": 2, "retrain": 0}, worst=worst)]).split())
    assert (
        "diverged and left out: 2 of 34 unlearned; counting them as worst: mean shift -2.50" in text
    )
    assert "energy p <0.001" in text and "retrain" not in text.partition("diverged")[2][:60]


def test_the_random_design_has_columns_of_its_own():
    text = printed([random_row()])
    found = cells(text, "finetune")
    assert found[:6] == ["64", "0.653*", "0.532*", "0.001*", "0.540*", "0.0220*"]
    assert found[6:11] == ["7", "+0.004", "0.610", "0.25", "0.6"]
    assert "null, runs = 64: LiRA 0.500 [0.490, 0.510]" in text and "F/F0" not in text


def test_audits_of_two_banks_are_two_tables():
    assert printed([row(), row(bank_hash="other", seed=1)]).count("design request") == 2


def test_strings_of_others_command_nothing():
    evil = row("[bold]\x1b[31mred", remarks=["a\u202eb\nc"], verdict={"forget": "x\x1b]0;y"})
    for console in (Terminal(file=io.StringIO(), width=90), Console(file=io.StringIO(), width=300)):
        audit_table.table([evil], console)
        text = console.file.getvalue()
        assert "\x1b" not in text and "\u202e" not in text
        assert "[bold]\\x1b[31mred" in text and "a\\u202eb\\nc" in text


def test_csv(tmp_path):
    rows = [*bank("finetune"), random_row("-lira")]
    audit_table.write_table(rows, tmp_path / "deep" / "audit.csv")
    with (tmp_path / "deep" / "audit.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    assert [line["method"] for line in read] == ["finetune", "original", "twin", "'-lira"]
    for line, own in zip(read, rows, strict=True):
        for name, value in own["values"].items():
            assert float(line[name]) == value
        for name, null in own["null"].items():
            assert float(line[f"null/{name}/low"]) == null["low"]
        assert json.loads(line["remarks"]) == own["remarks"]
    assert float(read[0]["p/forget/energy"]) == rows[0]["p"]["forget/energy"]
    low, high = (float(read[0][f"interval/forget/mean_shift/{end}"]) for end in ("low", "high"))
    assert [low, high] == rows[0]["interval"]["forget/mean_shift"]
    assert read[0]["config/model/widths"] == "[16, 32]" and read[3]["forget/F"] == ""
    assert read[0]["models/retrain"] == "32" and read[3]["models/run"] == "64"


def test_parquet(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = bank("finetune", "scrub")
    audit_table.write_table(rows, tmp_path / "audit.parquet")
    read = parquet.read_table(tmp_path / "audit.parquet").to_pylist()
    assert [line["forget/energy"] for line in read] == [r["values"]["forget/energy"] for r in rows]
    assert list(read[0])[:8] == list(audit_table.IDENTITY)


def test_planning_numbers_are_whole_tables():
    for planned in PLANNED:
        ends = [end for band in planned.bands.values() for end in band]
        assert all(len(numbers) == len(NETWORKS) for numbers in (*planned.means.values(), *ends))
        normal = planned.means.get("normal", planned.means.get("normal, sd 1"))
        for band in planned.bands.values():
            spread = zip(band.low, normal, band.high, strict=True)
            assert all(low < mean < high for low, mean, high in spread)
