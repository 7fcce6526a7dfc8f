"""The kept networks of an experiment, asked once more: predictions, embeddings and images, for a report.

Records hold numbers alone. The networks behind them lie in the cache and in the run's directory; each is read back, and
none is trained. What is not there any more is named, with the reason.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np

from junlearn.engine.precision import matmuls
from junlearn.engine.settings import Progress
from junlearn.errors import DivergedError, JunlearnError
from junlearn.experiment import kept_network, request, schema, stored
from junlearn.experiment.asking import Answers, Images, asking
from junlearn.experiment.evaluate import Case
from junlearn.experiment.execute import cases_of
from junlearn.experiment.preparing import prepare
from junlearn.experiment.progress import Reporter
from junlearn.experiment.records import Record, number_of
from junlearn.experiment.setup import Setup
from junlearn.text.terminal import Terminal
from junlearn.types import Model, Variables

__all__ = ["revisit"]

PICTURED = 12
"""Forgotten images that are looked at, spread evenly over all of them."""


class _NotKeptError(JunlearnError):
    """A network would have to be trained."""


class _Reading(Reporter):
    """Says nothing, and lets nothing be trained."""

    def __init__(self) -> None:
        super().__init__(Terminal(quiet=True))

    @contextmanager
    def following(self, title: str) -> Iterator[Progress]:
        """A progress that ends the training that calls it."""

        def refuse(*_: Any) -> None:
            raise _NotKeptError("it is kept in part only")

        yield refuse


def revisit(
    records: Sequence[Record],
    config: Mapping[str, Any],
    workdir: Path,
    cache_dir: str | None,
    *,
    images: bool = True,
) -> Answers:
    """What the networks of `records`, all of the experiment `config` in `workdir`, say; `images`: some are shown.

    Of a stream those after its last request are asked.

    Without `images`, and where the request is private, nothing of an example is in the result but its label. Raises
    ConfigError for a configuration that cannot be read, DataError or another JunlearnError where the data cannot, where
    they are others than those of the records, and where no network is there.
    """
    experiment = schema.parse(dict(config))
    with matmuls(experiment.matmul_precision):
        reporter = _Reading()
        quiet = Reporter(Terminal(quiet=True))
        setup = prepare(experiment, cache_dir, quiet, training=False)
        shown = images and not getattr(experiment.scenario, "private", False)
        setup, cases = cases_of(setup, workdir, cache_dir, reporter)
        records = [record for record in records if number_of(record) == setup.number]
        if not records:
            raise _NotKeptError(f"there is no record of request {setup.number} yet")
        _check_request(setup, records[0])
        asked = asking(
            setup.sources,
            setup.split,
            setup.dataset.views,
            setup.experiment.train_view,
            _places(len(setup.split.forget)),
        )
        networks, missing = [], []
        for record in records:
            try:
                found = _network(setup, cases, record, workdir)
                networks.append(asked.ask(record["role"], record["method"], *found))
            except (JunlearnError, DivergedError, OSError) as error:
                missing.append(f"{record['method']}: {error}")
        if not networks:
            raise _NotKeptError("; ".join(missing))
        copies = stored.copies(setup.dataset.marks, cases[0].stores, cache_dir)
    pictured = _images(setup, asked.places) if shown else None
    return asked.answers(setup.dataset.classes, networks, pictured, missing, copies)


def _network(
    setup: Setup, cases: Sequence[Case], record: Record, workdir: Path
) -> tuple[Model, Variables]:
    """The network of a record, read back. Raises JunlearnError or OSError where it is not there."""
    case = next((c for c in cases if kept_network.is_record_of(setup, cases, c, record)), None)
    if case is None:
        raise _NotKeptError(
            "what this configuration names now is another network than the record's"
        )
    found = kept_network.read_back(setup, case, record, workdir)
    if found is None:
        raise _NotKeptError(
            f"its network is not kept, there is nothing in {kept_network.absent(case)[0]}"
        )
    return found


def _check_request(setup: Setup, record: Record) -> None:
    """Raise JunlearnError where the data, or what is forgotten of them, are others than those of the record."""
    told = cast(Mapping[str, Any], record.get("request", {}))
    now = {
        "data": setup.dataset.fingerprint,
        "rows": schema.digest(setup.split.forget.tolist()),
        "forget": len(setup.split.forget),
    }
    names = {"data": "fingerprint of the data", "rows": "hash of the rows", "forget": "number"}
    for part, value in now.items():
        if told.get(part, value) != value:
            raise _NotKeptError(
                f"what was forgotten is not found again: {names[part]} {value}, of the record {told[part]}"
            )


def _places(count: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(PICTURED, count)).round().astype(int))


def _images(setup: Setup, places: np.ndarray) -> Images:
    train = setup.dataset.sources["train"]
    rows = setup.split.forget[places]
    _, names = request.listed(setup.experiment.scenario, setup.dataset, setup.split)
    return Images(
        np.asarray(train.x)[rows], tuple(names[i] for i in places), np.asarray(train.y)[rows]
    )
