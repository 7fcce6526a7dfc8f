"""`jax.jit` with the options of XLA that suit the backend."""

from collections.abc import Callable, Iterator
from functools import cache, cached_property, update_wrapper
from typing import Any

import jax
from jax.extend.core import Jaxpr

from junlearn.memo import traced

__all__ = ["Jitted", "attends", "jitted"]

CPU = {"xla_cpu_use_fusion_emitters": False}
"""On a CPU the newer code for loops takes nearly twice the time to compile, and its programs are no faster. Those of a
transformer are: 5 % faster, and compiled in less time."""


class Jitted:
    """A compiled function. JAX takes options of a whole program alone: within another one it is plain `jax.jit`."""

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        self.function, self.options = function, options
        update_wrapper(self, function, updated=())

    @cached_property
    def _part(self) -> Any:
        return jax.jit(self.function, **self.options)

    @cached_property
    def _whole(self) -> Any:
        # Asked for late: a decorated function at the top of a module must not choose the backend.
        return jax.jit(self.function, compiler_options=_options(), **self.options)

    def __call__(self, *arguments: Any) -> Any:
        """As `jax.jit(function)`."""
        return (self._part if traced() else self._whole)(*arguments)

    def lower(self, *arguments: Any, plain: bool | None = None) -> Any:
        """As `jax.jit(function).lower`; `plain`: compiled as XLA likes it, by itself where the program `attends`."""
        if plain is None:
            plain = attends(self._part.trace(*arguments).jaxpr.jaxpr)
        return (self._part if plain else self._whole).lower(*arguments)


def jitted(function: Callable[..., Any], **options: Any) -> Jitted:
    """`jax.jit(function, **options)` with the compiler's options that suit the backend."""
    return Jitted(function, options)


def attends(program: Jaxpr) -> bool:
    """Whether a program looks like a transformer's: products of a matrix for each head, and no convolution."""
    found = False
    for name, parameters in _operations(program):
        if name == "conv_general_dilated":
            return False
        found |= name == "dot_general" and len(parameters["dimension_numbers"][1][0]) > 1
    return found


def _operations(program: Jaxpr) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and parameters of all that it calls, within loops and functions too."""
    for equation in program.eqns:
        yield equation.primitive.name, equation.params
        for inner in jax.tree.leaves(list(equation.params.values())):
            inner = getattr(inner, "jaxpr", inner)
            if isinstance(inner, Jaxpr):
                yield from _operations(inner)


@cache
def _options() -> dict[str, Any]:
    """Those that the installed XLA knows: one that it does not know is an error when something is compiled."""
    if jax.default_backend() != "cpu":
        return {}
    try:
        jax.jit(_same, compiler_options=CPU).lower(0.0).compile()
    except jax.errors.JaxRuntimeError:
        return {}
    return dict(CPU)


def _same(value: Any) -> Any:
    return value
