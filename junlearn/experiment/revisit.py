"""The kept networks of an experiment, asked once more: predictions, embeddings and images, for a report.

Records hold numbers alone. The networks behind them lie in the cache and in the run's directory; each is read back, and
none is trained. What is not there any more is named, with the reason.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast

import jax
import numpy as np

from junlearn import outputs
from junlearn.engine import predict
from junlearn.engine.batches import view_of
from junlearn.engine.precision import matmuls
from junlearn.engine.settings import Progress
from junlearn.errors import DivergedError, JunlearnError
from junlearn.experiment import kept_network, request, schema, stored
from junlearn.experiment.evaluate import Case
from junlearn.experiment.execute import cases_of
from junlearn.experiment.preparing import prepare
from junlearn.experiment.progress import Reporter
from junlearn.experiment.records import Record, number_of
from junlearn.experiment.setup import Setup
from junlearn.text.terminal import Terminal
from junlearn.types import Model, Variables

__all__ = ["Asked", "Images", "Revisited", "revisit"]

PICTURED = 12
"""Forgotten images that are looked at, spread evenly over all of them."""
FORGOTTEN, RETAINED = 300, 900
"""Most examples of each kind whose embeddings are taken, drawn at random."""


class Asked(NamedTuple):
    """What one network says."""

    role: str
    label: str
    test: np.ndarray | None
    """int[N]: its class for each test example; None where there is no test set."""
    forget: np.ndarray
    """int[Nf]: its class for each forgotten example."""
    pictured: np.ndarray
    """float[n,K]: probabilities for the forgotten images that are shown."""
    embedding: np.ndarray | None
    """float32[M,D]: what the head reads, for the sample; None where the network does not tell it."""


class Images(NamedTuple):
    """A few of the forgotten images."""

    pixels: np.ndarray
    """uint8[n,H,W,C]."""
    names: tuple[str, ...]
    """Their ids or rows, as the request names them."""
    labels: np.ndarray
    """int[n]."""


class Revisited(NamedTuple):
    """What the networks of an experiment say today."""

    classes: tuple[str, ...]
    """Names of the K classes."""
    test_labels: np.ndarray
    """int[N]."""
    forget_labels: np.ndarray
    """int[Nf]: as the original was trained on them."""
    images: Images | None
    sample_labels: np.ndarray
    """int[M]: of the examples whose embeddings were taken."""
    sample_forgotten: np.ndarray
    """bool[M]."""
    networks: tuple[Asked, ...]
    """In the order of the records."""
    missing: tuple[str, ...]
    """What could not be asked, and why, a line each."""
    copies: tuple[str, ...]
    """Where the forgotten images are still, in words."""


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
) -> Revisited:
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
        asking = _Asking(setup, _sample(setup), _places(len(setup.split.forget)))
        networks, missing = [], []
        for record in records:
            try:
                networks.append(asking.ask(record, *_network(setup, cases, record, workdir)))
            except (JunlearnError, DivergedError, OSError) as error:
                missing.append(f"{record['method']}: {error}")
        if not networks:
            raise _NotKeptError("; ".join(missing))
        copies = stored.copies(setup.dataset.fingerprint, cases[0].stores, cache_dir)
    train = setup.dataset.sources["train"]
    tests = setup.dataset.sources.get("test")
    labels = np.asarray(train.y)
    return Revisited(
        setup.dataset.classes,
        np.zeros(0, int) if tests is None else np.asarray(tests.y),
        labels[setup.split.forget],
        _images(setup, asking.places) if shown else None,
        labels[asking.sample],
        np.isin(asking.sample, setup.split.forget),
        tuple(networks),
        tuple(missing),
        tuple(copies),
    )


class _Asking(NamedTuple):
    """The examples that every network is asked about."""

    setup: Setup
    sample: np.ndarray
    """int[M] into "train"."""
    places: np.ndarray
    """int[n] into the forget set."""

    def ask(self, record: Record, model: Model, variables: Variables) -> Asked:
        """What a network says about them."""
        setup = self.setup
        views, split = setup.dataset.views, setup.split
        logits = outputs.outputs(
            model,
            variables,
            setup.sources,
            split,
            views,
            only=("forget_train", "test"),
            train_view=setup.experiment.train_view,
        ).logits
        forget = logits["forget_train"]
        return Asked(
            record["role"],
            record["method"],
            logits["test"].argmax(-1) if "test" in logits else None,
            forget.argmax(-1),
            np.asarray(jax.nn.softmax(forget[self.places].astype(np.float64))),
            self._embedding(model, variables),
        )

    def _embedding(self, model: Model, variables: Variables) -> np.ndarray | None:
        train, views = self.setup.sources["train"], self.setup.dataset.views
        try:
            return predict.embeddings(
                model, variables, train, self.sample, view=view_of(views, "train", "eval")
            )
        except KeyError:
            return None


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


def _sample(setup: Setup) -> np.ndarray:
    rng = np.random.default_rng(0)
    parts = ((setup.split.forget, FORGOTTEN), (setup.split.retain, RETAINED))
    drawn = [rng.choice(rows, min(most, len(rows)), replace=False) for rows, most in parts]
    return np.sort(np.concatenate(drawn))


def _images(setup: Setup, places: np.ndarray) -> Images:
    train = setup.dataset.sources["train"]
    rows = setup.split.forget[places]
    _, names = request.listed(setup.experiment.scenario, setup.dataset, setup.split)
    return Images(
        np.asarray(train.x)[rows], tuple(names[i] for i in places), np.asarray(train.y)[rows]
    )
