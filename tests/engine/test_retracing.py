"""A second run in the same process compiles nothing that the first one has compiled."""

import json

import jax
import numpy as np
import pytest

from junlearn.engine import predict
from junlearn.engine.batches import PLAIN_VIEWS
from junlearn.engine.run import run
from junlearn.main import main
from junlearn.many import train_many
from junlearn.testing import initial_weights
from tests.engine.counting import lowered
from tests.methods.subjects import NAMES, problem_of, subject_of


def other_class(problem):
    """The same problem with other names for the classes, so that another one of them is to be forgotten."""
    classes = len(np.unique(problem.sources["test"].y))
    sources = {
        name: data._replace(y=(data.y + 1) % classes) for name, data in problem.sources.items()
    }
    renamed = tuple((c + 1) % classes for c in problem.split.classes)
    return sources, problem.split._replace(classes=renamed, seed=problem.split.seed + 1)


# In a scan what is compiled is found in the same way: a few methods stand for all.
SCANNED = [case for case in NAMES if {"finetune", "duck", "scrub"} & set(case.values)]


@pytest.mark.parametrize("name", SCANNED)
def test_in_a_scan_another_seed_and_another_class_compile_nothing(name):
    check_another_request(name, "scan")


@pytest.mark.parametrize("name", NAMES)
def test_another_seed_and_another_class_compile_nothing(name):
    check_another_request(name, "python")


def check_another_request(name, loop):
    subject = subject_of(name)
    problem = subject.dense
    initial = initial_weights(problem)
    # First the run that the conformance suite looks at: it counts how often its steps are traced.
    subject.plain(problem)
    method = subject.method(problem)

    def go(sources, split, seed):
        return run(
            method,
            problem.model,
            problem.variables,
            sources,
            split,
            key=jax.random.key(seed),
            seed=seed,
            initial=initial,
            loop=loop,
        )

    go(problem.sources, problem.split, 0)
    with lowered() as anew:
        done = go(*other_class(problem), 1)
    assert anew == []
    assert done.seconds["compile"] == 0


def test_evaluating_another_network_and_another_set_compiles_nothing():
    problem, initial = problem_of("convnet")
    data, view = problem.sources["train"], PLAIN_VIEWS["eval"]

    def ask(variables, rows):
        return predict.logits(problem.model, variables, data, np.arange(rows), view=view)

    ask(problem.variables, 17)
    with lowered() as anew:
        assert ask(initial, 32).shape == (32, 4)
        assert ask(problem.variables, 20).shape == (20, 4)
    assert anew == []


def test_training_many_others_compiles_nothing():
    problem, _ = problem_of("mlp")
    config = subject_of("retrain").config

    def go(seed):
        return train_many(
            *(config, problem.model, problem.sources, [problem.split.retain] * 2),
            keys=jax.random.split(jax.random.key(seed), 2),
            seeds=seed,
            how="vmap",
        )

    go(0)
    with lowered() as anew:
        go(1)
    assert anew == []


def test_experiments_that_differ_in_seed_and_class_share_their_programs(tmp_path, monkeypatch):
    monkeypatch.setenv("JUNLEARN_CACHE_DIR", str(tmp_path / "cache"))

    def go(seed, classes):
        workdir = tmp_path / f"{seed}"
        arguments = (
            *("--model.name", "mlp", "--train.epochs", "1", "--methods", "finetune", "--seed"),
            *(str(seed), "--scenario.classes", str(classes), "--workdir", str(workdir)),
        )
        assert main(arguments) == 0
        return [json.loads(line) for line in (workdir / "records.jsonl").read_text().splitlines()]

    go(0, 3)
    again = go(1, 8)
    assert [record["role"] for record in again] == ["original", "retrain", "unlearn"]
    assert [record["seconds"]["compile"] for record in again] == [0, 0, 0]
