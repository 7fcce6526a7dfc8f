"""Requests on the command line, one after the other: what is done, what is refused, and what the lines say."""

import json

import numpy as np
import pytest

from junlearn import ledger, load_variables
from junlearn.errors import ConfigError
from junlearn.experiment.request import salted_hash
from junlearn.ledger import verify
from junlearn.ledger.network_archive import save
from junlearn.main import main
from tests.ledger.small import (
    Begun,
    config,
    forget,
    ids,
    init,
    lines,
    networks,
    one_line,
    opened,
    refused,
)

FIRST, SIXTH = ids(0, 5)


@pytest.fixture(scope="module")
def twice(begun, tmp_path_factory):
    """A ledger with two requests, and the retraining that its policy asks for."""
    place = begun.copy(tmp_path_factory.mktemp("twice"))
    assert forget(place, ids(0, 1, 2)) == 0
    assert forget(place, [5, 6], "--by", "row") == 0
    return place


@pytest.fixture
def after(twice, tmp_path):
    return Begun(twice).copy(tmp_path)


def test_lines_say_what_was_done(twice):
    found = lines(twice)
    kinds = ["init", "forget", "decision", "forget", "decision", "retrain"]
    assert [line["kind"] for line in found] == kinds
    first, one, _, two, decision, retrain = found
    assert one["request"]["names"] == list(map(str, ids(0, 1, 2))) and one["request"]["count"] == 3
    assert two["request"]["names"] == list(map(str, ids(5, 6))) and two["deleted"] == 5
    assert [one["retained"], two["retained"], retrain["retained"]] == [1434, 1432, 1432]
    assert one["network"]["before"] == first["network"]["after"]
    assert two["network"]["before"] == one["network"]["after"]
    assert retrain["network"]["before"] == two["network"]["after"]
    assert decision["retrain"] and retrain["decision"] == decision["number"]
    assert one["config"] == first["config"] and one["versions"]["jax"] and one["code"]["network"]
    assert one["seconds"]["total"] >= one["seconds"]["unlearning"] > 0
    assert set(one["metrics"]) == {
        f"accuracy/{part}" for part in ("retain_train", "forget_train", "test", "retain_test")
    }


def test_it_is_as_it_was_written(twice):
    found = verify(twice / "ledger")
    assert found["lines"] == 6 and found["networks"] == 4 and found["unnamed"] == []
    assert not (twice / "ledger" / "work").exists()


@pytest.mark.parametrize(
    ("names", "options", "said"),
    [
        (ids(2, 1, 0), (), "carried out by line 2 of the ledger"),
        ([0, 1, 2], ("--by", "row"), "carried out by line 2 of the ledger"),
        (ids(0, 1, 2), ("--skip-known",), "carried out by line 2 of the ledger"),
        (
            ids(0, 7),
            (),
            f"1 of the 2 examples of this request were deleted before ({FIRST}; line 2)",
        ),
        (
            ids(0, 5, 7),
            (),
            f"deleted before ({FIRST}, {SIXTH}; lines 2, 4): --skip-known passes over them",
        ),
        (ids(0, 1), ("--skip-known",), "nothing of it is left to forget"),
        ([], (), "names no example"),
        ([ids(9)[0]] * 2, (), "stands on line 1 already"),
        (["99999"], (), "no training example of digits has the id '99999'"),
        (["1437"], ("--by", "row"), "has the row '1437'"),
        (range(1437), ("--by", "row", "--skip-known"), "nothing would be left to retain"),
    ],
)
def test_requests_that_are_refused(after, capsys, names, options, said):
    before = (after / "ledger" / "ledger.jsonl").read_bytes()
    refused(capsys, forget(after, names, *options), said)
    assert (after / "ledger" / "ledger.jsonl").read_bytes() == before


def test_several_requests_are_one_after_the_other(after, capsys):
    names = []
    for row in (20, 21):
        names.append(str(after / f"{row}.txt"))
        (after / f"{row}.txt").write_text(f"{row}\n")
    words = ["ledger", "forget", str(after / "ledger"), "--by", "row", "--request", *names]
    assert main(words) == 0
    assert [line["kind"] for line in lines(after)[6:]] == [
        *("forget", "decision", "forget", "decision", "retrain")
    ]


def test_what_was_deleted_is_passed_over_on_request(after, capsys):
    assert forget(after, ids(0, 8), "--skip-known") == 0
    assert "passed over, deleted before: " in capsys.readouterr().out
    line = opened(after).status()
    assert line["deleted"] == 6
    request = lines(after)[6]["request"]
    assert request["names"] == [str(ids(8)[0])] and request["skipped"] == [str(ids(0)[0])]
    # The same request is known by all that it named.
    refused(capsys, forget(after, ids(0, 8), "--skip-known"), "carried out by line 7")


def test_a_dry_run_changes_nothing(after, capsys):
    before = {p: p.read_bytes() for p in after.rglob("*") if p.is_file() and p.name != ".lock"}
    assert forget(after, ids(8), "--dry-run", "--near", "2") == 0
    out = capsys.readouterr().out
    assert out.count("near copy, retained: ") == 2 and "1 examples to forget" in out
    now = {p: p.read_bytes() for p in before}
    assert now == before


def test_a_private_line_holds_no_ids(after, capsys):
    assert forget(after, ids(8, 9), "--private") == 0
    request = lines(after)[6]["request"]
    salt = lines(after)[0]["salt"]
    wanted = sorted(f"blake2b:{salted_hash(str(name), salt)}" for name in ids(8, 9))
    assert request["names"] == wanted and request["private"]
    refused(capsys, forget(after, ids(9, 8)), "carried out by line 7")
    refused(capsys, forget(after, ids(9, 10)), "deleted before")
    assert verify(after / "ledger")["deleted"] == 7


def test_purging_leaves_the_current_network_alone(after, capsys):
    words = ["ledger", "forget", str(after / "ledger"), "--purge"]
    cache = ["--cache-dir", str(after / "cache")]
    assert main([*words, *cache]) == 0
    assert capsys.readouterr().out.count("removed: an earlier network") == 3
    current = networks(after)[-1]
    assert [p.stem for p in (after / "ledger" / "networks").iterdir()] == [current]
    assert verify(after / "ledger")["purged"] == 3
    assert main([*words, *cache]) == 0 and lines(after)[-1]["number"] == 7
    assert forget(after, ids(8)) == 0
    assert main(["ledger", "report", str(after / "ledger"), *cache]) == 0
    out = capsys.readouterr().out
    assert f"still there: an earlier network of the ledger, {after}" in out and "purge" in out


def test_status_and_report(after, capsys):
    assert main(["ledger", "status", str(after / "ledger"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["requests"] == 2 and found["deleted"] == 5 and found["retained"] == 1432
    assert found["exact"] and found["network"] == networks(after)[-1]
    assert main(["ledger", "status", str(after / "ledger")]) == 0
    assert "deleted: 5" in capsys.readouterr().out
    cache = ["--cache-dir", str(after / "cache")]
    assert main(["ledger", "report", str(after / "ledger"), "--json", *cache]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["verified"]["fits"] and len(facts["steps"]) == 5 and len(facts["remains"]) == 3
    (after / "ledger" / "networks" / f"{networks(after)[0]}.npz").write_bytes(b"")
    assert main(["ledger", "report", str(after / "ledger")]) == 2
    assert "DOES NOT FIT" in capsys.readouterr().out


def test_in_python(after):
    found = opened(after)
    before = found.current()
    line = found.forget(ids(8))
    assert line["kind"] == "forget" and found.status()["deleted"] == 6
    told = ledger.facts(str(found.directory), found.cache_dir)
    assert told["status"] == found.status() and told["verified"]["fits"]
    assert ledger.verify(str(found.directory)) == found.verify()
    now = found.current()
    x = np.zeros((2, 8, 8, 1), np.float32)
    assert now.model.apply(now.variables, x)[0].shape == (2, 10)
    assert not np.array_equal(*(each.variables.params["head"]["kernel"] for each in (before, now)))
    with pytest.raises(ConfigError, match="twice"):
        found.forget([9, 9], by="row")


def test_the_first_request_gives_the_bits_of_a_run(twice, tmp_path):
    """The ledger's method, data and keys are those of a run on the same request."""

    request = tmp_path / "request.txt"
    request.write_text("0\n1\n2\n")
    table = {"scenario": {"name": "rows", "file": str(request)}, "reference": False}
    words = ["--config", str(config(tmp_path, **table)), "--loop.save-weights", "True"]
    places = ["--workdir", str(tmp_path / "run"), "--cache-dir", str(tmp_path / "cache")]
    assert main([*words, *places]) == 0
    (folder,) = (tmp_path / "run" / "weights").iterdir()
    variables = load_variables(folder, opened(twice).current().model)
    assert save(tmp_path, variables) == networks(twice)[1]


@pytest.mark.parametrize(
    ("options", "changes", "said"),
    [
        ((), {"methods": ["finetune", "ssd"]}, "a ledger has one method"),
        (("--methods", "naive"), {}, "would delete nothing"),
        (("--workdir", "w"), {}, "--workdir has no place here"),
        (("--retrain-every", "0"), {}, "--retrain-every"),
        (("--drift", "mia/x:1"), {}, "has no metric 'mia/x'"),
        (("--loop.devices", "all"), {}, "one process on one device"),
        (("--weights", "nowhere.pt"), {}, "there is no such file"),
        (("--weights", __file__), {}, "test_forget.py"),
        (("--weights", __file__, "--methods", "sisa"), {}, "no file holds these"),
        (("--weights", __file__, "--methods", "unrolling"), {}, "asks for the weights"),
        (
            (),
            {"scenario": {"name": "poisoning"}},
            "changes them",
        ),
    ],
)
def test_beginnings_that_are_refused(tmp_path, capsys, options, changes, said):
    refused(capsys, init(tmp_path, *options, **changes), said)
    assert not (tmp_path / "ledger" / "ledger.jsonl").exists()


def test_a_ledger_is_begun_once(place, capsys):
    refused(capsys, init(place), "is a ledger already")


def test_not_where_something_else_is(tmp_path, capsys):
    (tmp_path / "ledger").mkdir()
    (tmp_path / "ledger" / "records.jsonl").write_text("")
    refused(capsys, init(tmp_path), "holds 'records.jsonl', which is no part of a ledger")


def test_a_method_that_diverges_leaves_everything_as_it_was(tmp_path, capsys):
    recipe = {"epochs": 1, "batch_size": 256, "learning_rate": 1e38}
    assert init(tmp_path, method={"finetune": recipe}) == 0
    assert forget(tmp_path, ids(0)) == 1
    one_line(capsys, "the run diverged")
    assert verify(tmp_path / "ledger")["lines"] == 1 and len(networks(tmp_path)) == 1


@pytest.mark.parametrize("action", ["status", "verify", "report", "forget"])
def test_nothing_is_no_ledger(tmp_path, capsys, action):
    words = ["ledger", action, str(tmp_path / "no")]
    words += ["--request", "r"] if action == "forget" else []
    refused(capsys, main(words), "is no ledger")
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "--request FILE is missing"),
        (("--dry-run", "--purge", "--request", "r"), "give one"),
        (("--request", "nowhere.txt"), "cannot read --request nowhere.txt"),
        (("--reqest", "r"), "did you mean '--request'"),
        (("--request", "r", "--near", "0"), "expected a whole number from 1"),
    ],
)
def test_mistakes_in_a_request(place, capsys, words, said):
    status = main(["ledger", "forget", str(place / "ledger"), *words])
    assert status == 2
    one_line(capsys, said)
