"""The report on a run: that it is whole, tells what the records tell, and runs and loads nothing of others."""

import re
import tomllib

import numpy as np
import pytest

from junlearn.experiment import references
from junlearn.metrics.directions import VALUES
from junlearn.reports import run_page
from junlearn.reports.run_page import Experiment, Subject
from junlearn.reports.run_page.meanings import UNKNOWN, direction, meaning
from tests.reports.audit_rows import bank
from tests.reports.parsed_page import Parsed, check
from tests.reports.run_records import record, records, revisited, subject

EVIL = "</script><script>alert('1')</script>\"'&<b>\u202e漢字\x00"


@pytest.fixture(scope="module")
def text():
    return run_page.page(subject(revisited()))


@pytest.fixture(scope="module")
def found(text):
    return check(text, run_page.LIMIT)


def test_it_tells_what_was_asked_done_and_found(found):
    for said in (
        "pets, small_cnn, scenario class, seed 0",
        "No audit lies beside these records.",
        "classes = [1]",
        "Examples to forget 40",
        "f1nger",
        "r0ws",
        "forgotten.txt beside the records (SHA-256 abc)",
        "Carried out 2026-11-29T12:00:00+00:00",
        "the original network /cache/models/abc",
        "this page, under Examples",
        "Certificate. It is certified by Langevin noise: epsilon 1.25, delta 1e-05; assumed: gradients",
        "settings noise 0.1",
        "Without effect: it changed no prediction on any example.",
        "alpha = 3.0",
        "stage unlearn 1.50",
        "Share of the training examples to be forgotten that get the right answer. In percent. The nearer to the "
        "retrained network, the better.",
        "langevin/steps " + UNKNOWN,
        "Seed of order 7",
        "original hash_of_original, retrain hash_of_retrain",
        "Code of the network c0de",
        "jax 0.10.2",
        "python -m junlearn.main --config experiment.toml",
        "Nothing is missing.",
    ):
        assert said in found.text, said


def test_the_networks_stand_side_by_side(text):
    assert re.search(r'<tr class="retrain"><th scope="row">retrain</th>\s*<td>96.00</td>', text)
    assert re.search(r'<tr class="original"><th scope="row">original</th>\s*<td>99.00</td>', text)
    assert '<th scope="row">js/forget_train&nbsp;<span class="way">↓</span></th><td>0</td>' in text


def test_intervals_ranges_and_small_sets_are_told():
    told = [
        one | {"intervals": {"accuracy/forget_train": [0.25, 0.5]}, "request": {"forget": 4}}
        for one in records()
    ]
    told[1] = references.added(told[1], [told[1]["metrics"]] * 2)
    page = run_page.page(Subject([Experiment(told, "mine", absent="gone")]))
    found = check(page, run_page.LIMIT)
    assert '<td>30.00 <span class="bounds">25–50</span></td>' in page
    assert '<td>0.3 <span class="bounds">.25–.50</span></td>' in page
    assert "among 3" in found.text and "references = 3" in found.text
    for said in (
        "Warning: the forget set has 4 examples: a rate of it moves by 25 points with one of them",
        "its interval 0.25 to 0.50.",
        "The spread between networks, trained with other seeds, is not in it",
        "Among 3: the smallest and the largest value of 3 retrained networks",
    ):
        assert said in found.text, said
        assert said in run_page.card(Subject([Experiment(told, "mine", absent="gone")]))
    assert "(25–50)" in run_page.card(Subject([Experiment(told, "mine", absent="gone")]))
    assert "interval" not in run_page.page(subject(None))


def test_classes_and_forgotten_examples(text):
    seen = revisited()
    accuracy = 100 * np.mean(seen.networks[0].test[seen.test_labels == 1] == 1)
    assert f'class="outside">dog*</th><td>20</td><td>{accuracy:.1f}</td>' in text
    assert '<th scope="row">original</th><td>100.0</td><td class="text">dog (100 %)</td>' in text
    assert text.count('alt="forgotten example') == 2
    assert '<td class="outside">dog* <span class="words">80 %</span></td>' in text


def test_pictures_before_and_after(found):
    kinds = [attrs["alt"].partition(".")[0] for attrs in found.all("img") if "svg" in attrs["src"]]
    alone = ["Distance from the retrained network", "What is kept against what is forgotten"]
    alone.append("Time against quality")
    each = [r["method"] for r in records()]
    # Confusion, confidence and embedding of every network, then its losses and its accuracies.
    assert kinds == [*alone, *3 * each, *(label for label in each for _ in range(2))]


def test_the_configuration_is_read_back(text):
    block = re.findall(r"<pre>(.*?)</pre>", text, re.DOTALL)[-1].replace("&#34;", '"')
    read = tomllib.loads(block)
    assert read["methods"] == ["ssd", "langevin"]
    assert read["method"]["ssd"] == {"name": "ssd", "alpha": 3.0}


def test_verdicts_of_an_audit_stand_first():
    rows = bank("finetune")
    found = check(run_page.page(subject(audits=rows)), run_page.LIMIT)
    places = [
        found.text.index(said) for said in ("distinguishable (p", "What was asked for Request")
    ]
    assert places == sorted(places) and "No audit lies" not in found.text


def test_embeddings_by_t_sne():
    seen = revisited()
    one = subject(seen._replace(networks=seen.networks[:1]), [record("original")])
    drawn = [check(run_page.page(one, tsne=tsne), run_page.LIMIT) for tsne in (False, True)]
    assert "by t-SNE" in drawn[1].text and "by the first two principal" in drawn[0].text
    first, second = ([a["src"] for a in found.all("img") if "cross" in a["alt"]] for found in drawn)
    assert len(first) == 1 and first != second


def test_what_is_not_there_is_said():
    first = subject().experiments[0]
    bare = subject(experiments=[first._replace(absent="the data could not be read")])
    found = check(run_page.page(bare), run_page.LIMIT)
    assert "embeddings and images: the data could not be read. The command below" in found.text
    assert "Nothing can be shown here" in found.text
    seen = revisited(missing=("ssd: its network is not kept",))
    seen = seen._replace(
        networks=tuple(n._replace(embedding=None, test=None) for n in seen.networks)
    )
    found = check(run_page.page(subject(seen)), run_page.LIMIT)
    assert "ssd: its network is not kept. The command below makes it again" in found.text
    assert "retrain: its network does not tell its embedding." in found.text
    assert "Accuracy by class" not in found.text


def test_private_data_show_no_image():
    found = check(run_page.page(subject(revisited(), images=False)), run_page.LIMIT)
    assert "a.png" not in found.text and "left out, as it was asked for" in found.text
    found = check(run_page.page(subject(revisited(images=False))), run_page.LIMIT)
    assert "since the request is private" in found.text
    assert not [a for a in found.all("img") if "png" in a["src"]]


def test_a_record_that_says_little():
    rows = [record() | {"metrics": {}, "history": []}]
    for name in ("request", "stages", "code", "effect"):
        del rows[0][name]
    found = check(run_page.page(subject(rows=rows)), run_page.LIMIT)
    assert "Examples to forget not recorded" in found.text and not found.all("img")


def test_several_experiments():
    seeds = [records(seed=i, config=record()["config"] | {"seed": i}) for i in range(2)]
    points = [Experiment(rows, f"seed-{i}: point") for i, rows in enumerate(seeds)]
    found = check(run_page.page(subject(experiments=points)), run_page.LIMIT)
    assert "2 experiments: seed-0: point and others" in found.text
    assert "Means over seeds" in found.text and "99.00 ± 0.00" in found.text
    assert "a report on the directory of one of them" in found.text
    assert len(found.all("pre")) == 2 * (4 + 1) + 1


def test_strings_of_others_are_escaped():
    config = record()["config"] | {"dataset": {"name": EVIL}, EVIL: EVIL}
    rows = [record(method=EVIL, device=EVIL, dataset=EVIL, metrics={EVIL: 1.0}, config=config)]
    seen = revisited(classes=(EVIL, "dog", EVIL), missing=(EVIL,), copies=(EVIL,))
    seen = seen._replace(images=seen.images._replace(names=(EVIL, EVIL)))
    found = check(run_page.page(subject(seen, rows)), run_page.LIMIT)
    shown = "</script><script>alert('1')</script>\"'&<b>\\u202e漢字\\x00"
    assert found.text.count(shown) > 12
    assert "\u202e" not in found.text and "\x00" not in found.text
    text = run_page.card(subject(seen, rows))
    assert "\x00" not in text and "\\</script\\>\\<script\\>" in text


def test_a_page_stays_small(monkeypatch):
    bare = len(run_page.page(subject(revisited(), rows=[record()])))
    monkeypatch.setattr(run_page, "LIMIT", bare - 20_000)
    text = run_page.page(subject(revisited(), rows=[record()]))
    assert len(text.encode()) < bare - 20_000
    assert "Left out, so that the page stays below" in Parsed(text).text


def test_the_same_report_gives_the_same_bytes(text):
    assert run_page.page(subject(revisited())) == text


def test_a_model_card():
    text = run_page.card(subject(revisited(), audits=bank("finetune")))
    assert text.startswith("---\nlibrary_name: junlearn\n")
    assert "- **finetune** not told from retraining: indistinguishable at N = 32" in text
    heads, rule, first = re.search(r"(\| network \|.*)\n(.*)\n(.*)\n", text).groups()
    assert heads.count("|") == rule.count("|") == first.count("|")
    assert "| dog\\* |" in text and "certified by Langevin noise" in text
    (block,) = re.findall(r"```toml\n(.*?)\n```", text, re.DOTALL)
    assert tomllib.loads(block)["seed"] == 0


def test_a_fence_that_nothing_ends():
    rows = [record(config=record()["config"] | {"note": "```\n# out"})]
    text = run_page.card(subject(rows=rows))
    assert re.search(r"^````toml\n", text, re.MULTILINE)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: value.pattern)
def test_every_value_has_a_meaning_and_a_direction(value):
    name = re.sub(r"\((un)\)\?", r"\1", value.pattern)
    name = re.sub(
        r"\(([^|()]*)\|?[^()]*\)\??", r"\1", re.sub(r"\([^()]*\(.*\).*\)", "accuracy", name)
    )
    name = re.sub(r"\[0-9\]\+|\.\+", "1", name).replace("?", "")
    assert meaning(name) != UNKNOWN and "{" not in meaning(name)
    assert direction(name)[1]
