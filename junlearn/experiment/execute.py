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
from junlearn.engine.run import Result, Staged, finish_run, run_stages
from junlearn.engine.settings import stage_options
from junlearn.experiment import original_file, provenance, request, stored
from junlearn.experiment.evaluate import Case, Outcome, evaluate_cases
from junlearn.experiment.identity import Identity, identities, network_code
from junlearn.experiment.locks import exclusive
from junlearn.experiment.progress import Reporter
from junlearn.experiment.provenance import Fresh, Renewal
from junlearn.experiment.records import SECONDS
from junlearn.experiment.resolved import NamedConfig, Resolved, method_of
from junlearn.experiment.schema import digest, plain, thing_of
from junlearn.experiment.setup import (
    METHOD,
    ORIGINAL,
    RETRAIN,
    Setup,
    key_for,
    prepare,
    run_options,
)
from junlearn.files import replace
from junlearn.methods import METHODS, build
from junlearn.train import everything, initial, train
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
    setup = prepared(experiment, cache_dir, reporter)
    renewal = Renewal(fresh)
    cases = _cases(setup, workdir, cache_dir, renewal, reporter)
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
    original = _shared(cache_dir) / digest(identities(setup).original)
    found = stored.copies(setup.dataset.fingerprint, [original], cache_dir)
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
    if setup.given is not None:
        return setup, _as_given(setup)
    identity, shared = identities(setup).original, _shared(cache_dir)
    return setup, _train(setup, "original", identity, shared, Renewal("nothing"), reporter)


def prepared(experiment: Resolved, cache_dir: str | None, reporter: Reporter) -> Setup:
    """What stands before any network is trained: the same in all processes of a run."""
    setup = prepare(experiment, cache_dir, reporter)
    processes.same("configuration or data", lambda: digest([plain(experiment), *identities(setup)]))
    return setup


def _shared(cache_dir: str | None) -> Path:
    """Where networks are that all runs share."""
    return dataset_cache_dir(cache_dir).parent / "models"


def cases_of(
    experiment: Resolved, workdir: Path, cache_dir: str | None, reporter: Reporter
) -> tuple[Setup, list[Case]]:
    """The networks of an experiment as they are found in `workdir` and in the cache; nothing is trained yet."""
    setup = prepared(experiment, cache_dir, reporter)
    return setup, _cases(setup, workdir, cache_dir, Renewal("nothing"), reporter)


def _cases(
    setup: Setup, workdir: Path, cache_dir: str | None, renewal: Renewal, reporter: Reporter
) -> list[Case]:
    """The original, the retrained reference where there is one, then one case a method."""
    experiment, shared, own = setup.experiment, _shared(cache_dir), workdir / "checkpoints"
    names = identities(setup)

    def trained(role: str, identity: Identity) -> Callable[[], Result]:
        return cache(lambda: _train(setup, role, identity, shared, renewal, reporter))

    original = trained("original", names.original)
    places: tuple[Path, ...] = (shared / digest(names.original),)
    if setup.given is not None:
        original, places = cache(lambda: _as_given(setup)), ()
    code = network_code(setup, METHODS["retrain"])
    cases = [Case("original", "original", names.original, code, original, places)]
    if experiment.reference:
        reference = trained("retrain", names.retrain)
        own_place = (shared / digest(names.retrain),)
        cases.append(Case("retrain", "retrain", names.retrain, code, reference, own_place))

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
        original_file.check_method(experiment, label, method)
        name = stages(config)
        # Configurations that differ in what `finish` reads share the stages of the first of them,
        first, store = stores.setdefault(name, (label, Store(own / f"{label}-{name}", name)))
        # and those that only go on where another one ends go on from there.
        begun = None
        if method.beginning is not None:
            _, begun = stores.get(stages(method.beginning), (None, None))
        finished = partial(_finished, setup, method, partial(staged, first, store, begun))
        code = network_code(setup, thing_of(config))
        # A method without a stage leaves nothing of its own.
        its = (*places, store.directory) if method.plan(setup.split) else places
        cases.append(Case("unlearn", label, names.unlearned(config), code, finished, its))
    return cases


def _finished(setup: Setup, method: Method, staged: Callable[[], Staged]) -> Result:
    return finish_run(method, setup.model, staged())


def _about(setup: Setup, label: str) -> dict[str, str]:
    """What tells a person, and `cache`, which network lies in a directory."""
    dataset = setup.dataset
    role = label if label in ("original", "retrain") else "unlearn"
    about = {"role": role, "label": label, "dataset": dataset.name}
    return about | {"fingerprint": dataset.fingerprint}


def _train(
    setup: Setup,
    role: str,
    identity: Identity,
    shared: Path,
    renewal: Renewal,
    reporter: Reporter,
) -> Result:
    """The original or the retrained network, trained or read back; two runs that want the same one take turns."""
    other = role == "retrain" and setup.experiment.retrain_init == "other"
    store = Store(shared / digest(identity), digest(identity))
    split = setup.split if role == "retrain" else everything(setup.sources)
    with exclusive(store.directory, waiting=reporter.say), reporter.following(role) as progress:
        code, about = network_code(setup, METHODS["retrain"]), _about(setup, role)
        provenance.attribute(store, role, code, renewal, reporter.say, about)
        result = train(
            setup.experiment.train,
            setup.model,
            setup.sources,
            split,
            key=key_for(setup.seeds["initialisation"], RETRAIN if other else ORIGINAL),
            **run_options(setup, progress, store=store),
        )
    reporter.say(f"{role}: {_spent(result)}")
    return result


def _as_given(setup: Setup) -> Result:
    """The original network from a file, which cost no time."""
    assert setup.given is not None
    return Result(setup.model, setup.given, [], dict.fromkeys(SECONDS, 0.0), {}, {})


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
    code, about = network_code(setup, thing_of(config)), _about(setup, label)
    # A record names one set of versions: what others left is not gone on from.
    if begun is not None and not provenance.current(begun, code):
        begun = None
    provenance.attribute(store, label, code, renewal, reporter.say, about)
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
    reporter.say(f"{label}: {_spent(staged)}")
    return staged


def _spent(result: Result | Staged) -> str:
    seconds = result.seconds
    return f"{seconds['run']:.1f} s in steps, {seconds['compile']:.1f} s compiling"
