"""Is a ledger as it was written? The chain, the configuration and every network are computed again."""

import os
from pathlib import Path
from typing import Any

from junlearn.errors import DamagedError
from junlearn.ledger import chain, network_archive, roll
from junlearn.ledger.chain import LEDGER
from junlearn.ledger.scene import CONFIG, config_digest
from junlearn.ledger.standing import standing_of

__all__ = ["verify"]


def verify(directory: str | os.PathLike[str]) -> dict[str, Any]:
    """What was checked, as numbers, with the hash of the last line; nothing is changed on disk.

    Raises ConfigError where there is no ledger, DamagedError with the first line that does not fit: because it was
    changed, because it does not follow the one before, or because the file that it names is missing or changed.
    """
    directory = Path(directory)
    found = chain.read(directory)
    standing = standing_of(directory, found.lines)
    if config_digest(directory / CONFIG) != standing.first["config"]:
        raise DamagedError(f"{directory / LEDGER}, line 1: {directory / CONFIG} is not as it was")
    if standing.first["roll"] is not None:
        roll.read(directory, standing.first["roll"])
    for name, number in sorted(standing.networks.items(), key=lambda item: item[1]):
        try:
            network_archive.check(directory, name)
        except DamagedError as error:
            raise DamagedError(f"{directory / LEDGER}, line {number}: {error}") from error
    return {
        "lines": len(found.lines),
        "requests": len(standing.requests),
        "deleted": len(standing.deleted),
        "networks": len(standing.networks),
        "purged": len(standing.purged),
        "unfinished": found.unfinished,
        "unnamed": [str(p) for p in network_archive.unnamed(directory, standing.networks)],
        "hash": found.hash,
    }
