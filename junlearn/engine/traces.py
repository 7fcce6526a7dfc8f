"""Traced steps on disk: a later process compiles a step, or finds it compiled, without tracing it anew.

JAX keeps what XLA made of a program, but to know which program that is, it traces the step and lowers it again in every
process: a quarter to half a second for each method's step with a small network, and more with a large one. Here what a
step is lowered to (StableHLO, by `jax.export`) is kept under a digest of all that it comes from: the function and what
it closes over (`function_digest`), the kinds of its arguments, and JAX's settings. Of a function without a digest, and
of a program that `jax.export` does not vouch for, nothing is kept.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
from jax import export

from junlearn.compiler import attends, jitted
from junlearn.engine.compilations import SealedPath
from junlearn.engine.function_digest import function_digest
from junlearn.models import convolution
from junlearn.types import Metrics, PyTree

__all__ = ["compiled", "keep"]

Step = Callable[..., tuple[PyTree, Metrics]]
"""`(state, ...) -> (state, metrics)`, which consumes its state."""

_directory: SealedPath | None = None


class Traced(NamedTuple):
    """What a step was lowered to, a function of the leaves of its arguments."""

    program: export.Exported
    metrics: tuple[str, ...]
    """Names of the metrics, whose values follow the leaves of the state in what it gives."""
    plain: bool
    """Whether it is compiled as XLA likes it: see `junlearn.compiler`."""


def keep(directory: Path | None) -> None:
    """Keep traced steps in `directory`, beside the compiled programs there, from now on; None: nowhere."""
    global _directory
    _directory = None if directory is None else SealedPath(directory.absolute())


def compiled(step: Step, made_of: Sequence[Any], arguments: tuple[PyTree, ...]) -> Any:
    """`step` compiled for `arguments`, on one device; from its trace on disk if there is one.

    `made_of` are functions, classes and values that determine what `step` computes of arguments of these kinds: one of
    the module that defines it, too.
    """
    file = _file(made_of, arguments)
    if file is not None:
        if (traced := _read(file)) is None and (traced := _trace(step, arguments)) is not None:
            _write(file, traced)
        if traced is not None and (lowered := _lowered(traced, arguments)) is not None:
            return lowered.compile()
    return jitted(step, donate_argnums=0).lower(*arguments).compile()


def _file(made_of: Sequence[Any], arguments: tuple[PyTree, ...]) -> SealedPath | None:
    """Where the trace of a step is kept; None where it is not to be kept."""
    if _directory is None:
        return None
    leaves, structure = jax.tree.flatten(arguments)
    device = (jax.default_backend(), jax.devices()[0].device_kind, jax.device_count())
    settings = [
        (name, repr(getattr(jax.config, name, None)))
        for name in sorted(jax.config.values)
        if "cache" not in name  # where programs are kept
    ]
    kinds = [(str(kind), kind.weak_type) for kind in map(jax.typeof, leaves)]
    name = function_digest(
        compiled, made_of, structure, kinds, device, settings, convolution.form()
    )
    return None if name is None else _directory / f"step-{name}-cache"


def _read(file: SealedPath) -> Traced | None:
    if not file.exists():
        return None
    try:
        header, _, content = file.read_bytes().partition(b"\n")
        about = json.loads(header)
        program = export.deserialize(bytearray(content))
        return Traced(program, tuple(about["metrics"]), about["plain"])
    except Exception:  # Of another version: the libraries below have errors of many kinds for it.
        return None


def _write(file: SealedPath, traced: Traced) -> None:
    about = {"metrics": traced.metrics, "plain": traced.plain}
    file.write_bytes(json.dumps(about).encode() + b"\n" + traced.program.serialize())


def _trace(step: Step, arguments: tuple[PyTree, ...]) -> Traced | None:
    """None where the step does not give what a step gives, or where its program is not one to be kept."""
    leaves, structure = jax.tree.flatten(arguments)
    names: list[str] | None = None

    def flat(*leaves: Any) -> list[Any]:
        nonlocal names
        given = jax.tree.unflatten(structure, leaves)
        state, metrics = step(*given)
        before: Any = jax.tree.structure(given[0])
        fits = jax.tree.structure(state) == before and _is_flat(metrics)
        names = sorted(metrics) if fits else None
        return [*jax.tree.leaves(state), *(metrics[name] for name in names or ())]

    kinds = [jax.typeof(leaf) for leaf in leaves]
    function = jax.jit(flat)
    traced = function.trace(*kinds).jaxpr
    # `jax.export` forgets which numbers are weak, those that give way to the kind of others.
    if names is None or any(kind.weak_type for kind in (*kinds, *traced.out_avals)):
        return None
    try:
        program = export.export(function)(*kinds)
    except (NotImplementedError, ValueError):
        return None
    return Traced(program, tuple(names), attends(traced.jaxpr))


def _is_flat(metrics: Any) -> bool:
    """Whether metrics are arrays by name."""
    return isinstance(metrics, dict) and all(
        isinstance(name, str) and isinstance(value, jax.Array) for name, value in metrics.items()
    )


def _lowered(traced: Traced, arguments: tuple[PyTree, ...]) -> Any:
    """The step, ready to be compiled; None where JAX does not let it be as it would be without its trace."""

    def step(*arguments: PyTree) -> tuple[PyTree, Metrics]:
        found = traced.program.call(*jax.tree.leaves(arguments))
        count = len(found) - len(traced.metrics)
        state = jax.tree.unflatten(jax.tree.structure(arguments[0]), found[:count])
        return state, dict(zip(traced.metrics, found[count:], strict=True))

    lowered = jitted(step, donate_argnums=0).lower(*arguments, plain=traced.plain)
    if any(getattr(leaf, "committed", False) for leaf in jax.tree.leaves(arguments)):
        return lowered
    # What an exported function gives is bound to its device, and for arrays that are bound every later program would
    # be another one. JAX has no public word for it.
    options = getattr(getattr(lowered, "_lowering", None), "compile_args", {})
    if "committed" not in options:
        return None
    options["committed"] = False
    return lowered
