"""What is known of the networks of an experiment: a record of each, found in the log or made and added to it."""

import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

from junlearn import metrics, relearn
from junlearn.engine import processes, saved
from junlearn.engine.run import Result
from junlearn.errors import DivergedError, JunlearnError
from junlearn.experiment import original_file, provenance, records, references, request
from junlearn.experiment.effect import guaranteed, without_effect
from junlearn.experiment.evaluator import Evaluator, Relearning, Subject
from junlearn.experiment.identity import Identity, metric_code, record_hash
from junlearn.experiment.logged import tell
from junlearn.experiment.progress import Reporter
from junlearn.experiment.provenance import Renewal
from junlearn.experiment.records import Record
from junlearn.experiment.resolved import method_of
from junlearn.experiment.schema import digest, plain, thing_of
from junlearn.experiment.setup import RANDOM, RELEARN, Setup, key_for, run_options
from junlearn.files import replace
from junlearn.logs.run_log import NOTHING, RunLog
from junlearn.methods import build
from junlearn.metrics import Context, Network, costly
from junlearn.models.weights import file_digest
from junlearn.plugins.registry import metrics_of

__all__ = ["Case", "Outcome", "evaluate_cases", "evaluator_of", "of_the_machine"]


HINT = "its settings are too weak for this network"
"""Of a method that does not know why it changed nothing."""


class Case(NamedTuple):
    """A network to be evaluated."""

    role: Literal["original", "retrain", "unlearn"]
    label: str
    identity: Identity
    """All that determines its numbers."""
    code: dict[str, str]
    """Digest of the code that makes the "network"."""
    result: Callable[[], Result]
    """Trains it, or reads it back; asked once."""
    stores: tuple[Path, ...] = ()
    """Where the networks lie, when they are finished, that it is read back from."""
    others: tuple[Callable[[], Result], ...] = ()
    """Of the retrained network, where several are wanted: those after it, each trained or read back when asked."""


class Outcome(NamedTuple):
    """What came of an experiment."""

    records: list[Record]
    """Original, retrained network, then every method that did not fail."""
    failures: dict[str, Exception]
    """Label of a method -> why it has no record."""


def evaluate_cases(
    setup: Setup,
    cases: Sequence[Case],
    log: Path,
    renewal: Renewal,
    reporter: Reporter,
    run_log: RunLog = NOTHING,
) -> Outcome:
    """The record of every case: found in `log`, or made and added to it; `renewal`: which of them are made anew.

    The loggers of the run are told of each.
    """
    maker = _RecordMaker(setup, cases, log, renewal, reporter)
    outcome = Outcome([], {})
    kept: dict[str, list[str]] = {}
    for case in cases:
        try:
            record = _with_weights(setup, case, maker.record_of(case), log, reporter)
            outcome.records.append(record)
            tell(run_log, record)
            if "certificate" in record:
                reporter.say(f"{case.label}: {guaranteed(record['certificate'])}")
            if "effect" in record:
                reporter.say(f"{case.label}: {record['effect']}")
            kept.setdefault(maker.differences(case, record), []).append(case.label)
        except Exception as error:
            if case.role != "unlearn" or of_the_machine(error):
                raise
            reporter.say(f"{case.label}: failed, {type(error).__name__}")
            reporter.finished(case.label, None)
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


class _RecordMaker:
    """The records in `log`, and how those that are missing are made."""

    def __init__(
        self, setup: Setup, cases: Sequence[Case], log: Path, renewal: Renewal, reporter: Reporter
    ) -> None:
        self.setup, self.log, self.renewal, self.reporter = setup, log, renewal, reporter
        self.metrics = metrics_of(setup.experiment.metrics)
        self.metric_code = metric_code(self.metrics)
        before: dict[Network, Case] = {c.role: c for c in cases if c.role != "unlearn"}
        self.reference = before["retrain"].identity if "retrain" in before else None
        self.evaluator = evaluator_of(setup, before, reporter)
        # What is left out is so of every network, and said once.
        self.remark = cache(reporter.say)
        earlier = processes.first(lambda: records.repair(log, reporter.say))
        self.known = {(r["config_hash"], r["role"], r["method"]): r for r in earlier}

    @cached_property
    def request(self) -> dict[str, Any]:
        """What was to be forgotten; of a stream all of it so far, which request it is, and how much it added."""
        setup = self.setup
        section, data, split = setup.experiment.scenario, setup.dataset, setup.split
        told = processes.first(lambda: request.summary(section, data, split, self.log.parent))
        if setup.number:
            told |= {"number": setup.number, "new": len(setup.asked.forget)}
        return told

    def record_of(self, case: Case) -> Record:
        """The record of a network, made now where there is none or it is due."""
        name = record_hash(self.setup, case.identity, self.reference)
        place = (name, case.role, case.label)
        record = self.known.get(place)
        if record is not None and not self.renewal.due(place, not self.differences(case, record)):
            self.reporter.finished(case.label, None, record["seconds"].get("total"))
            return self._with_others(case, record)
        began = time.perf_counter()
        add = records.append if record is None else records.amend
        made = self._make(case, name)
        added: Record = processes.first(partial(add, self.log, made, self.reporter.say))
        self.reporter.finished(case.label, time.perf_counter() - began)
        return self._with_others(case, added)

    def _with_others(self, case: Case, record: Record) -> Record:
        """The record with what the metrics are of the other retrained networks, where they are wanted."""
        if not case.others or references.count(record) > len(case.others):
            return record
        self.reporter.say(references.price(record, len(case.others)))
        found = []
        for number, other in enumerate(case.others, start=2):
            done = other()
            subject = Subject(f"{case.label} {number}", done.model, done.variables)
            context = self.evaluator.context(subject)._replace(remark=self.remark)
            found.append(metrics.compute(context, self.metrics))
        record = references.added(record, found)
        return processes.first(partial(records.amend, self.log, record, self.reporter.say))

    def differences(self, case: Case, record: Record) -> str:
        """In what a record differs from what would be made now, in words."""
        packages = provenance.decisive(self.metrics)
        return provenance.differences(record, self._code(case), packages)

    def _code(self, case: Case) -> dict[str, str]:
        return case.code | self.metric_code

    def _make(self, case: Case, name: str) -> Record:
        done = case.result()
        subject = Subject(case.label, done.model, done.variables)
        # The time of training is not that of evaluation.
        _ = self.evaluator.networks
        with self.reporter.timing(f"{case.label}: evaluated"):
            own: Network = "model" if case.role == "unlearn" else case.role
            context = self.evaluator.context(subject, own)._replace(remark=self.remark)
            values, intervals = metrics.compute_with_intervals(context, self.metrics)
        config, code = _own_config(self.setup, case), self._code(case)
        record = records.new(
            *(config, name, case.role, case.label, values, done, code), intervals=intervals
        )
        record["request"] = self.request
        shape = {"input_shape": list(self.setup.dataset.input_shape)}
        record["preprocessing"] = {**self.setup.dataset.preprocessing, **shape}
        if (file := original_file.file_of(self.setup.experiment)) is not None:
            record["given"] = {"file": file, "sha256": file_digest(file)}
        if case.role == "unlearn" and (idle := _idle(self.setup, case, context)):
            record["effect"] = idle
        return record


def evaluator_of(setup: Setup, references: Mapping[Network, Case], reporter: Reporter) -> Evaluator:
    """What the metrics read of the networks of an experiment."""
    experiment, seeds = setup.experiment, setup.seeds

    def trained(case: Case) -> Subject:
        done = case.result()
        return Subject(case.role, done.model, done.variables)

    def untrained() -> Subject:
        key = key_for(seeds["initialisation"], RANDOM)
        return Subject("random", setup.model, setup.model.fresh(key, setup.sources))

    relearning = Relearning(
        relearn.like(experiment.train),
        {**run_options(setup), "key": key_for(seeds["order"], RELEARN)},
        augment=experiment.train.augment,
        train_view=experiment.train_view,
        watch=lambda label: reporter.following(f"{label} relearning"),
    )
    loaders: dict[Network, Callable[[], Subject]] = {"random": untrained}
    for role, case in references.items():
        loaders[role] = partial(trained, case)
    return Evaluator(
        sources=setup.sources,
        split=setup.split,
        views=setup.dataset.views,
        references=loaders,
        relearning=relearning,
        extra=costly(experiment.metrics),
        extra_of_references=costly(experiment.metrics),
        train_view=experiment.train_view,
        sample=experiment.sample,
        watch=lambda label: reporter.counting(f"{label} evaluating"),
    )


def _idle(setup: Setup, case: Case, context: Context) -> str:
    """In words, that a method changed nothing, and why if it knows; empty where it did, or has no step to do it."""
    config = method_of(setup.experiment, case.label)
    method = build(thing_of(config), config, setup.model)
    text = without_effect(context) if method.plan(setup.asked) else ""
    reason = "" if method.idle is None else method.idle(setup.asked)
    return f"{text}: {reason or HINT}" if text else ""


def of_the_machine(error: BaseException | None) -> bool:
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


def _own_config(setup: Setup, case: Case) -> dict[str, Any]:
    """The resolved configuration, without the methods that this case is not about."""
    config = plain(setup.experiment)
    section = {case.label: config["method"][case.label]} if case.role == "unlearn" else {}
    return config | {"methods": list(section), "method": section}


def _with_weights(
    setup: Setup, case: Case, record: Record, log: Path, reporter: Reporter
) -> Record:
    """Where the experiment asks for it, the network of a method beside `log`, and its path in the record there."""
    if case.role != "unlearn" or not setup.experiment.loop.save_weights:
        return record
    owner = digest(case.identity)
    path = Path("weights", f"{case.label}-{owner}")
    if saved.written(log.parent / path, owner, lambda: case.result().variables):
        reporter.say(f"{case.label}: weights in {log.parent / path}")
    if record.get("weights") != str(path):
        record = {**record, "weights": str(path)}
        processes.first(partial(records.amend, log, record))
    return record
