"""Logs for Weights & Biases: one run of theirs for an experiment, its networks told apart by the names of values.

    NETWORK/STAGE/METRIC     over NETWORK/step
    NETWORK/final/METRIC     in the summary

Their environment variables say the rest: WANDB_PROJECT, WANDB_ENTITY, WANDB_MODE=offline and so on.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from junlearn.logs.logger import Epoch, Network
from junlearn.logs.row_file import RowFile

__all__ = ["WandbLog"]

PROJECT = "junlearn"
"""Where WANDB_PROJECT names none."""
COLUMNS = ("name", "step", "value")


class WandbLog:
    """The run `identity`: a command that goes on in the same directory goes on in the same run.

    What it was told is noted in `directory`, as the run itself may be on another machine.
    """

    def __init__(self, directory: Path, identity: str, title: str, group: str | None) -> None:
        self._directory, self._identity = directory, identity
        self._title, self._group = title, group
        self._told = RowFile(directory / "wandb" / f"told-{identity}.csv", COLUMNS)
        self._run: Any = None
        self._axes: set[str] = set()

    def epoch(self, network: Network, epoch: Epoch) -> None:
        """Log the metrics."""
        prefix = f"{network.name}/{epoch.stage}"
        values = {f"{prefix}/{name}": value for name, value in epoch.values.items()}
        if new := self._new(values, epoch.step):
            run, axis = self._begun(), f"{network.name}/step"
            if axis not in self._axes:
                run.define_metric(axis, hidden=True)
                run.define_metric(f"{network.name}/*", step_metric=axis)
                self._axes.add(axis)
            run.log({**new, f"{prefix}/epoch": epoch.number, axis: epoch.step})
            self._note(new, epoch.step)

    def finished(
        self, network: Network, settings: Mapping[str, Any], values: Mapping[str, float], step: int
    ) -> None:
        """Put the values into the summary, and the settings into the configuration."""
        final = {f"{network.name}/final/{name}": value for name, value in values.items()}
        if new := self._new(final, step):
            run = self._begun()
            own = {f"{network.name}/{n}": v for n, v in settings.items() if n.startswith("method/")}
            common = {n: v for n, v in settings.items() if not n.startswith("method")}
            run.config.update(common | own, allow_val_change=True)
            run.summary.update(new)
            self._note(new, step)

    def pictures(self, paths: Sequence[Path]) -> None:
        """Log the PNG files."""
        import wandb

        shown = {f"plots/{path.stem}": path for path in paths if path.suffix == ".png"}
        if shown:
            self._begun().log({name: wandb.Image(str(path)) for name, path in shown.items()})

    def close(self, failed: bool) -> None:
        """Wait until all is sent."""
        if self._run is not None:
            self._run.finish(exit_code=int(failed))

    def _begun(self) -> Any:
        """The run, begun or gone on with."""
        if self._run is None:
            import wandb

            self._directory.mkdir(parents=True, exist_ok=True)
            self._run = wandb.init(
                project=os.environ.get("WANDB_PROJECT", PROJECT),
                dir=str(self._directory),
                id=self._identity,
                resume="allow",
                name=self._title,
                group=self._group,
                # The terminal is not theirs to send.
                settings={"console": "off"},
            )
        return self._run

    def _new(self, values: Mapping[str, float], step: int) -> dict[str, float]:
        """What the run has not been told yet."""
        new = {row[0] for row in self._told.new(_rows(values, step))}
        return {name: value for name, value in values.items() if name in new}

    def _note(self, values: Mapping[str, float], step: int) -> None:
        self._told.add(_rows(values, step))


def _rows(values: Mapping[str, float], step: int) -> list[tuple[str, ...]]:
    return [(name, str(step), repr(float(value))) for name, value in values.items()]
