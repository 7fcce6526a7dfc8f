"""From networks to what the metrics read: logits and labels on every split."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from junlearn.engine import predict
from junlearn.engine.batches import view_of
from junlearn.metrics import COSTLY, Outputs
from junlearn.types import Model, Sources, Split, Variables, View

__all__ = ["ZRF_SPLITS", "clean", "labels", "outputs", "sample"]

ZRF_SPLITS = ("forget_train", "test")
"""All that metrics ask of an untrained network."""


class Place(NamedTuple):
    """Where the examples of a split are."""

    source: str
    rows: np.ndarray
    view: str


def outputs(
    model: Model,
    variables: Variables,
    sources: Sources,
    split: Split,
    views: Mapping[str, View],
    only: Sequence[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
    train_view: str = "eval",
    extra: Sequence[str] = (),
) -> Outputs:
    """Logits of one network on the splits named in `only` (None: all, of the costly ones those in `extra`), but the
    empty ones.

    Each example is computed once, also where splits share it. `progress(done, total)` counts the rows of a source.
    Training examples are seen through the view `train_view`, all others through "eval", unless a split is about what
    another view shows.
    """
    places = _places(sources, split, views, train_view)
    chosen = [n for n in places if n not in COSTLY or n in extra] if only is None else only
    wanted = {name: places[name] for name in places if name in chosen}
    logits = {}
    for source, view in dict.fromkeys((place.source, place.view) for place in wanted.values()):
        parts = {n: p.rows for n, p in wanted.items() if (p.source, p.view) == (source, view)}
        needed = np.unique(np.concatenate(list(parts.values())))
        found = predict.logits(
            model,
            variables,
            sources[source],
            needed,
            view=view_of(views, source, view),
            progress=progress,
        )
        for name, rows in parts.items():
            logits[name] = found[np.searchsorted(needed, rows)]
    return Outputs(logits)


def labels(sources: Sources, split: Split, views: Mapping[str, View]) -> dict[str, np.ndarray]:
    """The labels of the same rows: those that training sees, and the true ones where a split is about another view."""
    found = {}
    for name, place in _places(sources, split, views).items():
        data = sources[place.source]
        true = data.y if data.clean is None or place.view == "eval" else data.clean
        found[name] = np.asarray(true)[place.rows]
    return found


def clean(sources: Sources, split: Split, views: Mapping[str, View]) -> dict[str, np.ndarray]:
    """The true labels of the splits of "train", where a scenario put others in their place."""
    true = sources["train"].clean
    if true is None:
        return {}
    places = _places(sources, split, views)
    return {n: np.asarray(true)[p.rows] for n, p in places.items() if p.source == "train"}


def sample(split: Split, count: int | None = None) -> np.ndarray:
    """int[`count`]: where the sample D_s lies among the retain examples; None: as many as are forgotten."""
    order = np.argsort(split.retain)
    drawn = split.sample(len(split.forget) if count is None else count)
    return order[np.searchsorted(split.retain[order], drawn)]


def _places(
    sources: Sources, split: Split, views: Mapping[str, View], train_view: str = "eval"
) -> dict[str, Place]:
    """Where every split is that is not empty."""
    places = {
        "retain_train": Place("train", split.retain, train_view),
        "forget_train": Place("train", split.forget, train_view),
    }
    for source in ("test", "validation"):
        if source in sources:
            places[source] = Place(source, np.arange(sources[source].y.shape[0]), "eval")
    if "test" in sources:
        places["retain_test"] = Place("test", split.retain_test, "eval")
        places["forget_test"] = Place("test", split.forget_test, "eval")
    if split.manipulated is not None:
        unknown = np.setdiff1d(split.manipulated, split.forget)
        places["manipulated_train"] = Place("train", split.manipulated, train_view)
        places["unidentified_train"] = Place("train", unknown, train_view)
    if split.manipulated is not None and "triggered" in views:
        everything = np.arange(sources["train"].y.shape[0])
        places["manipulated_untriggered"] = Place("train", split.manipulated, "clean")
        places["train_untriggered"] = Place("train", everything, "clean")
        places["train_triggered"] = Place("train", everything, "triggered")
        if "test" in sources:
            places["test_triggered"] = places["test"]._replace(view="triggered")
    return {name: place for name, place in places.items() if len(place.rows)}
