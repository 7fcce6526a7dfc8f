"""From networks to what the metrics read: logits and labels on every split."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from junlearn import evaluation
from junlearn.metrics import Outputs
from junlearn.types import Model, Sources, Split, Variables, View

__all__ = ["ZRF_SPLITS", "clean", "labels", "outputs", "sample"]

ZRF_SPLITS = ("forget_train", "test")
"""All that metrics ask of an untrained network."""


def outputs(
    model: Model,
    variables: Variables,
    sources: Sources,
    split: Split,
    views: Mapping[str, View],
    only: Sequence[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
    train_view: str = "eval",
) -> Outputs:
    """Logits of one network on the splits named in `only` (None: all) that are not empty.

    Each example is computed once, also where splits share it. `progress(done, total)` counts the rows of a source.
    Training examples are seen through the view `train_view`, all others through "eval".
    """
    places = _places(sources, split)
    wanted = {name: places[name] for name in places if only is None or name in only}
    logits = {}
    for source in dict.fromkeys(source for source, _ in wanted.values()):
        parts = {name: rows for name, (where, rows) in wanted.items() if where == source}
        needed = np.unique(np.concatenate(list(parts.values())))
        found = evaluation.logits(
            model,
            variables,
            sources[source],
            needed,
            view=views[train_view if source == "train" else "eval"],
            progress=progress,
        )
        for name, rows in parts.items():
            logits[name] = found[np.searchsorted(needed, rows)]
    return Outputs(logits)


def labels(sources: Sources, split: Split) -> dict[str, np.ndarray]:
    """The labels of the same rows."""
    return {
        name: np.asarray(sources[source].y)[rows]
        for name, (source, rows) in _places(sources, split).items()
    }


def clean(sources: Sources, split: Split) -> dict[str, np.ndarray]:
    """The true labels of the splits of "train", where a scenario put others in their place."""
    true = sources["train"].clean
    if true is None:
        return {}
    places = _places(sources, split)
    return {n: np.asarray(true)[rows] for n, (source, rows) in places.items() if source == "train"}


def sample(split: Split) -> np.ndarray:
    """int[|D_f|]: where the sample D_s, as many retain examples as are forgotten, lies among the retain examples."""
    order = np.argsort(split.retain)
    return order[np.searchsorted(split.retain[order], split.sample(len(split.forget)))]


def _places(sources: Sources, split: Split) -> dict[str, tuple[str, np.ndarray]]:
    """Source and rows of every split that is not empty."""
    places = {"retain_train": ("train", split.retain), "forget_train": ("train", split.forget)}
    if "test" in sources:
        places |= {
            "test": ("test", np.arange(sources["test"].y.shape[0])),
            "retain_test": ("test", split.retain_test),
            "forget_test": ("test", split.forget_test),
        }
    return {name: (source, rows) for name, (source, rows) in places.items() if len(rows)}
