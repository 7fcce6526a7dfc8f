"""One deletion request, from the names in it to a new current network and the lines that say so.

The order of the writes is what a kill cannot break: the network first, complete on disk, then the line that names it.
What the policy then asks for are lines of their own; a command that was killed between two of them is made up for by
the next one.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from junlearn.engine.precision import matmuls
from junlearn.experiment.locks import exclusive
from junlearn.experiment.progress import Reporter
from junlearn.ledger import carrying, chain, likenesses, network_archive
from junlearn.ledger.asked import Asked, sort_out
from junlearn.ledger.beginning import made_with, now, rounded
from junlearn.ledger.carrying import Start
from junlearn.ledger.chain import Chain, Line
from junlearn.ledger.names import Names, shown
from junlearn.ledger.policy import DISTANCE
from junlearn.ledger.remains import in_words, remains_of, remove_entries
from junlearn.ledger.scene import Scene, load, read_data, scene_of
from junlearn.ledger.standing import Standing, standing_of
from junlearn.methods import METHODS
from junlearn.types import Dataset, Variables

__all__ = ["Wishes", "forget", "purge"]

Request = Callable[[Dataset], list[int]]
"""The rows that a request names, in its order; raises ConfigError."""


class Wishes(NamedTuple):
    """How a request is carried out."""

    private: bool = False
    """Write salted hashes in the place of names; a ledger that is private as a whole does it in any case."""
    with_twins: bool = False
    """Delete exact copies of the images along."""
    skip_known: bool = False
    """Pass over what was deleted before."""
    near: int = 0
    """Say so many of the retained images that look most like those of the request."""
    dry_run: bool = False
    """Say what would be done, and change nothing."""


class _Open(NamedTuple):
    """A ledger that this process holds."""

    directory: Path
    chain: Chain
    standing: Standing
    scene: Scene
    names: Names
    known: dict[int, int]
    """Row -> number of the line that deleted it."""
    reporter: Reporter

    def load(self, name: str) -> Variables:
        """A network of the ledger."""
        return network_archive.load(self.directory, name, self.scene.shapes)

    def after(self, line: Line) -> "_Open":
        """The ledger with one more line."""
        added = chain.append(self.directory, self.chain, line)
        return self._replace(chain=added, standing=standing_of(self.directory, added.lines))


def forget(
    directory: Path, request: Request, wishes: Wishes, cache_dir: str | None, reporter: Reporter
) -> Line | None:
    """Carry out a request, and what the policy asks for after it; returns the request's line, None of a dry run.

    Raises ConfigError for a request that cannot be carried out, DamagedError for a ledger that is not as it was
    written.
    """
    # Looked at before the lock, which would make a directory.
    chain.read(directory)
    with exclusive(directory, waiting=reporter.say):
        found = chain.read(directory)
        standing = standing_of(directory, found.lines)
        experiment = load(directory, standing.first["config"])
        with matmuls(experiment.matmul_precision):
            began = time.perf_counter()
            dataset, surrogate, names, known = read_data(
                experiment, directory, standing, cache_dir, reporter
            )
            scene = scene_of(experiment, (dataset, surrogate), known)
            held = _Open(directory, found, standing, scene, names, known, reporter)
            if not wishes.dry_run:
                held = _settled(_mended(held))
            asked = sort_out(request(dataset), known, held.standing, names, skip=wishes.skip_known)
            seconds = {"data": time.perf_counter() - began}
            done = _carried_out(held, asked, wishes, seconds)
            if done is None:
                return None
            line = done.standing.requests[-1]
            _settled(done)
            return line


def purge(directory: Path, cache_dir: str | None, reporter: Reporter) -> list[str]:
    """Remove what is left of deleted images: earlier networks, and what lies in the cache; returns what stays.

    The line is written first. So a ledger whose networks are gone says so, whenever the process is killed.
    """
    chain.read(directory)
    with exclusive(directory, waiting=reporter.say):
        found = chain.mend(directory, chain.read(directory))
        standing = standing_of(directory, found.lines)
        remains = remains_of(standing, cache_dir)
        if not any(remains):
            network_archive.remove_all_but(directory, standing.networks)
            return []
        line = {
            "kind": "purge",
            "time": now(),
            "networks": list(remains.networks),
            "cache": [str(entry.path) for entry in remains.entries],
        }
        after = chain.append(directory, found, line)
        for words in in_words(remains, directory):
            reporter.say(f"removed: {words}")
        named = standing_of(directory, after.lines).networks
        network_archive.remove_all_but(directory, named)
        return remove_entries(remains)


def _mended(held: _Open) -> _Open:
    """Without what processes that were killed have left."""
    found = chain.mend(held.directory, held.chain)
    network_archive.remove_all_but(held.directory, held.standing.networks)
    return held._replace(chain=found)


def _carried_out(
    held: _Open, asked: Asked, wishes: Wishes, seconds: dict[str, float]
) -> _Open | None:
    """The ledger with the line of the request; None after a dry run."""
    scene, names, say = held.scene, held.names, held.reporter.say
    clock = _Clock(seconds)
    private = wishes.private or held.standing.first["private"]
    if asked.skipped:
        say(f"passed over, deleted before: {shown(names.written(asked.skipped, False))}")
    split = scene.split(asked.new)
    images = scene.setup.dataset.sources["train"].x
    twins = likenesses.twins(images, split)
    if twins:
        verb = "deleted along" if wishes.with_twins else "retained; --with-twins takes them along"
        count = (
            "1 image is an exact copy"
            if len(twins) == 1
            else f"{len(twins)} images are exact copies"
        )
        say(f"{count} of images of the request, {verb}: {shown(names.written(twins, False))}")
    taken = bool(twins) and wishes.with_twins
    rows = [*asked.new, *twins] if taken else asked.new
    split = scene.split(rows)
    clock.lap("twins")
    start = Start(held.load(held.standing.current), held.standing.current)
    if wishes.near:
        for near in likenesses.near_copies(scene, split, start.variables, wishes.near):
            pair = names.plain[near.retained], names.plain[near.forgotten]
            say(f"near copy, retained: {pair[0]} of {pair[1]}, distance {near.distance:.4f}")
        clock.lap("near")
    say(
        f"{len(rows):,} examples to forget, {len(split.retain):,} to retain, {len(held.known):,} deleted before"
    )
    if wishes.dry_run:
        return None
    number = len(held.standing.requests)
    done = carrying.unlearned(scene, split, start, number, held.directory, held.reporter)
    clock.lap("unlearning")
    after = network_archive.save(held.directory, done.variables)
    if after == start.name:
        say(f"{scene.label} changed nothing: its settings are too weak for this network")
    clock.lap("writing")
    values = carrying.measured(scene, split, done.variables, scene.label, held.reporter)
    values |= done.reported | _distance(held, done.variables)
    clock.lap("metrics")
    line = {
        "kind": "forget",
        "time": now(),
        "request": {
            "count": len(asked.new),
            "by": names.by,
            "private": private,
            "names": names.written(asked.new, private),
            "skipped": names.written(asked.skipped, private),
        },
        "twins": {
            "count": len(twins),
            "taken": taken,
            "names": names.written(twins, private),
        },
        "deleted": len(held.known) + len(rows),
        "retained": len(split.retain),
        "network": {"before": start.name, "after": after},
        "method": scene.label,
        "exact": scene.exact,
        "config": held.standing.first["config"],
        "fingerprint": scene.setup.dataset.fingerprint,
        "decoded": scene.setup.dataset.decoded,
        "metrics": values,
        "seconds": rounded(
            clock.seconds
            | {
                "compile": done.seconds["compile"],
                "steps": done.seconds["run"],
                "total": sum(clock.seconds.values()),
            }
        ),
        **made_with(scene, scene.thing),
    }
    gone = dict.fromkeys(rows, len(held.chain.lines) + 1)
    held = held.after(line)
    carrying.clear(held.directory)
    return _without(held, gone)


def _without(held: _Open, rows: dict[int, int]) -> _Open:
    """The ledger on data without these rows too."""
    setup = held.scene.setup
    known = held.known | rows
    scene = scene_of(setup.experiment, (setup.dataset, setup.surrogate), known)
    return held._replace(known=known, scene=scene)


def _settled(held: _Open) -> _Open:
    """The ledger after all that the policy asks for, with a line for each step."""
    standing, say = held.standing, held.reporter.say
    if not standing.decided:
        decision = standing.decision()
        say(f"policy: {'retrain' if decision.retrain else 'go on'}, {decision.because}")
        about = standing.requests[-1]["number"]
        held = held.after(
            {"kind": "decision", "time": now(), "request": about, **decision._asdict()}
        )
    due = held.standing.due
    if due is None:
        return held
    clock = _Clock({})
    before = held.standing.current
    done = carrying.retrained(held.scene, held.directory, held.reporter)
    clock.lap("training")
    after = network_archive.save(held.directory, done.variables)
    clock.lap("writing")
    split = held.scene.setup.split
    values = carrying.measured(held.scene, split, done.variables, "retrain", held.reporter)
    clock.lap("metrics")
    line = {
        "kind": "retrain",
        "time": now(),
        "decision": due["number"],
        "retained": len(split.retain),
        "network": {"before": before, "after": after},
        "config": held.standing.first["config"],
        "metrics": values,
        "seconds": rounded(clock.seconds | {"total": sum(clock.seconds.values())}),
        **made_with(held.scene, METHODS["retrain"]),
    }
    held = held.after(line)
    carrying.clear(held.directory)
    return held


def _distance(held: _Open, variables: Variables) -> dict[str, float]:
    """How far a network is from the last exact one, where the policy asks; empty where that one was purged."""
    standing = held.standing
    exact = standing.exact["network"]["after"]
    if standing.policy.metric != DISTANCE or exact in standing.purged:
        return {}
    return {DISTANCE: carrying.distance(variables, held.load(exact))}


class _Clock:
    """Wall time of the parts of a request."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self.seconds, self._last = dict(seconds), time.perf_counter()

    def lap(self, part: str) -> None:
        """End a part."""
        now = time.perf_counter()
        self.seconds[part], self._last = now - self._last, now
