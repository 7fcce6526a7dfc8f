"""One trial: the experiment of a method with the settings that are tried, and a seed; and what is measured of it."""

import copy
import shutil
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from junlearn.errors import ConfigError
from junlearn.experiment import schema
from junlearn.experiment.execute import execute
from junlearn.experiment.progress import Reporter
from junlearn.experiment.provenance import Renewal
from junlearn.experiment.records import Record, number_of
from junlearn.experiment.resolved import Resolved
from junlearn.search.objectives import Objective, share_of

__all__ = ["Judged", "Silent", "TrialFailed", "judge", "settings_in", "table_of_trial"]


class TrialFailed(Exception):
    """The method failed with these settings: in one line."""


class Judged(NamedTuple):
    """What a setting gives with one seed."""

    value: float
    parts: dict[str, float]


class Silent(Reporter):
    """Bars alone: what a run says of its networks would be said of every trial."""

    def say(self, text: str) -> None:
        """Nothing."""


def settings_in(section: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """The section of a method with other values of some fields; a field that is None is left out, as TOML does it."""
    return {name: value for name, value in {**section, **settings}.items() if value is not None}


def table_of_trial(
    table: Mapping[str, Any],
    labels: Mapping[str, Mapping[str, Any]],
    seed: int,
    objective: Objective,
) -> dict[str, Any]:
    """The table of an experiment with the methods in `labels`, the settings of each and a seed, for an objective.

    But with the oracle its "test" is a part of the training set. It has the section `[search]`, so that every record
    says by what settings were chosen.
    """
    chosen = copy.deepcopy({k: v for k, v in table.items() if k not in ("audit", "sweep")})
    given = chosen.get("method", {})
    chosen |= {
        "methods": list(labels),
        "method": {
            label: settings_in(given.get(label, {}), settings) for label, settings in labels.items()
        },
        "seed": seed,
        "held_out": share_of(schema.parse(table)),
        "reference": objective.reference,
        "references": 1,
        "metrics": list(objective.metrics),
        "loop": {**chosen.get("loop", {}), "save_weights": False},
    }
    searched = chosen["search"].get("method", {})
    chosen["search"] = {
        **chosen["search"],
        "method": {label: part for label, part in searched.items() if label in labels},
    }
    return chosen


def judge(
    experiment: Resolved,
    label: str,
    objective: Objective,
    place: tuple[Path, str | None],
    reporter: Reporter,
    renewal: Renewal,
) -> Judged:
    """Run the experiment of a trial in `place` (its own directory and the cache): what the method's network is worth.

    The network itself is kept only where the run is cut off: a trial leaves its records. Raises TrialFailed where the
    method failed.
    """
    workdir, cache_dir = place
    found = execute(experiment, workdir, cache_dir, reporter, renewal)
    shutil.rmtree(workdir / "checkpoints", ignore_errors=True)
    if label in found.failures:
        error = found.failures[label]
        raise TrialFailed(f"{type(error).__name__}: {error}") from error
    own, reference = (_last(found.records, role) for role in ("unlearn", "retrain"))
    assert own is not None
    try:
        parts = objective.parts(own["metrics"], reference and reference["metrics"])
    except ConfigError as error:
        raise TrialFailed(str(error)) from error
    return Judged(statistics.fmean(parts.values()), parts)


def _last(records: list[Record], role: str) -> Record | None:
    """The record of that role, of a stream the one after its last request."""
    found = [record for record in records if record["role"] == role]
    return max(found, key=number_of, default=None)
