"""The fields of a configuration's dataclass for a person: name, type with its range, default, and what it is for."""

import ast
import dataclasses
import inspect
import itertools
import textwrap
import types
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from msgspec import Meta

from junlearn.text.paragraphs import entry
from junlearn.types import Choice, Range, Space

__all__ = ["Field", "field_lines", "fields_of", "plain_fields", "searched"]

SIGNS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}


class Field(NamedTuple):
    """A field that a configuration can set."""

    name: str
    type: str
    default: Any
    doc: str
    search: Range | Choice | None = None
    """What a search tries."""


def fields_of(config: type, space: Space = types.MappingProxyType({})) -> list[Field]:
    """The fields of a dataclass, but for its `name`; `space` is what a search may try of them."""
    docs = _docs(config)
    return [
        Field(
            *(item.name, type_of(item.type), _default(item), docs.get(item.name, "")),
            search=space.get(item.name),
        )
        for item in dataclasses.fields(config)
        if item.name != "name"
    ]


def plain_fields(fields: list[Field]) -> list[dict[str, Any]]:
    """For programs."""
    return [
        field._asdict() | {"search": None if field.search is None else field.search._asdict()}
        for field in fields
    ]


def field_lines(fields: list[Field], value: str = "default") -> list[str]:
    """Two lines or more for each field, the second what it is for; `value` is what `Field.default` is called."""
    width = max((len(field.name) for field in fields), default=0)
    lines = []
    for field in fields:
        shown = "none" if field.default is None else str(field.default) or '""'
        if isinstance(field.default, list | tuple):
            shown = " ".join(map(str, field.default)) or "none"
        head = f"  {field.name.replace('_', '-'):<{width}}  "
        lines.append(entry(head, f"{field.type}; {value} {shown}", indent=6))
        if field.doc:
            lines.append(entry("      ", field.doc))
        if field.search is not None:
            lines.append(entry("      search: ", searched(field.search)))
    return lines


def searched(tried: Range | Choice) -> str:
    """Such as `0.1 to 100, log` or `1 | 5 | 10`."""
    if isinstance(tried, Choice):
        return " | ".join(map(str, tried.values))
    step = "" if tried.step is None else f", in steps of {tried.step:g}"
    whole = "whole numbers from " if tried.whole else ""
    return f"{whole}{tried.low:g} to {tried.high:g}{', log' if tried.log else ''}{step}"


def type_of(annotation: Any) -> str:
    """A type in words, such as `int >= 1, <= 1000000` or `a | b | none`."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        limits = [m for m in arguments[1:] if isinstance(m, Meta)]
        signs = [
            f"{sign} {getattr(limit, name)}"
            for limit in limits
            for name, sign in SIGNS.items()
            if getattr(limit, name) is not None
        ]
        return f"{type_of(arguments[0])} {', '.join(signs)}".strip()
    if origin is Literal:
        return " | ".join(map(str, arguments))
    if origin in (Union, types.UnionType):
        return " | ".join(type_of(a) for a in arguments)
    if origin in (tuple, list):
        each = dict.fromkeys(type_of(a) for a in arguments if a is not ...)
        count = "" if ... in arguments else f"{len(arguments)} of "
        return f"{count}{' or '.join(each)}{' ...' if ... in arguments else ''}"
    if annotation is type(None):
        return "none"
    if dataclasses.is_dataclass(annotation):
        return "a section"
    return getattr(annotation, "__name__", str(annotation))


def _default(item: dataclasses.Field[Any]) -> Any:
    """As JSON has it."""
    value = item.default
    if item.default_factory is not dataclasses.MISSING:
        value = item.default_factory()
    if dataclasses.is_dataclass(value) or value is dataclasses.MISSING:
        return None
    return list(value) if isinstance(value, tuple) else value


def _docs(config: type) -> dict[str, str]:
    """The string behind each field, where it or what it inherits from says one."""
    docs: dict[str, str] = {}
    for cls in reversed(config.__mro__[:-1]):
        try:
            (body,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
        except (OSError, TypeError):
            continue  # made at run time: it has no fields of its own but `name`
        statements = getattr(body, "body", [])
        for field, after in itertools.pairwise(statements):
            if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
                continue
            docs.pop(field.target.id, None)
            if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                docs[field.target.id] = " ".join(str(after.value.value).split())
    return docs
