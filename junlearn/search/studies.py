"""The trials of one method, kept on disk so that several processes share them: an Optuna study in a journal.

The journal is a file that is only ever appended to. It needs nothing of the file system but links, so it also works
where sqlite's locks do not, on a disk that several hosts share. Each process holds a lock file while it lives. A trial
whose process is gone counts for nothing, and its settings are tried again.
"""

import json
import math
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from junlearn.engine import interrupts
from junlearn.errors import ConfigError
from junlearn.experiment.locks import exclusive
from junlearn.experiment.schema import digest
from junlearn.experiment.searching import Searching
from junlearn.search.findings import Tried
from junlearn.types import Choice, Range, Space

__all__ = ["JOURNAL", "Asked", "Desk", "Study", "needed"]

JOURNAL = "journal.log"
STARTUP = 10
"""Trials that the sampler draws at random first; a third of a small number of trials."""
ENOUGH = 4
"""Finished trials below which nothing is said of the fields; there have to be two more than fields, too."""


def needed() -> ModuleType:
    """Optuna. Raises ConfigError where it is not installed."""
    try:
        import optuna
    except ImportError as error:
        raise ConfigError(
            "a search needs Optuna, which is not installed: python -m pip install 'junlearn[search]'"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


class Asked(NamedTuple):
    """A trial that this process has to run."""

    trial: Any
    """Optuna's."""
    settings: dict[str, Any]
    number: int
    """From 1 on, without those that were cut off."""


class Desk:
    """Where the processes of a search meet, in its directory: the journal, and a lock file of each process."""

    def __init__(self, folder: Path) -> None:
        optuna = needed()
        from optuna.storages.journal import JournalFileBackend

        self.folder = folder
        self.me = uuid.uuid4().hex
        folder.mkdir(parents=True, exist_ok=True)
        backend = JournalFileBackend(str(folder / JOURNAL))
        self.storage = optuna.storages.JournalStorage(backend)

    @contextmanager
    def present(self) -> Iterator[None]:
        """While this lasts, the other processes see that this one lives."""
        own = self.folder / "processes" / self.me
        try:
            with exclusive(own):
                yield
        finally:
            shutil.rmtree(own, ignore_errors=True)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """One process at a time; a signal waits until the turn is over."""
        with interrupts.held(), exclusive(self.folder / "turn", waiting=lambda message: None):
            yield

    def lives(self, process: str) -> bool:
        """Whether a process still holds its lock file; one that was left is removed."""
        if process == self.me:
            return True
        place = self.folder / "processes" / process
        if not process or not place.is_dir():
            return False
        try:
            with exclusive(place):
                shutil.rmtree(place, ignore_errors=True)
                return False
        except ConfigError:
            return True


class Study:
    """The trials of one method; what it is asked for and told happens in a turn of its desk."""

    def __init__(
        self, desk: Desk, label: str, question: Any, space: Space, better: str, search: Searching
    ) -> None:
        optuna = needed()
        self.desk, self.label, self.space, self.search = desk, label, space, search
        self.name = f"{label}-{digest([question, _plain(space), better])}"
        self.direction = "maximize" if better == "max" else "minimize"
        self.distributions = {field: _distribution(optuna, axis) for field, axis in space.items()}
        self.optuna = optuna

    @property
    def begun(self) -> bool:
        """Whether there is something of it in the journal."""
        return self.name in {s.study_name for s in self.desk.storage.get_all_studies()}

    def open(self, made: Mapping[str, Any], first: Mapping[str, Any]) -> None:
        """Begin it where it is not begun: with what it is `made` with, and `first` if the space has it."""
        pruner = self.optuna.pruners.MedianPruner()
        new = not self.begun
        self.study = self.optuna.create_study(
            study_name=self.name,
            storage=self.desk.storage,
            direction=self.direction,
            pruner=pruner if self.search.pruning else self.optuna.pruners.NopPruner(),
            load_if_exists=True,
        )
        if new:
            self.study.set_user_attr("made", dict(made))
            if all(
                field in first and _holds(self.space[field], first[field]) for field in self.space
            ):
                self.study.enqueue_trial({f: _param(self.space[f], first[f]) for f in self.space})

    @property
    def made(self) -> dict[str, Any]:
        """What it was begun with."""
        found: dict[str, Any] = self.study.user_attrs.get("made", {})
        return found

    def remove(self) -> None:
        """Take it out of the journal."""
        if self.begun:
            self.optuna.delete_study(study_name=self.name, storage=self.desk.storage)

    def trials(self) -> list[Any]:
        """All that count: neither waiting nor cut off."""
        waiting = self.optuna.trial.TrialState.WAITING
        every = self.study.get_trials(deepcopy=False)
        return [t for t in every if t.state != waiting and not t.user_attrs.get("cut off")]

    def seconds(self) -> float:
        """What its trials took."""
        return float(sum(trial.user_attrs.get("seconds", 0.0) for trial in self.trials()))

    def reap(self) -> int:
        """Try the settings of trials again whose process is gone; returns how many there were."""
        states = self.optuna.trial.TrialState
        running = self.study.get_trials(deepcopy=False, states=(states.RUNNING,))
        gone = [t for t in running if not self.desk.lives(t.user_attrs.get("process", ""))]
        for trial in gone:
            self.desk.storage.set_trial_user_attr(trial._trial_id, "cut off", True)
            self.study.tell(trial.number, state=states.FAIL)
            if set(trial.params) == set(self.space):
                self.study.enqueue_trial(trial.params)
        return len(gone)

    def ask(self) -> Asked | None:
        """The next trial; None where there are as many as wanted."""
        number = len(self.trials())
        if number >= self.search.trials:
            return None
        # By the number of the trial, so that a search that was cut off goes on as it would have gone on.
        seed = int(digest([self.search.seed, self.label, number])[:8], 16)
        samplers = self.optuna.samplers
        if self.search.sampler == "random":
            self.study.sampler = samplers.RandomSampler(seed=seed)
        else:
            startup = min(STARTUP, max(2, self.search.trials // 3))
            self.study.sampler = samplers.TPESampler(
                seed=seed, n_startup_trials=startup, constant_liar=True
            )
        trial = self.study.ask(self.distributions)
        trial.set_user_attr("process", self.desk.me)
        return Asked(trial, self._settings(trial.params), number + 1)

    def report(self, asked: Asked, values: Sequence[float]) -> bool:
        """Say what a trial has after some of its seeds; returns whether it is to be given up."""
        asked.trial.report(math.fsum(values) / len(values), len(values))
        return bool(asked.trial.should_prune())

    def tell(self, asked: Asked, found: Tried) -> None:
        """Say what came of a trial."""
        told = {"values": found.values, "parts": found.parts, "error": found.error}
        for name, value in (told | {"seconds": found.seconds}).items():
            asked.trial.set_user_attr(name, value)
        states = self.optuna.trial.TrialState
        state = {"pruned": states.PRUNED, "failed": states.FAIL}.get(found.state)
        self.study.tell(asked.trial, found.value if state is None else None, state=state)

    def tried(self) -> list[Tried]:
        """Every trial that counts, in the order in which they began."""
        names = {"COMPLETE": "finished", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "running"}
        return [
            Tried(
                number=number,
                settings=self._settings(trial.params),
                state=names[trial.state.name],  # type: ignore[arg-type]
                values=list(trial.user_attrs.get("values", [])),
                parts=dict(trial.user_attrs.get("parts", {})),
                seconds=trial.user_attrs.get("seconds", 0.0),
                error=trial.user_attrs.get("error", ""),
            )
            for number, trial in enumerate(self.trials(), start=1)
        ]

    def importance(self) -> dict[str, float]:
        """The share of each field in the variation of the value (fANOVA); empty where too little is known."""
        complete = (self.optuna.trial.TrialState.COMPLETE,)
        done = self.study.get_trials(deepcopy=False, states=complete)
        fields = [
            field for field in self.space if len({str(trial.params[field]) for trial in done}) > 1
        ]
        if (
            len(done) < max(ENOUGH, len(self.space) + 2)
            or len({trial.value for trial in done}) < 2
            or not fields
        ):
            return {}
        evaluator = self.optuna.importance.FanovaImportanceEvaluator(seed=self.search.seed)
        found = self.optuna.importance.get_param_importances(self.study, evaluator=evaluator)
        return {str(field): float(value) for field, value in found.items()}

    def _settings(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return {
            field: json.loads(params[field]) if isinstance(axis, Choice) else params[field]
            for field, axis in self.space.items()
            if field in params
        }


def _plain(space: Space) -> dict[str, Any]:
    """A space as JSON has it."""
    return {field: list(axis) for field, axis in space.items()}


def _distribution(optuna: ModuleType, axis: Range | Choice) -> Any:
    """Optuna's; of a choice the values as JSON, so that lists and nothing are values too."""
    if isinstance(axis, Choice):
        return optuna.distributions.CategoricalDistribution(
            tuple(_param(axis, value) for value in axis.values)
        )
    low, high, step = axis.low, axis.high, axis.step
    if step is not None:
        high = low + math.floor((high - low) / step + 1e-9) * step
    if axis.whole:
        return optuna.distributions.IntDistribution(
            int(low), int(high), log=axis.log, step=int(step or 1)
        )
    return optuna.distributions.FloatDistribution(low, high, log=axis.log, step=step)


def _param(axis: Range | Choice, value: Any) -> Any:
    return json.dumps(value) if isinstance(axis, Choice) else value


def _holds(axis: Range | Choice, value: Any) -> bool:
    """Whether a value is in the space."""
    if isinstance(axis, Choice):
        return json.dumps(value) in {json.dumps(one) for one in axis.values}
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if axis.whole and not isinstance(value, int):
        return False
    within = axis.low <= value <= axis.high
    steps = 0.0 if axis.step is None else (value - axis.low) / axis.step
    return within and abs(steps - round(steps)) < 1e-9
