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

    def known(self, deleted: Mapping[str, int]) -> dict[int, int]:
        """Row -> number of the line that deleted it, of all that was deleted. Raises DamagedError for other names."""
        found = _found(self.plain, deleted)
        if len(found) < len(deleted):
            found |= _found([HASHED + salted_hash(name, self.salt) for name in self.plain], deleted)
        if len(found) < len(deleted):
            raise DamagedError(
                f"{len(deleted) - len(found)} of the examples that were deleted are not in the dataset"
            )
        return found


def names_of(dataset: Dataset, salt: str) -> Names:
    """The names of a dataset's training examples: ids, where each has one of its own, else rows."""
    try:
        ids = numbers(dataset).tolist()
    except ConfigError:
        return Names("row", [str(row) for row in range(len(dataset.sources["train"].y))], salt)
    return Names("id", [dataset.names[i] if dataset.names else str(i) for i in ids], salt)


def shown(names: Collection[str]) -> str:
    """A few of many names, for a message."""
    first = ", ".join(list(names)[:SHOWN])
    return first if len(names) <= SHOWN else f"{first} and {len(names) - SHOWN:,} more"


def _found(names: Sequence[str], deleted: Mapping[str, int]) -> dict[int, int]:
    return {row: deleted[name] for row, name in enumerate(names) if name in deleted}
