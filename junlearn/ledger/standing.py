"""Where a ledger stands: what follows from its lines alone, and whether they fit to each other."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from junlearn.errors import DamagedError
from junlearn.ledger.chain import LEDGER, Line
from junlearn.ledger.policy import Decision, Policy, decide

__all__ = ["Standing", "deleted_by", "standing_of"]


class Standing(NamedTuple):
    """What the lines of a ledger add up to."""

    first: Line
    """The line that `init` wrote."""
    current: str
    """Hash of the network that is in use."""
    exact: Line
    """The line that made the last exact network."""
    since: int
    """Requests since then; 0: the current network is exact."""
    requests: tuple[Line, ...]
    deleted: dict[str, int]
    """What was deleted -> number of the line that did it: names, or salted hashes of them. A name of one form is not in
    the other."""
    networks: dict[str, int]
    """Hash of every network that has to be on disk -> number of the first line that names it."""
    purged: frozenset[str]
    """Hashes of networks that were removed."""
    decided: bool
    """Whether the policy has spoken since the last request."""
    due: Line | None
    """The decision to retrain that was not carried out yet."""

    @property
    def policy(self) -> Policy:
        """That of the ledger."""
        return Policy(**self.first["policy"])

    def decision(self) -> Decision:
        """What the policy says of the last request."""
        now = self.requests[-1]["metrics"]
        return decide(self.policy, self.since, now, self.exact["metrics"])


def deleted_by(line: Line) -> Iterator[str]:
    """What a request deleted: names, or salted hashes of them."""
    yield from line["request"]["names"]
    if line["twins"]["taken"]:
        yield from line["twins"]["names"]


def standing_of(directory: Path, lines: Sequence[Line]) -> Standing:
    """What the lines add up to. Raises DamagedError with the first line that does not fit to those before it."""
    if not lines:
        raise DamagedError(
            f"{directory / LEDGER} has no line: its beginning was cut off, and `ledger init` makes it again"
        )
    number = 0
    try:
        standing = _begin(lines[0])
        for line in lines[1:]:
            number = line["number"]
            standing = STEPS[line["kind"]](standing, line)
    except (KeyError, TypeError, _Misfit) as error:
        reason = str(error) if isinstance(error, _Misfit) else f"its fields are not ours ({error})"
        raise DamagedError(f"{directory / LEDGER}, line {max(number, 1)}: {reason}") from error
    return standing


class _Misfit(Exception):
    """Why a line does not fit."""


def _begin(line: Line) -> Standing:
    if line["kind"] != "init":
        raise _Misfit(f"it is {line['kind']!r}, and a ledger begins with 'init'")
    network = line["network"]["after"]
    Policy(**line["policy"])
    return Standing(line, network, line, 0, (), {}, {network: 1}, frozenset(), True, None)


def _after(standing: Standing, line: Line) -> dict[str, Any]:
    """What changes with a network that takes the place of the current one."""
    before, after = line["network"]["before"], line["network"]["after"]
    if before != standing.current:
        raise _Misfit("the network before it is not the one that was in use")
    return {
        "current": after,
        "networks": {after: line["number"], **standing.networks},
        "purged": standing.purged - {after},
    }


def _forget(standing: Standing, line: Line) -> Standing:
    names = list(deleted_by(line))
    if len(set(names)) < len(names):
        raise _Misfit("it deletes an example twice")
    again = next((name for name in names if name in standing.deleted), None)
    if again is not None:
        raise _Misfit(f"{again!r} was deleted by line {standing.deleted[again]} already")
    # One dict for all lines: a copy for each of a thousand requests would take the time of a million names.
    number: int = line["number"]
    standing.deleted.update(dict.fromkeys(names, number))
    exact = line["exact"]
    return standing._replace(
        **_after(standing, line),
        requests=(*standing.requests, line),
        exact=line if exact else standing.exact,
        since=0 if exact else standing.since + 1,
        decided=not standing.policy,
        due=None,
    )


def _decision(standing: Standing, line: Line) -> Standing:
    if standing.decided:
        raise _Misfit("it decides on no request")
    return standing._replace(decided=True, due=line if line["retrain"] else None)


def _retrain(standing: Standing, line: Line) -> Standing:
    if standing.due is None:
        raise _Misfit("no decision asked for it")
    return standing._replace(**_after(standing, line), exact=line, since=0, due=None)


def _purge(standing: Standing, line: Line) -> Standing:
    removed = line["networks"]
    left = {name: n for name, n in standing.networks.items() if name not in removed}
    if standing.current in removed:
        raise _Misfit("it removes the network that is in use")
    return standing._replace(networks=left, purged=standing.purged | set(removed))


STEPS = {"forget": _forget, "decision": _decision, "retrain": _retrain, "purge": _purge}
"""What each kind of line does to the standing."""
