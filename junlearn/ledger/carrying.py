"""The networks of a ledger: the original, one after each request, and the retrained ones; and what is measured."""

import math
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from junlearn import metrics
from junlearn.engine import checkpoint
from junlearn.engine.checkpoint import Store
from junlearn.engine.run import Result, run
from junlearn.errors import ConfigError
from junlearn.experiment import original_file
from junlearn.experiment.evaluate import evaluator_of
from junlearn.experiment.evaluator import Subject
from junlearn.experiment.identity import method_identity, network_code
from junlearn.experiment.progress import Reporter
from junlearn.experiment.records import SECONDS
from junlearn.experiment.schema import digest, plain
from junlearn.experiment.setup import (
    METHOD,
    ORIGINAL,
    RETRAIN,
    key_for,
    run_options,
)
from junlearn.files import remove_listed, tree
from junlearn.ledger import shards
from junlearn.ledger.scene import Scene
from junlearn.methods import METHODS, build, sisa
from junlearn.metrics.distance import layer_gaps
from junlearn.plugins.registry import metrics_of
from junlearn.train import initial, train
from junlearn.types import Key, Split, Variables

__all__ = ["Start", "clear", "distance", "given", "measured", "original", "retrained", "unlearned"]

WORK = "work"
"""Folder of the snapshots that a command which was cut off goes on from."""


class Start(NamedTuple):
    """The network that a request begins with."""

    variables: Variables
    name: str
    """Its hash."""


def given(scene: Scene) -> Variables | None:
    """The network in the file that `original` of the experiment names; None where it is to be trained.

    Raises ConfigError and CheckpointError for a file that cannot be the beginning of this ledger.
    """
    setup = scene.setup
    method = build(scene.thing, scene.section, setup.model)
    original_file.check_method(setup.experiment, scene.label, method)
    if scene.thing is sisa and original_file.file_of(setup.experiment) is not None:
        raise ConfigError("sisa begins with networks of its own shards, and no file holds these")
    found = original_file.network(setup.experiment, setup.model, setup.sources)
    return None if found is None else jax.tree.map(jnp.asarray, found)


def original(scene: Scene, found: Variables | None, directory: Path, reporter: Reporter) -> Result:
    """The network that a ledger begins with: the one that was `found` in a file, or one trained on all data."""
    if found is not None:
        reporter.say("original: from a file, nothing is trained")
        return Result(scene.setup.model, found, [], dict.fromkeys(SECONDS, 0.0), {}, {})
    if scene.thing is sisa:
        return _sisa(scene, scene.setup.split, None, directory, reporter)
    return _trained(scene, ORIGINAL, "original", directory, reporter)


def retrained(scene: Scene, directory: Path, reporter: Reporter) -> Result:
    """A network that was trained on what is retained, and on nothing else."""
    if scene.thing is sisa:
        return _sisa(scene, scene.setup.split, None, directory, reporter)
    other = scene.setup.experiment.retrain_init == "other"
    return _trained(scene, RETRAIN if other else ORIGINAL, "retrain", directory, reporter)


def unlearned(
    scene: Scene, split: Split, start: Start, number: int, directory: Path, reporter: Reporter
) -> Result:
    """What the method makes of the network `start`; `number` requests were carried out before.

    The first request has the key of a run, so it gives the bits of one. Raises ConfigError where the method changes the
    network into another one.
    """
    setup = scene.setup
    if scene.thing is sisa:
        return _sisa(scene, split, start, directory, reporter)
    key = key_for(setup.seeds["method"], METHOD)
    if number:
        key = jax.random.fold_in(key, number)
    method = build(scene.thing, scene.section, setup.model)
    options: dict[str, Any] = {}
    if method.with_initial is not None:
        options["initial"] = initial(
            setup.model,
            setup.sources,
            key=key_for(setup.seeds["initialisation"], ORIGINAL),
        )
    about = [scene.label, method_identity(scene.section), start.name]
    store = _store(scene, split, directory, [*about, number])
    with reporter.following(scene.label) as progress:
        done = run(
            method,
            setup.model,
            start.variables,
            setup.sources,
            split,
            key=key,
            **options,
            **run_options(setup, progress, store=store),
        )
    if done.model is not setup.model:
        raise ConfigError(
            f"{scene.label} changes the network into another one, and a ledger goes on with the same: choose another "
            "method"
        )
    return done


def measured(
    scene: Scene, split: Split, variables: Variables, label: str, reporter: Reporter
) -> dict[str, float]:
    """The metrics of a network on one split of the data; what was deleted before is in none of its parts.

    There are no reference networks: metrics that compare with one are left out.
    """
    setup = scene.setup._replace(split=split)
    functions = metrics_of(setup.experiment.metrics)
    context = evaluator_of(setup, {}, reporter).context(Subject(label, scene.model, variables))
    values = metrics.compute(context._replace(remark=reporter.say), functions)
    return {name: float(value) for name, value in values.items() if math.isfinite(value)}


def distance(one: Variables, other: Variables) -> float:
    """The L2 distance of all weights of two networks of one ledger."""
    gaps = layer_gaps(one.params, other.params) or {}
    return float(np.linalg.norm(np.concatenate([*gaps.values(), np.zeros(0)])))


def clear(directory: Path) -> None:
    """Remove the snapshots of commands that were cut off: they are of networks that a ledger has no line on."""
    folder = directory / WORK
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        checkpoint.clear(Store(path, None))
        remove_listed(path, [name for name in tree(path) if name == ".lock"])
    with suppress(OSError):
        folder.rmdir()


def _trained(scene: Scene, purpose: int, label: str, directory: Path, reporter: Reporter) -> Result:
    setup = scene.setup
    store = _store(scene, setup.split, directory, [label, plain(setup.experiment.train)])
    with reporter.following(label) as progress:
        return train(
            setup.experiment.train,
            setup.model,
            setup.sources,
            setup.split,
            key=key_for(setup.seeds["initialisation"], purpose),
            **run_options(setup, progress, store=store),
        )


def _sisa(
    scene: Scene, split: Split, start: Start | None, directory: Path, reporter: Reporter
) -> Result:
    """SISA on all shards, or from `start` on those that a request concerns."""
    setup = scene.setup
    key: Key = key_for(setup.seeds["method"], METHOD)
    method = build(sisa, scene.section, setup.model)
    if start is not None:
        method, anew = shards.continued(scene.section, setup.model, key, setup.sources, split)
        count, whole = len(anew), scene.section.shards  # type: ignore[attr-defined]
        reporter.say(f"{scene.label}: {count} of {whole} shards are trained anew")
    about = [scene.label, method_identity(scene.section), "" if start is None else start.name]
    store = _store(scene, split, directory, about)
    networks = Variables({}, {}) if start is None else start.variables
    with reporter.following(scene.label) as progress:
        options = run_options(setup, progress, store=store)
        return run(method, setup.model, networks, setup.sources, split, key=key, **options)


def _store(scene: Scene, split: Split, directory: Path, about: list[Any]) -> Store:
    """Where the snapshots of a training lie: its own ones are found again, and no others."""
    code = network_code(scene.setup, METHODS["retrain"]) | network_code(scene.setup, scene.thing)
    rows = [split.forget.tolist(), split.retain.tolist()]
    owner = digest([scene.setup.dataset.fingerprint, rows, code, about])
    return Store(directory / WORK / owner, owner)
