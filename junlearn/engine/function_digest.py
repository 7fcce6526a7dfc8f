"""A digest of what a function computes: of its code, and of all values that it closes over.

JAX knows a function by its identity, which ends with the process. Functions of one digest are traced to one program, in
this process and in any later one. For a trace comes from code, which is told by the source of modules and by versions,
and from values, which are told one by one. What is not known to be a plain value has no digest, and neither has code
from outside of the packages below: nothing is taken for alike for want of looking.

Two things are not seen: that another object is put in the place of a function or of a constant of a module while the
program runs, and that the files of another package are changed under the same version. Where the source of this package
was changed since the process began, it is not what runs, and nothing has a digest.
"""

import dataclasses
import enum
import hashlib
import re
import struct
import sys
import types
from collections.abc import Iterable, Mapping
from functools import cache, partial
from typing import Any

import jax
import numpy as np

from junlearn.compiler import Jitted
from junlearn.engine.code_digest import code_digest, is_as_loaded

__all__ = ["function_digest"]

OWN = __name__.partition(".")[0]
OTHERS = ("chex", "flax", "jax", "jaxlib", "numpy", "optax")
"""Packages whose code is known by their version. That of this one is known by its source, Python's own by Python's."""

CODE = (
    *("co_argcount", "co_posonlyargcount", "co_kwonlyargcount", "co_flags", "co_code", "co_names"),
    *("co_varnames", "co_freevars", "co_cellvars", "co_exceptiontable", "co_consts"),
)
"""What a code object is; where its lines stand does not matter."""

GENERATED = {
    *("__init__", "__repr__", "__eq__", "__hash__", "__setattr__", "__delattr__", "__replace__"),
}
"""Functions that `dataclasses` writes by the fields; of a class without others the bases and fields tell all."""

CACHED = type(cache(lambda: None))
"""Functions whose results are kept: what they give is what they would compute."""

ADDRESS = re.compile(r"\bat 0x[0-9a-f]+")


class Bare:
    """A class whose objects have nothing but a dict: one of the same size is written in Python, without slots."""


class Unknown(Exception):
    """There is something whose value is not known."""


def function_digest(*things: Any) -> str | None:
    """32 hexadecimal digits of functions and values; None where something that they are made of is unknown."""
    reader = _Reader()
    try:
        found = reader.digest(things)
    except (Unknown, RecursionError):
        return None
    if not is_as_loaded(reader.modules):
        return None
    return _hash(found, sys.version, *_versions(), code_digest(reader.modules)).hex()


class _Reader:
    """Gives digests of things, each made of the digests of all that the thing consists of."""

    def __init__(self) -> None:
        self.modules: set[str] = set()
        """Modules of this package whose code is part of what was read."""
        self.known: dict[int, bytes] = {}
        self.alive: list[Any] = []
        """What is in `known`, so that nothing else gets its address."""

    def digest(self, thing: Any) -> bytes:
        """Of anything. Raises Unknown."""
        if (name := id(thing)) not in self.known:
            self.alive.append(thing)
            # What a function finds when it comes back to itself.
            self.known[name] = b"itself"
            self.known[name] = _hash(*self._told(thing))
        return self.known[name]

    def _told(self, thing: Any) -> Iterable[str | bytes]:
        """Words that tell the value of a thing; those of its parts are their digests."""
        if (words := _plain(thing)) is not None:
            return words
        if isinstance(thing, types.ModuleType):
            return self._named("module", thing.__name__)
        if _is_at_its_name(thing):
            return self._named("named", thing.__module__, thing.__qualname__)
        if isinstance(thing, types.FunctionType):
            cells = [_content(cell) for cell in thing.__closure__ or ()]
            more = {k: v for k, v in vars(thing).items() if k != "__wrapped__"}
            value = (thing.__code__, thing.__defaults__, thing.__kwdefaults__, cells, more)
            return *self._named("function", thing.__module__, thing.__qualname__), *self._all(value)
        if isinstance(thing, set | frozenset):
            return "set", *sorted(map(self.digest, thing))
        if (found := _parts(thing)) is None:
            raise Unknown(type(thing))
        return found[0], *self._all(found[1])

    def _all(self, things: Iterable[Any]) -> list[bytes]:
        return [self.digest(thing) for thing in things]

    def _named(self, kind: str, module: str, name: str = "") -> tuple[str, str, str]:
        """What is known by its name in a module."""
        package = module.partition(".")[0]
        if package == OWN:
            self.modules.add(module)
        elif package not in OTHERS and package not in sys.stdlib_module_names:
            raise Unknown(module)
        return kind, module, name


def _versions() -> list[str]:
    """Of what is loaded; a package that is not has no part in what was read."""
    return [str(getattr(sys.modules.get(name), "__version__", None)) for name in OTHERS]


def _plain(thing: Any) -> tuple[str | bytes, ...] | None:
    """Words for what has no parts; None for anything else."""
    kind = type(thing)
    if thing is None or thing is ... or kind in (bool, int, str, bytes, complex, range):
        return kind.__name__, thing if kind is bytes else repr(thing)
    if kind is float:
        return "float", struct.pack("<d", thing)
    if isinstance(thing, np.dtype):
        return "dtype", str(thing)
    if isinstance(thing, np.ndarray | np.generic | jax.Array):
        return kind.__name__, *_array(thing)
    if isinstance(thing, jax.tree_util.PyTreeDef) and not ADDRESS.search(repr(thing)):
        return "structure", repr(thing)
    return None


def _array(thing: Any) -> tuple[str | bytes, ...]:
    """Kind, shape and content of an array."""
    if isinstance(thing, jax.Array) and jax.dtypes.issubdtype(thing.dtype, jax.dtypes.prng_key):
        return "key", str(jax.random.key_impl(thing)), *_array(jax.random.key_data(thing))
    weak = str(getattr(thing, "weak_type", False))
    content = np.ascontiguousarray(thing)
    if content.dtype.hasobject:
        raise Unknown(content.dtype)
    return "array", str(content.dtype), repr(content.shape), weak, content.tobytes()


def _parts(thing: Any) -> tuple[str, Iterable[Any]] | None:
    """The kind of a thing and its parts; None for a thing that is not known."""
    kind = type(thing)
    if isinstance(thing, enum.Enum):
        return "enum", (kind, thing.name)
    if isinstance(thing, types.CodeType):
        return "code", [getattr(thing, name) for name in CODE]
    if isinstance(thing, types.MethodType):
        return "method", (thing.__self__, thing.__func__)
    if isinstance(thing, partial):
        return "partial", (kind, thing.func, thing.args, thing.keywords)
    if isinstance(thing, Jitted):
        return "jitted", (thing.function, thing.options)
    if isinstance(thing, re.Pattern):
        return "pattern", (thing.pattern, thing.flags)
    if isinstance(thing, tuple | list):
        return "sequence", (kind, *thing)
    if isinstance(thing, Mapping):
        return "mapping", (kind, *thing.keys(), *thing.values())
    if isinstance(thing, type):
        return _class(thing)
    if isinstance(thing, CACHED):
        return "cached", (thing.__wrapped__,)
    if dataclasses.is_dataclass(thing):
        return "fields", (kind, *(getattr(thing, f.name) for f in dataclasses.fields(thing)))
    if (
        type(kind) is type
        and kind.__basicsize__ == Bare.__basicsize__
        and hasattr(thing, "__dict__")
    ):
        return "object", (kind, vars(thing))
    return None


def _class(thing: type) -> tuple[str, Iterable[Any]] | None:
    """As `_parts`, of a dataclass that is put together while the program runs, as the sections of an experiment are."""
    written = {name for name, value in vars(thing).items() if callable(value)}
    if not dataclasses.is_dataclass(thing) or not written <= GENERATED:
        return None
    own = {name: value for name, value in vars(thing).items() if not name.startswith("__")}
    return "class", (thing.__bases__, own)


def _is_at_its_name(thing: Any) -> bool:
    """Whether a thing is what its module has under its name: the code of the module tells all of it."""
    found: Any = sys.modules.get(getattr(thing, "__module__", None) or "")
    names = getattr(thing, "__qualname__", None)
    if found is None or not isinstance(names, str):
        return False
    for name in names.split("."):
        found = getattr(found, name, None)
    return found is thing


def _content(cell: Any) -> Any:
    """What a variable of an outer function holds; an empty one has not been given a value yet."""
    try:
        return (cell.cell_contents,)
    except ValueError:
        return ()


def _hash(*words: str | bytes) -> bytes:
    """Of words that cannot run into each other."""
    total = hashlib.blake2b(digest_size=16)
    for word in words:
        content = word if isinstance(word, bytes) else word.encode()
        total.update(b"%d:" % len(content) + content)
    return total.digest()
