"""Which code makes a number: a digest of the source of modules and of all that they import of this package."""

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

__all__ = ["code_digest"]

PACKAGE = __name__.partition(".")[0]


def code_digest(modules: Iterable[str]) -> str:
    """Eight hexadecimal digits over the source of `modules`, and of the modules of this package that these import.

    `modules` are full names; one outside of the package counts with its own source, not with what it imports.
    """
    total = hashlib.blake2b(digest_size=4)
    for name in sorted(_closure(frozenset(modules))):
        source = _source(name)
        # A plug-in is called after the place where it lies, which is no part of its code.
        known = name.partition(".")[0] == PACKAGE or not source
        total.update((name if known else "").encode() + b"\0" + source + b"\0")
    return total.hexdigest()


@cache
def _closure(modules: frozenset[str]) -> frozenset[str]:
    """`modules`, and all of the package that they import, directly or not."""
    seen: set[str] = set()
    waiting = set(modules)
    while waiting:
        name = waiting.pop()
        seen.add(name)
        if name.partition(".")[0] == PACKAGE:
            waiting |= _imported(name) - seen
    return frozenset(seen)


@cache
def _imported(name: str) -> frozenset[str]:
    """The modules of the package that the module `name` imports, also inside functions."""
    return frozenset(found for node in ast.walk(ast.parse(_source(name))) for found in _of(node))


def _of(node: ast.AST) -> Iterator[str]:
    names: list[tuple[str, str]] = []
    if isinstance(node, ast.Import):
        names = [(alias.name, "") for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and node.module is not None:
        names = [(node.module, alias.name) for alias in node.names]
    for module, name in names:
        if module.partition(".")[0] != PACKAGE:
            continue
        inner = f"{module}.{name}"
        yield inner if name and _file(inner) is not None else module


@cache
def _source(name: str) -> bytes:
    file = _file(name)
    return b"" if file is None else file.read_bytes()


@cache
def _file(name: str) -> Path | None:
    """The file of a module; None for what is no module, or has no source."""
    try:
        spec = find_spec(name)
    except (ModuleNotFoundError, ValueError):
        return None
    origin = None if spec is None else spec.origin
    return Path(origin) if origin is not None and origin.endswith(".py") else None
