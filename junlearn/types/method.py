"""An unlearning method: its stages, and the batches that they are fed."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from junlearn.types.aliases import Array, Key, Metrics, PyTree
from junlearn.types.data import Sources, Split
from junlearn.types.network import Variables

__all__ = [
    "Batch",
    "Feed",
    "Method",
    "Stage",
]


class Feed(NamedTuple):
    """One epoch of batches as indices: T steps of B rows, padded with `mask` False."""

    index: np.ndarray  # type: ignore[assignment]  # the name of a tuple method, kept for its meaning
    """int32[T,B] into the source."""
    mask: np.ndarray
    """bool[T,B]: False where a row only fills the batch."""
    source: str = "train"
    view: str = "eval"
    slot: np.ndarray | None = None
    """int32[T,B]: each row's place in a table that the method made once, where there is one. A row with a slot looks
    the same in every epoch: the view's randomness is keyed by slot and example instead of epoch and example."""


class Batch(NamedTuple):
    """What a step gets: normalised (augmented, triggered) images and their labels."""

    x: Array
    """float32[B,H,W,C]."""
    y: Array
    """int32[B]."""
    index: Array  # type: ignore[assignment]
    """int32[B] into the source."""
    mask: Array
    """bool[B]."""
    slot: Array | None = None
    """int32[B] where the feed has slots."""


class Stage(NamedTuple):
    """One phase of a method: a pure step and the data that it is fed."""

    name: str
    step: Callable[[PyTree, PyTree], tuple[PyTree, Metrics]]
    """`(state, batch) -> (state, metrics)`; `batch` has the shape of the feed's tree with a Batch at each Feed.
    A metric that is NaN or infinite ends the run as diverged, whatever it is called."""
    feed: Callable[[np.random.Generator, PyTree], PyTree]
    """`(rng, state) -> PyTree[Feed]`: one epoch, drawn on the host when the epoch starts. It may read of the
    state only what the steps of an epoch leave alone, so that a resumed epoch is drawn again the same."""
    epochs: int = 1
    until: Callable[[PyTree, Callable[..., dict[str, float]]], bool] | None = None
    """`(state, evaluate) -> bool`: True ends the stage. `evaluate(variables, indices, source="train")`
    gives `{"accuracy", "loss"}`."""
    check_every: int | None = None
    """Steps between two questions to `until`; None: at the end of every epoch."""
    begin: Callable[[PyTree, Sources], PyTree] | None = None
    """`(state, sources) -> state` on the host, before the first epoch: for what no compiled step can do, such as to
    make the state of another method. Tree, shapes and dtypes stay as they are."""


class Method(NamedTuple):
    """An unlearning algorithm: it never loops, logs, evaluates or saves; `junlearn.engine.run` does."""

    init: Callable[[Key, Variables, Sources, Split], PyTree]
    """`(key, variables, sources, split) -> State`; cheap: passes over the data are stages."""
    plan: Callable[[Split], list[Stage]]
    finish: Callable[[PyTree], Any]
    """`(state) -> Variables`, or `(Model, Variables)` where the network itself changed."""
    with_initial: Callable[[PyTree, Variables], PyTree] | None = None
    """`(state, initial) -> State`, between `init` and the first stage, of a method that needs the weights which the
    original's training began from; None: it does not."""
    with_pixel: Callable[[PyTree, Array, Array], PyTree] | None = None
    """`(state, black[1,1,1,C], white[1,1,1,C]) -> State`, before the first stage, of a method that moves images by so
    many parts of a pixel's range, or only within it: the network's input at a black and at a white pixel."""
    report: Callable[[PyTree], Mapping[str, Array]] | None = None
    """`(state) -> {name: number}`, after the last stage: what the method itself knows of its run and the record holds
    among the metrics, such as `sisa/repeated`."""
    idle: Callable[[Split], str] | None = None
    """`(split) -> text`: why these settings do nothing to any network on this request, empty where that is not known
    beforehand. It explains the line that tells that a method changed nothing."""
    certificate: Callable[[Split], Mapping[str, Any]] | None = None
    """`(split) -> {...}`: what a run of all stages guarantees, of a method with a proof; JSON can hold it. There are
    "mechanism" (a name), "epsilon" and "delta" (finite), and "assumed": a list of sentences, of what must hold and no
    code can check. Settings that meet no theorem are refused before the first stage, not run with a wrong claim."""
    read_at_finish: frozenset[str] = frozenset()
    """Fields of the Config that `finish` alone reads. Runs of the method that differ in no other field have the same
    stages, which an experiment carries out once for all of them."""
    afresh: bool = False
    """The networks are trained anew: nothing of the original's numbers is read. The second of several requests, one
    after the other, then begins with nothing either, and with the key of the first: what is drawn once stays."""
    beginning: Any | None = None
    """A Config of the same method with whose stages these settings begin, one for one; None: there is none. An
    experiment that has run it goes on from where it ended."""
    fits: Callable[[Variables, Array], None] | None = None
    """`(variables, x[1,H,W,C]) -> None`: raises ConfigError for a network that the method refuses, before anything is
    trained: the arrays of `variables` are shapes without numbers. `init` refuses it too, for who calls that alone."""
