"""Data and what is to be forgotten, at the door: the parts checked together."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from junlearn.engine.inputs.arrays import rows_of
from junlearn.engine.inputs.networks import Shapes, check_model, shapes_of
from junlearn.engine.inputs.sources import check_labels, sources_of
from junlearn.engine.inputs.splits import check_once, check_split, class_numbers
from junlearn.errors import ConfigError
from junlearn.scenarios.class_names import resolve
from junlearn.scenarios.class_removal import of_classes
from junlearn.scenarios.partition import partition
from junlearn.types import Data, Model, Sources, Split, View

__all__ = ["check_needs", "divide", "fitting", "labelled", "split_of"]


def labelled(data: Data | Sources) -> Sources:
    """Sources whose labels no model has to be known for."""
    sources = sources_of(data)
    check_labels(sources, None)
    return sources


def fitting(
    model: Model, data: Data | Sources, views: Mapping[str, View] | None
) -> tuple[Sources, Shapes]:
    """Sources that the model takes, labels included, and what it is made of."""
    check_model(model)
    sources = sources_of(data)
    shapes = shapes_of(model, sources, views)
    check_labels(sources, shapes.classes)
    return sources, shapes


def check_needs(method: str, needs: Collection[str], split: Split) -> None:
    """Raises ConfigError where `method` reads (`needs`, as in its NEEDS) a part of the split in which nothing is."""
    for name in ("forget", "retain"):
        if any(need.startswith(f"{name}.") for need in needs) and not len(getattr(split, name)):
            raise ConfigError(f"split.{name} is empty, and {method} reads the examples there")


def divide(
    sources: Sources,
    forget: np.ndarray | Sequence[int] | None = None,
    classes: Sequence[int] | None = None,
    argument: str = "forget",
) -> Split:
    """`junlearn.split_off` of sources that are checked already."""
    if (forget is None) == (classes is None):
        raise ConfigError(
            "split_off: give either the rows to forget or classes=..., one of the two"
        )
    key = jax.random.key(0)
    if classes is not None:
        labels = [np.asarray(d.y) for name, d in sources.items() if name in ("train", "test")]
        names = [str(number) for number in range(1 + np.concatenate(labels).max())]
        return of_classes(sources, resolve(class_numbers(classes), names, "class"), key)
    size = sources["train"].y.shape[0]
    rows = rows_of(forget, size, argument)
    check_once(rows, argument)
    marked = np.zeros(size, bool)
    marked[rows] = True
    tests = sources["test"].y.shape[0] if "test" in sources else 0
    return partition(marked, np.zeros(tests, bool), key)


def split_of(sources: Sources, split: Any, classes: int | None = None) -> Split:
    """The Split that a person gives: one of their own, checked, or the rows to forget; `classes` is K, if known."""
    if isinstance(split, Split):
        return check_split(sources, split, classes)
    if split is None:
        raise ConfigError(
            "split is None: the rows to forget are wanted, or what junlearn.split_off gives"
        )
    return divide(sources, split, argument="split")
