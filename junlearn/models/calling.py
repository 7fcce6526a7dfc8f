"""What both adapters of Flax modules share: how a module is called, and what it has to return.

A module is called with what its signature takes: `x`, then any of `train` (also `training`,
`is_training`), `deterministic` (also `use_running_average`) and `mask`. It returns logits, or
`(logits, features)` with a dict of intermediates; where that has no "embedding", the input of the
head is recorded as it passes.

Rows outside the mask are set to zero before the module sees them, so that whatever stands there, even
NaN, stays out of every gradient.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from junlearn.errors import ConfigError
from junlearn.parts.passes import along_rows
from junlearn.types import Array, PyTree

__all__ = [
    "EVAL_FLAGS",
    "TRAIN_FLAGS",
    "check_layers",
    "dotted",
    "flags",
    "no_key",
    "unpack",
    "zero_padding",
]

TRAIN_FLAGS = ("train", "training", "is_training")
EVAL_FLAGS = ("deterministic", "use_running_average")


def flags(call: Callable[..., Any], train: bool, mask: Array | None) -> dict[str, Any]:
    """The arguments beside `x` that `call` takes, by name."""
    known: dict[str, Any] = dict.fromkeys(TRAIN_FLAGS, train)
    known |= dict.fromkeys(EVAL_FLAGS, not train)
    known["mask"] = mask
    accepted = inspect.signature(call).parameters
    return {name: value for name, value in known.items() if name in accepted}


def zero_padding(x: Array, mask: Array | None) -> Array:
    """`x[B,...]` with the rows outside `mask[B]` set to zero."""
    if mask is None:
        return x
    return jnp.where(along_rows(mask, x), x, 0)


def unpack(module: Any, out: Any, head_input: list[Array]) -> tuple[Array, dict[str, Array]]:
    """Logits and features of what a module returned; raises ConfigError if it returned neither form."""
    logits, features = out if isinstance(out, tuple) and len(out) == 2 else (out, {})
    if not isinstance(logits, jax.Array) or logits.ndim != 2 or not isinstance(features, Mapping):
        raise ConfigError(
            f"{type(module).__name__} must return logits[B,K] or (logits, dict of features), "
            f"not {jax.tree.map(jnp.shape, out)}"
        )
    return logits, {**({"embedding": head_input[-1]} if head_input else {}), **features}


def check_layers(layers: tuple[str, ...] | None, params: PyTree) -> None:
    """Raise ConfigError if `layers` names a group that is not at the top of `params`."""
    missing = [name for name in layers or () if name not in params]
    if missing:
        raise ConfigError(
            f"no parameters at {', '.join(missing)}; the groups are {', '.join(params)}"
        )


def no_key(module: Any, reason: object) -> ConfigError:
    """The error of a module that draws random numbers and got no key."""
    return ConfigError(
        f"{type(module).__name__} draws random numbers (dropout?) and got no key: "
        f"call apply with key=jax.random.key(...) ({reason})"
    )


def dotted(path: tuple[Any, ...]) -> str:
    """A path of names as one text."""
    return ".".join(map(str, path))
