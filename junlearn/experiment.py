"""One experiment end to end: data, original, retrained reference, methods, metrics, records.

Nothing that is complete is done twice: networks are looked up by the hash of all that determines their numbers but
versions and device (the original and the reference below the cache directory, shared by every run; the methods' below
the run's own), records by the hash of that and of the metrics. What is kept of other versions is said.
"""

import json
from collections.abc import Callable, Sequence
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax

from junlearn import judge, metrics, processes, records, relearn, weights
from junlearn.checkpoint import Store
from junlearn.config import digest, plain
from junlearn.datasets.cache import dataset_cache_dir
from junlearn.errors import DivergedError, JunlearnError
from junlearn.locks import exclusive
from junlearn.methods import METHODS, made
from junlearn.metrics import Context, Network, Outputs, Relearned, costly
from junlearn.problem import (
    METHOD,
    ORIGINAL,
    RANDOM,
    RELEARN,
    RETRAIN,
    Problem,
    identities,
    judgement,
    key_for,
    method_identity,
    prepare,
    run_options,
    surrogate_identity,
)
from junlearn.progress import Reporter
from junlearn.records import Record
from junlearn.run import Result, Staged, conclude, run_stages
from junlearn.train import everything, initial, train
from junlearn.types import Method, Model, Variables

__all__ = ["Outcome", "execute", "original_network"]

OF_ITS_OWN = (JunlearnError, DivergedError, jax.errors.JaxRuntimeError)
"""What can go wrong with one method (it does not fit the request, diverges, needs more memory) and not with others."""


class Case(NamedTuple):
    """A network to be judged."""

    role: Literal["original", "retrain", "unlearn"]
    label: str
    identity: dict[str, Any]
    """All that determines its numbers."""
    result: Callable[[], Result]
    """Trains it, or reads it back; asked once."""


class Outcome(NamedTuple):
    """What came of an experiment."""

    records: list[Record]
    """Original, retrained network, then every method that did not fail."""
    failures: dict[str, Exception]
    """Label of a method -> why it has no record."""


def execute(experiment: Any, workdir: Path, cache_dir: str | None, reporter: Reporter) -> Outcome:
    """Run the experiment in `workdir`. A method that fails does not keep those after it from running."""
    with exclusive(workdir):
        text = json.dumps(plain(experiment), indent=2) + "\n"
        processes.first(lambda: records.replace(workdir / "config.json", text))
        problem = prepare(experiment, cache_dir, reporter)
        cases = _cases(problem, _shared(cache_dir), workdir / "checkpoints", reporter)
        return _judge(problem, cases, workdir / "records.jsonl", reporter)


def original_network(
    experiment: Any, cache_dir: str | None, reporter: Reporter
) -> tuple[Problem, Result]:
    """The original network of an experiment, trained or read back, and what it was trained on."""
    problem = prepare(experiment, cache_dir, reporter)
    shared = _shared(cache_dir)
    return problem, _train(problem, "original", identities(problem)[0], shared, reporter)


def _shared(cache_dir: str | None) -> Path:
    """Where networks are that all runs share."""
    return dataset_cache_dir(cache_dir).parent / "models"


def _cases(problem: Problem, shared: Path, own: Path, reporter: Reporter) -> list[Case]:
    """The original, the retrained reference where there is one, then one case a method."""
    experiment, seeds = problem.experiment, problem.seeds
    original_identity, reference_identity = identities(problem)

    def trained(role: str, identity: dict[str, Any]) -> Callable[[], Result]:
        return cache(lambda: _train(problem, role, identity, shared, reporter))

    original = trained("original", original_identity)
    cases = [Case("original", "original", original_identity, original)]
    if experiment.reference:
        reference = trained("retrain", reference_identity)
        cases.append(Case("retrain", "retrain", reference_identity, reference))

    # What was left by the last one alone is kept: what was left before can be read back.
    @lru_cache(maxsize=1)
    def staged(label: str, name: str) -> Staged:
        return _unlearn(problem, label, name, original, own, reporter)

    first_of: dict[str, str] = {}
    surrounding = reference_identity | surrogate_identity(problem)
    for label in experiment.methods:
        config = getattr(experiment.method, label)
        section = method_identity(config)
        identity = surrounding | {"method": section, "method_seed": seeds["method"]}
        name = digest(identity | {"method": _read_by_stages(config, section)})
        # Configurations that differ in what `finish` reads share the stages of the first of them.
        first = first_of.setdefault(name, label)

        # Made before anything is trained: a setting that cannot be is an error at once.
        method = made(config.name, config, problem.model)

        def finished(method: Method = method, first: str = first, name: str = name) -> Result:
            return conclude(method, problem.model, staged(first, name))

        cases.append(Case("unlearn", label, identity, finished))
    return cases


def _read_by_stages(config: Any, section: dict[str, Any]) -> dict[str, Any]:
    """A method's section without the fields that its `finish` alone reads."""
    asked: Callable[[Any], frozenset[str]] | None
    asked = getattr(METHODS[config.name], "read_at_finish", None)
    late = frozenset() if asked is None else asked(config)
    return {name: value for name, value in section.items() if name not in late}


def _judge(problem: Problem, cases: Sequence[Case], log: Path, reporter: Reporter) -> Outcome:
    """The record of every case: found in `log`, or made and added to it."""
    metrics_wanted = problem.experiment.metrics
    by_role: dict[str, Case] = {case.role: case for case in cases if case.role != "unlearn"}
    reference = by_role.get("retrain")
    learn = partial(_relearn, problem, reporter)
    seen = (problem.experiment.train.augment, problem.experiment.train_view)

    @cache
    def outputs_of(role: str) -> Outputs:
        if role == "random":
            key = key_for(problem.seeds["initialisation"], RANDOM)
            untrained = problem.model.fresh(key, problem.sources)
            return _outputs(problem, reporter, role, problem.model, untrained, judge.ZRF_SPLITS)
        done = by_role[role].result()
        return _outputs(problem, reporter, role, done.model, done.variables)

    @cache
    def relearned(role: Network, level: float) -> Relearned:
        done = by_role[role].result()
        return learn(role, done, relearn.relearn, level)

    def relearner(case: Case, done: Result) -> Callable[[Network, float], Relearned]:
        def ask(role: Network, level: float) -> Relearned:
            if role == "model" and case.role == "unlearn":
                return learn(case.label, done, relearn.relearn, level)
            return relearned(case.role if role == "model" else role, level)

        return ask

    say = cache(reporter.say)  # What is left out is so of every network, and said once.
    earlier = processes.first(lambda: records.read(log))
    known = {(r["config_hash"], r["role"], r["method"]): r for r in earlier}

    def record_of(case: Case) -> Record:
        name = digest(
            {
                "network": case.identity,
                "reference": None if reference is None else reference.identity,
                **judgement(problem.experiment),
            }
        )
        record = known.get((name, case.role, case.label))
        if record is None:
            done = case.result()
            networks: dict[Network, Variables] = {
                role: by_role[role].result().variables
                for role in ("original", "retrain")
                if role in by_role
            }
            with reporter.timing(f"{case.label}: evaluated"):
                context = Context(
                    _outputs(problem, reporter, case.label, done.model, done.variables)
                    if case.role == "unlearn"
                    else outputs_of(case.role),
                    judge.labels(problem.sources, problem.split, problem.dataset.views),
                    original=outputs_of("original"),
                    retrain=None if reference is None else outputs_of("retrain"),
                    random=outputs_of("random"),
                    classes=problem.split.classes,
                    target=problem.split.target,
                    clean=judge.clean(problem.sources, problem.split, problem.dataset.views),
                    sample=judge.sample(problem.split, problem.experiment.sample),
                    networks=networks | {"model": done.variables},
                    relearn=relearner(case, done),
                    relearn_retain=partial(learn, case.label, done, relearn.relearn_retain, *seen),
                    remark=say,
                )
                values = metrics.compute(context, metrics_wanted)
            record = records.new(
                _own_config(problem, case), name, case.role, case.label, values, done
            )
            processes.first(partial(records.append, log, record))
        return weights.recorded(problem.experiment, case, record, log, reporter)

    outcome = Outcome([], {})
    for case in cases:
        try:
            outcome.records.append(record_of(case))
        except OF_ITS_OWN as error:
            if case.role != "unlearn":
                raise
            reporter.say(f"{case.label}: failed, {type(error).__name__}")
            outcome.failures[case.label] = error
    records.remark(outcome.records, reporter.say)
    return outcome


def _own_config(problem: Problem, case: Case) -> dict[str, Any]:
    """The resolved configuration, without the methods that this case is not about."""
    config = plain(problem.experiment)
    section = {case.label: config["method"][case.label]} if case.role == "unlearn" else {}
    return config | {"methods": list(section), "method": section}


def _train(
    problem: Problem, role: str, identity: dict[str, Any], shared: Path, reporter: Reporter
) -> Result:
    """The original or the retrained network, trained or read back; two runs that want the same one take turns."""
    other = role == "retrain" and problem.experiment.retrain_init == "other"
    store = Store(shared / digest(identity), digest(identity))
    split = problem.split if role == "retrain" else everything(problem.sources)
    with exclusive(store.directory, waiting=reporter.say), reporter.following(role) as progress:
        records.attributed(store, role, reporter.say)
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
    name: str,
    original: Callable[[], Result],
    own: Path,
    reporter: Reporter,
) -> Staged:
    """The stages of a method; `name` is the digest of all that determines what they leave."""
    start = original().variables
    config = getattr(problem.experiment.method, label)
    method = made(config.name, config, problem.model)
    began = None
    if method.with_initial is not None:
        key = key_for(problem.seeds["initialisation"], ORIGINAL)
        began = initial(problem.model, problem.sources, key=key)
    store = records.attributed(Store(own / f"{label}-{name}", name), label, reporter.say)
    with reporter.following(label) as progress:
        staged = run_stages(
            method,
            problem.model,
            start,
            problem.sources,
            problem.split,
            key=key_for(problem.seeds["method"], METHOD),
            initial=began,
            **run_options(problem, store),
            progress=progress,
        )
    reporter.say(f"{label}: {_spent(staged)}")
    return staged


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
            costly(problem.experiment.metrics),
        )


def _relearn(
    problem: Problem,
    reporter: Reporter,
    label: str,
    done: Result,
    how: Callable[..., Any],
    *arguments: Any,
) -> Any:
    """What `how`, a function of `junlearn.relearn`, finds when the network is trained on."""
    options = run_options(problem, None) | {"key": key_for(problem.seeds["order"], RELEARN)}
    recipe = relearn.like(problem.experiment.train)
    with reporter.following(f"{label} relearning") as progress:
        return how(
            *(recipe, done.model, done.variables, problem.sources, problem.split, *arguments),
            **options,
            progress=progress,
        )


def _spent(result: Result | Staged) -> str:
    seconds = result.seconds
    return f"{seconds['run']:.1f} s in steps, {seconds['compile']:.1f} s compiling"
