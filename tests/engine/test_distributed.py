"""One run of two processes, each with a device: what it computes and leaves is what one process does."""

import json
import os
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import chex
import jax
import pytest
from rich.console import Console

from junlearn.engine import processes
from junlearn.errors import ConfigError
from junlearn.experiment import schema
from junlearn.experiment.execute import execute, original_network
from junlearn.experiment.progress import Reporter
from junlearn.main import main
from tests.conftest import ROOT

TABLE = """
methods = ["finetune"]
metrics = ["accuracy"]
reference = false
[dataset]
name = "digits"
[model]
name = "mlp"
hidden = [16]
[scenario]
name = "class"
classes = [3]
[train]
epochs = 1
batch_size = 129
[method.finetune]
epochs = 1
batch_size = 129
"""
TOGETHER = '[loop]\ndevices = "all"\ndistributed = true\n'

COMMANDS = """
import jax
from junlearn.main import main
run = ["--config", "c.toml", "--workdir", "w"]
print("status", main(run), main(run))
print("processes", jax.process_count())
"""


@pytest.fixture
def outputs(tmp_path: Path) -> list[str]:
    """What each of two processes prints that carry out COMMANDS together in `tmp_path`."""
    (tmp_path / "c.toml").write_text(TABLE + TOGETHER)
    with socket.create_server(("localhost", 0)) as free:
        address = f"localhost:{free.getsockname()[1]}"
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "JAX_NUM_CPU_DEVICES": "1",
        "JAX_COORDINATOR_ADDRESS": address,
        "JAX_NUM_PROCESSES": "2",
        "JUNLEARN_CACHE_DIR": str(tmp_path / "cache"),
        "PYTHONPATH": str(ROOT),
    }
    started = [
        subprocess.Popen(
            [sys.executable, "-c", COMMANDS],
            cwd=tmp_path,
            env=environment | {"JAX_PROCESS_ID": str(number)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for number in range(2)
    ]
    try:
        printed = [process.communicate(timeout=240)[0] for process in started]
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [0, 0], "\n".join(printed)
    return printed


def reporter() -> Reporter:
    return Reporter(Console(quiet=True))


def test_two_processes_give_what_one_gives(outputs, tmp_path):
    assert all("status 0 0\nprocesses 2\n" in text for text in outputs)
    # One process alone speaks, and the second time there is nothing to train.
    assert outputs[0].count("records: w/records.jsonl") == 2
    assert outputs[0].count("s compiling") == 2
    assert "records" not in outputs[1] and "s compiling" not in outputs[1]
    found = [json.loads(line) for line in (tmp_path / "w/records.jsonl").read_text().splitlines()]
    assert [record["role"] for record in found] == ["original", "unlearn"]
    assert found[0]["device"] == "cpu x2"

    # The test's own process computes the same, alone and on one of its devices.
    experiment = schema.parse(schema.read(tmp_path / "c.toml") | {"loop": {}})
    alone = execute(experiment, tmp_path / "one", str(tmp_path / "own"), reporter()).records
    for ours, theirs in zip(alone, found, strict=True):
        assert ours["config_hash"] == theirs["config_hash"]
        chex.assert_trees_all_close(ours["metrics"], theirs["metrics"], rtol=1e-5, atol=1e-5)
        for one, two in zip(ours["history"], theirs["history"], strict=True):
            assert two == one | {"loss": pytest.approx(one["loss"], rel=1e-5)}
    networks = [
        original_network(experiment, str(tmp_path / cache), reporter())[1]
        for cache in ("cache", "own")
    ]
    assert networks[0].seconds == found[0]["seconds"]  # read back, not trained
    chex.assert_trees_all_close(*(n.variables for n in networks), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "command", [[], ["sweep"], ["statistics", "s.npz"]], ids=["run", "sweep", "statistics"]
)
def test_every_command_joins_before_it_computes(command, tmp_path, monkeypatch, capsys):
    def join(experiments):
        assert [each.loop.distributed for each in experiments] == [True]
        raise ConfigError("joined")

    monkeypatch.setattr(processes, "join", join)
    sweep = "[sweep]\nseed = [0]\n" if command == ["sweep"] else ""
    (tmp_path / "c.toml").write_text(TABLE + TOGETHER + sweep)
    assert main([*command, "--config", str(tmp_path / "c.toml")]) == 2
    assert capsys.readouterr().err == "junlearn: joined\n"


def test_processes_need_all_devices():
    with pytest.raises(ConfigError, match=r'loop.distributed: .* loop.devices = "all"'):
        schema.parse({**tomllib.loads(TABLE), "loop": {"distributed": True}})


def test_a_cluster_that_is_not_there(monkeypatch):
    def initialize(**arguments):
        assert arguments == {"num_processes": 2, "process_id": 1}
        raise ValueError("coordinator_address should be defined.")

    monkeypatch.setattr(jax.distributed, "initialize", initialize)
    monkeypatch.setenv("JAX_NUM_PROCESSES", "2")
    monkeypatch.setenv("JAX_PROCESS_ID", "1")
    experiment = schema.parse(tomllib.loads(TABLE + TOGETHER))
    with pytest.raises(ConfigError, match=r"should be defined. .* set JAX_COORDINATOR_ADDRESS"):
        processes.join([experiment])
