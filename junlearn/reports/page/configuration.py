"""The configurations of rows of an audit, or of records, as files that can be run again."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

__all__ = ["configurations", "groups", "merged", "toml"]

Row = TypeVar("Row", bound=Mapping[str, Any])

BARE = re.compile(r"[A-Za-z0-9_-]+")
"""Keys that stand in TOML without quotes."""


def configurations(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The resolved configurations in TOML: one, with all methods, where the rows differ in nothing else."""
    return [toml(merged(group)) for group in groups(rows)]


def groups(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows whose configurations differ in nothing but the method, together; in their order."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        shared = {
            name: value
            for name, value in row["config"].items()
            if name not in ("methods", "method")
        }
        found.setdefault(json.dumps(shared, sort_keys=True), []).append(row)
    return list(found.values())


def merged(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The configuration of all rows of a group, with the methods of each."""
    methods: list[str] = []
    sections: dict[str, Any] = {}
    for row in rows:
        methods += [name for name in row["config"].get("methods", []) if name not in methods]
        sections |= row["config"].get("method", {})
    return {**rows[0]["config"], "methods": methods, "method": sections}


def toml(table: Mapping[str, Any]) -> str:
    """A tree of tables in TOML; what is None has no place there and is left out."""
    return "\n".join(_lines(table, "")).strip() + "\n"


def _lines(table: Mapping[str, Any], name: str) -> Iterator[str]:
    inner = {key: value for key, value in table.items() if isinstance(value, Mapping)}
    plain = {key: v for key, v in table.items() if v is not None and key not in inner}
    if name and plain:
        yield f"\n[{name}]"
    for key, value in plain.items():
        yield f"{_key(key)} = {_value(value)}"
    for key, value in inner.items():
        yield from _lines(value, f"{name}.{_key(key)}".removeprefix("."))


def _key(key: str) -> str:
    return key if BARE.fullmatch(key) else _text(key)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        pairs = (f"{_key(k)} = {_value(v)}" for k, v in value.items() if v is not None)
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, Sequence):
        return "[" + ", ".join(_value(item) for item in value if item is not None) + "]"
    return repr(value)


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
