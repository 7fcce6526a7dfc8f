"""What a person should know of a request before anything is trained: which classes are meant, which images twins."""

import dataclasses
import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from junlearn.scenarios.class_names import resolve
from junlearn.types import Dataset, Split

__all__ = ["hashes_of", "meanings", "twins"]

CLASSES = {"classes": "class", "target": "class", "subclasses": "sub-class"}
"""Fields of scenarios that name classes, and of what kind."""


def meanings(config: Any, dataset: Dataset) -> Iterator[str]:
    """A line for each field of a scenario's Config that names classes: `class "2" (row 1): 142 examples`."""
    train = dataset.sources["train"]
    labels = train.y if train.clean is None else train.clean
    for field, kind in CLASSES.items():
        if field not in {f.name for f in dataclasses.fields(config)}:
            continue
        names = dataset.fine_classes if kind == "sub-class" else dataset.classes
        counts = np.bincount(train.fine if kind == "sub-class" else labels, minlength=len(names))
        value = getattr(config, field)
        wanted = value if isinstance(value, tuple) else (value,)
        if not wanted:
            continue
        title = kind if field in ("classes", "subclasses") else f"{field}: {kind}"
        yield ", ".join(
            f'{title} "{names[k]}" (row {k}): {counts[k]:,} example{"" if counts[k] == 1 else "s"}'
            for k in resolve(wanted, names, kind)
        )


def twins(dataset: Dataset, split: Split) -> Iterator[str]:
    """A line for each two sets that have images in common: forget and retain, and "test" with either one.

    Only exact copies are found, by a hash of the stored pixels: 0.1 s for 60,000 images of 28×28 pixels.
    """
    hashes = hashes_of(dataset.sources["train"].x)
    forget = {hashes[row] for row in split.forget}
    copies = sum(hashes[row] in forget for row in split.retain)
    if copies:
        yield f"{_images(copies, 'training')} to retain {_are(copies)} of images to forget"
    tests = hashes_of(dataset.sources["test"].x)
    copies = sum(one in forget for one in tests)
    if copies:
        yield f"{_images(copies, 'test')} {_are(copies)} of images to forget"
    retain = {hashes[row] for row in split.retain}
    copies = sum(one in retain for one in tests)
    if copies:
        yield f"{_images(copies, 'test')} {_are(copies)} of training images to retain"


def hashes_of(images: np.ndarray) -> list[bytes]:
    """One for each image: equal for equal pixels."""
    rows = np.ascontiguousarray(images).reshape(len(images), -1)
    return [hashlib.blake2b(row.data, digest_size=16).digest() for row in rows]


def _images(count: int, kind: str) -> str:
    return f"{count:,} {kind} image{'' if count == 1 else 's'}"


def _are(count: int) -> str:
    return "is an exact copy" if count == 1 else "are exact copies"
