"""The report on a ledger: from facts alone, with what does not fit at the top."""

import re

import pytest

from junlearn.reports import ledger_page, run_page
from tests.reports.ledger_facts import facts
from tests.reports.parsed_page import check

EVIL = "</script><script>alert('1')</script>\"'&<b>\u202e漢字\x00"


def test_it_tells_what_was_asked_done_and_left():
    found = check(ledger_page.page(facts(), key="k3y"), run_page.LIMIT)
    for said in (
        "digits, small_cnn, 1 request ",
        "The ledger fits 5 lines, each with the hash of the one before, and 2 networks",
        "Fingerprint of the data f1nger",
        "every = 5",
        "none: it never saw what was deleted",
        "Line 2 2 examples, by id, t2 1 deleted before and skipped; 1 exact copy deleted with them. 22, 53",
        "1 the ledger begins 99.00 100.00 training 9.50",
        "2 2 examples deleted by ssd 99.00 25.00 steps 0.25, total 2.00",
        "retrain: drift of 2",
        "1 network and 0 caches removed",
        "an earlier network, net0",
        "mia/entropy ≈ 0.5. Share of the forget set",
        "python -m junlearn.main ledger verify orders",
        "Hash of the last line h4sh",
        "jax 0.10.2",
        "Signed with the key k3y",
    ):
        assert said in found.text, said
    assert [attrs["alt"].partition(".")[0] for attrs in found.all("img")] == [
        "From request to request"
    ]


def test_a_ledger_that_does_not_fit_says_so_first():
    broken = facts(verified={"fits": False, "reason": "line 3 was changed"})
    text = check(ledger_page.page(broken), run_page.LIMIT).text
    assert (
        text.index("The ledger does not fit It is not as it was written: line 3 was changed") < 200
    )
    assert "does not fit.** It is not as it was written: line 3" in ledger_page.card(broken)


def test_names_can_be_left_out_and_many_are_counted():
    text = check(ledger_page.page(facts(), names=False), run_page.LIMIT).text
    assert "22, 53" not in text and "are not named, as it was asked for" in text
    many = check(ledger_page.page(facts(names=list(map(str, range(500))))), run_page.LIMIT).text
    assert "198, 199 and 300 more, all in ledger.jsonl" in many and ", 200" not in many


def test_markdown():
    text = ledger_page.card(facts())
    heads, rule, first = re.search(r"(\| line \|.*)\n(.*)\n(.*)\n", text).groups()
    assert heads.count("|") == rule.count("|") == first.count("|")
    assert "1 exact copy deleted with them: 22, 53" in text


@pytest.mark.parametrize("write", [ledger_page.page, ledger_page.card])
def test_strings_of_others_are_escaped(write):
    evil = facts(names=(EVIL, EVIL), remains=[EVIL])
    evil["status"] |= {"dataset": EVIL, "directory": EVIL}
    text = write(evil)
    assert "\u202e" not in text and "\x00" not in text and EVIL[:20] not in text
