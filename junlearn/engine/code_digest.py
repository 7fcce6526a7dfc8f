"""Which code makes a number: a digest of the source of modules and of all that they import of this package."""

import hashlib
import re
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from junlearn.engine import BEGAN

__all__ = ["code_digest", "is_as_loaded"]

PACKAGE = __name__.partition(".")[0]

IMPORTS = re.compile(
    rf"^[ \t]*(?:from[ \t]+({PACKAGE}(?:\.\w+)*)[ \t]+import[ \t]+(\([^)]*\)|[^\n]+)|import[ \t]+([^\n]+))".encode(),
    re.MULTILINE,
)
"""The statements by which the package's own source imports from it: found so, not by `ast`, which takes 60 times as
long, a quarter of a second of every run."""
CHANGED: set[str] = set()
"""Modules whose file was changed since the process began: what was loaded of them may be another source."""

REMARK = re.compile(rb"#[^\n]*|[()]")


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


def is_as_loaded(modules: Iterable[str]) -> bool:
    """Whether the source behind `code_digest(modules)` is the one that this process has loaded, or will load."""
    return CHANGED.isdisjoint(_closure(frozenset(modules)))


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
    found: set[str] = set()
    for module, names, modules in IMPORTS.findall(_source(name)):
        found.update(n for n in _names(modules) if n.partition(".")[0] == PACKAGE)
        for part in _names(names):
            inner = f"{module.decode()}.{part}"
            found.add(module.decode() if _file(inner) is None else inner)
    return frozenset(found)


def _names(listed: bytes) -> list[str]:
    """Of `listed`, as in an import: "a, b as c", with brackets and remarks."""
    parts = REMARK.sub(b"", listed).split(b",")
    return [words[0].decode() for part in parts if (words := part.split())]


@cache
def _source(name: str) -> bytes:
    file = _file(name)
    if file is None:
        return b""
    content = file.read_bytes()
    # Of the last change of whatever kind: the time of the content may be an older one that somebody set.
    if file.stat().st_ctime >= BEGAN:
        CHANGED.add(name)
    return content


@cache
def _file(name: str) -> Path | None:
    """The file of a module; None for what is no module, or has no source."""
    try:
        spec = find_spec(name)
    except (ModuleNotFoundError, ValueError):
        return None
    origin = None if spec is None else spec.origin
    return Path(origin) if origin is not None and origin.endswith(".py") else None
