"""The configurations of an audit's rows, as files that can be run again."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from junlearn.reports.audit_cells import Row

__all__ = ["configurations", "toml"]

BARE = re.compile(r"[A-Za-z0-9_-]+")
"""Keys that stand in TOML without quotes."""


def configurations(rows: Sequence[Row]) -> list[str]:
    """The resolved configurations in TOML: one, with all methods, where the rows differ in nothing else."""
    merged: dict[str, dict[str, Any]] = {}
    for row in rows:
        config = dict(row["config"])
        methods, sections = config.pop("methods", []), config.pop("method", {})
        found = merged.setdefault(
            json.dumps(config, sort_keys=True), {**config, "methods": [], "method": {}}
        )
        found["methods"] += [name for name in methods if name not in found["methods"]]
        found["method"].update(sections)
    return [toml(config) for config in merged.values()]


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
