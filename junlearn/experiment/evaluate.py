"""What is known of the networks of an experiment: a record of each, found in the log or made and added to it."""

import traceback
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

from junlearn import metrics, outputs, relearn
from junlearn.engine import processes, saved
from junlearn.engine.run import Result
from junlearn.errors import DivergedError, JunlearnError
from junlearn.experiment import provenance, records, request
from junlearn.experiment.code_digest import code_digest
from junlearn.experiment.effect import without_effect
from junlearn.experiment.progress import Reporter
from junlearn.experiment.provenance import Renewal
from junlearn.experiment.records import Record
from junlearn.experiment.schema import digest, plain, thing_of
from junlearn.experiment.setup import RANDOM, RELEARN, Problem, judgement, key_for, run_options
from junlearn.files import replace
from junlearn.methods import made
from junlearn.metrics import Context, Network, Outputs, Relearned, costly
from junlearn.plugins.registry import metrics_of
from junlearn.types import Model, Variables

__all__ = ["Case", "Outcome", "judged"]


HINT = "its settings are too weak for this network"
"""Of a method that does not know why it changed nothing."""


class Case(NamedTuple):
    """A network to be judged."""

    role: Literal["original", "retrain", "unlearn"]
    label: str
    identity: dict[str, Any]
    """All that determines its numbers."""
    code: dict[str, str]
    """Digest of the code that makes the "network"."""
    result: Callable[[], Result]
    """Trains it, or reads it back; asked once."""


class Outcome(NamedTuple):
    """What came of an experiment."""

    records: list[Record]
    """Original, retrained network, then every method that did not fail."""
    failures: dict[str, Exception]
    """Label of a method -> why it has no record."""


def judged(
    problem: Problem, cases: Sequence[Case], log: Path, renewal: Renewal, reporter: Reporter
) -> Outcome:
    """The record of every case: found in `log`, or made and added to it; `renewal`: which of them are made anew."""
    metrics_wanted = problem.experiment.metrics
    functions = metrics_of(metrics_wanted)
    by_role: dict[str, Case] = {case.role: case for case in cases if case.role != "unlearn"}
    reference = by_role.get("retrain")
    learn = partial(_relearn, problem, reporter)
    seen = (problem.experiment.train.augment, problem.experiment.train_view)

    @cache
    def outputs_of(role: str) -> Outputs:
        if role == "random":
            key = key_for(problem.seeds["initialisation"], RANDOM)
            untrained = problem.model.fresh(key, problem.sources)
            return _outputs(problem, reporter, role, problem.model, untrained, outputs.ZRF_SPLITS)
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

    judging = {"metrics": code_digest([outputs.__name__, *metrics.modules(functions)])}

    @cache
    def asked() -> dict[str, Any]:
        scenario, data = problem.experiment.scenario, problem.dataset
        return processes.first(lambda: request.summary(scenario, data, problem.split, log.parent))

    say = cache(reporter.say)  # What is left out is so of every network, and said once.
    earlier = processes.first(lambda: records.repair(log, reporter.say))
    known = {(r["config_hash"], r["role"], r["method"]): r for r in earlier}

    def code_of(case: Case) -> dict[str, str]:
        return case.code | judging

    def difference(case: Case, record: Record) -> str:
        packages = provenance.decisive(metrics_wanted)
        return provenance.changed(record, code_of(case), packages)

    def record_of(case: Case) -> Record:
        name = digest(
            {
                "network": case.identity,
                "reference": None if reference is None else reference.identity,
                **judgement(problem.experiment),
            }
        )
        place = (name, case.role, case.label)
        record = known.get(place)
        if record is None or renewal.due(place, not difference(case, record)):
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
                    outputs.labels(problem.sources, problem.split, problem.dataset.views),
                    original=outputs_of("original"),
                    retrain=None if reference is None else outputs_of("retrain"),
                    random=outputs_of("random"),
                    classes=problem.split.classes,
                    target=problem.split.target,
                    clean=outputs.clean(problem.sources, problem.split, problem.dataset.views),
                    sample=outputs.sample(problem.split, problem.experiment.sample),
                    networks=networks | {"model": done.variables},
                    relearn=relearner(case, done),
                    relearn_retain=partial(learn, case.label, done, relearn.relearn_retain, *seen),
                    remark=say,
                )
                values = metrics.compute(context, functions)
            record = records.new(
                _own_config(problem, case), name, case.role, case.label, values, done, code_of(case)
            )
            record["request"] = asked()
            if case.role == "unlearn" and (idle := _idle(problem, case, context)):
                record["effect"] = idle
            add = records.append if place not in known else records.amend
            record = processes.first(partial(add, log, record, reporter.say))
        return _with_weights(problem, case, record, log, reporter)

    outcome = Outcome([], {})
    kept: dict[str, list[str]] = {}
    for case in cases:
        try:
            record = record_of(case)
            outcome.records.append(record)
            if "effect" in record:
                reporter.say(f"{case.label}: {record['effect']}")
            kept.setdefault(difference(case, record), []).append(case.label)
        except Exception as error:
            if case.role != "unlearn" or _of_the_machine(error):
                raise
            reporter.say(f"{case.label}: failed, {type(error).__name__}")
            outcome.failures[case.label] = error
            if not isinstance(error, JunlearnError | DivergedError):
                _keep_traceback(case.label, error, log.parent, reporter)
    for other, labels in kept.items():
        if other:
            reporter.say(
                f"records kept, not made again: {', '.join(labels)}, of {other}; "
                "--fresh changed makes them anew"
            )
    return outcome


def _idle(problem: Problem, case: Case, context: Context) -> str:
    """In words, that a method changed nothing, and why if it knows; empty where it did, or has no step to do it."""
    config = getattr(problem.experiment.method, case.label)
    method = made(thing_of(config), config, problem.model)
    text = without_effect(context) if method.plan(problem.split) else ""
    reason = "" if method.idle is None else method.idle(problem.split)
    return f"{text}: {reason or HINT}" if text else ""


def _of_the_machine(error: BaseException | None) -> bool:
    """Whether the disk or the system is at fault: that meets every method, and one line is enough."""
    while error is not None:
        if isinstance(error, OSError):
            return True
        error = error.__cause__
    return False


def _keep_traceback(label: str, error: Exception, workdir: Path, reporter: Reporter) -> None:
    """Where a method's author finds what the one line on the terminal does not say."""
    path = workdir / "failures" / f"{label}.txt"
    text = "".join(traceback.format_exception(error))
    processes.first(lambda: replace(path, text))
    reporter.say(f"{label}: traceback in {path}")


def _own_config(problem: Problem, case: Case) -> dict[str, Any]:
    """The resolved configuration, without the methods that this case is not about."""
    config = plain(problem.experiment)
    section = {case.label: config["method"][case.label]} if case.role == "unlearn" else {}
    return config | {"methods": list(section), "method": section}


def _outputs(
    problem: Problem,
    reporter: Reporter,
    label: str,
    model: Model,
    variables: Variables,
    only: Sequence[str] | None = None,
) -> Outputs:
    with reporter.counting(f"{label} evaluating") as progress:
        return outputs.outputs(
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


def _with_weights(
    problem: Problem, case: Case, record: Record, log: Path, reporter: Reporter
) -> Record:
    """Where the experiment asks for it, the network of a method beside `log`, and its path in the record there."""
    if case.role != "unlearn" or not problem.experiment.loop.save_weights:
        return record
    owner = digest(case.identity)
    path = Path("weights", f"{case.label}-{owner}")
    if saved.written(log.parent / path, owner, lambda: case.result().variables):
        reporter.say(f"{case.label}: weights in {log.parent / path}")
    if record.get("weights") != str(path):
        record = {**record, "weights": str(path)}
        processes.first(partial(records.amend, log, record))
    return record
