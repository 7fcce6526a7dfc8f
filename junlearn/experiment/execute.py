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

from junlearn.engine import processes
from junlearn.engine.checkpoint import Store
from junlearn.engine.precision import matmuls
from junlearn.engine.run import Result, Staged, finish_run, run_stages
from junlearn.engine.settings import stage_options
from junlearn.experiment import provenance, request, stored
from junlearn.experiment.evaluate import Case, Outcome, evaluate_cases
from junlearn.experiment.identity import Identity, identities, network_code
from junlearn.experiment.locks import exclusive
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
from junlearn.experiment.training import about, shared_directory, spent, trained
from junlearn.files import replace
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
    fresh: Fresh = "nothing",
) -> Outcome:
    """Run the experiment in `workdir`. A method that fails does not keep those after it from running.

    The directory is made when the data have been read and every method made: a mistake leaves nothing behind. `fresh`
    says which networks and records are made anew although they are there.
    """
    renewal = Renewal(fresh)
    setup = prepared(experiment, cache_dir, reporter, renewal)
    cases = cases_of(setup, shared_directory(cache_dir), workdir / "checkpoints", renewal, reporter)
    with exclusive(workdir):
        text = json.dumps(plain(experiment), indent=2) + "\n"
        processes.first(lambda: replace(workdir / "config.json", text))
        section, data, split = experiment.scenario, setup.dataset, setup.split
        processes.first(lambda: request.write(section, data, split, workdir))
        outcome = evaluate_cases(setup, cases, workdir / "records.jsonl", renewal, reporter)
        processes.first(lambda: _tell_copies(setup, cache_dir, reporter))
        return outcome


def _tell_copies(setup: Setup, cache_dir: str | None, reporter: Reporter) -> None:
    """After a request for rows: where their images are still."""
    if setup.experiment.scenario.name != "rows":
        return
    original = shared_directory(cache_dir) / digest(identities(setup).original)
    if found := stored.copies(setup.dataset.fingerprint, [original], cache_dir):
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
    setup: Setup, shared: Path, own: Path, renewal: Renewal, reporter: Reporter
) -> list[Case]:
    """The original, the retrained reference where there is one, then one case a method; nothing is trained yet.

    Those of the first two are below `shared`, those of the methods below `own`.
    """
    experiment = setup.experiment
    names = identities(setup)

    def network(role: str, identity: Identity) -> Callable[[], Result]:
        return cache(lambda: trained(setup, role, identity, shared, renewal, reporter))

    def below(identity: Identity) -> Store:
        return Store(shared / digest(identity), digest(identity))

    original = network("original", names.original)
    code = network_code(setup, METHODS["retrain"])
    cases = [Case("original", "original", names.original, code, original, below(names.original))]
    if experiment.reference:
        reference = network("retrain", names.retrain)
        store = below(names.retrain)
        cases.append(Case("retrain", "retrain", names.retrain, code, reference, store))

    # What was left by the last one alone is kept: what was left before can be read back.
    @lru_cache(maxsize=1)
    def staged(label: str, store: Store, begun: Store | None) -> Staged:
        return _unlearn(setup, label, store, begun, original, renewal, reporter)

    def stages(config: NamedConfig) -> str:
        """What names the stages of a method with this section."""
        method = build(thing_of(config), config, setup.model)
        return digest(names.stages(config, method.read_at_finish))

    stores: dict[str, tuple[str, Store]] = {}
    for label in experiment.methods:
        config = method_of(experiment, label)
        # Built before anything is trained: a setting that cannot be is an error at once.
        method = build(thing_of(config), config, setup.model)
        name = stages(config)
        # Configurations that differ in what `finish` reads share the stages of the first of them,
        first, store = stores.setdefault(name, (label, Store(own / f"{label}-{name}", name)))
        # and those that only go on where another one ends go on from there.
        begun = None
        if method.beginning is not None:
            _, begun = stores.get(stages(method.beginning), (None, None))
        finished = partial(_finished, setup, method, partial(staged, first, store, begun))
        code = network_code(setup, thing_of(config))
        cases.append(Case("unlearn", label, names.unlearned(config), code, finished, store))
    return cases


def _finished(setup: Setup, method: Method, staged: Callable[[], Staged]) -> Result:
    return finish_run(method, setup.model, staged(), setup.split)


def _unlearn(
    setup: Setup,
    label: str,
    store: Store,
    begun: Store | None,
    original: Callable[[], Result],
    renewal: Renewal,
    reporter: Reporter,
) -> Staged:
    """The stages of a method, from where `begun` ends if that is there."""
    start = original().variables
    config = method_of(setup.experiment, label)
    method = build(thing_of(config), config, setup.model)
    before_training = None
    if method.with_initial is not None:
        key = key_for(setup.seeds["initialisation"], ORIGINAL)
        before_training = initial(setup.model, setup.sources, key=key)
    code, told = network_code(setup, thing_of(config)), about(setup, label)
    # A record names one set of versions: what others left is not gone on from.
    if begun is not None and not provenance.current(begun, code):
        begun = None
    provenance.attribute(store, label, code, renewal, reporter.say, told)
    with reporter.following(label) as progress:
        staged = run_stages(
            method,
            setup.model,
            start,
            setup.sources,
            setup.split,
            key=key_for(setup.seeds["method"], METHOD),
            initial=before_training,
            **stage_options(run_options(setup, progress, store=store, begun=begun)),
        )
    reporter.say(f"{label}: {spent(staged)}")
    return staged
