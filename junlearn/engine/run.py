"""The only loop: it feeds the stages of a method, and keeps time, progress and checkpoints.

A run is a pure function of its arguments. Data order comes from `np.random.default_rng((seed, stage, epoch))`, the
randomness of augmentation from `(key, stage, epoch, example)` (or `(key, slot, example)` in a feed with slots), that of
the method from the key in its own state, so a run that is cut off goes on from its last snapshot to the same result,
bit for bit.
"""

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple, Unpack

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from junlearn.engine import checkpoint, compiling, interrupts, processes
from junlearn.engine.batches import PLAIN_VIEWS, Rows, Spec, pixel_range, specify, view_of
from junlearn.engine.finite import check_networks
from junlearn.engine.inputs.arrays import kind_of
from junlearn.engine.inputs.networks import check_images, check_model
from junlearn.engine.inputs.options import run_options
from junlearn.engine.inputs.sources import sources_of
from junlearn.engine.inputs.splits import check_rows
from junlearn.engine.position import Position, read_position
from junlearn.engine.predict import evaluate_accuracy
from junlearn.engine.program import Clock, Epoch, Program, program_of
from junlearn.engine.run_result import Result
from junlearn.engine.settings import Placement, Progress, RunOptions, Snapshots, stage_options
from junlearn.errors import ConfigError
from junlearn.logs.logger import Logger
from junlearn.logs.safely import Listeners
from junlearn.parts import feeds
from junlearn.types import (
    Key,
    Method,
    Model,
    PyTree,
    Sources,
    Split,
    Stage,
    Variables,
    View,
)

__all__ = ["Result", "Staged", "begin", "finish_run", "place", "run", "run_stages"]

CHEAP_SECONDS = 1.0
"""Work that is worth a snapshot when a signal ends the run."""


class Staged(NamedTuple):
    """What the stages of a method leave: all that is there before `finish`."""

    state: PyTree
    history: list[dict[str, Any]]
    seconds: dict[str, float]
    stages: dict[str, float]


def place(tree: PyTree, mesh: Mesh | None) -> PyTree:
    """Copies of the arrays on the device, on every device of `mesh` where there is one."""
    if mesh is None:
        # Nothing is compiled for a copy on the device; arrays of several processes cannot be copied so.
        return jax.device_put(tree, may_alias=False)
    return processes.everywhere(jax.tree.map(jnp.array, tree), mesh)


def run(
    method: Method,
    model: Model,
    variables: Variables,
    sources: Sources,
    split: Split,
    *,
    key: Key,
    **options: Unpack[RunOptions],
) -> Result:
    """Run all stages of `method` from `variables`, and finish.

    `options` are `seed`, `initial`, `views`, `progress` and `log` of `run_stages`, and the fields of its `placement`
    (`loop`, `mesh`) and of its `snapshots` (`store`, `begun`, `save_seconds`). `log` may be a single logger, too.

    Arrays are converted as by `junlearn.train`. Raises as `run_stages` does, and ConfigError for arguments of another
    kind, columns of other lengths, images of another shape than the model's, and rows out of range. What only a network
    could read, pixels and the range of labels, is not looked at.
    """
    if not isinstance(method, Method):
        raise ConfigError(
            f"run: a Method is wanted, not {kind_of(method)}: junlearn.unlearn takes names"
        )
    check_model(model)
    checked = run_options({"key": key, **options})
    # A network that says nothing of its input may take vectors, too.
    images = model.input_shape is not None
    sources = sources_of(sources, "sources", values=False, images=images)
    if images:
        check_images(model, sources, checked.get("views"), "sources")
    split = check_rows(sources, split)
    variables = Variables.from_linen(variables)
    staged = run_stages(method, model, variables, sources, split, **stage_options(checked))
    return finish_run(method, model, staged, split)


def finish_run(method: Method, model: Model, staged: Staged, split: Split) -> Result:
    """`method.finish` after its stages. The state is left as it is: other variants may finish from it too.

    Raises DivergedError where the finished network has numbers that are not finite.
    """
    finished = method.finish(staged.state)
    if not isinstance(finished, Variables):
        model, finished = finished
    check_networks(finished, "the finished network")
    said = {} if method.report is None else method.report(staged.state)
    return Result(
        model,
        jax.block_until_ready(finished),
        staged.history,
        staged.seconds,
        staged.stages,
        {name: float(value) for name, value in said.items()},
        {} if method.certificate is None else dict(method.certificate(split)),
    )


def run_stages(
    method: Method,
    model: Model,
    variables: Variables,
    sources: Sources,
    split: Split,
    *,
    key: Key,
    placement: Placement,
    snapshots: Snapshots,
    seed: int = 0,
    initial: Variables | None = None,
    views: Mapping[str, View] | None = None,
    progress: Progress | None = None,
    log: Sequence[Logger] = (),
) -> Staged:
    """Run all stages of `method` from `variables`.

    `key` feeds the method and the augmentation, `seed` the data order. `placement` and `snapshots` say how the run is
    carried out, and change nothing of its result but the rounding. `initial` are the weights that the training of
    `variables` began from; few methods ask for them (`Method.with_initial`), the others pass over them. `views` default
    to scaling uint8 to [0, 1]. Every logger in `log` is told of each epoch as it ends, by the first process alone; of
    epochs before an interruption it is not told again, and one that fails is left out. When the command line
    handles a signal, the run saves a snapshot at the next look of the host and ends with Interrupted.

    Raises ConfigError when the method needs `initial` and it is not given, DivergedError when a metric of a step, or a
    network in the state at the end of a stage, is NaN or infinite, CheckpointError as `engine.checkpoint` does.
    """
    began = saved = time.perf_counter()
    mesh, store = placement.mesh, snapshots.store
    views = views or PLAIN_VIEWS
    key, view_key = jax.random.split(key)
    # Sources that are on the device already are not copied.
    sources = processes.everywhere(jax.tree.map(jnp.asarray, sources), mesh)
    state = begin(method, key, variables, sources, split, initial=initial, views=views)
    # The state is donated to every step: its arrays must be its own, and no two of them the same.
    state = place(state, mesh)
    stages = method.plan(split)
    # Beside the keys of the stages: that of all slots.
    frozen_key = jax.random.fold_in(view_key, len(stages))
    position = Position()
    for kept in (store, snapshots.begun):
        if kept is not None and (found := checkpoint.restore(kept, state)) is not None:
            state, position = found[0], read_position(found[1], kept)
            break
    earlier = position.seconds["total"]

    def evaluate(
        variables: Variables, indices: np.ndarray, source: str = "train"
    ) -> dict[str, float]:
        return evaluate_accuracy(model, variables, sources, indices, source, views=views)

    program: Program | None = None
    clocks: dict[Program, Clock] = {}
    rows: Rows | None = None
    listeners = Listeners(log if processes.is_first() else ())
    with interrupts.held():
        while position.stage < len(stages):
            stage, epoch = stages[position.stage], position.epoch
            if rows is None:
                if stage.begin is not None and (epoch, position.step) == (0, 0):
                    state = place(stage.begin(state, sources), mesh)
                spec, rows = _draw(stage, seed, position, state, mesh)
                program = program_of(stage.step, spec, spec.shown(views), mesh, placement.scans)
                clock = clocks.setdefault(program, Clock(position.seconds))
                epoch_key = jax.random.fold_in(
                    jax.random.fold_in(view_key, position.stage), position.epoch
                )
                steps = rows[0][0].shape[0]
            assert program is not None
            limit = min(steps, _next_check(position.step, stage))
            before = position.seconds["run"]
            state, metrics, count = program.advance(
                state,
                Epoch(sources, rows, (epoch_key, frozen_key)),
                position.step,
                limit,
                where=f"stage {stage.name!r}, epoch {position.epoch}",
                clock=clock,
            )
            position.add(metrics, count)
            took = position.seconds["run"] - before
            position.stages[stage.name] = position.stages.get(stage.name, 0.0) + took
            if progress is not None:
                last = {name: float(values[-1]) for name, values in metrics.items()}
                done = position.epoch * steps + position.step
                progress(stage.name, done, stage.epochs * steps, last)

            epoch_ends = position.step == steps
            stops = False
            if stage.until is not None and (epoch_ends or position.step == limit):
                asked = time.perf_counter()
                with compiling.measured() as compilation:
                    stops = stage.until(state, evaluate)
                looked = time.perf_counter() - asked
                compiled = min(compilation.seconds, looked)
                position.seconds["compile"] += compiled
                position.seconds["evaluate"] += looked - compiled
            if epoch_ends or stops:
                position.close_epoch(stage.name)
                listeners.epoch(position.history)
                rows = None
            if stops or position.epoch == stage.epochs:
                check_networks(state, f"end of stage {stage.name!r}")
                position.stage, position.epoch = position.stage + 1, 0
            now = time.perf_counter()
            # All processes save and stop, or none: as the clock of the first one and its signals say.
            stopped = processes.first(interrupts.pending)
            patience = snapshots.save_seconds
            if stopped:
                patience = min(CHEAP_SECONDS, patience)
            due = processes.first(lambda: now - saved >= patience)  # noqa: B023
            if position.stage == len(stages) or due:
                position.seconds["total"] = earlier + now - began
                if store is not None:
                    checkpoint.save(store, state, asdict(position))
                saved = time.perf_counter()
            if stopped:
                raise interrupts.Interrupted(stopped, f"stage {stage.name!r}, epoch {epoch}")
    if not stages:
        position.seconds["total"] = time.perf_counter() - began

    return Staged(state, position.history, position.seconds, position.stages)


def begin(
    method: Method,
    key: Key,
    variables: Variables,
    sources: Sources,
    split: Split,
    *,
    initial: Variables | None,
    views: Mapping[str, View],
) -> PyTree:
    """The state before the first stage. Raises ConfigError when the method needs `initial` and it is not given."""
    state = method.init(key, variables, sources, split)
    if method.with_initial is not None:
        if initial is None:
            raise ConfigError(
                "this method needs the weights that the original's training began from: pass initial=..., "
                "or choose a variant that does without them"
            )
        state = method.with_initial(state, initial)
    if method.with_pixel is not None:
        shown = pixel_range(sources["train"], view_of(views, "train", "eval"))
        state = method.with_pixel(state, *shown)
    return state


def _draw(
    stage: Stage, seed: int, position: Position, state: PyTree, mesh: Mesh | None
) -> tuple[Spec, Rows]:
    """The feed of the current epoch, its batches a multiple of the number of devices."""
    rng = np.random.default_rng((seed, position.stage, position.epoch))
    devices = 1 if mesh is None else mesh.size
    tree = jax.tree.map(
        lambda feed: feeds.pad_rows(feed, devices), stage.feed(rng, state), is_leaf=feeds.is_feed
    )
    return specify(tree)


def _next_check(step: int, stage: Stage) -> int:
    """The first step after `step` at which the stage's `until` is asked within the epoch."""
    if stage.until is None or stage.check_every is None:
        return sys.maxsize
    return (step // stage.check_every + 1) * stage.check_every
