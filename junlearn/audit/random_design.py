"""The design "random": many runs, each trained on the base and half of the targets, and asked to forget its targets.

The coins that say which run has which target are the null: see `junlearn.audit.coins`. A run is trained once and serves
every method; each of its requests is one unlearning.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from junlearn.audit import coins
from junlearn.audit.bank import Bank, Place
from junlearn.audit.coins import Coins
from junlearn.audit.ensembles import Ensemble, check_apart, load
from junlearn.audit.growth import Trained, train_missing
from junlearn.audit.inquiry import Contender, Inquiry, Rows, labels_of
from junlearn.audit.kept import Judged
from junlearn.audit.lines import Role, row_hash, row_of
from junlearn.audit.look import Look
from junlearn.audit.pictures import pictures
from junlearn.audit.random_judge import Runs, judge_runs, judge_unlearned
from junlearn.audit.streams import Stream
from junlearn.audit.unlearning import Unlearned, attempts, check_starts, starting, unlearn_missing
from junlearn.errors import ConfigError
from junlearn.experiment.auditing import Auditing
from junlearn.experiment.progress import Reporter
from junlearn.files import array_digest

__all__ = ["Banks", "banks_of", "judged", "networks", "requests"]


class Banks(NamedTuple):
    """Where the networks are, and what was drawn for them."""

    request: Bank
    """Of the runs, and of what methods make of them."""
    coins: Coins
    rows: Rows
    """The targets in the place of a forget set, and the test set."""
    look: Look
    """The same examples."""


def banks_of(inquiry: Inquiry, auditing: Auditing, directory: Path, reporter: Reporter) -> Banks:
    """The bank of the runs, and their coins; nothing is read or written.

    Raises ConfigError where there are too few examples to be targets.
    """
    pool = inquiry.pool
    count = min(auditing.targets, len(pool))
    rng = np.random.default_rng((auditing.seed, 0))
    targets = np.sort(rng.choice(pool, count, replace=False))
    drawn = coins.draw(targets, 2 * auditing.models, auditing.forget_sets, auditing.seed)
    test = inquiry.sources["test"].y.shape[0] if "test" in inquiry.sources else 0
    identity = {
        "bank": "run",
        **inquiry.original,
        "targets": array_digest(targets),
        "forget_sets": auditing.forget_sets,
        "coins": auditing.seed,
        "method_seed": inquiry.seeds["method"],
    }
    if auditing.keep == "margins":
        identity["keep"] = "margins"
    rows = Rows(targets, targets[:0], np.arange(test))
    look = Look.at(rows, auditing.keep == "margins")
    return Banks(Bank(directory, identity, reporter.say), drawn, rows, look)


def judged(
    inquiry: Inquiry,
    auditing: Auditing,
    banks: Banks,
    known: Callable[[str, Role, str], Judged | None],
    reporter: Reporter,
    failed: Callable[[str, Exception], None],
) -> Iterator[Judged]:
    """A line and its arrays for the runs themselves and for each method; arguments as in the design "request"."""
    bank, drawn = banks.request, banks.coins
    count = len(drawn.included)
    began = time.perf_counter()
    wanted = networks(inquiry, banks)
    places = [each.place for each in wanted]
    made = [
        Place(contender.folder, number)
        for contender in inquiry.contenders
        for number in range(count * drawn.sets)
    ]
    check_starts(bank, places, bank, made)
    train_missing(inquiry, wanted, reporter, mixed=auditing.mixed)
    trained = time.perf_counter() - began
    labels, columns = labels_of(inquiry, banks.rows), banks.rows.columns()
    learned = {each.place: array_digest(each.rows) for each in wanted}
    before = _whole(load(bank, learned, columns, labels, "run"))
    check_apart([before])
    runs = Runs(drawn, before, coins.folds(drawn, auditing.folds), labels, auditing)

    def line(
        label: str,
        role: Role,
        marks: list[str],
        judge: Callable,
        spent: Mapping[str, float],
        folder: str,
    ) -> Judged:
        name = row_hash(auditing, {"judged": marks, "runs": list(before.marks)})
        if (found := known(name, role, label)) is not None:
            return found
        with reporter.timing(f"{label}: judged"):
            done, more, arrays = judge()
        arrays |= {"id": drawn.targets}
        if "exposed" in arrays:
            arrays |= pictures(inquiry, drawn.targets, arrays["exposed"])
        for text in more["remarks"]:
            reporter.say(text)
        about = dict(inquiry.about) | {"bank_hash": bank.hash}
        total = count if role == "original" else count * drawn.sets
        more["seconds"] = done.seconds | {"bank": trained, **spent}
        row = row_of(
            *(about, label, role, done),
            config_hash=name,
            auditing=auditing,
            seconds_each=bank.seconds_each(folder, total),
            **more,
        )
        return row, arrays

    yield line("original", "original", [], partial(judge_runs, runs), {}, "run")
    start = starting(inquiry, bank, "run")

    def unlearned(contender: Contender) -> Judged:
        folder = contender.folder
        asked = requests(inquiry, contender, banks, range(count))
        began = time.perf_counter()
        unlearn_missing(
            *(inquiry, contender, bank, asked, start, Stream.RUN, banks.look, reporter),
            weights=auditing.save_weights,
            mixed=auditing.mixed,
        )
        spent = {"unlearn": time.perf_counter() - began}
        forgotten = {each.place: array_digest(each.split.forget) for each in asked}
        after = _whole(load(bank, forgotten, columns, labels, contender.label))
        judge = partial(judge_unlearned, runs, after)
        return line(contender.label, "unlearn", list(after.marks), judge, spent, folder)

    yield from attempts(inquiry.contenders, unlearned, failed)


def networks(inquiry: Inquiry, banks: Banks) -> list[Trained]:
    """The runs."""
    size, drawn = inquiry.sources["train"].y.shape[0], banks.coins
    return [
        Trained(
            *(banks.request, Place("run", s), coins.training_rows(drawn, s, size)),
            *(Stream.RUN, banks.look, True),
        )
        for s in range(len(drawn.included))
    ]


def requests(
    inquiry: Inquiry, contender: Contender, banks: Banks, runs: Iterable[int]
) -> list[Unlearned]:
    """What a method makes of these runs: one network for each of their forget sets."""
    size, tests = inquiry.sources["train"].y.shape[0], len(banks.rows.test)
    drawn = banks.coins
    return [
        Unlearned(
            Place(contender.folder, s * drawn.sets + f), s, coins.request(drawn, s, f, size, tests)
        )
        for s in runs
        for f in range(drawn.sets)
    ]


def _whole(ensemble: Ensemble) -> Ensemble:
    """The ensemble, none of whose networks may be missing: coins are balanced over all of them."""
    if ensemble.diverged:
        total = len(ensemble.numbers) + len(ensemble.diverged)
        raise ConfigError(
            f"audit: {len(ensemble.diverged)} of {total} networks of {ensemble.name} diverged; nothing to judge: the "
            "coins are balanced over all runs"
        )
    return ensemble
