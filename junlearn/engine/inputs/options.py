"""Keys, seeds and the keywords of a run at the door."""

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh

from junlearn.engine.checkpoint import Store
from junlearn.engine.inputs.arrays import kind_of
from junlearn.engine.inputs.networks import network_of
from junlearn.errors import ConfigError, unknown
from junlearn.logs.logger import Logger
from junlearn.types import Key

__all__ = [
    "MANY_OPTIONS",
    "RUN_OPTIONS",
    "LoopKind",
    "check_progress",
    "check_views",
    "key_of",
    "keys_of",
    "loggers_of",
    "run_options",
    "seed_of",
    "sort_options",
    "values_of",
]

RUN_OPTIONS = (
    *("seed", "initial", "views", "loop", "mesh", "store", "save_seconds", "progress", "log"),
)
"""Keywords of `train` and `unlearn` that go to `junlearn.engine.run.run`; all others are fields of the Config."""
MANY_OPTIONS = (
    *("keys", "seeds", "views", "how", "places", "loop", "mesh", "memory", "progress", "log"),
)
"""The same of `train_many`, for `junlearn.many.train_many`; it has `store`, too, which may be a directory."""

LoopKind = Literal["auto", "python", "scan"]

BITS = 32
"""Of a seed, that `jax.random.key` tells apart."""


def key_of(key: Any, argument: str = "key") -> Key:
    """A typed key of one seed: of `jax.random.key`, of the older `jax.random.PRNGKey`, or a whole number as the seed.

    Raises ConfigError for anything else.
    """
    if isinstance(key, int | np.integer) and not isinstance(key, bool):
        if not 0 <= key < 1 << BITS:
            raise ConfigError(f"{argument} is {key}: a seed is from 0 to {(1 << BITS) - 1}")
        return jax.random.key(int(key))
    if isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        if key.ndim:
            raise ConfigError(f"{argument} holds {key.size} keys: pass one of them, {argument}[0]")
        return key
    if _is_raw(key):
        try:
            return jax.random.wrap_key_data(jnp.asarray(key))
        except (TypeError, ValueError) as error:
            raise ConfigError(
                f"{argument} is made of {key.size} numbers, and a random key of another count: pass jax.random.key(0), "
                "or a whole number as its seed"
            ) from error
    if isinstance(key, np.ndarray | jax.Array) and key.ndim == 0 and key.dtype.kind in "iu":
        return key_of(int(key), argument)
    found = repr(key) if isinstance(key, bool | float | str | None) else kind_of(key)
    raise ConfigError(
        f"{argument} is {found}: a random key is wanted, jax.random.key(0), or a whole number as its seed"
    )


def keys_of(keys: Any, argument: str = "keys") -> Key | list[Key] | None:
    """One key, to be split, or a list with a key for each model; None stays None. Raises ConfigError as `key_of`."""
    if keys is None:
        return None
    typed = isinstance(keys, jax.Array) and jnp.issubdtype(keys.dtype, jax.dtypes.prng_key)
    if isinstance(keys, list | tuple | range) or (
        getattr(keys, "ndim", 0) == 1 and (typed or not _is_raw(keys))
    ):
        return [key_of(key, f"{argument}[{i}]") for i, key in enumerate(keys)]
    if getattr(keys, "ndim", 0) == 2 and not typed:
        return [key_of(key, f"{argument}[{i}]") for i, key in enumerate(keys)]
    return key_of(keys, argument)


def seed_of(seed: Any, argument: str = "seed") -> int:
    """A whole number that is not negative, for `np.random.default_rng`."""
    whole = isinstance(seed, int | np.integer) and not isinstance(seed, bool)
    if not whole or seed < 0:
        found = repr(seed) if isinstance(seed, int | float | str | np.integer) else kind_of(seed)
        raise ConfigError(f"{argument} is {found}: a whole number from 0 on is wanted")
    return int(seed)


def run_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Keywords of `junlearn.engine.run.run_stages`, those that are among them checked, the key a typed one.

    Raises ConfigError, which names the keyword.
    """
    checked = dict(options)
    if "key" in options:
        checked["key"] = key_of(options["key"])
    if "seed" in options:
        checked["seed"] = seed_of(options["seed"])
    if "loop" in options:
        _check_loop(options["loop"])
    if options.get("initial") is not None:
        checked["initial"] = network_of(options["initial"], None, "initial")
    if options.get("views") is not None:
        check_views(options["views"])
    _check_mesh(options.get("mesh"))
    for name in ("store", "begun"):
        if not isinstance(options.get(name), Store | None):
            raise ConfigError(
                f"{name} is {kind_of(options[name])}: a junlearn.engine.checkpoint.Store(directory, owner) is wanted, "
                "or None"
            )
    _check_seconds(options.get("save_seconds", 0.0))
    progress = options.get("progress")
    if progress is not None and not callable(progress):
        raise ConfigError(f"progress is {progress!r}: a function to call is wanted, or None")
    if "log" in options:
        checked["log"] = loggers_of(options["log"])
    return checked


def sort_options(
    options: dict[str, Any], names: Sequence[str] = RUN_OPTIONS
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fields of a Config, and keywords of the run, checked: those called `names`.

    `progress` can be what a person says of it (`check_progress`), too.
    """
    given = {name: value for name, value in options.items() if name in names}
    said = {"progress": check_progress(given.pop("progress"))} if "progress" in given else {}
    runs = run_options(given) | said
    return {name: value for name, value in options.items() if name not in runs}, runs


def check_progress(progress: Any) -> Any:
    """What a person says of progress in fewer forms: "auto" (or True), None (or False), or a function.

    Raises ConfigError for anything else.
    """
    if progress is True or (isinstance(progress, str) and progress == "auto"):
        return "auto"
    if progress is None or progress is False:
        return None
    if not callable(progress):
        raise ConfigError(
            f'progress is {progress!r}: a function to call is wanted, "auto", or None'
        )
    return progress


def loggers_of(log: Any) -> tuple[Logger, ...]:
    """The loggers: none of None, one, or those of a list. Raises ConfigError for what is none."""
    if log is None:
        return ()
    several = isinstance(log, list | tuple)
    for number, logger in enumerate(log if several else [log]):
        where = f"log[{number}]" if several else "log"
        if not _logs(logger):
            found = repr(logger) if isinstance(logger, str) else kind_of(logger)
            raise ConfigError(
                f"{where} is {found}: an object with a method log(values, step) is wanted, or a list of them"
            )
    return tuple(log) if several else (log,)


def check_views(views: Any) -> None:
    """Raises ConfigError unless it is a dict of functions by name."""
    if not isinstance(views, Mapping):
        raise ConfigError(
            f"views is {kind_of(views)}: a dict of functions by name is wanted, with 'eval'"
        )
    for name, view in views.items():
        if not isinstance(name, str) or not callable(view):
            raise ConfigError(
                f"views[{name!r}] is {kind_of(view)}: a function of rows and keys is wanted"
            )


def values_of(values: Any) -> dict[str, float]:
    """Finite numbers by name, as `junlearn.evaluate` gives them. Raises ConfigError for anything else."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"metrics is {kind_of(values)}: the dict that evaluate returns is wanted")
    for name, value in values.items():
        number = isinstance(value, int | float | np.number) and math.isfinite(value)
        if not isinstance(name, str) or not number:
            raise ConfigError(f"metrics[{name!r}] is {value!r}: a finite number is wanted")
    return {n: v.item() if isinstance(v, np.number) else v for n, v in values.items()}


def _logs(logger: Any) -> bool:
    """Whether it has a `log` that can be called with values and a step; a class is not an object of it."""
    method = getattr(logger, "log", None)
    if isinstance(logger, type) or not callable(method):
        return False
    try:
        inspect.signature(method).bind({}, 0)
    except TypeError:
        return False
    except ValueError:  # of a function that does not tell
        pass
    return True


def _check_loop(loop: Any) -> None:
    if not isinstance(loop, str) or loop not in get_args(LoopKind):
        raise unknown("loop", loop, get_args(LoopKind))


def _check_mesh(mesh: Any) -> None:
    if mesh is None:
        return
    remedy = (
        "jax.make_mesh((devices,), ('data',), axis_types=(jax.sharding.AxisType.Auto,)) makes one"
    )
    if not isinstance(mesh, Mesh):
        raise ConfigError(f"mesh is {kind_of(mesh)}, not a jax.sharding.Mesh: {remedy}")
    if mesh.axis_names != ("data",):
        raise ConfigError(
            f"mesh has the axes {mesh.axis_names}, and one called 'data' is wanted: {remedy}"
        )
    if any(kind != AxisType.Auto for kind in mesh.axis_types):
        raise ConfigError(f"mesh has an axis that is not AxisType.Auto: {remedy}")


def _check_seconds(seconds: Any) -> None:
    number = isinstance(seconds, int | float | np.number) and not isinstance(seconds, bool)
    if not number or math.isnan(seconds) or seconds < 0:
        raise ConfigError(f"save_seconds is {seconds!r}: seconds from 0 on are wanted")


def _is_raw(key: Any) -> bool:
    """Whether it is the data of one key, as `jax.random.PRNGKey` makes it."""
    return isinstance(key, np.ndarray | jax.Array) and key.dtype == np.uint32 and key.ndim == 1
