"""What a run leaves."""

import importlib
from typing import Any, NamedTuple

from junlearn.types import Model, Variables

__all__ = ["Result", "telling"]


class Result(NamedTuple):
    """What a run leaves. It prints as one line, `print(result.table())` has a row a stage."""

    model: Model
    """The method's network: the one that was passed, unless the method changed it."""
    variables: Variables
    history: list[dict[str, Any]]
    """One entry an epoch: stage, epoch, steps, and the mean of every metric over its steps."""
    seconds: dict[str, float]
    """compile, run (steps alone), evaluate (whatever stages ask before they stop) and total wall time, summed over
    interruptions. The price of a method that must look at its own progress is run + evaluate."""
    stages: dict[str, float]
    """The seconds in steps of every stage, by its name; together they are `seconds["run"]`."""
    reported: dict[str, float]
    """What the method has to say of its run (`Method.report`)."""
    certificate: dict[str, Any] = {}
    """What the method guarantees, and what that assumes (`Method.certificate`); empty where it has no proof."""

    def __repr__(self) -> str:
        return str(telling().line(self))

    def table(self, form: str = "text") -> Any:
        """What every stage did: epochs, steps, seconds, and its metrics in the first and the last epoch.

        `form`: "text", "markdown", "latex", "csv" or "html". Raises ConfigError for another one.
        """
        return telling().table(self, form)

    def _repr_html_(self) -> str:
        return str(telling().page_of(self))


def telling() -> Any:
    """How results are shown, by name: it is no part of the code that makes them, which is told by imports."""
    return importlib.import_module("junlearn.engine.telling")
