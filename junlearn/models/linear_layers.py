"""Layers that multiply by a kernel: what kind a module is, and what of its input the kernel meets.

A dense layer multiplies every position of its input x[B,..,D] by a kernel [D,F]. A plain convolution does the same with
the window that the kernel sees from every place, as a row of kh kw C numbers in the order of the kernel's axes.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from flax.linen.linear import canonicalize_padding
from jax import lax

from junlearn.models.modules import Conv, Dense
from junlearn.models.products import patches
from junlearn.types import Array

__all__ = ["is_dense", "is_layer", "layer_inputs", "window_of"]

OTHER_PADDING = ("CIRCULAR", "REFLECT")
"""What `nn.Conv` can do at an edge beside putting zeros there."""


def is_layer(module: nn.Module) -> bool:
    """The module holds parameters of its own and has no modules with parameters in it."""
    own = module.variables.get("params", {})
    return bool(own) and not any(isinstance(value, Mapping) for value in own.values())


def is_dense(module: nn.Module) -> bool:
    """The module is a plain linear layer."""
    if type(module) is nn.Dense:
        return module.dot_general is None and module.dot_general_cls is None
    return type(module) is Dense


def window_of(module: nn.Module, arrays: list[Array]) -> tuple[Any, Any, Any] | None:
    """Size, strides and padding of a plain 2-D convolution; None of any other layer."""
    if type(module) is Conv:
        return module.kernel_size, module.strides, module.padding
    if type(module) is not nn.Conv or isinstance(module.kernel_size, int):
        return None
    if arrays[0].ndim != 4 or len(module.kernel_size) != 2 or module.padding in OTHER_PADDING:
        return None
    special = (module.mask, module.conv_general_dilated, module.conv_general_dilated_cls)
    strides, stretched, dilated = (
        (value, value) if isinstance(value, int) else tuple(value or (1, 1))
        for value in (module.strides, module.input_dilation, module.kernel_dilation)
    )
    plain = module.feature_group_count == 1 and all(part is None for part in special)
    if not plain or (stretched, dilated) != ((1, 1), (1, 1)):
        return None
    size = tuple(module.kernel_size)
    padding = canonicalize_padding(module.padding, 2)
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(arrays[0].shape[1:3], size, strides, padding)
    return size, strides, tuple(padding)


def layer_inputs(
    module: nn.Module, collections: dict[str, Any], x: Array, flags: dict[str, Any]
) -> dict[tuple[str, ...], Array]:
    """What every dense layer and plain convolution of `module` multiplies by its kernel [..,F]: rows [B,P,D].

    The keys are the paths of the layers in the parameters, D is the size of the kernel without its last axis, P the
    number of positions; the positions of a layer that is called several times stand one after the other. `flags` are
    the arguments of the module beside `x`.
    """
    found: dict[tuple[str, ...], list[Array]] = {}

    def watch(
        call: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        context: nn.module.InterceptorContext,
    ) -> Any:
        layer = context.module
        if context.method_name == "__call__" and layer.path and is_layer(layer):
            array = [a for a in (*args, *kwargs.values()) if hasattr(a, "shape")]
            rows = _rows(layer, array)
            if rows is not None:
                found.setdefault(layer.path, []).append(rows)
        return call(*args, **kwargs)

    with nn.intercept_methods(watch):
        module.apply(collections, x, **flags)
    return {path: jnp.concatenate(rows, axis=1) for path, rows in found.items()}


def _rows(layer: nn.Module, arrays: list[Array]) -> Array | None:
    """The rows [B,P,D] of one call with `arrays`; None of a layer of another kind."""
    if is_dense(layer):
        (x,) = arrays
    elif (window := window_of(layer, arrays)) is not None:
        size, strides, padding = window
        x = patches(jnp.pad(arrays[0], ((0, 0), *padding, (0, 0))), size, strides)
    else:
        return None
    return x.reshape(len(x), -1, x.shape[-1])
