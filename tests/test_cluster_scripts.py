"""The scripts for clusters: their commands are those of the parsers, and one job of an array runs."""

import json
import os
import subprocess
import sys

import pytest

from tests import page_commands, tiny_audit, tiny_run
from tests.conftest import ROOT

FOLDER = ROOT / "benchmarks" / "cluster"
SCRIPTS = sorted(FOLDER.glob("*.sh"))
WRITES_DOWN = """#!/bin/sh
printf '%s\\n' "$(basename "$0")" "$@" >> called.txt
echo >> called.txt
"""
ANSWERS = {"sbatch": "echo 4711", "scontrol": "printf 'node7\\nnode8\\n'"}
SLURM = {
    "SLURM_ARRAY_TASK_ID": "0",
    "SLURM_ARRAY_TASK_COUNT": "2",
    "SLURM_JOB_NODELIST": "node[7-8]",
    "SLURM_JOB_NUM_NODES": "2",
    "SLURM_CPUS_PER_TASK": "16",
}


@pytest.fixture
def place(tmp_path):
    """A sweep, and programs that write down how they are called, and answer as Slurm does."""
    (tmp_path / "bin").mkdir()
    for name in ("python", "sbatch", "scontrol", "srun"):
        program = tmp_path / "bin" / name
        program.write_text(WRITES_DOWN + ANSWERS.get(name, ""))
        program.chmod(0o755)
    (tmp_path / "grid.json").write_text(json.dumps(tiny_run.CONFIG | {"sweep": {"seed": [0, 1]}}))
    return tmp_path


def ran(place, script, *arguments, path="bin"):
    words = [*arguments, "--config", str(place / "grid.json"), "--workdir", "w", "--cache-dir", "c"]
    places = os.pathsep.join([str(place / path), os.environ["PATH"]])
    return subprocess.run(
        ["bash", str(FOLDER / script), *words],
        cwd=place,
        env=os.environ | SLURM | {"PATH": places, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )


def called(place):
    """The words of each call, the name of the program first."""
    return [text.split("\n") for text in (place / "called.txt").read_text().strip().split("\n\n")]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_it_is_a_script(script):
    subprocess.run(["bash", "-n", str(script)], check=True)
    assert os.access(script, os.X_OK) and f"`{script.name}`" in (FOLDER / "README.md").read_text()


@pytest.mark.parametrize("command", ["sweep", "audit"])
def test_jobs_call_the_command(command, place):
    if command == "audit":
        (place / "grid.json").write_text(json.dumps(tiny_audit.CONFIG))
    for script in ("shard.sh", "last.sh"):
        ran(place, script, command)
    shard, last = called(place)
    page_commands.check(shard, set())
    page_commands.check(last, set())
    assert shard[-2:] == ["--shard", "0/2"] and "--shard" not in last


def test_the_array_and_the_job_behind_it(place):
    ran(place, "submit.sh", "8", "sweep")
    array, last = called(place)
    assert array[1:3] == ["--parsable", "--array=0-7"]
    assert last[1] == "--dependency=afterok:4711"
    for words, script in ((array[3:], "shard.sh"), (last[2:], "last.sh")):
        assert words[0] == str(FOLDER / script) and words[1:3] == ["sweep", "--config"]


def test_ray_on_the_machines_of_a_job(place):
    ran(place, "sweep_ray.sh")
    words = called(place)[-1]
    assert words[:5] == ["srun", "ray", "symmetric-run", "--address", "node7:6379"]
    command = words[words.index("--") + 1 :]
    page_commands.check(command, set())
    assert command[-2:] == ["--engine", "ray"]


def test_a_job_of_an_array_runs(place):
    (place / "own").mkdir()
    program = place / "own" / "python"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    program.chmod(0o755)
    out = ran(place, "shard.sh", "sweep", path="own").stdout
    assert "shard 0/2: 1 of the 2 points" in out
    assert {path.name for path in (place / "w" / "points").iterdir()} == {"seed-0"}
    assert len((place / "w/points/seed-0/records.jsonl").read_text().splitlines()) == 2
