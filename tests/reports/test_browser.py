"""The pages in a real browser: no script error, nothing loaded, every picture there, readable on a telephone."""

import pytest

from junlearn.reports import audit_page, ledger_page, run_page
from tests import browser
from tests.reports.audit_rows import bank, examples
from tests.reports.ledger_facts import facts
from tests.reports.run_records import records, revisited, subject

PATH = browser.found()
pytestmark = pytest.mark.skipif(PATH is None, reason=browser.WHY)

PAGES = ("report", "audit", "ledger")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    where = tmp_path_factory.mktemp("pages")
    long = records(dataset="a_dataset_with_a_name_that_is_long_" * 3)
    told = run_page.page(subject(revisited(), long, audits=bank("finetune")))
    (where / "report.html").write_text(told)
    (where / "ledger.html").write_text(ledger_page.page(facts()))
    rows = bank("finetune")
    (where / "audit.html").write_text(audit_page.page(rows, examples(rows)))
    return where


@pytest.fixture(scope="module")
def tab():
    with browser.browser(PATH) as one:
        yield one


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("name", PAGES)
def test_it_is_readable(tab, folder, name, width, dark):
    seen = tab.open(folder / f"{name}.html", width, dark)
    assert tab.errors == []
    assert seen["count"] > 0 and seen["images"] == []
    assert seen["over"] <= 0 and seen["wide"] == [] and seen["small"] == 0
    paper, ink = (sum(map(int, seen[part][4:-1].split(", "))) for part in ("paper", "ink"))
    assert paper < 100 and ink > 600 if dark else paper > 700 and ink < 100
    asked = [address for address in tab.requests if not address.startswith("data:")]
    assert set(asked) <= {(folder / f"{page}.html").as_uri() for page in PAGES}


def test_the_browser_tells_of_what_is_wrong(tab, tmp_path):
    page = tmp_path / "wrong.html"
    page.write_text(
        '<img src="none.png" alt="gone"><p style="width:3000px;font-size:5px">wide</p>'
        "<script>throw new Error('broken')</script>"
    )
    seen = tab.open(page, 400)
    assert seen["images"] == ["gone"] and seen["over"] > 0 and seen["small"] == 1
    assert tab.errors and any("none.png" in address for address in tab.requests)
    tab.errors.clear()
    tab.requests.clear()


@pytest.mark.parametrize("name", PAGES)
def test_it_prints(tab, folder, name):
    tab.open(folder / f"{name}.html")
    assert tab.printed().startswith(b"%PDF-")
