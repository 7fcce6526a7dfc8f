"""The page of an audit: that it is whole, holds what the rows hold, loads nothing and runs nothing of others."""

import base64
import hashlib
import re

import numpy as np
import pytest

from junlearn.errors import ConfigError
from junlearn.reports import audit_page
from junlearn.reports.audit_columns import REQUEST
from tests.reports.audit_rows import arrays, bank, examples, random_row, row
from tests.reports.parsed_page import Parsed
from tests.reports.parsed_page import check as check_page

ROWS = bank("finetune")


@pytest.fixture(scope="module")
def text():
    return audit_page.page(ROWS, examples(ROWS))


@pytest.fixture(scope="module")
def parsed(text):
    return Parsed(text)


def check(text):
    return check_page(text, audit_page.LIMIT)


def test_the_page_is_whole_and_loads_nothing(text):
    check(text)


def test_the_script_alone_may_run(text, parsed):
    script = re.search(r"<script>(.*?)</script>", text, re.DOTALL).group(1)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = [attrs["content"] for attrs in parsed.all("meta") if "http-equiv" in attrs]
    assert policy.startswith("default-src 'none';") and f"script-src 'sha256-{digest}'" in policy
    assert "querySelectorAll" in script and not re.search(r"fetch|XMLHttp|import|eval", script)


def test_the_numbers_are_those_of_the_rows(text, parsed):
    for one in ROWS:
        for name, value in one["values"].items():
            assert f'<th scope="row">{name}</th><td>{value:.4g}</td>' in text
    assert '<td class="outside">0.554*</td>' in text and "<td>0.501</td>" in text
    for said in (
        "digits, small_cnn, scenario random, seed 0, design request",
        "distinguishable (p = 0.001, energy)",
        "retain (all): indistinguishable at N = 32 (a mean shift of 0.12 sd would have been seen)",
        "null, N = 32: F 0.171 [0.152, 0.191]; KLoM 1.63 [1.48, 1.76]; accuracy 0.500",
        "0.171 [0.152, 0.191]",
        "split, 50",
        "100 examples were to be forgotten.",
        "1,337 examples that were to be kept and at 360 test examples",
        "32 original networks",
        "each of them: 32 networks of finetune.",
        "32 twins",
        "No two ensembles share a seed",
        "0.027 on forget, 0.019 on retain, 0.022 on test",
        "0.21 sd by mean shift",
        "klom below 32 networks",
        "tests outputs on the named rows",
        "nothing about the weights of the networks or about other inputs",
        "junlearn audit --config audit.toml",
        "3f2a90",
        "Sum: 310.2 s. The training of the networks that serve all rows is counted once.",
        "0.10.2",
    ):
        assert said in parsed.text


def test_every_column_and_value_is_explained(parsed):
    for column in REQUEST:
        assert " ".join(column.meaning.split()) in parsed.text
    glossary = parsed.text.partition("What these values are")[2]
    for kind in {name.removeprefix("forget/").partition("@")[0] for name in ROWS[0]["values"]}:
        assert f" {kind.partition('/')[0]} " in glossary


def test_pictures_and_images_are_in_the_page(parsed):
    kinds = [attrs["src"].partition(";")[0] for attrs in parsed.all("img")]
    assert kinds.count("data:image/svg+xml") == 4 + 2 * len(ROWS)
    assert kinds.count("data:image/png") == 12
    assert "Left out" not in parsed.text


def test_the_most_exposed_examples_are_listed(parsed):
    assert parsed.text.count("50 of 100 examples") == len(ROWS)
    assert sum(attrs.get("class") == "sortable" for attrs in parsed.all("table")) == len(ROWS)
    keys = [float(attrs["data-key"]) for attrs in parsed.all("td") if "data-key" in attrs]
    assert len(keys) == 50 * 7 * len(ROWS)
    first = keys[2 : 50 * 7 : 7]
    assert first == sorted(first, reverse=True)


def test_the_same_rows_give_the_same_page():
    found = {"audit/finetune.npz": arrays(n=20, roc_fpr=None, exposed=None)}
    assert audit_page.page([random_row()], found) == audit_page.page([random_row()], found)


def test_twelve_methods():
    rows = [row(f"a_method_with_a_long_label_{i}") for i in range(12)]
    found = check(audit_page.page(rows, {}))
    assert len(found.all("article")) == 12 and len(found.all("img")) == 2


def test_the_random_design():
    example = arrays(
        hist_epsilon=None, hist_klom=None, klom_quantiles=None, exposed=np.zeros(0, int)
    )
    found = check(audit_page.page([random_row()], {"audit/finetune.npz": example}))
    assert (
        "U-LiRA (held out)" in found.text and "fair coin" in found.text and "64 runs" in found.text
    )
    assert "999 draws of coins that are tossed anew" in found.text
    assert "the most exposed examples" not in found.text and "Twin" not in found.text
    assert "one that it has never seen, by its outputs?" in found.text


def test_a_row_of_which_nothing_is_known():
    known = (
        "kind",
        "role",
        "method",
        "dataset",
        "model",
        "scenario",
        "seed",
        "config",
        "bank_hash",
    )
    bare = {name: value for name, value in row().items() if name in (*known, "design", "pairing")}
    found = check(audit_page.page([bare | {"values": {}}], {}))
    assert "no verdict" in found.text and "is not recorded" in found.text
    assert "was not measured" in found.text and "None." in found.text


EVIL = "</script><script>alert('1')</script>\"'&<b>\u202e漢字\x00"


def test_strings_of_others_are_escaped():
    values = {EVIL: 1.0, "forget/energy": 0.5}
    evil = row(EVIL, remarks=[EVIL], verdict=dict.fromkeys(("forget", "retain", "test"), EVIL))
    evil |= {"dataset": EVIL, "device": EVIL, "versions": {EVIL: EVIL}, "values": values}
    evil["config"] |= {EVIL: EVIL}
    example = arrays(n=3, exposed=None, class_names=np.array([EVIL] * 10))
    found = check(audit_page.page([evil], {evil["method"]: example}, command=EVIL))
    shown = "</script><script>alert('1')</script>\"'&<b>\\u202e漢字\\x00"
    assert found.text.count(shown) >= 12
    assert "\u202e" not in found.text and "\x00" not in found.text


def test_pictures_that_do_not_fit_are_left_out_and_named(monkeypatch):
    rows = [random_row()]
    monkeypatch.setattr(audit_page, "LIMIT", 150_000)
    text = audit_page.page(rows, {"finetune": arrays(n=20)})
    found = Parsed(text)
    assert len(text.encode()) < 150_000
    assert "Left out" in found.text and "finetune: the most exposed examples" in found.text


def test_rows_of_several_banks_are_no_page():
    with pytest.raises(ConfigError, match="rows of one bank, not of 2"):
        audit_page.page([row(), row(bank_hash="other")], {})
    with pytest.raises(ConfigError, match="not of 0"):
        audit_page.page([], {})


def test_the_page_is_written(tmp_path):
    path = tmp_path / "deep" / "audit.html"
    audit_page.write_page(
        [random_row("漢字")], {}, path, command="junlearn audit --audit.models 64"
    )
    found = check(path.read_text(encoding="utf-8"))
    assert "漢字" in found.text and "--audit.models 64" in found.text


def test_a_page_knows_its_lines(tmp_path):
    rows, path = [random_row()], tmp_path / "page.html"
    assert not audit_page.is_current(rows, path)
    audit_page.write_page(rows, {}, path)
    assert audit_page.is_current(rows, path)
    assert not audit_page.is_current([random_row(time="another")], path)
