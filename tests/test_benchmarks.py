"""The benchmark scripts that need no PyTorch: what they compute, and toy runs of them."""

import csv
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from subprocess import CompletedProcess

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.experiment.conversion import convert
from junlearn.methods import METHODS
from junlearn.models import MODELS
from tests.tiny_run import CONFIG

FOLDER = Path(__file__).parent.parent / "benchmarks"
sys.path.append(str(FOLDER))
import audit  # noqa: E402
import audit_power  # noqa: E402
import main_job  # noqa: E402
import report  # noqa: E402
import runs  # noqa: E402
import scaling  # noqa: E402


def point(**values):
    return scaling.Point(**{"parameters": 7, "steps": 1, "compile": 0.5, "epoch": 1.0, **values})


def test_covered_counts_nested_and_overlapping_spans_once():
    spans = [(4.0, 6.0), (1.0, 3.0), (1.5, 2.0), (2.5, 3.5), (9.0, 20.0), (-5.0, 0.25)]
    assert report.covered(spans, 0.0, 10.0) == pytest.approx(0.25 + 2.5 + 2.0 + 1.0)
    assert report.covered([], 0.0, 10.0) == 0.0


def test_stopwatch_takes_compilation_off():
    def work():
        time.sleep(0.05)
        return jax.jit(lambda x: jnp.tanh(x) @ x)(jnp.ones((3, 3)))

    with report.Stopwatch() as watch:
        value, first = watch.timed(work)
        _, idle = watch.timed(lambda: time.sleep(0.05))
    assert value.shape == (3, 3)
    assert first.compile > 0 and first.work >= 0.05
    assert idle.compile == 0 and idle.work >= 0.05


def test_markdown():
    assert report.markdown(["a", "b"], [["x", "1"]]) == "| a | b |\n| --- | --: |\n| x | 1 |"
    assert report.markdown(["a", "b", "c"], [], texts=2).endswith("| --- | --: | --- |")


def test_every_method_has_a_setting_that_its_config_takes():
    found = runs.settings(epochs=3)
    assert set(found) == set(METHODS)
    for name, setting in found.items():
        convert(METHODS[name].Config, setting.fields, name)
        assert setting.why
        if setting.model is not None:
            MODELS[setting.model[0]].Config(**setting.model[1])
    assert found["unrolling"].fields["epochs_seen"] == 3


def test_runs_of_a_toy_job(tmp_path, monkeypatch):
    """Digits with an MLP: the parts add up, and what cannot be run says why."""
    small = {
        name: replace(setting, model=None) if name == "ntk" else setting
        for name, setting in runs.settings(1).items()
    }
    small["ntk"] = replace(small["ntk"], fields={"max_entries": 10})
    monkeypatch.setattr(runs, "settings", lambda epochs: small)
    names = ["naive", "neggrad", "scar", "unrolling", "ntk"]
    job = runs.Job(dataset="digits", surrogate="gaussian_noise", examples=64, epochs=1, model="mlp")
    said = []
    rows = runs.measure(job, names, said.append)
    assert [row.method for row in rows] == names
    naive, neggrad, scar, _, ntk = rows
    for row in rows[:-1]:
        parts = (row.compile, row.data, row.train, row.unlearn, row.evaluate)
        assert row.total == pytest.approx(sum(parts)) and min(parts) > 0
        assert 0 <= row.own < row.compile and row.steps <= row.unlearn + row.own
        assert 0 <= row.retain_test <= 1 and 0 <= row.forget_test <= 1
    assert naive.train == neggrad.train and naive.steps == 0 < neggrad.steps
    assert scar.data > neggrad.data == naive.data
    assert ntk.total is None and "max_entries" in ntk.note
    assert len(said) == len(names) + 1

    lines = runs.table(rows).splitlines()
    assert len(lines) == len(names) + 2
    assert lines[-1].startswith("| `ntk` |") and "not run: ntk would hold" in lines[-1]
    report.write_csv(tmp_path / "new" / "runs.csv", rows)
    with (tmp_path / "new" / "runs.csv").open() as file:
        read = list(csv.DictReader(file))
    assert [line["method"] for line in read] == names
    assert float(read[1]["total"]) == neggrad.total and read[-1]["total"] == ""


def test_slope():
    sizes = (500, 1_000, 4_000)
    assert scaling.slope([point(examples=n, epoch=3e-4 * n) for n in sizes]) == pytest.approx(1)
    squares = [point(examples=n, epoch=1e-9 * n**2) for n in sizes]
    assert scaling.slope(squares) == pytest.approx(2)


def test_cases_differ_along_their_axis_alone():
    for axis, values in scaling.AXES.items():
        found = scaling.cases(axis, model="mlp")
        assert tuple(getattr(case, axis) for case in found) == values
        assert len({replace(case, **{axis: 1}) for case in found}) == 1
    assert [case.examples for case in scaling.cases("examples", 0.001)] == [1, 1, 2, 4, 8, 16]


def test_scaling_at_toy_size(tmp_path):
    common = {"examples": 20, "batch": 8, "model": "mlp", "side": 4}
    found = {
        "examples": scaling.measure(
            [scaling.Case(**common | {"examples": n}) for n in (8, 20)], rounds=2
        ),
        "width": scaling.measure([scaling.Case(**common, width=4)], rounds=1),
        "devices": scaling.measure([scaling.Case(**common, devices=2)], rounds=1),
    }
    first, second = found["examples"]
    assert (first.steps, second.steps) == (1, 3)
    assert second.parameters == 16 * 64 + 64 + 64 * 64 + 64 + 64 * 10 + 10
    assert found["width"][0].parameters == 16 * 16 + 16 + 16 * 16 + 16 + 16 * 10 + 10
    assert min(p.compile for points in found.values() for p in points) > 0
    assert second.per_example == pytest.approx(second.epoch * 1e6 / 20)

    text = scaling.table("width", [point(width=1_024, epoch=2.0, examples=1_000)])
    assert text.splitlines()[-1] == "| 1,024 | 7 | 1 | 0.5 | 2.00 | 2000 |"
    found["batch"] = [point(batch=n, epoch=1 / n) for n in (8, 16)]
    figure = scaling.picture(found)
    labels = {axis.get_xlabel().split(" (")[0].split(",")[0] for axis in figure.axes}
    assert labels == {"examples", "batch size", "width", "devices"}
    figure.savefig(tmp_path / "scaling.png")
    assert (tmp_path / "scaling.png").stat().st_size > 10_000
    assert len(scaling.picture({"examples": found["examples"]}).axes) == 1


def test_simulated_devices_are_measured_in_processes_of_their_own(monkeypatch):
    """The command, the environment and the answer of a child, which is not started here."""
    asked = []

    def child(command, env, **options):
        asked.append((command, env))
        case = json.loads(command[-1])
        return CompletedProcess(command, 0, "a warning\n" + json.dumps(asdict(point(**case))))

    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_foo=1")
    monkeypatch.setattr(scaling.subprocess, "run", child)
    found = scaling.measure_apart(scaling.cases("devices"), rounds=4)
    assert [p.devices for p in found] == [1, 2, 4]
    for (command, env), devices in zip(asked, (1, 2, 4), strict=True):
        count = f"--xla_force_host_platform_device_count={devices}"
        assert env["XLA_FLAGS"] == f"--xla_cpu_foo=1 {count}"
        assert command[1:5] == [scaling.__file__, "--rounds", "4", "--child"]


def test_audits_of_a_known_law_at_toy_size():
    """Two audits in each design, with a value of every test, and arrays of logits."""
    quick = {"permutations": 99, "splits": 20}
    found = audit.request_alarms(2, 8, 6, 0.1, seed=1, **quick)
    assert (
        {"forget/energy", "retain/accuracy", "gap/test", "tow"}
        <= set(found.p)
        == set(found.outside)
    )
    assert all(len(p) == 2 and ((p >= 0.01) & (p <= 1)).all() for p in found.p.values())
    attacked = audit.request_alarms(2, 8, 6, 0.1, seed=1, metrics=("lira", "rmia", "iam"), **quick)
    assert {"lira/auc", "rmia/auc", "iam/score"} <= set(attacked.p)
    before, after = audit.coins_alarms(
        *(2, 16, 16, 1, 0.1),
        seed=1,
        strangers=5,
        metrics=("lira", "ulira", "rmia", "ruli"),
        folds=2,
        **quick,
    )
    assert "lira/auc" in before.p
    assert {"ulira/accuracy", "rmia/auc", "ruli/auc"} <= set(after.p)
    lines = audit.table({"first": before, "second": after}).splitlines()
    assert lines[0] == "| test | p, first | p, second | band, first | band, second |"
    assert audit.tally({"first": before}).startswith(f"{len(before.p)} shares: ")
    one, audited = audit.cost(8, 5, 3, metrics=("energy", "moments"), **quick)
    assert one.wall > 0 and one.memory > 0.05
    assert [row["method"] for row in audited.rows] == ["twin", "unlearned"]


def test_shares_of_audits_have_their_exact_interval():
    assert audit.share([True, False]) == "0.500 [0.013, 0.987]"
    assert audit.share([False] * 200) == "0.000 [0.000, 0.018]*"
    found = {"p": np.array([0.01, 0.05, 0.06, 0.9]), "q": np.repeat([0.05, 0.9], [5, 95])}
    alarms = audit.Alarms(p=found, outside={}, verdicts={}, values={})
    assert audit.tally({"": alarms}) == (
        "2 shares: 1 outside of (0.02, 0.085), 1 intervals without 0.05"
    )


def test_the_shift_that_is_seen_and_the_one_that_is_told():
    statistic = audit_power.STATISTICS["mean_shift"]
    few, many = (audit_power.seen(statistic, 16, n, 0.0, 60, 2, seed=1) for n in (4, 64))
    # 2.8 sqrt(2 / 16) / sqrt(n).
    assert few.shift == pytest.approx(0.495, rel=0.2) and 0 < few.error < 0.15
    assert many.shift == pytest.approx(0.124, rel=0.2)
    told = audit_power.told(16, 20, 0.0, banks=2, seed=1)
    assert set(told) >= set(audit_power.STATISTICS)
    assert all(len(each) == 2 and (each > 0.05).all() for each in told.values())
    assert "klom_mean" not in audit_power.told(8, 6, 0.0, banks=1, seed=1)
    lines = audit_power.power_table([8], 20, [0.1], audits=20, banks=2).splitlines()
    assert len(lines) == 2 + 3 and lines[2].startswith("| `mean_shift` | 8 | 0.1 | ")


def test_the_second_run_compiles_nothing(tmp_path):
    """With its cache at another place, with its networks trained again, and with the networks read back."""
    config = CONFIG | {"reference": True, "methods": ["finetune", "ssd"], "method": {}}
    (tmp_path / "tiny.json").write_text(json.dumps(config))
    script = [sys.executable, str(FOLDER / "main_job.py"), "--json", str(tmp_path / "rows.json")]
    done = subprocess.run(
        [*script, "--", "--config", str(tmp_path / "tiny.json")],
        env={k: v for k, v in os.environ.items() if not k.startswith("JAX_COMPILATION")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert [row["compiled"] > 5 for row in rows.values()] == [True, False, False]
    assert rows["warm"]["compiled"] == rows["kept"]["compiled"] == 0
    assert rows["warm"]["read"] >= rows["kept"]["read"] > 5
    for kind, row in rows.items():
        parts = {name: row[name] for name in main_job.COLUMNS if name not in ("total", "core")}
        assert sum(parts.values()) == pytest.approx(row["total"])
        assert min(parts.values()) >= 0
        assert f"| {kind} | {row['total']:.1f} |" in done.stdout
    failed = subprocess.run([*script, "--", "--seed", "x"], capture_output=True, text=True)
    assert failed.returncode == 1 and "cold: " in failed.stderr and "--seed" in failed.stderr
