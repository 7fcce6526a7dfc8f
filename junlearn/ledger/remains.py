"""What is left of deleted images outside of the ledger's lines, and its removal."""

from pathlib import Path
from typing import NamedTuple

from junlearn.experiment import stored
from junlearn.experiment.stored import Entry
from junlearn.ledger.network_archive import path_of
from junlearn.ledger.standing import Standing

__all__ = ["Remains", "in_words", "remains_of", "remove_entries"]


class Remains(NamedTuple):
    """Where deleted images are still, or what was learned from them."""

    networks: tuple[str, ...]
    """Hashes of the ledger's earlier networks: they learned images that were deleted later."""
    entries: tuple[Entry, ...]
    """The decoded images, networks and banks of the same data in the cache that all runs share."""


def remains_of(standing: Standing, cache_dir: str | None) -> Remains:
    """What is left of all that was deleted; nothing, before anything was."""
    if not standing.deleted:
        return Remains((), ())
    # Data that have lost images since then have another fingerprint each time.
    told = [standing.first["dataset"], *standing.requests]
    # Ledgers of earlier versions do not say what lies in the cache.
    marks = {line.get(name, "") for line in told for name in ("fingerprint", "decoded")} - {""}
    entries = [e for e in stored.entries(cache_dir) if stored.is_of(e, marks)]
    numbers = sorted(standing.networks.items(), key=lambda item: item[1])
    earlier = [name for name, _ in numbers if name != standing.current]
    return Remains(tuple(earlier), tuple(entries))


def in_words(remains: Remains, directory: Path) -> list[str]:
    """A line for each place."""
    words = {"dataset": "decoded images", "bank": "networks of audits"}
    lines = [f"an earlier network of the ledger, {path_of(directory, n)}" for n in remains.networks]
    for entry in remains.entries:
        what = words.get(entry.kind) or f"{entry.role or 'a'} network of a run"
        lines.append(f"{what}, {entry.path}")
    return lines


def remove_entries(remains: Remains) -> list[str]:
    """Remove what lies in the cache; returns a line for each thing that stays, with the reason."""
    left = [(entry.path, stored.remove(entry)) for entry in remains.entries]
    return [f"{path} stays: {reason}" for path, reason in left if reason]
