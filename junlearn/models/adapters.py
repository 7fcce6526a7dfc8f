"""Adapters: anyone's Flax module, Linen or NNX, as a `Model` of pure functions over plain dicts.

A module is called with what its signature takes: `x`, then any of `train` (also `training`,
`is_training`), `deterministic` (also `use_running_average`) and `mask`. It returns logits, or
`(logits, features)` with a dict of intermediates; where that has no "embedding", the input of the
head is recorded as it passes.

Rows outside the mask are set to zero before the module sees them, so that whatever stands there, even
NaN, stays out of every gradient.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax import nnx
from flax.core import unfreeze
from flax.errors import InvalidRngError

from junlearn.errors import ConfigError
from junlearn.gradients import Power
from junlearn.models.examplewise import examplewise
from junlearn.types import Array, Key, Model, PyTree, Variables

__all__ = ["from_linen", "from_nnx"]

TRAIN_FLAGS = ("train", "training", "is_training")
EVAL_FLAGS = ("deterministic", "use_running_average")


def from_linen(
    module: nn.Module,
    *,
    layers: tuple[str, ...] | None = None,
    input_shape: tuple[int, int, int] | None = None,
) -> Model:
    """Wrap a Linen module, whose collections other than "params" become `Variables.stats` by name.

    `layers` names the top-level groups of its parameters from input to output, the head last. With
    None they are found by tracing the module on an image of `input_shape`, in the order in which
    they are first used; with neither, `Model.layers` is empty and the head is taken to be the last
    top-level layer with parameters. `input_shape` (H, W, C) becomes `Model.input_shape`.

    A module without a `mask` argument may use `flax.linen.BatchNorm`: the mask is handed to it.

    Raises ConfigError where the module returns something else, where `layers` names a group that
    does not exist, where random numbers are drawn without a key, and where a BatchNorm gets rows that
    are not the examples of the batch.
    """
    call = type(module).__call__
    takes_mask = "mask" in inspect.signature(call).parameters

    def collections(key: Key, x: Array) -> dict[str, PyTree]:
        return unfreeze(module.init({"params": key}, x, **_flags(call, False, None)))

    def init(key: Key, x: Array) -> Variables:
        stats = nn.meta.unbox(collections(key, x))
        params = stats.pop("params", {})
        _check_layers(layers, params)
        return Variables(params, stats)

    def apply(
        variables: Variables,
        x: Array,
        *,
        train: bool = False,
        key: Key | None = None,
        mask: Array | None = None,
    ) -> tuple[Array, dict[str, Array], PyTree]:
        params, stats = variables
        # Flax draws every other kind of random number from "params" if that is all it has.
        rngs = {} if key is None else {"params": key}
        head_input: list[Array] = []
        watch = _interceptor(
            layers[-1] if layers else None, head_input, None if takes_mask else mask
        )
        with nn.intercept_methods(watch):
            try:
                out, updated = module.apply(
                    {"params": params, **stats},
                    _zero_padding(x, mask),
                    **_flags(call, train, mask),
                    rngs=rngs,
                    mutable=list(stats) if train else [],
                )
            except InvalidRngError as error:
                raise _no_key(module, error) from error
        logits, features = _unpack(module, out, head_input)
        return logits, features, {**stats, **unfreeze(updated)} if train else stats

    def squares(variables: Variables, x: Array, power: Power) -> Callable[[PyTree], Array] | None:
        try:
            return examplewise(module, _flags(call, False, None), *variables, x, power)
        except InvalidRngError as error:
            raise _no_key(module, error) from error

    if layers is None and input_shape is not None:
        layers = _order_of_use(collections, input_shape)
    return Model(init, apply, layers or (), input_shape, squares)


def from_nnx(
    make: Callable[[nnx.Rngs], nnx.Module], *, layers: tuple[str, ...] | None = None
) -> Model:
    """Wrap `make(rngs) -> nnx.Module`: `nnx.Param` are the parameters, other variables the statistics.

    The module is put in train or eval mode by its own `train()` and `eval()`. `layers` names its
    attributes with parameters from input to output, the head last; with None `Model.layers` is empty.

    Raises ConfigError where the module holds an `nnx.BatchNorm` but takes no `mask` (nothing could
    then keep padded rows out of the statistics), where it returns something else than logits or
    `(logits, features)`, where `layers` names a group that does not exist, and where it holds random
    streams and is applied in train mode without a key.
    """
    abstract = nnx.eval_shape(lambda: make(nnx.Rngs(0)))
    graph, abstract_params, abstract_rngs, abstract_stats = _parts(abstract)
    call = type(abstract).__call__
    norms = [path for path, part in nnx.iter_modules(abstract) if isinstance(part, nnx.BatchNorm)]
    if norms and "mask" not in inspect.signature(call).parameters:
        raise ConfigError(
            f"{type(abstract).__name__} holds an nnx.BatchNorm ({_dotted(norms[0])}) but its __call__ "
            "takes no `mask`: take `mask: bool[B] | None` and pass it to the BatchNorm, "
            "reshaped to broadcast over x"
        )
    _check_layers(layers, _plain(abstract_params))

    def init(key: Key, x: Array) -> Variables:
        del x
        _, params, _, stats = _parts(make(nnx.Rngs(key)))
        return Variables(_plain(params), _plain(stats))

    def apply(
        variables: Variables,
        x: Array,
        *,
        train: bool = False,
        key: Key | None = None,
        mask: Array | None = None,
    ) -> tuple[Array, dict[str, Array], PyTree]:
        if train and key is None and jax.tree.leaves(abstract_rngs):
            raise _no_key(abstract, "it holds random streams")
        module = nnx.merge(
            graph,
            _filled(abstract_params, variables.params),
            _seeded(abstract_rngs, jax.random.key(0) if key is None else key),
            _filled(abstract_stats, variables.stats),
        )
        module.train() if train else module.eval()
        head_input: list[Array] = []
        with _recorded(module, layers[-1] if layers else None, head_input):
            out = module(_zero_padding(x, mask), **_flags(call, train, mask))
        logits, features = _unpack(abstract, out, head_input)
        return logits, features, _plain(_parts(module)[3]) if train else variables.stats

    return Model(init, apply, layers or ())


def _flags(call: Callable[..., Any], train: bool, mask: Array | None) -> dict[str, Any]:
    """The arguments beside `x` that `call` takes, by name."""
    known: dict[str, Any] = dict.fromkeys(TRAIN_FLAGS, train)
    known |= dict.fromkeys(EVAL_FLAGS, not train)
    known["mask"] = mask
    accepted = inspect.signature(call).parameters
    return {name: value for name, value in known.items() if name in accepted}


def _zero_padding(x: Array, mask: Array | None) -> Array:
    """`x[B,...]` with the rows outside `mask[B]` set to zero."""
    if mask is None:
        return x
    return jnp.where(mask.reshape(-1, *(1,) * (x.ndim - 1)), x, 0)


def _unpack(module: Any, out: Any, head_input: list[Array]) -> tuple[Array, dict[str, Array]]:
    """Logits and features of what a module returned; raises ConfigError if it returned neither form."""
    logits, features = out if isinstance(out, tuple) and len(out) == 2 else (out, {})
    if not isinstance(logits, jax.Array) or logits.ndim != 2 or not isinstance(features, Mapping):
        raise ConfigError(
            f"{type(module).__name__} must return logits[B,K] or (logits, dict of features), "
            f"not {jax.tree.map(jnp.shape, out)}"
        )
    return logits, {**({"embedding": head_input[-1]} if head_input else {}), **features}


def _check_layers(layers: tuple[str, ...] | None, params: PyTree) -> None:
    """Raise ConfigError if `layers` names a group that is not at the top of `params`."""
    missing = [name for name in layers or () if name not in params]
    if missing:
        raise ConfigError(
            f"no parameters at {', '.join(missing)}; the groups are {', '.join(params)}"
        )


def _no_key(module: Any, reason: object) -> ConfigError:
    return ConfigError(
        f"{type(module).__name__} draws random numbers (dropout?) and got no key: "
        f"call apply with key=jax.random.key(...) ({reason})"
    )


def _order_of_use(
    collections: Callable[[Key, Array], dict[str, PyTree]], input_shape: tuple[int, int, int]
) -> tuple[str, ...]:
    """The top-level groups of parameters in the order in which a Linen module makes them."""
    order: list[str] = []

    def trace(key: Key, x: Array) -> None:
        # Read here: a dict that leaves a traced function has its keys sorted.
        order.extend(collections(key, x)["params"])

    jax.eval_shape(trace, jax.random.key(0), jnp.zeros((1, *input_shape)))
    return tuple(order)


def _interceptor(
    head: str | None, head_input: list[Array], mask: Array | None
) -> Callable[..., Any]:
    """Hands `mask` to every BatchNorm of a Linen module and keeps in `head_input` what its head reads."""

    def watch(
        call: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        context: nn.module.InterceptorContext,
    ) -> Any:
        module = context.module
        if context.method_name != "__call__":
            return call(*args, **kwargs)
        x, *_ = (*args, *kwargs.values(), None)
        if mask is not None and isinstance(module, nn.BatchNorm) and kwargs.get("mask") is None:
            kwargs = {**kwargs, "mask": _mask_for(module, x, mask)}
        out = call(*args, **kwargs)
        at_top = len(module.path) == 1
        if at_top and (module.name == head if head else "params" in module.variables):
            head_input[:] = [x]
        return out

    return watch


def _mask_for(norm: nn.BatchNorm, x: Array, mask: Array) -> Array:
    """`mask[B]` shaped to broadcast over `x[B,...]`, the input of a BatchNorm."""
    if x.shape[0] != mask.shape[0]:
        raise ConfigError(
            f"BatchNorm {_dotted(norm.path)} normalises {x.shape[0]} rows of a batch of "
            f"{mask.shape[0]}: take `mask` in the module's __call__ and pass it on"
        )
    return mask.reshape(-1, *(1,) * (x.ndim - 1))


def _parts(module: nnx.Module) -> tuple[nnx.GraphDef, nnx.State, nnx.State, nnx.State]:
    """Graph, parameters, random streams and statistics of an NNX module; what it sows is left out."""
    graph, *states = nnx.split(module, nnx.Param, nnx.RngState, nnx.Intermediate, ...)
    params, rngs, _, stats = states
    return graph, params, rngs, stats


def _plain(state: nnx.State) -> dict[str, PyTree]:
    """An NNX state as nested dicts of arrays; the indices of lists become strings."""

    def text(tree: PyTree) -> PyTree:
        if not isinstance(tree, dict):
            return tree
        return {str(name): text(branch) for name, branch in tree.items()}

    return text(nnx.to_pure_dict(state))


def _filled(state: nnx.State, values: PyTree) -> nnx.State:
    """A copy of the NNX `state` that holds the arrays of `values`, nested dicts as from `_plain`."""
    copy = jax.tree.map(lambda leaf: leaf, state)
    nnx.replace_by_pure_dict(copy, values)
    return copy


def _seeded(rngs: nnx.State, key: Key) -> nnx.State:
    """Random streams of the shape of `rngs` that start anew from `key`."""
    leaves, tree = jax.tree.flatten(rngs)
    fresh = [
        jax.random.split(jax.random.fold_in(key, number), leaf.shape)
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        else jnp.zeros(leaf.shape, leaf.dtype)
        for number, leaf in enumerate(leaves)
    ]
    return jax.tree.unflatten(tree, fresh)


@contextmanager
def _recorded(module: nnx.Module, head: str | None, head_input: list[Array]) -> Iterator[None]:
    """Keeps in `head_input` what the attribute `head` of an NNX module is called with."""
    if head is None:
        yield
        return
    layer = getattr(module, head)

    def record(x: Array, *args: Any, **kwargs: Any) -> Any:
        head_input[:] = [x]
        return layer(x, *args, **kwargs)

    setattr(module, head, record)
    yield
    setattr(module, head, layer)


def _dotted(path: tuple[Any, ...]) -> str:
    return ".".join(map(str, path))
