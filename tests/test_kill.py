"""A run that is killed again and again."""

import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import chex
import numpy as np
from orbax.checkpoint import v1 as ocp

from tests.conftest import ROOT
from tests.small_run import records

LONG = (
    *("--config", "small.toml", "--loop.save-seconds", "0", "--train.epochs", "4"),
    *("--method.finetune.epochs", "4"),
)


def start(place: Path, workdir: str, cache: str):
    return subprocess.Popen(
        [sys.executable, "-m", "junlearn.main", *LONG, "--workdir", workdir, "--cache-dir", cache],
        cwd=place,
        env={**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def finished(process) -> None:
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err.decode()


def snapshots(place: Path) -> set[str]:
    """Complete snapshots; `os.walk` takes it well that folders vanish meanwhile."""
    return {folder for folder, _, names in os.walk(place) if "junlearn.json" in names}


def newest(place: Path) -> list[Path]:
    return [sorted(d.glob("0*"))[-1] for d in sorted({p.parent for p in place.rglob("0000*")})]


def test_a_run_killed_again_and_again_ends_with_the_same_bits(place):
    rng = np.random.default_rng(0)
    kills = 0
    while kills < 2:
        process = start(place, "killed", "cache_killed")
        known = snapshots(place)
        while process.poll() is None:
            if snapshots(place) - known:
                # Saves follow one another: this may hit a step, a save or the removal of a snapshot.
                time.sleep(rng.uniform(0, 0.4))
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.05)
        process.communicate()
        if process.returncode == 0:
            break
        kills += 1
    assert kills == 2
    finished(start(place, "killed", "cache_killed"))
    finished(start(place, "whole", "cache_whole"))

    killed, whole = records(place / "killed"), records(place / "whole")
    assert [r["metrics"] for r in killed] == [r["metrics"] for r in whole]
    assert [r["history"] for r in killed] == [r["history"] for r in whole]
    for a, b in (("killed", "whole"), ("cache_killed", "cache_whole")):
        one, two = newest(place / a), newest(place / b)
        assert [p.parent.name for p in one] == [p.parent.name for p in two] and one
        for left, right in zip(one, two, strict=True):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                chex.assert_trees_all_equal(ocp.load(left), ocp.load(right))
