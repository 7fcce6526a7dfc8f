"""A bank: the networks that an audit judges by, one file each in one directory, trained once and used for ever.

    bank.json                          what determines all networks in it, and how they were trained (sealed)
    original-00012.npz                 or retrain-, twin-, run-: one file a network
    unlearned/NAME-HASH/00012.npz      what a method made of original 12
    made.jsonl                         seconds and time of each file; no network depends on it

The name of the directory is the digest of what determines its networks. A bank is shared by runs and processes: one
writer at a time, while readers need no lock, because a file is there as a whole or not at all.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from junlearn import files
from junlearn.engine import network_file
from junlearn.engine.network_file import NetworkFile
from junlearn.errors import ConfigError, DamagedError
from junlearn.experiment.schema import digest
from junlearn.types import Variables

__all__ = ["Bank", "Place"]

FORMAT = 1

Say = Callable[[str], None]


class Place(NamedTuple):
    """A network's place in a bank."""

    ensemble: str
    """original, retrain, twin, run, or `unlearned/NAME-HASH`."""
    number: int

    def __str__(self) -> str:
        separator = "/" if "/" in self.ensemble else "-"
        return f"{self.ensemble}{separator}{self.number:05d}"


class Bank:
    """The networks in `directory / HASH`."""

    def __init__(self, directory: Path, identity: dict[str, Any], say: Say) -> None:
        """`identity`: all that determines the networks of the bank; nothing is read or written yet."""
        self.identity, self.say = identity, say
        self.hash = digest({"format": FORMAT, **identity})
        self.directory = directory / self.hash
        self._read: dict[Place, tuple[tuple[int, int], dict[str, Any]]] = {}

    def path(self, place: Place) -> Path:
        """Where a network's file is."""
        return self.directory / f"{place}.npz"

    def read(self, place: Place, *, with_weights: bool = False) -> NetworkFile | None:
        """A network; None where there is none yet, or where its file is damaged: that is said, and it is put aside."""
        path = self.path(place)
        try:
            return network_file.read(path, self._belongs(place), with_weights=with_weights)
        except FileNotFoundError:
            return None
        except DamagedError as error:
            with suppress(FileNotFoundError):  # Another process has put it aside.
                aside = files.keep_damaged(path)
                self.say(
                    f"audit: {place} of bank {self.hash[:4]} is damaged ({error}): it is made again, the file as it "
                    f"was is {aside.name}"
                )
            return None

    def weights(self, place: Place, like: Variables) -> Variables:
        """The weights of a network that is there. Raises ConfigError where its file has none of them."""
        found = self.read(place, with_weights=True)
        if found is None:
            raise ConfigError(
                f"audit: {place} of bank {self.hash[:4]} is gone; the same command makes it again"
            )
        if found.diverged:
            raise ConfigError(f"audit: {place} diverged ({found.diverged}): nothing starts from it")
        try:
            return network_file.weights(found, like)
        except DamagedError as error:
            raise ConfigError(
                f"audit: {self.path(place)}: {error}; delete it to have it made again"
            ) from error

    def about(self, place: Place) -> dict[str, Any] | None:
        """What a network's file says of it; None where there is no good file. A file is read once in a process."""
        with suppress(FileNotFoundError):
            stat = self.path(place).stat()
            state = (stat.st_mtime_ns, stat.st_size)
            if place in self._read and self._read[place][0] == state:
                return self._read[place][1]
            if (found := self.read(place)) is not None:
                self._read[place] = (state, found.about)
                return found.about
        return None

    def write(self, place: Place, network: NetworkFile, seconds: float) -> None:
        """Write a network that is not there yet; what is there keeps its bytes."""
        path = self.path(place)
        if path.exists():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        network_file.write(path, network, self._belongs(place))
        now = datetime.now(UTC).isoformat(timespec="seconds")
        line = {"file": str(place), "seconds": round(seconds, 4), "time": now}
        files.append_line(self.directory / "made.jsonl", json.dumps(line))

    def seconds(self) -> dict[str, float]:
        """File -> the seconds that it took, of those that are told; of one that was made twice the last."""
        path = self.directory / "made.jsonl"
        found: dict[str, float] = {}
        text = path.read_text(errors="replace") if path.is_file() else ""
        for line in text.splitlines():
            with suppress(ValueError, TypeError, KeyError, RecursionError):
                entry = json.loads(line)
                found[str(entry["file"])] = float(entry["seconds"])
        return found

    def seconds_each(self, ensemble: str, count: int) -> float:
        """The mean of the seconds that the first `count` networks of an ensemble took, of those that are told."""
        told = self.seconds()
        found = [told[name] for i in range(count) if (name := str(Place(ensemble, i))) in told]
        return sum(found) / len(found) if found else 0.0

    def notes(self, folder: str = "") -> dict[str, Any]:
        """What was written down of how networks are made, in the bank or in one folder of it; empty where there is
        nothing yet, or it is damaged.
        """
        path = self.directory / folder / "bank.json"
        try:
            content = files.unseal(path.read_bytes(), self.hash)
        except FileNotFoundError:
            return {}
        except DamagedError as error:
            with suppress(FileNotFoundError):  # Another process has put it aside.
                aside = files.keep_damaged(path)
                self.say(f"audit: {path} is damaged ({error}); the file as it was is {aside.name}")
            return {}
        return content.get("notes", {})

    def note(self, folder: str = "", **notes: Any) -> None:
        """Write down how networks are made, beside what is there; what determines them stands there too."""
        content = {
            "format": FORMAT,
            "dataset": self.identity.get("dataset", {}).get("name", ""),
            "fingerprint": self.identity.get("fingerprint", ""),
            "role": self.identity.get("bank", ""),
            "identity": self.identity,
            "notes": self.notes(folder) | notes,
        }
        files.replace(self.directory / folder / "bank.json", files.seal(content, self.hash) + "\n")

    def _belongs(self, place: Place) -> str:
        return f"{self.hash}/{place}"
