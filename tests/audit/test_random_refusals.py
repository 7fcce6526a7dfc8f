"""The design "random": what does not fit, damage, runs that diverge, and growth by whole blocks."""

import shutil

import numpy as np
import pytest

from junlearn.audit import growth
from junlearn.engine import network_file
from junlearn.engine.network_file import NetworkFile
from junlearn.errors import ConfigError
from junlearn.types import Split
from tests.audit.small import SPLIT, audited, made, networks, numbers

TARGETS = Split(np.arange(16), np.arange(16, 48), *SPLIT[2:])
RANDOM = {
    "design": "random",
    "split": TARGETS,
    "metrics": ("lira", "ulira"),
    "forget_sets": 1,
    "folds": 2,
    "fpr": (0.05, 0.001),
    "retain_rows": 2000,
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    place = tmp_path_factory.mktemp("runs")
    return place, audited(place, **RANDOM)[0]


@pytest.fixture
def bank(whole, tmp_path):
    return shutil.copytree(whole[0], tmp_path / "bank")


def test_runs_serve_every_method_and_are_made_once(whole, bank, monkeypatch):
    monkeypatch.setattr(growth, "train_each", pytest.fail)
    more = {"later": {"method": "neggrad", "epochs": 1, "batch_size": 24}}
    found, _ = audited(bank, methods={"gentle": METHOD} | more, **RANDOM)
    assert made(bank) == len(networks(bank)) == 16 + 16 + 16
    assert numbers(found)[:2] == numbers(whole[1])
    assert {n: b for n, b in networks(bank).items() if "neggrad" not in n} == networks(whole[0])


METHOD = {"method": "finetune", "epochs": 1, "batch_size": 24}


def test_more_runs_keep_those_that_are_there(whole, bank):
    found, _ = audited(bank, **(RANDOM | {"models": 16}))
    assert len(networks(bank)) == 64 and networks(whole[0]).items() <= networks(bank).items()
    assert found.rows[0]["models"]["run"] == 32


def test_a_rate_that_is_not_reached_is_left_out_and_said(whole):
    row = whole[1].rows[-1]
    assert "ulira/tpr@0.05" in row["values"] and "ulira/tpr@0.001" not in row["values"]
    said = "audit: TPR at FPR 0.001 needs 1,000 never-seen scores; there are 128"
    assert row["remarks"] == [said]


def test_damaged_runs_are_made_again(whole, bank):
    for name in ("run-00003", "unlearned/*/00009"):
        path = next(bank.glob(f"*/{name}.npz"))
        path.write_bytes(path.read_bytes()[:300])
    found, said = audited(bank, **RANDOM)
    assert said.count("is damaged") == 2 and networks(bank) == networks(whole[0])
    assert numbers(found) == numbers(whole[1])


@pytest.mark.parametrize("name", ["run-00002", "unlearned/*/00005"])
def test_where_a_network_diverged_the_coins_are_no_longer_fair(bank, name):
    path = next(bank.glob(f"*/{name}.npz"))
    belongs = str(path.relative_to(bank).with_suffix(""))
    about = network_file.read(path, belongs).about
    network_file.write(path, NetworkFile(about | {"diverged": "NaN"}, {}), belongs)
    side = "run" if "run" in name else "gentle"
    with pytest.raises(
        ConfigError, match=f"audit: 1 of 16 networks of {side} diverged; nothing to judge"
    ):
        audited(bank, **RANDOM)


def test_a_run_that_saw_other_rows_is_refused(bank):
    path = next(bank.glob("*/run-00002.npz"))
    belongs = str(path.relative_to(bank).with_suffix(""))
    found = network_file.read(path, belongs, with_weights=True)
    network_file.write(path, found._replace(about=found.about | {"trained_on": "0" * 32}), belongs)
    with pytest.raises(ConfigError, match=r"run-00002\.npz was trained on other rows"):
        audited(bank, **RANDOM)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": SPLIT, "forget_sets": 2, "models": 16}, "8 targets for 2 forget sets"),
        ({"models": 12, "folds": 2}, "24 runs .* do not make 2 folds"),
        (
            {"forget_sets": 4, "permutations": 199},
            "ulira: an example has 1 unlearned runs in a fit",
        ),
        ({"metrics": ("energy",)}, 'energy needs audit.design = "request"'),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_trained(tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        audited(tmp_path, **(RANDOM | changes))
    assert not list(tmp_path.iterdir())
