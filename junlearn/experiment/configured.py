"""A method as a person asks for it in Python, with its settings: by name and fields, or as a filled Config."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

from junlearn.errors import ConfigError
from junlearn.experiment.conversion import convert
from junlearn.plugins.objects import chosen_method, owner_of

__all__ = ["Configured", "configured"]


class Configured(NamedTuple):
    """A method with all its settings."""

    name: str
    thing: Any
    """The module, or the object of that form."""
    settings: Any
    """Its Config, checked."""


def configured(method: Any, fields: Mapping[str, Any], where: str | None = None) -> Configured:
    """The method with the settings that its preset and `fields` give; `where` begins messages on these.

    `method` is what `junlearn.unlearn` takes. Raises ConfigError for a name, a field or a value that there is not, and
    for fields beside a Config, which has them already.
    """
    owner = owner_of(method)
    if owner is None:
        name, thing, preset = chosen_method(method)
        return Configured(name, thing, convert(thing.Config, {**preset, **fields}, where or name))
    name, thing = owner
    if fields:
        raise ConfigError(
            f"{where or name}: {', '.join(map(str, fields))} beside a Config: set it in {name}.Config(...)"
        )
    return Configured(name, thing, convert(thing.Config, asdict(method), where or name))
