"""Configuration files: from the bytes of TOML or JSON to a table of plain values, or one line on what is wrong."""

import codecs
import json
import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from junlearn.errors import ConfigError, short

__all__ = ["INTEGERS", "read", "sound"]

MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""How a file begins that says its encoding; UTF-32 before UTF-16, whose mark it begins with."""
LARGEST = 16 * 2**20
"""Bytes of a configuration: more is another kind of file."""
DEEPEST = 16
"""Tables and lists in one another."""
LONGEST = 4096
"""Letters of a text: no path is longer."""
INTEGERS = range(-(2**31), 2**32)
"""What arrays hold, and seeds."""


def read(path: Path) -> dict[str, Any]:
    """The table in a TOML file, or in a JSON file such as a run's `config.json`.

    The encoding is UTF-8, or what a byte-order mark at the beginning says. Raises ConfigError for a file that cannot be
    read, is not valid, or holds anything but a table of plain values (`sound`).
    """
    if not str(path) or path == Path():
        raise ConfigError("cannot read configuration '': the name of the file is empty")
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"cannot read configuration {path}: {reason}") from error
    if len(content) > LARGEST:
        raise ConfigError(f"configuration {path} is larger than {LARGEST >> 20} MiB")
    kind = "JSON" if path.suffix.lower() == ".json" else "TOML"
    try:
        table = _parsed(_text(content), kind)
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"configuration {path} is not text in UTF-8 (byte {error.start}); save it as UTF-8"
        ) from error
    except RecursionError as error:
        raise ConfigError(f"configuration {path} is not valid: nested too deeply") from error
    except ValueError as error:
        raise ConfigError(f"configuration {path} is not valid {kind}: {error}") from error
    if not isinstance(table, dict):
        raise ConfigError(f"configuration {path}: expected a table, got {short(table)}")
    sound(table)
    return table


def sound(table: Mapping[str, Any], integers: range | None = None) -> None:
    """Raise ConfigError, with the place, for what no configuration can hold, at any depth of `table`.

    That is: keys that are not text, numbers that are not finite, dates, text with NUL or half a character, tables in
    one another without an end, and integers that are not in `integers`.
    """
    _sound(table, "", 0, integers)


def _sound(value: Any, where: str, depth: int, integers: range | None) -> None:
    if depth > DEEPEST:
        raise ConfigError(f"{where[:60]}...: tables and lists are nested more than {DEEPEST} deep")
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise ConfigError(f"{where or 'configuration'}: key {short(key)} is not text")
            _check_text(key, where or "configuration")
            if not key.strip():
                raise ConfigError(f"{where or 'configuration'}: key {key!r} is empty")
            _sound(inner, f"{where}.{key}" if where else key, depth + 1, integers)
    elif isinstance(value, list | tuple):
        for inner in value:
            _sound(inner, where, depth + 1, integers)
    elif isinstance(value, str):
        _check_text(value, where)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ConfigError(f"{where}: expected a finite number, got {value}")
    elif isinstance(value, int):
        if integers is not None and value not in integers:
            raise ConfigError(
                f"{where}: {short(value)} is out of range: expected int >= {integers[0]}, <= {integers[-1]}"
            )
    elif value is not None:
        kind = type(value).__name__
        raise ConfigError(
            f"{where}: expected text, a number, a truth value, a list or a table, got the {kind} "
            f'{value}; put it into quotes, "{value}", if it is text'
        )


def _check_text(text: str, where: str) -> None:
    if len(text) > LONGEST:
        raise ConfigError(f"{where}: {short(text)} is longer than {LONGEST} characters")
    half = any("\ud800" <= letter <= "\udfff" for letter in text)
    if half or "\0" in text:
        what = "half a character" if half else "a NUL character"
        raise ConfigError(f"{where}: {short(text)} holds {what}")


def _text(content: bytes) -> str:
    for mark, encoding in MARKS.items():
        if content.startswith(mark):
            return content.decode(encoding)
    return content.decode("utf-8")


def _parsed(text: str, kind: str) -> Any:
    if kind == "TOML":
        return tomllib.loads(text)
    return json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {short(double)} stands twice in one object")
    return found


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number that a configuration can hold")
