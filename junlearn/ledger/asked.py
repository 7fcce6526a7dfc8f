"""A request against the ledger: what of it is new, what was deleted before, and whether it was carried out already."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from junlearn.errors import ConfigError
from junlearn.ledger.chain import Line
from junlearn.ledger.names import Names, shown
from junlearn.ledger.standing import Standing

__all__ = ["Asked", "sort_out"]


class Asked(NamedTuple):
    """The rows of a request."""

    new: list[int]
    skipped: list[int]
    """Those that were deleted before."""


def sort_out(
    rows: Sequence[int], known: Mapping[int, int], standing: Standing, names: Names, *, skip: bool
) -> Asked:
    """What of a request is new; `known` is row -> number of the line that deleted it.

    Raises ConfigError for a request that was carried out already, that names nothing new, or, unless `skip`, one that
    names what was deleted.
    """
    if not rows:
        raise ConfigError("the request names no example")
    if len(set(rows)) < len(rows):
        twice = Counter(rows).most_common(1)[0][0]
        raise ConfigError(f"the request names {names.plain[twice]!r} twice")
    if (line := _same(rows, standing, names)) is not None:
        raise ConfigError(
            f"this request was carried out by line {line['number']} of the ledger ({line['time']})"
        )
    old = [row for row in rows if row in known]
    new = [row for row in rows if row not in known]
    if old and not (skip and new):
        lines = sorted({known[row] for row in old})
        by = f"line{'s' if len(lines) > 1 else ''} {', '.join(map(str, lines))}"
        what = shown([names.plain[row] for row in old])
        remedy = "--skip-known passes over them" if new else "nothing of it is left to forget"
        raise ConfigError(
            f"{len(old)} of the {len(rows)} examples of this request were deleted before ({what}; {by}): {remedy}"
        )
    return Asked(new, old)


def _same(rows: Sequence[int], standing: Standing, names: Names) -> Line | None:
    """The line that carried out a request for the same examples."""
    forms: dict[bool, frozenset[str]] = {}
    for line in standing.requests:
        request = line["request"]
        if len(request["names"]) + len(request["skipped"]) != len(rows):
            continue
        private = request["private"]
        if private not in forms:
            forms[private] = frozenset(names.written(rows, private))
        if forms[private] == {*request["names"], *request["skipped"]}:
            return line
    return None
