"""A network as its tangent at given weights: f(x) + J(x) s, s a shift of the weights."""

from typing import Any

import jax
import jax.numpy as jnp

from junlearn.types import Array, Key, Model, PyTree, Variables

__all__ = ["linearised"]


def linearised(model: Model) -> Model:
    """The tangent of `model`; its parameters are the "original" weights and the "shift". Features are the original's.

    A pass is a jvp, about two passes of the model.
    """

    def init(key: Key, x: Array) -> Variables:
        own = model.init(key, x)
        shift = jax.tree.map(jnp.zeros_like, own.params)
        return Variables({"original": own.params, "shift": shift}, own.stats)

    def apply(
        variables: Variables, x: Array, **options: Any
    ) -> tuple[Array, dict[str, Array], PyTree]:
        def logits(params: PyTree) -> tuple[Array, Any]:
            z, *others = model.apply(Variables(params, variables.stats), x, **options)
            return z, others

        both = (variables.params["original"],), (variables.params["shift"],)
        z, change, (features, stats) = jax.jvp(logits, *both, has_aux=True)
        return z + change, features, stats

    return Model(init, apply, input_shape=model.input_shape)
