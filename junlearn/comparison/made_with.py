"""What a network was made with, as one flat row of settings: `train.epochs`, `method.ssd.alpha`."""

import json
import re
from collections.abc import Collection
from typing import Any

from junlearn.experiment.identity import without_location
from junlearn.experiment.records import Record, flat, number_of

__all__ = ["Flat", "aside", "covered", "settings_of", "shown", "unit_of"]

Flat = dict[str, Any]

ASIDE = (
    *("loop", "plugins", "methods", "metrics", "metric", "audit", "search"),
    *("reference", "references"),
)
"""Keys of a configuration that change no number of a network: how it was run, and what else was done and measured."""
SEEDS = ("seed", "seeds", "key")
"""All that `seed` stands for: the seed of a run, those of its sources, and the key of a call in Python."""


def settings_of(record: Record) -> Flat:
    """All that determines the numbers of a record, of its method only what belongs to it.

    The data are known by their fingerprint and not by where they lie. What a file names in a request is known by a hash
    of the rows, where the record has it.
    """
    config = {key: value for key, value in record["config"].items() if key not in ASIDE}
    request = record.get("request", {})
    dataset = without_location(dict(config.get("dataset", {})))
    if "data" in request:
        # What is held out of the same data depends on the seed.
        dataset["fingerprint"] = re.split("-(?:held-out|validation)-", str(request["data"]))[0]
    config["dataset"] = dataset
    scenario = dict(config.get("scenario", {}))
    if scenario.get("file") and "rows" in request:
        scenario["file"] = request["rows"]
    config["scenario"] = scenario
    number = number_of(record)
    return flat(config, joint=".") | ({"request": number} if number else {})


def aside(name: str) -> bool:
    """Whether a setting changes no number of a network, so that runs cannot be told apart by it."""
    return name.partition(".")[0] in ASIDE


def covered(name: str, named: Collection[str]) -> bool:
    """Whether a setting is one of `named`, or lies in a section that is."""
    words = {word for one in named for word in (SEEDS if one == "seed" else (one,))}
    return any(name == word or name.startswith(f"{word}.") for word in words)


def unit_of(settings: Flat, over: Collection[str]) -> tuple[tuple[str, str], ...]:
    """Which of the runs that means are taken over this is: what the settings `over` are, each with its name."""
    given = {n: v for n, v in sorted(settings.items()) if v is not None}
    return tuple(
        (one, json.dumps({n: v for n, v in given.items() if covered(n, (one,))})) for one in over
    )


def shown(value: Any) -> str:
    """A setting as a person reads it."""
    return "not set" if value is None else str(value)
