"""What training examples do to the outputs of others, from a file: a NumPy archive with one of these arrays.

    attributions  float[N, N or more, K]  tau_i(x)_k: how much logit k of x falls when i is removed; i and x are rows of
                                          the training set, what stands behind the first N columns is not read
    sums          float[N,K]              sum_{i in D_f} tau_i(x), of one request
    targets       float[N,K]              the logits that x should have, such as the mean of retrained networks

Rows of the training set that are not asked for may hold anything.
"""

import os
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from junlearn.errors import ConfigError, DataError
from junlearn.types import Split

__all__ = ["Datamodels", "load", "of_rows"]

KINDS = {"attributions": 3, "sums": 2, "targets": 2}
"""The arrays that a file can have, and how many axes each has."""


class Datamodels(NamedTuple):
    """What a file holds."""

    kind: str
    """A name out of `KINDS`."""
    values: np.ndarray
    path: str


def load(path: str | os.PathLike) -> Datamodels:
    """The array of a file. Raises DataError for one that is missing or holds something else."""
    try:
        with Path(path).open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            found = {name: np.asarray(file[name]) for name in KINDS if name in file}
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file of attributions") from None
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is not a file of attributions ({error})") from error
    if len(found) != 1:
        raise DataError(
            f"{path}: one array out of {', '.join(KINDS)} is wanted, not {len(found)} of them"
        )
    ((kind, values),) = found.items()
    if values.ndim != KINDS[kind] or values.dtype.kind != "f":
        raise DataError(
            f"{path}: {kind} must be numbers with {KINDS[kind]} axes, not {values.dtype}{list(values.shape)}"
        )
    return Datamodels(kind, values, str(path))


def of_rows(
    given: Datamodels, split: Split, rows: np.ndarray, size: int, classes: int
) -> np.ndarray:
    """float[R,K]: the sums over D_f, or the targets, of these rows of a training set of `size` examples.

    Raises ConfigError where the file is for another training set, or has numbers that are not finite there.
    """
    values = given.values
    fits = len(values) == size and values.shape[-1] == classes
    if not fits or (given.kind == "attributions" and values.shape[1] < size):
        wanted = [size] * (values.ndim - 1) + [classes]
        raise ConfigError(
            f"{given.path}: {given.kind} have the shape {list(values.shape)}, and this training set wants {wanted}"
        )
    if given.kind == "attributions":
        found = values[np.ix_(split.forget, rows)].sum(axis=0)
    else:
        found = values[rows]
    if not np.isfinite(found).all():
        raise ConfigError(f"{given.path}: {given.kind} of this request are not all finite")
    return found
