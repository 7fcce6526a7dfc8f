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

import jax

from junlearn.engine import processes
from junlearn.engine.checkpoint import Store
from junlearn.engine.precision import matmuls
from junlearn.engine.run import Result, Staged, finish_run, run_stages
from junlearn.engine.settings import stage_options
from junlearn.experiment import original_file, provenance, request, sequence, stored
from junlearn.experiment.evaluate import Case, Outcome, evaluate_cases
from junlearn.experiment.identity import Identity, another, identities, network_code
from junlearn.experiment.locks import exclusive
from junlearn.experiment.logged import following
from junlearn.experiment.preparing import prepare
from junlearn.experiment.progress import Reporter
from junlearn.experiment.provenance import Fresh, Renewal
from junlearn.experiment.resolved import NamedConfig, Resolved, method_of
from junlearn.experiment.schema import digest, plain, thing_of
from junlearn.experiment.setup import (
    METHOD,
    ORIGINAL,
    Setup,
    key_for,
    run_options,
)
from junlearn.experiment.suited import suited
from junlearn.experiment.training import about, shared_directory, spent, trained
from junlearn.files import replace
from junlearn.logs.logger import Logger
from junlearn.logs.run_log import NOTHING, RunLog
from junlearn.methods import METHODS, build
from junlearn.train import initial
from junlearn.types import Method

__all__ = ["cases_of", "execute", "original_network", "prepared"]

F = TypeVar("F", bound=Callable)


def _in_its_precision(work: F) -> F:
    """`work(experiment, ...)`, all of it in the precision of matrix products that the experiment asks for."""

    @wraps(work)
    def inside(experiment: Resolved, *arguments: Any, **options: Any) -> Any:
        with matmuls(experiment.matmul_precision):
            return work(experiment, *arguments, **options)

    return cast(F, inside)


@_in_its_precision
def execute(
    experiment: Resolved,
    workdir: Path,
    cache_dir: str | None,
    reporter: Reporter,
    fresh: Fresh | Renewal = "nothing",
    log: RunLog = NOTHING,
    *,
    waiting: bool = False,
) -> Outcome:
    """Run the experiment in `workdir`. A method that fails does not keep those after it from running.

    The directory is made when the data have been read and every method made: a mistake leaves nothing behind. `fresh`
    says which networks and records are made anew although they are there; several experiments that share networks are
    given one `Renewal`. `log` is told of every epoch and record. Raises InUse where another run has `workdir`, unless
    it is to be waited for (`waiting`).
    """
    renewal = fresh if isinstance(fresh, Renewal) else Renewal(fresh)
    setup = prepared(experiment, cache_dir, reporter, renewal)
    shared = shared_directory(cache_dir)
    networks = _Networks(setup, shared, workdir / "checkpoints", renewal, reporter, log)
    cases = networks.cases(networks.setups[0])
    labels = [case.label for case in cases] * len(networks.setups)
    told = reporter.say if waiting else None
    with exclusive(workdir, waiting=told), reporter.whole(labels):
        text = json.dumps(plain(experiment), indent=2) + "\n"
        processes.first(lambda: replace(workdir / "config.json", text))
        section, data, split = experiment.scenario, setup.dataset, setup.split
        processes.first(lambda: request.write(section, data, split, workdir))
        outcome = Outcome([], {})
        for each in networks.setups:
            if each.number:
                reporter.say(sequence.title(each))
                cases = networks.cases(each)
            # A method that failed has no network to go on from.
            going = [case for case in cases if case.label not in outcome.failures]
            for label in outcome.failures:
                reporter.finished(label, None)
            found = evaluate_cases(each, going, workdir / "records.jsonl", renewal, reporter, log)
            outcome = Outcome(outcome.records + found.records, outcome.failures | found.failures)
        processes.first(lambda: _tell_copies(setup, cache_dir, reporter))
        return outcome


def _tell_copies(setup: Setup, cache_dir: str | None, reporter: Reporter) -> None:
    """After a request for rows, or several: where their images are still."""
    scenario = setup.experiment.scenario
    if scenario.name != "rows" and not getattr(scenario, "files", ()):
        return
    original = shared_directory(cache_dir) / digest(identities(setup).original)
    found = stored.copies(setup.dataset.marks, [original], cache_dir)
    if (file := original_file.file_of(setup.experiment)) is not None:
        reporter.say(f"the given original network {file} learned the forgotten images and stays")
    if found:
        reporter.say(
            f"the forgotten images are still in {', '.join(found)}: cache purge --request removes them"
        )


@_in_its_precision
def original_network(
    experiment: Resolved, cache_dir: str | None, reporter: Reporter
) -> tuple[Setup, Result]:
    """The original network of an experiment, trained or read back, and what it was trained on."""
    setup = prepared(experiment, cache_dir, reporter)
    identity, shared = identities(setup).original, shared_directory(cache_dir)
    return setup, trained(setup, "original", identity, shared, Renewal("nothing"), reporter)


def prepared(
    experiment: Resolved, cache_dir: str | None, reporter: Reporter, renewal: Renewal | None = None
) -> Setup:
    """What stands before the networks: the same in all processes of a run. `renewal` is about scores of examples."""
    setup = prepare(experiment, cache_dir, reporter, renewal)
    processes.same("configuration or data", lambda: digest([plain(experiment), *identities(setup)]))
    return setup


def cases_of(
    setup: Setup, workdir: Path, cache_dir: str | None, reporter: Reporter
) -> tuple[Setup, list[Case]]:
    """The networks of an experiment as they are found in `workdir` and in the cache; nothing is trained yet.

    Of a stream those after its last request, and what stands before them then.
    """
    shared, own = shared_directory(cache_dir), workdir / "checkpoints"
    networks = _Networks(setup, shared, own, Renewal("nothing"), reporter)
    cases = [networks.cases(each) for each in networks.setups]
    return networks.setups[-1], cases[-1]


class _Networks:
    """The networks of an experiment, made or read back when they are asked for."""

    def __init__(
        self,
        setup: Setup,
        shared: Path,
        own: Path,
        renewal: Renewal,
        reporter: Reporter,
        log: RunLog = NOTHING,
    ) -> None:
        self.shared, self.own, self.renewal, self.reporter = shared, own, renewal, reporter
        self.log = log
        self.setups = sequence.setups(setup)
        self.original = self._trained(setup, "original", identities(setup).original)
        self.references = cache(lambda: sequence.references(self.setups, shared, renewal, reporter))
        self.chain = sequence.Chain()
        # What was left by the last one alone is kept: what was left before can be read back.
        self.staged = lru_cache(maxsize=1)(self._staged)

    def cases(self, setup: Setup) -> list[Case]:
        """The original, the retrained reference where there is one, then one case a method."""
        experiment = setup.experiment
        names = identities(setup)
        code = network_code(setup, METHODS["retrain"])
        places = () if setup.given is not None else (self.shared / digest(names.original),)
        cases = [Case("original", "original", names.original, code, self.original, places)]
        if experiment.reference:
            reference = self._trained(setup, "retrain", names.retrain)
            place = (self.shared / digest(names.retrain),)
            case = Case("retrain", "retrain", names.retrain, code, reference, place)
            numbers = range(2, experiment.references + 1)
            others = tuple(partial(self._another, setup, names.retrain, n) for n in numbers)
            cases.append(case._replace(others=others))

        def stages(config: NamedConfig, after: NamedConfig) -> str:
            """What names the stages of a method with this section, where `after` has left what it goes on from."""
            method = build(thing_of(config), config, setup.model)
            return digest(names.stages(config, method.read_at_finish, after))

        stores: dict[str, tuple[str, Store]] = {}
        for label in experiment.methods:
            config = method_of(experiment, label)
            # Before anything is trained: what cannot be is an error at once.
            method = suited(experiment, label, setup.model, setup.sources)
            name = stages(config, config)
            # Configurations that differ in what `finish` reads share the stages of the first of them,
            first, store = stores.setdefault(
                name, (label, Store(self.own / f"{label}-{name}", name))
            )
            # and those that only go on where another one ends go on from there.
            begun = None
            if method.beginning is not None:
                _, begun = stores.get(stages(method.beginning, config), (None, None))
            make = partial(self._finished, setup, method, label, (first, store, begun))
            finished = self.chain.add(label, setup.number, make) if setup.number else make
            code = network_code(setup, thing_of(config))
            # A method without a stage leaves nothing of its own.
            its = (*places, store.directory) if method.plan(setup.asked) else places
            cases.append(Case("unlearn", label, names.unlearned(config), code, finished, its))
        return cases

    def _trained(self, setup: Setup, role: str, identity: Identity) -> Callable[[], Result]:
        def network() -> Result:
            if role == "retrain" and setup.number:
                self.references()
            log = self._following(self.setups[0] if role == "original" else setup, role, identity)
            return trained(setup, role, identity, self.shared, self.renewal, self.reporter, log)

        return cache(network)

    def _another(self, setup: Setup, retrain: Identity, number: int) -> Result:
        """One more retrained network; it is not kept in memory."""
        identity = another(retrain, number)
        where = (self.shared, self.renewal, self.reporter)
        return trained(setup, "retrain", identity, *where, number=number)

    def _following(self, setup: Setup, label: str, identity: Identity) -> list[Logger]:
        reference = identities(setup).retrain if setup.experiment.reference else None
        return following(self.log, setup, label, identity, reference)

    def _finished(
        self, setup: Setup, method: Method, label: str, place: tuple[str, Store, Store | None]
    ) -> Result:
        staged = self.staged(setup.number, *place)
        done = finish_run(method, setup.model, staged, setup.asked)
        if setup.number > 1 and done.certificate and not method.afresh:
            self.reporter.say(f"{label}: {sequence.UNPROVEN}")
            done = done._replace(certificate={})
        return done

    def _staged(self, number: int, label: str, store: Store, begun: Store | None) -> Staged:
        """The stages of a method, from where `begun` ends if that is there."""
        setup = self.setups[max(number - 1, 0)]
        config = method_of(setup.experiment, label)
        method = build(thing_of(config), config, setup.model)
        key = key_for(setup.seeds["method"], METHOD)
        if number > 1 and not method.afresh:
            start, key = self.chain.start(label, setup), jax.random.fold_in(key, number)
        else:
            start = self.original().variables
        before_training = None
        if method.with_initial is not None:
            initial_key = key_for(setup.seeds["initialisation"], ORIGINAL)
            before_training = initial(setup.model, setup.sources, key=initial_key)
        code, told = network_code(setup, thing_of(config)), about(setup, label)
        # A record names one set of versions: what others left is not gone on from.
        if begun is not None and not provenance.current(begun, code):
            begun = None
        provenance.attribute(store, label, code, self.renewal, self.reporter.say, told)
        log = self._following(setup, label, identities(setup).unlearned(config))
        with self.reporter.following(label) as progress:
            staged = run_stages(
                method,
                setup.model,
                start,
                setup.sources,
                setup.asked,
                key=key,
                initial=before_training,
                **stage_options(run_options(setup, progress, store=store, begun=begun, log=log)),
            )
        self.reporter.say(f"{label}: {spent(staged)}")
        return staged
