"""The design "request": one forget set, on many networks.

    O (original)      trained on D          what the method starts from
    U (unlearned)     the method on each O  judged
    A (retrained)     trained on D_r        the reference
    B (twin)          trained on D_r        the null: what a perfect unlearner looks like

N different originals, not one: with a single original U lacks the variance between originals, and even an exact method
is told from A.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from junlearn.audit.bank import Bank, Place
from junlearn.audit.by_example import by_example
from junlearn.audit.ensembles import Ensemble, check_apart, load, worst
from junlearn.audit.growth import Trained, train_missing
from junlearn.audit.inquiry import Contender, Inquiry, Rows, labels_of, rows_of
from junlearn.audit.judge import NOTHING, judge, told
from junlearn.audit.kept import Judged
from junlearn.audit.lines import Role, row_hash, row_of
from junlearn.audit.look import Look
from junlearn.audit.pictures import pictures
from junlearn.audit.streams import Stream
from junlearn.audit.unlearning import Unlearned, attempts, check_starts, starting, unlearn_missing
from junlearn.audit.yardstick import Yardstick
from junlearn.experiment.auditing import Auditing, twins
from junlearn.experiment.progress import Reporter
from junlearn.files import array_digest

__all__ = ["Banks", "banks_of", "judged", "networks"]


class Banks(NamedTuple):
    """Where the networks are, and what is kept of them."""

    originals: Bank
    """Of O, which serve every request on the same data."""
    request: Bank
    """Of A, B and U."""
    rows: Rows
    whole: Look
    """All examples, of O."""
    own: Look
    """The examples of the request, of A, B and U."""


def banks_of(inquiry: Inquiry, auditing: Auditing, directory: Path, reporter: Reporter) -> Banks:
    """The two banks of a request; nothing is read or written."""
    rows = rows_of(inquiry, auditing)
    margins = auditing.keep == "margins"
    kept = {} if not margins else {"keep": "margins"}
    originals = {"bank": "original", **inquiry.original, **kept}
    request = {
        "bank": "request",
        **inquiry.request,
        "rows": [array_digest(part) for part in rows],
        **kept,
    }
    if auditing.pairing == "matched":
        request["pairing"] = "matched"
    if auditing.originals == "one":
        request["originals"] = "one"
    train = np.arange(inquiry.sources["train"].y.shape[0])
    return Banks(
        Bank(directory, originals, reporter.say),
        Bank(directory, request, reporter.say),
        rows,
        Look(train, rows.test, margins),
        Look.at(rows, margins),
    )


def judged(
    inquiry: Inquiry,
    auditing: Auditing,
    banks: Banks,
    known: Callable[[str, Role, str], Judged | None],
    reporter: Reporter,
    failed: Callable[[str, Exception], None],
) -> Iterator[Judged]:
    """A line and its arrays for the originals, the twins and each method, as soon as they are there.

    What is `known`, by its hash, role and label, is not computed again. Networks that are missing are made. A method
    that fails is told to `failed`, and the next one's turn comes.
    """
    count, null = auditing.models, twins(auditing)
    began = time.perf_counter()
    starts = _places("original", count)
    made = [place for each in inquiry.contenders for place in _places(each.folder, count)]
    check_starts(banks.originals, starts, banks.request, made)
    wanted = networks(inquiry, auditing, banks)
    train_missing(inquiry, wanted, reporter, mixed=auditing.mixed)
    seconds = {"bank": time.perf_counter() - began}
    labels = labels_of(inquiry, banks.rows)
    whole = _whole_columns(inquiry, banks)
    before = load(banks.originals, _learned(wanted, "original"), whole, labels, "original")
    own = banks.rows.columns()
    after = load(banks.request, _learned(wanted, "retrain"), own, labels, "retrain")
    twin = load(banks.request, _learned(wanted, "twin"), own, labels, "twin") if null else None
    retrained = [after, *([] if twin is None else [twin])]
    check_apart([before, *retrained])
    yardstick = Yardstick(after, twin, labels, _classes(inquiry), auditing, before)
    for text in yardstick.remarks():
        reporter.say(text)
    judge_line = partial(
        _line, inquiry, auditing, banks, yardstick, before, known, reporter, seconds
    )
    yield judge_line("original", "original", before, {}, banks.originals)
    if twin is not None:
        yield judge_line("twin", "twin", twin, {}, banks.request)
    start = starting(inquiry, banks.originals, "original")
    one = auditing.originals == "one"

    def unlearned(contender: Contender) -> Judged:
        places = [
            place
            for place in _places(contender.folder, count)
            if one or place.number not in before.diverged
        ]
        ours = [Unlearned(place, 0 if one else place.number, inquiry.split) for place in places]
        began = time.perf_counter()
        unlearn_missing(
            *(inquiry, contender, banks.request, ours, start, Stream.ORIGINAL),
            *(banks.own, reporter),
            weights=auditing.save_weights,
            mixed=auditing.mixed,
        )
        spent = {"unlearn": time.perf_counter() - began}
        forgotten = dict.fromkeys(places, array_digest(inquiry.split.forget))
        side = load(banks.request, forgotten, own, labels, contender.label)
        check_apart(retrained, side)
        return judge_line(contender.label, "unlearn", side, spent, banks.request, contender.folder)

    yield from attempts(inquiry.contenders, unlearned, failed)


def networks(inquiry: Inquiry, auditing: Auditing, banks: Banks) -> list[Trained]:
    """The originals, the retrained networks and their twins, in an order that does not depend on what is there."""
    everything = np.arange(inquiry.sources["train"].y.shape[0])
    paired = Stream.ORIGINAL if auditing.pairing == "matched" else Stream.RETRAIN
    retain = inquiry.split.retain
    kinds = (
        (banks.originals, "original", auditing.models, everything, Stream.ORIGINAL, banks.whole),
        (banks.request, "retrain", auditing.models, retain, paired, banks.own),
        (banks.request, "twin", twins(auditing), retain, Stream.TWIN, banks.own),
    )
    return [
        Trained(bank, place, rows, stream, look, name == "original" or auditing.save_weights)
        for bank, name, count, rows, stream, look in kinds
        for place in _places(name, count)
    ]


def _learned(wanted: Sequence[Trained], ensemble: str) -> dict[Place, str]:
    """The places of an ensemble, and the digest of the rows of each."""
    return {
        each.place: array_digest(each.rows) for each in wanted if each.place.ensemble == ensemble
    }


def _places(ensemble: str, count: int) -> list[Place]:
    return [Place(ensemble, number) for number in range(count)]


def _whole_columns(inquiry: Inquiry, banks: Banks) -> dict[str, np.ndarray]:
    """Where the parts lie in the outputs of an original, which are those of all examples."""
    size = inquiry.sources["train"].y.shape[0]
    rows = banks.rows
    return {"forget": rows.forget, "retain": rows.retain, "test": size + rows.test}


def _classes(inquiry: Inquiry) -> int:
    """The classes of the network, and one that those are counted to predict that diverged."""
    model, sources = inquiry.model, inquiry.sources
    shapes = jax.eval_shape(model.init, jax.random.key(0), model.example(sources))
    return model.num_classes(shapes, sources) + 1


def _line(
    inquiry: Inquiry,
    auditing: Auditing,
    banks: Banks,
    yardstick: Yardstick,
    before: Ensemble,
    known: Callable[[str, Role, str], Judged | None],
    reporter: Reporter,
    seconds: Mapping[str, float],
    label: str,
    role: Role,
    side: Ensemble,
    spent: Mapping[str, float],
    bank: Bank,
    folder: str | None = None,
) -> Judged:
    """The line on one ensemble, found or made now."""
    marks = {"judged": side.marks, "retrain": yardstick.retrained.marks}
    twin = () if yardstick.twin is None else yardstick.twin.marks
    name = row_hash(auditing, {n: list(m) for n, m in (*marks.items(), ("twin", twin))})
    if (found := known(name, role, label)) is not None:
        return found
    about = dict(inquiry.about) | {"bank_hash": banks.request.hash}
    if side.too_many:
        reporter.say(f"audit: {side.too_many}")
        row = row_of(
            *(about, label, role, NOTHING._replace(verdict={"forget": side.too_many})),
            config_hash=name,
            auditing=auditing,
            models={"unlearned": side.size},
            diverged={"unlearned": len(side.diverged)},
            seconds=dict(spent),
        )
        return row, {}
    conditional = auditing.originals == "one" and role == "unlearn"
    with reporter.timing(f"{label}: judged"):
        done = judge(yardstick, side, conditional=conditional)
        lost = None
        if side.diverged:
            lost = judge(yardstick, worst(side, yardstick.classes - 1), conditional=conditional)
        arrays = dict(by_example(yardstick, side, before))
    more = told(yardstick, done, side, before)
    more["seconds"] |= {**seconds, **spent}
    more["seconds_each"] = bank.seconds_each(folder or role, side.size)
    rows = banks.rows.forget
    data = inquiry.sources["train"]
    arrays |= {"id": rows if data.id is None else np.asarray(data.id)[rows]}
    arrays |= pictures(inquiry, rows, arrays["exposed"])
    row = row_of(
        *(about, label, role, done),
        config_hash=name,
        auditing=auditing,
        worst=lost,
        **more,
    )
    return row, arrays
