"""Sums over the examples of squared gradients, from one backward pass over the whole batch.

In eval mode the examples of a batch do not touch each other. So in the backward pass of a sum of losses the cotangent d
at the output of a layer holds, row by row, what the pass of each example alone would bring there, and all that is left
to do for the gradients g_i of the examples lies inside of that layer, whose input is x:

    dense layer on vectors          sum_i g_i^2 = (x^2)^T (d^2)           one matrix product
    dense layer, several positions  g_i = x_i^T d_i
    convolution                     g_i = patches(x_i)^T d_i
    a bias                          g_i = sum of d_i over the positions
    any other layer                 g_i from its own backward pass, on one example

Every layer that holds parameters is called through a `custom_vjp` that gives sum_i |g_i|^p in the place of the
gradient. Nothing of the size of the network is ever held for more than the batch as a whole.

This is right if every parameter belongs to a layer, if a layer is called once, and if what it reads has the examples
on the first axis. The network is traced once without data to see that; of any other network `examplewise` gives None.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from junlearn.models.linear_layers import is_dense, is_layer, window_of
from junlearn.models.products import patches
from junlearn.parts.gradients import Power, by_example, derivative, power_of
from junlearn.types import Array, PyTree

__all__ = ["examplewise"]

PROBE = 1009
"""Batch size of the trace without data: a prime that no other axis is likely to have."""

Layer = Callable[[PyTree, PyTree], PyTree]
"""`(parameters of the layer, arrays that it reads) -> output`."""


class _Trace:
    """What one trace of a network shows."""

    def __init__(self) -> None:
        self.seen: set[tuple[str, ...]] = set()
        self.separable = True


def examplewise(
    module: nn.Module, flags: dict[str, Any], params: PyTree, stats: PyTree, x: Array, power: Power
) -> Callable[[PyTree], Array] | None:
    """`params -> logits[B,K]` whose derivative is that of `Model.examplewise`; None where it is not known.

    `flags` are the arguments of the module beside `x`, those of eval mode.
    """

    def forward(params: PyTree, outside: PyTree, x: Array, trace: _Trace) -> Array:
        """Logits; the layers read `params`, whatever else reads parameters gets `outside`."""

        def watch(
            call: Callable[..., Any],
            args: tuple[Any, ...],
            kwargs: dict[str, Any],
            context: nn.module.InterceptorContext,
        ) -> Any:
            layer = context.module
            if context.method_name != "__call__" or not layer.path or not is_layer(layer):
                return call(*args, **kwargs)
            own = _at(params, layer.path)
            shapes = jax.tree.map(jnp.shape, (own, dict(layer.variables["params"])))
            arrays, rebuild = _arrays((args, kwargs))
            trace.separable &= layer.path not in trace.seen and shapes[0] == shapes[1]
            trace.seen.add(layer.path)
            if not trace.separable:
                return call(*args, **kwargs)
            out = _measured(layer, rebuild, power)(own, arrays)
            ends = [*arrays, *jax.tree.leaves(out)]
            trace.separable &= all(a.shape[:1] == x.shape[:1] for a in ends)
            return out

        with nn.intercept_methods(watch):
            out = module.apply({"params": outside, **stats}, x, **flags)
        return out[0] if isinstance(out, tuple) else out

    trace = _Trace()
    probe = jax.ShapeDtypeStruct((PROBE, *x.shape[1:]), x.dtype)
    traced = jax.make_jaxpr(lambda p, outside, x: forward(p, outside, x, trace))(
        params, params, probe
    )
    count = len(jax.tree.leaves(params))
    read = {id(v) for equation in traced.jaxpr.eqns for v in equation.invars}
    read |= {id(v) for v in traced.jaxpr.outvars}
    outside = traced.jaxpr.invars[count : 2 * count]
    if not trace.separable or any(id(v) in read for v in outside):
        return None
    return lambda params: forward(params, params, x, _Trace())


def _at(tree: PyTree, path: tuple[str, ...]) -> PyTree:
    for name in path:
        tree = tree[name]
    return tree


def _arrays(tree: PyTree) -> tuple[list[Array], Callable[[list[Array]], PyTree]]:
    """The arrays of a tree of arguments, and how to put others in their places."""
    leaves, structure = jax.tree.flatten(tree)
    places = [i for i, leaf in enumerate(leaves) if hasattr(leaf, "shape")]

    def rebuild(arrays: list[Array]) -> PyTree:
        filled = list(leaves)
        for place, array in zip(places, arrays, strict=True):
            filled[place] = array
        return jax.tree.unflatten(structure, filled)

    return [leaves[place] for place in places], rebuild


def _measured(module: nn.Module, rebuild: Callable[[list[Array]], PyTree], power: Power) -> Layer:
    """The layer as a function of parameters and inputs, with sum_i |g_i|^power for its gradient in the former."""
    free, variables = module.unbind()
    others = {name: tree for name, tree in variables.items() if name != "params"}

    def layer(params: PyTree, arrays: list[Array]) -> PyTree:
        args, kwargs = rebuild(arrays)
        return free.apply({"params": params, **others}, *args, **kwargs)

    def backward(
        residual: tuple[PyTree, list[Array]], cotangent: PyTree
    ) -> tuple[PyTree, list[Array]]:
        params, arrays = residual
        _, pull = jax.vjp(lambda arrays: layer(params, arrays), arrays)
        return _sum(module, layer, params, arrays, cotangent, power), pull(cotangent)[0]

    measured = jax.custom_vjp(layer)
    measured.defvjp(lambda params, arrays: (layer(params, arrays), (params, arrays)), backward)
    return measured


def _sum(
    module: nn.Module,
    layer: Layer,
    params: PyTree,
    arrays: list[Array],
    cotangent: PyTree,
    power: Power,
) -> PyTree:
    """sum_i |g_i|^power of one layer."""
    if is_dense(module):
        (x,) = arrays
        if x.ndim == 2:
            kernel = power_of(x, power).T @ power_of(cotangent, power)
            return _like(params, kernel, power_of(cotangent, power).sum(0))
        return by_example(
            lambda row: _like(params, *_product(row[0], row[1])), (x, cotangent), power
        )
    if (window := window_of(module, arrays)) is not None:
        size, strides, padding = window
        # Padded here and not image by image: XLA would pad again for every place in the window.
        x = jnp.pad(arrays[0], ((0, 0), *padding, (0, 0)))

        def convolution(row: tuple[Array, Array]) -> PyTree:
            return _like(params, *_product(patches(row[0][None], size, strides), row[1]))

        return by_example(convolution, (x, cotangent), power, math.prod(size) * x[0].size)

    def alone(params: PyTree, row: PyTree) -> PyTree:
        out = layer(params, jax.tree.map(lambda leaf: leaf[None], row))
        return jax.tree.map(lambda leaf: leaf[0], out)

    return by_example(derivative(alone, params), (arrays, cotangent), power)


def _product(x: Array, d: Array) -> tuple[Array, Array]:
    """Gradient of the kernel [D,F] and of the bias [F] for `x[...,D]` and the cotangent `d[...,F]` of one example."""
    x, d = x.reshape(-1, x.shape[-1]), d.reshape(-1, d.shape[-1])
    return x.T @ d, d.sum(0)


def _like(params: PyTree, kernel: Array, bias: Array) -> PyTree:
    """The two as the parameters of a layer that may have no bias."""
    values = {"kernel": kernel.reshape(params["kernel"].shape), "bias": bias}
    return {name: values[name].astype(leaf.dtype) for name, leaf in params.items()}
