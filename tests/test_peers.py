"""benchmarks/peers.py without PyTorch: the pairs, the problem, our side, the table, and what a missing peer is told."""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from junlearn.experiment.conversion import convert
from junlearn.methods import METHODS

sys.path.append(str(Path(__file__).parent.parent / "benchmarks"))
import peer_ours
import peer_problem
import peer_side
import peers
from peer_pairs import PAIRS, pairs_of

ASKED = {"seed": 0}


def run(cold, warm, right, **more):
    return {
        "cold": cold,
        "warm": warm,
        "busy": warm,
        "memory": 0.5,
        "accuracies": {"retain_train": right, "forget_train": 0.0, "retain_test": right},
        "versions": {},
        **more,
    }


def line(**more):
    ours = [run(8.0, [0.5, 0.75], 0.9, kept=False), run(2.0, [0.7, 0.5], 0.8, kept=True)]
    theirs = [run(6.0, [1.0, 2.0], 0.95), run(4.0, [3.0], 0.95)]
    return {"pair": "ssd", "ours": ours, "theirs": theirs, "asked": ASKED, **more}


def test_every_pair_has_fields_that_our_config_takes():
    for name, pair in PAIRS.items():
        config = convert(METHODS[pair.ours].Config, pair.fields, name)
        convert(METHODS[pair.ours].Config, {**pair.fields, **pair.tiny}, name)
        for ours, theirs in (
            ("learning_rate", "lr"),
            ("epochs", "epochs"),
            ("sigma", "jit_weighting"),
        ):
            if theirs in pair.arguments:
                assert getattr(config, ours) == pair.arguments[theirs]
    assert "unsir" in pairs_of("class") and "unsir" not in pairs_of("random")


@pytest.mark.parametrize("request_kind", peers.REQUESTS)
def test_both_sides_read_what_was_saved(tmp_path, request_kind):
    problem = peer_problem.make(60, request_kind, seed=1, tiny=True)
    assert not peer_problem.is_saved(tmp_path)
    peer_problem.save(tmp_path / "new", problem, {"conv1.bias": np.arange(3.0)})
    assert peer_problem.is_saved(tmp_path / "new")
    read, weights = peer_problem.load(tmp_path / "new")
    assert read.classes == problem.classes and weights["conv1.bias"][2] == 2
    for one, other in zip(read[:5], problem[:5], strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(read.forget) == 6 and len(read.retain) == 54
    assert (read.y[read.forget] == 0).all() == (request_kind == "class")


def test_accuracies_are_of_what_is_forgotten_and_of_the_rest():
    y = np.array([0, 1, 2, 0])
    problem = peer_problem.Problem(y, y, y, y, np.array([0, 3]), (0,))
    found = peer_problem.accuracies(problem, np.array([0, 1, 0, 1]), np.array([1, 1, 2, 1]))
    assert found == {"retain_train": 0.5, "forget_train": 0.5, "retain_test": 1, "forget_test": 0}
    assert "forget_test" not in peer_problem.accuracies(problem._replace(classes=()), y, y)


def test_our_side_in_a_dry_run(tmp_path, monkeypatch):
    """The child's work, here in this process; the network is the one that was handed over."""
    kept = []
    monkeypatch.setattr(peer_ours, "keep_compilations", kept.append)
    problem = peer_problem.make(60, "class", seed=0, tiny=True)
    weights = peer_ours.original(problem, seed=0, epochs=1)
    assert {name.rsplit(".", 1)[0] for name in weights} == set(peer_problem.LAYERS)
    peer_problem.save(tmp_path, problem, weights)
    options = {"seed": 0, "calls": 2, "limit": 0.0, "began": 0.0, "cache": tmp_path, "tiny": True}
    found = peer_side.measure("ours", tmp_path, "neggrad", **options)
    assert kept == [str(tmp_path)] and json.loads(json.dumps(found)) == found
    assert len(found["warm"]) == 1 and found["warm"][0] > 0 and found["memory"] > 0.05
    assert len(found["before"]) == 200 and set(found["accuracies"]) == set(peers.SPLITS)
    assert found["versions"]["jax"].count(".") == 2


def test_the_sides_take_turns_and_must_begin_with_one_network(tmp_path, monkeypatch):
    asked, shift = [], 0.0

    def child(python, options):
        asked.append((python, options["side"]))
        value = 1.0 if options["side"] == "ours" else 1.0 + shift
        return run(1.0, [1.0], 1.0, before=[value, 2.0])

    monkeypatch.setattr(peers, "_child", child)
    given = argparse.Namespace(
        peer="supreme", python="other", seed=0, calls=2, limit=1.0, rounds=2, tiny=False
    )
    found = peers.measure("ssd", tmp_path, given)
    assert asked == [(sys.executable, "ours"), ("other", "supreme")] * 4
    assert [part["kept"] for part in found["ours"]] == [False, True] * 2
    assert "before" not in found["theirs"][0] and found["load"] >= 0
    shift = 0.1
    with pytest.raises(SystemExit, match=r"ssd: the original networks differ by 0\.1 in a logit"):
        peers.measure("ssd", tmp_path, given)


def test_table():
    alone = {**line(), "theirs": []}
    broken = {**line(), "theirs": [{"error": "the network is not finite"}]}
    header, _, row, second, third = peers.table([line(), alone, broken]).splitlines()
    assert header.startswith(
        "| method | warm, least | warm, median | busy | cold | kept | memory |"
    )
    assert row == (
        "| `ssd` | 0.50 / 1.00 = 0.50 | 0.60 / 2.00 = 0.30 | 0.50 / 1.00 = 0.50 | 8.00 / 4.00 = 2.00 "
        "| 2.00 / 4.00 = 0.50 | 0.50 / 0.50 = 1.00 | 85.0 / 95.0 | 0.0 / 0.0 | 85.0 / 95.0 |  |"
    )
    assert second.startswith("| `ssd` | 0.50 / – |") and "| 85.0 | 0.0 | 85.0 |" in second
    assert "| 85.0 / diverged |" in third


def test_lines_are_kept_for_the_same_settings(tmp_path):
    path = tmp_path / "lines.jsonl"
    assert peers.kept_lines(path, ASKED) == {}
    path.write_text("".join(json.dumps(line(asked={"seed": n})) + "\n" for n in (1, 0)))
    assert peers.kept_lines(path, ASKED) == {"ssd": line()}
    assert peers.kept_lines(path, {"seed": 2}) == {}
    path.write_text(json.dumps(line()) + "\n[]\n")
    with pytest.raises(SystemExit, match="line 2 is none of this script"):
        peers.kept_lines(path, ASKED)


def test_what_cannot_be_measured_is_said_in_a_line(capsys):
    for given, said in (
        (["--python", sys.executable, "--tiny"], "junlearn[bench]"),
        (["--python", "no/such/python"], "--python no/such/python: No such file or directory"),
        (["--request", "random", "--methods", "unsir"], "--request random is nothing for unsir"),
        (["--examples", "3"], "at least 20 examples"),
    ):
        with pytest.raises(SystemExit) as stop:
            peers.main(given)
        assert stop.value.code == 2 and said in capsys.readouterr().err.splitlines()[-1]
    assert peers.complaint("none", "no/such/python") is None
