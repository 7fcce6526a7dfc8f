"""The first line of a ledger: the data, the original network, the method and the policy."""

import json
import secrets
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from junlearn.engine.precision import matmuls
from junlearn.errors import ConfigError
from junlearn.experiment import original_file, provenance
from junlearn.experiment.identity import method_identity, metric_code, network_code
from junlearn.experiment.locks import exclusive
from junlearn.experiment.progress import Reporter
from junlearn.experiment.resolved import Resolved
from junlearn.experiment.schema import plain
from junlearn.experiment.setup import read
from junlearn.experiment.suited import suited
from junlearn.files import TEMPORARY, replace
from junlearn.ledger import carrying, chain, network_archive, roll
from junlearn.ledger.carrying import WORK
from junlearn.ledger.chain import HEAD, LEDGER, START_OF_CHAIN, Line
from junlearn.ledger.names import names_of
from junlearn.ledger.network_archive import FOLDER
from junlearn.ledger.policy import DISTANCE, Policy
from junlearn.ledger.scene import CONFIG, Scene, check, config_digest, resolved, scene_of
from junlearn.methods import METHODS
from junlearn.models.weights import file_digest
from junlearn.plugins.registry import metrics_of

__all__ = ["begin", "made_with", "now", "rounded"]

FORMAT = 1

OURS = {".lock", CONFIG, LEDGER, HEAD, FOLDER, WORK, roll.ROLL}
"""What lies in the directory of a ledger."""


def begin(
    directory: Path,
    experiment: Resolved,
    *,
    policy: Policy,
    private: bool,
    cache_dir: str | None,
    reporter: Reporter,
) -> Line:
    """Begin a ledger in `directory`, which is made if missing; returns its first line.

    Raises ConfigError where one is there already, and for an experiment that no ledger can be made of. A beginning that
    was cut off is made again.
    """
    began = time.perf_counter()
    check(experiment)
    _check_place(directory)
    experiment = resolved(experiment)
    data = read(experiment, cache_dir, reporter)
    scene = scene_of(experiment, data)
    suited(experiment, scene.label, scene.setup.model, scene.setup.sources)
    found = carrying.given(scene)
    file = original_file.file_of(experiment)
    with exclusive(directory, waiting=reporter.say), matmuls(experiment.matmul_precision):
        if chain.is_there(directory):
            there = chain.read(directory)
            if there.lines:
                raise ConfigError(
                    f"{directory} is a ledger already: `ledger status {directory}` shows it"
                )
            chain.mend(directory, there)
        replace(directory / CONFIG, json.dumps(plain(experiment), indent=2) + "\n")
        done = carrying.original(scene, found, directory, reporter)
        trained = time.perf_counter()
        name = network_archive.save(directory, done.variables)
        values = carrying.measured(scene, scene.setup.split, done.variables, "original", reporter)
        if policy.metric not in (None, DISTANCE) and policy.metric not in values:
            raise ConfigError(
                f"--drift: the original network has no metric {policy.metric!r}; it has {', '.join(sorted(values))}"
            )
        names = names_of(data[0], secrets.token_hex(16))
        # Of parts that are drawn anew with each number of images, nothing could be put back in its row.
        drawn = experiment.held_out or experiment.validation
        listed = None if names.by == "row" or drawn else roll.write(directory, data[0], names)
        seconds = {
            "training": trained - began,
            "steps": done.seconds["run"],
            "total": time.perf_counter() - began,
        }
        line = {
            "kind": "init",
            "format": FORMAT,
            "time": now(),
            "dataset": _dataset(scene),
            "config": config_digest(directory / CONFIG),
            "model": scene.setup.experiment.model.name,
            "method": {"label": scene.label, **method_identity(scene.section)},
            "exact": scene.exact,
            "policy": policy._asdict(),
            "private": private,
            "salt": names.salt,
            "by": names.by,
            "roll": listed,
            "original": {"file": None if file is None else file_digest(file)},
            "network": {"after": name},
            "metrics": values,
            "seconds": rounded(seconds),
            **made_with(scene, METHODS["retrain"]),
        }
        chain.append(directory, chain.Chain((), START_OF_CHAIN), line)
        carrying.clear(directory)
    return line


def made_with(scene: Scene, method: Any) -> dict[str, Any]:
    """Versions, device and code: what made a network and its metrics."""
    functions = metrics_of(scene.setup.experiment.metrics)
    return dict(provenance.now(network_code(scene.setup, method) | metric_code(functions)))


def now() -> str:
    """The time, UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def rounded(seconds: dict[str, float]) -> dict[str, float]:
    """Seconds to the tenth of a millisecond."""
    return {name: round(value, 4) for name, value in seconds.items()}


def _check_place(directory: Path) -> None:
    """Raise ConfigError where something else is in the directory, such as a run: its `config.json` would be lost."""
    names = sorted(p.name for p in directory.iterdir()) if directory.is_dir() else []
    other = next((n for n in names if n not in OURS and not TEMPORARY.fullmatch(n)), None)
    if other is not None:
        raise ConfigError(
            f"{directory} holds {other!r}, which is no part of a ledger: choose another directory"
        )


def _dataset(scene: Scene) -> dict[str, Any]:
    dataset = scene.setup.dataset
    return {
        "name": dataset.name,
        "version": dataset.version,
        "fingerprint": dataset.fingerprint,
        "decoded": dataset.decoded,
        "train": len(dataset.sources["train"].y),
        "test": len(dataset.sources["test"].y),
        "other_digests": roll.other_digests(dataset),
        "classes": list(dataset.classes),
        "input_shape": list(dataset.input_shape),
    }
