"""The adapter of Linen modules: anyone's `flax.linen.Module` as a `Model` of pure functions over plain dicts."""

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.core import unfreeze
from flax.errors import InvalidRngError

from junlearn.errors import ConfigError
from junlearn.models.calling import (
    EVAL_FLAGS,
    TRAIN_FLAGS,
    check_layers,
    dotted,
    flags,
    no_key,
    unpack,
    zero_padding,
)
from junlearn.models.examplewise import examplewise
from junlearn.models.linear_layers import layer_inputs
from junlearn.parts.gradients import Power
from junlearn.parts.passes import along_rows
from junlearn.types import Array, Key, Model, PyTree, Variables

__all__ = ["from_linen", "variables_of"]


def from_linen(
    module: nn.Module,
    *,
    layers: tuple[str, ...] | None = None,
    depths: tuple[int, ...] = (),
    input_shape: tuple[int, int, int] | None = None,
) -> Model:
    """Wrap a Linen module, whose collections other than "params" become `Variables.stats` by name.

    `layers` names the top-level groups of its parameters from input to output, the head last. With
    None they are found by tracing the module on an image of `input_shape`, in the order in which
    they are first used; with neither, `Model.layers` is empty and the head is taken to be the last
    top-level layer with parameters. `input_shape` (H, W, C) becomes `Model.input_shape`, and `depths`
    `Model.depths`.

    A module without a `mask` argument may use `flax.linen.BatchNorm`: the mask is handed to it.

    Raises ConfigError where the module returns something else, where `layers` names a group that
    does not exist, where random numbers are drawn without a key, and where a BatchNorm gets rows that
    are not the examples of the batch.
    """
    call = type(module).__call__
    takes_mask = "mask" in inspect.signature(call).parameters

    def collections(key: Key, x: Array) -> dict[str, PyTree]:
        return unfreeze(module.init({"params": key}, x, **flags(call, False, None)))

    def init(key: Key, x: Array) -> Variables:
        variables = variables_of({"params": {}, **collections(key, x)})
        check_layers(layers, variables.params)
        return variables

    def apply(
        variables: Variables,
        x: Array,
        *,
        train: bool | Collection[str] = False,
        key: Key | None = None,
        mask: Array | None = None,
    ) -> tuple[Array, dict[str, Array], PyTree]:
        params, stats = variables
        # Flax draws every other kind of random number from "params" if that is all it has.
        rngs = {} if key is None else {"params": key}
        head_input: list[Array] = []
        watch = _interceptor(
            layers[-1] if layers else None,
            head_input,
            None if takes_mask else mask,
            None if isinstance(train, bool) else train,
        )
        with nn.intercept_methods(watch):
            try:
                out, updated = module.apply(
                    {"params": params, **stats},
                    zero_padding(x, mask),
                    **flags(call, bool(train), mask),
                    rngs=rngs,
                    mutable=list(stats) if train else [],
                )
            except InvalidRngError as error:
                raise no_key(module, error) from error
        logits, features = unpack(module, out, head_input)
        return logits, features, {**stats, **unfreeze(updated)} if train else stats

    def squares(variables: Variables, x: Array, power: Power) -> Callable[[PyTree], Array] | None:
        try:
            return examplewise(module, flags(call, False, None), *variables, x, power)
        except InvalidRngError as error:
            raise no_key(module, error) from error

    def inputs(variables: Variables, x: Array) -> dict[tuple[str, ...], Array]:
        try:
            return layer_inputs(module, variables.to_linen(), x, flags(call, False, None))
        except InvalidRngError as error:
            raise no_key(module, error) from error

    if layers is None and input_shape is not None:
        layers = _order_of_use(collections, input_shape)
    return Model(init, apply, layers or (), depths, input_shape, squares, inputs)


def variables_of(collections: Variables | Mapping[str, PyTree]) -> Variables:
    """The dict of collections that Flax works with, plain or frozen, as `Variables`; `Variables` stay as they are.

    Boxes of metadata (`flax.linen.with_partitioning`) are taken off. Raises ConfigError for anything else.
    """
    if isinstance(collections, Variables):
        return collections
    if not isinstance(collections, Mapping) or "params" not in collections:
        found = type(collections).__name__
        if isinstance(collections, Mapping):
            found = f"a dict with {', '.join(map(repr, collections)) or 'nothing'} in it"
        raise ConfigError(
            "a network's numbers are needed: Variables, Flax's dict {'params': ..., 'batch_stats': ...}, or "
            f"Variables.from_nnx(module) of an NNX module; this is {found}"
        )
    stats = nn.meta.unbox(unfreeze(dict(collections)))
    return Variables(stats.pop("params"), stats)


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
    head: str | None,
    head_input: list[Array],
    mask: Array | None,
    trained: Collection[str] | None,
) -> Callable[..., Any]:
    """Hands `mask` to every BatchNorm of a Linen module and keeps in `head_input` what its head reads.

    Where the layers in train mode are named in `trained`, all others are called in eval mode.
    """

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
        if trained is not None and module.path and module.path[0] not in trained:
            args, kwargs = _in_eval_mode(module, call, args, kwargs)
        out = call(*args, **kwargs)
        at_top = len(module.path) == 1
        if at_top and (module.name == head if head else "params" in module.variables):
            head_input[:] = [x]
        return out

    return watch


def _in_eval_mode(
    module: nn.Module, call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a call with every flag of the mode changed to eval; of a module that got its mode when it was
    made, the flag is an attribute.
    """
    for name in EVAL_FLAGS:
        if getattr(module, name, None) is not None:
            # A module is frozen, but this one is made anew for every pass.
            object.__setattr__(module, name, True)
    bound = inspect.signature(call).bind(*args, **kwargs)
    modes = dict.fromkeys(TRAIN_FLAGS, False) | dict.fromkeys(EVAL_FLAGS, True)
    given = {name: mode for name, mode in modes.items() if bound.arguments.get(name) is not None}
    bound.arguments.update(given)
    return bound.args, bound.kwargs


def _mask_for(norm: nn.BatchNorm, x: Array, mask: Array) -> Array:
    """`mask[B]` shaped to broadcast over `x[B,...]`, the input of a BatchNorm."""
    if x.shape[0] != mask.shape[0]:
        raise ConfigError(
            f"BatchNorm {dotted(norm.path)} normalises {x.shape[0]} rows of a batch of "
            f"{mask.shape[0]}: take `mask` in the module's __call__ and pass it on"
        )
    return along_rows(mask, x)
