"""Scores that a request is chosen by: found in the cache, or computed and kept there.

scores/HASH/scores.npz    a file of example scores (`junlearn.parts.example_scores`)

HASH is the digest of all that determines them: the score and its settings, the data, the model and the recipe of the
original network, and where they are of this network, its seeds and the scenario's. They are made once.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, cast

import jax
import numpy as np

from junlearn import files
from junlearn.datasets.cache import dataset_cache_dir
from junlearn.engine import processes
from junlearn.engine.code_digest import code_digest
from junlearn.engine.run import place
from junlearn.errors import ConfigError, DataError
from junlearn.experiment import provenance
from junlearn.experiment.identity import Identity, identities
from junlearn.experiment.locks import exclusive
from junlearn.experiment.progress import Reporter
from junlearn.experiment.provenance import Provenance, Renewal
from junlearn.experiment.resolved import Resolved
from junlearn.experiment.schema import digest, thing_of
from junlearn.experiment.setup import ORIGINAL, Setup, key_for, run_options
from junlearn.experiment.stored import SCORES
from junlearn.experiment.training import shared_directory, trained
from junlearn.hardness import entanglement
from junlearn.hardness import scored as kinds
from junlearn.hardness.scored import Ground
from junlearn.parts import example_scores
from junlearn.parts.example_scores import ExampleScores
from junlearn.plugins.source import module_name
from junlearn.types import Dataset, Scoring, Sources, Split, Variables

__all__ = ["Scored", "asked", "foreseen", "scored"]

FORMAT = 1
SEEDS = ("order", "initialisation")
"""Parts of the original network's identity that scores of other networks do not depend on."""


class Scored(NamedTuple):
    """The scores of an experiment's training examples."""

    scores: np.ndarray
    """float64[N]."""
    digest: str
    """Of all that determines them."""
    known: bool
    """Whether these are the scores, or others that stand in for them."""
    remarks: Callable[[Split], Iterator[str]]
    """What a person should know of a request by them, a line each."""


def asked(experiment: Resolved) -> Scoring | None:
    """The scores that the scenario of an experiment chooses by; None where it does not."""
    scenario = thing_of(experiment.scenario)
    return None if scenario.scoring is None else scenario.scoring(experiment.scenario)


def foreseen(experiment: Resolved, dataset: Dataset) -> tuple[np.ndarray, str]:
    """Scores that can stand in for those that are not there yet, and a line on these; of a file the scores in it.

    Raises ConfigError where it is known already that the scores cannot be had.
    """
    wanted = cast(Scoring, asked(experiment))
    if wanted.kind == "file":
        return _of_file(wanted, dataset).scores, ""
    kinds.check(wanted, dataset.sources)
    line = (
        f"scenario {experiment.scenario.name}: which examples are forgotten is known with their scores alone "
        f"({wanted.kind}, of {kinds.cost(wanted)})"
    )
    return np.linspace(0, 1, dataset.sources["train"].y.shape[0]), line


def scored(
    setup: Setup, cache_dir: str | None, reporter: Reporter, renewal: Renewal, *, training: bool
) -> Scored:
    """The scores for an experiment whose request is not settled; without `training` others may stand in for them."""
    experiment, dataset = setup.experiment, setup.dataset
    wanted = cast(Scoring, asked(experiment))
    if wanted.kind == "file":
        given = _of_file(wanted, dataset)
        return Scored(given.scores, files.array_digest(given.scores), True, _nothing)
    kinds.check(wanted, dataset.sources)
    identity = _identity(setup, wanted)
    directory = dataset_cache_dir(cache_dir).parent / "scores" / digest(identity)

    @cache
    def original() -> Variables:
        network = trained(
            *(setup, "original", identities(setup).original),
            *(shared_directory(cache_dir), renewal, reporter),
        ).variables
        return network if setup.mesh is None else jax.device_get(network)

    remarks = _entanglement(setup, original) if wanted.kind == "distance" else _nothing
    if not training:
        found = processes.first(lambda: _read(directory, dataset, reporter))
        if found is not None:
            return Scored(found.scores, digest(identity), True, _nothing)
        stand_in, line = foreseen(experiment, dataset)
        return Scored(stand_in, digest(identity), False, lambda split: iter([line]))
    with exclusive(directory, waiting=reporter.say):
        code = _code(setup)
        found = processes.first(lambda: _read(directory, dataset, reporter))
        if renewal.due(directory, found is not None and not _differences(found, code)):
            found = None
        if found is None:
            found = _made(setup, wanted, identity, directory, original, code, reporter)
        else:
            said = _differences(found, code)
            reporter.say(
                f"scores ({wanted.kind}) kept{f', of {said}' if said else ''}: {directory / SCORES}"
            )
    return Scored(found.scores, digest(identity), True, remarks)


def _entanglement(
    setup: Setup, original: Callable[[], Variables]
) -> Callable[[Split], Iterator[str]]:
    """A line with the entanglement score of a request, by the original network."""

    def remarks(split: Split) -> Iterator[str]:
        embedded = entanglement.embeddings(
            setup.model, original(), _on_one(setup), view=setup.dataset.views["eval"]
        )
        value = entanglement.score(embedded[split.retain], embedded[split.forget])
        yield f"entanglement score of the request (ES): {value:.3g}"

    return remarks


def _nothing(split: Split) -> Iterator[str]:
    return iter(())


def _made(
    setup: Setup,
    wanted: Scoring,
    identity: Identity,
    directory: Path,
    original: Callable[[], Variables],
    code: dict[str, str],
    reporter: Reporter,
) -> ExampleScores:
    """The scores, computed and written."""
    if jax.process_count() > 1:
        raise ConfigError(
            f"scenario {setup.experiment.scenario.name}: its scores are made by one process: run once with "
            "loop.distributed = false, and then with several"
        )
    began = time.perf_counter()
    with reporter.counting(f"scores ({wanted.kind})") as progress:
        options = run_options(setup._replace(mesh=None))
        ground = Ground(
            setup.model,
            _on_one(setup),
            setup.experiment.train,
            key_for(setup.seeds["initialisation"], ORIGINAL),
            setup.seeds["scenario"],
            options,
            original,
            progress,
        )
        scores = kinds.compute(wanted, ground)
    about = {
        "dataset": setup.dataset.name,
        "identity": identity,
        "made": provenance.now(code),
    }
    made = ExampleScores(scores, setup.dataset.fingerprint, wanted.kind, about)
    example_scores.save(directory / SCORES, made)
    took = time.perf_counter() - began
    reporter.say(
        f"scores ({wanted.kind}) of {kinds.cost(wanted)}, {took:.1f} s: {directory / SCORES}"
    )
    return made


def _on_one(setup: Setup) -> Sources:
    """The data on one device."""
    return setup.sources if setup.mesh is None else place(setup.dataset.sources, None)


def _identity(setup: Setup, wanted: Scoring) -> Identity:
    """All that determines the scores, but versions, code and device."""
    original = identities(setup).original
    if kinds.score_of(wanted).of == "ensemble":
        original = {name: value for name, value in original.items() if name not in SEEDS}
    else:
        original = original | {"scenario_seed": setup.seeds["scenario"]}
    return {"scores": FORMAT, "kind": wanted.kind, "settings": dict(wanted.settings)} | original


def _code(setup: Setup) -> dict[str, str]:
    """The digest of the code that makes scores."""
    model = module_name(thing_of(setup.experiment.model))
    return {"scores": code_digest([kinds.__name__, model])}


def _differences(found: ExampleScores, code: dict[str, str]) -> str:
    """In what the scores' making differs from what runs now; else empty."""
    return provenance.differences(cast(Provenance, found.about["made"]), code)


def _of_file(wanted: Scoring, dataset: Dataset) -> ExampleScores:
    """Scores of a file of somebody's own."""
    path = wanted.settings["path"]
    given = example_scores.load(path)
    size = dataset.sources["train"].y.shape[0]
    example_scores.check(given, size, dataset.fingerprint, f"scenario.scores {path}")
    return given


def _read(directory: Path, dataset: Dataset, reporter: Reporter) -> ExampleScores | None:
    """The scores in the cache; None where there are none, or the file is damaged: that is said, and it is put aside."""
    path = directory / SCORES
    if not path.exists():
        return None
    try:
        found = example_scores.load(path)
        about: Any = found.about
        if "made" not in about or digest(about.get("identity")) != directory.name:
            raise DataError(f"{path} belongs to other scores")
        return found
    except DataError as error:
        with suppress(FileNotFoundError):  # Another process has put it aside.
            aside = files.keep_damaged(path)
            reporter.say(
                f"scores: {error}; they are made again, the file as it was is {aside.name}"
            )
        return None
