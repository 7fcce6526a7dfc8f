"""Requests by scores from the command line: scores are made once, and what they are made of is in every name."""

import json

import numpy as np
import pytest
from rich.console import Console

from junlearn.experiment import schema, stored
from junlearn.experiment.foresight import foresee
from junlearn.experiment.identity import identities
from junlearn.experiment.preparing import prepare
from junlearn.experiment.progress import Reporter
from junlearn.experiment.provenance import Renewal
from junlearn.main import main
from junlearn.parts import example_scores
from junlearn.parts.example_scores import ExampleScores
from tests import tiny_run

ENTANGLED = {"name": "entangled", "size": 20}
MEMORISED = {"name": "memorised", "size": 30, "models": 12, "share": 0.5}
FEW = {"name": "memorised", "size": 30, "models": 2}


def experiment(scenario, **changes):
    return schema.parse(tiny_run.CONFIG | {"scenario": scenario} | changes)


class Told(Reporter):
    def __init__(self):
        super().__init__(Console(quiet=True))
        self.lines = []

    def say(self, text):
        self.lines.append(text)

    def about(self, word):
        return [line for line in self.lines if word in line]


def settled(place, scenario, training=True, **changes):
    told = Told()
    setup = prepare(experiment(scenario, **changes), str(place), told, training=training)
    return setup, told


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A cache in which scores were made for each of two seeds, and what was said."""
    place = tmp_path_factory.mktemp("cache")
    return place, [settled(place, ENTANGLED, seed=seed) for seed in (0, 1)]


def test_scores_are_made_once(place):
    directory, made = place
    setup, told = made[0]
    assert told.about("original: ") and told.about("scores (distance) of the original network")
    assert told.about("entanglement score of the request (ES): ")
    again, told = settled(directory, ENTANGLED | {"group": "low"})
    assert told.about("scores (distance) kept: ")
    assert set(again.split.forget).isdisjoint(setup.split.forget)
    kinds = [e for e in stored.entries(str(directory)) if e.kind == "scores"]
    assert {(e.role, e.dataset, e.fingerprint) for e in kinds} == {
        ("distance", "digits", setup.dataset.fingerprint)
    }
    assert len(kinds) == 2


def test_a_request_by_the_original_depends_on_its_seed(place):
    _, made = place
    first, second = (setup for setup, _ in made)
    assert first.scores != second.scores
    assert not np.array_equal(first.split.forget, second.split.forget)
    names = [identities(setup) for setup in (first, second)]
    assert names[0].retrain["scenario"]["scores"] == first.scores
    other = first._replace(scores=second.scores)
    assert identities(other).retrain != names[0].retrain
    assert identities(other).original == names[0].original
    moved = first._replace(split=second.split)
    assert identities(moved).retrain["scenario"] != names[0].retrain["scenario"]


def test_memorisation_depends_on_no_seed_of_the_run(tmp_path):
    first, told = settled(tmp_path, MEMORISED)
    assert told.about("scores (memorisation) of 12 networks") and not told.about("original")
    second, told = settled(tmp_path, MEMORISED, seed=7)
    assert told.about("scores (memorisation) kept")
    np.testing.assert_array_equal(first.split.forget, second.split.forget)


def test_a_damaged_file_is_named_and_made_again(place):
    directory, made = place
    setup, _ = made[1]
    path = directory / "scores" / setup.scores / "scores.npz"
    content = path.read_bytes()
    path.write_bytes(content[:200] + b"damaged" + content[207:])
    again, told = settled(directory, ENTANGLED, seed=1)
    assert told.about(f"scores: {path} is ") and told.about("scores.npz.damaged")
    np.testing.assert_array_equal(again.split.forget, setup.split.forget)
    entry = next(e for e in stored.entries(str(directory)) if e.path == path.parent)
    assert stored.remove(entry) == "" and not path.parent.exists()


def test_without_training_others_stand_in(place, tmp_path):
    directory, made = place
    setup, told = settled(tmp_path, ENTANGLED, training=False)
    assert len(setup.split.forget) == 20 and not (tmp_path / "scores").exists()
    assert told.about("which examples are forgotten is known with their scores alone")
    known, told = settled(directory, ENTANGLED, training=False)
    np.testing.assert_array_equal(known.split.forget, made[0][0].split.forget)
    assert not told.about("known with")


def test_a_sweep_is_foreseen_without_training(tmp_path):
    told = Told()
    points = [("a", experiment(ENTANGLED)), ("b", experiment(MEMORISED))]
    found = foresee(points, str(tmp_path), told)
    assert "forget_train" in found[0].splits and len(told.about("known with their scores")) == 2
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    ("scenario", "changes", "says"),
    [
        (FEW, {}, "examples are in all of the 2 subsets or in none"),
        (MEMORISED | {"size": 2000}, {}, "size is 2,000"),
        (MEMORISED | {"score": "held_out"}, {}, "set validation = 0.1"),
        (MEMORISED | {"scores": "none.npz"}, {}, "there is no such file of example scores"),
        (ENTANGLED, {"methods": ["cf_k"], "method": {"cf_k": {"k": 99}}}, "exactly 99"),
    ],
)
def test_mistakes_end_before_anything_is_trained(tmp_path, capsys, scenario, changes, says):
    arguments = tiny_run.arguments(tmp_path, scenario=scenario, **changes)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and says in error
    assert not (tmp_path / "cache" / "models").exists() and not (tmp_path / "run").exists()


def test_scores_of_a_file(tmp_path, capsys):
    """From the command line to the records: the examples of the highest scores in the file are forgotten."""
    path = tmp_path / "own.npz"
    scores = np.random.default_rng(0).random(1437)
    example_scores.save(path, ExampleScores(scores))
    scenario = {"name": "memorised", "size": 30, "scores": str(path)}
    assert main(tiny_run.arguments(tmp_path, scenario=scenario)) == 0
    rows = sorted(np.argsort(-scores)[:30].tolist())
    record = json.loads((tmp_path / "run" / "records.jsonl").read_text().splitlines()[0])
    assert record["request"]["forget"] == 30
    assert record["request"]["rows"] == schema.digest(rows)


def test_what_is_made_anew(place):
    """`--fresh` makes the scores anew, and the network that they are of, each once."""
    directory, made = place
    told = Told()
    again = prepare(experiment(ENTANGLED), str(directory), told, Renewal("all"))
    assert told.about("scores (distance) of the original network")
    np.testing.assert_array_equal(again.split.forget, made[0][0].split.forget)
    told = Told()
    prepare(experiment(ENTANGLED), str(directory), told, Renewal("changed"))
    assert told.about("scores (distance) kept")


def test_a_proxy_on_validation_images(tmp_path):
    scenario = MEMORISED | {"score": "held_out", "held_out_epochs": 1}
    setup, told = settled(tmp_path, scenario, validation=0.1)
    assert told.about("scores (held_out) of the original network")
    assert "validation" in setup.sources and len(setup.split.forget) == 30


def test_the_plan_of_an_audit_trains_nothing(tmp_path, capsys):
    arguments = tiny_run.arguments(tmp_path, scenario=ENTANGLED, reference=True)
    assert main(["audit", *arguments, "--plan"]) == 0
    out = capsys.readouterr().out
    assert "known with their scores alone (distance" in out and "20 examples to forget" in out
    assert not (tmp_path / "cache" / "models").exists()
