"""The ensembles of an audit as they are judged: margins on every part of the rows, but for networks that diverged."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from junlearn.audit.bank import Bank, Place
from junlearn.audit.margins import Margins, margins_of
from junlearn.engine.network_file import NetworkFile
from junlearn.errors import ConfigError
from junlearn.files import array_digest

__all__ = ["Ensemble", "check_apart", "load", "worst"]

SHARE = 0.05
"""Of the networks of an ensemble that may diverge."""
WORST = -100.0
"""The margin of a network that diverged, where it counts as the worst: what KLoM clips at."""


class Ensemble(NamedTuple):
    """Networks of one kind."""

    name: str
    parts: Mapping[str, Margins]
    """forget, retain, test -> their margins; only what there are examples of."""
    numbers: tuple[int, ...]
    """Which networks these are."""
    diverged: tuple[int, ...] = ()
    """Those that are left out."""
    marks: tuple[str, ...] = ()
    """The digest of each network's outputs, where they come from files."""
    classes: int = 0
    """K of the logits; 0 where margins alone are known."""

    @property
    def size(self) -> int:
        """N, without those that diverged."""
        return len(self.numbers)

    def first(self, count: int) -> "Ensemble":
        """The first `count` networks."""
        parts = {name: part.rows(slice(count)) for name, part in self.parts.items()}
        return self._replace(parts=parts, numbers=self.numbers[:count], marks=self.marks[:count])

    @property
    def too_many(self) -> str:
        """The line on networks that diverged, where so many did that nothing is left to judge; else empty."""
        total = len(self.numbers) + len(self.diverged)
        if len(self.diverged) <= SHARE * total:
            return ""
        return f"{len(self.diverged)} of {total} networks of {self.name} diverged; nothing to judge"


def load(
    bank: Bank,
    places: Mapping[Place, str],
    columns: Mapping[str, np.ndarray],
    labels: Mapping[str, np.ndarray],
    name: str,
) -> Ensemble:
    """Read an ensemble; `columns` are the places of each part in the outputs of a file.

    `places` have the digest of the rows that each network was trained on, or was to forget. Raises ConfigError where a
    file is gone, says other rows, or has outputs of too few examples or of other classes than the first.
    """
    classes: set[int] = set()
    stacked: dict[str, list[Margins]] = {part: [] for part in columns if len(columns[part])}
    numbers, diverged, marks = [], [], []
    for place, rows in places.items():
        found = bank.read(place)
        if found is None:
            raise ConfigError(
                f"audit: {place} of bank {bank.hash[:4]} is gone; the same command makes it again"
            )
        if rows != found.about.get("trained_on", found.about.get("forgets")):
            raise ConfigError(
                f"audit: {bank.path(place)} was trained on other rows than those of this request, or forgot others: "
                "delete it to have it made again"
            )
        if found.diverged:
            diverged.append(place.number)
            continue
        numbers.append(place.number)
        classes.add(found.outputs["logits"].shape[-1] if "logits" in found.outputs else 0)
        if len(classes) > 1:
            raise ConfigError(
                f"audit: {bank.path(place)} has another number of classes than the networks before it"
            )
        marks.append(" ".join(array_digest(array) for array in found.outputs.values()))
        for part in stacked:
            stacked[part].append(_margins(found, columns[part], labels[part], bank, place))
    parts = {
        part: Margins(*map(np.concatenate, zip(*rows, strict=True)))
        for part, rows in stacked.items()
        if rows
    }
    (count,) = classes or {0}
    return Ensemble(name, parts, tuple(numbers), tuple(diverged), tuple(marks), count)


def _margins(
    found: NetworkFile, columns: np.ndarray, labels: np.ndarray, bank: Bank, place: Place
) -> Margins:
    outputs = found.outputs
    size = len(outputs["logits"] if "logits" in outputs else outputs["phi"])
    if columns.max() >= size:
        raise ConfigError(f"audit: {bank.path(place)} has {size} rows of outputs, too few")
    if "logits" in outputs:
        return margins_of(outputs["logits"][None, columns], labels, str(bank.path(place)))
    return Margins(outputs["phi"][None, columns], outputs["predicted"][None, columns])


def check_apart(ensembles: Sequence[Ensemble], judged: Ensemble | None = None) -> None:
    """Raise ConfigError where two networks give the same outputs to the bit: then they are one network.

    Those of `judged` are compared with the others, not with each other: a method may leave nothing but one function.
    """
    seen: dict[str, str] = {}
    for ensemble in (*ensembles, *([] if judged is None else [judged])):
        for number, mark in zip(ensemble.numbers, ensemble.marks, strict=True):
            name = f"{ensemble.name}-{number:05d}"
            if mark in seen:
                raise ConfigError(
                    f"audit: {seen[mark]} and {name} are the same network: the null halves must not share seeds"
                )
            if ensemble is not judged:
                seen[mark] = name


def worst(ensemble: Ensemble, none: int) -> Ensemble:
    """The ensemble with the networks that diverged counted as the worst that there can be, behind the others.

    `none` is the number of no class, which they predict.
    """
    count = len(ensemble.diverged)
    parts = {}
    for name, part in ensemble.parts.items():
        phi = np.full((count, part.phi.shape[1]), WORST)
        predicted = np.full((count, part.phi.shape[1]), none)
        parts[name] = Margins(
            np.concatenate([part.phi, phi]), np.concatenate([part.predicted, predicted])
        )
    return ensemble._replace(parts=parts, numbers=ensemble.numbers + ensemble.diverged, diverged=())
