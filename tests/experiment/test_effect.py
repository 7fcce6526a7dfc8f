"""A method that changed nothing is said, and marked in the table."""

import re

import numpy as np
import pytest
from rich.console import Console

from junlearn.experiment.effect import guaranteed, same_figures, without_effect
from junlearn.methods import ssd
from junlearn.metrics import Context, Outputs
from junlearn.reports import table
from junlearn.types import Split, Variables

LABELS = np.array([0, 1, 2, 0])


def network(value=1.0):
    return Variables({"a": np.full(2, value, np.float32)}, {})


def outputs(*predicted):
    return Outputs({"forget_train": 3.0 * np.eye(3)[list(predicted)], "test": np.eye(3)})


BEFORE = outputs(0, 1, 1, 0)


def context(after, outputs_after, classes=(), before=BEFORE):
    return Context(
        outputs_after,
        {"forget_train": LABELS, "test": np.arange(3)},
        original=before,
        classes=classes,
        networks={"original": network(), "model": after},
    )


@pytest.mark.parametrize(
    ("case", "said"),
    [
        (context(network(), outputs(0, 1, 1, 0)), "changed no weight"),
        (context(network(2), outputs(0, 1, 1, 0)), "changed no prediction"),
        (context(network(2), outputs(0, 1, 2, 0), (1,)), "forgot nothing.*100.00% .75.00% before"),
        (context(network(2), outputs(2, 1, 2, 0), (1,)), "forgot nothing.*75.00% .75.00% before"),
        (context(network(2), outputs(0, 1, 2, 0)), ""),
        (context(network(2), outputs(1, 1, 1, 0), (1,)), ""),
        (context(network(2), outputs(0, 1, 1, 0), (1,), before=None), ""),
        (context(Variables({"b": np.ones(2)}, {}), outputs(1, 2, 1, 0)), ""),
        (context(Variables({"a": np.ones(3)}, {}), outputs(1, 2, 1, 0)), ""),
    ],
)
def test_what_is_said_of_a_network(case, said):
    found = without_effect(case)
    assert bool(found) == bool(said) and re.search(said, found)


def test_a_certificate_on_one_line():
    bounds = {"mechanism": "clipping", "epsilon": 7.0771, "delta": 1e-5, "sigma": 1.0}
    line = guaranteed({**bounds, "assumed": ["one", "two"]})
    assert line == "certified by clipping: epsilon 7.077, delta 1e-05; assumed: one; two"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "alpha is 10, and no I_f / I_D exceeds |D| / |D_f| = 5"),
        ({"alpha": 2.5}, "alpha is 2.5,"),
        ({"denominator": "retain"}, ""),
        ({"importance": "batch"}, ""),
        ({"threshold": "adaptive"}, ""),
    ],
)
def test_ssd_says_its_bound(mlp, settings, said):
    none = np.zeros(0, int)
    split = Split(np.arange(2), np.arange(2, 10), none, none)
    found = ssd.make(ssd.Config(**settings), mlp.model).idle(split)
    assert said in found and bool(said) == bool(found)


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ({"accuracy/test": 0.5, "mia/x": 0.1}, True),
        ({"accuracy/test": 0.5}, True),
        ({"accuracy/test": 0.51}, False),
        ({"mia/x": 0.2}, False),
        ({"accuracy/test": 0.5, "accuracy/forget_test": 0.0}, False),
    ],
)
def test_the_mark_is_on_rows_of_the_same_accuracies(other, same, capsys):
    base = {"accuracy/test": 0.5, "mia/x": 0.2}
    assert same_figures(base, other) == same

    def record(method, role, metrics):
        about = {"dataset": "d", "model": "m", "scenario": "s", "seed": 0, "device": "cpu x1"}
        return {
            **about,
            "method": method,
            "role": role,
            "metrics": metrics,
            "seconds": {"run": 1.0, "evaluate": 0.0},
        }

    rows = [
        record("original", "original", base),
        record("retrain", "retrain", base),
        record("ssd", "unlearn", other),
    ]
    console = Console(width=80)
    table.table(rows, console)
    lines = capsys.readouterr().out.splitlines()
    marked = {line.split()[0] for line in lines if line.rstrip().endswith(" =")}
    assert marked == ({"ssd"} if same else set())
    assert any("= behind a row" in line for line in lines) == same
