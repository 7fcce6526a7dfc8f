"""Logs as CSV files, for pandas and spreadsheets: a row for every value (the long form).

    metrics.csv     network, config_hash, stage, epoch, step, metric, value
    settings.csv    network, config_hash, setting, value

The metrics and seconds of a finished network are in the stage `final`, without an epoch.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from junlearn.logs.logger import Epoch, Network
from junlearn.logs.row_file import RowFile
from junlearn.text.grids import FORMULA

__all__ = ["FINAL", "CsvLog"]

FINAL = "final"
"""In the place of a stage: what was measured of the finished network."""
METRICS = ("network", "config_hash", "stage", "epoch", "step", "metric", "value")
SETTINGS = ("network", "config_hash", "setting", "value")


class CsvLog:
    """Two files in `directory`; of a row that is there with another value the last one counts."""

    def __init__(self, directory: Path) -> None:
        self._metrics = RowFile(directory / "metrics.csv", METRICS)
        self._settings = RowFile(directory / "settings.csv", SETTINGS)

    def epoch(self, network: Network, epoch: Epoch) -> None:
        """Add a row for every metric."""
        place = (*network, epoch.stage, str(epoch.number), str(epoch.step))
        self._metrics.add((*place, name, _number(value)) for name, value in epoch.values.items())

    def finished(
        self, network: Network, settings: Mapping[str, Any], values: Mapping[str, float], step: int
    ) -> None:
        """Add a row for every metric and second, and for every setting."""
        place = (*network, FINAL, "", str(step))
        self._metrics.add((*place, name, _number(value)) for name, value in values.items())
        self._settings.add((*network, name, _text(value)) for name, value in settings.items())

    def pictures(self, paths: Sequence[Path]) -> None:
        """Leave them where they are."""

    def close(self, failed: bool) -> None:
        """Do nothing: every row is on disk."""


def _text(value: Any) -> str:
    """A setting; text that table software would take for a formula gets an apostrophe in front."""
    text = "" if value is None else str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(FORMULA) else text


def _number(value: float) -> str:
    """All digits: what reads it gets the same number."""
    return repr(float(value))
