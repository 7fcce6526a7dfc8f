"""Checks that compare a run with another one that must give the same numbers."""

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from junlearn.engine import checkpoint
from junlearn.engine.run import Result
from junlearn.parts import feeds
from junlearn.testing.differences import histories_differ, numbers_differ
from junlearn.testing.problems import IMPOSSIBLE, Problem
from junlearn.testing.subject import NotApplicable, Subject
from junlearn.types import Feed, Method, PyTree, Sources, Stage

__all__ = [
    "equal_keys",
    "inputs_unchanged",
    "masked_rows",
    "needs",
    "resume",
    "scan",
]

WIDER = 5
"""Masked rows that are added to every batch."""


class Killed(BaseException):
    """Stands for the end of the process; nothing in a run takes it for an error."""


def equal_keys(subject: Subject) -> None:
    """Two runs with equal keys give equal weights and metrics, to the bit."""
    changes = _unrepeated(subject)
    assert not changes, (
        f"two runs with equal keys differ: {changes}; draw only from the key of the state and the rng of the feed"
    )


def inputs_unchanged(subject: Subject) -> None:
    """The images, labels and row numbers that a run was given are what they were."""
    for problem in (subject.dense, subject.normed):
        plain = subject.plain(problem)
        (sources, split), (sources_after, split_after) = plain.before, plain.after
        for name, data in sources.items():
            changes = numbers_differ(data, sources_after[name])
            assert not changes, f"the run changes the source {name!r}: {changes}; change a copy"
        for name, rows in split._asdict().items():
            same = np.array_equal(rows, getattr(split_after, name))
            assert same, f"the run changes split.{name}; change a copy"


def scan(subject: Subject) -> None:
    """`lax.scan` over the steps, as on a GPU, gives what the Python loop over the compiled step gives."""
    subject.stages(subject.dense)
    plain = _repeated(subject)
    other = subject.other("in a scan", subject.dense, loop="scan")
    changes = numbers_differ(other.variables, plain.variables, rtol=1e-5, atol=1e-6)
    changes = changes or histories_differ(plain.history, other.history, rtol=1e-4)
    assert not changes, f"a scan gives other numbers than the Python loop: {changes}"


def masked_rows(subject: Subject) -> None:
    """Rows with mask False change nothing, the moments of BatchNorm included."""
    _repeated(subject)
    problem = subject.normed
    plain = subject.plain(problem).result
    changed = []

    def widen(feed: Feed) -> Feed:
        changed.append(feed.index.shape[1])
        return feeds.pad_rows(feed, feed.index.shape[1] + WIDER)

    def widened(stage: Stage) -> Stage:
        def feed(rng: np.random.Generator, state: PyTree) -> PyTree:
            return jax.tree.map(widen, stage.feed(rng, state), is_leaf=feeds.is_feed)

        return stage._replace(feed=feed)

    method = with_stages(subject.anew(problem), widened)
    other = subject.other("with masked rows added", problem, method)
    if not any(changed):
        raise NotApplicable("no stage is fed any rows")
    changes = numbers_differ(other.variables, plain.variables, rtol=1e-4, atol=1e-5)
    assert not changes, (
        f"rows with mask False change the result: {changes}; take sums and means over batch.mask, and pass mask to "
        "apply in train mode"
    )


def needs(subject: Subject) -> None:
    """The result is the same, to the bit, where all that NEEDS does not name is NaN or an impossible label, and all
    that is in neither set too.
    """
    plain = _repeated(subject)
    problem = subject.dense
    hidden = [name for name in _columns(problem) if name not in subject.needs]
    if _same_without(subject, hidden, plain):
        return
    assert _same_without(subject, [], plain), (
        "the method reads training examples that are neither to be forgotten nor retained, as those are that an "
        "earlier request has deleted: take rows of split.forget and split.retain alone"
    )
    read = [name for name in hidden if not _same_without(subject, [name], plain)]
    raise AssertionError(f"the method reads {', '.join(read or hidden)}, which NEEDS does not name")


def resume(subject: Subject) -> None:
    """A run that is killed twice goes on from its checkpoints, and ends with the same numbers, to the bit."""
    subject.stages(subject.dense)
    plain = _repeated(subject)
    most = subject.plain(subject.dense).reports
    if most < 2:
        raise NotApplicable("the plan is done before there is a checkpoint in the midst of it")
    with tempfile.TemporaryDirectory() as folder:
        store = checkpoint.Store(Path(folder) / "run", owner="check")
        _killed(subject, store, lambda reports, epochs: reports == min(3, most))
        # Before this run has drawn the first epochs: whatever counts them outside of the state begins anew.
        _killed(subject, store, lambda reports, epochs: epochs == 2)
        assert checkpoint.exists(store), "the run was killed before it saved a checkpoint"
        resumed = subject.other("from a checkpoint", subject.dense, store=store)
        changes = _changes(plain, resumed)
        assert not changes, (
            f"a run that goes on from a checkpoint ends otherwise: {changes}; keep what the next step needs in the "
            "State, and let feeds read nothing but rng and state"
        )
        again = subject.other("from the last checkpoint", subject.dense, store=store)
        changes = _changes(plain, again)
        assert not changes, f"a finished run that is read back differs: {changes}"


def with_stages(method: Method, change: Callable[[Stage], Stage]) -> Method:
    """The method with `change` applied to each of its stages."""
    return method._replace(plan=lambda split: [change(stage) for stage in method.plan(split)])


def _unrepeated(subject: Subject) -> str:
    """How a second run, with steps of its own, differs from the first one; asked once."""
    if subject.unrepeated is None:
        problem = subject.dense
        plain = subject.plain(problem).result
        other = subject.other("a second time", problem, subject.anew(problem))
        subject.unrepeated = _changes(plain, other)
    return subject.unrepeated


def _repeated(subject: Subject) -> Result:
    """The plain run on the dense problem. Raises NotApplicable where not even an equal run gives the same."""
    if _unrepeated(subject):
        raise NotApplicable("two equal runs differ already; see equal_keys")
    return subject.plain(subject.dense).result


def _changes(plain: Result, other: Result) -> str:
    return numbers_differ(other.variables, plain.variables) or histories_differ(
        plain.history, other.history
    )


def _killed(subject: Subject, store: checkpoint.Store, ends: Callable[[int, int], bool]) -> None:
    """A run that goes on until `ends(reports, epochs)`, the numbers of its reports and of the epochs it has drawn."""
    reports = epochs = 0

    def counted(stage: Stage) -> Stage:
        def feed(rng: np.random.Generator, state: PyTree) -> PyTree:
            nonlocal epochs
            epochs += 1
            return stage.feed(rng, state)

        return stage._replace(feed=feed)

    def progress(*_: Any) -> None:
        nonlocal reports
        reports += 1
        if ends(reports, epochs):
            raise Killed

    method = with_stages(subject.method(subject.dense), counted)
    options: dict[str, Any] = {"store": store, "save_seconds": 0, "progress": progress}
    with contextlib.suppress(Killed):
        subject.other("with checkpoints", subject.dense, method, **options)


def _columns(problem: Problem) -> list[str]:
    """What of the problem a method can read and name in NEEDS."""
    names = ["forget.x", "forget.y", "retain.x", "retain.y", "test.x", "test.y"]
    further = ["surrogate.x", "validation.x", "validation.y"]
    return names + [name for name in further if name.partition(".")[0] in problem.sources]


def _same_without(subject: Subject, hidden: list[str], plain: Result) -> bool:
    problem = subject.dense
    inputs = (_spoilt(problem, hidden), problem.split)
    try:
        other = subject.other("", problem, inputs=inputs)
    except AssertionError:
        return False
    return not _changes(plain, other)


def _spoilt(problem: Problem, hidden: list[str]) -> Sources:
    """The sources, in which the columns `hidden`, and all rows of neither set, hold nothing that anybody could use."""
    sources = {
        name: data._replace(x=data.x.copy(), y=data.y.copy())
        for name, data in problem.sources.items()
    }
    rows: dict[str, Any] = {"forget": problem.split.forget, "retain": problem.split.retain}
    everything = np.arange(sources["train"].y.shape[0])
    rows["neither"] = np.setdiff1d(everything, np.concatenate(list(rows.values())))
    for column in ("neither.x", "neither.y", *hidden):
        name, _, part = column.partition(".")
        data = sources["train" if name in rows else name]
        at = rows.get(name, slice(None))
        if part == "y":
            data.y[at] = IMPOSSIBLE
        elif np.issubdtype(data.x.dtype, np.floating):
            data.x[at] = np.nan
        else:
            data.x[at] = 255 - data.x[at]
    return sources
