"""Images that are left when a request is done: exact copies of those it names, and others that look like them.

A copy is exact where all pixels are equal. How much two other images are alike is told by the network in use: one minus
the cosine of the angle between their embeddings (0: the same direction; 1: at right angles).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from junlearn.engine import predict
from junlearn.errors import ConfigError
from junlearn.ledger.scene import Scene
from junlearn.memo import remembered
from junlearn.scenarios.remarks import hashes_of
from junlearn.types import Array, Model, Split, Variables

__all__ = ["Likeness", "near_copies", "twins"]

CHUNK = 1024
"""Retained images that are compared at a time."""


class Likeness(NamedTuple):
    """A retained image and one of the request that it looks like."""

    retained: int
    forgotten: int
    """Rows of the two."""
    distance: float
    """From 0 to 2."""


def twins(images: Any, split: Split) -> list[int]:
    """The retained rows whose pixels are those of a row to be forgotten, in ascending order.

    `images` are those of the training set; only the rows of the split are read.
    """
    wanted = set(hashes_of(images[split.forget]))
    retained = hashes_of(images[split.retain])
    return [int(row) for row, one in zip(split.retain, retained, strict=True) if one in wanted]


def near_copies(scene: Scene, split: Split, variables: Variables, count: int) -> list[Likeness]:
    """The `count` retained images that are nearest to one of the request, each with that one, the nearest first."""
    model = _embedding(scene.model)
    setup = scene.setup
    view = setup.dataset.views["eval"]

    def embedded(rows: np.ndarray) -> np.ndarray:
        found = predict.logits(model, variables, setup.sources["train"], rows, view=view)
        found = found.reshape(len(rows), -1).astype(np.float64)
        return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-30)

    asked = embedded(split.forget)
    found: list[Likeness] = []
    for begin in range(0, len(split.retain), CHUNK):
        rows = split.retain[begin : begin + CHUNK]
        distances = 1 - embedded(rows) @ asked.T
        nearest = distances.argmin(axis=1)
        found += [
            Likeness(int(row), int(split.forget[i]), float(max(line[i], 0.0)))
            for row, i, line in zip(rows, nearest, distances, strict=True)
        ]
        found = _nearest(found, count)
    return found


def _nearest(found: Sequence[Likeness], count: int) -> list[Likeness]:
    return sorted(found, key=lambda each: (each.distance, each.retained))[:count]


@remembered
def _embedding(model: Model) -> Model:
    """The network with its embedding in the place of the logits."""

    def apply(variables: Variables, x: Array, **options: Any) -> tuple[Array, dict, Any]:
        logits, features, stats = model.apply(variables, x, **options)
        if "embedding" not in features:
            raise ConfigError("near copies are told by the embedding, and this network has none")
        del logits
        return features["embedding"], features, stats

    return model._replace(apply=apply)
