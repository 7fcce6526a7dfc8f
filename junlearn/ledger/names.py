"""What a ledger calls the training examples: by the dataset's ids, or by rows where there are none.

In a private line the names are salted hashes, the same as in the list of a private run
(`junlearn.experiment.request.salted_hash`), with one salt for the whole ledger.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from junlearn.errors import ConfigError, DamagedError
from junlearn.experiment.request import salted_hash
from junlearn.scenarios.naming import By, numbers
from junlearn.types import Dataset

__all__ = ["Names", "names_of", "shown"]

HASHED = "blake2b:"
"""What a salted hash begins with, so that no id is taken for one."""
SHOWN = 5
"""Names that a message lists."""


class Names(NamedTuple):
    """The names of all N training examples."""

    by: By
    plain: Sequence[str]
    salt: str

    def written(self, rows: Iterable[int], private: bool) -> list[str]:
        """The names of rows as a line holds them; hashes are in their own order, which says nothing of the rows."""
        names = [self.plain[row] for row in rows]
        return sorted(HASHED + salted_hash(name, self.salt) for name in names) if private else names

    def hashes(self) -> list[str]:
        """The salted hash of every name."""
        return [salted_hash(name, self.salt) for name in self.plain]

    def known(
        self, deleted: Mapping[str, int], hashes: Sequence[str] | None = None
    ) -> dict[int, int]:
        """Row -> number of the line that deleted it, of all that was deleted; `hashes` are those of all rows.

        Raises DamagedError for names that there are not.
        """
        place = {name: row for row, name in enumerate(self.plain)} if hashes is None else {}
        if len(place.keys() & deleted.keys()) == len(deleted):
            return {place[name]: line for name, line in deleted.items()}
        rows = {name: row for row, name in enumerate(hashes or self.hashes())}
        found = {rows.get(self._hash(name), -1): line for name, line in deleted.items()}
        if -1 in found:
            raise DamagedError("examples that were deleted were never in the dataset")
        return found

    def _hash(self, name: str) -> str:
        return (
            name.removeprefix(HASHED) if name.startswith(HASHED) else salted_hash(name, self.salt)
        )


def names_of(dataset: Dataset, salt: str) -> Names:
    """The names of a dataset's training examples: ids, where each has one of its own, else rows."""
    try:
        ids = numbers(dataset).tolist()
    except ConfigError:
        return Names("row", [str(row) for row in range(len(dataset.sources["train"].y))], salt)
    return Names("id", [_name(dataset, i) for i in ids], salt)


def _name(dataset: Dataset, number: int) -> str:
    if number < 0:
        return f"row {-1 - number}, which is gone"
    return dataset.names[number] if dataset.names else str(number)


def shown(names: Collection[str]) -> str:
    """A few of many names, for a message."""
    first = ", ".join(list(names)[:SHOWN])
    return first if len(names) <= SHOWN else f"{first} and {len(names) - SHOWN:,} more"
