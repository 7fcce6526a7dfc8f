"""What a result was made with, versions, code and device, and whether these are what runs now.

None of it is in the name of a network or a record, which `junlearn.experiment.identity` gives.
"""

import platform
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from contextlib import suppress
from functools import cache
from importlib import metadata
from typing import Any, Literal, NotRequired, TypedDict, cast

import jax

from junlearn.engine import processes
from junlearn.engine.checkpoint import Store, clear, exists
from junlearn.engine.precision import matmul_precision
from junlearn.errors import DamagedError
from junlearn.files import replace, seal, unseal

__all__ = [
    "Fresh",
    "Provenance",
    "Renewal",
    "attribute",
    "current",
    "decisive",
    "device",
    "differences",
    "now",
    "versions",
]

Fresh = Literal["nothing", "changed", "all"]
"""What is made anew although it is kept: what other versions, code or devices made, or all."""

DECISIVE = ("junlearn", "jax", "jaxlib", "flax", "optax", "scikit-learn")
"""Packages whose versions tell whether numbers of before are those of now; they are in no hash of a network."""

MADE = "made.json"
"""File beside the snapshots of a network: what it is made with."""


version = cache(metadata.version)
"""The version of an installed package. Looking it up takes a third of a millisecond, and each network asks for nine."""


class Provenance(TypedDict):
    """The part of a record that says it."""

    versions: dict[str, str]
    device: str
    matmul_precision: NotRequired[str]
    """How float32 was multiplied (`junlearn.engine.precision`); not in records of earlier versions."""
    code: NotRequired[dict[str, str]]
    """Digests (`junlearn.engine.code_digest`) of the code that made the "network" and, in a record, the
    "metrics"."""


class Renewal:
    """Which of the networks and records that are kept are made anew in a run: each of them once."""

    def __init__(self, fresh: Fresh) -> None:
        self.fresh = fresh
        self.renewed: set[Hashable] = set()

    def due(self, name: Hashable, current: bool) -> bool:
        """Whether what is kept under `name` is to be made anew; `current`: it was made with what runs now."""
        asked = self.fresh == "all" or (self.fresh == "changed" and not current)
        if not asked or name in self.renewed:
            return False
        self.renewed.add(name)
        return True


def versions() -> dict[str, str]:
    """Versions of everything that numbers can depend on; of xgboost, for `asr_xgboost`, where it is installed."""
    packages = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "scikit-learn")
    found = {
        "python": platform.python_version(),
        "junlearn": version("junlearn"),
        **{name: version(name) for name in packages},
    }
    with suppress(metadata.PackageNotFoundError):
        found["xgboost"] = version("xgboost")
    return found


def device() -> str:
    """Kind and number of the devices that JAX sees, such as `cpu x1`."""
    return f"{jax.devices()[0].device_kind} x{jax.device_count()}"


def now(code: Mapping[str, str]) -> Provenance:
    """What a result of this process is made with, by code of these digests."""
    return Provenance(
        versions=versions(), device=device(), matmul_precision=matmul_precision(), code=dict(code)
    )


def decisive(metrics: Collection[str]) -> tuple[str, ...]:
    """The packages that decide a record with these metrics."""
    return (*DECISIVE, "xgboost") if "asr_xgboost" in metrics else DECISIVE


def differences(
    made: Provenance, code: Mapping[str, str], packages: Iterable[str] = DECISIVE
) -> str:
    """In which of the `packages`, code and kind of device `made` differs from what runs now; else empty.

    `code` are the digests of the code that would make it now.
    """
    before, after = (_facts(either, code, packages) for either in (made, now(code)))
    return ", ".join(f"{n} {before[n]} (now {after[n]})" for n in after if before[n] != after[n])


def _facts(made: Provenance, code: Mapping[str, str], packages: Iterable[str]) -> dict[str, str]:
    """What decides the numbers, by name; what an earlier version did not write down is unknown."""
    digests = made.get("code", {})
    return {
        **{name: made["versions"].get(name, "unknown") for name in packages},
        **{f"code of the {part}": digests.get(part, "unknown") for part in code},
        "device": made["device"].rpartition(" x")[0],
    }


def attribute(
    store: Store,
    label: str,
    code: Mapping[str, str],
    renewal: Renewal,
    say: Callable[[str], None],
    about: Mapping[str, Any],
) -> None:
    """Say what the network in `store` was made with, where that is not what runs now, or remove it if that is asked.

    It stands in a file beside the snapshots, which is written here where there are none yet, with what there is to say
    `about` the network.
    """
    if renewal.due(store.directory, current(store, code)):
        processes.first(lambda: clear(store))
    if not exists(store):
        text = seal({**now(code), **about}, store.owner or "")
        processes.first(lambda: replace(store.directory / MADE, text))
        return
    made = _made(store)
    if isinstance(made, str):
        say(f"{label}: network kept, not trained again; what made it is not known ({made})")
    elif difference := differences(made, code):
        say(f"{label}: network kept, not trained again, of {difference}")


def current(store: Store, code: Mapping[str, str]) -> bool:
    """Whether there is a network in `store`, made with what runs now."""
    made = _made(store) if exists(store) else "nothing is there"
    return not isinstance(made, str) and not differences(made, code)


def _made(store: Store) -> Provenance | str:
    """What the network in `store` was made with, or why that is not known."""
    note = store.directory / MADE
    try:
        made = unseal(note.read_bytes(), store.owner or "")
    except (OSError, DamagedError) as error:
        return f"{note}: {error.strerror if isinstance(error, OSError) else error}"
    return cast(Provenance, made)
