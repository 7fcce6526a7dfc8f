"""Who fills a bank with what a method makes of the networks in it: one file for each network that it starts from."""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import jax

from junlearn.audit import streams
from junlearn.audit.bank import Bank, Place
from junlearn.audit.growth import CHUNK
from junlearn.audit.inquiry import Contender, Inquiry
from junlearn.audit.look import Look, keep
from junlearn.audit.mixture import tell
from junlearn.audit.streams import Stream
from junlearn.engine.abreast import One
from junlearn.engine.unlearn_each import unlearn_each
from junlearn.experiment.evaluate import of_the_machine
from junlearn.experiment.locks import exclusive
from junlearn.experiment.progress import Reporter
from junlearn.files import array_digest
from junlearn.methods import build
from junlearn.train import initial
from junlearn.types import Split, Variables

__all__ = ["Unlearned", "attempts", "check_starts", "starting", "unlearn_missing", "unlearn_part"]

T = TypeVar("T")


class Unlearned(NamedTuple):
    """A network that a method is to make."""

    place: Place
    start: int
    """The number of the network that it starts from."""
    split: Split


def check_starts(
    bank: Bank, starts: Sequence[Place], unlearned: Bank, wanted: Sequence[Place]
) -> None:
    """Read all of the networks that methods start from, if any of `wanted` is yet to be made: a damaged one is put
    aside, so that it is made again before that. What is asked of a network otherwise leaves its weights unread.
    """
    if any(unlearned.about(place) is None for place in wanted):
        for place in starts:
            bank.read(place, with_weights=True)


def starting(inquiry: Inquiry, bank: Bank, ensemble: str) -> Callable[[int], Variables]:
    """The networks that a method starts from, by number; two of them are kept in memory."""
    shapes = jax.eval_shape(
        inquiry.model.init, jax.random.key(0), inquiry.model.example(inquiry.sources)
    )
    return lru_cache(maxsize=2)(lambda number: bank.weights(Place(ensemble, number), shapes))


def attempts(
    contenders: Sequence[Contender],
    make: Callable[[Contender], T],
    failed: Callable[[str, Exception], None],
) -> Iterator[T]:
    """What `make` gives for each method; one that fails is told to `failed`, and the next one's turn comes."""
    for contender in contenders:
        try:
            found = make(contender)
        except Exception as error:
            if of_the_machine(error):
                raise
            failed(contender.label, error)
        else:
            yield found


def unlearn_missing(
    inquiry: Inquiry,
    contender: Contender,
    bank: Bank,
    wanted: Sequence[Unlearned],
    starts: Callable[[int], Variables],
    stream: Stream,
    look: Look,
    reporter: Reporter,
    *,
    weights: bool = False,
    mixed: bool = False,
    shared: bool = False,
) -> None:
    """Let a method make those of `wanted` that have no file; `starts` gives the network that each starts from.

    `shared`: as `junlearn.audit.growth.train_missing` has it.
    """
    if all(bank.about(each.place) is not None for each in wanted):
        tell(bank, [each.place for each in wanted], contender.code, reporter, mixed=True)
        return
    ensemble = wanted[0].place.ensemble
    with exclusive(bank.directory / ensemble, waiting=reporter.say, shared=shared):
        missing = [i for i, each in enumerate(wanted) if bank.about(each.place) is None]
        tell(bank, [each.place for each in wanted], contender.code, reporter, mixed or not missing)
        if not missing:
            return
        with reporter.counting(f"{contender.label}: {len(missing)} networks") as progress:
            noted = bank.notes(ensemble).get("how")
            how = noted or _how(bank, wanted)
            for one in _unlearn(inquiry, contender, wanted, missing, starts, stream, how, progress):
                each = wanted[one.number]
                if one.how != noted:
                    # Written down: the other way would give other bits.
                    noted = one.how
                    bank.note(ensemble, how=noted)
                if not bank.path(each.place).exists():
                    about = {"start": each.start, "forgets": array_digest(each.split.forget)}
                    keep(inquiry, bank, each.place, one, look, about, weights, contender.code)


def unlearn_part(
    inquiry: Inquiry,
    contender: Contender,
    bank: Bank,
    wanted: Sequence[Unlearned],
    *rest: Any,
    **options: Any,
) -> None:
    """As `unlearn_missing`, beside other processes, as `junlearn.audit.growth.train_part`; arguments are the same."""
    if wanted and not bank.notes(wanted[0].place.ensemble):
        unlearn_missing(inquiry, contender, bank, wanted[:CHUNK], *rest, **options)
    if wanted:
        unlearn_missing(inquiry, contender, bank, wanted, *rest, **options, shared=True)


def _how(bank: Bank, wanted: Sequence[Unlearned]) -> str:
    """How the networks that are there were made, where the notes on it are gone; else "auto"."""
    found = (bank.about(each.place) for each in wanted)
    return next((about["how"] for about in found if about and "how" in about), "auto")


def _unlearn(
    inquiry: Inquiry,
    contender: Contender,
    wanted: Sequence[Unlearned],
    missing: list[int],
    starts: Callable[[int], Variables],
    stream: Stream,
    how: str,
    progress: Any,
) -> Iterator[One]:
    seeds = inquiry.seeds
    method = build(contender.thing, contender.config, inquiry.model)

    def begun(number: int) -> Variables:
        key = streams.network_key(seeds["initialisation"], stream, wanted[number].start)
        return initial(inquiry.model, inquiry.sources, key=key)

    chunks: dict[int, list[int]] = {}
    for i in missing if how == "loop" else range(len(wanted)):
        chunks.setdefault(i // CHUNK, []).append(i)
    gone = set(missing)
    return unlearn_each(
        method,
        inquiry.model,
        inquiry.sources,
        [each.split for each in wanted],
        lambda number: starts(wanted[number].start),
        **streams.drawn(seeds, "method", [(Stream.METHOD, each.place.number) for each in wanted]),
        views=inquiry.views,
        how=how,  # type: ignore[arg-type]
        chunks=[chunk for chunk in chunks.values() if gone & set(chunk)],
        loop=inquiry.loop,
        mesh=inquiry.mesh,
        initial=begun if method.with_initial is not None else None,
        progress=progress,
        diverging="kept",
    )
