"""What a search is about: methods, their spaces, seeds and objective, checked before anything is trained."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from junlearn.errors import ConfigError
from junlearn.experiment import schema, searching
from junlearn.experiment.foresight import foresee
from junlearn.experiment.identity import code_of, metric_code, without_location
from junlearn.experiment.progress import Reporter
from junlearn.experiment.provenance import now
from junlearn.experiment.resolved import Resolved, method_of
from junlearn.plugins.registry import metrics_of
from junlearn.search import objectives
from junlearn.search.objectives import Objective
from junlearn.search.trials import table_of_trial
from junlearn.types import Space

__all__ = ["Question", "question_of"]


class Question(NamedTuple):
    """What a search is about."""

    table: dict[str, Any]
    """The configuration, as it was read."""
    experiment: Resolved
    spaces: dict[str, Space]
    """Label of each method that is searched -> what is tried."""
    kept: tuple[str, ...]
    """Labels of the others, which stay as they are."""
    objective: Objective
    share: float
    """Of the training set, held out in the trials."""
    seeds: tuple[int, ...]
    proven: frozenset[str] = frozenset()
    """Labels of the methods that come with a proof, once the data have been read."""

    @property
    def search(self) -> searching.Searching:
        """The section `[search]`."""
        found: searching.Searching = self.experiment.search  # type: ignore[attr-defined]
        return found

    def trial(self, labels: Mapping[str, Mapping[str, Any]], seed: int) -> Resolved:
        """The experiment of a trial: the methods with these settings, and a seed."""
        found: Resolved = schema.parse(table_of_trial(self.table, labels, seed, self.objective))
        return found

    def given(self, label: str) -> dict[str, Any]:
        """The settings that the configuration has, of the fields that are searched."""
        section = schema.plain(method_of(self.experiment, label))
        return {field: section[field] for field in self.spaces[label]}

    def identity(self, label: str) -> dict[str, Any]:
        """All that the value of a setting of a method depends on, beside versions and code."""
        plain = schema.plain(self.trial({label: {}}, self.seeds[0]))
        section = plain["method"][label]
        fixed = {name: section[name] for name in section if name not in self.spaces[label]}
        left_out = ("loop", "search", "method", "seed", "plugins")
        return {
            **{name: value for name, value in plain.items() if name not in left_out},
            "dataset": without_location(plain["dataset"]),
            "method": fixed,
            "seeds of trials": list(self.seeds),
            "objective": self.objective.name,
        }

    def made(self, label: str) -> dict[str, Any]:
        """The versions, code and device that its trials are made with now."""
        thing = schema.thing_of(method_of(self.experiment, label))
        code = code_of(self.experiment, thing) | metric_code(metrics_of(self.objective.metrics))
        return dict(now(code))

    def foreseen(self, cache_dir: str | None, reporter: Reporter) -> "Question":
        """The same when the data have been read and every method made. Raises JunlearnError where that fails."""
        trials = [
            (f"seed {s}", self.trial({label: {} for label in self.spaces}, s)) for s in self.seeds
        ]
        found = foresee(trials, cache_dir, reporter)
        pairs = [(trial, each) for (_, trial), each in zip(trials, found, strict=True)]
        objectives.check(self.experiment, pairs)
        objective = objectives.objective_of(self.experiment, found[0].classes)
        return self._replace(objective=objective, proven=found[0].proven)


def question_of(table: Mapping[str, Any], trials: int | None = None) -> Question:
    """What the search of a configuration is about; `trials` in the place of its number. Raises ConfigError."""
    if "sweep" in table:
        raise ConfigError(
            "the configuration has a table [sweep], so it is a grid of experiments and not one to search in"
        )
    section = schema.table_of("search", table.get("search", {}))
    table = dict(table) | {"search": dict(section) | ({} if trials is None else {"trials": trials})}
    experiment: Any = schema.parse(table)
    if experiment.loop.distributed:
        raise ConfigError(
            "loop.distributed is for one network over several hosts; start the same search on each host instead, with "
            "one --workdir that all of them see"
        )
    found = {label: searching.space_of(experiment, label) for label in experiment.methods}
    for label, space in found.items():
        if space is None:
            raise ConfigError(
                f"{label} suggests no space to search in: give one as [search.method.{label}], or an empty table there "
                "to keep it as it is"
            )
    spaces = {label: space for label, space in found.items() if space}
    if not spaces:
        raise ConfigError("there is nothing to search: every table in [search.method] is empty")
    for label, space in spaces.items():
        for field in space:
            if None in getattr(space[field], "values", ()):
                _unsaid(experiment, label, field)
    return Question(
        table=table,
        experiment=experiment,
        spaces=spaces,
        kept=tuple(label for label in experiment.methods if label not in spaces),
        objective=objectives.objective_of(experiment),
        share=objectives.share_of(experiment),
        seeds=experiment.search.seeds or (experiment.seed,),
    )


def _unsaid(experiment: Any, label: str, field: str) -> None:
    """Raise ConfigError where a field without a value could not be written: TOML leaves it out, and it has another."""
    if getattr(type(method_of(experiment, label))(), field) is not None:
        raise ConfigError(
            f"search.method.{label}.{field}: no value (null) is none that TOML can say here"
        )
