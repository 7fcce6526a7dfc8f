"""A finished network of a run's directory: read back as it was left, nothing is trained."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from junlearn.engine import checkpoint, saved
from junlearn.engine.checkpoint import Store
from junlearn.engine.precision import matmuls
from junlearn.errors import ConfigError, unknown
from junlearn.experiment import execute, records, schema
from junlearn.experiment.evaluate import Case
from junlearn.experiment.identity import record_hash
from junlearn.experiment.progress import Reporter
from junlearn.experiment.records import Record
from junlearn.experiment.setup import Setup
from junlearn.types import Model, Variables

__all__ = ["KeptNetwork", "absent", "experiment_of", "is_record_of", "read_back", "read_network"]


class KeptNetwork(NamedTuple):
    """What a run left of one of its networks."""

    setup: Setup
    record: Record
    model: Model
    """The network of the run, unless the method changed it."""
    variables: Variables

    @property
    def about(self) -> dict[str, Any]:
        """What somebody has to know who uses the network elsewhere, as JSON has it."""
        keys = (
            "method",
            "role",
            "seed",
            "config_hash",
            "versions",
            "preprocessing",
            "given",
            "time",
        )
        told = {key: self.record[key] for key in keys if key in self.record}  # type: ignore[literal-required]
        experiment = schema.plain(self.setup.experiment)
        told |= {key: experiment[key] for key in ("dataset", "model", "scenario", "precision")}
        return told | {"classes": list(self.setup.dataset.classes)}


def read_network(
    workdir: Path, label: str, cache_dir: str | None, reporter: Reporter
) -> KeptNetwork:
    """The network of the method `label`, or of `original` or `retrain`, of the run whose `config.json` is in `workdir`.

    Raises ConfigError where there is no run, no such network, or where it is no longer on disk; CheckpointError where
    it is damaged.
    """
    experiment = experiment_of(workdir)
    roles = ["original", *(["retrain"] if experiment.reference else []), *experiment.methods]
    if label not in roles:
        raise unknown("network", label, roles)
    again = (
        f"python -m junlearn.main --config {workdir / 'config.json'} --workdir {workdir} makes it"
    )
    prepared = execute.prepared(experiment, cache_dir, reporter)
    setup, cases = execute.cases_of(prepared, workdir, cache_dir, reporter)
    case = next(case for case in cases if case.label == label)
    logged = records.read(workdir / "records.jsonl")
    # Made once: of a large request a hash takes milliseconds, and a log can be long.
    name = _hash(setup, cases, case)
    own = (line for line in logged if _is_of(case, line) and line["config_hash"] == name)
    record = next(own, None)
    if record is None:
        raise ConfigError(f"{workdir}: the network of {label} is not finished: {again}")
    with matmuls(experiment.matmul_precision):
        found = read_back(setup, case, record, workdir)
    if found is None:
        raise ConfigError(f"{workdir}: {label} needs {absent(case)[0]}, which is gone: {again}")
    return KeptNetwork(setup, record, *found)


def read_back(
    setup: Setup, case: Case, record: Record, workdir: Path
) -> tuple[Model, Variables] | None:
    """The network of a case that has this record: from where it was made, else from the weights that the run was asked
    for. None where it is in neither.
    """
    if not absent(case):
        result = case.result()
        return result.model, result.variables
    if "weights" in record:
        path = workdir / record["weights"]
        return setup.model, saved.load_variables(path, setup.model, setup.sources)
    return None


def absent(case: Case) -> list[Path]:
    """Where something would have to be for a case to be read back, and is not."""
    return [place for place in case.stores if not checkpoint.exists(Store(place, None))]


def is_record_of(setup: Setup, cases: Sequence[Case], case: Case, record: Record) -> bool:
    """Whether a record is that of one of the cases of an experiment."""
    return _is_of(case, record) and record["config_hash"] == _hash(setup, cases, case)


def _is_of(case: Case, record: Record) -> bool:
    return (record["role"], record["method"]) == (case.role, case.label)


def _hash(setup: Setup, cases: Sequence[Case], case: Case) -> str:
    """That of the record of a case."""
    reference = next((c.identity for c in cases if c.role == "retrain"), None)
    return record_hash(setup, case.identity, reference)


def experiment_of(workdir: Path) -> Any:
    """The experiment of the run in `workdir`, the last one. Raises ConfigError where there is none."""
    if not (workdir / "config.json").is_file():
        raise ConfigError(f"{workdir}: there is no run in it, a directory with config.json")
    return schema.parse(schema.read(workdir / "config.json"))
