"""Checks of what a method's file offers: its parts, their signatures, and the defaults that its docstring states."""

import ast
import dataclasses
import inspect
import itertools
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from junlearn.errors import ConfigError
from junlearn.plugins.spaces import checked_space, ends
from junlearn.testing.subject import NotApplicable, Subject, copies
from junlearn.types import Choice, Method, Range

__all__ = ["DATA", "defaults", "signatures", "space"]

DATA = (
    *("forget.x", "forget.y", "retain.x", "retain.y"),
    *("surrogate.x", "test.x", "test.y", "validation.x", "validation.y"),
)
"""What a method can name in NEEDS."""
PUBLIC = ("Config", "State", "make", "NEEDS", "SPACE")


def signatures(subject: Subject) -> None:
    """Config, make and NEEDS are of the kinds that every method has, and so are the functions of the Method.

    `State` and `__all__` are looked at where they are: the package's own methods have both.
    """
    module = subject.module
    _config(module.Config)
    own_state = getattr(module, "State", None)
    assert own_state is None or _is_named_tuple(own_state), "State must be a NamedTuple"
    needs = module.NEEDS
    assert isinstance(needs, frozenset | set), f"NEEDS must be a set, not {type(needs).__name__}"
    strange = sorted(map(str, needs - set(DATA)))
    assert not strange, f"NEEDS names {', '.join(strange)}; known: {', '.join(DATA)}"
    if (public := getattr(module, "__all__", None)) is not None:
        hidden = [name for name in PUBLIC if hasattr(module, name) and name not in public]
        assert not hidden, f"__all__ lacks {', '.join(hidden)}"
    _takes(module.make, "make", "config", "model")
    method = subject.method(subject.dense)
    assert isinstance(method, Method), "make must return a junlearn.types.Method"
    _takes(method.init, "init", "key", "variables", "sources", "split")
    _takes(method.plan, "plan", "split")
    _takes(method.finish, "finish", "state")
    sources, split = copies(subject.dense)
    sources = jax.tree.map(jnp.asarray, sources)
    state = method.init(jax.random.key(1), subject.dense.variables, sources, split)
    if own_state is not None:
        assert isinstance(state, own_state), f"init returns a {type(state).__name__}, not a State"
    for stage in subject.anew(subject.dense).plan(split):
        _takes(stage.step, f"step of stage {stage.name!r}", "state", "batch")
        _takes(stage.feed, f"feed of stage {stage.name!r}", "rng", "state")


def defaults(subject: Subject) -> None:
    """The table under "Defaults" in the docstring, a `field  value` a line, has the defaults of the Config."""
    text = getattr(subject.module, "__doc__", None) or ""
    if "Defaults" not in text:
        raise NotApplicable("the docstring has no table of defaults")
    table = dict(re.findall(r"^ {4}(\w+) {2,}(.+)$", text.split("Defaults", 1)[1], re.MULTILINE))
    stated = {field: _value(value) for field, value in table.items()}
    true = dataclasses.asdict(subject.module.Config())
    absent = [name for name in true if name not in stated]
    assert not absent, f"the table of defaults lacks {', '.join(absent)}"
    for field, value in stated.items():
        assert field in true, f"the table of defaults has {field}, which is no field of the Config"
        assert value == true[field], f"{field} is {true[field]!r}, and {value!r} in the docstring"


def space(subject: Subject) -> None:
    """SPACE, what a search may try, is one for the Config, has its defaults, and its ends go together.

    A default of None can be outside of a range. Every two fields are set to each pair of their ends, and a method is
    made with that; nothing is run.
    """
    given = getattr(subject.module, "SPACE", None)
    if given is None:
        raise NotApplicable("the method has no SPACE, so that a search has to be told its ranges")
    found = checked_space(given, subject.module.Config, "the method")
    if not found:
        raise NotApplicable("SPACE names no field: there is nothing to search")
    for name, tried in found.items():
        default = getattr(subject.module.Config(), name)
        fits = default is None or _inside(default, tried)
        assert fits, f"SPACE: {name}: the default {default!r} is not in {tried}"
    single = [(name, value) for name, tried in found.items() for value in ends(tried)]
    for pair in itertools.combinations_with_replacement(single, 2):
        fields = dict(pair)
        try:
            config = dataclasses.replace(subject.config, **fields)
            subject.module.make(config, subject.dense.model).plan(subject.dense.split)
        except (ConfigError, TypeError, ValueError) as error:
            shown = ", ".join(f"{name}={value!r}" for name, value in fields.items())
            raise AssertionError(f"SPACE: no method is made with {shown}: {error}") from error


def _inside(value: Any, tried: Range | Choice) -> bool:
    if isinstance(tried, Range):
        return bool(tried.low <= value <= tried.high)
    return value in tried.values


def _config(cls: Any) -> None:
    assert dataclasses.is_dataclass(cls) and isinstance(cls, type), "Config must be a dataclass"
    asked = "write @dataclass(frozen=True, kw_only=True)"
    assert cls.__dataclass_params__.frozen, f"Config must be frozen: {asked}"  # type: ignore[attr-defined]
    placed = [field.name for field in dataclasses.fields(cls) if not field.kw_only]
    assert not placed, f"fields of Config must be keyword-only: {asked}"


def _is_named_tuple(cls: Any) -> bool:
    return isinstance(cls, type) and issubclass(cls, tuple) and hasattr(cls, "_fields")


def _takes(function: Callable, name: str, *wanted: str) -> None:
    found = list(inspect.signature(function).parameters)
    assert found == list(wanted), f"{name} takes ({', '.join(found)}), not ({', '.join(wanted)})"


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
