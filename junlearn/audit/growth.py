"""Who fills a bank: networks are trained until each that is asked for has its file.

Networks 0..7, 8..15, ... are always trained in the same chunks, at the same places of one program, so that their bits
depend neither on how many networks a bank has nor on when it was killed. A chunk in flight is what a kill costs, on
several devices a chunk each.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

import numpy as np

from junlearn.audit import streams
from junlearn.audit.bank import Bank, Place
from junlearn.audit.inquiry import Inquiry
from junlearn.audit.look import Look, keep
from junlearn.audit.mixture import tell
from junlearn.audit.streams import Stream
from junlearn.engine.abreast import NoRoom
from junlearn.experiment.locks import exclusive
from junlearn.experiment.progress import Reporter
from junlearn.files import array_digest
from junlearn.many import train_each

__all__ = ["CHUNK", "Trained", "train_missing", "train_part"]

CHUNK = 8
"""Networks that are trained side by side, at most: what a kill can cost."""
WAY = ("how", "places")
"""What the bits of a network depend on, beside its data, recipe and seeds."""


class Trained(NamedTuple):
    """A network that is to be trained."""

    bank: Bank
    place: Place
    rows: np.ndarray
    """int[]: what it is trained on."""
    stream: Stream
    """Of its seeds."""
    look: Look
    weights: bool
    """Whether they are kept."""


def train_missing(
    inquiry: Inquiry,
    wanted: Sequence[Trained],
    reporter: Reporter,
    *,
    mixed: bool = False,
    shared: bool = False,
) -> None:
    """Train those of `wanted` that have no file. All of one ensemble stand together, by number, in whole chunks.

    With `shared` others who share the banks train at the same time; what two of them want is trained twice, and kept
    once.

    Raises ConfigError where an ensemble would be of several versions, kinds of device or codes, unless it may be
    `mixed`, and where not one network has room.
    """
    banks = list(dict.fromkeys(each.bank for each in wanted))
    whole = all(each.bank.about(each.place) is not None for each in wanted)
    if whole and all(bank.notes() for bank in banks):
        _attribute(wanted, inquiry.code, reporter, mixed=True)
        return
    with ExitStack() as held:
        for bank in sorted(banks, key=lambda b: b.directory):
            held.enter_context(exclusive(bank.directory, waiting=reporter.say, shared=shared))
        missing = [i for i, each in enumerate(wanted) if each.bank.about(each.place) is None]
        _attribute(wanted, inquiry.code, reporter, mixed=mixed or not missing)
        ways = {bank: _way(bank, wanted) for bank in banks}
        for bank, way in ways.items():
            if way and not bank.notes():
                bank.note(**way)
        if not missing:
            return
        # A new bank is filled in the way that another one was.
        usual = next(filter(None, ways.values()), {})
        by_way: dict[tuple, list[int]] = {}
        for i in missing:
            way = ways[wanted[i].bank] or usual
            by_way.setdefault(tuple(sorted(way.items())), []).append(i)
        with reporter.counting(f"training {len(missing)} networks") as progress:
            for items, part in by_way.items():
                _train(inquiry, wanted, part, dict(items), progress)


def train_part(
    inquiry: Inquiry, wanted: Sequence[Trained], reporter: Reporter, *, mixed: bool = False
) -> None:
    """As `train_missing`, beside other processes that do the same with other networks of these banks.

    How a bank is filled is settled by the first chunk in it, for all of them: whoever trains that has it alone.
    """
    first: list[Trained] = []
    for bank in dict.fromkeys(each.bank for each in wanted):
        first += [each for each in wanted if each.bank is bank][:CHUNK]
        if not bank.notes():
            train_missing(inquiry, first, reporter, mixed=mixed)
    train_missing(inquiry, wanted, reporter, mixed=mixed, shared=True)


def _way(bank: Bank, wanted: Sequence[Trained]) -> dict[str, Any]:
    """How the networks of a bank are trained: by its notes, or, where these are gone, by its files; empty of a new one.

    Another way would give other bits.
    """
    if notes := bank.notes():
        return notes
    for each in wanted:
        about = bank.about(each.place) if each.bank is bank else None
        if about is not None:
            return {name: about[name] for name in WAY if name in about}
    return {}


def _train(
    inquiry: Inquiry,
    wanted: Sequence[Trained],
    missing: list[int],
    way: Mapping[str, Any],
    progress: Any,
) -> None:
    how, places = way.get("how", "auto"), int(way.get("places", CHUNK))
    while True:
        try:
            _train_in(inquiry, wanted, missing, how, places, progress)
            return
        except NoRoom as error:
            if error.size < 1 or places == 1:
                raise
            # Written down: a resumed bank would else have other bits.
            places = max(1, min(places // 2, error.size))


def _train_in(
    inquiry: Inquiry,
    wanted: Sequence[Trained],
    missing: list[int],
    how: str,
    places: int,
    progress: Any,
) -> None:
    ones = train_each(
        inquiry.recipe,
        inquiry.model,
        inquiry.sources,
        [each.rows for each in wanted],
        **streams.drawn(
            inquiry.seeds, "initialisation", [(each.stream, each.place.number) for each in wanted]
        ),
        views=inquiry.views,
        how=how,  # type: ignore[arg-type]
        chunks=_chunks(wanted, missing, how, places),
        places=places,
        loop=inquiry.loop,
        mesh=inquiry.mesh,
        progress=progress,
        diverging="kept",
    )
    unsaid = {wanted[i].bank for i in missing}
    for one in ones:
        each = wanted[one.number]
        for bank in unsaid:
            bank.note(how=one.how, places=places)
        unsaid = set()
        if each.bank.path(each.place).exists():
            continue
        about = {
            "stream": each.stream.name.lower(),
            "trained_on": array_digest(np.asarray(each.rows)),
            "loss": one.history[-1]["loss"] if one.history else None,
            "places": places,
        }
        keep(inquiry, each.bank, each.place, one, each.look, about, each.weights, inquiry.code)


def _chunks(
    wanted: Sequence[Trained], missing: list[int], how: str, places: int
) -> list[list[int]]:
    """Models by their place in `wanted`: whole chunks where some are missing; one by one only those that are."""
    if how == "loop":
        return [[i] for i in missing]
    groups: dict[Any, list[int]] = {}
    for i, each in enumerate(wanted):
        name = (each.bank.hash, each.place.ensemble, each.place.number // places)
        groups.setdefault(name, []).append(i)
    gone = set(missing)
    return [group for group in groups.values() if gone & set(group)]


def _attribute(
    wanted: Sequence[Trained], code: Mapping[str, str], reporter: Reporter, *, mixed: bool
) -> None:
    ensembles: dict[tuple[Bank, str], list[Place]] = {}
    for each in wanted:
        ensembles.setdefault((each.bank, each.place.ensemble), []).append(each.place)
    for (bank, _), places in ensembles.items():
        tell(bank, places, code, reporter, mixed)
