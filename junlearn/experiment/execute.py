"""One experiment end to end: data, original, retrained reference, methods, metrics, records.

Nothing that is complete is done twice: networks are looked up by the hash of all that determines their numbers but
versions, code and device (the original and the reference below the cache directory, shared by every run; the methods'
below the run's own), records by the hash of that and of the metrics. What is kept of other versions or of other code is
said, and made anew where that is asked for (`Fresh`).
"""

import json
from collections.abc import Callable
from functools import cache, lru_cache, partial, wraps
from pathlib import Path
from typing import Any, TypeVar, cast

from junlearn.datasets.cache import dataset_cache_dir
from junlearn.engine import processes
from junlearn.engine.checkpoint import Store
from junlearn.engine.precision import matmuls
from junlearn.engine.run import Result, Staged, conclude, run_stages
from junlearn.experiment import provenance, request, stored
from junlearn.experiment.code_digest import code_digest
from junlearn.experiment.evaluate import Case, Outcome, judged
from junlearn.experiment.locks import exclusive
from junlearn.experiment.progress import Reporter
from junlearn.experiment.provenance import Fresh, Renewal
from junlearn.experiment.schema import digest, plain, thing_of
from junlearn.experiment.setup import (
    METHOD,
    ORIGINAL,
    RETRAIN,
    Problem,
    identities,
    key_for,
    method_identity,
    prepare,
    run_options,
    surrogate_identity,
)
from junlearn.files import replace
from junlearn.methods import METHODS, made
from junlearn.plugins.source import module_name
from junlearn.train import everything, initial, train
from junlearn.types import Method

__all__ = ["execute", "original_network"]

F = TypeVar("F", bound=Callable)


def _in_its_precision(work: F) -> F:
    """`work(experiment, ...)`, all of it in the precision of matrix products that the experiment asks for."""

    @wraps(work)
    def inside(experiment: Any, *arguments: Any, **options: Any) -> Any:
        with matmuls(experiment.matmul_precision):
            return work(experiment, *arguments, **options)

    return cast(F, inside)


@_in_its_precision
def execute(
    experiment: Any,
    workdir: Path,
    cache_dir: str | None,
    reporter: Reporter,
    fresh: Fresh = "nothing",
) -> Outcome:
    """Run the experiment in `workdir`. A method that fails does not keep those after it from running.

    The directory is made when the data have been read and every method made: a mistake leaves nothing behind. `fresh`
    says which networks and records are made anew although they are there.
    """
    problem = prepare(experiment, cache_dir, reporter)
    renewal = Renewal(fresh)
    cases = _cases(problem, _shared(cache_dir), workdir / "checkpoints", renewal, reporter)
    with exclusive(workdir):
        text = json.dumps(plain(experiment), indent=2) + "\n"
        processes.first(lambda: replace(workdir / "config.json", text))
        asked = (experiment.scenario, problem.dataset, problem.split)
        processes.first(lambda: request.write(*asked, workdir))
        outcome = judged(problem, cases, workdir / "records.jsonl", renewal, reporter)
        processes.first(lambda: _tell_copies(problem, cache_dir, reporter))
        return outcome


def _tell_copies(problem: Problem, cache_dir: str | None, reporter: Reporter) -> None:
    """After a request for rows: where their images are still."""
    if problem.experiment.scenario.name != "rows":
        return
    original = _shared(cache_dir) / digest(identities(problem)[0])
    if found := stored.copies(problem.dataset.fingerprint, [original], cache_dir):
        reporter.say(
            f"the forgotten images are still in {', '.join(found)}: cache purge --request removes them"
        )


@_in_its_precision
def original_network(
    experiment: Any, cache_dir: str | None, reporter: Reporter
) -> tuple[Problem, Result]:
    """The original network of an experiment, trained or read back, and what it was trained on."""
    problem = prepare(experiment, cache_dir, reporter)
    identity, shared = identities(problem)[0], _shared(cache_dir)
    return problem, _train(problem, "original", identity, shared, Renewal("nothing"), reporter)


def _shared(cache_dir: str | None) -> Path:
    """Where networks are that all runs share."""
    return dataset_cache_dir(cache_dir).parent / "models"


def _cases(
    problem: Problem, shared: Path, own: Path, renewal: Renewal, reporter: Reporter
) -> list[Case]:
    """The original, the retrained reference where there is one, then one case a method."""
    experiment, seeds = problem.experiment, problem.seeds
    original_identity, reference_identity = identities(problem)

    def trained(role: str, identity: dict[str, Any]) -> Callable[[], Result]:
        return cache(lambda: _train(problem, role, identity, shared, renewal, reporter))

    original = trained("original", original_identity)
    code = _code(problem, METHODS["retrain"])
    cases = [Case("original", "original", original_identity, code, original)]
    if experiment.reference:
        reference = trained("retrain", reference_identity)
        cases.append(Case("retrain", "retrain", reference_identity, code, reference))

    # What was left by the last one alone is kept: what was left before can be read back.
    @lru_cache(maxsize=1)
    def staged(label: str, store: Store, begun: Store | None) -> Staged:
        return _unlearn(problem, label, store, begun, original, renewal, reporter)

    surrounding = reference_identity | surrogate_identity(problem)
    surrounding |= {"method_seed": seeds["method"]}

    def by_stages(config: Any) -> str:
        """The digest of all that determines what the stages of a method leave."""
        return digest(surrounding | {"method": _read_by_stages(config)})

    stores: dict[str, tuple[str, Store]] = {}
    for label in experiment.methods:
        config = getattr(experiment.method, label)
        identity = surrounding | {"method": method_identity(config)}
        name = by_stages(config)
        # Configurations that differ in what `finish` reads share the stages of the first of them,
        first, store = stores.setdefault(name, (label, Store(own / f"{label}-{name}", name)))
        # and those that only go on where another one ends go on from there.
        beginning = _beginning(config)
        begun = None if beginning is None else stores.get(by_stages(beginning), (None, None))[1]

        # Made before anything is trained: a setting that cannot be is an error at once.
        method = made(thing_of(config), config, problem.model)

        finished = partial(_finished, problem, method, partial(staged, first, store, begun))
        code = _code(problem, thing_of(config))
        cases.append(Case("unlearn", label, identity, code, finished))
    return cases


def _finished(problem: Problem, method: Method, staged: Callable[[], Staged]) -> Result:
    return conclude(method, problem.model, staged())


def _read_by_stages(config: Any) -> dict[str, Any]:
    """A method's section without the fields that its `finish` alone reads."""
    asked: Callable[[Any], frozenset[str]] | None
    asked = getattr(thing_of(config), "read_at_finish", None)
    late = frozenset() if asked is None else asked(config)
    return {name: value for name, value in method_identity(config).items() if name not in late}


def _beginning(config: Any) -> Any | None:
    """The configuration of the same method with whose stages this one begins, if there is one."""
    asked: Callable[[Any], Any | None] | None
    asked = getattr(thing_of(config), "beginning", None)
    return None if asked is None else asked(config)


def _code(problem: Problem, method: Any) -> dict[str, str]:
    """The digest of the code that makes a network: its method, what trains the original, the model, the loop, the data
    that a scenario manipulates.
    """
    scenario = thing_of(problem.experiment.scenario)
    makers = [method, METHODS["retrain"], thing_of(problem.experiment.model)]
    if scenario.manipulates:
        makers.append(scenario)
    parts = {run_stages.__module__, *map(module_name, makers)}
    return {"network": code_digest(parts)}


def _about(problem: Problem, label: str) -> dict[str, str]:
    """What tells a person, and `cache`, which network lies in a directory."""
    dataset = problem.dataset
    role = label if label in ("original", "retrain") else "unlearn"
    about = {"role": role, "label": label, "dataset": dataset.name}
    return about | {"fingerprint": dataset.fingerprint}


def _train(
    problem: Problem,
    role: str,
    identity: dict[str, Any],
    shared: Path,
    renewal: Renewal,
    reporter: Reporter,
) -> Result:
    """The original or the retrained network, trained or read back; two runs that want the same one take turns."""
    other = role == "retrain" and problem.experiment.retrain_init == "other"
    store = Store(shared / digest(identity), digest(identity))
    split = problem.split if role == "retrain" else everything(problem.sources)
    with exclusive(store.directory, waiting=reporter.say), reporter.following(role) as progress:
        code, about = _code(problem, METHODS["retrain"]), _about(problem, role)
        provenance.attribute(store, role, code, renewal, reporter.say, about)
        result = train(
            problem.experiment.train,
            problem.model,
            problem.sources,
            split,
            key=key_for(problem.seeds["initialisation"], RETRAIN if other else ORIGINAL),
            **run_options(problem, store),
            progress=progress,
        )
    reporter.say(f"{role}: {_spent(result)}")
    return result


def _unlearn(
    problem: Problem,
    label: str,
    store: Store,
    begun: Store | None,
    original: Callable[[], Result],
    renewal: Renewal,
    reporter: Reporter,
) -> Staged:
    """The stages of a method, from where `begun` ends if that is there."""
    start = original().variables
    config = getattr(problem.experiment.method, label)
    method = made(thing_of(config), config, problem.model)
    before_training = None
    if method.with_initial is not None:
        key = key_for(problem.seeds["initialisation"], ORIGINAL)
        before_training = initial(problem.model, problem.sources, key=key)
    code, about = _code(problem, thing_of(config)), _about(problem, label)
    # A record names one set of versions: what others left is not gone on from.
    if begun is not None and not provenance.current(begun, code):
        begun = None
    provenance.attribute(store, label, code, renewal, reporter.say, about)
    with reporter.following(label) as progress:
        staged = run_stages(
            method,
            problem.model,
            start,
            problem.sources,
            problem.split,
            key=key_for(problem.seeds["method"], METHOD),
            initial=before_training,
            begun=begun,
            **run_options(problem, store),
            progress=progress,
        )
    reporter.say(f"{label}: {_spent(staged)}")
    return staged


def _spent(result: Result | Staged) -> str:
    seconds = result.seconds
    return f"{seconds['run']:.1f} s in steps, {seconds['compile']:.1f} s compiling"
