"""Mixed precision: the network computes in bfloat16, everything around it stays in float32."""

from typing import Any, Literal

import jax
import jax.numpy as jnp

from junlearn.types import Array, Model, PyTree, Variables

__all__ = ["Precision", "in_precision"]

Precision = Literal["float32", "bfloat16"]


def in_precision(model: Model, precision: Precision) -> Model:
    """`model` whose forward and backward passes compute in `precision`.

    With "bfloat16" the parameters are rounded at the beginning of a pass, and logits and features come back in
    float32. Parameters, their gradients and updates, losses, and what layers sum up over a batch (BatchNorm's moments
    and running statistics) are float32. Per-example Fisher information (`Model.examplewise`) is computed in float32.
    """
    if precision == "float32":
        return model

    def apply(
        variables: Variables, x: Array, **options: Any
    ) -> tuple[Array, dict[str, Array], PyTree]:
        params = _cast(variables.params, jnp.bfloat16)
        rounded = Variables(params, variables.stats)
        logits, features, stats = model.apply(rounded, x.astype(jnp.bfloat16), **options)
        stats = jax.tree.map(lambda new, old: new.astype(old.dtype), stats, variables.stats)
        return logits.astype(jnp.float32), _cast(features, jnp.float32), stats

    return model._replace(apply=apply)


def _cast(tree: PyTree, dtype: Any) -> PyTree:
    """The floating-point leaves of `tree` as `dtype`."""
    return jax.tree.map(
        lambda leaf: leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf, tree
    )
