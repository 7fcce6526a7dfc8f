"""One of several jobs that fill the banks of an audit together: it makes its part of the networks, and judges nothing.

The chunks of all ensembles go to the jobs in turn, whole, so that a network has the bits that one process alone would
give it. What methods make of a network is the part of the job that has the network they start from.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from junlearn.audit import random_design, request_design
from junlearn.audit.bank import Bank, Place
from junlearn.audit.carry import check_labels
from junlearn.audit.growth import CHUNK, Trained, train_part
from junlearn.audit.inquiry import Contender, Inquiry
from junlearn.audit.look import Look
from junlearn.audit.streams import Stream
from junlearn.audit.unlearning import Unlearned, attempts, check_starts, starting, unlearn_part
from junlearn.errors import ConfigError
from junlearn.experiment.auditing import Auditing
from junlearn.experiment.progress import Reporter
from junlearn.experiment.sharding import Shard

__all__ = ["fill"]


class _Plan(NamedTuple):
    """All networks of an audit."""

    networks: list[Trained]
    ensemble: str
    """Of them, what methods start from."""
    requests: Callable[[Contender, Sequence[int]], list[Unlearned]]
    """What a method makes of those with these numbers."""
    unlearned: Bank
    """Where that is kept."""
    stream: Stream
    look: Look


def fill(
    inquiry: Inquiry,
    auditing: Auditing,
    directory: Path,
    shard: Shard,
    reporter: Reporter,
    failed: Callable[[str, Exception], None],
) -> None:
    """Make the networks of a job that are not there; a method that fails is told to `failed`.

    Banks are below `directory`. Raises ConfigError as an audit does, and where all methods start from one network.
    """
    check_labels(inquiry)
    if auditing.originals == "one":
        raise ConfigError(
            'audit: --shard: with originals = "one" all networks start from that of one job; leave --shard out'
        )
    planned = _request if auditing.design == "request" else _random
    plan = planned(inquiry, auditing, directory, reporter)
    chunks = list(dict.fromkeys(map(_chunk, plan.networks)))
    mine = set(shard.part(chunks))
    own = [each for each in plan.networks if _chunk(each) in mine]
    if not own:
        reporter.say(f"shard {shard}: there are {len(chunks)} chunks of networks, nothing to do")
        return
    reporter.say(f"shard {shard}: {len(own)} of {len(plan.networks)} networks to train")
    begun = [each for each in own if each.place.ensemble == plan.ensemble]
    numbers = [each.place.number for each in begun]
    asked = {c.label: plan.requests(c, numbers) for c in inquiry.contenders}
    if begun:
        base, made = begun[0].bank, [each.place for part in asked.values() for each in part]
        check_starts(base, [each.place for each in begun], plan.unlearned, made)
    train_part(inquiry, own, reporter, mixed=auditing.mixed)
    if not begun:
        return
    start = starting(inquiry, base, plan.ensemble)
    lost = {n for n in numbers if (base.about(Place(plan.ensemble, n)) or {}).get("diverged")}

    def unlearned(contender: Contender) -> None:
        wanted = [each for each in asked[contender.label] if each.start not in lost]
        unlearn_part(
            *(inquiry, contender, plan.unlearned, wanted, start, plan.stream, plan.look, reporter),
            weights=auditing.save_weights,
            mixed=auditing.mixed,
        )

    for _ in attempts(inquiry.contenders, unlearned, failed):
        pass


def _chunk(each: Trained) -> tuple[str, str, int]:
    return each.bank.hash, each.place.ensemble, each.place.number // CHUNK


def _request(inquiry: Inquiry, auditing: Auditing, directory: Path, reporter: Reporter) -> _Plan:
    banks = request_design.banks_of(inquiry, auditing, directory, reporter)

    def requests(contender: Contender, numbers: Sequence[int]) -> list[Unlearned]:
        return [Unlearned(Place(contender.folder, n), n, inquiry.split) for n in numbers]

    networks = request_design.networks(inquiry, auditing, banks)
    return _Plan(networks, "original", requests, banks.request, Stream.ORIGINAL, banks.own)


def _random(inquiry: Inquiry, auditing: Auditing, directory: Path, reporter: Reporter) -> _Plan:
    banks = random_design.banks_of(inquiry, auditing, directory, reporter)

    def requests(contender: Contender, numbers: Sequence[int]) -> list[Unlearned]:
        return random_design.requests(inquiry, contender, banks, numbers)

    networks = random_design.networks(inquiry, banks)
    return _Plan(networks, "run", requests, banks.request, Stream.RUN, banks.look)
