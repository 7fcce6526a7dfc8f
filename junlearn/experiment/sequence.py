"""Requests one after the other: each method goes on from the network that it left at the request before.

After request k a method's network is judged on all that was forgotten so far, beside a network that was retrained
without all of it. What a method reads is the request k alone, and of the rest what no request has deleted.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp

from junlearn.engine import checkpoint
from junlearn.engine.abreast import One, convolves_slowly
from junlearn.engine.checkpoint import Store
from junlearn.engine.position import Position
from junlearn.engine.run import Result
from junlearn.errors import ConfigError
from junlearn.experiment import provenance
from junlearn.experiment.identity import identities, network_code
from junlearn.experiment.locks import exclusive
from junlearn.experiment.progress import Reporter
from junlearn.experiment.provenance import Renewal
from junlearn.experiment.schema import digest
from junlearn.experiment.setup import Setup
from junlearn.experiment.training import about, training_key
from junlearn.many import train_each
from junlearn.methods import METHODS, build
from junlearn.types import Variables

__all__ = ["UNPROVEN", "Chain", "references", "setups", "title"]

UNPROVEN = "its proof is of one request to a network that was trained: from the second on nothing is certified"


def setups(setup: Setup) -> list[Setup]:
    """One for each request of a stream; of another experiment itself."""
    return [setup.at(number + 1) for number in range(len(setup.requests))] or [setup]


def title(setup: Setup) -> str:
    """Which request it is, in words."""
    new, left = len(setup.asked.forget), len(setup.asked.retain)
    return f"request {setup.number} of {len(setup.requests)}: {new:,} more to forget, {left:,} to retain"


class Chain:
    """What every method left, request after request: the last network is kept, an earlier one is read back."""

    def __init__(self) -> None:
        self._makers: dict[tuple[str, int], Callable[[], Result]] = {}
        self._kept: dict[str, tuple[int, Result]] = {}

    def add(self, label: str, number: int, make: Callable[[], Result]) -> Callable[[], Result]:
        """Say how the network after request `number` is made; returns what makes it once."""
        self._makers[label, number] = make
        return partial(self._result, label, number)

    def start(self, label: str, setup: Setup) -> Variables:
        """The network that a method goes on from. Raises ConfigError where it is not of the experiment's model."""
        left = self._result(label, setup.number - 1)
        if left.model is not setup.model:
            raise ConfigError(
                "with these settings it leaves another network than the one that it was given, and a second request "
                "cannot go on from that"
            )
        return left.variables

    def _result(self, label: str, number: int) -> Result:
        known, result = self._kept.get(label, (0, None))
        if result is None or known != number:
            result = self._makers[label, number]()
            self._kept[label] = number, result
        return result


def references(
    requests: Sequence[Setup], shared: Path, renewal: Renewal, reporter: Reporter
) -> None:
    """Train the retrained networks of a stream that are missing, and leave each where `trained` looks for it.

    They are trained side by side where that is as exact and as fast. Elsewhere nothing is done: `trained` makes one
    after the other. All of them are trained if one is missing, as the bits of a network depend on those beside it.
    """
    first = requests[0]
    if not _side_by_side(first):
        return
    names = [digest(identities(setup).retrain) for setup in requests]
    stores = [Store(shared / name, name) for name in names]
    with ExitStack() as held:
        # In one order in all processes: none waits for one that waits for it.
        for store in sorted(stores):
            held.enter_context(exclusive(store.directory, waiting=reporter.say))
        code = network_code(first, METHODS["retrain"])
        for setup, store in zip(requests, stores, strict=True):
            told = about(setup, "retrain")
            provenance.attribute(store, "retrain", code, renewal, lambda line: None, told)
        missing = {number for number, store in enumerate(stores) if not checkpoint.exists(store)}
        if not missing:
            return
        with reporter.counting(f"{len(requests)} retrained networks") as progress:
            ones = train_each(
                first.experiment.train,
                first.model,
                first.sources,
                [setup.split.retain for setup in requests],
                keys=[training_key(first, "retrain")] * len(requests),
                seeds=[first.seeds["order"]] * len(requests),
                views=first.dataset.views,
                how="vmap",
                loop=first.experiment.loop.kind,
                progress=progress,
            )
            for one in ones:
                if one.number in missing:
                    _keep(requests[one.number], stores[one.number], one)


def _side_by_side(setup: Setup) -> bool:
    """Whether `train_each` gives what `train` would, not slower."""
    if setup.mesh is not None or jax.process_count() > 1 or setup.experiment.train.keep != "last":
        return False
    example = setup.model.example(setup.sources)
    shapes = jax.eval_shape(setup.model.init, jax.random.key(0), example)
    return len(setup.requests) > 1 and not convolves_slowly(shapes.params)


def _keep(setup: Setup, store: Store, one: One) -> None:
    """Write a trained network as the end of a training, without the optimiser's numbers, which nothing reads then."""
    method = build("retrain", setup.experiment.train, setup.model)
    nothing = Variables({}, {})
    state = method.init(training_key(setup, "retrain"), nothing, setup.sources, setup.split)
    state = state._replace(variables=jax.tree.map(jnp.asarray, one.variables))
    steps: dict[str, int] = {}
    for entry in one.history:
        steps[entry["stage"]] = steps.get(entry["stage"], 0) + entry["steps"]
    total = sum(steps.values())
    position = Position(
        stage=len(method.plan(setup.split)),
        history=one.history,
        seconds={"compile": 0.0, "run": one.seconds, "evaluate": 0.0, "total": one.seconds},
        stages={name: one.seconds * count / total for name, count in steps.items()},
    )
    checkpoint.save(store, state, vars(position))
