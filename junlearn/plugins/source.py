"""Which code a thing from outside of the package is made of: it is part of the identity of what the thing makes."""

import hashlib
import inspect
from functools import partial
from pathlib import Path
from typing import Any

__all__ = ["is_own", "module_name", "source_digest"]

OWN = __name__.partition(".")[0]


def is_own(thing: Any) -> bool:
    """Whether the package itself defines it."""
    return module_name(thing).partition(".")[0] == OWN


def source_digest(thing: Any) -> str:
    """Sixteen hexadecimal digits of the file that defines a thing; of one without a file, of its own source or name."""
    maker = _maker(thing)
    try:
        file = inspect.getsourcefile(maker)
        content = Path(file).read_bytes() if file is not None else b""
    except (OSError, TypeError):
        content = b""
    if not content:
        try:
            content = inspect.getsource(maker).encode()
        except (OSError, TypeError):
            content = module_name(thing).encode() + getattr(maker, "__qualname__", "").encode()
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def module_name(thing: Any) -> str:
    """The module that defines a thing."""
    maker = _maker(thing)
    return maker.__name__ if inspect.ismodule(maker) else str(getattr(maker, "__module__", ""))


def _maker(thing: Any) -> Any:
    """The module, function or class that the source of a thing is asked of."""
    if inspect.ismodule(thing):
        return thing
    maker = getattr(thing, "make", thing)
    while isinstance(maker, partial) or hasattr(maker, "__wrapped__"):
        maker = maker.func if isinstance(maker, partial) else maker.__wrapped__
    known = inspect.isfunction(maker) or inspect.isclass(maker) or inspect.ismethod(maker)
    return maker if known else type(maker)
