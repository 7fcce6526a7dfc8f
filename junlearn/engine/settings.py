"""How a run is carried out: in which loop, on which devices, where it is kept. The result is the same, to rounding."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypedDict

import jax
from jax.sharding import Mesh

from junlearn.engine.checkpoint import Store
from junlearn.engine.inputs.options import LoopKind
from junlearn.logs.logger import Logger
from junlearn.types import Variables, View

__all__ = ["Placement", "Progress", "RunOptions", "Snapshots", "stage_options"]

Progress = Callable[[str, int, int, dict[str, float]], None]
"""`(stage, steps done, steps in all, metrics)`: called about twice a second."""


class Placement(NamedTuple):
    """Where steps are made."""

    loop: LoopKind = "auto"
    """A Python loop of the compiled step, or `lax.scan` over chunks; "auto" is the first on a CPU (where XLA's own
    convolutions in a scan are slow) and the second elsewhere."""
    mesh: Mesh | None = None
    """One axis, "data": every batch is split over its devices."""

    @property
    def scans(self) -> bool:
        """Whether steps are scanned on the devices that there are."""
        return self.loop == "scan" or (self.loop == "auto" and jax.default_backend() != "cpu")


class Snapshots(NamedTuple):
    """Where the state of a run is kept, so that it goes on after an interruption."""

    store: Store | None = None
    """The run goes on from the newest snapshot there, and saves its own; a finished run is only read back."""
    begun: Store | None = None
    """As long as there is none in `store`, it goes on from the newest one here: of a run with the same arguments, a
    state like this one's and its first stages."""
    save_seconds: float = 30.0
    """Wall time between two snapshots; one more is saved at the end."""


class RunOptions(TypedDict, total=False):
    """Keywords of `junlearn.run`, `train` and `unlearn` beside `key` and the fields of a Config."""

    seed: int
    initial: Variables | None
    views: Mapping[str, View] | None
    loop: LoopKind
    mesh: Mesh | None
    store: Store | None
    begun: Store | None
    save_seconds: float
    progress: Progress | None
    log: Logger | Sequence[Logger] | None


def stage_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The same options as keywords of `junlearn.engine.run.run_stages`."""
    rest = dict(options)
    place = {name: rest.pop(name) for name in Placement._fields if name in rest}
    kept = {name: rest.pop(name) for name in Snapshots._fields if name in rest}
    return rest | {"placement": Placement(**place), "snapshots": Snapshots(**kept)}
