"""A finished network of a run's directory: read back as it was left, nothing is trained."""

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

__all__ = ["KeptNetwork", "experiment_of", "read_network"]


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
    setup, cases = execute.cases_of(experiment, workdir, cache_dir, reporter)
    case = next(case for case in cases if case.label == label)
    record = _record(setup, cases, case, workdir)
    if record is None:
        raise ConfigError(f"{workdir}: the network of {label} is not finished: {again}")
    missing = [place for place in case.stores if not checkpoint.exists(Store(place, None))]
    if missing and "weights" in record:
        variables = saved.load_variables(workdir / record["weights"], setup.model)
        return KeptNetwork(setup, record, setup.model, variables)
    if missing:
        raise ConfigError(f"{workdir}: {label} needs {missing[0]}, which is gone: {again}")
    with matmuls(experiment.matmul_precision):
        result = case.result()
    return KeptNetwork(setup, record, result.model, result.variables)


def experiment_of(workdir: Path) -> Any:
    """The experiment of the run in `workdir`, the last one. Raises ConfigError where there is none."""
    if not (workdir / "config.json").is_file():
        raise ConfigError(f"{workdir}: there is no run in it, a directory with config.json")
    return schema.parse(schema.read(workdir / "config.json"))


def _record(setup: Setup, cases: list[Case], case: Case, workdir: Path) -> Record | None:
    reference = next((c.identity for c in cases if c.role == "retrain"), None)
    wanted = (record_hash(setup.experiment, case.identity, reference), case.role, case.label)
    for record in records.read(workdir / "records.jsonl"):
        if (record["config_hash"], record["role"], record["method"]) == wanted:
            return record
    return None
