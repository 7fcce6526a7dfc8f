"""What a result was made with, versions and device, and whether these are what runs now."""

import json
import platform
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import NotRequired, TypedDict

import jax

import junlearn
from junlearn import processes
from junlearn.checkpoint import Store, exists
from junlearn.files import replace

__all__ = ["Made", "attribute", "changed", "current", "device", "versions"]

DECISIVE = ("junlearn", "jax", "jaxlib")
"""Packages whose versions tell whether numbers of before are those of now; they are in no hash of a network."""

MADE = "made.json"
"""File beside the snapshots of a network: what it is made with."""


class Made(TypedDict):
    """The part of a record that says it."""

    versions: dict[str, str]
    device: str
    matmul_precision: NotRequired[str]
    """How float32 was multiplied (`junlearn.precision`); not in records of earlier versions."""


def versions() -> dict[str, str]:
    """Versions of everything that numbers can depend on; of xgboost, which fits an attacker, where it is installed."""
    packages = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "scikit-learn")
    found = {
        "python": platform.python_version(),
        "junlearn": junlearn.__version__,
        **{name: version(name) for name in packages},
    }
    # Where it is not, it has no entry: its absence says which attacker was fitted.
    with suppress(PackageNotFoundError):
        found["xgboost"] = version("xgboost")
    return found


def device() -> str:
    """Kind and number of the devices that JAX sees, such as `cpu x1`."""
    return f"{jax.devices()[0].device_kind} x{jax.device_count()}"


def changed(made: Made) -> str:
    """In which of the decisive packages and in which kind of device `made` differs from what runs now; else empty."""
    before = {name: made["versions"].get(name, "unknown") for name in DECISIVE}
    now = {name: versions()[name] for name in DECISIVE}
    for values, text in ((before, made["device"]), (now, device())):
        values["device"] = text.rpartition(" x")[0]
    return ", ".join(f"{n} {before[n]} (now {now[n]})" for n in now if before[n] != now[n])


def attribute(store: Store, label: str, say: Callable[[str], None]) -> None:
    """Say what the network in `store` was made with, where that is not what runs now.

    That stands in a file beside the snapshots, which is written here where there are none yet.
    """
    if not exists(store):
        now = Made(versions=versions(), device=device())
        processes.first(lambda: replace(store.directory / MADE, json.dumps(now)))
    elif (made := _made(store)) and (difference := changed(made)):
        say(f"{label}: network kept, not trained again, of {difference}")


def current(store: Store) -> bool:
    """Whether there is a network in `store`, made with what runs now."""
    made = _made(store) if exists(store) else None
    return made is not None and not changed(made)


def _made(store: Store) -> Made | None:
    """What the network in `store` was made with, if that was written down."""
    note = store.directory / MADE
    return json.loads(note.read_text(encoding="utf-8")) if note.exists() else None
