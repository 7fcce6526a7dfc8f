"""A number for each training example, such as how much it is memorised, in a file that scenarios and methods read.

The file is a NumPy archive:

    scores        float64[N], one a row of the training set; a larger score is a harder example
    fingerprint   of the data that the rows belong to; empty where that is not known
    kind          what the scores are, such as "memorisation"

`save` adds a checksum, and what the scores were made of. Scores from elsewhere, such as published ones, need the three
arrays alone: `np.savez("scores.npz", scores=scores, fingerprint="", kind="memorisation")`.
"""

import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from junlearn.errors import ConfigError, DamagedError, DataError
from junlearn.files import array_digest, replacing, seal, unseal

__all__ = ["ExampleScores", "check", "load", "save"]

SEAL = "example scores"


class ExampleScores(NamedTuple):
    """What a file holds."""

    scores: np.ndarray
    """float64[N]."""
    fingerprint: str = ""
    kind: str = ""
    about: Mapping[str, Any] = {}
    """What the scores were made of and with, in JSON's types; empty of a file from elsewhere."""


def save(path: str | os.PathLike, given: ExampleScores) -> None:
    """Write a file, in one step: one that exists is whole. Raises ConfigError for scores that are no finite numbers."""
    scores = np.asarray(given.scores, np.float64)
    if scores.ndim != 1 or not np.isfinite(scores).all():
        raise ConfigError(
            "example scores: a list with one finite number for each training example is wanted"
        )
    text = seal(_content(given._replace(scores=scores)), SEAL)
    with replacing(Path(path)) as file:
        np.savez(
            file,
            scores=scores,
            fingerprint=np.str_(given.fingerprint),
            kind=np.str_(given.kind),
            seal=np.frombuffer(text.encode(), np.uint8),
        )


def load(path: str | os.PathLike) -> ExampleScores:
    """What a file holds; nothing in it is run. Raises DataError for one that is missing, damaged or something else."""
    try:
        with Path(path).open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            scores = np.asarray(file["scores"])
            mark, kind = str(file["fingerprint"]), str(file["kind"])
            sealed = file["seal"].tobytes() if "seal" in file else None
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file of example scores") from None
    except (zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} is damaged ({error})") from error
    except (OSError, EOFError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path} is not a file of example scores ({error})") from error
    if scores.ndim != 1 or scores.dtype.kind not in "fiub":
        raise DataError(f"{path}: `scores` is not a list with one number for each training example")
    scores = scores.astype(np.float64)
    if not np.isfinite(scores).all():
        raise DataError(f"{path}: `scores` has entries that are not finite")
    found = ExampleScores(scores, mark, kind)
    if sealed is None:
        return found
    try:
        content = unseal(sealed, SEAL)
        found = found._replace(about=content.get("about", {}))
        if content != _content(found):
            raise DamagedError("it is not as it was written")
    except DamagedError as error:
        raise DataError(f"{path} is damaged ({error})") from error
    return found


def check(given: ExampleScores, size: int, fingerprint: str = "", where: str = "scores") -> None:
    """Raises ConfigError where scores do not belong to a training set of `size` rows, or to data of this fingerprint
    (where both are known); `where` is how the message calls the scores.
    """
    if len(given.scores) != size:
        raise ConfigError(
            f"{where}: {len(given.scores):,} scores, and the training set has {size:,} examples"
        )
    if given.fingerprint and fingerprint and given.fingerprint != fingerprint:
        raise ConfigError(
            f"{where} belong to data of the fingerprint {given.fingerprint}, and these have {fingerprint}"
        )


def _content(given: ExampleScores) -> dict[str, Any]:
    """What a file says, in short."""
    words = {"fingerprint": given.fingerprint, "kind": given.kind}
    return {**words, "digest": array_digest(given.scores), "about": dict(given.about)}
