"""A grid from options alone: with `--seeds` every option with several values is an axis.

A list, such as `--scenario.classes`, has a value a word, and commas join: `0,1 2` is [0, 1] and then [2].
"""

import argparse
from collections.abc import Sequence
from typing import Any, NamedTuple

from junlearn import cli
from junlearn.comparison.made_with import aside
from junlearn.errors import ConfigError, short
from junlearn.experiment import schema, sweep

__all__ = ["Planned", "asked", "planned"]

SEEDS, OVER, PLAN = "--seeds", "--over", "--dry-run"
LISTS = ("--metrics", "--loop.log")
"""Lists that are one value for all points."""


class Planned(NamedTuple):
    """What a command line with `--seeds` asks for."""

    options: argparse.Namespace
    start: Any
    """The experiment that all points begin from."""
    points: list[sweep.Point]
    over: list[str]
    lists: dict[str, int]
    """The axes whose values are lists, with the number of these."""
    dry_run: bool
    single: list[str] | None
    """The arguments of a run, where there is one point and nothing to compare."""


def asked(arguments: Sequence[str]) -> bool:
    """Whether `--seeds` is among the arguments; `--seeds.order` and its like are other options."""
    return any(_split(argument)[0] == SEEDS for argument in arguments)


def planned(arguments: Sequence[str]) -> Planned:
    """The grid that the arguments describe. Raises ConfigError for what is not allowed in it."""
    given = _options(arguments)
    seeds, over = given.pop(SEEDS), given.pop(OVER, ["seed"])
    dry_run = _flag(given)
    if "--seed" in given:
        raise ConfigError("--seed and --seeds: give one of them")
    known = cli.driver_options(cli.split_arguments([])[0])
    components = {f"--{kind}.name": kind for kind in cli.NAMED}
    several = {n: v for n, v in given.items() if len(v) > 1 and n in components}
    driver = {n: v for n, v in given.items() if n in known}
    fields = {n: v for n, v in given.items() if n not in known}
    words = [w for n, v in driver.items() for w in (n, *(v[:1] if n in several else v))]
    options, rest = cli.split_arguments(_appended(words))
    plain = {n: v for n, v in fields.items() if _is_one(n, v)}
    start = cli.experiment(options, [*rest, *(w for n, v in plain.items() for w in (n, *v))])
    grid: dict[str, Any] = {
        components[name]: _once(name, [{"name": word} for word in words], words)
        for name, words in several.items()
    }
    methods: dict[str, Any] = {}
    singles = dict(plain)
    lists: dict[str, int] = {}
    for name, words in fields.items():
        if name in plain:
            continue
        path = _path(start, name)
        is_list = isinstance(_at(start, path, name, words), tuple)
        parts = [word.split(",") if is_list else [word] for word in words]
        values = _once(name, [_value(start, path, name, part) for part in parts], words)
        if len(words) == 1:
            start = cli.changed(start, [name, *parts[0]])
            singles[name] = parts[0]
            continue
        if aside(".".join(path)):
            raise ConfigError(
                f"{name}: it changes no number of a network, so networks cannot be compared by it: give it one value"
            )
        if path[0] == "method":
            methods.setdefault(path[1], {})[".".join(path[2:])] = values
        else:
            grid[".".join(path)] = values
            if is_list:
                lists[".".join(path)] = len(values)
    grid["seed"] = _once(SEEDS, [_seed(start, word) for word in seeds], seeds)
    table = schema.plain(start) | {"sweep": grid | ({"method": methods} if methods else {})}
    points = sweep.expand(table)
    sweep.check(points, None, over)
    single = None
    if len(points) == 1 and not methods and not dry_run:
        single = [w for n, v in {**driver, **singles, "--seed": seeds}.items() for w in (n, *v)]
        single = _appended(single)
    return Planned(options, start, points, over, lists, dry_run, single)


def _split(argument: str) -> tuple[str, str, str]:
    name, equals, value = argument.partition("=")
    # What has a section in front is left as it is: its label is a name.
    return name if "." in name else name.replace("_", "-"), equals, value


def _options(arguments: Sequence[str]) -> dict[str, list[str]]:
    """Each option with its values; those of one that may stand several times are put together."""
    found: dict[str, list[str]] = {}
    last = ""
    for argument in arguments:
        if not argument.startswith("--"):
            if not last:
                raise ConfigError(f"unexpected argument {short(argument)}")
            found[last].append(argument)
            continue
        last, equals, value = _split(argument)
        twice = last.replace("_", "-") in {name.replace("_", "-") for name in found}
        if twice and last not in APPENDED:
            raise ConfigError(f"{last} stands twice")
        found.setdefault(last, []).extend([value] if equals else [])
    for name in (SEEDS, OVER):
        if name in found and not found[name]:
            raise ConfigError(f"{name}: its values are missing, such as {name} {EXAMPLES[name]}")
    return found


APPENDED = ("--table", "--plugin")
EXAMPLES = {SEEDS: "0 1 2", OVER: "seed scenario.classes"}


def _appended(words: Sequence[str]) -> list[str]:
    """The options that may stand several times once for each value."""
    found: list[str] = []
    option = ""
    for word in words:
        if word.startswith("--"):
            option = word
            found += [] if word in APPENDED else [word]
        else:
            found += [option, word] if option in APPENDED else [word]
    return found


def _flag(given: dict[str, list[str]]) -> bool:
    values = given.pop(PLAN, None)
    if values:
        raise ConfigError(f"{PLAN} takes no value, got {short(values[0])}")
    return values is not None


def _is_one(name: str, words: Sequence[str]) -> bool:
    """Whether an option has one value for all points that needs no look at its field."""
    return name in LISTS or (len(words) < 2 and not any("," in word for word in words))


def _path(start: Any, name: str) -> list[str]:
    return cli.full_name(start, name).removeprefix("--").replace("-", "_").split(".")


def _at(start: Any, path: Sequence[str], name: str, words: Sequence[str]) -> Any:
    """The value of a field. Raises ConfigError for one that does not exist, as every option does."""
    value = start
    for part in path:
        if not hasattr(value, part):
            cli.changed(start, [name, words[0]])
            raise ConfigError(f"{name}: it cannot be an axis")
        value = getattr(value, part)
    return value


def _value(start: Any, path: Sequence[str], name: str, words: Sequence[str]) -> Any:
    """What a field becomes by these words, checked as by itself."""
    try:
        value: Any = schema.plain(cli.changed(start, [name, *words]))
    except ConfigError as error:
        raise ConfigError(f"the value {short(','.join(words))}: {error}") from error
    for part in path:
        value = value[part]
    return list(value) if isinstance(value, tuple) else value


def _seed(start: Any, word: str) -> int:
    """One of the values of `--seeds`."""
    try:
        return _value(start, ["seed"], "--seed", [word])
    except ConfigError as error:
        raise ConfigError(
            f"{SEEDS}: the value {short(word)}: expected a whole number from 0 to {2**32 - 1}"
        ) from error


def _once(name: str, values: list[Any], words: Sequence[str]) -> list[Any]:
    """The values of an axis, of which none stands twice."""
    known: dict[str, str] = {}
    for value, word in zip(values, words, strict=True):
        mark = schema.digest(value)
        if mark in known:
            raise ConfigError(f"{name}: {short(word)} stands twice")
        known[mark] = word
    return values
