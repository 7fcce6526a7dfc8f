"""In which numbers is computed: float32, or bfloat16 in the network, and how exactly float32 is multiplied.

A CPU multiplies float32 as float32. Left to themselves, NVIDIA GPUs since Ampere round the factors of matrix products
and convolutions to TF32, 10 bits of mantissa instead of 23, and TPUs to bfloat16, 7 bits. That is several times
faster, and other numbers than those of a CPU or of the published codes: errors of 1e-3 instead of 1e-7 in every layer.
The command line asks for the exact products unless an experiment says otherwise (`matmul_precision`). In Python the
setting is JAX's own, `with jax.default_matmul_precision("highest"): junlearn.unlearn(...)`.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import jax
import jax.numpy as jnp

from junlearn.types import Array, Model, PyTree, Variables

__all__ = ["MatmulPrecision", "Precision", "in_precision", "matmul_precision", "matmuls"]

Precision = Literal["float32", "bfloat16"]
MatmulPrecision = Literal["highest", "default"]
"""Products of float32 numbers as float32, or as JAX makes them on the device by itself."""


def matmuls(precision: MatmulPrecision) -> AbstractContextManager[Any]:
    """A block in which all that is compiled multiplies float32 numbers in `precision`.

    "default" leaves what is in force, such as what JAX_DEFAULT_MATMUL_PRECISION says.
    """
    return nullcontext() if precision == "default" else jax.default_matmul_precision(precision)


def matmul_precision() -> str:
    """What is in force here; "default" where nobody has said anything."""
    return jax.config.jax_default_matmul_precision or "default"  # type: ignore[attr-defined]


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
