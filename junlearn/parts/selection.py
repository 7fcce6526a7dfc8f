"""Which weights a run returns: the last ones, the best of those after each epoch, or the ones of the nearest error.

`keeping` of any method:

    (1)  a_e = accuracy, on all of a source and in eval mode, of the weights after epoch e = 1, 2, ..
    (2)  returned: the weights of the largest a_e, of several as large those of the smallest e

The weights that the run begins with are no candidate. Measuring is a stage of its own between two epochs, so a run that
is cut off goes on in it too; the epochs are then stages of their own as well, whose data are in another order than with
the last weights kept. `Rewind` is the other rule, of SCRUB+R.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from junlearn.errors import ConfigError
from junlearn.memo import remembered
from junlearn.parts import feeds
from junlearn.parts.trees import zeros
from junlearn.types import (
    Array,
    Batch,
    Feed,
    Key,
    Method,
    Metrics,
    Model,
    PyTree,
    Sources,
    Split,
    Stage,
    Variables,
)

__all__ = ["Keep", "Rewind", "Selection", "keeping", "wrong"]

Keep = Literal["last", "best_test", "best_validation"]
"""The last weights, or the best ones on the source "test" or "validation"."""


class Selection(NamedTuple):
    """The state of a method, and the best weights so far."""

    inner: PyTree
    best: Variables
    most: Array
    """int32[]: right answers of `best`; -1 before the first epoch has ended."""
    right: Array
    """int32[]: right answers of the weights that are being measured, so far."""
    seen: Array
    """int32[]: examples that they have been asked about."""
    examples: Array
    """int32[]: size of the source."""


class Rewind(NamedTuple):
    """The weights after each of E epochs; wanted are those whose error on D_f is nearest to that of the last ones on
    unseen examples.
    """

    snapshots: Variables
    """The weights after each epoch: a leading axis E on every array."""
    errors: Array
    """int32[E]: wrong answers on D_f after each epoch."""
    measured: Array
    """Rows of D_f passed so far, over all epochs."""
    unseen: Array
    """int32[2]: wrong answers of the last weights on the unseen examples, and how many there are."""

    @staticmethod
    def empty(variables: Variables, epochs: int) -> "Rewind":
        """Before the first epoch."""
        return Rewind(
            jax.tree.map(lambda a: jnp.zeros((epochs, *a.shape), a.dtype), variables),
            jnp.zeros(epochs, jnp.int32),
            jnp.zeros((), jnp.int32),
            jnp.zeros(2, jnp.int32),
        )

    def on_forget(
        self, variables: Variables, errors: Array, mask: Array, forgotten: int
    ) -> "Rewind":
        """After a batch of D_f, of `forgotten` rows in all, with so many wrong answers of the epoch's weights."""
        epoch = self.measured // forgotten
        return self._replace(
            snapshots=jax.tree.map(lambda a, b: a.at[epoch].set(b), self.snapshots, variables),
            errors=self.errors.at[epoch].add(errors),
            measured=self.measured + mask.sum(dtype=jnp.int32),
        )

    def on_unseen(self, errors: Array, mask: Array) -> "Rewind":
        """After a batch of unseen examples."""
        seen = jnp.stack([errors, mask.sum(dtype=jnp.int32)])
        return self._replace(unseen=self.unseen + seen)

    def nearest(self) -> Variables:
        """The weights of the nearest error, of several as near the latest."""
        epochs = self.errors.shape[0]
        wrong_unseen, unseen = self.unseen.astype(jnp.float32)
        # Times the size of both sets: whole numbers, so that equal distances are equal.
        distance = jnp.abs(self.errors * unseen - wrong_unseen * (self.measured // epochs))
        best = epochs - 1 - jnp.argmin(distance[::-1])
        return jax.tree.map(lambda stack: stack[best], self.snapshots)


def check_unseen(method: str, sources: Sources, split: Split) -> None:
    """Raises ConfigError where a rewind has no unseen examples like those of D_f to compare with."""
    if sources["train"].clean is not None:
        raise ConfigError(
            f"{method}: rewind compares with unseen examples like the forget set, and there are none of "
            "manipulated ones; set rewind to False"
        )
    if not len(split.forget_test) + len(split.retain_test):
        raise ConfigError(
            f"{method}: rewind compares with unseen examples: give a test set, or set rewind to False"
        )


def right(model: Model, variables: Variables, batch: Batch) -> Array:
    """int32[2]: how many rows of the batch the network answers rightly, in eval mode, and how many there are."""
    rows = batch.mask.sum(dtype=jnp.int32)
    return jnp.stack([rows - wrong(model, variables, batch), rows])


def wrong(model: Model, variables: Variables, batch: Batch) -> Array:
    """int32[]: how many rows of the batch the network answers wrongly in eval mode."""
    answers = model.apply(variables, batch.x)[0].argmax(-1)
    return ((answers != batch.y) & batch.mask).sum(dtype=jnp.int32)


def keeping(method: Method, model: Model, keep: Keep, batch_size: int) -> Method:
    """`method`, returning the weights that `keep` says; its state must have them as `variables`.

    The end of every epoch of every stage is a candidate. All that `method` asks for and reports (`Method.with_initial`,
    `with_pixel`, `report`) goes on as it was. A certificate does not: it is about the last weights. Raises ConfigError
    for a stage that may end early (`Stage.until`).
    """
    if keep == "last":
        return method
    source = keep.removeprefix("best_")

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> Selection:
        if source not in sources or not len(sources[source].y):
            hint = "; set validation = ... in the experiment" if source == "validation" else ""
            raise ConfigError(
                f'keep="{keep}" measures on the source "{source}", and there is none{hint}'
            )
        inner = method.init(key, variables, sources, split)
        most, total, seen = (jnp.full((), start, jnp.int32) for start in (-1, 0, 0))
        examples = jnp.full((), len(sources[source].y), jnp.int32)
        best = zeros(inner.variables)
        return Selection(inner, best, most, total, seen, examples)

    def measure(state: Selection, batch: Batch) -> tuple[Selection, Metrics]:
        correct, rows = right(model, state.inner.variables, batch)
        total, seen = state.right + correct, state.seen + rows
        ends = seen == state.examples
        better = ends & (total > state.most)  # (2)
        state = Selection(
            state.inner,
            jax.tree.map(lambda a, b: jnp.where(better, a, b), state.inner.variables, state.best),
            jnp.where(better, total, state.most),
            jnp.where(ends, 0, total),
            jnp.where(ends, 0, seen),
            state.examples,
        )
        return state, {"correct": correct}

    def measure_feed(rng: np.random.Generator, state: Selection) -> Feed:
        return feeds.sequential(np.arange(int(state.examples)), batch_size, source=source)

    def plan(split: Split) -> list[Stage]:
        stages = []
        for stage in method.plan(split):
            if stage.until is not None:
                raise ConfigError(
                    f'keep="{keep}" counts whole epochs, and stage {stage.name!r} may end early: use keep="last"'
                )
            step = _lift(stage.step)
            for epoch in range(stage.epochs):
                name = f"{stage.name} {epoch}" if stage.epochs > 1 else stage.name
                begin = _on_inner(stage.begin) if stage.begin and not epoch else None
                stages.append(Stage(name, step, _inner_feed(stage), begin=begin))
                stages.append(Stage(f"measure {name}", measure, measure_feed))
        return stages

    def chosen(state: Selection) -> PyTree:
        return state.inner._replace(variables=state.best)

    hooks = method._replace(
        with_initial=method.with_initial and _on_inner(method.with_initial),
        with_pixel=method.with_pixel and _on_inner(method.with_pixel),
        certificate=None,
        report=method.report and (lambda state: method.report(chosen(state))),  # type: ignore[misc]
    )
    return hooks._replace(init=init, plan=plan, finish=lambda state: method.finish(chosen(state)))


def _on_inner(hook: Callable[..., PyTree]) -> Callable[..., Selection]:
    """A hook of the method on its own part of the state."""
    return lambda state, *given: state._replace(inner=hook(state.inner, *given))


@remembered
def _lift(step: Callable) -> Callable[[Selection, PyTree], tuple[Selection, Metrics]]:
    """A step of the method as a step beside the best weights."""

    def lifted(state: Selection, batch: PyTree) -> tuple[Selection, Metrics]:
        inner, metrics = step(state.inner, batch)
        return state._replace(inner=inner), metrics

    return lifted


def _inner_feed(stage: Stage) -> Callable[[np.random.Generator, Selection], PyTree]:
    return lambda rng, state: stage.feed(rng, state.inner)
