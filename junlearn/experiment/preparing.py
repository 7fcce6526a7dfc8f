"""What stands before the networks of an experiment: the data are read, and the request is settled.

Most requests need the data alone. One that is chosen by scores of the examples needs these first, so the original
network or networks of their own (`junlearn.experiment.scoring`).
"""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, Mesh

from junlearn.engine import processes
from junlearn.engine.run import place
from junlearn.experiment import original_file, scoring
from junlearn.experiment.progress import Reporter
from junlearn.experiment.provenance import Renewal
from junlearn.experiment.resolved import NamedConfig, Resolved
from junlearn.experiment.schema import thing_of
from junlearn.experiment.scoring import Scored
from junlearn.experiment.setup import Setup, choose, read, seeds_of, within_memory
from junlearn.experiment.suited import suited
from junlearn.scenarios import remarks
from junlearn.scenarios.partition import so_far
from junlearn.train import everything
from junlearn.types import Dataset, Model, Split, Variables

__all__ = ["prepare"]


def prepare(
    experiment: Resolved,
    cache_dir: str | None,
    reporter: Reporter,
    renewal: Renewal | None = None,
    *,
    training: bool = True,
) -> Setup:
    """Read the data, build the network and choose what is forgotten; all processes of a run do it, or none.

    Scores that the request is chosen by are read back or, with `training`, computed; else others stand in for them, and
    that is said: of such a request the numbers of examples are right, and not the examples.
    """
    dataset, surrogate = processes.together(
        lambda: within_memory(lambda: read(experiment, cache_dir, reporter))
    )
    mesh = _mesh(experiment)
    scored = None
    if scoring.asked(experiment) is not None:
        before = processes.together(
            lambda: within_memory(lambda: _unsettled(experiment, dataset, surrogate, mesh))
        )
        scored = scoring.scored(
            before, cache_dir, reporter, renewal or Renewal("nothing"), training=training
        )
    return processes.together(
        lambda: within_memory(
            lambda: _settled(experiment, dataset, surrogate, mesh, scored, reporter)
        )
    )


def _mesh(experiment: Resolved) -> Mesh | None:
    if experiment.loop.devices == "all" and jax.device_count() > 1:
        return jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))
    return None


def _unsettled(
    experiment: Resolved, dataset: Dataset, surrogate: Dataset | None, mesh: Mesh | None
) -> Setup:
    """An experiment whose request is not known yet: nothing is forgotten.

    What of the request and of the methods is wrong whatever the scores are is an error here, before they are computed.
    """
    stand_in, _ = scoring.foreseen(experiment, dataset)
    _, _, model, _ = choose(experiment, dataset, stand_in)
    for label in experiment.methods:
        suited(experiment, label, model, dataset.sources)
    sources, request = place(dataset.sources, mesh), everything(dataset.sources)
    return Setup(
        *(experiment, dataset, model, request, sources, seeds_of(experiment), mesh, surrogate),
        given=_given(experiment, model, dataset, mesh),
    )


def _settled(
    experiment: Resolved,
    dataset: Dataset,
    surrogate: Dataset | None,
    mesh: Mesh | None,
    scored: Scored | None,
    reporter: Reporter,
) -> Setup:
    dataset, requests, model, seeds = choose(
        experiment, dataset, None if scored is None else scored.scores
    )
    split = so_far(requests)
    streams = thing_of(experiment.scenario).sequence is not None
    where = f" in {len(requests)} request{'s' * (len(requests) > 1)}" if streams else ""
    reporter.say(
        f"{dataset.name} {dataset.version}: {len(split.forget):,} training examples to forget{where}, "
        f"{len(split.retain):,} to retain"
    )
    for line in _remarks(experiment.scenario, dataset, surrogate, split, scored):
        reporter.say(line)
    sources = place(dataset.sources, mesh)
    chosen_by = "" if scored is None else scored.digest
    return Setup(
        *(experiment, dataset, model, split, sources, seeds, mesh, surrogate, chosen_by),
        given=_given(experiment, model, dataset, mesh),
        requests=requests if streams else (),
    )


def _given(
    experiment: Resolved, model: Model, dataset: Dataset, mesh: Mesh | None
) -> Variables | None:
    """The original network that comes from a file."""
    found = original_file.network(experiment, model, dataset.sources)
    return None if found is None else place(jax.tree.map(jnp.asarray, found), mesh)


def _remarks(
    scenario: NamedConfig,
    dataset: Dataset,
    surrogate: Dataset | None,
    split: Split,
    scored: Scored | None,
) -> Iterator[str]:
    """What a person should know of the data and of the request, a line each."""
    yield from remarks.meanings(scenario, dataset)
    yield from dataset.remarks
    if surrogate is not None:
        yield from (f"surrogate: {line}" for line in surrogate.remarks)
    if scored is None or scored.known:
        yield from remarks.twins(dataset, split)
    if scored is not None:
        yield from scored.remarks(split)
