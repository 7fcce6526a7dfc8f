"""One experiment end to end: data, original, retrained reference, methods, metrics, records.

Nothing that is complete is done twice: networks are looked up by the hash of all that determines their numbers (the
original and the reference below the cache directory, shared by every run; the methods' below the run's own), records
by the hash of that and of the metrics.
"""

import json
import os
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
from jax.sharding import AxisType, Mesh

from junlearn import judge, metrics, records, relearn
from junlearn.checkpoint import Store
from junlearn.config import digest, plain
from junlearn.datasets import DATASETS
from junlearn.datasets.cache import dataset_cache_dir
from junlearn.datasets.holdout import hold_out
from junlearn.locks import exclusive
from junlearn.methods import METHODS
from junlearn.metrics import Context, Network, Outputs, Relearned
from junlearn.models import MODELS
from junlearn.models.weights import file_digest
from junlearn.progress import Reporter
from junlearn.records import Record
from junlearn.run import Result, place, run
from junlearn.scenarios import SCENARIOS
from junlearn.train import everything, initial, train
from junlearn.types import Dataset, Key, Model, Sources, Split, Variables

__all__ = ["execute"]

ORIGINAL, RETRAIN, SCENARIO, METHOD, RANDOM, RELEARN = range(6)
"""Purposes of random keys: streams that never meet, also where their seeds are equal."""

PLACES = ("data_dir", "path")
"""Fields of a dataset's section that say where it lies, not what it is."""


class Problem(NamedTuple):
    """What stands before any network is trained."""

    experiment: Any
    dataset: Dataset
    model: Model
    split: Split
    sources: Sources
    seeds: dict[str, int]
    mesh: Mesh | None


class Case(NamedTuple):
    """A network to be judged."""

    role: Literal["original", "retrain", "unlearn"]
    label: str
    identity: dict[str, Any]
    """All that determines its numbers."""
    result: Callable[[], Result]
    """Trains it, or reads it back; asked once."""


def execute(
    experiment: Any, workdir: Path, cache_dir: str | None, reporter: Reporter
) -> list[Record]:
    """Run the experiment in `workdir` and return its records: original, retrained network, then every method."""
    with exclusive(workdir):
        _write(workdir / "config.json", json.dumps(plain(experiment), indent=2) + "\n")
        problem = _prepare(experiment, cache_dir, reporter)
        shared = dataset_cache_dir(cache_dir).parent / "models"
        cases = _cases(problem, shared, workdir / "checkpoints", reporter)
        return _judge(problem, cases, workdir / "records.jsonl", reporter)


def _prepare(experiment: Any, cache_dir: str | None, reporter: Reporter) -> Problem:
    with reporter.counting(f"reading {experiment.dataset.name}") as progress:
        dataset = DATASETS[experiment.dataset.name].make(
            experiment.dataset, cache_dir=cache_dir, progress=progress
        )
    if experiment.held_out:
        dataset = hold_out(dataset, experiment.held_out, experiment.seed)
    seeds = {
        name: experiment.seed if seed is None else seed
        for name, seed in plain(experiment.seeds).items()
    }
    model = MODELS[experiment.model.name].make(
        experiment.model, len(dataset.classes), dataset.input_shape
    )
    scenario = SCENARIOS[experiment.scenario.name]
    made = scenario.make(experiment.scenario, dataset, _key(seeds["scenario"], SCENARIO))
    dataset, split = made if scenario.manipulates else (dataset, made)
    mesh = None
    if experiment.loop.devices == "all" and jax.device_count() > 1:
        mesh = jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))
    reporter.say(
        f"{dataset.name} {dataset.version}: {len(split.forget):,} training examples to forget, "
        f"{len(split.retain):,} to retain"
    )
    sources = place(dataset.sources, mesh)
    return Problem(experiment, dataset, model, split, sources, seeds, mesh)


def _cases(problem: Problem, shared: Path, own: Path, reporter: Reporter) -> list[Case]:
    """The original, the retrained reference, then one case a method."""
    experiment, seeds = problem.experiment, problem.seeds
    original_identity = _original_identity(problem)
    request = {"scenario": plain(experiment.scenario), "scenario_seed": seeds["scenario"]}
    if SCENARIOS[experiment.scenario.name].manipulates:
        original_identity |= request
    reference_identity = original_identity | request | {"retrain_init": experiment.retrain_init}

    def trained(role: str, identity: dict[str, Any]) -> Callable[[], Result]:
        return cache(lambda: _train(problem, role, identity, shared, reporter))

    original = trained("original", original_identity)
    cases = [
        Case("original", "original", original_identity, original),
        Case("retrain", "retrain", reference_identity, trained("retrain", reference_identity)),
    ]
    for label in experiment.methods:
        config = getattr(experiment.method, label)
        identity = reference_identity | {"method": plain(config), "method_seed": seeds["method"]}
        unlearned = partial(_unlearn, problem, label, config, identity, original, own, reporter)
        cases.append(Case("unlearn", label, identity, unlearned))
    return cases


def _judge(problem: Problem, cases: Sequence[Case], log: Path, reporter: Reporter) -> list[Record]:
    """The record of every case: found in `log`, or made and added to it."""
    metrics_wanted = problem.experiment.metrics
    original, reference, *_ = cases

    @cache
    def outputs_of(role: str) -> Outputs:
        if role == "random":
            key = _key(problem.seeds["initialisation"], RANDOM)
            untrained = problem.model.fresh(key, problem.sources)
            return _outputs(problem, reporter, role, problem.model, untrained, judge.ZRF_SPLITS)
        done = (original if role == "original" else reference).result()
        return _outputs(problem, reporter, role, done.model, done.variables)

    @cache
    def relearned(role: Network, level: float) -> Relearned:
        done = (original if role == "original" else reference).result()
        return _relearn(problem, reporter, role, done, level)

    def relearner(case: Case, done: Result) -> Callable[[Network, float], Relearned]:
        def ask(role: Network, level: float) -> Relearned:
            if role == "model" and case.role == "unlearn":
                return _relearn(problem, reporter, case.label, done, level)
            return relearned(case.role if role == "model" else role, level)

        return ask

    known = {(r["config_hash"], r["role"], r["method"]): r for r in records.read(log)}
    found = []
    for case in cases:
        name = digest(
            {
                "network": case.identity,
                "reference": reference.identity,
                "metrics": metrics_wanted,
                "train_view": problem.experiment.train_view,
            }
        )
        record = known.get((name, case.role, case.label))
        if record is None:
            done, before, ideal = case.result(), original.result(), reference.result()
            with reporter.timing(f"{case.label}: evaluated"):
                context = Context(
                    _outputs(problem, reporter, case.label, done.model, done.variables)
                    if case.role == "unlearn"
                    else outputs_of(case.role),
                    judge.labels(problem.sources, problem.split),
                    original=outputs_of("original"),
                    retrain=outputs_of("retrain"),
                    random=outputs_of("random"),
                    classes=problem.split.classes,
                    clean=judge.clean(problem.sources, problem.split),
                    sample=judge.sample(problem.split),
                    networks={
                        "model": done.variables,
                        "original": before.variables,
                        "retrain": ideal.variables,
                    },
                    relearn=relearner(case, done),
                )
                values = metrics.compute(context, metrics_wanted)
            record = records.new(
                _own_config(problem, case), name, case.role, case.label, values, done
            )
            if jax.process_index() == 0:
                records.append(log, record)
        found.append(record)
    return found


def _own_config(problem: Problem, case: Case) -> dict[str, Any]:
    """The resolved configuration, without the methods that this case is not about."""
    config = plain(problem.experiment)
    section = {case.label: config["method"][case.label]} if case.role == "unlearn" else {}
    return config | {"methods": list(section), "method": section}


def _original_identity(problem: Problem) -> dict[str, Any]:
    """All that determines the numbers of the original network."""
    dataset = plain(problem.experiment.dataset)
    return {
        "format": 1,
        "dataset": {name: value for name, value in dataset.items() if name not in PLACES},
        "fingerprint": problem.dataset.fingerprint,
        "model": _model_identity(problem.experiment.model),
        "train": plain(problem.experiment.train),
        "order": problem.seeds["order"],
        "initialisation": problem.seeds["initialisation"],
    }


def _model_identity(config: Any) -> dict[str, Any]:
    """The section of a model, with the content of its file of weights in the place of the path."""
    section = plain(config)
    weights = section.get("weights")
    return section if weights is None else section | {"weights": file_digest(weights)}


def _train(
    problem: Problem, role: str, identity: dict[str, Any], shared: Path, reporter: Reporter
) -> Result:
    """The original or the retrained network, trained or read back; two runs that want the same one take turns."""
    other = role == "retrain" and problem.experiment.retrain_init == "other"
    store = Store(shared / digest(identity), digest(identity))
    split = problem.split if role == "retrain" else everything(problem.sources)
    with exclusive(store.directory, waiting=reporter.say), reporter.following(role) as progress:
        result = train(
            problem.experiment.train,
            problem.model,
            problem.sources,
            split,
            key=_key(problem.seeds["initialisation"], RETRAIN if other else ORIGINAL),
            **_options(problem, store),
            progress=progress,
        )
    reporter.say(f"{role}: {_spent(result)}")
    return result


def _unlearn(
    problem: Problem,
    label: str,
    config: Any,
    identity: dict[str, Any],
    original: Callable[[], Result],
    own: Path,
    reporter: Reporter,
) -> Result:
    start = original().variables
    method = METHODS[config.name].make(config, problem.model)
    began = None
    if method.with_initial is not None:
        key = _key(problem.seeds["initialisation"], ORIGINAL)
        began = initial(problem.model, problem.sources, key=key)
    store = Store(own / f"{label}-{digest(identity)}", digest(identity))
    with reporter.following(label) as progress:
        result = run(
            method,
            problem.model,
            start,
            problem.sources,
            problem.split,
            key=_key(problem.seeds["method"], METHOD),
            initial=began,
            **_options(problem, store),
            progress=progress,
        )
    reporter.say(f"{label}: {_spent(result)}")
    return result


def _options(problem: Problem, store: Store | None) -> dict[str, Any]:
    loop = problem.experiment.loop
    return {
        "seed": problem.seeds["order"],
        "views": problem.dataset.views,
        "loop": loop.kind,
        "mesh": problem.mesh,
        "store": store,
        "save_seconds": loop.save_seconds,
    }


def _outputs(
    problem: Problem,
    reporter: Reporter,
    label: str,
    model: Model,
    variables: Variables,
    only: Sequence[str] | None = None,
) -> Outputs:
    with reporter.counting(f"{label} evaluating") as progress:
        return judge.outputs(
            model,
            variables,
            problem.sources,
            problem.split,
            problem.dataset.views,
            only,
            progress,
            problem.experiment.train_view,
        )


def _relearn(
    problem: Problem, reporter: Reporter, label: str, done: Result, level: float
) -> Relearned:
    options = _options(problem, None) | {"key": _key(problem.seeds["order"], RELEARN)}
    recipe = relearn.like(problem.experiment.train)
    with reporter.following(f"{label} relearning") as progress:
        return relearn.relearn(
            *(recipe, done.model, done.variables, problem.sources, problem.split, level),
            **options,
            progress=progress,
        )


def _spent(result: Result) -> str:
    seconds = result.seconds
    return f"{seconds['run']:.1f} s in steps, {seconds['compile']:.1f} s compiling"


def _key(seed: int, purpose: int) -> Key:
    return jax.random.fold_in(jax.random.key(seed), purpose)


def _write(path: Path, text: str) -> None:
    """Replace a file in one step."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
