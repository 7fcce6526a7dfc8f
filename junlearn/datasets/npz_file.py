"""Arrays in one `.npz` file, as `np.savez` writes it.

    x_train, x_test    uint8[N,H,W,C], or [N,H,W] of grey images
    y_train, y_test    N labels: whole numbers from 0 on, or names
    ids, ids_test      N ids of one numbering: whole numbers or text
    classes            the K names of labels that are numbers, or the order of those that are names

Only `x_train` and `y_train` have to be there. Without `x_test` and `y_test` a part of the training images is for the
test. Nothing is unpickled, and nothing is kept in the cache: the file is all that there is of the images.
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from junlearn.datasets.cache import digests, fingerprint
from junlearn.datasets.config import DatasetConfig, Progress, assemble
from junlearn.datasets.holdout import by_hash, check_fraction, hashed_out
from junlearn.datasets.npz_arrays import ids_in, labels_in, pixels_in
from junlearn.datasets.own_ids import doubled, numbers_of
from junlearn.datasets.stock import statistics_of
from junlearn.errors import ConfigError, DataError
from junlearn.fields import File, Fraction
from junlearn.types import Data, Dataset, Sources

__all__ = ["Config", "make"]

NEEDED = ("x_train", "y_train")
KNOWN = (*NEEDED, "x_test", "y_test", "ids", "ids_test", "classes")
HOW = "np.savez(file, x_train=..., y_train=..., x_test=..., y_test=...) writes one"

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Config(DatasetConfig):
    """Arrays in a `.npz` file; `data_dir` is not read.

    The file has `x_train` and `y_train`, and may have `x_test` and `y_test`, `ids` (of the training images), `ids_test`
    and `classes`. Images are uint8 [N,H,W,C], or [N,H,W] if grey. Floats and other whole numbers are taken where they
    are exactly such pixels: 0 to 255, or 255ths from 0 to 1. Labels are whole numbers from 0 on, or names.

    Colour images are normalised by ImageNet's statistics, others are only scaled to [0, 1].
    """

    file: File = ""
    """The file."""
    test_fraction: Fraction = 0.2
    """Without `x_test`, about which part of the training images becomes the test set: a hash of each id decides, or of
    each row number where there are no ids."""


def make(
    config: Config, *, cache_dir: str | None = None, progress: Progress | None = None
) -> Dataset:
    """Load `config.file`; `cache_dir` is there for the common signature, arrays need no cache.

    Raises ConfigError without a file, DataError for one that is missing, damaged or no such archive, and for arrays
    that are not what is wanted: the line names the array.
    """
    del cache_dir
    if not config.file:
        raise ConfigError("dataset.file is empty; npz needs a file of arrays")
    check_fraction(config.test_fraction)
    path = Path(config.file).expanduser().absolute()
    arrays, others = _read(path)
    try:
        whole = _checked(arrays, config.test_fraction)
    except (ConfigError, DataError) as error:
        raise DataError(f"{path}: {error}") from error
    if progress is not None:
        count = sum(len(data.y) for data in whole.sources.values())
        progress(count, count)
    of_arrays = digests(whole.sources)
    mean, std = statistics_of(whole.sources["train"].x.shape[-1])
    return assemble(
        config,
        name=path.stem,
        version=fingerprint(of_arrays)[:16],
        digests=of_arrays,
        sources=whole.sources,
        classes=whole.classes,
        mean=mean,
        std=std,
    )._replace(names=whole.names, apart=whole.apart, remarks=others)


class _Whole(NamedTuple):
    """What is in a file."""

    sources: Sources
    classes: tuple[str, ...]
    names: tuple[str, ...]
    apart: dict[str, str]


def _read(path: Path) -> tuple[Arrays, tuple[str, ...]]:
    """The arrays by name, and a line on those that nobody asks for; these are not even read."""
    try:
        with path.open("rb") as file:
            if not zipfile.is_zipfile(file):
                file.seek(0)
                cut = file.read(2) == b"PK"
                reason = "is damaged: it has an archive's beginning and no end" if cut else ""
                raise DataError(f"{path} {reason or f'is no .npz file: {HOW}'}")
            file.seek(0)
            archive = np.load(file, allow_pickle=False)
            missing = [name for name in NEEDED if name not in archive.files]
            if missing:
                there = ", ".join(archive.files) or "nothing"
                raise DataError(f"{path} has no {missing[0]}, only {there}: {HOW}")
            arrays = {name: _member(archive, name, path) for name in KNOWN if name in archive.files}
            others = [name for name in archive.files if name not in KNOWN]
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"cannot read the arrays in {path}: {error.strerror or error}") from error
    except Exception as error:  # a damaged file can make any layer of the reading fail
        raise DataError(f"{path} is damaged ({error}): write it again") from error
    return arrays, (f"left out of {path.name}: {', '.join(others)}",) if others else ()


def _member(archive: np.lib.npyio.NpzFile, name: str, path: Path) -> np.ndarray:
    try:
        return np.asarray(archive[name])
    except ValueError as error:
        if "allow_pickle" in str(error):
            raise DataError(
                f"{path}: {name} holds Python objects, which are not loaded: give it one type and one shape, such "
                "as np.stack(images)"
            ) from error
        raise


def _checked(arrays: Arrays, test_fraction: float) -> _Whole:
    """The sources, ids and names of the classes."""
    for one, other in (("x_test", "y_test"), ("y_test", "x_test"), ("ids_test", "x_test")):
        if one in arrays and other not in arrays:
            raise DataError(f"there is {one} and no {other}")
    parts = ("train", "test") if "x_test" in arrays else ("train",)
    x = {part: pixels_in(arrays[f"x_{part}"], f"x_{part}") for part in parts}
    if len({images.shape[1:] for images in x.values()}) > 1:
        shown = " and ".join(f"x_{part} of {list(images.shape[1:])}" for part, images in x.items())
        raise DataError(f"images differ in shape: {shown} (rows, columns, channels)")
    labels = {f"y_{part}": arrays[f"y_{part}"] for part in parts}
    y, classes = labels_in(labels, arrays.get("classes"))
    for part in parts:
        if len(x[part]) != len(y[f"y_{part}"]):
            found = f"{len(x[part])} images and y_{part} {len(y[f'y_{part}'])} labels"
            raise DataError(f"x_{part} has {found}: one for each image is wanted")
    counts = {"ids": len(x["train"]), "ids_test": len(x["test"]) if "test" in x else 0}
    ids = {name: ids_in(arrays[name], name, counts[name]) for name in counts if name in arrays}
    given = ids.get("ids")
    if "ids_test" in ids and given is None:
        raise DataError("there is ids_test and no ids: both are of one numbering")
    numbers, names = _numbering(ids, counts["ids"])
    train = Data(x["train"], y["y_train"], numbers[: counts["ids"]])
    if "test" in x:
        own = numbers[counts["ids"] :] if "ids_test" in ids else None
        sources = {"train": train, "test": Data(x["test"], y["y_test"], own)}
        apart = {} if own is None else {"test": "a test image (its id is in ids_test)"}
    else:
        texts = given if given is not None else [str(row) for row in range(counts["ids"])]
        out = np.array(by_hash([text.encode() for text in texts], test_fraction))
        sources = {"train": train.take(~out), "test": train.take(out)}
        apart = {"test": hashed_out(test_fraction)}
    untrained = set(range(len(classes))) - set(np.unique(sources["train"].y).tolist())
    if untrained:
        told = ", ".join(classes[number] for number in sorted(untrained)[:5])
        raise DataError(
            f"no training images of {told}"
            + ("" if "test" in x else f" (test_fraction = {test_fraction:g})")
        )
    return _Whole(sources, classes, names, apart)


def _numbering(ids: dict[str, list[str]], count: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """int32[N] of the training images and, where their ids are given, of the test images; and their names."""
    texts = [text for part in ids.values() for text in part]
    twice = doubled(texts)
    if twice is not None:
        rows = [f"ids[{p}]" if p < count else f"ids_test[{p - count}]" for p in twice]
        raise DataError(f"the id {texts[twice[0]]!r} is there twice: {rows[0]} and {rows[1]}")
    numbers = numbers_of(texts)
    if numbers is None:
        return np.arange(len(texts), dtype=np.int32), tuple(texts)
    return np.array(numbers if texts else range(count), np.int32), ()
