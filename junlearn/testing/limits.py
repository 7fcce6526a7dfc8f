"""Settings with which a method is done in a moment on a tiny problem, derived from the fields of its Config."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from junlearn.errors import ConfigError, short

__all__ = ["LIMITS", "quick"]

LIMITS: Mapping[str, int] = {
    "epochs": 2,
    "batch_size": 8,
    "steps": 7,
    "batches": 2,
    "iterations": 7,
    "count": 5,
    "copies": 3,
}
"""The largest value of a field whose name is one of these words, or ends in `_` and the word.

An epoch of a tiny problem has 12 forget and 34 retain examples: batches of 8 leave a ragged one in each, and seven
steps are more than an epoch and no whole number of them.
"""


def quick(cls: type, **settings: Any) -> Any:
    """The Config `cls` with its defaults cut to `LIMITS`; `settings` are fields, and go before.

    Only whole numbers get smaller; 0 and None stay, as do fields that begin with `max_` or `min_`, which bound
    others. Raises ConfigError for what is no dataclass, and where it refuses its
    fields or has some without a default.
    """
    if not (isinstance(cls, type) and dataclasses.is_dataclass(cls)):
        raise ConfigError(f"Config must be a dataclass, not {short(cls)}")
    small = {}
    for field in dataclasses.fields(cls):
        limit, default = _limit(field.name), field.default
        if limit is not None and type(default) is int and default > limit:
            small[field.name] = limit
    try:
        return cls(**(small | settings))
    except (TypeError, ValueError) as error:
        given = ", ".join(f"{name}={value!r}" for name, value in (small | settings).items())
        raise ConfigError(f"Config({given}) cannot be made: {error}; give a config") from error


def _limit(name: str) -> int | None:
    if name.startswith(("max_", "min_")):
        return None
    return next((LIMITS[w] for w in LIMITS if name == w or name.endswith(f"_{w}")), None)
