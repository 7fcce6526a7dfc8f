"""scikit-learn's bundled digits: 1,797 real 8x8 grey images of 10 classes, no download.

Source: the test part of the UCI set "Optical Recognition of Handwritten Digits". Pixels 0..16
become uint8 by `rint(v * 255 / 16)`, so 16 is 255. Test set: every fifth example in order of class,
which gives 1,437 / 360 with each class split 80/20, the same on every machine. `id` is the row in
`load_digits`.
"""

import gzip
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from junlearn.datasets import labels
from junlearn.datasets.cache import digests
from junlearn.datasets.config import DatasetConfig, Progress, assemble
from junlearn.types import Data, Dataset

__all__ = ["Config", "make"]


@dataclass(frozen=True, kw_only=True)
class Config(DatasetConfig):
    """The digits have nothing of their own to configure; `data_dir` is not read."""


def make(
    config: Config, *, cache_dir: str | None = None, progress: Progress | None = None
) -> Dataset:
    """Load the digits; `cache_dir` is there for the common signature, they need no cache."""
    del cache_dir
    pixels, target = _digits()
    x = np.rint(pixels * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
    y = target.astype(np.int32)
    in_test = np.zeros(len(y), bool)
    in_test[np.argsort(y, kind="stable")[::5]] = True
    sources = {}
    for split, rows in (("train", np.flatnonzero(~in_test)), ("test", np.flatnonzero(in_test))):
        sources[split] = Data(x=x[rows], y=y[rows], id=rows.astype(np.int32))
    if progress is not None:
        progress(len(y), len(y))
    return assemble(
        config,
        name="digits",
        version="1.0",
        digests=digests(sources),
        sources=sources,
        classes=labels.DIGITS,
        mean=(0.0,),
        std=(1.0,),
    )._replace(apart={"test": "a test image (every fifth of a class)"})


def _digits() -> tuple[np.ndarray, np.ndarray]:
    """float64[1797,64] pixels and the classes, as `load_digits` gives them.

    They are read from its file where that lies as it always has: to import scikit-learn takes more than a second, which
    is a fifth of a short command.
    """
    spec = find_spec("sklearn")
    if spec is not None and spec.origin is not None:
        path = Path(spec.origin).with_name("datasets") / "data" / "digits.csv.gz"
        if path.exists():
            with gzip.open(path, "rt") as file:
                table = np.loadtxt(file, delimiter=",")
            return table[:, :-1], table[:, -1]
    from sklearn.datasets import load_digits

    return load_digits(return_X_y=True)
